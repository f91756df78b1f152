//! One event as JSON shows it.

use serde::Serialize;

use crate::schema::{Event, utc_text};

/// A discrete fact as JSON shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EventState {
    /// Unique with its node; text, since JSON's numbers are too small.
    pub id: String,
    /// The kind's name in the schema.
    pub kind: &'static str,
    /// `info`, `warning`, `error` or `critical`.
    pub severity: &'static str,
    /// When, as people read it.
    pub time: String,
    /// The sampler that saw it.
    pub source: String,
    /// What it is about.
    pub subject: String,
    /// One sentence for people.
    pub text: String,
}

impl EventState {
    /// The words of `event`.
    #[must_use]
    pub fn of(event: &Event) -> Self {
        Self {
            id: event.id.to_string(),
            kind: event.kind.name(),
            severity: event.severity.name(),
            time: utc_text(event.wall_ns),
            source: event.source.clone(),
            subject: event.subject.clone(),
            text: event.text.clone(),
        }
    }
}
