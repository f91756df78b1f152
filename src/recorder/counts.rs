//! What went in and where it went.

use std::sync::{Mutex, PoisonError};

use super::write_by::WriteBy;
use crate::platform::atomic::{AtomicU64, Ordering};

/// What a recorder says of itself; its threads write, anyone may look.
///
/// `offered = written + lost_full + lost_disk + waiting`, in batches.
#[derive(Debug, Default)]
pub struct Counts {
    pub(super) offered: AtomicU64,
    pub(super) lost_full: AtomicU64,
    pub(super) lost_disk: AtomicU64,
    pub(super) written: AtomicU64,
    pub(super) written_bytes: AtomicU64,
    pub(super) held_bytes: AtomicU64,
    pub(super) held_segments: AtomicU64,
    pub(super) since_wall_ns: AtomicU64,
    pub(super) syncs: AtomicU64,
    pub(super) failures: AtomicU64,
    pub(super) torn_bytes: AtomicU64,
    pub(super) told: Mutex<Told>,
}

/// What is said in words.
#[derive(Debug, Clone, Default)]
pub(super) struct Told {
    pub(super) trouble: Option<String>,
    pub(super) backend: Option<WriteBy>,
    /// Why io_uring is not used although it was asked for.
    pub(super) refused: Option<String>,
}

/// [`Counts`] at one instant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Batches that were offered.
    pub offered: u64,
    /// Of those, lost since the queue was full.
    pub lost_full: u64,
    /// Of those, lost since the disk took nothing.
    pub lost_disk: u64,
    /// Of those, written to a file.
    pub written: u64,
    /// Bytes written, frames of all kinds.
    pub written_bytes: u64,
    /// Bytes of all segments on disk.
    pub held_bytes: u64,
    /// Segments on disk.
    pub held_segments: u64,
    /// When the oldest segment begins, ns since 1970; 0 where there is none.
    pub since_wall_ns: u64,
    /// Syncs that the disk has answered.
    pub syncs: u64,
    /// Writes, syncs and openings that failed.
    pub failures: u64,
    /// Bytes that a crash left half written and that were cut off.
    pub torn_bytes: u64,
    /// Why nothing is recorded at the moment.
    pub trouble: Option<String>,
    /// How it writes, once it does.
    pub backend: Option<WriteBy>,
    /// Why io_uring is not used although it was asked for.
    pub refused: Option<String>,
}

impl Snapshot {
    /// Batches between the offer and the file.
    #[must_use]
    pub const fn waiting(&self) -> u64 {
        self.offered.saturating_sub(self.written + self.lost_full + self.lost_disk)
    }
}

impl Counts {
    /// How it stands. Taken while batches pass, sums may be off by those.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let told = self.told();
        Snapshot {
            written: read(&self.written),
            lost_full: read(&self.lost_full),
            lost_disk: read(&self.lost_disk),
            offered: read(&self.offered),
            written_bytes: read(&self.written_bytes),
            held_bytes: read(&self.held_bytes),
            held_segments: read(&self.held_segments),
            since_wall_ns: read(&self.since_wall_ns),
            syncs: read(&self.syncs),
            failures: read(&self.failures),
            torn_bytes: read(&self.torn_bytes),
            trouble: told.trouble,
            backend: told.backend,
            refused: told.refused,
        }
    }

    /// Batches lost since the queue was full, and since the disk took nothing.
    #[must_use]
    pub fn lost(&self) -> (u64, u64) {
        (self.lost_full.load(Ordering::Relaxed), self.lost_disk.load(Ordering::Relaxed))
    }

    pub(super) fn told(&self) -> Told {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn tell(&self, change: impl FnOnce(&mut Told)) {
        change(&mut self.told.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

pub(super) fn add(count: &AtomicU64, more: u64) {
    count.fetch_add(more, Ordering::Relaxed);
}
