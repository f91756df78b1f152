//! The publishing end: never blocks its caller, and after every trouble the
//! newest truth goes first.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use crossbeam_channel::{Sender, TrySendError, bounded};

use super::StartError;
use super::sending::Sending;
use super::settings::NatsSettings;
use super::traffic::{Desk, Wake, Worker};
use crate::platform::atomic::{AtomicBool, AtomicU32, Ordering};
use crate::platform::clock;
use crate::transports::Outgoing;
use crate::transports::link::{Count, Link, LinkSnapshot};

/// Why full state is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FullStateReason {
    /// A connection stands, under a generation of its own.
    Connected,
    /// The stream fell behind: it overflowed, or a send took long.
    Behind,
}

/// What the publisher asks of its owner, on the publisher's thread.
pub struct PublisherHooks {
    /// The newest state of everything, for this generation: these messages
    /// are sent before anything that is offered later. It takes the place of
    /// all that waited.
    pub full_state: Box<dyn FnMut(FullStateReason, u32) -> Vec<Outgoing> + Send>,
    /// Requests that are answered.
    pub answers: Vec<Answer>,
    /// A second stream that gives way to the first.
    pub aside: Option<Aside>,
}

/// A stream that is asked for messages while nothing else waits, so that it
/// delays nothing. Being forbidden it is only a warning: who needs it will say.
pub struct Aside {
    /// What it travels under.
    pub subject: Arc<str>,
    /// Called often: pushes some messages, all that it holds where the flag
    /// says that there is no later, and returns when it wants to be asked
    /// again at the latest, on the monotonic clock in ns.
    pub next: AsideHook,
}

/// See [`Aside::next`].
pub type AsideHook = Box<dyn FnMut(&mut Vec<Bytes>, bool) -> Option<u64> + Send>;

/// Who answers the requests on one subject.
pub struct Answer {
    /// The subject, which may be a pattern.
    pub subject: String,
    /// Called with the request and how long it was held here, in ns; its
    /// messages go to whoever asked.
    pub reply: ReplyHook,
}

/// See [`Answer::reply`].
pub type ReplyHook = Box<dyn FnMut(&[u8], u64) -> Vec<Bytes> + Send>;

/// The publishing end of a NATS link, with a thread of its own (`ee-nats`).
/// Dropping it ends the thread without waiting; [`stop`](Self::stop) sends
/// what waits first.
#[derive(Debug)]
pub struct NatsPublisher {
    outlet: Outlet,
    worker: Worker,
}

/// Where batches are offered; clones lead to the same publisher.
#[derive(Debug, Clone)]
pub struct Outlet(Arc<Shared>);

/// What the offering threads and the sending one share.
#[derive(Debug)]
pub(super) struct Shared {
    queue: Sender<Queued>,
    /// The generation for which batches are taken; 0 while there is none.
    pub(super) open: AtomicU32,
    pub(super) behind: AtomicBool,
    pub(super) wake: Arc<Wake>,
    pub(super) link: Link,
}

/// A batch that waits for the sending thread.
#[derive(Debug)]
pub(super) struct Queued {
    pub(super) batch: Outgoing,
    /// What was taken for one connection is never sent on another.
    pub(super) generation: u32,
    /// When it was offered.
    pub(super) offered_ns: u64,
}

impl NatsPublisher {
    /// Starts the thread, pinned to `cpu` if one is given; it connects, and
    /// goes on trying, by itself. No server needs to be there yet.
    ///
    /// # Errors
    ///
    /// When the settings cannot be, or the system refuses a thread.
    pub fn start(
        settings: NatsSettings,
        hooks: PublisherHooks,
        cpu: Option<usize>,
    ) -> Result<Self, StartError> {
        let (queue, queued) = bounded(settings.queue_batches.max(1));
        let desk = Desk::new(settings)?;
        let shared = Arc::new(Shared {
            queue,
            open: AtomicU32::new(0),
            behind: AtomicBool::new(false),
            wake: Arc::clone(&desk.wake),
            link: desk.link.clone(),
        });
        let sending = Sending::new(Arc::clone(&shared), queued, hooks, &desk.settings);
        let worker = desk.start("ee-nats", cpu, sending)?;
        Ok(Self { outlet: Outlet(shared), worker })
    }

    /// Offers a batch; see [`Outlet::offer`].
    pub fn offer(&self, subject: &Arc<str>, payload: Bytes, records: u32) -> bool {
        self.outlet.offer(subject, payload, records)
    }

    /// A place to offer batches that can be given away.
    #[must_use]
    pub fn outlet(&self) -> Outlet {
        self.outlet.clone()
    }

    /// What the link says of itself, to keep and read at any time.
    #[must_use]
    pub fn link(&self) -> Link {
        self.outlet.0.link.clone()
    }

    /// The link as it stands.
    #[must_use]
    pub fn snapshot(&self) -> LinkSnapshot {
        self.outlet.0.link.snapshot()
    }

    /// Sends what waits and leaves, within `deadline`.
    pub fn stop(self, deadline: Duration) {
        self.worker.stop(deadline);
    }
}

impl Outlet {
    /// Offers a batch of `records` records to be sent under `subject`.
    ///
    /// Never blocks and copies nothing: at most one wake-up of the sending
    /// thread. `false` means that it was dropped and counted: there is no
    /// connection, or the queue is full; in both cases full state will be
    /// asked for.
    pub fn offer(&self, subject: &Arc<str>, payload: Bytes, records: u32) -> bool {
        let shared = &*self.0;
        let generation = shared.open.load(Ordering::Acquire);
        if generation == 0 {
            shared.link.count(Count::NotConnected, records.into());
            return false;
        }
        let batch = Outgoing { subject: Arc::clone(subject), payload, records };
        match shared.queue.try_send(Queued { batch, generation, offered_ns: clock::monotonic_ns() })
        {
            Ok(()) => {
                shared.wake.rouse();
                true
            }
            Err(TrySendError::Full(_)) => {
                shared.link.count(Count::QueueFull, records.into());
                self.fall_behind();
                false
            }
            Err(TrySendError::Disconnected(_)) => {
                shared.link.count(Count::NotConnected, records.into());
                false
            }
        }
    }

    /// Says that records were lost on the way here: full state takes the
    /// place of what waits.
    pub fn fall_behind(&self) {
        self.0.behind.store(true, Ordering::Release);
        self.0.wake.rouse();
    }

    /// The generation of the standing connection; `None` while there is none.
    #[must_use]
    pub fn generation(&self) -> Option<u32> {
        Some(self.0.open.load(Ordering::Acquire)).filter(|generation| *generation > 0)
    }

    /// What the link says of itself.
    #[must_use]
    pub fn link(&self) -> Link {
        self.0.link.clone()
    }
}
