//! Session after session on a thread of its own.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, bounded};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Notify;

use super::StartError;
use super::servers::Servers;
use super::session::{DialFault, Session, dial};
use super::settings::NatsSettings;
use crate::platform::atomic::{AtomicU64, Ordering};
use crate::platform::clock::{self, MILLISECOND_NS, SECOND_NS};
use crate::platform::thread::{self, Stop};
use crate::transports::link::{Link, LinkState};

/// A connection that lasted so long was a good one: the next loss is followed
/// by a quick attempt again.
const HELD_NS: u64 = 2 * SECOND_NS;

/// Names are looked up on threads of the runtime's; so many may hang at once.
const LOOKUPS_MAX: usize = 4;

/// What flows through one session.
pub(super) trait Traffic {
    /// Carries until the session ends, and says why it did.
    async fn carry(&mut self, session: &Session, generation: u32) -> End;
}

/// Why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// Somebody asked us to.
    Stopped,
    /// The connection died.
    Lost,
    /// The server announced to go, and there is another.
    Left,
}

/// How others reach the thread.
#[derive(Debug, Default)]
pub(super) struct Wake {
    stop: Stop,
    stop_by_ns: AtomicU64,
    stopping: Notify,
    notify: Notify,
}

/// The thread, seen by its owner. Dropping it asks the thread to end.
#[derive(Debug)]
pub(super) struct Worker {
    wake: Arc<Wake>,
    ended: Receiver<Infallible>,
    thread: Option<JoinHandle<()>>,
}

/// What every end of NATS works with.
pub(super) struct Desk {
    pub(super) settings: NatsSettings,
    pub(super) link: Link,
    pub(super) wake: Arc<Wake>,
    servers: Servers,
}

impl Wake {
    /// Makes the thread look for work.
    pub(super) fn rouse(&self) {
        self.notify.notify_one();
    }

    /// Returns when there may be work.
    pub(super) async fn roused(&self) {
        self.notify.notified().await;
    }

    /// Whether the thread should end.
    pub(super) fn is_stopped(&self) -> bool {
        self.stop.is_raised()
    }

    /// What is left of the time to end.
    pub(super) fn time_left(&self) -> Duration {
        let by_ns = self.stop_by_ns.load(Ordering::Relaxed);
        Duration::from_nanos(by_ns.saturating_sub(clock::monotonic_ns()))
    }

    /// Returns when the thread should end.
    pub(super) async fn stopped(&self) {
        while !self.is_stopped() {
            self.stopping.notified().await;
        }
    }

    /// Returns when the thread should have ended.
    pub(super) async fn overdue(&self) {
        self.stopped().await;
        tokio::time::sleep(self.time_left()).await;
    }

    fn stop(&self) {
        self.stop.raise();
        self.stopping.notify_one();
        self.notify.notify_one();
    }
}

impl Worker {
    /// Asks the thread to finish within `deadline` and waits that long.
    pub(super) fn stop(mut self, deadline: Duration) {
        let deadline_ns = u64::try_from(deadline.as_nanos()).unwrap_or(u64::MAX);
        let by_ns = clock::monotonic_ns().saturating_add(deadline_ns);
        self.wake.stop_by_ns.store(by_ns, Ordering::Relaxed);
        self.wake.stop();
        // A little more than the deadline, for a thread that uses all of it.
        let patience = deadline.saturating_add(Duration::from_nanos(50 * MILLISECOND_NS));
        let ended = matches!(
            self.ended.recv_timeout(patience),
            Err(crossbeam_channel::RecvTimeoutError::Disconnected)
        );
        if let Some(thread) = self.thread.take().filter(|_| ended) {
            let _ = thread.join();
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.wake.stop();
    }
}

impl Desk {
    /// Checks the settings.
    pub(super) fn new(settings: NatsSettings) -> Result<Self, StartError> {
        let named = settings.servers().map_err(StartError::Settings)?;
        let servers = Servers::new(named, settings.reconnect_delay_max);
        Ok(Self { settings, link: Link::new(), wake: Arc::new(Wake::default()), servers })
    }

    /// Starts a thread that carries `traffic` until it is stopped.
    pub(super) fn start<T: Traffic + Send + 'static>(
        self,
        name: &str,
        cpu: Option<usize>,
        traffic: T,
    ) -> io::Result<Worker> {
        let provider = async_nats::rustls::crypto::aws_lc_rs::default_provider();
        // An error means that one is installed already, which serves as well.
        let _ = provider.install_default();
        let wake = Arc::clone(&self.wake);
        let (alive, ended) = bounded::<Infallible>(0);
        let thread = thread::spawn(name, cpu, move || {
            let _alive = alive;
            let _farewell = Farewell(self.link.clone());
            // A local of its own, so that nothing is taken any more before the
            // farewell is said: locals end in the reverse of this order.
            let mut traffic = traffic;
            self.run(&mut traffic);
        })?;
        Ok(Worker { wake, ended, thread: Some(thread) })
    }

    fn run(mut self, traffic: &mut impl Traffic) {
        while !self.wake.is_stopped() {
            match runtime() {
                Ok(runtime) => {
                    runtime.block_on(self.session(traffic));
                    // Everything that waited inside the client goes with it,
                    // and a hanging name lookup holds nobody up.
                    runtime.shutdown_background();
                }
                Err(error) => {
                    self.down(format!("cannot start the runtime for NATS: {error}"));
                    clock::sleep_until(clock::monotonic_ns() + SECOND_NS / 10);
                }
            }
        }
    }

    async fn session(&mut self, traffic: &mut impl Traffic) {
        let Some((session, label)) = self.connect().await else { return };
        let began_ns = clock::monotonic_ns();
        let generation = self.link.connected(
            session.server.clone(),
            began_ns,
            session.round_trip_ns,
            session.warning.clone(),
        );
        let end = traffic.carry(&session, generation).await;
        let ended_ns = clock::monotonic_ns();
        if ended_ns.saturating_sub(began_ns) >= HELD_NS {
            self.servers.held();
        }
        match end {
            End::Stopped => {}
            End::Left => {
                self.servers.leaves(&label, ended_ns);
                self.down(format!("{label} is shutting down: moving to another server"));
            }
            End::Lost => {
                self.servers.failed(&label);
                let last = session.errors().pop().map_or_else(String::new, |said| {
                    let said: String = said.chars().take(200).collect();
                    format!(", it said: {said}")
                });
                self.down(format!("lost the connection to {label}{last}"));
            }
        }
    }

    async fn connect(&mut self) -> Option<(Session, String)> {
        let mut refused = false;
        loop {
            let delay = self.servers.delay(refused);
            tokio::select! {
                () = self.wake.stopped() => return None,
                () = tokio::time::sleep(delay) => {}
            }
            let target = self.servers.next(clock::monotonic_ns());
            let dialled = tokio::select! {
                () = self.wake.stopped() => return None,
                dialled = dial(&target, &self.settings) => dialled,
            };
            match dialled {
                Ok(mut session) => {
                    self.servers.entered(&target.label, &session.told);
                    let elsewhere = self.servers.count() > 1;
                    let spread = self.servers.spread(self.settings.reconnect_delay_max);
                    session.leave_after = elsewhere.then_some(spread);
                    return Some((session, target.label));
                }
                Err(fault) => {
                    self.servers.failed(&target.label);
                    refused = matches!(fault, DialFault::Refused(_));
                    self.say(fault);
                }
            }
        }
    }

    fn say(&self, fault: DialFault) {
        let since_ns = clock::monotonic_ns();
        self.link.turn(match fault {
            DialFault::Refused(sentence) => LinkState::Refused { since_ns, sentence },
            DialFault::Unreachable(sentence) => LinkState::Down { since_ns, sentence },
        });
    }

    fn down(&self, sentence: String) {
        self.link.turn(LinkState::Down { since_ns: clock::monotonic_ns(), sentence });
    }
}

/// Says that the thread ended, even when a hook panicked.
struct Farewell(Link);

impl Drop for Farewell {
    fn drop(&mut self) {
        let why = if std::thread::panicking() { "its thread panicked" } else { "it was stopped" };
        let sentence = format!("the NATS link ended: {why}");
        self.0.turn(LinkState::Down { since_ns: clock::monotonic_ns(), sentence });
    }
}

fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().max_blocking_threads(LOOKUPS_MAX).build()
}
