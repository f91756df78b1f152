//! NVIDIA's Xids: errors of a GPU, as its driver numbers them.

use std::borrow::Cow;
use std::sync::LazyLock;

use super::rows::{rows, severity};
use super::{Architecture, Meaning, advice};
use crate::schema::{Action, Severity};

/// A row of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Xid {
    /// The number.
    pub code: u16,
    /// Its name in the driver's header.
    pub name: &'static str,
    /// What is wrong, in a few words.
    pub meaning: &'static str,
    /// What it is about: `app`, `memory`, `nvlink`, `pcie` …
    pub category: &'static str,
    /// How much it matters, by what the vendor says to do.
    pub severity: Severity,
    /// The vendor's word for what to do at once.
    pub immediate: &'static str,
    /// The vendor's word for what to look into.
    pub investigatory: &'static str,
    /// Which of [`super::workflow`] it takes.
    pub workflow: &'static str,
    /// Whether A100, H100, B100 and GB200 raise it: y, n or ? each.
    pub listed: &'static str,
    /// From which driver branch on it brings an Xid 154; may be empty.
    pub sets_154_since: &'static str,
    /// Key of its cause.
    pub cause: &'static str,
    /// `catalogue`, or `inferred` where the catalogue has no such row.
    pub source: &'static str,
}

static ROWS: LazyLock<Vec<Xid>> = LazyLock::new(|| {
    let read = |row: [&'static str; 12]| {
        let [code, name, meaning, category, grade, immediate, investigatory, workflow, rest @ ..] =
            row;
        let [listed, sets_154_since, cause, source] = rest;
        Some(Xid {
            code: code.parse().ok()?,
            name,
            meaning,
            category,
            severity: severity(grade)?,
            immediate,
            investigatory,
            workflow,
            listed,
            sets_154_since,
            cause,
            source,
        })
    };
    let mut rows: Vec<Xid> = rows(include_str!("data/xid.tsv")).filter_map(read).collect();
    rows.sort_by_key(|row| row.code);
    rows
});

/// Every row, by number.
#[must_use]
pub fn all() -> &'static [Xid] {
    &ROWS
}

/// The row of a number.
#[must_use]
pub fn row(code: u64) -> Option<&'static Xid> {
    let code = u16::try_from(code).ok()?;
    ROWS.binary_search_by_key(&code, |row| row.code).ok().map(|at| &ROWS[at])
}

impl Xid {
    /// Whether this generation raises it; none where nobody knows.
    #[must_use]
    pub fn listed_for(&self, architecture: Architecture) -> Option<bool> {
        match self.listed.as_bytes().get(architecture.column()?)? {
            b'y' => Some(true),
            b'n' => Some(false),
            _ => None,
        }
    }
}

/// What an Xid means on a GPU of this generation. One that the catalogue does
/// not list for it is no reason to take the GPU away: it is to be looked into.
#[must_use]
pub fn meaning(code: u64, architecture: Architecture) -> Meaning {
    let Some(row) = row(code) else { return unknown(code) };
    let (action, steps) = advice::workflow(row.workflow);
    let cause = advice::cause(row.cause);
    let mut meaning = Meaning {
        known: true,
        name: row.name,
        meaning: Cow::Borrowed(row.meaning),
        severity: row.severity,
        action,
        cause: Cow::Borrowed(cause),
        steps,
        source: row.source,
    };
    if row.listed_for(architecture) == Some(false) && row.severity > Severity::Info {
        meaning.severity = row.severity.min(Severity::Warning);
        meaning.action = Action::Investigate;
        meaning.cause = Cow::Owned(format!(
            "{cause} The vendor's catalogue does not list this code for this model, so that its \
             usual meaning may not hold."
        ));
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
