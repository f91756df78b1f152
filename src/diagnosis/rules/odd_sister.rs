//! One accelerator does worse than its sisters at the same work.

use std::collections::BTreeMap;

use crate::diagnosis::detectors::{Hold, odd_one_out};
use crate::diagnosis::{
    Bench, Conclusion, Entry, Page, Place, Reach, Relation, Rule, Setting, Subject, Wants,
};
use crate::schema::{Action, Health, MetricId, Severity};

/// What the family knows of this rule.
pub(super) static RULE: Entry = Entry {
    name: "odd_sister",
    summary: "One GPU or NPU runs at lower clocks than its sisters at the same work.",
    page: Page {
        concludes: "Of at least four busy devices of one model, one runs at a clock far below the \
                    median of all.",
        matters: "A group of cards goes at the pace of its slowest.",
        needs: "Clock and utilization of at least four busy devices of the same model.",
        silent: "For idle devices, for devices of different models, and where another verdict \
                 says why it is slow.",
        remedy: "Look for a lowered power limit or locked clocks; swap the card to find out \
                 whether it or its slot is at fault.",
    },
    settings: &[
        Setting {
            key: "busy_ratio",
            default: 0.8,
            range: (0.1, 1.0),
            help: "Utilization from which devices are compared.",
        },
        Setting {
            key: "below_ratio",
            default: 0.1,
            range: (0.01, 1.0),
            help: "It counts from so far below the median, as a share of it.",
        },
        Setting {
            key: "hold_s",
            default: 120.0,
            range: (0.0, 86_400.0),
            help: "How long that must last, seconds.",
        },
    ],
    wants: Wants { ticks: true, ..Wants::NOTHING },
    consequence_of: &[
        Relation::to("thermal_throttle", Reach::Same, 600),
        Relation::to("power_cap", Reach::Same, 600),
        Relation::to("power_brake", Reach::Same, 600),
    ],
    follows_driver: false,
    open: || Box::new(OddSister { holds: BTreeMap::new() }),
};

#[derive(Debug)]
struct OddSister {
    holds: BTreeMap<Place, Hold>,
}

impl Rule for OddSister {
    fn tick(&mut self, bench: &mut Bench<'_>) {
        let busy_ratio = bench.setting("busy_ratio");
        let mut models: BTreeMap<&str, Vec<(Place, f64)>> = BTreeMap::new();
        let mut idle = Vec::new();
        for (place, of) in bench.known().accelerators() {
            let clock = bench.value(place, MetricId::AcceleratorClock);
            let busy = bench.value(place, MetricId::AcceleratorUtilization);
            let model = of.device.accelerator.as_ref().map_or("", |of| of.device_model.as_str());
            match clock {
                Some(clock) if busy.is_some_and(|busy| busy >= busy_ratio) => {
                    models.entry(model).or_default().push((place, clock));
                }
                _ => idle.push(place),
            }
        }
        for place in idle {
            self.judge(place, None, bench);
        }
        for sisters in models.values() {
            let clocks: Vec<f64> = sisters.iter().map(|(_, clock)| *clock).collect();
            let mut sorted = clocks.clone();
            let middle = crate::diagnosis::detectors::median(&mut sorted).unwrap_or_default();
            for (at, (place, clock)) in sisters.iter().enumerate() {
                let least = middle * bench.setting("below_ratio") / 3.0;
                let odd = odd_one_out(&clocks, at, least).is_some_and(|off| off <= -3.0);
                self.judge(*place, odd.then_some((*clock, middle)), bench);
            }
        }
    }

    fn forget(&mut self, place: Place) {
        self.holds.remove(&place);
    }
}

impl OddSister {
    fn judge(&mut self, place: Place, odd: Option<(f64, f64)>, bench: &mut Bench<'_>) {
        let Some(of) = bench.device(place) else { return };
        if odd.is_none() && !self.holds.contains_key(&place) {
            return;
        }
        let hold = self.holds.entry(place).or_default();
        let subject = Subject::of(&of.device);
        let on = hold.is(bench.now_ns(), odd.is_some(), bench.setting_ns("hold_s"));
        match odd.filter(|_| on) {
            None if on => {}
            None => bench.clear(subject, ""),
            Some((clock, middle)) => {
                let evidence = vec![
                    bench.evidence(place, MetricId::AcceleratorClock, Some(middle)),
                    bench.evidence(place, MetricId::AcceleratorUtilization, None),
                    bench.evidence(place, MetricId::AcceleratorPower, None),
                ];
                let name = &of.device.name;
                bench.hold(subject, "", Severity::Warning, || Conclusion {
                    text: format!(
                        "{name} runs at {:.0} MHz where its sisters at the same work run at {:.0}.",
                        clock / 1e6,
                        middle / 1e6
                    ),
                    cause: "A limit that only it has, or a worse chip, cooler or slot.".into(),
                    confidence: 0.7,
                    evidence,
                    action: Action::Investigate,
                    steps: vec![
                        format!("Compare the power limit and locked clocks of {name} with theirs."),
                        "Swap it with a sister to tell card and slot apart.".into(),
                    ],
                    health: Health::Degraded,
                    ..Conclusion::default()
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::diagnosis::rules::trial::{Trial, gpu};
    use crate::schema::MetricId::{AcceleratorClock as Clock, AcceleratorUtilization as Busy};

    fn played(clocks: &[f64], busy: f64) -> Vec<String> {
        let mut trial = Trial::new();
        for (index, clock) in clocks.iter().enumerate() {
            let index = index as u32;
            trial.device(&gpu(index));
            trial.set(index, Clock, clock * 1e6);
            trial.set(index, Busy, if index == 1 { busy } else { 0.95 });
        }
        trial.seconds(200);
        trial.open()
    }

    #[test]
    fn a_slow_sister_at_the_same_work_counts() {
        let slow = [1980.0, 1200.0, 1965.0, 1980.0, 1970.0];
        assert_eq!(played(&slow, 0.95), ["odd_sister gpu1"]);
        assert_eq!(played(&slow, 0.2), Vec::<String>::new());
        assert_eq!(played(&slow[..3], 0.95), Vec::<String>::new());
        assert_eq!(played(&[1980.0, 1900.0, 1965.0, 1980.0], 0.95), Vec::<String>::new());
    }
}
