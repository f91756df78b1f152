//! Finding whom to listen to.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use thiserror::Error;

use super::core::ViewSettings;
use super::{View, local, over_nats};
use crate::platform::poll::Bell;
use crate::platform::thread::{Stop, spawn};
use crate::transports::nats::NatsSettings;

/// Whom to listen to. Both empty: the local agent, where it usually is.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// NATS servers and how to enter them. None: the local agent.
    pub nats: Option<NatsSettings>,
    /// What every subject begins with. None: `eagle_eye.v1`.
    pub prefix: Option<String>,
    /// Only engines that serve this model; over NATS others are not even
    /// received. None: all.
    pub model: Option<String>,
    /// The local agent's socket. None: where it usually is.
    pub socket: Option<PathBuf>,
    /// Limits and patience.
    pub settings: ViewSettings,
}

/// Why there is no view.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// The system refused a thread or a descriptor.
    #[error("starting the view's thread failed: {0}; raise the limits of threads and open files")]
    System(#[from] io::Error),
    /// The subscription to NATS could not be set up.
    #[error("subscribing to NATS failed: {0}")]
    Subscribe(Box<dyn std::error::Error + Send + Sync>),
}

/// The thread behind a view; dropped, it ends.
#[derive(Debug)]
pub(super) struct Running {
    stop: Stop,
    bell: Arc<Bell>,
    thread: Option<JoinHandle<()>>,
}

impl Options {
    /// What the environment says: `EAGLE_EYE_NATS` (servers, separated by
    /// commas) and `EAGLE_EYE_SOCKET`.
    #[must_use]
    pub fn from_environment() -> Self {
        let servers = std::env::var("EAGLE_EYE_NATS").unwrap_or_default();
        Self::over_nats(servers.split(','))
    }

    /// Over these NATS servers, such as `nats://10.0.0.1:4222`; with none, the
    /// local agent.
    #[must_use]
    pub fn over_nats<'a>(servers: impl IntoIterator<Item = &'a str>) -> Self {
        let servers = servers.into_iter().map(str::trim).filter(|url| !url.is_empty());
        let servers: Vec<String> = servers.map(str::to_owned).collect();
        let nats = (!servers.is_empty()).then(|| NatsSettings::with_urls(servers));
        Self { nats, ..Self::default() }
    }
}

impl View {
    /// A view that keeps itself connected: to NATS if servers are given,
    /// otherwise to the local agent. Returns at once; nothing need be there
    /// yet, and what goes away is waited for.
    ///
    /// # Errors
    ///
    /// When a thread cannot be started or the servers' settings make no sense.
    pub fn connect(options: Options) -> Result<Self, ConnectError> {
        match options.nats.clone() {
            Some(nats) => over_nats::connect(nats, &options),
            None => local::start(options),
        }
    }
}

impl Running {
    /// Runs `work` on a thread of this name until dropped. `work` gets what
    /// tells it to stop, and the bell that rings then.
    pub(super) fn start(
        name: &str,
        bell: Arc<Bell>,
        work: impl FnOnce(&Stop, &Bell) + Send + 'static,
    ) -> io::Result<Self> {
        let stop = Stop::default();
        let theirs = (stop.clone(), Arc::clone(&bell));
        let thread = spawn(name, None, move || work(&theirs.0, &theirs.1))?;
        Ok(Self { stop, bell, thread: Some(thread) })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.raise();
        self.bell.ring();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
