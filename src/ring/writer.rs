//! The end that fills slots.

#![expect(unsafe_code, reason = "fills slots that the indices say are free")]

use std::sync::Arc as StdArc;

use bytemuck::Pod;

use super::{Counts, Shared, add};
use crate::platform::atomic::Arc;

/// The end that fills slots. One thread has it.
#[derive(Debug)]
pub struct Writer<T: Pod> {
    shared: Arc<Shared<T>>,
    counts: StdArc<Counts>,
    /// One past the last committed slot.
    tail: u64,
    /// How far we told the reader.
    published: u64,
    /// The reader's head when we last looked: its line is fetched only when
    /// the ring seems full.
    head_seen: u64,
}

/// A reserved slot. It holds whatever record stood there before. Dropping it
/// abandons it: nothing is written, nothing is lost.
#[derive(Debug)]
pub struct Slot<'a, T: Pod> {
    writer: &'a mut Writer<T>,
}

impl<T: Pod> Writer<T> {
    pub(super) fn new(shared: Arc<Shared<T>>, counts: StdArc<Counts>) -> Self {
        Self { shared, counts, tail: 0, published: 0, head_seen: 0 }
    }

    /// The next slot, or nothing when the ring is full; that record counts as
    /// dropped.
    pub fn reserve(&mut self) -> Option<Slot<'_, T>> {
        let capacity = self.shared.slots.capacity();
        if self.tail.wrapping_sub(self.head_seen) == capacity {
            self.head_seen = self.shared.indices.released();
            if self.tail.wrapping_sub(self.head_seen) == capacity {
                add(&self.counts.written.produced, 1);
                add(&self.counts.written.dropped, 1);
                return None;
            }
        }
        Some(Slot { writer: self })
    }

    /// Writes and commits one record; returns whether there was room.
    pub fn push(&mut self, record: &T) -> bool {
        match self.reserve() {
            Some(slot) => {
                slot.commit(|place| *place = *record);
                true
            }
            None => false,
        }
    }

    /// Makes all committed records visible to the reader. Returns whether
    /// there were any.
    pub fn publish(&mut self) -> bool {
        let fresh = self.tail.wrapping_sub(self.published);
        if fresh == 0 {
            return false;
        }
        self.shared.indices.publish(self.tail);
        self.published = self.tail;
        add(&self.counts.written.produced, fresh);
        true
    }

    /// What went through the ring.
    #[must_use]
    pub fn counts(&self) -> StdArc<Counts> {
        StdArc::clone(&self.counts)
    }
}

impl<T: Pod> Slot<'_, T> {
    /// Fills the slot in place and commits it.
    pub fn commit(self, fill: impl FnOnce(&mut T)) {
        self.commit_if(|slot| {
            fill(slot);
            true
        });
    }

    /// Fills the slot in place and commits it if `fill` says so; otherwise
    /// abandons it. Returns what `fill` said.
    pub fn commit_if(self, fill: impl FnOnce(&mut T) -> bool) -> bool {
        let index = self.writer.tail;
        // SAFETY: there is one writer; `reserve` saw that the reader released
        // this slot, and it is not published before `tail` moves past it.
        let keep = unsafe { self.writer.shared.slots.fill(index, fill) };
        if keep {
            self.writer.tail = index.wrapping_add(1);
            #[cfg(seeded_bug_early)]
            self.writer.publish();
        }
        keep
    }
}

impl<T: Pod> Drop for Writer<T> {
    fn drop(&mut self) {
        self.publish();
    }
}
