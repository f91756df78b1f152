//! Rows of the data files: fields between tabs, the first line names them.

use std::collections::HashMap;
use std::hash::Hash;

use crate::schema::{Action, Severity};

/// The rows of a data file, each with its `N` fields. One with another count
/// of fields is none; the tests hold every file to its count of rows.
pub(super) fn rows<const N: usize>(text: &'static str) -> impl Iterator<Item = [&'static str; N]> {
    text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
        let mut fields = [""; N];
        let mut parts = line.split('\t');
        for field in &mut fields {
            *field = parts.next()?;
        }
        parts.next().is_none().then_some(fields)
    })
}

/// Rows that are found by what `key` makes of them.
pub(super) fn by_key<const N: usize, K: Eq + Hash, V>(
    text: &'static str,
    read: impl Fn([&'static str; N]) -> Option<(K, V)>,
) -> HashMap<K, V> {
    rows(text).filter_map(read).collect()
}

/// The vendor's word for how much a code matters, in ours.
pub(super) fn severity(word: &str) -> Option<Severity> {
    Some(match word {
        "fatal" => Severity::Critical,
        "critical" => Severity::Error,
        // What is to be followed says itself how much it matters.
        "warning" | "follow" => Severity::Warning,
        "info" => Severity::Info,
        _ => return None,
    })
}

/// The action with this name.
pub(super) fn action(name: &str) -> Option<Action> {
    Action::ALL.into_iter().find(|action| action.name() == name)
}
