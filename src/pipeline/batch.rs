//! A finished batch, shared by reference.

use std::sync::Arc;

use bytemuck::{Pod, Zeroable};

use crate::schema::HotKind;

/// What records a batch holds, and so under which subject it travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Lane {
    /// The struct that the batch repeats.
    pub kind: HotKind,
    /// For steps, the hash of the model; 0 for readings.
    pub model: u64,
}

/// A finished batch. Clones share the same bytes.
#[derive(Debug, Clone)]
pub struct Batch(Arc<Slab>);

/// Memory for one batch, aligned so that copying into it is fast: above 2 KiB
/// a misaligned `memcpy` is 20 to 30 times slower on Zen 3.
#[derive(Debug)]
pub(super) struct Slab {
    lines: Box<[Line]>,
    used: usize,
    count: u32,
    lane: Lane,
}

#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
struct Line([u8; 64]);

impl Batch {
    pub(super) const fn new(slab: Arc<Slab>) -> Self {
        Self(slab)
    }

    /// The message: a verified reader reads it in place.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.0.bytes()
    }

    /// How many records it holds.
    #[must_use]
    pub fn records(&self) -> u32 {
        self.0.count
    }

    /// What it holds.
    #[must_use]
    pub fn lane(&self) -> Lane {
        self.0.lane
    }
}

impl AsRef<[u8]> for Batch {
    fn as_ref(&self) -> &[u8] {
        self.bytes()
    }
}

impl Slab {
    pub(super) fn new(bytes: usize) -> Self {
        Self {
            lines: vec![Line::zeroed(); bytes.div_ceil(64)].into(),
            used: 0,
            count: 0,
            lane: Lane { kind: HotKind::Readings, model: 0 },
        }
    }

    fn bytes(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.lines)[..self.used]
    }

    /// Begins a batch behind `header_bytes` that are written at the end.
    pub(super) fn begin(&mut self, lane: Lane, header_bytes: usize) {
        self.lane = lane;
        self.used = header_bytes;
        self.count = 0;
    }

    /// Appends records; the one copy of their bytes that the pipeline makes.
    pub(super) fn append<T: Pod>(&mut self, records: &[T]) {
        let more: &[u8] = bytemuck::cast_slice(records);
        let end = self.used + more.len();
        bytemuck::cast_slice_mut(&mut self.lines)[self.used..end].copy_from_slice(more);
        self.used = end;
        self.count += records.len() as u32;
    }

    pub(super) fn header(&mut self, header_bytes: usize) -> &mut [u8] {
        &mut bytemuck::cast_slice_mut(&mut self.lines)[..header_bytes]
    }

    pub(super) const fn count(&self) -> u32 {
        self.count
    }
}
