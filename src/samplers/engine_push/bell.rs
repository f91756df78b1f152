//! The bell: how an engine wakes the agent, and only when it sleeps.
//!
//! The agent raises `sleeping`, looks once more, and only then waits. A writer
//! finishes its slot, then looks at `sleeping`. A writer that can't put a fence
//! between the two (Python) may look too early; for that, the agent keeps
//! looking for a moment before it waits, and its wait has a limit.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use crate::platform::atomic::{Ordering, fence};
use crate::platform::memory::SharedMemory;
use crate::platform::poll::Bell;
use crate::schema::Door;

const SLEEPING_WORD: usize = Door::BELL_SLEEPING_AT / 8;

/// The agent's end.
#[derive(Debug)]
pub(super) struct AgentBell {
    memory: SharedMemory,
    bell: Bell,
}

impl AgentBell {
    pub(super) fn new() -> io::Result<Self> {
        let memory = SharedMemory::new("eagle-eye-bell", Door::BELL_BYTES, true)?;
        memory.words()[0].store(u64::from_le_bytes(Door::BELL_MAGIC), Ordering::Release);
        Ok(Self { memory, bell: Bell::new()? })
    }

    /// What a writer is given: the memory, and what it rings.
    pub(super) fn descriptors(&self) -> [BorrowedFd<'_>; 2] {
        [self.memory.as_fd(), self.bell.as_fd()]
    }

    /// Says that we are about to sleep. Look once more afterwards.
    pub(super) fn raise(&self) {
        self.memory.words()[SLEEPING_WORD].store(1, Ordering::Release);
        // [flag before look] pairs with the writer's [slot before flag].
        fence(Ordering::SeqCst);
    }

    /// Says that we are awake.
    pub(super) fn lower(&self) {
        self.memory.words()[SLEEPING_WORD].store(0, Ordering::Release);
    }

    pub(super) fn silence(&self) {
        self.bell.silence();
    }
}

impl AsFd for AgentBell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}
