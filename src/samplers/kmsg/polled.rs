//! The log by system call, where its device cannot be had.
//!
//! Each look reads all that the kernel still holds and goes on behind the line
//! that was told last. What was overwritten between two looks is unknown, and
//! every event says so by its grade.

use std::io;

use super::attested::Round;
use super::cursor::{Boot, Cursor, line_hash};
use super::telling::{Clocks, Facts, Heard, Telling};
use crate::schema::Trust;
use crate::schema::log::{Blocks, Line, Stamp, parse_line};

/// Most bytes of the log that are looked at; the newest ones.
pub const LOOK_BYTES_MAX: usize = 256 << 10;

/// Reads the newest lines that fit into a buffer.
pub type ReadAll = fn(&mut [u8]) -> io::Result<usize>;

/// Looks at the log again and again.
#[derive(Debug)]
pub struct Polled {
    read_all: ReadAll,
    buffer: Vec<u8>,
    boot: Boot,
    /// The line told last, with its line feed; empty before the first.
    last: Vec<u8>,
    /// Where the journal says that we stood, until the first look.
    resumed: Option<(u64, u64)>,
    before_start: bool,
}

impl Polled {
    /// Looks with `read_all` at a log of at most `bytes` and goes on from
    /// `cursor`; one of another boot, or none, means that all is new.
    #[must_use]
    pub fn new(read_all: ReadAll, bytes: usize, boot: Boot, cursor: Option<Cursor>) -> Self {
        let resumed = match cursor {
            Some(Cursor::Line { boot: of, time_us, hash }) if of == boot && of != [0; 16] => {
                Some((time_us, hash))
            }
            _ => None,
        };
        let buffer = vec![0; bytes.clamp(4096, LOOK_BYTES_MAX)];
        let before_start = resumed.is_none();
        Self { read_all, buffer, boot, last: Vec::new(), resumed, before_start }
    }

    /// How far the log has been read.
    #[must_use]
    pub fn cursor(&self) -> Option<Cursor> {
        if let Some((time_us, hash)) = self.resumed {
            return Some(Cursor::Line { boot: self.boot, time_us, hash });
        }
        (!self.last.is_empty()).then(|| self.cursor_of(&self.last))
    }

    fn cursor_of(&self, block: &[u8]) -> Cursor {
        Cursor::Line { boot: self.boot, time_us: time_us(block), hash: line_hash(block) }
    }

    /// Looks once.
    pub fn round(&mut self, now: &Clocks, telling: &mut Telling, facts: &mut dyn Facts) -> Round {
        if !telling.flush(false, facts) {
            return Round::Held;
        }
        let buffer = std::mem::take(&mut self.buffer);
        let mut space = buffer;
        let round = match (self.read_all)(&mut space) {
            Ok(length) => {
                let length = length.min(space.len());
                self.take(&space[..length], now, telling, facts)
            }
            Err(_) => {
                telling.counts.failed += 1;
                Round::Failed
            }
        };
        self.buffer = space;
        round
    }

    fn take(
        &mut self,
        text: &[u8],
        now: &Clocks,
        telling: &mut Telling,
        facts: &mut dyn Facts,
    ) -> Round {
        let new = self.new_part(text);
        let heard = Heard { trust: Trust::Polled, before_start: self.before_start, at: *now };
        if let Some(before) = self.cursor()
            && new.len() == text.len()
            && !text.is_empty()
        {
            telling.lost(0, &heard, before);
        }
        self.resumed = None;
        for block in Blocks::new(new, true) {
            let cursor = self.cursor_of(block);
            match parse_line(block) {
                Some(line) => {
                    let at = at(&line, now);
                    telling.hear(&line, &Heard { at, ..heard }, cursor);
                }
                None => telling.malformed(),
            }
            self.last.clear();
            self.last.extend_from_slice(block);
            if !telling.flush(false, facts) {
                return Round::Held;
            }
        }
        self.before_start = false;
        if telling.flush(false, facts) { Round::End } else { Round::Held }
    }

    /// What follows the line told last; all where it is not there.
    fn new_part<'a>(&self, text: &'a [u8]) -> &'a [u8] {
        let behind = match self.resumed {
            Some((time, hash)) => {
                let mut at = 0;
                let mut found = None;
                for block in Blocks::new(text, true) {
                    at += block.len();
                    if time_us(block) == time && line_hash(block) == hash {
                        found = Some(at);
                    }
                }
                found
            }
            None if self.last.is_empty() => None,
            None => memchr::memmem::rfind(text, &self.last)
                .filter(|at| *at == 0 || text[at - 1] == b'\n')
                .map(|at| at + self.last.len()),
        };
        &text[behind.unwrap_or(0)..]
    }
}

fn time_us(block: &[u8]) -> u64 {
    match parse_line(block).and_then(|line| line.stamp) {
        Some(Stamp::SinceBoot { us }) => us,
        _ => 0,
    }
}

fn at(line: &Line<'_>, now: &Clocks) -> Clocks {
    match line.stamp {
        Some(Stamp::SinceBoot { us }) => now.at_log_time(us),
        _ => *now,
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::super::filter::Filter;
    use super::*;
    use crate::schema::{Event, EventKind};

    thread_local! {
        static LOG: RefCell<String> = const { RefCell::new(String::new()) };
    }

    fn read_all(buffer: &mut [u8]) -> io::Result<usize> {
        LOG.with_borrow(|log| {
            buffer[..log.len()].copy_from_slice(log.as_bytes());
            Ok(log.len())
        })
    }

    #[derive(Default)]
    struct Journal(Vec<Event>, Option<Vec<u8>>, usize);

    impl Facts for Journal {
        fn offer(&mut self, event: Option<Event>, cursor: Option<Vec<u8>>) -> bool {
            let taken = self.0.len() < self.2;
            if taken {
                self.0.extend(event);
                self.1 = cursor;
            }
            taken
        }
    }

    fn told(journal: &Journal) -> Vec<(&str, bool)> {
        let told = |event: &Event| event.log.as_ref().unwrap().before_start;
        journal.0.iter().map(|event| (&*event.text, told(event))).collect()
    }

    #[test]
    fn each_line_is_told_once_over_looks_and_a_restart() {
        let mut journal = Journal(Vec::new(), None, 99);
        let mut telling = Telling::new(Filter::new(4, "").unwrap());
        let now =
            Clocks { monotonic_ns: 9_000_000_000, raw_ns: 9_000_000_000, wall_ns: 99_000_000_000 };
        let mut look = |reader: &mut Polled, log: &str, journal: &mut Journal| {
            LOG.with_borrow_mut(|text| log.clone_into(text));
            reader.round(&now, &mut telling, journal)
        };
        let mut reader = Polled::new(read_all, 4096, [7; 16], None);
        look(&mut reader, "<4>[    1.0] one\n<6>[    2.0] passed\n", &mut journal);
        look(&mut reader, "<4>[    1.0] one\n<6>[    2.0] passed\n", &mut journal);
        look(&mut reader, "<6>[    2.0] passed\n<4>[    3.0] two\n", &mut journal);
        let cursor = journal.1.as_deref().and_then(Cursor::decode);
        assert_eq!(cursor, reader.cursor());
        let mut reader = Polled::new(read_all, 4096, [7; 16], cursor);
        journal.2 = 3;
        let log = "<4>[    3.0] two\n<4>[    4.0] three\n<4>[    5.0] four\n";
        assert_eq!(look(&mut reader, log, &mut journal), Round::Held);
        journal.2 = 99;
        assert_eq!(look(&mut reader, log, &mut journal), Round::End);
        assert_eq!(
            told(&journal),
            [("one", true), ("two", false), ("three", false), ("four", false)]
        );
        assert_eq!(journal.0[3].log.as_ref().unwrap().trust, Trust::Polled);
        assert_eq!(journal.0[3].wall_ns, 95_000_000_000);
        look(&mut reader, "<4>[    8.0] later\n", &mut journal);
        assert_eq!((journal.0[4].kind, journal.0[4].lost), (EventKind::KernelLinesLost, 0));
        assert_eq!(told(&journal)[5], ("later", false));
        look(&mut reader, "", &mut journal);
        assert_eq!(journal.0.len(), 6, "a log that was cleared says nothing");
    }
}
