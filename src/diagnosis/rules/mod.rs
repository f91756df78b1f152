//! One file per rule: what it concludes from which facts, its settings, its
//! page and its cases.

use super::Entry;

mod driver_silent;
#[cfg(test)]
pub(crate) mod trial;

/// Every rule, in the order in which they are asked.
pub const ALL: &[&Entry] = &[&driver_silent::RULE];
