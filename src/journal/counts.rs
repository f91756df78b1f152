//! What the journal tells about itself.

use super::JournalError;
use super::held::PRIORITIES;

/// What went in and where it went. `recovered + appended` is always
/// `held + acknowledged + dropped`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Entries found in the file.
    pub recovered: u64,
    /// Entries taken since.
    pub appended: u64,
    /// Entries in memory, not acknowledged.
    pub held: u64,
    /// Entries acknowledged.
    pub acknowledged: u64,
    /// Entries that gave way, by [`Severity`](crate::schema::Severity) as a number. A critical one is
    /// among them only if it was found in the file of a larger journal.
    pub dropped: [u64; PRIORITIES],
    /// Entries and named values refused since nothing gave way to them.
    pub refused_full: u64,
    /// Entries and named values refused for their length or name.
    pub refused_size: u64,
    /// Bytes alive, as they are in the file.
    pub live_bytes: u64,
    /// Bytes of the file, synced.
    pub file_bytes: u64,
    /// Bytes cut from the file's end: a write that a crash cut short.
    pub torn_bytes: u64,
    /// Damaged stretches found in the file.
    pub corrupt_gaps: u64,
    /// Bytes in damaged stretches.
    pub corrupt_bytes: u64,
    /// Files set aside since they were not this journal's.
    pub set_aside: u64,
    /// Times that the file was written anew.
    pub rewrites: u64,
    /// Syncs that failed.
    pub sync_failures: u64,
}

/// What opening found.
#[derive(Debug)]
pub struct Recovered {
    /// Counts after opening: recovered, torn, corrupt.
    pub counts: Counts,
    /// Why the journal has no disk, if it has none: it keeps what it is given
    /// in memory and tries the disk again at every sync.
    pub trouble: Option<JournalError>,
}

impl Counts {
    /// Whether every entry that went in is accounted for.
    #[must_use]
    pub fn conserve(&self) -> bool {
        let dropped: u64 = self.dropped.iter().sum();
        self.recovered + self.appended == self.held + self.acknowledged + dropped
    }
}
