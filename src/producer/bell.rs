//! The agent's bell as a writer has it.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex};

use crate::platform::atomic::{AtomicU64, Ordering, fence};
use crate::platform::memory::SharedView;
use crate::platform::poll::Bell;
use crate::schema::Door;

const SLEEPING_WORD: usize = Door::BELL_SLEEPING_AT / 8;

/// A word that says whether the agent sleeps, and what wakes it.
#[derive(Debug)]
pub(super) struct RemoteBell {
    memory: SharedView,
    bell: Bell,
}

/// Where the line leaves the bell of the day for the writer.
#[derive(Debug, Default)]
pub(super) struct BellPlace {
    /// One up with every change: all that the writer looks at.
    version: AtomicU64,
    bell: Mutex<Option<Arc<RemoteBell>>>,
}

/// The writer's end of that place.
#[derive(Debug)]
pub(super) struct Ringing {
    place: Arc<BellPlace>,
    version: u64,
    bell: Option<Arc<RemoteBell>>,
}

impl RemoteBell {
    /// The bell behind two descriptors from the agent, which may harm us no
    /// more than we may harm it: its memory must not shrink under us, and
    /// ringing must not block.
    pub(super) fn open(descriptors: Vec<OwnedFd>) -> io::Result<Self> {
        let not_a_bell = |why: &str| io::Error::new(io::ErrorKind::InvalidData, why.to_owned());
        let [memory, eventfd] = <[OwnedFd; 2]>::try_from(descriptors)
            .map_err(|_| not_a_bell("a welcome brings two descriptors"))?;
        let memory = SharedView::map(memory.as_fd(), Door::BELL_BYTES, 16 * Door::BELL_BYTES)
            .map_err(io::Error::other)?;
        let magic = memory.words().load(0, Ordering::Acquire);
        if magic != u64::from_le_bytes(Door::BELL_MAGIC) {
            return Err(not_a_bell("the bell's memory does not begin with its magic bytes"));
        }
        Ok(Self { memory, bell: Bell::adopt(eventfd)? })
    }
}

impl BellPlace {
    pub(super) fn put(&self, bell: Option<RemoteBell>) {
        *self.bell.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = bell.map(Arc::new);
        self.version.fetch_add(1, Ordering::Release);
    }
}

impl Ringing {
    pub(super) fn new(place: Arc<BellPlace>) -> Self {
        Self { place, version: 0, bell: None }
    }

    /// Wakes the agent if it sleeps. Call it after the step was stored. Costs
    /// a fence and two loads while it is awake.
    pub(super) fn ring(&mut self) -> bool {
        let version = self.place.version.load(Ordering::Acquire);
        if version != self.version
            && let Ok(bell) = self.place.bell.try_lock()
        {
            self.bell = (*bell).clone();
            self.version = version;
        }
        let Some(bell) = &self.bell else { return false };
        // [slot before flag] pairs with the agent's [flag before look].
        fence(Ordering::SeqCst);
        let asleep = bell.memory.words().load(SLEEPING_WORD, Ordering::Relaxed) as u32 != 0;
        if asleep {
            bell.bell.ring();
        }
        asleep
    }
}
