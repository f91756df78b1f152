//! Holds the latest value of every rank and every reading.
//!
//! A writer never waits: it stores words. A reader copies one cell and knows
//! whether it got a whole value; it gives up after [`cell::TRIES_MAX`] tries
//! and keeps what it had. Cells stand in our own memory or in memory shared
//! with other processes, in a layout that other languages can read.
//!
//! It refuses to keep a history and to tell anyone: whoever needs every value
//! takes the ring, whoever needs a wake takes a bell.

pub mod cell;
#[cfg(not(loom))]
mod details;
mod judged;
#[cfg(not(loom))]
mod names;
#[cfg(not(loom))]
mod readings;
#[cfg(not(loom))]
mod steps;
#[cfg(not(loom))]
mod table;

#[cfg(not(loom))]
pub use details::{DETAILS_KEPT_BYTES_MAX, DETAILS_MAX, Details};
pub use judged::{ASSESSMENTS_MAX, Judged, OPEN_MAX, RESOLVED_MAX};
#[cfg(not(loom))]
pub use names::{DEVICES_MAX, ENGINES_MAX, Names};
#[cfg(not(loom))]
pub use readings::{NewestReading, ReadingCell, ReadingTable, ReadingTableView};
#[cfg(not(loom))]
pub use steps::{Disturbed, Life, NewestStep, RankKey, StepTable, StepTableView, StepWriter};
#[cfg(not(loom))]
pub use table::{TableError, TableKind};

#[cfg(all(test, loom))]
mod loom_models;
