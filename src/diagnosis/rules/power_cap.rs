//! A power limit below the device's own default slows it down.

use std::collections::BTreeMap;

use crate::diagnosis::detectors::Hold;
use crate::diagnosis::{
    Bench, Conclusion, Entry, LimitSource, Look, Page, Place, Rule, Setting, Subject, Wants,
};
use crate::schema::{Action, Health, MetricId, Severity};

/// What the family knows of this rule.
pub(super) static RULE: Entry = Entry {
    name: "power_cap",
    summary: "A lowered power limit slows a GPU or NPU down.",
    page: Page {
        concludes: "The power limit in force is lower than the one the board starts with, and the \
                    device runs against it for long.",
        matters: "The same work takes longer than on its sisters, and a group of cards goes at the \
                  pace of the one that is held back.",
        needs: "The limit in force, the default limit, and power as the clocks' reason.",
        silent: "At full load against the board's own limit: that is what boards do. For a lowered \
                 limit that is not reached.",
        remedy: "Set the limit back with the vendor's tool, or acknowledge it if it is meant.",
    },
    settings: &[
        Setting {
            key: "lowered_ratio",
            default: 0.9,
            range: (0.1, 1.0),
            help: "The limit counts as lowered at this share of the default or below.",
        },
        Setting {
            key: "hold_s",
            default: 60.0,
            range: (0.0, 3600.0),
            help: "How long it must be held back, seconds.",
        },
    ],
    wants: Wants {
        metrics: &[MetricId::AcceleratorThrottlePowerCap, MetricId::AcceleratorPowerLimit],
        ..Wants::NOTHING
    },
    consequence_of: &[],
    follows_driver: false,
    open: || Box::new(PowerCap { cards: BTreeMap::new() }),
};

#[derive(Debug)]
struct PowerCap {
    cards: BTreeMap<Place, Hold>,
}

impl Rule for PowerCap {
    fn look(&mut self, place: Place, bench: &mut Bench<'_>) -> Look {
        let Some(of) = bench.device(place) else { return Look::Done };
        let limit = bench.value(place, MetricId::AcceleratorPowerLimit);
        let default = of.value(MetricId::AcceleratorPowerLimitDefault);
        let (Some(limit), Some(default)) = (limit, default) else { return Look::Done };
        let lowered = default > 0.0 && limit <= default * bench.setting("lowered_ratio");
        let capped = lowered && bench.is_up(place, MetricId::AcceleratorThrottlePowerCap);
        let hold = self.cards.entry(place).or_default();
        let subject = Subject::of(&of.device);
        if hold.is(bench.now_ns(), capped, bench.setting_ns("hold_s")) {
            let evidence = vec![
                bench.evidence(place, MetricId::AcceleratorPowerLimit, Some(default)),
                bench.evidence(place, MetricId::AcceleratorPower, Some(limit)),
                bench.evidence(place, MetricId::AcceleratorClock, None),
            ];
            let name = &of.device.name;
            bench.hold(subject, "", Severity::Warning, || Conclusion {
                text: format!(
                    "{name} is held back by a power limit of {limit} W where its own is {default} W."
                ),
                cause: "Somebody lowered the limit, or the chassis asked for it.".into(),
                confidence: 0.9,
                evidence,
                action: Action::ChangeSetting,
                steps: vec![
                    format!("Set the power limit of {name} back to {default} W."),
                    "If it is meant, acknowledge this verdict.".into(),
                ],
                health: Health::Degraded,
                limit_source: LimitSource::Device,
                ..Conclusion::default()
            });
        } else {
            bench.clear(subject, "");
        }
        if hold.is_on() || hold.waits() { Look::Again } else { Look::Done }
    }

    fn forget(&mut self, place: Place) {
        self.cards.remove(&place);
    }
}

#[cfg(test)]
mod tests {
    use crate::diagnosis::rules::trial::{Trial, gpu};
    use crate::schema::MetricId::{
        AcceleratorPowerLimit as Limit, AcceleratorPowerLimitDefault as Default,
        AcceleratorThrottlePowerCap as Cap,
    };

    fn capped(limit: f64, default: Option<f64>) -> Vec<String> {
        let mut trial = Trial::new();
        trial.device(&gpu(0));
        if let Some(default) = default {
            trial.set(0, Default, default);
        }
        trial.set(0, Limit, limit);
        trial.set(0, Cap, 1.0);
        trial.seconds(120);
        trial.open()
    }

    #[test]
    fn only_a_lowered_limit_that_is_reached_counts() {
        assert_eq!(capped(400.0, Some(700.0)), ["power_cap gpu0"]);
        assert_eq!(capped(700.0, Some(700.0)), Vec::<String>::new());
        assert_eq!(capped(400.0, None), Vec::<String>::new());
    }
}
