//! The end that borrows runs.

#![expect(unsafe_code, reason = "reads slots that the indices say are filled")]

use std::sync::Arc as StdArc;

use bytemuck::Pod;

use super::{Counts, Shared, add};
use crate::platform::atomic::Arc;

/// The end that borrows runs. One thread has it.
#[derive(Debug)]
pub struct Reader<T: Pod> {
    shared: Arc<Shared<T>>,
    counts: StdArc<Counts>,
    /// The first record not yet released.
    head: u64,
    /// The writer's tail when we last looked.
    tail_seen: u64,
}

/// Everything that was published when it was borrowed, read in place.
/// Dropping it releases nothing: the same records come again.
#[derive(Debug)]
pub struct Run<'a, T: Pod> {
    reader: &'a mut Reader<T>,
    count: u64,
}

impl<T: Pod> Reader<T> {
    pub(super) fn new(shared: Arc<Shared<T>>, counts: StdArc<Counts>) -> Self {
        Self { shared, counts, head: 0, tail_seen: 0 }
    }

    /// What is there now, up to `most` records.
    pub fn borrow(&mut self, most: usize) -> Run<'_, T> {
        let mut count = self.tail_seen.wrapping_sub(self.head);
        if count < most as u64 {
            self.tail_seen = self.shared.indices.published();
            count = self.tail_seen.wrapping_sub(self.head);
        }
        debug_assert!(count <= self.shared.slots.capacity(), "the writer stays within the ring");
        Run { reader: self, count: count.min(most as u64) }
    }

    /// Whether nothing is there now.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.head == self.tail_seen && self.shared.indices.published() == self.head
    }

    /// What went through the ring.
    #[must_use]
    pub fn counts(&self) -> StdArc<Counts> {
        StdArc::clone(&self.counts)
    }
}

impl<T: Pod> Run<'_, T> {
    /// How many records.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The records in order: the second slice is empty unless the run passes
    /// the ring's end.
    #[cfg(not(loom))]
    #[must_use]
    pub fn slices(&self) -> [&[T]; 2] {
        let slots = &self.reader.shared.slots;
        let start = slots.at(self.reader.head);
        let count = self.count as usize;
        let before_end = count.min(slots.capacity() as usize - start);
        // SAFETY: these slots were published before the run was borrowed and
        // are released only by `release`, which consumes the run.
        let first = unsafe { slots.slice(start, before_end) };
        // SAFETY: as above; the run is no longer than the ring, so the rest
        // stands at the ring's beginning.
        let second = unsafe { slots.slice(0, count - before_end) };
        [first, second]
    }

    /// A copy of the record at `at`.
    #[cfg(loom)]
    pub fn copy(&self, at: u64) -> T {
        assert!(at < self.count);
        // SAFETY: the slot was published before the run was borrowed and is
        // released only by `release`, which consumes the run.
        unsafe { self.reader.shared.slots.copy(self.reader.head.wrapping_add(at)) }
    }

    /// Gives the slots back to the writer, with one store.
    pub fn release(self) {
        if self.count == 0 {
            return;
        }
        let head = self.reader.head.wrapping_add(self.count);
        self.reader.head = head;
        self.reader.shared.indices.release(head);
        add(&self.reader.counts.taken, self.count);
    }
}
