//! What a log came to: the newest revision of every verdict, and what was
//! seen besides.

use std::collections::BTreeMap;

use crate::diagnosis::lines::{Detail, Sighting, What};
use crate::schema::{Severity, Verdict, VerdictState};

/// What a log came to.
#[derive(Debug, Default)]
pub struct Story {
    /// Lines, or batches of a recording, that said anything.
    pub lines: u64,
    /// What was counted: `batches` of a recording; empty stands for lines.
    pub counts: &'static str,
    /// Bytes that were read.
    pub bytes: u64,
    /// The earliest and the latest time that lines gave, ns.
    pub span: Option<(u64, u64)>,
    /// Verdicts that found no room.
    pub untold: u64,
    told: BTreeMap<u64, Told>,
    besides: BTreeMap<&'static str, u64>,
}

/// A verdict over all its revisions.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// The newest revision; its count is that of all.
    pub verdict: Verdict,
    /// When it began first, ns.
    pub since_ns: u64,
    /// What was counted before it began anew.
    before: u64,
    newest_count: u64,
}

impl Story {
    /// Folds revisions.
    pub(super) fn take(&mut self, verdicts: Vec<Verdict>) {
        for verdict in verdicts {
            if let Some(told) = self.told.get_mut(&verdict.id) {
                told.revise(verdict);
            } else if self.told.len() < TOLD_MAX {
                let told = Told {
                    since_ns: verdict.since_wall_ns,
                    before: 0,
                    newest_count: verdict.count,
                    verdict,
                };
                self.told.insert(told.verdict.id, told);
            } else {
                self.untold += 1;
            }
        }
    }

    /// A line said this.
    pub(super) fn noted(&mut self, seen: &Sighting<'_>) {
        if let Some((word, _)) = beside(seen) {
            *self.besides.entry(word).or_default() += 1;
        }
    }

    /// A line gave this time.
    pub(super) fn span(&mut self, ns: u64) {
        self.span = Some(match self.span {
            Some((first, last)) => (first.min(ns), last.max(ns)),
            None => (ns, ns),
        });
    }

    /// Whether anything needs a person.
    #[must_use]
    pub fn has_trouble(&self) -> bool {
        self.told.values().any(|told| told.verdict.severity >= Severity::Warning)
    }

    /// How many verdicts there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.told.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.told.is_empty()
    }

    /// Verdicts that stand alone, the gravest and then the earliest first.
    pub(super) fn causes(&self) -> Vec<&Told> {
        let alone = |told: &&Told| {
            told.verdict.caused_by == 0 || !self.told.contains_key(&told.verdict.caused_by)
        };
        let mut causes: Vec<&Told> = self.told.values().filter(alone).collect();
        causes.sort_by_key(|told| {
            (std::cmp::Reverse(told.verdict.severity), told.since_ns, told.verdict.id)
        });
        causes
    }

    /// What follows from a verdict, directly.
    pub(super) fn consequences(&self, id: u64) -> impl Iterator<Item = &Told> {
        self.told.values().filter(move |told| told.verdict.caused_by == id)
    }

    /// Every verdict, in the order of the ids.
    pub fn all(&self) -> impl Iterator<Item = &Told> {
        self.told.values()
    }

    /// What was seen that came to no verdict, with how often.
    pub(super) fn besides(&self) -> Vec<(&'static str, u64)> {
        let judged = |rule: &str| self.told.values().any(|told| told.verdict.rule == rule);
        let rule = |word: &str| BESIDES.iter().find(|(known, _)| *known == word).map(|(_, of)| *of);
        let stands = |word: &str| rule(word).is_some_and(|rule| rule.is_empty() || !judged(rule));
        let besides = self.besides.iter().filter(|(word, _)| stands(word));
        besides.map(|(word, count)| (*word, *count)).collect()
    }
}

impl Told {
    fn revise(&mut self, verdict: Verdict) {
        // One that was over and is forgotten begins to count anew.
        if verdict.count < self.newest_count {
            self.before += self.newest_count;
        }
        self.newest_count = verdict.count;
        let evidence = std::mem::take(&mut self.verdict.evidence);
        self.verdict = verdict;
        if self.verdict.evidence.is_empty() {
            self.verdict.evidence = evidence;
        }
        self.verdict.count = self.before + self.newest_count;
    }

    /// Whether it is over by the end of the log.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.verdict.state == VerdictState::Resolved
    }
}

/// What a line is that may be no trouble by itself, and which rule judges it.
fn beside(seen: &Sighting<'_>) -> Option<(&'static str, &'static str)> {
    let at = match (seen.what, seen.detail) {
        (What::PcieError, Detail::Pcie { corrected: true, .. }) => 0,
        (What::MemoryCorrected | What::FirmwareCorrected | What::MachineCheck, _) => 1,
        (What::MachineCheckLogged, _) => 2,
        (What::LinkDown, _) => 3,
        (What::XidMalformed, _) => 4,
        (What::AscendError, _) => 5,
        (What::Segfault, _) => 6,
        _ => return None,
    };
    Some(BESIDES[at])
}

const BESIDES: [(&str, &str); 7] = [
    ("PCIe errors that were corrected, too few to matter", "pcie_aer"),
    ("memory or processor errors that were corrected, too few to matter", "machine_check"),
    ("notes that machine checks were logged elsewhere", ""),
    ("network links that went down, too rarely to matter", "link_flap"),
    ("lines of an Xid whose number cannot be read", ""),
    ("other errors of the Ascend driver", ""),
    ("crashes of programs", "process_crash"),
];

/// Most verdicts of one log.
const TOLD_MAX: usize = 4096;
