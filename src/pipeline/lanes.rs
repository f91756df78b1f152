//! One open batch per lane.

use std::sync::Arc;

use super::batch::{Lane, Slab};
use super::pool::Pool;
use crate::schema::{BATCH_HEADER_BYTES, BatchHead, HotKind, write_header};

/// Most lanes: one for readings and one per model that the node serves. Steps
/// of further models share the last lane; their batch says 0 for its model.
pub const LANES_MAX: usize = 64;

/// An open batch and when its lane last sent one.
#[derive(Debug)]
pub(super) struct OpenLane {
    pub(super) lane: Lane,
    slab: Option<Arc<Slab>>,
    sequence: u64,
    flushed_ns: u64,
    /// Records in the batch sent last.
    flushed: u32,
    count_max: usize,
}

#[derive(Debug)]
pub(super) struct Lanes {
    open: Vec<OpenLane>,
    batch_bytes: usize,
}

impl Lanes {
    pub(super) const fn new(batch_bytes: usize) -> Self {
        Self { open: Vec::new(), batch_bytes }
    }

    /// The place of this lane in [`Lanes::all`], opened if it is new.
    pub(super) fn find(&mut self, lane: Lane) -> usize {
        if let Some(at) = self.open.iter().position(|open| open.lane == lane) {
            return at;
        }
        let lane = if self.open.len() < LANES_MAX - 2 { lane } else { Lane { model: 0, ..lane } };
        if let Some(at) = self.open.iter().position(|open| open.lane == lane) {
            return at;
        }
        let fits = self.batch_bytes.saturating_sub(BATCH_HEADER_BYTES) / lane.kind.stride();
        self.open.push(OpenLane {
            lane,
            slab: None,
            sequence: 0,
            flushed_ns: 0,
            flushed: 0,
            count_max: fits.clamp(1, lane.kind.count_max()),
        });
        self.open.len() - 1
    }

    pub(super) fn all(&mut self) -> &mut [OpenLane] {
        &mut self.open
    }

    pub(super) fn at(&mut self, at: usize) -> &mut OpenLane {
        &mut self.open[at]
    }
}

impl OpenLane {
    /// How many more records fit, after a slab was had; nothing while takers
    /// hold all slabs.
    pub(super) fn room(&mut self, pool: &mut Pool) -> Option<usize> {
        if self.slab.is_none() {
            let mut slab = pool.take()?;
            Arc::get_mut(&mut slab)?.begin(self.lane, BATCH_HEADER_BYTES);
            self.slab = Some(slab);
        }
        Some(self.count_max - self.records())
    }

    /// Appends records that fit.
    pub(super) fn append<T: bytemuck::Pod>(&mut self, records: &[T]) {
        if let Some(slab) = self.slab.as_mut().and_then(Arc::get_mut) {
            slab.append(records);
        }
    }

    pub(super) fn records(&self) -> usize {
        self.slab.as_ref().map_or(0, |slab| slab.count() as usize)
    }

    pub(super) fn is_full(&self) -> bool {
        self.records() >= self.count_max
    }

    /// When the open batch must leave; nothing while there is none.
    ///
    /// After a batch of one record the lane lingers half as long: where fewer
    /// than two records come in a linger, waiting would save no message.
    pub(super) fn due_ns(&self, linger_ns: u64) -> Option<u64> {
        let linger_ns = if self.flushed > 1 { linger_ns } else { linger_ns / 2 };
        (self.records() > 0).then(|| self.flushed_ns.saturating_add(linger_ns))
    }

    /// Writes the header and hands the batch over.
    pub(super) fn finish(&mut self, head: BatchHead) -> Option<Arc<Slab>> {
        let mut slab = self.slab.take()?;
        self.sequence += 1;
        self.flushed_ns = head.publish_monotonic_ns;
        let head = BatchHead { sequence: self.sequence, ..head };
        let count = slab.count();
        self.flushed = count;
        let writable = Arc::get_mut(&mut slab)?;
        write_header(writable.header(BATCH_HEADER_BYTES), self.lane.kind, &head, count);
        Some(slab)
    }
}

impl Lane {
    /// The lane of a node's readings.
    #[must_use]
    pub const fn readings() -> Self {
        Self { kind: HotKind::Readings, model: 0 }
    }

    /// The lane of a model's steps.
    #[must_use]
    pub const fn steps(model: u64) -> Self {
        Self { kind: HotKind::Steps, model }
    }
}
