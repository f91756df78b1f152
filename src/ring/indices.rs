//! How far the writer and the reader have come.

use crossbeam_utils::CachePadded;

use crate::platform::atomic::{AtomicU64, Ordering};

/// Two free-running counts, each on its own cache line: `tail` is one past the
/// last record written, `head` the first record not yet released.
/// `tail − head` records are in the ring, even where the counts wrap.
#[derive(Debug, Default)]
pub(super) struct Indices {
    tail: CachePadded<Count>,
    head: CachePadded<Count>,
}

#[derive(Debug)]
struct Count(AtomicU64);

impl Default for Count {
    fn default() -> Self {
        Self(AtomicU64::new(0))
    }
}

impl Indices {
    /// Makes every slot before `tail` visible to the reader.
    pub(super) fn publish(&self, tail: u64) {
        // [slots filled] pairs with the load in `published`.
        #[cfg(not(seeded_bug))]
        self.tail.0.store(tail, Ordering::Release);
        #[cfg(seeded_bug)]
        self.tail.0.store(tail, Ordering::Relaxed);
    }

    /// How far the writer has published.
    pub(super) fn published(&self) -> u64 {
        // [slots filled] pairs with the store in `publish`.
        self.tail.0.load(Ordering::Acquire)
    }

    /// Gives every slot before `head` back to the writer.
    pub(super) fn release(&self, head: u64) {
        // [slots read] pairs with the load in `released`.
        #[cfg(not(seeded_bug_release))]
        self.head.0.store(head, Ordering::Release);
        #[cfg(seeded_bug_release)]
        self.head.0.store(head, Ordering::Relaxed);
    }

    /// How far the reader has released.
    pub(super) fn released(&self) -> u64 {
        // [slots read] pairs with the store in `release`.
        self.head.0.load(Ordering::Acquire)
    }
}
