//! A container's CPU quota holds it back.

use std::collections::BTreeMap;

use crate::diagnosis::detectors::{Hold, Limit};
use crate::diagnosis::{
    Bench, Conclusion, Counters, Entry, Look, Page, Place, Rule, Setting, Subject, Wants,
};
use crate::schema::{Action, Health, MetricId, Severity};

/// What the family knows of this rule.
pub(super) static RULE: Entry = Entry {
    name: "container_throttled",
    summary: "A container's CPU quota holds it back.",
    page: Page {
        concludes: "A container used up its CPU quota in a large share of its periods.",
        matters: "An engine whose scheduler or tokenizer is held back for the rest of a period \
                  leaves its accelerators idle, though their utilization may look fine.",
        needs: "The container's counts of periods and of throttled periods over a minute.",
        silent: "For short bursts, and for containers without a quota.",
        remedy: "Raise or remove the CPU limit; requests alone keep the share fair.",
    },
    settings: &[
        Setting {
            key: "share_ratio",
            default: 0.25,
            range: (0.01, 1.0),
            help: "Share of periods held back from which it counts.",
        },
        Setting {
            key: "hold_s",
            default: 60.0,
            range: (0.0, 3600.0),
            help: "How long that must last, seconds.",
        },
    ],
    wants: Wants {
        metrics: &[MetricId::ContainerCpuPeriods, MetricId::ContainerThrottledPeriods],
        ..Wants::NOTHING
    },
    consequence_of: &[],
    follows_driver: false,
    open: || {
        let counters = Counters::over(60_000_000_000);
        Box::new(ContainerThrottled { counters, holds: BTreeMap::new() })
    },
};

#[derive(Debug)]
struct ContainerThrottled {
    counters: Counters,
    holds: BTreeMap<Place, Hold>,
}

impl Rule for ContainerThrottled {
    fn look(&mut self, place: Place, bench: &mut Bench<'_>) -> Look {
        let Some(of) = bench.device(place) else { return Look::Done };
        let periods = self.counters.grown(bench, place, MetricId::ContainerCpuPeriods);
        let throttled = self.counters.grown(bench, place, MetricId::ContainerThrottledPeriods);
        let (Some(periods), Some(throttled)) = (periods, throttled) else { return Look::Again };
        let share = if periods >= 50.0 { throttled / periods } else { 0.0 };
        let limit = bench.setting("share_ratio");
        let limits = Limit::above(limit, limit * 0.6, bench.setting_ns("hold_s"));
        let hold = self.holds.entry(place).or_default();
        let subject = Subject::of(&of.device);
        if hold.take(bench.now_ns(), share, &limits) {
            let evidence = vec![
                bench.evidence(place, MetricId::ContainerThrottledPeriods, None),
                bench.evidence(place, MetricId::ContainerCpuQuota, None),
            ];
            let source = bench.setting_source("share_ratio");
            let name = &of.device.name;
            bench.hold(subject, "", Severity::Warning, || Conclusion {
                text: format!(
                    "Container {name} is held back by its CPU quota in {:.0} % of its periods.",
                    share * 100.0
                ),
                cause: "Its CPU limit is lower than what it needs in bursts.".into(),
                confidence: 0.9,
                evidence,
                action: Action::ChangeSetting,
                steps: vec![format!("Raise or remove the CPU limit of container {name}.")],
                health: Health::Degraded,
                limit_source: source,
                ..Conclusion::default()
            });
        } else {
            bench.clear(subject, "");
        }
        Look::Again
    }

    fn forget(&mut self, place: Place) {
        self.counters.forget(place);
        self.holds.remove(&place);
    }
}

#[cfg(test)]
mod tests {
    use crate::diagnosis::rules::trial::{Trial, device};
    use crate::schema::MetricId::{
        ContainerCpuPeriods as Periods, ContainerThrottledPeriods as Throttled,
    };

    fn played(throttled: f64) -> Vec<String> {
        let mut trial = Trial::new();
        trial.device(&device(1, "container", "c1"));
        trial.grow(1, Periods, 0.0, 10.0);
        trial.grow(1, Throttled, 0.0, throttled);
        trial.seconds(200);
        trial.open()
    }

    #[test]
    fn a_large_share_of_periods_counts_and_a_small_one_does_not() {
        assert_eq!(played(5.0), ["container_throttled c1"]);
        assert_eq!(played(1.0), Vec::<String>::new());
    }
}
