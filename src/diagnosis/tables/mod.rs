//! What vendors' codes mean: how much each matters, why it comes, what to do.
//!
//! The rows are data (`data/`), compiled in and taken apart at the first look:
//! NVIDIA's Xids, SXids and the registers of NVLink 5, and the fault codes of
//! Ascend. Names, numbers, severities and actions are the vendors', each with
//! its source; the sentences are ours. A code that no row knows is kept: it
//! gets a row that says so, and of Ascend what its bits say.

mod advice;
pub mod architecture;
pub mod ascend;
pub mod nvlink;
mod rows;
pub mod sxid;
pub mod xid;

use std::borrow::Cow;

use crate::schema::{Action, Severity};

pub use advice::{cause, steps_of, workflow};
pub use architecture::Architecture;

/// Version of the rows, which every verdict that rests on them carries.
pub const DATA_VERSION: &str = "codes-2026-11-24";

/// What a code means, and what follows from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meaning {
    /// Whether a row knows it.
    pub known: bool,
    /// The vendor's name of it; empty where it has none.
    pub name: &'static str,
    /// What is wrong, in a few words.
    pub meaning: Cow<'static, str>,
    /// How much it matters.
    pub severity: Severity,
    /// What is to be done.
    pub action: Action,
    /// Why it comes, in one sentence or two.
    pub cause: Cow<'static, str>,
    /// How to do it, in order.
    pub steps: Vec<&'static str>,
    /// Where the row's severity and action come from.
    pub source: &'static str,
}

#[cfg(test)]
mod tests;
