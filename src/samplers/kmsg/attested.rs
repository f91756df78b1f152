//! The log by its device: every record once, or counted in a gap of exactly
//! that size.
//!
//! The kernel numbers its records and keeps them in a ring. Whoever reads too
//! slowly is told once that records are gone; the number of the next one says
//! how many. What finds no room with us stays unread in the ring.

use std::io;

use super::cursor::{Boot, Cursor};
use super::telling::{Clocks, Facts, Heard, Telling};
use crate::schema::Trust;
use crate::schema::log::{Line, RECORD_BYTES_MAX, Record};

/// Records read in one round, so that a flood keeps nobody from stopping us.
pub const RECORDS_ROUND_MAX: usize = 2048;

/// Reads in a row that may fail before the device is left alone for a while.
const FAILURES_MAX: usize = 64;

/// A ring of records, one a read.
pub trait Records: Send {
    /// The next record: `WouldBlock` at the end, `BrokenPipe` once when
    /// records are gone, `InvalidInput` for one that does not fit.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize>;

    /// Begins again with the oldest record.
    ///
    /// # Errors
    ///
    /// When it cannot be opened any more.
    fn rewind(&mut self) -> io::Result<()>;
}

/// How a round ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Round {
    /// All that there is was read.
    End,
    /// There is more.
    More,
    /// There is no room for what was read.
    Held,
    /// The source cannot be read for now.
    Failed,
}

/// Reads a ring from where the journal says.
#[derive(Debug)]
pub struct Attested<R> {
    records: R,
    buffer: Vec<u8>,
    boot: Boot,
    /// The record that comes next; nothing before the first look.
    next: Option<u64>,
    /// The record before that: its time, 0 where it was never read.
    time_us: u64,
    /// The newest record told before that was met again since a rewind;
    /// nothing once new ones come.
    met: Option<Met>,
    /// Until which time records were logged before the first look.
    before_us: u64,
}

/// What a reader that comes back has met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Met {
    Nothing,
    Record(u64),
}

impl<R: Records> Attested<R> {
    /// Reads `records` of this boot on from `cursor`; one of another boot, or
    /// none, means that all of them are new and from before `now`.
    pub fn new(records: R, boot: Boot, cursor: Option<Cursor>, now: &Clocks) -> Self {
        let known = match cursor {
            Some(Cursor::Record { boot: of, sequence, time_us }) if of == boot && of != [0; 16] => {
                Some((sequence, time_us))
            }
            _ => None,
        };
        Self {
            records,
            buffer: vec![0; RECORD_BYTES_MAX],
            boot,
            next: known.map(|(sequence, _)| sequence.saturating_add(1)),
            time_us: known.map_or(0, |(_, time_us)| time_us),
            met: known.map(|_| Met::Nothing),
            before_us: if known.is_some() { 0 } else { now.raw_ns / 1000 },
        }
    }

    /// How far the ring has been read.
    #[must_use]
    pub fn cursor(&self) -> Option<Cursor> {
        let sequence = self.next?.checked_sub(1)?;
        Some(Cursor::Record { boot: self.boot, sequence, time_us: self.time_us })
    }

    /// The ring.
    pub const fn records(&self) -> &R {
        &self.records
    }

    /// Reads until the end, or as far as one round may go.
    pub fn round(&mut self, now: &Clocks, telling: &mut Telling, facts: &mut dyn Facts) -> Round {
        let mut failures = 0;
        for _ in 0..RECORDS_ROUND_MAX {
            if !telling.flush(true, facts) {
                return Round::Held;
            }
            match self.records.read(&mut self.buffer) {
                Ok(length) if length > 0 => {
                    failures = 0;
                    let buffer = std::mem::take(&mut self.buffer);
                    self.take(&buffer[..length.min(buffer.len())], now, telling);
                    self.buffer = buffer;
                }
                Err(error) if passes(error.kind()) && failures < FAILURES_MAX => failures += 1,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if self.end() {
                        return if telling.flush(false, facts) { Round::End } else { Round::Held };
                    }
                }
                _ => {
                    telling.counts.failed += 1;
                    self.come_back();
                    return if telling.flush(false, facts) { Round::Failed } else { Round::Held };
                }
            }
        }
        if telling.flush(false, facts) { Round::More } else { Round::Held }
    }

    fn take(&mut self, bytes: &[u8], now: &Clocks, telling: &mut Telling) {
        let Some(record) = Record::parse(bytes) else {
            return telling.malformed();
        };
        let at = now.at_log_time(record.time_us);
        let before_start = record.time_us <= self.before_us;
        let facility = record.facility;
        let trust = if facility == 0 { Trust::Attested } else { Trust::Claimed };
        let heard = Heard { trust, before_start, at };
        // At the first look, what comes before the oldest record is gone.
        let next = self.next.unwrap_or(0);
        if record.sequence < next {
            return self.meet(&record, next);
        }
        if let Some(lost) = record.sequence.checked_sub(next).filter(|lost| *lost > 0) {
            let cursor =
                Cursor::Record { boot: self.boot, sequence: record.sequence - 1, time_us: 0 };
            telling.lost(lost, &Heard { trust: Trust::Attested, ..heard }, cursor);
        }
        self.met = None;
        self.next = Some(record.sequence.saturating_add(1));
        self.time_us = record.time_us;
        let sequence = record.sequence;
        let cursor = Cursor::Record { boot: self.boot, sequence, time_us: record.time_us };
        telling.hear(&Line::of_record(&record), &heard, cursor);
    }

    /// A record that was told before, unless this ring has another history.
    fn meet(&mut self, record: &Record<'_>, next: u64) {
        let other =
            record.sequence == next - 1 && self.time_us != 0 && self.time_us != record.time_us;
        if other {
            self.begin_anew();
        } else if self.met.is_some() {
            self.met = Some(Met::Record(record.sequence));
        }
    }

    /// Whether this is the end. A ring that ends before the record that was
    /// told last is one that the node was set back to, as a virtual machine
    /// is to a snapshot: it is read as a new one.
    fn end(&mut self) -> bool {
        let behind = match (self.met, self.next) {
            (Some(Met::Record(met)), Some(next)) => met + 1 < next,
            _ => false,
        };
        if behind {
            self.begin_anew();
            return false;
        }
        self.before_us = 0;
        true
    }

    fn begin_anew(&mut self) {
        (self.next, self.time_us, self.met) = (None, 0, None);
        self.before_us = u64::MAX;
        // A failure shows at the next read.
        let _ = self.records.rewind();
    }

    /// Opens the ring again and passes over what was told.
    fn come_back(&mut self) {
        self.met = self.next.map(|_| Met::Nothing);
        let _ = self.records.rewind();
    }
}

/// Errors that the next read, or the next record's number, makes good.
const fn passes(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{BrokenPipe, Interrupted, InvalidInput};
    matches!(kind, BrokenPipe | Interrupted | InvalidInput)
}

#[cfg(test)]
mod tests;
