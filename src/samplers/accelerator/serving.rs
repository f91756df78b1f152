//! A child that reads, and what it says of itself.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::Path;

use super::calls::Tally;
use super::record::{LIBRARY, Message, Nonsense, RECORD_BYTES, decode};
use crate::platform::child::{Child, Heard, Patience};
use crate::platform::clock;

/// More records at once are refused: a child that only talks is no use.
const RECORDS_MAX: u32 = 1 << 16;

/// A child that reads.
#[derive(Debug)]
pub(super) struct Serving {
    pub(super) child: Child<RECORD_BYTES>,
    pub(super) begun_ns: u64,
    /// Whether the library answers.
    pub(super) is_loaded: bool,
    /// Sums over its calls.
    pub(super) tally: Tally,
    /// Why it says it ends, and whether for another library.
    pub(super) ended: Option<(bool, String)>,
    /// By a device's number or [`LIBRARY`]: the call that has not returned,
    /// since when, and in which beat that was said.
    busy: BTreeMap<u32, Busy>,
    beat: u64,
    is_greeted: bool,
    text: String,
}

/// A call that has not returned.
#[derive(Debug, Clone)]
pub(super) struct Busy {
    pub(super) call: String,
    pub(super) since_ns: u64,
    beat: u64,
}

/// What came of listening.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    /// Nothing more for now.
    Later,
    /// Not even its watch speaks.
    Silence,
    /// It is gone.
    Ended,
    /// It says what makes no sense.
    Nonsense,
}

impl Serving {
    pub(super) fn start(program: &Path, arguments: &[OsString]) -> io::Result<Self> {
        Ok(Self {
            child: Child::spawn(program, arguments)?,
            begun_ns: clock::monotonic_ns(),
            is_loaded: false,
            tally: Tally::default(),
            ended: None,
            busy: BTreeMap::new(),
            beat: 0,
            is_greeted: false,
            text: String::new(),
        })
    }

    /// Takes what the child said, and hands on what it says of devices. Does
    /// not wait.
    pub(super) fn listen(
        &mut self,
        silence_ns: u64,
        mut take: impl FnMut(&Message<'_>) -> Result<(), Nonsense>,
    ) -> Said {
        let Self { child, is_loaded, tally, ended, busy, beat, is_greeted, text, .. } = self;
        let (mut refused, mut records) = (false, 0);
        let patience = Patience { silence_ns, until_ns: 0 };
        let heard = child.listen(patience, |record| {
            records += 1;
            let mut hear = || -> Result<(), Nonsense> {
                let message = decode(record, text)?;
                if !*is_greeted {
                    *is_greeted = message == Message::Hello;
                    return if *is_greeted { Ok(()) } else { Err(Nonsense) };
                }
                match message {
                    Message::Hello => return Err(Nonsense),
                    Message::Loaded => *is_loaded = true,
                    Message::Beat(sums) => {
                        *tally = sums;
                        // Whoever was not named since the last beat returned.
                        busy.retain(|_, call| call.beat == *beat);
                        *beat += 1;
                    }
                    Message::Busy(number, since_ns, call) => {
                        if since_ns > clock::monotonic_ns() {
                            return Err(Nonsense);
                        }
                        let call = call.to_owned();
                        busy.insert(number, Busy { call, since_ns, beat: *beat });
                    }
                    Message::Ended(changed, why) => *ended = Some((changed, why.to_owned())),
                    Message::Values(_, time_ns, _) if time_ns > clock::monotonic_ns() => {
                        return Err(Nonsense);
                    }
                    Message::Values(number, ..)
                    | Message::Identified(number)
                    | Message::State(number, _) => {
                        busy.remove(&number);
                        take(&message)?;
                    }
                    _ => take(&message)?,
                }
                if records > RECORDS_MAX { Err(Nonsense) } else { Ok(()) }
            };
            refused = hear().is_err();
            !refused
        });
        match heard {
            _ if refused => Said::Nonsense,
            Heard::Enough | Heard::Later => Said::Later,
            Heard::Silence => Said::Silence,
            Heard::Ended => Said::Ended,
        }
    }

    /// Calls that have not returned for `least_ns`, of devices.
    pub(super) fn busy(&self, now_ns: u64, least_ns: u64) -> impl Iterator<Item = (u32, &Busy)> {
        let late = move |busy: &Busy| now_ns.saturating_sub(busy.since_ns) >= least_ns;
        let of = self.busy.iter().filter(move |(_, busy)| late(busy));
        of.map(|(number, busy)| (*number, busy))
    }

    /// The library's own call that has not returned for `least_ns`.
    pub(super) fn library_busy(&self, now_ns: u64, least_ns: u64) -> Option<Busy> {
        let mut of = self.busy(now_ns, least_ns).filter(|(number, _)| *number == LIBRARY);
        of.next().map(|(_, busy)| busy.clone())
    }
}
