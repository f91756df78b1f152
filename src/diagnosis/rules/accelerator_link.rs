//! Links between accelerators have errors, or are down.

use std::collections::BTreeMap;

use crate::diagnosis::detectors::Hold;
use crate::diagnosis::{
    Bench, Conclusion, Counters, Entry, LimitSource, Page, Place, Reach, Relation, Rule, Setting,
    Subject, Wants,
};
use crate::schema::{Action, Evidence, Health, MetricId, Severity};

/// What the family knows of this rule.
pub(super) static RULE: Entry = Entry {
    name: "accelerator_link",
    summary: "A link between accelerators has errors, or is down.",
    page: Page {
        concludes: "Checksum errors, repeats or recoveries on NVLink or HCCS grow, or fewer links \
                    are up than the device has. Two devices with errors at the same time are the \
                    two ends of one link, and one verdict; more than two point to what they share.",
        matters: "Tensor-parallel steps wait for the slowest link in every layer.",
        needs: "The link counters over five minutes, or the counts of links.",
        silent: "For a few repeats, and for links that the device does not have.",
        remedy: "Reset the devices at both ends; then reseat or replace bridge, baseboard or \
                 module.",
    },
    settings: &[
        Setting {
            key: "errors",
            default: 100.0,
            range: (1.0, 1e9),
            help: "Errors within ten minutes from which it counts.",
        },
        Setting {
            key: "hold_s",
            default: 10.0,
            range: (0.0, 3600.0),
            help: "How long links must be down, seconds.",
        },
    ],
    wants: Wants { ticks: true, ..Wants::NOTHING },
    consequence_of: &[
        Relation::to("device_gone", Reach::Node, 60),
        Relation::to("xid", Reach::Same, 60),
        Relation::to("sxid", Reach::Node, 60),
    ],
    follows_driver: true,
    open: || {
        let counters = Counters::over(600_000_000_000);
        Box::new(AcceleratorLink { counters, errors: BTreeMap::new(), down: BTreeMap::new() })
    },
};

#[derive(Debug)]
struct AcceleratorLink {
    counters: Counters,
    errors: BTreeMap<Place, Hold>,
    down: BTreeMap<Place, Hold>,
}

const COUNTERS: [MetricId; 3] = [
    MetricId::AcceleratorLinkCrcErrors,
    MetricId::AcceleratorLinkReplays,
    MetricId::AcceleratorLinkRecoveries,
];

impl Rule for AcceleratorLink {
    fn tick(&mut self, bench: &mut Bench<'_>) {
        self.tell_down(bench);
        let limit = bench.setting("errors");
        let mut bad: Vec<(f64, Place, &str)> = Vec::new();
        for (place, of) in bench.known().accelerators() {
            let mut grown = None;
            for metric in COUNTERS {
                if let Some(by) = self.counters.grown(bench, place, metric) {
                    grown = Some(grown.unwrap_or(0.0) + by);
                }
            }
            let Some(grown) = grown else { continue };
            let hold = self.errors.entry(place).or_default();
            let over = if hold.is_on() { grown >= limit / 2.0 } else { grown >= limit };
            if hold.is(bench.now_ns(), over, 0) {
                bad.push((grown, place, &of.device.name));
            } else {
                bench.clear(Subject::of(&of.device), "errors");
            }
        }
        tell_errors(bad, bench);
    }

    fn forget(&mut self, place: Place) {
        self.counters.forget(place);
        self.errors.remove(&place);
        self.down.remove(&place);
    }
}

impl AcceleratorLink {
    fn tell_down(&mut self, bench: &mut Bench<'_>) {
        for (place, of) in bench.known().accelerators() {
            let all = of.value(MetricId::AcceleratorLinks);
            let up = bench.value(place, MetricId::AcceleratorLinksActive);
            let (Some(all), Some(up)) = (all, up) else { continue };
            let hold = self.down.entry(place).or_default();
            let subject = Subject::of(&of.device);
            // Where none is up, none is plugged: a board that stands alone.
            let missing = up < all && up > 0.0;
            if hold.is(bench.now_ns(), missing, bench.setting_ns("hold_s")) {
                let metric = MetricId::AcceleratorLinksActive;
                let evidence = vec![bench.evidence(place, metric, Some(all))];
                let name = &of.device.name;
                bench.hold(subject, "down", Severity::Error, || Conclusion {
                    text: format!("Only {up} of {all} links of {name} to other devices are up."),
                    cause: "A bridge, a module or the device at the other end.".into(),
                    confidence: 0.85,
                    evidence,
                    ..words(name)
                });
            } else {
                bench.clear(subject, "down");
            }
        }
    }
}

/// One verdict for the two ends of a link, or for what more of them share.
fn tell_errors(mut bad: Vec<(f64, Place, &str)>, bench: &mut Bench<'_>) {
    bad.sort_by(|one, other| other.0.total_cmp(&one.0).then(one.2.cmp(other.2)));
    let node = bench.node();
    let evidence: Vec<Evidence> = bad
        .iter()
        .take(4)
        .flat_map(|(_, place, _)| [(*place, COUNTERS[0]), (*place, COUNTERS[1])])
        .filter(|(place, metric)| bench.value(*place, *metric).is_some())
        .map(|(place, metric)| bench.evidence(place, metric, None))
        .collect();
    let names: Vec<&str> = bad.iter().map(|(.., name)| *name).collect();
    if names.len() > 2 {
        for name in &names {
            bench.clear(Subject::device(name), "errors");
        }
        let who = names.iter().take(16).copied().collect::<Vec<_>>().join(", ");
        bench.hold(node, "errors", Severity::Error, || Conclusion {
            text: format!("Links between accelerators have errors on {}: {who}.", names.len()),
            cause: "Something that they share: the baseboard, a switch, or one device whose \
                    errors all others see."
                .into(),
            confidence: 0.7,
            evidence,
            ..words(&who)
        });
        return;
    }
    bench.clear(node, "errors");
    let Some(first) = names.first() else { return };
    let (who, cause) = match names.get(1) {
        Some(other) => {
            bench.clear(Subject::device(other), "errors");
            (format!("between {first} and {other}"), "Both ends count errors: the link itself.")
        }
        None => (format!("of {first}"), "The device's end, or the bridge at it."),
    };
    let grown = bad[0].0;
    bench.hold(Subject::device(first), "errors", Severity::Warning, || Conclusion {
        text: format!("A link {who} had {grown:.0} errors in ten minutes."),
        cause: cause.into(),
        confidence: 0.8,
        evidence,
        ..words(first)
    });
}

fn words(name: &str) -> Conclusion {
    Conclusion {
        action: Action::RepairLink,
        steps: vec![
            format!("Drain and reset {name} and what is at the other end of the link."),
            "If it comes back, reseat or replace bridge, module or baseboard.".into(),
        ],
        health: Health::Degraded,
        limit_source: LimitSource::Default,
        ..Conclusion::default()
    }
}

#[cfg(test)]
mod tests {
    use crate::diagnosis::rules::trial::{Trial, gpu};
    use crate::schema::MetricId::{
        AcceleratorLinkReplays as Replays, AcceleratorLinks as Links,
        AcceleratorLinksActive as Active,
    };

    fn played(rates: &[f64]) -> Trial {
        let mut trial = Trial::new();
        for (index, rate) in rates.iter().enumerate() {
            trial.device(&gpu(index as u32));
            trial.grow(index as u32, Replays, 5000.0, *rate);
        }
        trial.seconds(400);
        trial
    }

    #[test]
    fn both_ends_are_one_verdict_and_many_are_the_nodes() {
        let mut both = played(&[0.0, 2.0, 3.0, 0.0]);
        let told = both.told();
        assert_eq!(both.open(), ["accelerator_link gpu2"]);
        assert!(told.last().expect("told").text.contains("gpu2 and gpu1"), "{told:?}");
        assert_eq!(played(&[2.0; 4]).open(), ["accelerator_link node1"]);
        assert_eq!(played(&[0.01; 4]).open(), Vec::<String>::new());
        assert_eq!(played(&[]).open(), Vec::<String>::new());
    }

    #[test]
    fn a_link_that_is_down_counts_and_a_board_without_bridges_does_not() {
        for (active, open) in [(17.0, 1), (18.0, 0), (0.0, 0)] {
            let mut trial = Trial::new();
            trial.device(&gpu(0));
            trial.set(0, Links, 18.0);
            trial.set(0, Active, active);
            trial.seconds(30);
            assert_eq!(trial.open().len(), open, "{active}");
        }
    }
}
