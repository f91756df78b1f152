//! One event as JSON shows it.

use serde::Serialize;

use crate::schema::{Event, LogRecord, utc_text};

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
    /// One sentence for people; of a kernel line, the line.
    pub text: String,
    /// Where a kernel line came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<LogState>,
    /// The number that the source gave, such as an Xid.
    #[serde(skip_serializing_if = "is_zero")]
    pub code: u64,
    /// How many lines or trace events were lost, where that is the fact.
    #[serde(skip_serializing_if = "is_zero")]
    pub lost: u64,
}

/// Where a kernel line came from, as JSON shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LogState {
    /// `attested`, `claimed`, `polled`, `file` or `unknown`.
    pub trust: &'static str,
    /// Whether it was logged before the agent first looked.
    pub before_start: bool,
    /// The facility of syslog(3).
    pub facility: u16,
    /// The level of syslog(3), 0 to 7, where the line says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<u8>,
    /// The kernel's sequence number, where it is known.
    #[serde(skip_serializing_if = "is_zero")]
    pub sequence: u64,
    /// The record's device.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub device: String,
    /// The record's subsystem.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub subsystem: String,
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
            log: event.log.as_ref().map(LogState::of),
            code: event.code,
            lost: event.lost,
        }
    }
}

impl LogState {
    fn of(log: &LogRecord) -> Self {
        Self {
            trust: log.trust.name(),
            before_start: log.before_start,
            facility: log.facility,
            level: Some(log.level).filter(|level| *level <= 7),
            sequence: log.sequence,
            device: log.device.clone(),
            subsystem: log.subsystem.clone(),
        }
    }
}

const fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Trust;

    #[test]
    fn a_kernel_line_says_how_far_it_is_to_be_trusted_and_what_is_unknown_is_absent() {
        let log = LogRecord {
            trust: Trust::Claimed,
            level: 255,
            before_start: true,
            ..LogRecord::default()
        };
        let json = |log| {
            let event = Event { code: 79, log, ..Event::default() };
            serde_json::to_value(EventState::of(&event)).expect("an event is JSON")
        };
        let told = json(Some(log));
        assert_eq!((&told["code"], told.get("lost")), (&79.into(), None));
        let log = &told["log"];
        assert_eq!((&log["trust"], &log["before_start"]), (&"claimed".into(), &true.into()));
        assert_eq!((log.get("level"), log.get("sequence"), log.get("device")), (None, None, None));
        assert_eq!(json(None).get("log"), None);
    }
}
