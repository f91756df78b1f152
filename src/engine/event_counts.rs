//! How many events of each kind and severity were stated.

use crate::exporter::EventCount;
use crate::platform::atomic::{AtomicU64, Ordering};
use crate::schema::{Event, EventKind, Severity};

/// One past the last kind that can be counted apart; later ones count as
/// unknown.
const KINDS: usize = 64;

const SEVERITIES: usize = 4;

/// The counts. The desk writes, anyone may look.
#[derive(Debug)]
pub(super) struct EventCounts([[AtomicU64; SEVERITIES]; KINDS]);

impl Default for EventCounts {
    fn default() -> Self {
        Self(std::array::from_fn(|_| std::array::from_fn(|_| AtomicU64::new(0))))
    }
}

impl EventCounts {
    /// Counts one.
    pub(super) fn count(&self, event: &Event) {
        let kind = Some(event.kind as usize).filter(|kind| *kind < KINDS).unwrap_or_default();
        self.0[kind][event.severity as usize % SEVERITIES].fetch_add(1, Ordering::Relaxed);
    }

    /// Those of which there was one.
    pub(super) fn all(&self) -> Vec<EventCount> {
        let mut all = Vec::new();
        for (kind, of_kind) in self.0.iter().enumerate() {
            for (severity, count) in of_kind.iter().enumerate() {
                let count = count.load(Ordering::Relaxed);
                let kind = EventKind::from_number(kind as u16);
                let severity = Severity::from_number(severity as u8);
                if count > 0 {
                    all.push(EventCount { kind, severity, count });
                }
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_counted_by_kind_and_severity() {
        let counts = EventCounts::default();
        let event = |kind, severity| Event { kind, severity, ..Event::default() };
        counts.count(&event(EventKind::Xid, Severity::Critical));
        counts.count(&event(EventKind::Xid, Severity::Critical));
        counts.count(&event(EventKind::KernelLine, Severity::Warning));
        let all: Vec<_> = counts.all().iter().map(|of| (of.kind, of.severity, of.count)).collect();
        let line = (EventKind::KernelLine, Severity::Warning, 1);
        assert_eq!(all, [line, (EventKind::Xid, Severity::Critical, 2)]);
    }
}
