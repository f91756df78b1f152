//! What rules on kernel lines share: whose word counts, which device is
//! meant, and how much a flood of equal lines costs.

use std::collections::{BTreeMap, VecDeque};

use crate::diagnosis::lines::{Detail, Pci, Sighting, Speaker, recognise};
use crate::diagnosis::tables::{DATA_VERSION, Meaning};
use crate::diagnosis::{
    Bench, Conclusion, Fact, Rule, Setting, Subject, Wants, event_evidence, verdict_id,
};
use crate::schema::{Event, EventKind, Trust};

/// A line that counts, and what it says.
#[derive(Debug, Clone, Copy)]
pub(super) struct Heard<'a> {
    /// What it says.
    pub(super) seen: Sighting<'a>,
    /// The line.
    pub(super) event: &'a Event,
    /// How far its way here lets it be believed, 0 to 1.
    pub(super) sure: f32,
}

/// The line that a fact is, if it says something known and its word counts:
/// the kernel's own, by its facility, from its log or from a file that a
/// person chose; an Ascend driver's under its own facility where such a device
/// is there.
pub(super) fn heard<'a>(fact: &Fact<'a>, bench: &Bench<'_>) -> Option<Heard<'a>> {
    let Fact::Event(event) = *fact else { return None };
    if event.kind != EventKind::KernelLine {
        return None;
    }
    let log = event.log.as_ref()?;
    let speaker = Speaker::of(Some(log.facility));
    let sure = match (log.trust, speaker) {
        (Trust::Attested, _) => 1.0,
        (Trust::File, _) | (Trust::Polled, Speaker::Kernel) => 0.95,
        (Trust::Claimed, Speaker::AscendFacility) if has_npu(bench) => 0.9,
        _ => return None,
    };
    let seen = recognise(&event.text).filter(|seen| speaker.may_say(seen.what))?;
    Some(Heard { seen, event, sure })
}

fn has_npu(bench: &Bench<'_>) -> bool {
    bench.known().devices().any(|(_, of)| of.device.kind == "npu")
}

impl Heard<'_> {
    /// Says of a subject what follows from this line.
    pub(super) fn raise(
        &self,
        kept: &mut Kept,
        bench: &mut Bench<'_>,
        subject: Subject<'_>,
        key: &str,
        conclude: impl FnOnce() -> Conclusion,
    ) {
        let quiet_ns = bench.setting_ns("quiet_s");
        kept.pace.raise(bench, subject, key, || {
            let conclusion = conclude();
            Conclusion {
                confidence: conclusion.confidence * self.sure,
                evidence: vec![event_evidence(self.event)],
                quiet_ns: if conclusion.quiet_ns > 0 { conclusion.quiet_ns } else { quiet_ns },
                ..conclusion
            }
        });
    }

    /// When the line was logged, by the stage's count; it may be from before
    /// anybody looked.
    pub(super) fn logged_ns(&self, bench: &Bench<'_>) -> u64 {
        let age_ns = match self.event.wall_ns {
            0 => 0,
            wall_ns => bench.at().wall_ns.saturating_sub(wall_ns),
        };
        bench.now_ns().saturating_sub(age_ns)
    }

    /// Some words of the line that matter.
    pub(super) const fn said(&self) -> &str {
        match self.seen.detail {
            Detail::Said(said) => said,
            _ => "",
        }
    }
}

/// What a rule on lines keeps between them.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// How much of a flood is told.
    pub(super) pace: Pace,
    /// When what happened, by key.
    pub(super) recent: Recent<String>,
    /// Which device stands at which address.
    pub(super) names: Names,
}

/// Judges lines one by one, and keeps little between them.
pub(super) struct LineRule {
    judge: fn(&Heard<'_>, &mut Kept, &mut Bench<'_>),
    kept: Kept,
}

impl LineRule {
    /// A rule that judges lines so.
    pub(super) fn open(judge: fn(&Heard<'_>, &mut Kept, &mut Bench<'_>)) -> Box<dyn Rule> {
        Box::new(Self { judge, kept: Kept::default() })
    }
}

impl std::fmt::Debug for LineRule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LineRule").field("kept", &self.kept).finish_non_exhaustive()
    }
}

impl Rule for LineRule {
    fn fact(&mut self, fact: &Fact<'_>, bench: &mut Bench<'_>) {
        if matches!(fact, Fact::Device(_)) {
            self.kept.names.forget();
        } else if let Some(heard) = heard(fact, bench) {
            (self.judge)(&heard, &mut self.kept, bench);
        }
    }
}

/// What a rule on lines wants to be told.
pub(super) const LINES: Wants =
    Wants { events: &[EventKind::KernelLine], devices: true, ..Wants::NOTHING };

/// After how long without another one a fault is over.
pub(super) const fn quiet(default_s: f64) -> Setting {
    Setting {
        key: "quiet_s",
        default: default_s,
        range: (60.0, 2_592_000.0),
        help: "After how many seconds without another one it is over.",
    }
}

/// What a code means, as the start of a conclusion.
pub(super) fn of_meaning(meaning: &Meaning, text: String) -> Conclusion {
    Conclusion {
        severity: meaning.severity,
        text,
        cause: meaning.cause.clone().into_owned(),
        confidence: if meaning.known { 0.95 } else { 0.5 },
        action: meaning.action,
        steps: sentences(&meaning.steps),
        data_version: DATA_VERSION.to_owned(),
        ..Conclusion::default()
    }
}

/// Sentences as a verdict has them.
pub(super) fn sentences(steps: &[&str]) -> Vec<String> {
    steps.iter().map(|step| (*step).to_owned()).collect()
}

/// Names of devices by their address, looked up once while devices stay.
#[derive(Debug, Default)]
pub(super) struct Names {
    names: BTreeMap<Pci, String>,
}

impl Names {
    /// The name of the device at an address; the address where none is known.
    pub(super) fn of(&mut self, pci: Pci, bench: &Bench<'_>) -> &str {
        if self.names.len() >= KEYS_MAX {
            self.names.clear();
        }
        self.names.entry(pci).or_insert_with(|| {
            let address = pci.to_string();
            match bench.known().device_at_pci(&address) {
                Some((_, of)) if !of.device.name.is_empty() => of.device.name.clone(),
                _ => address,
            }
        })
    }

    /// Devices came, went or changed.
    pub(super) fn forget(&mut self) {
        self.names.clear();
    }
}

/// Lets the first occurrences of each key be told in full, and of a flood one
/// a second; the rest is counted.
#[derive(Debug, Default)]
pub(super) struct Pace {
    told: BTreeMap<u64, (u64, u32)>,
}

impl Pace {
    /// Whether this one is to be told in full.
    fn due(&mut self, subject: &str, key: &str, now_ns: u64) -> bool {
        if self.told.len() >= KEYS_MAX {
            self.told.clear();
        }
        let (last_ns, count) = self.told.entry(verdict_id("", "", subject, key)).or_default();
        let due = *count < TOLD_FIRST || now_ns.saturating_sub(*last_ns) >= TOLD_EVERY_NS;
        if due {
            (*last_ns, *count) = (now_ns, count.saturating_add(1));
        }
        due
    }

    /// It happened: concluded in full where it is due, counted where not.
    pub(super) fn raise(
        &mut self,
        bench: &mut Bench<'_>,
        subject: Subject<'_>,
        key: &str,
        conclude: impl FnOnce() -> Conclusion,
    ) {
        let due = self.due(subject.name, key, bench.now_ns());
        if !due && bench.again(subject, key) {
            return;
        }
        bench.raise(subject, key, conclude());
    }
}

/// When things happened, within a window, per key; bounded.
#[derive(Debug)]
pub(super) struct Recent<K> {
    times: BTreeMap<K, VecDeque<u64>>,
}

impl<K> Default for Recent<K> {
    fn default() -> Self {
        Self { times: BTreeMap::new() }
    }
}

impl<K: Ord + Clone> Recent<K> {
    /// It happened; how often within the window, at most [`TIMES_MAX`].
    pub(super) fn add(&mut self, key: K, now_ns: u64, window_ns: u64) -> usize {
        if self.times.len() >= KEYS_MAX && !self.times.contains_key(&key) {
            let oldest = self.times.iter().min_by_key(|(_, times)| times.back().copied());
            if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
                self.times.remove(&oldest);
            }
        }
        let times = self.times.entry(key).or_default();
        while times.front().is_some_and(|of| now_ns.saturating_sub(*of) > window_ns) {
            times.pop_front();
        }
        if times.len() >= TIMES_MAX {
            times.pop_front();
        }
        times.push_back(now_ns);
        times.len()
    }

    /// Keys that happened within this time of now.
    pub(super) fn within(&self, now_ns: u64, ns: u64) -> impl Iterator<Item = &K> {
        let young = move |times: &VecDeque<u64>| {
            times.back().is_some_and(|of| now_ns.saturating_sub(*of) <= ns)
        };
        self.times.iter().filter(move |(_, times)| young(times)).map(|(key, _)| key)
    }

    /// Whether this key happened within this time of now.
    pub(super) fn has(&self, key: &K, now_ns: u64, ns: u64) -> bool {
        let times = self.times.get(key);
        times.and_then(VecDeque::back).is_some_and(|of| now_ns.saturating_sub(*of) <= ns)
    }
}

/// Most keys that one rule keeps times or names of.
const KEYS_MAX: usize = 4096;
/// Most times that are kept of one key.
pub(super) const TIMES_MAX: usize = 256;
/// How many of each key are told in full at once.
const TOLD_FIRST: u32 = 4;
/// How often one more of a flood is told in full.
const TOLD_EVERY_NS: u64 = SECOND_NS;
/// A second.
pub(super) const SECOND_NS: u64 = 1_000_000_000;
/// An hour.
pub(super) const HOUR_NS: u64 = 3600 * SECOND_NS;

#[cfg(test)]
pub(super) mod told {
    //! Lines told to a stage on trial.

    use crate::diagnosis::Fact;
    use crate::diagnosis::rules::trial::Trial;
    use crate::schema::{Event, EventKind, LogRecord, Trust};

    impl Trial {
        /// The kernel's own word.
        pub(crate) fn line(&mut self, text: &str) {
            self.line_of(text, 0, Trust::Attested);
        }

        /// A line of this facility, by this way.
        pub(crate) fn line_of(&mut self, text: &str, facility: u16, trust: Trust) {
            let log = LogRecord { facility, level: 3, trust, ..LogRecord::default() };
            self.code(Event {
                kind: EventKind::KernelLine,
                source: "kmsg".into(),
                subject: "kernel".into(),
                text: text.into(),
                log: Some(log),
                ..Event::default()
            });
        }

        /// An event of this moment.
        pub(crate) fn code(&mut self, event: Event) {
            let event =
                Event { wall_ns: self.at.wall_ns, monotonic_ns: self.at.monotonic_ns, ..event };
            self.stage.fact(self.at, Fact::Event(&event));
        }

        /// Rule, subject, severity and action of what is open, in order.
        pub(crate) fn judged(&self) -> Vec<String> {
            let told = |of: &crate::schema::Verdict| {
                let (severity, action) = (of.severity.name(), of.action.name());
                format!("{} {} {severity}: {action}", of.rule, of.subject)
            };
            let mut judged: Vec<String> = self.stage.open().map(told).collect();
            judged.sort();
            judged
        }
    }
}
