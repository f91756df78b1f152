//! NVIDIA's SXids: errors of an NVSwitch.

use std::borrow::Cow;
use std::sync::LazyLock;

use super::rows::{rows, severity};
use super::{Meaning, advice};
use crate::schema::Severity;

/// A row of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sxid {
    /// The number.
    pub code: u32,
    /// Its name in the driver's list; empty where only logs show it.
    pub name: &'static str,
    /// What is wrong, in a few words.
    pub meaning: &'static str,
    /// What it is about: `nvswitch`, `nvlink`, `firmware`, `optics` …
    pub category: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// The vendor's word for what to do at once.
    pub immediate: &'static str,
    /// Which of [`super::workflow`] it takes.
    pub workflow: &'static str,
    /// Key of its cause.
    pub cause: &'static str,
    /// Where severity and action come from.
    pub source: &'static str,
}

static ROWS: LazyLock<Vec<Sxid>> = LazyLock::new(|| {
    let read = |row: [&'static str; 9]| {
        let [code, name, meaning, category, grade, immediate, workflow, cause, source] = row;
        Some(Sxid {
            code: code.parse().ok()?,
            name,
            meaning,
            category,
            severity: severity(grade)?,
            immediate,
            workflow,
            cause,
            source,
        })
    };
    let mut rows: Vec<Sxid> = rows(include_str!("data/sxid.tsv")).filter_map(read).collect();
    rows.sort_by_key(|row| row.code);
    rows
});

/// Every row, by number.
#[must_use]
pub fn all() -> &'static [Sxid] {
    &ROWS
}

/// The row of a number.
#[must_use]
pub fn row(code: u64) -> Option<&'static Sxid> {
    let code = u32::try_from(code).ok()?;
    ROWS.binary_search_by_key(&code, |row| row.code).ok().map(|at| &ROWS[at])
}

/// What an SXid means, given what its line says of it: the driver knows
/// whether this one is fatal for its link.
#[must_use]
pub fn meaning(code: u64, fatal: Option<bool>) -> Meaning {
    let mut meaning = match row(code) {
        Some(row) => {
            let (action, steps) = advice::workflow(row.workflow);
            Meaning {
                known: true,
                name: row.name,
                meaning: Cow::Borrowed(row.meaning),
                severity: row.severity,
                action,
                cause: Cow::Borrowed(advice::cause(row.cause)),
                steps,
                source: row.source,
            }
        }
        None => unknown(code),
    };
    match fatal {
        Some(true) if meaning.severity < Severity::Error => {
            let (action, steps) = advice::workflow("RESET_FABRIC_OR_RESTART_VM");
            (meaning.severity, meaning.action, meaning.steps) = (Severity::Error, action, steps);
        }
        // Fatal only for a link in certain uses, which the driver knows.
        Some(false) => meaning.severity = meaning.severity.min(Severity::Error),
        _ => {}
    }
    meaning
}

fn unknown(code: u64) -> Meaning {
    let (action, steps) = advice::workflow("UNKNOWN");
    Meaning {
        known: false,
        name: "",
        meaning: Cow::Owned(format!("unknown code {code}")),
        severity: Severity::Warning,
        action,
        cause: Cow::Borrowed("The table of this build does not know the code."),
        steps,
        source: "none",
    }
}
