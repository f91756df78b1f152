//! Addresses of names, asked for on a thread of their own: the system's
//! resolver may take as long as it likes, and nobody waits for it here. The
//! thread exists only where a configured endpoint has a name.

use std::net::{SocketAddr, ToSocketAddrs};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

use crate::platform::thread;

/// Questions and answers that wait; whoever finds no room asks again later.
const WAITING_MAX: usize = 256;

/// Which endpoint asks, and what.
type Question = (usize, String, u16);

/// What came of it.
pub(super) type Resolved = (usize, Option<SocketAddr>);

/// The thread and the way to it.
#[derive(Debug)]
pub(super) struct Resolver {
    questions: Sender<Question>,
    answers: Receiver<Resolved>,
}

impl Resolver {
    /// Starts the thread. It ends once this is dropped and the system's
    /// resolver lets go of it; nobody waits for that.
    ///
    /// # Errors
    ///
    /// When the system refuses another thread.
    pub(super) fn start() -> std::io::Result<Self> {
        let (questions, asked) = bounded::<Question>(WAITING_MAX);
        let (answer, answers) = bounded(WAITING_MAX);
        thread::spawn("ee-scrape-names", None, move || {
            for (who, host, port) in asked {
                let address = (host.as_str(), port).to_socket_addrs();
                let address = address.ok().and_then(|mut all| all.next());
                if let Err(TrySendError::Disconnected(_)) = answer.try_send((who, address)) {
                    return;
                }
            }
        })?;
        Ok(Self { questions, answers })
    }

    /// Asks; whether there was room to.
    pub(super) fn ask(&self, who: usize, host: &str, port: u16) -> bool {
        self.questions.try_send((who, host.to_owned(), port)).is_ok()
    }

    /// What came meanwhile.
    pub(super) fn answers(&self) -> impl Iterator<Item = Resolved> {
        self.answers.try_iter()
    }
}
