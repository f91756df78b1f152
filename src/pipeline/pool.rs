//! Slabs, made at the start and used again once no taker holds them.

use std::sync::Arc;

use super::batch::Slab;

/// All slabs that are not being filled. One whose only reference is here is
/// free.
#[derive(Debug)]
pub(super) struct Pool {
    slabs: Vec<Arc<Slab>>,
    at: usize,
}

impl Pool {
    pub(super) fn new(slabs: usize, bytes: usize) -> Self {
        Self { slabs: (0..slabs).map(|_| Arc::new(Slab::new(bytes))).collect(), at: 0 }
    }

    /// A free slab to fill, or nothing while takers hold them all.
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
        None
    }

    /// Keeps a slab for later use, even while takers still hold it.
    pub(super) fn give_back(&mut self, slab: Arc<Slab>) {
        self.slabs.push(slab);
    }
}
