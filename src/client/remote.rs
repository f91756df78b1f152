//! A view of a fleet over NATS.
//!
//! The transport is at arm's length: it hands messages to an [`Intake`] on its
//! own thread, and sends a request when told to. A thread of ours ticks the
//! view, asks for a snapshot at every connection, asks again while answers are
//! missing, and measures the round trip now and then, since clocks drift.

use std::error::Error;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::View;
use super::connect::{ConnectError, Options, Running};
use super::core::ViewCore;
use crate::platform::atomic::{AtomicU64, Ordering};
use crate::platform::clock::{MILLISECOND_NS, SECOND_NS, monotonic_ns};
use crate::platform::poll::{Bell, readable, wait_readable};
use crate::platform::thread::Stop;
use crate::schema::{TRIAL_MESSAGE, subject_token};

/// What every subject begins with, unless the agents are configured otherwise.
pub const PREFIX_DEFAULT: &str = "eagle_eye.v1";

const TICK_NS: u64 = 50 * MILLISECOND_NS;
/// How long to wait for answers before asking again.
const ASK_AGAIN_NS: u64 = SECOND_NS;
/// How often to measure the round trip. Until then 100 ppm of drift add 3 ms
/// to the error.
const MEASURE_NS: u64 = 30 * SECOND_NS;

/// What the view needs of a connection besides being fed by it.
pub trait Requester: Send {
    /// Sends a request whose answers come to [`Intake::replied`]. Never
    /// blocks; one that cannot be sent now is dropped, and asked again.
    fn request(&mut self, subject: &str, payload: &[u8]);
}

/// The view's door for whoever receives. Clones feed the same view.
#[derive(Debug, Clone)]
pub struct Intake {
    core: Arc<Mutex<ViewCore>>,
    bell: Arc<Bell>,
    /// One up whenever a snapshot must be asked for.
    occasions: Arc<AtomicU64>,
}

impl Intake {
    /// A message came under one of [`subjects`]. What is refused is counted.
    ///
    /// [`TRIAL_MESSAGE`] is passed over.
    pub fn received(&self, bytes: &[u8], receipt_ns: u64) {
        if bytes == TRIAL_MESSAGE {
            return;
        }
        let _ = self.core().feed(bytes, receipt_ns);
    }

    /// An answer came to the request sent at `request_sent_ns`.
    pub fn replied(&self, bytes: &[u8], receipt_ns: u64, request_sent_ns: u64) {
        let _ = self.core().reply(bytes, receipt_ns, request_sent_ns);
    }

    /// A connection was made, the first or another, and subscriptions stand.
    pub fn connected(&self, now_ns: u64) {
        self.core().connected(now_ns);
        self.ask();
    }

    /// So many messages were lost on this side: what they said is asked for.
    pub fn lost(&self, messages: u64) {
        self.core().count_lost(messages);
        self.ask();
    }

    fn ask(&self) {
        self.occasions.fetch_add(1, Ordering::Release);
        self.bell.ring();
    }

    /// The connection is gone.
    pub fn disconnected(&self) {
        self.core().disconnected();
    }

    fn core(&self) -> MutexGuard<'_, ViewCore> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a view subscribes to.
#[must_use]
pub fn subjects(prefix: &str, model: Option<&str>) -> [String; 3] {
    let model = model.map_or_else(|| "*".to_owned(), subject_token);
    [
        format!("{prefix}.routing.*.{model}"),
        format!("{prefix}.events.*"),
        format!("{prefix}.verdicts.*"),
    ]
}

/// A view that is fed by whatever `subscribe` sets up: it gets the subjects and
/// the door to feed, and returns the end for requests, which is dropped with
/// the view.
///
/// # Errors
///
/// When `subscribe` fails or a thread cannot be started.
pub fn start<R: Requester + 'static>(
    options: &Options,
    subscribe: impl FnOnce(&[String], Intake) -> Result<R, Box<dyn Error + Send + Sync>>,
) -> Result<View, ConnectError> {
    let core = ViewCore::new(options.settings);
    let view = View::of(&core);
    let bell = Arc::new(Bell::new()?);
    let intake = Intake {
        core: Arc::new(Mutex::new(core)),
        bell: Arc::clone(&bell),
        occasions: Arc::default(),
    };
    let prefix = options.prefix.as_deref().unwrap_or(PREFIX_DEFAULT);
    let subjects = subjects(prefix, options.model.as_deref());
    let snapshot = format!("{prefix}.snapshot");
    let mut requester = subscribe(&subjects, intake.clone()).map_err(ConnectError::Subscribe)?;
    let running = Running::start("ee-view-remote", bell, move |stop, bell| {
        keep(&intake, &mut requester, &snapshot, (stop, bell));
    })?;
    Ok(view.running(running))
}

fn keep(
    intake: &Intake,
    requester: &mut impl Requester,
    snapshot: &str,
    (stop, bell): (&Stop, &Bell),
) {
    let (mut asked_for, mut asked_ns) = (0, 0);
    while !stop.is_raised() {
        let now_ns = monotonic_ns();
        let (is_connected, is_complete) = {
            let mut core = intake.core();
            core.tick(now_ns);
            (core.is_connected(), core.is_complete())
        };
        let occasion = intake.occasions.load(Ordering::Acquire);
        let patience_ns = if is_complete { MEASURE_NS } else { ASK_AGAIN_NS };
        let is_due = occasion != asked_for || now_ns.saturating_sub(asked_ns) >= patience_ns;
        if is_connected && is_due {
            (asked_for, asked_ns) = (occasion, now_ns);
            requester.request(snapshot, b"");
        }
        let _ = wait_readable(&mut [readable(bell.as_fd())], TICK_NS, |_| bell.silence());
    }
}

#[cfg(test)]
mod tests;
