//! The parent: keeps a child that reads, judges its silence, and replaces it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::Facts;
use super::known::Known;
use super::left_out::{LeftOut, PAUSE_NS_MAX, PAUSE_NS_MIN};
use super::reader::{Reader, Said};
use crate::platform::child::{Leaving, Patience, growing_pause_ns};
use crate::platform::clock::{self, MILLISECOND_NS, SECOND_NS};
use crate::samplers::procfs::TickReport;
use crate::schema::{EventKind, MetricId, Severity};

/// Most children that were killed and cannot end. With so many nothing is read
/// until one of them ends.
pub const STUCK_MAX: usize = 4;

/// Children that one tick starts at most.
const STARTS_PER_TICK: u32 = 3;

/// A round that takes longer is ended, and the file at which it stands left out.
const ROUND_NS_MAX: u64 = 60 * SECOND_NS;

/// The verb, as `cli` knows it.
const VERB: [&str; 3] = ["sampler-child", super::NAME, "--host-root"];

/// What events call the reading process itself.
const CHILD: &str = "hardware_sys child";

/// How long things may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// A file that does not answer for so long is left out, ns.
    pub silence_ns: u64,
    /// Devices are looked for anew after so long, ns.
    pub discover_ns: u64,
}

impl Limits {
    /// Limits in the units of the settings.
    #[must_use]
    pub const fn new(silence_ms: u64, discover_s: u64) -> Self {
        Self {
            silence_ns: silence_ms.saturating_mul(MILLISECOND_NS),
            discover_ns: discover_s.saturating_mul(SECOND_NS),
        }
    }
}

/// Samples the node's hardware through a child.
#[derive(Debug)]
pub struct HardwareSys {
    program: PathBuf,
    arguments: Vec<OsString>,
    limits: Limits,
    never: Vec<String>,
    reader: Option<Reader>,
    trial: Option<Trial>,
    leaving: Leaving,
    left_out: LeftOut,
    known: Known,
    pace: Pace,
}

/// A child of its own for a path that did not answer.
#[derive(Debug)]
struct Trial {
    reader: Reader,
    path: String,
}

/// What is due when, and what was said of it.
#[derive(Debug, Default)]
struct Pace {
    round: u32,
    discover_at_ns: u64,
    start_at_ns: u64,
    failures: u32,
    said_stuck: bool,
}

/// Whether the tick goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tick {
    Over,
    /// Another child reads the rest.
    GoesOn,
}

impl HardwareSys {
    /// Reads below `host_root` by children that are `program`.
    #[must_use]
    pub fn new(program: &Path, host_root: &Path, limits: Limits) -> Self {
        let mut arguments: Vec<OsString> = VERB.map(OsString::from).into();
        arguments.push(host_root.into());
        Self {
            program: program.to_owned(),
            arguments,
            limits,
            never: Vec::new(),
            reader: None,
            trial: None,
            leaving: Leaving::default(),
            left_out: LeftOut::default(),
            known: Known::default(),
            pace: Pace::default(),
        }
    }

    /// Never reads these paths below `/sys`, nor what stands below them.
    #[must_use]
    pub fn without(mut self, paths: Vec<String>) -> Self {
        self.never = paths;
        self
    }

    /// One round of reading, or the rest of one that takes long. Lasts little
    /// longer than twice the deadline of one file.
    pub fn tick(&mut self, now_ns: u64, facts: &mut dyn Facts) -> TickReport {
        self.leaving.reap();
        self.judge_trial(now_ns, facts);
        self.begin_trial(now_ns);
        let until_ns = clock::monotonic_ns().saturating_add(2 * self.limits.silence_ns);
        let mut report = TickReport::default();
        for _ in 0..STARTS_PER_TICK {
            if self.turn(now_ns, until_ns, &mut report, facts) == Tick::Over {
                break;
            }
        }
        if self.reader.is_none() {
            self.known.forget_all(facts);
        }
        self.put_own(now_ns, &report, facts);
        report
    }

    /// The process that reads, if one does.
    #[must_use]
    pub fn reader_id(&self) -> Option<u32> {
        self.reader.as_ref().map(|reader| reader.child.id())
    }

    /// Files that are left out since they did not answer.
    #[must_use]
    pub const fn hanging(&self) -> usize {
        self.left_out.len()
    }

    /// Devices that the child told of.
    #[must_use]
    pub fn devices(&self) -> usize {
        self.known.len()
    }

    /// Asks if need be, and listens.
    fn turn(
        &mut self,
        now_ns: u64,
        until_ns: u64,
        report: &mut TickReport,
        facts: &mut dyn Facts,
    ) -> Tick {
        if self.reader.is_none() && !self.start(now_ns, facts) {
            return Tick::Over;
        }
        let Some(mut reader) = self.reader.take() else { return Tick::Over };
        if !reader.is_asked() && !self.ask(&mut reader, now_ns, facts) {
            return self.replace(reader, Said::Ended, now_ns, facts);
        }
        let patience = Patience { silence_ns: self.limits.silence_ns, until_ns };
        match reader.listen(patience, &mut self.known, facts) {
            Said::Done => {
                *report = reader.report();
                report.devices_gone = self.known.end_round(facts);
                self.answered(facts);
            }
            Said::Later if reader.lasts_ns(now_ns) > ROUND_NS_MAX => {
                return self.replace(reader, Said::Later, now_ns, facts);
            }
            Said::Later => {}
            said => return self.replace(reader, said, now_ns, facts),
        }
        self.reader = Some(reader);
        Tick::Over
    }

    fn ask(&mut self, reader: &mut Reader, now_ns: u64, facts: &mut dyn Facts) -> bool {
        let anew = !reader.greeted || now_ns >= self.pace.discover_at_ns;
        if anew {
            self.pace.discover_at_ns = now_ns.saturating_add(self.limits.discover_ns);
        }
        self.pace.round = self.pace.round.wrapping_add(1);
        self.known.begin_round(facts);
        reader.ask(self.pace.round, anew, now_ns).is_ok()
    }

    /// Starts a child that reads; false when that has to wait.
    fn start(&mut self, now_ns: u64, facts: &mut dyn Facts) -> bool {
        if self.leaving.reap() >= STUCK_MAX {
            self.say_stuck(facts);
            return false;
        }
        if now_ns < self.pace.start_at_ns {
            return false;
        }
        self.known.begin_child();
        let never = self.never.iter().map(String::as_str);
        let paths = never.chain(self.left_out.paths());
        match Reader::start(&self.program, &self.arguments, paths) {
            Ok(reader) => {
                self.reader = Some(reader);
                true
            }
            Err(error) => {
                self.failed(now_ns, &format!("cannot be started: {error}"), facts);
                false
            }
        }
    }

    /// Kills a child that is of no more use, and leaves out what it read.
    fn replace(&mut self, reader: Reader, said: Said, now_ns: u64, facts: &mut dyn Facts) -> Tick {
        let at = if said == Said::Nonsense { String::new() } else { reader.at };
        let silent_ms = self.limits.silence_ns / MILLISECOND_NS;
        self.leaving.kill(reader.child);
        if at.is_empty() {
            let why = match said {
                Said::Silence => format!("did not answer for {silent_ms} ms"),
                Said::Ended => "ended".to_owned(),
                _ => "said what makes no sense".to_owned(),
            };
            self.failed(now_ns, &why, facts);
            return Tick::GoesOn;
        }
        if !self.left_out.add(&at, now_ns) {
            self.pace.start_at_ns = now_ns.saturating_add(PAUSE_NS_MAX);
        }
        let how = match said {
            Said::Silence => format!("has not answered for {silent_ms} ms"),
            Said::Later => format!("is read in a round of over {} s", ROUND_NS_MAX / SECOND_NS),
            _ => "ended the process that read it".to_owned(),
        };
        let text = format!(
            "/sys/{at} {how}; it is left out and tried again in {} s",
            PAUSE_NS_MIN / SECOND_NS
        );
        facts.say(EventKind::SourceHangs, Severity::Warning, &format!("/sys/{at}"), text);
        Tick::GoesOn
    }

    /// A child that failed by itself.
    fn failed(&mut self, now_ns: u64, why: &str, facts: &mut dyn Facts) {
        self.pace.failed(now_ns);
        // The first may be anything; twice in a row is worth a word, once.
        if self.pace.failures == 2 {
            let text = format!("the process that reads /sys {why}; it is started again later");
            facts.say(EventKind::SourceHangs, Severity::Warning, CHILD, text);
        }
    }

    fn answered(&mut self, facts: &mut dyn Facts) {
        if self.pace.failures >= 2 || self.pace.said_stuck {
            let text = "the process that reads /sys works again".to_owned();
            facts.say(EventKind::SourceAnswers, Severity::Info, CHILD, text);
        }
        self.pace.failures = 0;
        self.pace.said_stuck = false;
    }

    fn say_stuck(&mut self, facts: &mut dyn Facts) {
        if !self.pace.said_stuck {
            self.pace.said_stuck = true;
            let ids: Vec<_> = self.leaving.ids().map(|id| id.to_string()).collect();
            let text = format!(
                "{STUCK_MAX} processes that read /sys were killed and cannot end (process {}); \
                 nothing is read until one does",
                ids.join(", ")
            );
            facts.say(EventKind::SourceHangs, Severity::Error, CHILD, text);
        }
    }

    /// Tries a path that is due, unless children that cannot end leave no room.
    fn begin_trial(&mut self, now_ns: u64) {
        if self.trial.is_some() || self.leaving.reap() + 1 >= STUCK_MAX {
            return;
        }
        let Some(path) = self.left_out.due(now_ns).map(str::to_owned) else { return };
        let reader = Reader::start(&self.program, &self.arguments, std::iter::empty())
            .and_then(|mut reader| reader.attempt(&path).map(|()| reader));
        match reader {
            Ok(reader) => self.trial = Some(Trial { reader, path }),
            Err(_) => self.left_out.again(&path, now_ns),
        }
    }

    /// Looks whether the path that is tried answers; never waits for it.
    fn judge_trial(&mut self, now_ns: u64, facts: &mut dyn Facts) {
        let Some(mut trial) = self.trial.take() else { return };
        let patience = Patience { silence_ns: self.limits.silence_ns, until_ns: 0 };
        // Whatever else it says is about nothing that is known.
        let said = trial.reader.listen(patience, &mut Known::default(), facts);
        if said == Said::Later {
            self.trial = Some(trial);
            return;
        }
        self.leaving.kill(trial.reader.child);
        if said != Said::Done {
            self.left_out.again(&trial.path, now_ns);
            return;
        }
        let since_ns = self.left_out.remove(&trial.path).unwrap_or(now_ns);
        let path = format!("/sys/{}", trial.path);
        let text =
            format!("{path} answers again after {} s", now_ns.saturating_sub(since_ns) / SECOND_NS);
        facts.say(EventKind::SourceAnswers, Severity::Info, &path, text);
        if let Some(reader) = self.reader.take() {
            self.leaving.kill(reader.child);
        }
    }

    /// How this sampler itself does.
    fn put_own(&mut self, now_ns: u64, report: &TickReport, facts: &mut dyn Facts) {
        let own = facts.device("sampler", super::NAME);
        let stuck = self.leaving.reap();
        facts.put(own, MetricId::SourcesHanging, now_ns, self.left_out.len() as f64);
        facts.put(own, MetricId::ChildrenStuck, now_ns, stuck as f64);
        facts.put(own, MetricId::HardwareAbsent, now_ns, f64::from(report.absent_total()));
    }
}

impl Pace {
    /// A child that failed is replaced at once the first time, and after a
    /// growing pause from then on.
    fn failed(&mut self, now_ns: u64) {
        let pause_ns = growing_pause_ns(self.failures, PAUSE_NS_MIN, PAUSE_NS_MAX);
        self.start_at_ns = now_ns.saturating_add(pause_ns);
        self.failures = self.failures.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_that_fail_are_started_at_a_growing_pause() {
        let mut pace = Pace::default();
        let mut pauses_s = Vec::new();
        for _ in 0..9 {
            pace.failed(SECOND_NS);
            pauses_s.push(pace.start_at_ns / SECOND_NS - 1);
        }
        assert_eq!(pauses_s, [0, 60, 120, 240, 480, 960, 1920, 3600, 3600]);
        pace.failures = u32::MAX;
        pace.failed(u64::MAX);
        assert_eq!(pace.start_at_ns, u64::MAX);
    }
}
