//! One file per rule: what it concludes from which facts, its settings, its
//! page and its cases.

use super::Entry;

mod driver_silent;
mod line;
#[cfg(test)]
pub(crate) mod trial;
mod xid;

/// Every rule, in the order in which they are asked.
pub const ALL: &[&Entry] = &[&driver_silent::RULE, &xid::RULE];
