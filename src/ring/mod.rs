//! Moves records from one thread to one other without locks, allocation or
//! waiting.
//!
//! A [`Writer`] reserves a slot, fills it in place and commits it, or abandons
//! it by dropping it; committed slots become visible together when the writer
//! publishes. A [`Reader`] borrows everything that is there as one run of at
//! most two slices, and releases it with one store. When the ring is full the
//! newest record is refused and counted: a slow reader costs itself.
//!
//! The ring knows nothing of what it carries. It refuses to wait, to grow and
//! to overwrite: whoever needs the latest value reads `newest`.

mod indices;
mod reader;
mod slots;
mod writer;

use std::sync::Arc as StdArc;

use bytemuck::Pod;
use crossbeam_utils::CachePadded;

use crate::platform::atomic::{Arc, AtomicU64, Ordering};

pub use reader::{Reader, Run};
pub use writer::{Slot, Writer};

use indices::Indices;
use slots::Slots;

/// Most slots in one ring: 256 MiB of the largest record.
pub const CAPACITY_MAX: usize = 1 << 20;

/// A ring's two ends and its counts. `capacity` slots are rounded up to a
/// power of two between 2 and [`CAPACITY_MAX`]; all memory is taken here.
#[must_use]
pub fn ring<T: Pod>(capacity: usize) -> (Writer<T>, Reader<T>) {
    let capacity = capacity.clamp(2, CAPACITY_MAX).next_power_of_two();
    let shared = Arc::new(Shared { indices: Indices::default(), slots: Slots::new(capacity) });
    let counts = StdArc::new(Counts::default());
    let writer = Writer::new(Arc::clone(&shared), StdArc::clone(&counts));
    (writer, Reader::new(shared, counts))
}

/// What went through a ring. Each number has one writer; anyone may look.
///
/// `produced = dropped + taken + what is still in the ring`.
///
/// The writer's counts stand on another cache line than the reader's: on one,
/// every publish would take it away from the reader.
#[derive(Debug, Default)]
pub struct Counts {
    written: CachePadded<Written>,
    taken: CachePadded<AtomicU64>,
}

#[derive(Debug, Default)]
struct Written {
    produced: AtomicU64,
    dropped: AtomicU64,
}

impl Counts {
    /// Records committed, and records refused since the ring was full.
    #[must_use]
    pub fn produced(&self) -> u64 {
        self.written.produced.load(Ordering::Relaxed)
    }

    /// Records refused since the ring was full.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.written.dropped.load(Ordering::Relaxed)
    }

    /// Records that the reader released.
    #[must_use]
    pub fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }
}

/// Adds to a count that only the calling thread writes: cheaper than an
/// atomic addition, which would lock the line.
fn add(count: &AtomicU64, more: u64) {
    count.store(count.load(Ordering::Relaxed) + more, Ordering::Relaxed);
}

#[derive(Debug)]
struct Shared<T> {
    indices: Indices,
    slots: Slots<T>,
}

#[cfg(all(test, loom))]
mod loom_models;

#[cfg(all(test, not(loom)))]
mod tests;
