//! Slabs, used again once no taker holds them. One is made only when a backlog
//! first needs it: at 60 KiB each, a node at rest would pay for hundreds.

use std::sync::Arc;

use super::batch::Slab;

/// All slabs that are not being filled. One whose only reference is here is
/// free.
#[derive(Debug)]
pub(super) struct Pool {
    slabs: Vec<Arc<Slab>>,
    at: usize,
    /// How many may still be made.
    unmade: usize,
    bytes: usize,
}

impl Pool {
    pub(super) fn new(slabs: usize, bytes: usize) -> Self {
        Self { slabs: Vec::with_capacity(slabs), at: 0, unmade: slabs, bytes }
    }

    /// A free slab to fill, or nothing while takers hold all that may be.
    pub(super) fn take(&mut self) -> Option<Arc<Slab>> {
        let count = self.slabs.len();
        for step in 0..count {
            let at = (self.at + step) % count;
            if Arc::get_mut(&mut self.slabs[at]).is_some() {
                // The slab that moves here was just given back, so the oldest
                // stay in front of `at`.
                self.at = at;
                return Some(self.slabs.swap_remove(at));
            }
        }
        self.unmade = self.unmade.checked_sub(1)?;
        Some(Arc::new(Slab::new(self.bytes)))
    }

    /// Keeps a slab for later use, even while takers still hold it.
    pub(super) fn give_back(&mut self, slab: Arc<Slab>) {
        self.slabs.push(slab);
    }
}
