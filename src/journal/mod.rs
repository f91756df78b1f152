//! Keeps what was accepted until it is acknowledged or superseded.
//!
//! A broker's acknowledgement may precede its disk by minutes and an outage
//! may outlast the agent, so events and verdicts wait here: in memory, with a
//! copy in one small file of checksummed records. *Accepted* means that
//! `Journal::sync` returned; it then survives the process and the machine.
//!
//! The room refuses to be a general queue. It holds at most what `Limits`
//! say and counts what gave way; it has no thread and no clock, so its user
//! decides how often to sync and how soon to try a failed disk again; it
//! doesn't look inside a payload.

mod counts;
mod disk;
mod held;
mod keep;
mod limits;
mod record;
mod replay;
mod segment;
#[cfg(test)]
mod tests;

pub use counts::{Counts, Recovered};
pub use keep::Journal;
pub use limits::{JournalError, Limits, Refused};
pub use record::{Record, RecordKind};
pub use segment::{Parsed, SegmentHeader, Unreadable, parse};

use crate::schema::Severity;

/// The number of an entry. Numbers grow. One that was accepted is never handed
/// out again in the life of the journal's file; one that a crash took before
/// it was accepted may be, so nothing outside should name an entry by its
/// number before a sync. What is taken while the file can't be read yet counts
/// from one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Sequence(pub u64);

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EntryKind {
    /// A discrete fact.
    Event,
    /// What a rule concluded.
    Verdict,
}

/// What is to be kept until acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// What it is.
    pub kind: EntryKind,
    /// How much it matters: when the journal is full, the oldest of the
    /// lowest gives way, a critical one never.
    pub priority: Severity,
    /// Its bytes, which the journal does not look at.
    pub payload: &'a [u8],
}

/// An entry that waits for its acknowledgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unacknowledged<'a> {
    /// Its number.
    pub sequence: Sequence,
    /// What it is.
    pub kind: EntryKind,
    /// How much it matters.
    pub priority: Severity,
    /// Its bytes.
    pub payload: &'a [u8],
}

impl EntryKind {
    const fn record_kind(self) -> RecordKind {
        match self {
            Self::Event => RecordKind::Event,
            Self::Verdict => RecordKind::Verdict,
        }
    }
}
