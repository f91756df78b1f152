//! Sentences that rows share: causes, steps, and the workflows they make.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::rows::{action, by_key};
use crate::schema::Action;

static CAUSES: LazyLock<HashMap<&str, &str>> =
    LazyLock::new(|| by_key(include_str!("data/causes.tsv"), |[key, text]| Some((key, text))));

static STEPS: LazyLock<HashMap<&str, &str>> =
    LazyLock::new(|| by_key(include_str!("data/steps.tsv"), |[key, text]| Some((key, text))));

static WORKFLOWS: LazyLock<HashMap<&str, (Action, Vec<&str>)>> = LazyLock::new(|| {
    by_key(include_str!("data/workflows.tsv"), |[key, name, steps]| {
        Some((key, (action(name)?, steps_of(steps))))
    })
});

/// The cause with this key; empty where there is none.
#[must_use]
pub fn cause(key: &str) -> &'static str {
    CAUSES.get(key).copied().unwrap_or_default()
}

/// The sentences of keys joined by commas; what is no key is left out.
#[must_use]
pub fn steps_of(keys: &str) -> Vec<&'static str> {
    keys.split(',').filter_map(|key| STEPS.get(key).copied()).collect()
}

/// What a workflow of the vendor comes to: the action and its steps.
#[must_use]
pub fn workflow(key: &str) -> (Action, Vec<&'static str>) {
    WORKFLOWS.get(key).cloned().unwrap_or_default()
}

#[cfg(test)]
pub(super) fn all_workflows() -> impl Iterator<Item = (&'static str, usize)> {
    WORKFLOWS.iter().map(|(key, (_, steps))| (*key, steps.len()))
}
