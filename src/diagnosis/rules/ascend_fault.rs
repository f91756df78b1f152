//! An Ascend chip, its driver or its bus switch reports a fault by code.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use super::line::{
    HOUR_NS, Heard, LINES, Pace, Recent, SECOND_NS, heard, of_meaning, quiet, sentences,
};
use crate::diagnosis::lines::{AscendReport, Detail, What};
use crate::diagnosis::tables::ascend::{self, AscendFault, Level};
use crate::diagnosis::tables::{Meaning, steps_of};
use crate::diagnosis::{
    Bench, Conclusion, Entry, Fact, Page, Rule, Setting, Subject, Wants, event_evidence,
};
use crate::schema::{Action, Event, EventKind, FaultPhase, Health, Severity};

/// What the family knows of this rule.
pub(super) static RULE: Entry = Entry {
    name: "ascend_fault",
    summary: "An Ascend chip, its driver or its bus switch reports a fault by code.",
    page: Page {
        concludes: "What the code means and what the vendor's own tools would do about it: go \
                    on, restart the request or the job, reset the chip, or take it away. A code \
                    that no table knows is read by its bits. Codes that come again within a day \
                    become a case for a person, and a link that stays down takes its chip out of \
                    service.",
        matters: "An engine that spans chips stops with the first of them. Some codes are over \
                  with a retry of the request; others make every later answer wrong.",
        needs: "A line of the driver in the kernel's log, in either of its forms and whichever \
                facility it uses, or an event of the driver's library. Several about one fault \
                make one verdict, and the driver's word that a fault is over ends it.",
        silent: "For codes that the vendor's tools do not handle and the driver calls minor, it \
                 tells and asks for nothing; for lines that a program wrote, and under facility \
                 86 without an Ascend chip on the node, it says nothing.",
        remedy: "Follow the steps in their order; collect the chip's logs with msnpureport before \
                 a reset. The same code on several chips at once speaks for a cause outside them.",
    },
    settings: &[
        Setting {
            key: "link_down_s",
            default: 20.0,
            range: (1.0, 3600.0),
            help: "After how many seconds without its link (81078603) a chip gets no new job.",
        },
        Setting {
            key: "related_s",
            default: 300.0,
            range: (1.0, 86_400.0),
            help: "Within how many seconds a failed retry (8C1F860B) and a lost link are one \
                   trouble.",
        },
        Setting {
            key: "at_once_s",
            default: 30.0,
            range: (1.0, 3600.0),
            help: "The same code on several chips within so many seconds is not counted against \
                   any of them.",
        },
        quiet(3600.0),
    ],
    wants: Wants {
        events: &[
            EventKind::KernelLine,
            EventKind::DeviceFault,
            EventKind::DeviceReturned,
            EventKind::DeviceResetting,
        ],
        ticks: true,
        ..LINES
    },
    consequence_of: &[],
    follows_driver: false,
    open: || Box::<AscendRule>::default(),
};

#[derive(Debug, Default)]
struct AscendRule {
    pace: Pace,
    /// How often each code came per chip, for what comes too often.
    days: Recent<(String, u64)>,
    /// When each code came per chip.
    recent: Recent<(String, u64)>,
    /// Reports of the driver that were told, by chip, code and number.
    reports: Recent<(String, u64, u64)>,
    /// A code whose line told no state yet.
    pending: Option<(u64, Event, f32)>,
    /// Chips whose link is down, and since when.
    down: BTreeMap<String, u64>,
    /// Codes that may be open, by chip.
    keys: BTreeMap<String, std::collections::BTreeSet<String>>,
}

/// One report.
#[derive(Debug, Clone, Copy)]
struct Report<'a> {
    chip: &'a str,
    code: u64,
    severity: Option<u8>,
    phase: FaultPhase,
    serial: u64,
    event: &'a Event,
    sure: f32,
}

impl Rule for AscendRule {
    fn fact(&mut self, fact: &Fact<'_>, bench: &mut Bench<'_>) {
        let Fact::Event(event) = fact else { return };
        match event.kind {
            EventKind::KernelLine => {
                if let Some(heard) = heard(fact, bench) {
                    self.line(&heard, bench);
                }
            }
            EventKind::DeviceFault => {
                let fault = event.fault.unwrap_or_default();
                let report = Report {
                    chip: &event.subject,
                    code: event.code,
                    severity: Some(fault.severity).filter(|of| *of != 255),
                    phase: fault.phase,
                    serial: fault.serial,
                    event,
                    sure: 1.0,
                };
                self.report(&report, bench);
            }
            _ => self.over(&event.subject, bench),
        }
    }

    fn tick(&mut self, bench: &mut Bench<'_>) {
        self.settle(None, bench);
        let limit_ns = bench.setting_ns("link_down_s");
        let now_ns = bench.now_ns();
        let long: Vec<String> = self
            .down
            .iter()
            .filter(|(_, since_ns)| now_ns.saturating_sub(**since_ns) >= limit_ns)
            .map(|(chip, _)| chip.clone())
            .collect();
        for chip in long {
            self.down.remove(&chip);
            self.stays_down(&chip, bench);
        }
    }
}

impl AscendRule {
    fn line(&mut self, heard: &Heard<'_>, bench: &mut Bench<'_>) {
        let (seen, event, sure) = (&heard.seen, heard.event, heard.sure);
        if seen.what == What::AscendFaultDetail {
            let Detail::Ascend(of) = seen.detail else { return };
            return self.settle(Some(&of), bench);
        }
        self.settle(None, bench);
        let chip = match seen.unit {
            Some(unit) => format!("npu{unit}"),
            None => bench.node().name.to_owned(),
        };
        let mut report = Report {
            chip: &chip,
            code: seen.code,
            severity: None,
            phase: FaultPhase::Occurred,
            serial: 0,
            event,
            sure,
        };
        match (seen.what, seen.detail) {
            (What::AscendFault, Detail::Ascend(of)) if of.cleared.is_none() => {
                // The line that follows says whether it began or is over.
                self.pending = Some((seen.code, event.clone(), sure));
            }
            (What::AscendFault, Detail::Ascend(of)) => {
                report.severity = Some(of.severity).filter(|of| *of != 255);
                let raised = of.cleared == Some(false);
                report.phase = if raised { FaultPhase::Raised } else { FaultPhase::Cleared };
                report.serial = of.serial;
                self.report(&report, bench);
            }
            (What::AscendHeartbeatLost | What::AscendTaskScheduler, _) => {
                self.report(&report, bench);
            }
            (What::AscendSwitchFault, Detail::Ascend(of)) => self.switch(heard, &of, bench),
            (What::AscendTransfer, _) => {
                self.other(
                    heard,
                    &chip,
                    "transfer",
                    "A transfer between host and chip failed",
                    bench,
                );
            }
            (What::AscendNotReady, _) => {
                self.other(heard, &chip, "not_ready", "The driver gave up waiting for it", bench);
            }
            (What::AscendReportLost, _) => {
                self.other(
                    heard,
                    &chip,
                    "reports_lost",
                    "The driver lost reports of faults of it",
                    bench,
                );
            }
            (What::Booted, _) => {
                for chip in self.keys.keys().cloned().collect::<Vec<_>>() {
                    self.over(&chip, bench);
                }
            }
            _ => {}
        }
    }

    /// Judges the code whose line told no state, now that it is known or will
    /// not be.
    fn settle(&mut self, detail: Option<&AscendReport<'_>>, bench: &mut Bench<'_>) {
        let Some((code, event, sure)) = self.pending.take() else { return };
        let cleared = detail.and_then(|of| of.cleared) == Some(true);
        let report = Report {
            chip: bench.node().name,
            code,
            severity: detail.map(|of| of.severity).filter(|of| *of != 255),
            phase: if cleared { FaultPhase::Cleared } else { FaultPhase::Occurred },
            serial: 0,
            event: &event,
            sure,
        };
        self.report(&report, bench);
    }

    fn report(&mut self, of: &Report<'_>, bench: &mut Bench<'_>) {
        let now_ns = bench.now_ns();
        let subject = subject(of.chip, bench);
        let Ok(code) = u32::try_from(of.code) else { return };
        let key = format!("{code:08X}");
        if of.phase == FaultPhase::Cleared {
            self.down.remove(of.chip);
            bench.clear(subject, &key);
            if of.code == LINK_DOWN {
                bench.clear(subject, STAYS_DOWN);
            }
            return;
        }
        let report = (of.chip.to_owned(), of.code, of.serial);
        let repeated = of.serial != 0 && self.reports.has(&report, now_ns, HOUR_NS);
        self.reports.add(report, now_ns, HOUR_NS);
        if repeated && bench.is_open(subject, &key) {
            return;
        }
        let at_once_ns = bench.setting_ns("at_once_s");
        let elsewhere = self
            .recent
            .within(now_ns, at_once_ns)
            .any(|(chip, code)| *code == of.code && chip != of.chip);
        self.recent.add((of.chip.to_owned(), of.code), now_ns, HOUR_NS);
        let known = ascend::row(code);
        let times = match elsewhere {
            true => 0,
            false => self.days.add((of.chip.to_owned(), of.code), now_ns, 24 * HOUR_NS),
        };
        let level = self.level(of, known, times, bench);
        if of.code == LINK_DOWN && of.phase == FaultPhase::Raised && self.down.len() < CHIPS_MAX {
            self.down.entry(of.chip.to_owned()).or_insert(now_ns);
        }
        self.note(of.chip, &key);
        let quiet_ns = match of.phase {
            FaultPhase::Raised => 24 * HOUR_NS,
            _ => bench.setting_ns("quiet_s"),
        };
        self.pace.raise(bench, subject, &key, || {
            let meaning = ascend::meaning(code, of.severity);
            let mut conclusion = judged(of, &meaning, known, level, times);
            if elsewhere {
                conclusion.cause += " Other chips report the same at once, which speaks for a cause outside of this chip.";
                conclusion.confidence = 0.6;
            }
            conclusion.quiet_ns = quiet_ns;
            conclusion
        });
    }

    /// What the vendor's tools would do: by the row, by how often it came, and
    /// by what else came.
    fn level(
        &self,
        of: &Report<'_>,
        known: Option<&AscendFault>,
        times: usize,
        bench: &Bench<'_>,
    ) -> Option<Level> {
        let row = known?;
        if row.times_in_24h > 0 && times >= row.times_in_24h as usize {
            return Some(Level::ManuallySeparate);
        }
        let came = |code: u64| {
            let related_ns = bench.setting_ns("related_s");
            self.recent.has(&(of.chip.to_owned(), code), bench.now_ns(), related_ns)
        };
        match of.code {
            LINK_DOWN | RETRY_FAILED if came(LINK_DOWN) && came(RETRY_FAILED) => {
                Some(Level::Separate)
            }
            LINK_DOWN | RETRY_SUCCEEDED if came(LINK_DOWN) && came(RETRY_SUCCEEDED) => {
                Some(Level::SubHealth)
            }
            _ => Some(row.level),
        }
    }

    fn stays_down(&mut self, chip: &str, bench: &mut Bench<'_>) {
        let subject = subject(chip, bench);
        let seconds = bench.setting("link_down_s");
        let (wall_ns, limit_source) = (bench.at().wall_ns, bench.setting_source("link_down_s"));
        self.note(chip, STAYS_DOWN);
        self.pace.raise(bench, subject, STAYS_DOWN, || Conclusion {
            severity: Severity::Error,
            text: format!("The network link of {chip} has been down for more than {seconds} s."),
            cause: "Optics, cable or the port at the other end.".into(),
            confidence: 0.9,
            evidence: vec![crate::diagnosis::told_evidence(
                wall_ns,
                chip,
                format!("code {LINK_DOWN:08X} was raised and not cleared for {seconds} s"),
            )],
            action: Action::RepairLink,
            steps: sentences(&steps_of("a_no_new,a_optics,a_compare_peer")),
            health: Health::Suspect,
            quiet_ns: 24 * HOUR_NS,
            limit_source,
            by_product_of: vec![("ascend_fault", format!("{LINK_DOWN:08X}"))],
            by_product_ns: 3600 * SECOND_NS,
            ..Conclusion::default()
        });
    }

    fn switch(&mut self, heard: &Heard<'_>, of: &AscendReport<'_>, bench: &mut Bench<'_>) {
        let node = bench.node();
        let named = format!("[{}]", of.said);
        if of.cleared == Some(true) {
            return bench.clear(node, &named);
        }
        let quiet_ns = bench.setting_ns("quiet_s");
        self.pace.raise(bench, node, &named, || {
            let mut conclusion = match ascend::row_named(&named) {
                Some(row) => {
                    let meaning = row.to_meaning();
                    let text = format!("The bus switch reports {named}: {}.", meaning.meaning);
                    of_meaning(&meaning, text)
                }
                None => Conclusion {
                    text: format!("The bus switch reports {named}, which no table knows."),
                    cause: "A fault of the node's bus switch that is newer than the tables of \
                            this version, or a line that was cut."
                        .to_owned(),
                    confidence: 0.5,
                    steps: vec![
                        "Look the fault up in the vendor's list of bus switch alarms.".to_owned(),
                        "See whether devices behind the switch lost links at the same time."
                            .to_owned(),
                    ],
                    ..Conclusion::default()
                },
            };
            conclusion.confidence *= heard.sure;
            conclusion.evidence = vec![event_evidence(heard.event)];
            conclusion.quiet_ns = quiet_ns;
            conclusion
        });
    }

    /// What the driver says without a code.
    fn other(
        &mut self,
        heard: &Heard<'_>,
        chip: &str,
        key: &str,
        text: &str,
        bench: &mut Bench<'_>,
    ) {
        let lost = key == "reports_lost";
        let subject = subject(chip, bench);
        let quiet_ns = bench.setting_ns("quiet_s");
        self.pace.raise(bench, subject, key, || Conclusion {
            severity: if lost { Severity::Warning } else { Severity::Error },
            text: format!("{text} ({chip})."),
            cause: match lost {
                true => "More reports came than the driver keeps: some faults were never seen.",
                false => "The chip does not answer, or PCIe between host and chip is at fault.",
            }
            .into(),
            confidence: 0.8 * heard.sure,
            evidence: vec![event_evidence(heard.event)],
            action: Action::Investigate,
            steps: sentences(&steps_of(if lost { "a_error_text,a_logs" } else { "a_logs,a_slot" })),
            quiet_ns,
            ..Conclusion::default()
        });
    }

    fn note(&mut self, chip: &str, key: &str) {
        if self.keys.len() >= CHIPS_MAX && !self.keys.contains_key(chip) {
            return;
        }
        let keys = self.keys.entry(chip.to_owned()).or_default();
        if keys.len() < CODES_MAX {
            keys.insert(key.to_owned());
        }
    }

    /// A chip was reset or is back: what it had is over.
    fn over(&mut self, chip: &str, bench: &mut Bench<'_>) {
        self.down.remove(chip);
        let subject = subject(chip, bench);
        for key in self.keys.remove(chip).unwrap_or_default() {
            bench.clear(subject, &key);
        }
    }
}

/// A line that does not name its chip is about the node.
fn subject<'a>(chip: &'a str, bench: &Bench<'a>) -> Subject<'a> {
    if bench.node().name == chip { bench.node() } else { Subject::device(chip) }
}

fn judged(
    of: &Report<'_>,
    meaning: &Meaning,
    known: Option<&AscendFault>,
    level: Option<Level>,
    times: usize,
) -> Conclusion {
    let text = format!("{} reports {:08X}: {}.", of.chip, of.code, meaning.meaning);
    let mut conclusion = of_meaning(meaning, text);
    if let (Some(row), Some(level)) = (known, level) {
        (conclusion.severity, conclusion.action) = row.judged(level);
        if level != row.level {
            let why = match level {
                Level::ManuallySeparate => format!("it came {times} times within 24 hours"),
                _ => "another code of the same trouble came with it".to_owned(),
            };
            conclusion.cause +=
                &format!(" The vendor's policy takes it more seriously, since {why}.");
            let more = if level == Level::SubHealth { "a_policy" } else { "a_isolate,a_hw_check" };
            conclusion.steps.splice(0..0, sentences(&steps_of(more)));
        }
    }
    conclusion.health = match (conclusion.severity, conclusion.action) {
        (Severity::Critical, _) => Health::Failed,
        (_, Action::None | Action::RestartApplication) => Health::Healthy,
        (Severity::Error, _) => Health::Suspect,
        _ => Health::Degraded,
    };
    conclusion.confidence *= of.sure;
    conclusion.evidence = vec![event_evidence(of.event)];
    conclusion
}

/// A network port's link went down.
const LINK_DOWN: u64 = 0x8107_8603;
/// The retry of an operation over the network failed.
const RETRY_FAILED: u64 = 0x8C1F_860B;
/// It succeeded.
const RETRY_SUCCEEDED: u64 = 0x8C1F_8609;
/// Key of a link that stays down.
const STAYS_DOWN: &str = "link_stays_down";
/// Most chips, and codes of one, whose end is waited for.
const CHIPS_MAX: usize = 256;
const CODES_MAX: usize = 256;
