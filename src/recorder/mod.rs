//! The black box: keeps the last hours of batches on disk within a bound, and
//! plays them back.
//!
//! Batches are kept as their bytes are on the wire, with the instants at which
//! they were offered and ticks between them, so that whoever judges them again
//! sees the same facts at the same times. A recording is a folder of segments;
//! each begins with what was known, so that the older ones may go and the rest
//! still explains itself. An excerpt is a file of segments behind each other.
//!
//! **What survives what.** Bytes reach the file within twice [`FLUSH_NS`]; what
//! has reached it survives this process. No write waits for the disk. A segment is
//! synced when it ends and soon after something urgent, at most every
//! [`SYNC_NS`]; what was synced survives the machine, and so does the rest as
//! far as the kernel's own write-back got, about half a minute.
//!
//! The room refuses to judge, to look inside what it keeps (only the player
//! verifies it), and to hold anybody up: what finds the queue full is dropped,
//! counted. A disk that is full, read-only or gone is told once, counted and
//! tried again.

mod write_by;
mod counts;
mod excerpt;
mod folder;
mod frame;
mod header;
mod inlet;
mod limits;
mod play;
mod recording;
mod scan;
#[cfg(test)]
mod tests;
mod writer;

pub use counts::{Counts, Snapshot};
pub use excerpt::{Excerpt, ExcerptError, excerpt};
pub use frame::FrameKind;
pub use inlet::{Inlet, Known, Runner, recorder};
pub use limits::Limits;
pub use play::{Moment, Play, What};
pub use recording::{Range, Recording, RecordingError, Tally};
pub use write_by::WriteBy;
pub use writer::{FLUSH_NS, SYNC_NS, Writer};

use crate::platform::clock;

/// The folder of a recording inside the agent's state folder.
pub const FOLDER: &str = "recorder";

/// An instant on a node's two clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct At {
    /// `CLOCK_MONOTONIC`, ns; starts anew with the machine.
    pub monotonic_ns: u64,
    /// `CLOCK_REALTIME`, ns since 1970; may jump.
    pub wall_ns: u64,
}

impl At {
    /// Now.
    #[must_use]
    pub fn now() -> Self {
        Self { monotonic_ns: clock::monotonic_ns(), wall_ns: clock::wall_ns() }
    }
}
