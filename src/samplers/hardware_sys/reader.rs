//! A child that reads, and what it said in this round.

use std::ffi::OsString;
use std::io;
use std::path::Path;

use super::Facts;
use super::known::Known;
use super::record::{Message, Nonsense, RECORD_BYTES, decode, encode};
use crate::platform::child::{Child, Heard, Patience};
use crate::samplers::procfs::TickReport;

/// More records of one round are refused.
const RECORDS_MAX: u32 = 1 << 16;

/// A child that reads.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) child: Child<RECORD_BYTES>,
    /// The path that it reads now; empty between rounds.
    pub(super) at: String,
    /// Whether it said that it is one of ours.
    pub(super) greeted: bool,
    /// The round that it was asked for and has not ended.
    asked: Option<u32>,
    /// When that round began.
    time_ns: u64,
    records: u32,
    report: TickReport,
    text: String,
}

/// What came of listening.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    /// The round is over.
    Done,
    /// It goes on.
    Later,
    /// It does not answer.
    Silence,
    /// It is gone.
    Ended,
    /// It says what makes no sense.
    Nonsense,
}

impl Reader {
    /// Starts a child that leaves out `paths`.
    pub(super) fn start<'a>(
        program: &Path,
        arguments: &[OsString],
        paths: impl Iterator<Item = &'a str>,
    ) -> io::Result<Self> {
        let mut child = Child::spawn(program, arguments)?;
        for path in paths {
            child.send(&encode(&Message::LeaveOut(path)))?;
        }
        Ok(Self {
            child,
            at: String::new(),
            greeted: false,
            asked: None,
            time_ns: 0,
            records: 0,
            report: TickReport::default(),
            text: String::new(),
        })
    }

    /// Whether a round goes on.
    pub(super) const fn is_asked(&self) -> bool {
        self.asked.is_some()
    }

    /// How long the round has gone on.
    pub(super) const fn lasts_ns(&self, now_ns: u64) -> u64 {
        now_ns.saturating_sub(self.time_ns)
    }

    /// Asks for a round, with devices found anew if told so.
    pub(super) fn ask(&mut self, round: u32, anew: bool, now_ns: u64) -> io::Result<()> {
        self.child.send(&encode(&Message::Round(round, anew)))?;
        (self.asked, self.time_ns, self.records) = (Some(round), now_ns, 0);
        self.report = TickReport::default();
        Ok(())
    }

    /// Asks to try one path, and nothing else.
    pub(super) fn attempt(&mut self, path: &str) -> io::Result<()> {
        self.child.send(&encode(&Message::Try(path)))?;
        self.asked = Some(0);
        Ok(())
    }

    /// Listens until the round is over or `patience` ends.
    pub(super) fn listen(
        &mut self,
        patience: Patience,
        known: &mut Known,
        facts: &mut dyn Facts,
    ) -> Said {
        let Self { child, at, greeted, asked, time_ns, records, report, text } = self;
        let mut refused = false;
        let heard = child.listen(patience, |record| {
            *records += 1;
            let mut take = || -> Result<bool, Nonsense> {
                let message = decode(record, text)?;
                if !*greeted {
                    *greeted = message == Message::Hello;
                    return if *greeted { Ok(true) } else { Err(Nonsense) };
                }
                match message {
                    Message::At(path) => {
                        path.clone_into(at);
                        report.files += 1;
                    }
                    Message::Device(number, kind, name) => {
                        known.device(number, kind, name, facts)?;
                    }
                    Message::Value(number, metric, value) => {
                        known.value(number, metric, value, *time_ns, facts)?;
                        report.readings += 1;
                    }
                    Message::Absent(why, times) => report.count(why, times),
                    Message::Done(round) if *asked == Some(round) => {
                        at.clear();
                        *asked = None;
                        return Ok(false);
                    }
                    _ => return Err(Nonsense),
                }
                if *records > RECORDS_MAX { Err(Nonsense) } else { Ok(true) }
            };
            take().unwrap_or_else(|Nonsense| {
                refused = true;
                false
            })
        });
        match heard {
            _ if refused => Said::Nonsense,
            Heard::Enough => Said::Done,
            Heard::Later => Said::Later,
            Heard::Silence => Said::Silence,
            Heard::Ended => Said::Ended,
        }
    }

    /// What the round came to.
    pub(super) const fn report(&self) -> TickReport {
        self.report
    }
}
