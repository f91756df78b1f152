//! Atomics: the standard library's, or loom's when models run. The one door
//! through which they enter (`tests/house.rs` holds it).

#[cfg(loom)]
pub use loom::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};
#[cfg(not(loom))]
pub use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};

#[cfg(loom)]
pub use loom::sync::Arc;
#[cfg(not(loom))]
pub use std::sync::Arc;

/// Tells the processor, or loom's scheduler, that this thread waits for
/// another.
pub fn spin_hint() {
    #[cfg(loom)]
    loom::thread::yield_now();
    #[cfg(not(loom))]
    std::hint::spin_loop();
}

/// Where a mapped word is only ever read: its memory may be mapped without
/// the right to write, so no store is offered.
#[derive(Debug, Clone, Copy)]
pub struct LoadOnly<'a>(&'a [AtomicU64]);

impl<'a> LoadOnly<'a> {
    /// Words that are only read from here on.
    #[must_use]
    pub const fn new(words: &'a [AtomicU64]) -> Self {
        Self(words)
    }

    /// How many words there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The word at `at`.
    ///
    /// # Panics
    ///
    /// When `at` is outside; callers check their layout once, at the door.
    #[must_use]
    pub fn load(&self, at: usize, order: Ordering) -> u64 {
        self.0[at].load(order)
    }

    /// The words from `at` on, `count` of them.
    ///
    /// # Panics
    ///
    /// When they reach outside.
    #[must_use]
    pub fn part(&self, at: usize, count: usize) -> Self {
        Self(&self.0[at..at + count])
    }

    /// Copies words out, each by itself; what another process writes in the
    /// meantime may show in part, and a checksum or sequence must tell.
    ///
    /// # Panics
    ///
    /// When `at` and `into` reach outside.
    pub fn copy_out(&self, at: usize, into: &mut [u64]) {
        for (word, into) in self.0[at..at + into.len()].iter().zip(into) {
            *into = word.load(Ordering::Relaxed);
        }
    }
}
