//! What an operator may change about judging: a validated set of numbers,
//! swapped whole.

use std::collections::BTreeMap;

mod moment;
mod read;
#[cfg(test)]
mod tests;
mod threshold;

use super::rule::Entry;
use super::silence::Silence;
use crate::schema::{Action, Severity};

pub use read::{Mistake, RULE_FILE_BYTES_MAX};
pub use threshold::{THRESHOLDS_MAX, Threshold};

/// Thresholds, switches and silences. [`Plan::default`] is what every rule
/// says itself.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Plan {
    /// What was set, by the rule's name.
    pub(super) rules: BTreeMap<String, RulePlan>,
    /// What was set of single codes, by the table's name and the code.
    pub(super) codes: BTreeMap<(String, String), CodePlan>,
    /// Rules of the operator's own.
    pub(super) thresholds: Vec<Threshold>,
    /// Maintenance windows.
    pub(super) silences: Vec<Silence>,
}

/// What an operator set of one row of a table of codes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CodePlan {
    /// It is not to be told.
    pub disabled: bool,
    /// What it matters.
    pub severity: Option<Severity>,
    /// What is to be done.
    pub action: Option<Action>,
}

/// What an operator set of one rule.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RulePlan {
    /// It is not to run.
    pub disabled: bool,
    /// What its verdicts matter, instead of what it says itself.
    pub severity: Option<Severity>,
    /// Its settings that differ from their defaults.
    pub numbers: BTreeMap<&'static str, f64>,
}

impl Plan {
    /// A setting of a rule, or its default; 0 where the rule has no such key.
    #[must_use]
    pub fn number(&self, rule: &Entry, key: &str) -> f64 {
        let set = || self.rules.get(rule.name)?.numbers.get(key).copied();
        let default = || rule.settings.iter().find(|of| of.key == key).map(|of| of.default);
        (if self.rules.is_empty() { None } else { set() }).or_else(default).unwrap_or_default()
    }

    /// Whether the operator set it.
    #[must_use]
    pub fn is_set(&self, rule: &Entry, key: &str) -> bool {
        self.rules.get(rule.name).is_some_and(|of| of.numbers.contains_key(key))
    }

    /// What the operator set of a code of this table, as `xid`, `79`.
    #[must_use]
    pub fn code(&self, table: &str, code: &str) -> Option<&CodePlan> {
        if self.codes.is_empty() {
            return None;
        }
        self.codes.get(&(table.to_owned(), code.to_owned()))
    }

    /// Whether a rule runs.
    #[must_use]
    pub fn runs(&self, rule: &str) -> bool {
        self.rules.get(rule).is_none_or(|of| !of.disabled)
    }

    /// What a rule's verdicts matter, where the operator says so.
    #[must_use]
    pub fn severity(&self, rule: &str) -> Option<Severity> {
        self.rules.get(rule)?.severity
    }
}
