//! From a record to an event, and what waits for room.

use std::collections::VecDeque;

use super::format::{Form, Layout, Told};
use super::page::Page;
use crate::schema::{Event, EventKind, Severity, TEXT_BYTES_MAX, bounded_name, bounded_text};

/// The two clocks at one instant, ns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Now {
    /// `CLOCK_MONOTONIC`, which stamps the records too.
    pub monotonic_ns: u64,
    /// `CLOCK_REALTIME`.
    pub wall_ns: u64,
}

impl Now {
    /// The instant at which the records' clock stood at `time_ns`, never later
    /// than now.
    const fn at(self, time_ns: u64) -> Self {
        let age_ns = self.monotonic_ns.saturating_sub(time_ns);
        Self {
            monotonic_ns: self.monotonic_ns - age_ns,
            wall_ns: self.wall_ns.saturating_sub(age_ns),
        }
    }
}

/// What became of the trace events, since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TraceCounts {
    /// Records that became events.
    pub read: u64,
    /// Records overwritten or not written, by the kernel's count.
    pub lost: u64,
    /// Pages and records that are none of the watched events.
    pub malformed: u64,
    /// Reads and looks that failed.
    pub failed: u64,
}

/// Tells what is read, and holds on to what finds no room.
#[derive(Debug, Default)]
pub struct Telling {
    waiting: VecDeque<Event>,
    /// What became of the trace events.
    pub counts: TraceCounts,
}

impl Telling {
    /// Takes the records of a page.
    pub fn hear(&mut self, page: &[u8], layout: &Layout, forms: &[Form], now: Now) {
        let Some(records) = Page::parse(page, layout) else {
            self.counts.malformed += 1;
            return;
        };
        for record in records {
            let told = record.ok().and_then(|record| {
                let form = forms.iter().find(|form| Some(form.id) == record.id())?;
                Some(event_of(form, &form.read(record.data)?, now.at(record.time_ns)))
            });
            match told {
                Some(event) => {
                    self.counts.read += 1;
                    self.waiting.push_back(event);
                }
                None => self.counts.malformed += 1,
            }
        }
    }

    /// States that so many records are gone, if any are.
    pub fn lost(&mut self, lost: u64, now: Now) {
        if lost == 0 {
            return;
        }
        self.counts.lost = self.counts.lost.saturating_add(lost);
        self.waiting.push_back(Event {
            kind: EventKind::TraceEventsLost,
            severity: Severity::Warning,
            wall_ns: now.wall_ns,
            monotonic_ns: now.monotonic_ns,
            subject: "trace".to_owned(),
            text: format!("{lost} trace events of accelerators were lost before they were read."),
            lost,
            ..Event::default()
        });
    }

    /// Hands over what waits; says whether all of it was taken.
    pub fn flush(&mut self, mut offer: impl FnMut(Event) -> bool) -> bool {
        while let Some(event) = self.waiting.front() {
            if !offer(event.clone()) {
                return false;
            }
            self.waiting.pop_front();
        }
        true
    }
}

/// The severity is the same for every number: which of them matter, and how
/// much, is for rules to say.
fn event_of(form: &Form, told: &Told<'_>, at: Now) -> Event {
    let watched = form.watched;
    let device = clean(told.device);
    let subject = match bounded_name(&device) {
        "" => watched.group,
        name => name,
    };
    let text = match clean(told.text) {
        text if text.is_empty() => format!("{} {} without a text.", watched.number, told.code),
        text => text,
    };
    Event {
        kind: watched.kind,
        severity: Severity::Warning,
        wall_ns: at.wall_ns,
        monotonic_ns: at.monotonic_ns,
        subject: subject.to_owned(),
        text: bounded_text(&text).to_owned(),
        code: told.code,
        ..Event::default()
    }
}

/// Bytes as text, what a terminal would obey replaced, without blanks around.
fn clean(bytes: &[u8]) -> String {
    // No more than can be shown: one byte is at least one of the text.
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(TEXT_BYTES_MAX)]);
    text.trim().replace(|c: char| c.is_control(), " ")
}

#[cfg(test)]
mod tests;
