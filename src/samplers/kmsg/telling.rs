//! From a line to an event: what is kept, what belongs together, and what
//! waits for room.

use std::collections::VecDeque;

use super::cursor::Cursor;
use super::filter::Filter;
use crate::platform::clock;
use crate::samplers::Outlet;
use crate::schema::log::{Line, decoded};
use crate::schema::{
    Event, EventKind, LogRecord, NAME_BYTES_MAX, Severity, TEXT_BYTES_MAX, Trust, bounded_text,
};

/// Where events go together with how far the log has been read, so that this
/// can be tried against a plain list.
pub trait Facts {
    /// Hands over a fact; says whether it was taken.
    fn offer(&mut self, event: Option<Event>, cursor: Option<Vec<u8>>) -> bool;
}

impl Facts for Outlet {
    fn offer(&mut self, event: Option<Event>, cursor: Option<Vec<u8>>) -> bool {
        Self::offer(self, event, cursor)
    }
}

/// The clocks at one instant, ns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Clocks {
    /// `CLOCK_MONOTONIC`.
    pub monotonic_ns: u64,
    /// `CLOCK_MONOTONIC_RAW`: the log's own clock, as near as there is one.
    pub raw_ns: u64,
    /// `CLOCK_REALTIME`.
    pub wall_ns: u64,
}

impl Clocks {
    /// Now.
    #[must_use]
    pub fn now() -> Self {
        Self {
            monotonic_ns: clock::monotonic_ns(),
            raw_ns: clock::monotonic_raw_ns(),
            wall_ns: clock::wall_ns(),
        }
    }

    /// The instant at which the log's clock stood at `time_us`, never later
    /// than now. Wrong by what the two clocks' starts differ, some ms, by what
    /// time services have bent since, and by any time the node was suspended.
    #[must_use]
    pub fn at_log_time(self, time_us: u64) -> Self {
        self.before(self.raw_ns.saturating_sub(time_us.saturating_mul(1000)))
    }

    /// The instant of a wall clock, never later than now.
    #[must_use]
    pub fn at_wall_time(self, wall_ns: u64) -> Self {
        self.before(self.wall_ns.saturating_sub(wall_ns))
    }

    const fn before(self, age_ns: u64) -> Self {
        Self {
            monotonic_ns: self.monotonic_ns.saturating_sub(age_ns),
            raw_ns: self.raw_ns.saturating_sub(age_ns),
            wall_ns: self.wall_ns.saturating_sub(age_ns),
        }
    }
}

/// Where a line stands, besides what it says.
#[derive(Debug, Clone, Copy)]
pub struct Heard {
    /// How far its way here is to be trusted.
    pub trust: Trust,
    /// Whether it was logged before the agent first looked.
    pub before_start: bool,
    /// When it was logged.
    pub at: Clocks,
}

/// What became of the lines, since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LogCounts {
    /// Lines read: kept, passed over and malformed ones.
    pub read: u64,
    /// Lines that became events or parts of one.
    pub kept: u64,
    /// Lines that the filter did not keep, or that a program logged.
    pub passed: u64,
    /// Lines that say nothing, and records that are none.
    pub malformed: u64,
    /// Lines overwritten before they were read, where that is known.
    pub lost: u64,
    /// Reads that failed.
    pub failed: u64,
}

/// Tells what is kept, in order, and holds on to what finds no room.
#[derive(Debug)]
pub struct Telling {
    filter: Filter,
    waiting: VecDeque<(Event, Cursor)>,
    /// Sequence and facility of the last line kept: a fragment may follow.
    kept_last: Option<(u64, u16)>,
    /// What became of the lines.
    pub counts: LogCounts,
}

impl Telling {
    /// Tells what `filter` keeps.
    #[must_use]
    pub fn new(filter: Filter) -> Self {
        let waiting = VecDeque::with_capacity(4);
        Self { filter, waiting, kept_last: None, counts: LogCounts::default() }
    }

    /// Whether nothing waits for room.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Takes a line up to which the log has been read at `cursor`. Allocates
    /// only for lines that are kept.
    #[inline]
    pub fn hear(&mut self, line: &Line<'_>, heard: &Heard, cursor: Cursor) {
        self.counts.read += 1;
        let facility = line.facility.unwrap_or_default();
        let goes_on =
            line.fragment && self.kept_last == Some((line.sequence.wrapping_sub(1), facility));
        if !goes_on && (line.of_a_program() || !self.filter.keeps(line.level, line.text)) {
            self.counts.passed += 1;
            return;
        }
        self.counts.kept += 1;
        self.kept_last = Some((line.sequence, facility));
        match self.waiting.back_mut() {
            Some((event, read)) if goes_on => {
                event.text.push_str(&line.shown(TEXT_BYTES_MAX));
                event.text.truncate(bounded_text(&event.text).len());
                *read = cursor;
            }
            _ => self.waiting.push_back((event_of(line, heard), cursor)),
        }
    }

    /// Something that is no line.
    pub fn malformed(&mut self) {
        self.counts.read += 1;
        self.counts.malformed += 1;
    }

    /// States that lines are gone; `lost` is 0 where nobody knows how many.
    pub fn lost(&mut self, lost: u64, heard: &Heard, cursor: Cursor) {
        self.counts.lost = self.counts.lost.saturating_add(lost);
        let text = match (heard.before_start, lost) {
            (_, 0) => "Lines of the kernel log were overwritten or cleared between two looks; how many is unknown.".to_owned(),
            (true, _) => format!("{lost} lines of the kernel log were overwritten before the first look."),
            (false, _) => format!("{lost} lines of the kernel log were overwritten before they were read."),
        };
        let log = LogRecord {
            trust: heard.trust,
            before_start: heard.before_start,
            ..LogRecord::default()
        };
        let severity = if heard.before_start { Severity::Info } else { Severity::Warning };
        let event = Event {
            kind: EventKind::KernelLinesLost,
            severity,
            wall_ns: heard.at.wall_ns,
            monotonic_ns: heard.at.monotonic_ns,
            subject: KERNEL.to_owned(),
            text,
            log: Some(log),
            lost,
            ..Event::default()
        };
        self.waiting.push_back((event, cursor));
    }

    /// Hands over what waits, but for the last `open` one, which a fragment
    /// may still lengthen; says whether all of that was taken.
    pub fn flush(&mut self, open: bool, facts: &mut dyn Facts) -> bool {
        let stays = usize::from(open);
        while self.waiting.len() > stays {
            let Some((event, cursor)) = self.waiting.front() else { break };
            if !facts.offer(Some(event.clone()), Some(cursor.encode())) {
                return false;
            }
            self.waiting.pop_front();
        }
        true
    }
}

const KERNEL: &str = "kernel";

fn event_of(line: &Line<'_>, heard: &Heard) -> Event {
    let device = decoded(line.device, NAME_BYTES_MAX);
    let subject = if device.is_empty() { KERNEL } else { &device }.to_owned();
    let log = LogRecord {
        facility: line.facility.unwrap_or_default(),
        level: line.level.unwrap_or(LogRecord::LEVEL_UNKNOWN),
        trust: heard.trust,
        before_start: heard.before_start,
        sequence: line.sequence,
        device,
        subsystem: decoded(line.subsystem, NAME_BYTES_MAX),
    };
    Event {
        kind: EventKind::KernelLine,
        severity: severity(line.level),
        wall_ns: heard.at.wall_ns,
        monotonic_ns: heard.at.monotonic_ns,
        subject,
        text: line.shown(TEXT_BYTES_MAX),
        log: Some(log),
        ..Event::default()
    }
}

/// The level in our words, and no judgement.
const fn severity(level: Option<u8>) -> Severity {
    match level {
        Some(0..=2) => Severity::Critical,
        Some(3) => Severity::Error,
        Some(4) => Severity::Warning,
        _ => Severity::Info,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::log::Record;

    const AT: Heard = Heard {
        trust: Trust::Attested,
        before_start: false,
        at: Clocks { monotonic_ns: 5, raw_ns: 6, wall_ns: 7 },
    };

    /// Takes so many facts, then no more.
    struct Room(usize, Vec<Event>);

    impl Facts for Room {
        fn offer(&mut self, event: Option<Event>, cursor: Option<Vec<u8>>) -> bool {
            assert!(cursor.is_some());
            let taken = self.1.len() < self.0;
            self.1.extend(event.filter(|_| taken));
            taken
        }
    }

    fn hear(telling: &mut Telling, record: &str) {
        let record = Record::parse(record.as_bytes()).unwrap();
        let cursor = Cursor::Record { boot: [1; 16], sequence: record.sequence, time_us: 1 };
        telling.hear(&Line::of_record(&record), &AT, cursor);
    }

    fn telling() -> Telling {
        Telling::new(Filter::new(4, "nvme").unwrap())
    }

    #[test]
    fn a_line_becomes_an_event_with_its_level_device_and_time() {
        let mut telling = telling();
        hear(&mut telling, "4,7,1,-;a\\x0ab\n SUBSYSTEM=pci\n DEVICE=+pci:0\n");
        hear(&mut telling, "691,8,1,-;x");
        let mut room = Room(9, Vec::new());
        assert!(telling.flush(false, &mut room) && telling.is_empty());
        let log = room.1[0].log.clone().unwrap();
        assert_eq!((log.facility, log.level, log.sequence), (0, 4, 7));
        assert_eq!((&*log.device, &*log.subsystem), ("+pci:0", "pci"));
        assert_eq!((&*room.1[0].subject, &*room.1[0].text), ("+pci:0", "a\nb"));
        assert_eq!((room.1[0].monotonic_ns, room.1[0].wall_ns), (5, 7));
        assert_eq!((room.1[1].severity, &*room.1[1].subject), (Severity::Error, "kernel"));
    }

    #[test]
    fn a_fragment_joins_the_kept_line_before_it_and_no_other() {
        let mut telling = telling();
        for record in [
            "4,7,1,-;one ",
            "6,8,1,c;line",
            "6,9,1,c; more",
            "6,10,1,-;passed over",
            "6,11,1,c;with its fragment",
            "4,12,1,-;two",
            "14,13,1,c;somebody else's",
            "4,15,1,-;three",
            "6,17,1,c;behind a gap",
        ] {
            hear(&mut telling, record);
        }
        let mut room = Room(9, Vec::new());
        telling.flush(false, &mut room);
        let texts: Vec<&str> = room.1.iter().map(|event| &*event.text).collect();
        assert_eq!(texts, ["one line more", "two", "three"]);
        assert_eq!((telling.counts.read, telling.counts.kept, telling.counts.passed), (9, 5, 4));
    }

    #[test]
    fn a_fragment_of_a_line_that_was_told_is_told_too() {
        let mut telling = telling();
        let mut room = Room(9, Vec::new());
        hear(&mut telling, "4,7,1,-;one");
        assert!(telling.flush(false, &mut room));
        hear(&mut telling, "6,8,1,c;late");
        assert!(telling.flush(false, &mut room));
        assert_eq!(room.1[1].text, "late");
    }

    #[test]
    fn what_finds_no_room_waits_in_order() {
        let mut telling = telling();
        hear(&mut telling, "4,1,1,-;one");
        telling.lost(3, &AT, Cursor::Place { device: 1, inode: 1, offset: 1 });
        hear(&mut telling, "4,5,1,-;two");
        let mut room = Room(1, Vec::new());
        assert!(!telling.flush(false, &mut room));
        assert_eq!(room.1.len(), 1);
        room.0 = 2;
        assert!(telling.flush(true, &mut room), "the last may stay open");
        room.0 = 3;
        assert!(telling.flush(false, &mut room));
        let kinds: Vec<&str> = room.1.iter().map(|event| event.kind.name()).collect();
        assert_eq!(kinds, ["kernel_line", "kernel_lines_lost", "kernel_line"]);
        assert_eq!(room.1[1].lost, 3);
    }
}
