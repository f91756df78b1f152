//! An accelerator runs hotter at full load than it used to.

use std::collections::BTreeMap;

use crate::diagnosis::detectors::{Drift, Hold};
use crate::diagnosis::{
    Bench, Conclusion, Entry, Look, Page, Place, Reach, Relation, Rule, Setting, Subject, Wants,
};
use crate::schema::{Action, Health, MetricId, Severity};

/// What the family knows of this rule.
pub(super) static RULE: Entry = Entry {
    name: "cooling_drift",
    summary: "A GPU or NPU runs hotter at full load than in its own past.",
    page: Page {
        concludes: "At the same high load and power a device is clearly hotter than it was in \
                    its own past, as a clogged filter or a tired fan makes it.",
        matters: "It comes before throttling: there is time to clean it while it still serves.",
        needs: "Temperature, utilization and power over hours of high load.",
        silent: "For the first hours, at other loads, and for a warm day that all its sisters \
                 share.",
        remedy: "Clean filter and heat sink, check the fan, at the next maintenance.",
    },
    settings: &[
        Setting {
            key: "hotter_celsius",
            default: 8.0,
            range: (1.0, 60.0),
            help: "It counts from so many degrees above its past.",
        },
        Setting {
            key: "learn_s",
            default: 600.0,
            range: (1.0, 86_400.0),
            help: "How often a sample of the past is kept, seconds; 24 are needed, 64 are kept.",
        },
        Setting {
            key: "hold_s",
            default: 600.0,
            range: (0.0, 86_400.0),
            help: "How long that must last, seconds.",
        },
    ],
    wants: Wants {
        metrics: &[MetricId::AcceleratorTemperature, MetricId::AcceleratorUtilization],
        ..Wants::NOTHING
    },
    consequence_of: &[
        Relation::to("cooling", Reach::Node, 3600),
        Relation::to("thermal_throttle", Reach::Same, 3600),
    ],
    follows_driver: false,
    open: || Box::new(CoolingDrift { cards: BTreeMap::new() }),
};

#[derive(Debug)]
struct CoolingDrift {
    cards: BTreeMap<Place, (Drift, Hold)>,
}

/// Load at which temperatures are compared.
const BUSY: f64 = 0.8;

impl Rule for CoolingDrift {
    fn look(&mut self, place: Place, bench: &mut Bench<'_>) -> Look {
        let Some(of) = bench.device(place) else { return Look::Done };
        let busy = bench.value(place, MetricId::AcceleratorUtilization);
        let celsius = bench.value(place, MetricId::AcceleratorTemperature);
        let (Some(celsius), true) = (celsius, busy.is_some_and(|busy| busy >= BUSY)) else {
            return Look::Done;
        };
        let (drift, hold) = self.cards.entry(place).or_default();
        let usual = drift.usual().unwrap_or(celsius);
        let off = drift.deviations(celsius, 1.5).unwrap_or_default();
        let hot = off >= 4.0 && celsius - usual >= bench.setting("hotter_celsius");
        if !hot {
            drift.learn(bench.now_ns(), celsius, bench.setting_ns("learn_s"));
        }
        let subject = Subject::of(&of.device);
        if hold.is(bench.now_ns(), hot, bench.setting_ns("hold_s")) {
            let evidence = vec![
                bench.evidence(place, MetricId::AcceleratorTemperature, Some(usual)),
                bench.evidence(place, MetricId::AcceleratorPower, None),
                bench.evidence(place, MetricId::AcceleratorFan, None),
            ];
            let name = &of.device.name;
            bench.hold(subject, "", Severity::Warning, || Conclusion {
                text: format!(
                    "{name} is at {celsius} °C under full load, where it used to be at {usual}."
                ),
                cause: "A clogged filter or heat sink, a tired fan, or warmer inlet air.".into(),
                confidence: 0.65,
                evidence,
                action: Action::RepairCooling,
                steps: vec!["Clean and check its cooling at the next maintenance.".into()],
                health: Health::Degraded,
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
        AcceleratorTemperature as Celsius, AcceleratorUtilization as Busy,
    };

    fn played(later: f64, busy: f64) -> Vec<String> {
        let mut trial = Trial::new();
        trial.device(&gpu(0));
        trial.set(0, Busy, 0.95);
        for sample in 0..30 {
            trial.set(0, Celsius, 60.0 + f64::from(sample % 3));
            trial.at.monotonic_ns += 600_000_000_000;
            trial.at.wall_ns += 600_000_000_000;
            trial.seconds(2);
        }
        trial.set(0, Busy, busy);
        for second in 0..700 {
            trial.set(0, Celsius, later + f64::from(second % 2));
            trial.seconds(1);
        }
        trial.open()
    }

    #[test]
    fn hotter_than_its_own_past_at_the_same_load_counts() {
        assert_eq!(played(75.0, 0.95), ["cooling_drift gpu0"]);
        assert_eq!(played(63.0, 0.95), Vec::<String>::new());
        assert_eq!(played(75.0, 0.1), Vec::<String>::new());
    }
}
