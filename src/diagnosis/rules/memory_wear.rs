//! The memory of an accelerator wears out, step by step.

use std::collections::BTreeMap;

use crate::diagnosis::detectors::{Forecast, Hold};
use crate::diagnosis::limits::pages_retired_max;
use crate::diagnosis::{
    Bench, Conclusion, Counters, DeviceFacts, Entry, LimitSource, Look, Page, Place, Reach,
    Relation, Rule, Setting, Subject, Wants,
};
use crate::schema::{Action, Health, MetricId, Severity};

/// What the family knows of this rule.
pub(super) static RULE: Entry = Entry {
    name: "memory_wear",
    summary: "The memory of a GPU or NPU is failing slowly.",
    page: Page {
        concludes: "Device memory goes down a ladder: corrected errors grow, rows or pages wait for \
                    a reset to be replaced, spare rows run out, a row can not be replaced. One \
                    verdict says on which step it stands, and grows graver with it.",
        matters: "The next step loses data: engines on the device crash or compute with garbage. \
                  Seen early, the board is changed at a time of your choosing.",
        needs: "Any of: the count of corrected errors, remapped rows, retired pages, spare rows, \
                the vendor's threshold of on-chip errors.",
        silent: "For a few corrected errors, which are what error correction is for, and for rows \
                 that were replaced long ago.",
        remedy: "Reset when rows or pages wait for it; replace the board when spares run out, a \
                 row can not be replaced or the on-chip threshold is passed.",
    },
    settings: &[
        Setting {
            key: "corrected",
            default: 1000.0,
            range: (1.0, 1e12),
            help: "Corrected errors within an hour from which their growth counts.",
        },
        Setting {
            key: "days_ahead",
            default: 7.0,
            range: (0.1, 365.0),
            help: "It counts when retired pages reach the most allowed within so many days.",
        },
        Setting {
            key: "pages_max",
            default: 64.0,
            range: (1.0, 1e6),
            help: "Retired pages at which the vendors replace a board.",
        },
    ],
    wants: Wants {
        metrics: &[
            MetricId::AcceleratorEccCorrected,
            MetricId::AcceleratorRowRemapPending,
            MetricId::AcceleratorRowRemapFailed,
            MetricId::AcceleratorPagesRetirePending,
            MetricId::AcceleratorPagesRetiredCorrected,
            MetricId::AcceleratorPagesRetiredUncorrected,
            MetricId::AcceleratorBanksWithoutSpare,
            MetricId::AcceleratorSramThreshold,
        ],
        ..Wants::NOTHING
    },
    // Data that was lost is what a person should read first; that its cells
    // now wait for a reset follows from it.
    consequence_of: &[
        Relation { key: "48", ..Relation::to("xid", Reach::Same, 600) },
        Relation { key: "94", ..Relation::to("xid", Reach::Same, 600) },
        Relation { key: "95", ..Relation::to("xid", Reach::Same, 600) },
        Relation { key: "171", ..Relation::to("xid", Reach::Same, 600) },
        Relation::to("ecc_uncorrected", Reach::Same, 600),
    ],
    follows_driver: true,
    open: || {
        Box::new(MemoryWear { counters: Counters::over(3_600_000_000_000), cards: BTreeMap::new() })
    },
};

#[derive(Debug)]
struct MemoryWear {
    counters: Counters,
    cards: BTreeMap<Place, Card>,
}

#[derive(Debug, Default)]
struct Card {
    pages: Forecast,
    corrected: Hold,
    /// Its pages run out; a pause between two of them does not change that.
    soon: bool,
}

/// A step of the ladder, with its words.
struct Rung {
    severity: Severity,
    action: Action,
    health: Health,
    text: String,
    first: &'static str,
    metric: MetricId,
    limit: Option<f64>,
    limit_source: LimitSource,
}

impl Rule for MemoryWear {
    fn look(&mut self, place: Place, bench: &mut Bench<'_>) -> Look {
        let Some(of) = bench.device(place).filter(|of| of.is_accelerator()) else {
            return Look::Done;
        };
        let grown = self.counters.grown(bench, place, MetricId::AcceleratorEccCorrected);
        let card = self.cards.entry(place).or_default();
        if let Some(pages) = pages(of) {
            card.pages.take(bench.now_ns(), pages, HOUR_NS);
        }
        let rung = defect(of, place, bench)
            .or_else(|| spares(of, place, bench, &card.pages, &mut card.soon))
            .or_else(|| corrected(of, bench, grown, &mut card.corrected));
        let subject = Subject::of(&of.device);
        match rung {
            None => bench.clear(subject, ""),
            Some(rung) => {
                let mut evidence = vec![bench.evidence(place, rung.metric, rung.limit)];
                evidence.push(bench.evidence(place, MetricId::AcceleratorEccCorrected, None));
                bench.hold(subject, "", rung.severity, || conclusion(rung, evidence));
            }
        }
        Look::Again
    }

    fn forget(&mut self, place: Place) {
        self.counters.forget(place);
        self.cards.remove(&place);
    }
}

/// Something that is so, and stays so until somebody acts.
fn defect(of: &DeviceFacts, place: Place, bench: &Bench<'_>) -> Option<Rung> {
    let name = &of.device.name;
    let up = |metric| bench.is_up(place, metric);
    let replace = |text: String, metric| Rung {
        severity: Severity::Critical,
        action: Action::ReplacePart,
        health: Health::Failed,
        text,
        first: "Stop using the device, and have the board replaced.",
        metric,
        limit: None,
        limit_source: LimitSource::Device,
    };
    if up(MetricId::AcceleratorRowRemapFailed) {
        let text = format!("A bad row of {name}'s memory can not be replaced.");
        return Some(replace(text, MetricId::AcceleratorRowRemapFailed));
    }
    if up(MetricId::AcceleratorSramThreshold) {
        let text = format!("Errors on the chip of {name} passed what the vendor allows.");
        return Some(replace(text, MetricId::AcceleratorSramThreshold));
    }
    let pending = [MetricId::AcceleratorRowRemapPending, MetricId::AcceleratorPagesRetirePending];
    let metric = pending.into_iter().find(|metric| up(*metric))?;
    Some(Rung {
        severity: Severity::Warning,
        action: Action::ResetDevice,
        health: Health::Suspect,
        text: format!("Bad memory of {name} waits for a reset to be replaced."),
        first: "Drain the device and reset it; the driver then takes the bad memory out of use.",
        metric,
        limit: None,
        limit_source: LimitSource::Device,
    })
}

/// Spares that run out.
fn spares(
    of: &DeviceFacts,
    place: Place,
    bench: &Bench<'_>,
    past: &Forecast,
    was_soon: &mut bool,
) -> Option<Rung> {
    let name = &of.device.name;
    if bench.is_up(place, MetricId::AcceleratorBanksWithoutSpare) {
        return Some(Rung {
            severity: Severity::Error,
            action: Action::ReplacePart,
            health: Health::Suspect,
            text: format!("A bank of {name}'s memory has no spare row left."),
            first: "Have the board replaced at the next maintenance.",
            metric: MetricId::AcceleratorBanksWithoutSpare,
            limit: None,
            limit_source: LimitSource::Device,
        });
    }
    let pages = pages(of)?;
    let set = bench.setting("pages_max");
    let source = bench.setting_source("pages_max");
    let most = if source == LimitSource::Operator { set } else { pages_retired_max().limit };
    let seconds = past.seconds_to(most).filter(|seconds| *seconds > 0.0);
    // Twice as far away, or no growth at all, ends it.
    let ahead_s = bench.setting("days_ahead") * DAY_S * if *was_soon { 2.0 } else { 1.0 };
    let soon = seconds.is_some_and(|seconds| seconds <= ahead_s);
    *was_soon = soon;
    let full = pages >= most;
    if !soon && !full {
        return None;
    }
    let days = seconds.unwrap_or_default() / DAY_S;
    let text = if full {
        format!("{name} has {pages} pages of memory out of use, as many as it may.")
    } else {
        format!("{name} takes pages of memory out of use; the most it may is {days:.1} days away.")
    };
    Some(Rung {
        severity: if full { Severity::Error } else { Severity::Warning },
        action: Action::ReplacePart,
        health: Health::Suspect,
        text,
        first: "Have the board replaced at the next maintenance.",
        metric: MetricId::AcceleratorPagesRetiredCorrected,
        limit: Some(most),
        limit_source: source,
    })
}

fn corrected(
    of: &DeviceFacts,
    bench: &Bench<'_>,
    grown: Option<f64>,
    hold: &mut Hold,
) -> Option<Rung> {
    let limit = bench.setting("corrected");
    let grown = grown?;
    let bad = if hold.is_on() { grown >= limit / 2.0 } else { grown >= limit };
    hold.is(bench.now_ns(), bad, 0).then(|| Rung {
        severity: Severity::Warning,
        action: Action::Investigate,
        health: Health::Degraded,
        text: format!("{} corrected {grown:.0} memory errors within an hour.", of.device.name),
        first: "Watch for rows that wait for a reset, and plan one.",
        metric: MetricId::AcceleratorEccCorrected,
        limit: None,
        limit_source: bench.setting_source("corrected"),
    })
}

fn pages(of: &DeviceFacts) -> Option<f64> {
    let corrected = of.value(MetricId::AcceleratorPagesRetiredCorrected);
    let uncorrected = of.value(MetricId::AcceleratorPagesRetiredUncorrected);
    (corrected.is_some() || uncorrected.is_some())
        .then(|| corrected.unwrap_or(0.0) + uncorrected.unwrap_or(0.0))
}

fn conclusion(rung: Rung, evidence: Vec<crate::schema::Evidence>) -> Conclusion {
    Conclusion {
        text: rung.text,
        cause: "Cells of the memory are failing.".into(),
        confidence: 0.9,
        evidence,
        action: rung.action,
        steps: vec![
            rung.first.into(),
            "Keep the verdict's evidence for the vendor's return form.".into(),
        ],
        health: rung.health,
        limit_source: rung.limit_source,
        ..Conclusion::default()
    }
}

const HOUR_NS: u64 = 3_600_000_000_000;
const DAY_S: f64 = 86_400.0;

#[cfg(test)]
mod tests {
    use crate::diagnosis::rules::trial::{Trial, gpu};
    use crate::schema::MetricId::{
        AcceleratorEccCorrected as Corrected, AcceleratorPagesRetiredCorrected as Pages,
        AcceleratorRowRemapFailed as Failed, AcceleratorRowRemapPending as Pending,
    };
    use crate::schema::{Action, Severity, VerdictState};

    #[test]
    fn one_verdict_goes_down_the_ladder() {
        let mut trial = Trial::new();
        trial.device(&gpu(0));
        trial.grow(0, Corrected, 0.0, 1.0);
        trial.set(0, Pending, 0.0);
        trial.set(0, Failed, 0.0);
        trial.seconds(3000);
        trial.set(0, Pending, 1.0);
        trial.seconds(60);
        trial.set(0, Failed, 1.0);
        trial.seconds(60);
        let told = trial.told();
        assert!(told.iter().all(|of| of.id == told[0].id));
        assert_eq!(told[0].severity, Severity::Warning);
        let last = told.last().expect("told");
        assert_eq!((last.severity, last.action), (Severity::Critical, Action::ReplacePart));
        trial.set(0, Failed, 0.0);
        trial.set(0, Pending, 0.0);
        trial.grow(0, Corrected, 0.0, 0.0);
        trial.seconds(5000);
        assert_eq!(trial.told().last().map(|of| of.state), Some(VerdictState::Resolved));
    }

    #[test]
    fn a_few_corrected_errors_and_old_pages_are_no_trouble() {
        let mut trial = Trial::new();
        trial.device(&gpu(0));
        trial.grow(0, Corrected, 5000.0, 0.01);
        trial.set(0, Pages, 12.0);
        trial.seconds(5000);
        assert_eq!(trial.open(), Vec::<String>::new());
    }

    #[test]
    fn pages_that_grow_towards_the_most_are_seen_days_ahead() {
        let mut trial = Trial::new();
        trial.device(&gpu(0));
        for hour in 0..12 {
            trial.set(0, Pages, 20.0 + f64::from(hour));
            trial.at.monotonic_ns += 3_600_000_000_000;
            trial.at.wall_ns += 3_600_000_000_000;
            trial.seconds(2);
        }
        assert_eq!(trial.open(), ["memory_wear gpu0"]);
    }

    #[test]
    fn a_recorded_row_points_to_the_memory_that_waits_and_that_to_the_data_that_was_lost() {
        let recorded = "NVRM: Xid (PCI:0000:10:00): 63, pid=1, name=a, Row Remapper: New row marked for remapping, reset gpu to activate.";
        let mut trial = Trial::new();
        trial.device(&gpu(0));
        trial.line(recorded);
        trial.set(0, Pending, 1.0);
        trial.seconds(5);
        let open: Vec<_> = trial.stage.open().cloned().collect();
        let of = |rule: &str| open.iter().find(|of| of.rule == rule).expect("open");
        assert_eq!(
            (of("memory_wear").caused_by, of("memory_wear").action),
            (0, Action::ResetDevice)
        );
        assert_eq!(of("xid").caused_by, of("memory_wear").id);
        let mut trial = Trial::new();
        trial.device(&gpu(0));
        trial.line("NVRM: Xid (PCI:0000:10:00): 48, pid=1, name=a, DBE");
        trial.line(recorded);
        trial.set(0, Pending, 1.0);
        trial.seconds(5);
        let lost = trial.stage.open().find(|of| of.text.contains("Xid 48")).expect("open").id;
        assert!(trial.stage.open().all(|of| of.id == lost || of.caused_by == lost));
        let mut trial = Trial::new();
        trial.device(&gpu(0));
        trial.device(&gpu(1));
        trial.line(recorded);
        trial.set(1, Pending, 1.0);
        trial.seconds(5);
        assert!(trial.stage.open().all(|of| of.caused_by == 0), "another GPU");
    }
}
