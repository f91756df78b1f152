//! A node's cooling does not suffice: many of its accelerators slow down
//! against heat at once.

use super::thermal_throttle::is_slowed;
use crate::diagnosis::detectors::Hold;
use crate::diagnosis::{Bench, Conclusion, Entry, Page, Rule, Setting, Wants, told_evidence};
use crate::schema::{Action, Health, MetricId, Severity};

/// What the family knows of this rule.
pub(super) static RULE: Entry = Entry {
    name: "cooling",
    summary: "Many accelerators of a node slow down against heat at once.",
    page: Page {
        concludes: "At least half of the node's accelerators, and at least `devices`, slow down \
                    against heat at the same time: their common air is at fault, not the cards.",
        matters: "Every engine of the node becomes slow at once, and cards that are too hot for \
                  long fail early.",
        needs: "The same evidence as thermal_throttle, of several accelerators at once.",
        silent: "For one hot card among cool ones, which is that card's own verdict.",
        remedy: "Check fans, filters, blanking panels, the inlet temperature and the room.",
    },
    settings: &[
        Setting {
            key: "devices",
            default: 3.0,
            range: (2.0, 64.0),
            help: "Fewest accelerators that must be hot at once.",
        },
        Setting {
            key: "hold_s",
            default: 5.0,
            range: (0.0, 3600.0),
            help: "How long that must last, seconds.",
        },
    ],
    wants: Wants { ticks: true, ..Wants::NOTHING },
    consequence_of: &[],
    follows_driver: false,
    open: || Box::new(Cooling { hold: Hold::default() }),
};

#[derive(Debug)]
struct Cooling {
    hold: Hold,
}

impl Rule for Cooling {
    fn tick(&mut self, bench: &mut Bench<'_>) {
        let known = bench.known();
        let (mut all, mut hot) = (0, Vec::new());
        for (place, of) in known.accelerators() {
            all += 1;
            if is_slowed(of, place, bench) {
                hot.push((place, of.device.name.as_str()));
            }
        }
        let many = hot.len() as f64 >= bench.setting("devices") && hot.len() * 2 >= all;
        let node = bench.node();
        if !self.hold.is(bench.now_ns(), many, bench.setting_ns("hold_s")) {
            bench.clear(node, "");
            return;
        }
        let names: Vec<&str> = hot.iter().map(|(_, name)| *name).take(16).collect();
        let mut evidence = vec![told_evidence(
            bench.at().wall_ns,
            node.name,
            format!("slowed down against heat: {}", names.join(", ")),
        )];
        for (place, _) in hot.iter().take(5) {
            evidence.push(bench.evidence(*place, MetricId::AcceleratorTemperature, None));
        }
        bench.hold(node, "", Severity::Error, || Conclusion {
            text: format!("{} of {all} accelerators slow down against heat at once.", names.len()),
            cause: "The air of the node is too little or too warm.".into(),
            confidence: 0.9,
            evidence,
            action: Action::RepairCooling,
            steps: vec![
                "Check the chassis' fans, filters and blanking panels.".into(),
                "Check the inlet temperature and the cooling of the room.".into(),
                "Until then give the node less load, or lower the power limits.".into(),
            ],
            health: Health::Degraded,
            ..Conclusion::default()
        });
    }
}

#[cfg(test)]
mod tests {
    use crate::diagnosis::rules::trial::{Trial, gpu};
    use crate::schema::MetricId::{
        AcceleratorTemperature as Celsius, AcceleratorThrottleThermalSoftware as Software,
    };

    fn hot(hot: u32, all: u32) -> Trial {
        let mut trial = Trial::new();
        for index in 0..all {
            trial.device(&gpu(index));
            trial.set(index, Celsius, if index < hot { 90.0 } else { 60.0 });
            trial.set(index, Software, f64::from(u8::from(index < hot)));
        }
        trial.seconds(30);
        trial
    }

    #[test]
    fn many_hot_cards_are_one_trouble_and_each_points_to_it() {
        let mut trial = hot(6, 8);
        let told = trial.told();
        let cause = told.iter().find(|of| of.rule == "cooling").expect("told");
        let cards: Vec<_> = told.iter().filter(|of| of.rule == "thermal_throttle").collect();
        assert_eq!(cards.len(), 6);
        assert!(cards.iter().all(|of| of.caused_by == cause.id));
    }

    #[test]
    fn two_hot_cards_of_eight_are_not_the_room() {
        assert!(hot(2, 8).open().iter().all(|of| !of.starts_with("cooling")));
        assert_eq!(hot(0, 0).open(), Vec::<String>::new());
    }
}
