//! The journal's bounds, and the errors of reaching them.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use super::record::{PAYLOAD_BYTES_MAX, record_bytes};
use super::segment::SegmentHeader;
use crate::schema::Severity;

/// How much the journal may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the file. When it is full, what is alive is written to a new
    /// one, so the disk holds at most twice this, and a file set aside. What
    /// is alive takes at most half of this, so that every rewrite frees the
    /// other half; memory holds that and a quarter of this of unsynced
    /// records.
    pub segment_bytes: u32,
    /// Bytes of one payload or named value; longer ones are refused.
    pub payload_bytes_max: u32,
    /// Bytes of all cursors and inventories; what passes this is refused.
    pub named_bytes_max: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { segment_bytes: 4 << 20, payload_bytes_max: 64 << 10, named_bytes_max: 256 << 10 }
    }
}

impl Limits {
    /// The limits themselves, if they leave room for two entries.
    pub(super) fn checked(self) -> Result<Self, JournalError> {
        let segment_fits = self.segment_bytes <= SEGMENT_BYTES_MAX;
        let payload_fits = self.payload_bytes_max as usize <= PAYLOAD_BYTES_MAX;
        let entries_fit =
            self.entry_bytes_max() >= 2 * record_bytes(0, self.payload_bytes_max as usize) as u64;
        if segment_fits && payload_fits && entries_fit {
            Ok(self)
        } else {
            Err(JournalError::Limits { limits: self })
        }
    }

    /// Bytes of all entries; what happens there is told at [`super::Entry`].
    pub(super) const fn entry_bytes_max(&self) -> u64 {
        let half = self.segment_bytes as u64 / 2;
        half.saturating_sub(self.named_bytes_max as u64 + SegmentHeader::BYTES as u64)
    }

    /// Bytes of records that wait for a sync; beyond this the next sync
    /// rewrites the file from memory instead of appending to it.
    pub(super) const fn pending_bytes_max(&self) -> usize {
        self.segment_bytes as usize / 4
    }
}

/// Why the journal does not take something. It was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Refused {
    /// The payload is too long.
    #[error("{bytes} bytes are more than the journal's limit of {bytes_max} for one payload")]
    Oversize {
        /// Bytes offered.
        bytes: usize,
        /// Bytes allowed.
        bytes_max: usize,
    },
    /// Nothing less important could give way.
    #[error(
        "the journal is full and holds nothing that gives way to {}: \
         see why its entries are not acknowledged, or raise its size",
        priority.name()
    )]
    Full {
        /// The priority of what was offered.
        priority: Severity,
    },
    /// The name is empty or too long.
    #[error("a name of {bytes} bytes is not between 1 and {bytes_max}")]
    Name {
        /// Bytes of the name offered.
        bytes: usize,
        /// Bytes allowed.
        bytes_max: usize,
    },
    /// All named values together would be too long.
    #[error("cursors and inventories together would pass the journal's limit of {bytes_max} bytes")]
    Names {
        /// Bytes allowed.
        bytes_max: u32,
    },
}

/// Why the journal's file could not be used. What the journal holds is safe in
/// memory meanwhile, and the next sync tries again.
#[derive(Debug, Error)]
pub enum JournalError {
    /// The limits contradict each other.
    #[error(
        "{limits:?} leave no room for two entries: make segment_bytes (at most 16 MiB) more than \
         twice named_bytes_max and four times payload_bytes_max (at most 1 MiB)"
    )]
    Limits {
        /// As given.
        limits: Limits,
    },
    /// Another process has this journal open.
    #[error("another agent writes the journal in {directory}: stop it, or name another directory")]
    Busy {
        /// The journal's directory.
        directory: PathBuf,
    },
    /// A later version wrote the file.
    #[error(
        "{path} has layout {layout}, which a later version wrote: run that version, or move the \
         file away"
    )]
    Layout {
        /// The journal's file.
        path: PathBuf,
        /// The layout found.
        layout: u32,
    },
    /// The operating system refused.
    #[error("cannot {act} {path}: {source}{}", remedy(source))]
    Disk {
        /// What was tried, as a verb.
        act: &'static str,
        /// On what.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}

fn remedy(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            ": make room; events wait in memory until then"
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            ": let the agent write there, or name another directory"
        }
        _ => "",
    }
}

/// Largest file, bytes. A file is read whole at start, where the smallest
/// records take three times their bytes; a longer one is set aside.
pub(super) const SEGMENT_BYTES_MAX: u32 = 16 << 20;
