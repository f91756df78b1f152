//! Publishing what must not be lost: each message is acknowledged or handed
//! back, off the hot path.
//!
//! The owner keeps a message (in its journal) until [`DurableHooks::on_done`]
//! says that a stream stored it. Everything that was taken comes back exactly
//! once, either way; what comes back with an error, or was refused, is for
//! the owner to offer again: after the next `on_ready`, or after a pause when
//! the connection stands. The message id travels along, so that the stream
//! drops what it has already.
//!
//! A server without JetStream cannot acknowledge. Messages are then handed to
//! core NATS and reported as [`Kept::HandedOver`], which is *not* an
//! acknowledgement: the owner keeps them. The link's warning says so. And an
//! acknowledgement is only as durable as the server: unless it runs with
//! `sync_interval: always`, two minutes of them may go with the power.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use crossbeam_channel::{Sender, bounded};

use super::StartError;
use super::keeping::Keeping;
use super::settings::NatsSettings;
use super::stream::StreamSettings;
use super::traffic::{Desk, Wake, Worker};
use crate::platform::atomic::{AtomicU32, Ordering};
use crate::transports::link::{Count, Link, LinkSnapshot};

/// What the durable end tells its owner, on its own thread.
pub struct DurableHooks {
    /// A connection of this generation takes messages: offer again what is
    /// not acknowledged.
    pub on_ready: Box<dyn FnMut(u32) + Send>,
    /// What became of the message with this id: the error is a sentence.
    pub on_done: DoneHook,
}

/// See [`DurableHooks::on_done`].
pub type DoneHook = Box<dyn FnMut(&str, Result<Kept, String>) + Send>;

/// What became of a message that left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kept {
    /// A stream stored it.
    Acknowledged {
        /// Which.
        stream: String,
        /// Its place there.
        sequence: u64,
        /// Whether it was there already.
        duplicate: bool,
    },
    /// It went to core NATS, nobody says whether anyone has it. Not an
    /// acknowledgement.
    HandedOver,
}

/// The publishing end for what must not be lost, with a thread of its own
/// (`ee-nats-durable`, cut by the kernel). Dropping it ends the thread
/// without waiting; what was taken then stays unreported.
#[derive(Debug)]
pub struct NatsDurable {
    shared: Arc<Shared>,
    worker: Worker,
}

/// What the offering threads and the publishing one share.
#[derive(Debug)]
pub(super) struct Shared {
    queue: Sender<Entry>,
    pub(super) open: AtomicU32,
    pub(super) wake: Arc<Wake>,
    pub(super) link: Link,
}

/// A message that waits for the publishing thread.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) subject: Arc<str>,
    pub(super) id: String,
    pub(super) payload: Bytes,
}

impl NatsDurable {
    /// Starts the thread, pinned to `cpu` if one is given; it connects, and
    /// goes on trying, by itself.
    ///
    /// # Errors
    ///
    /// When the settings cannot be, or the system refuses a thread.
    pub fn start(
        settings: NatsSettings,
        stream: StreamSettings,
        hooks: DurableHooks,
        cpu: Option<usize>,
    ) -> Result<Self, StartError> {
        let (queue, queued) = bounded(settings.queue_batches.max(1));
        let desk = Desk::new(settings)?;
        let shared = Arc::new(Shared {
            queue,
            open: AtomicU32::new(0),
            wake: Arc::clone(&desk.wake),
            link: desk.link.clone(),
        });
        let keeping = Keeping { shared: Arc::clone(&shared), queued, stream, hooks };
        let worker = desk.start("ee-nats-durable", cpu, keeping)?;
        Ok(Self { shared, worker })
    }

    /// Offers a message under `subject` with an `id` that is unique for it.
    ///
    /// Never blocks. `true`: it was taken, and `on_done` will say what became
    /// of it. `false`: there is no connection or no room, nothing follows;
    /// counted.
    pub fn offer(&self, subject: &Arc<str>, id: &str, payload: Bytes) -> bool {
        let shared = &*self.shared;
        if shared.open.load(Ordering::Acquire) == 0 {
            shared.link.count(Count::NotConnected, 1);
            return false;
        }
        let entry = Entry { subject: Arc::clone(subject), id: id.to_owned(), payload };
        let taken = shared.queue.try_send(entry).is_ok();
        if taken {
            shared.wake.rouse();
        } else {
            shared.link.count(Count::QueueFull, 1);
        }
        taken
    }

    /// What the link says of itself, to keep and read at any time.
    #[must_use]
    pub fn link(&self) -> Link {
        self.shared.link.clone()
    }

    /// The link as it stands.
    #[must_use]
    pub fn snapshot(&self) -> LinkSnapshot {
        self.shared.link.snapshot()
    }

    /// Sends what waits, awaits acknowledgements, reports on everything and
    /// leaves, within `deadline`.
    pub fn stop(self, deadline: Duration) {
        self.worker.stop(deadline);
    }
}
