//! A signal from outside slows accelerators down.

use crate::diagnosis::detectors::Hold;
use crate::diagnosis::{Bench, Conclusion, Entry, Page, Place, Rule, Setting, Subject, Wants};
use crate::schema::{Action, Evidence, Health, MetricId, Severity};
use std::collections::BTreeMap;

/// What the family knows of this rule.
pub(super) static RULE: Entry = Entry {
    name: "power_brake",
    summary: "The power brake slows accelerators down.",
    page: Page {
        concludes: "The board's power brake input is held: the power supply, the chassis or its \
                    controller asks for less power. On several devices at once it is one verdict \
                    on the node.",
        matters: "Clocks fall to a fraction, so that every engine on the device crawls.",
        needs: "The power brake as a reason of the clocks, for `hold_s`.",
        silent: "For a brake shorter than that, and for the ordinary power limit.",
        remedy: "Check the power supplies and their redundancy, the power cabling and the event \
                 log of the chassis controller.",
    },
    settings: &[Setting {
        key: "hold_s",
        default: 5.0,
        range: (0.0, 3600.0),
        help: "How long the brake must be held, seconds.",
    }],
    wants: Wants { ticks: true, ..Wants::NOTHING },
    consequence_of: &[],
    follows_driver: false,
    open: || Box::new(PowerBrake { cards: BTreeMap::new() }),
};

#[derive(Debug)]
struct PowerBrake {
    cards: BTreeMap<Place, Hold>,
}

impl Rule for PowerBrake {
    fn tick(&mut self, bench: &mut Bench<'_>) {
        let known = bench.known();
        let brake = MetricId::AcceleratorThrottlePowerBrake;
        let mut held = Vec::new();
        for (place, of) in known.accelerators().filter(|(_, of)| of.held(brake).is_some()) {
            let hold = self.cards.entry(place).or_default();
            let up = bench.is_up(place, brake);
            if hold.is(bench.now_ns(), up, bench.setting_ns("hold_s")) {
                held.push((place, of));
            } else {
                bench.clear(Subject::of(&of.device), "");
            }
        }
        let node = bench.node();
        if held.len() >= 2 {
            let names: Vec<&str> =
                held.iter().map(|(_, of)| of.device.name.as_str()).take(16).collect();
            let evidence =
                held.iter().take(8).map(|(place, _)| bench.evidence(*place, brake, None));
            let evidence = evidence.collect();
            for (_, of) in &held {
                bench.clear(Subject::of(&of.device), "");
            }
            let who = names.join(", ");
            bench.hold(node, "", Severity::Error, || conclusion(&who, evidence));
            return;
        }
        bench.clear(node, "");
        for (place, of) in held {
            let evidence = vec![bench.evidence(place, brake, None)];
            let name = &of.device.name;
            bench.hold(Subject::of(&of.device), "", Severity::Error, || conclusion(name, evidence));
        }
    }

    fn forget(&mut self, place: Place) {
        self.cards.remove(&place);
    }
}

fn conclusion(who: &str, evidence: Vec<Evidence>) -> Conclusion {
    Conclusion {
        text: format!("The power brake slows down {who}."),
        cause: "The power supply or the chassis asks for less power: a supply failed, its \
                redundancy is lost, or a cable is loose."
            .into(),
        confidence: 0.9,
        evidence,
        action: Action::Investigate,
        steps: vec![
            "Read the event log of the chassis controller for its power supplies.".into(),
            "Check the supplies, their feeds and the cables to the boards.".into(),
        ],
        health: Health::Degraded,
        ..Conclusion::default()
    }
}

#[cfg(test)]
mod tests {
    use crate::diagnosis::rules::trial::{Trial, gpu};
    use crate::schema::MetricId::AcceleratorThrottlePowerBrake as Brake;

    fn braked(cards: u32, seconds: u64) -> Vec<String> {
        let mut trial = Trial::new();
        for index in 0..4 {
            trial.device(&gpu(index));
            if cards > 0 {
                trial.set(index, Brake, f64::from(u8::from(index < cards)));
            }
        }
        trial.seconds(seconds);
        trial.open()
    }

    #[test]
    fn one_brake_is_the_cards_and_several_are_the_nodes() {
        assert_eq!(braked(1, 20), ["power_brake gpu0"]);
        assert_eq!(braked(3, 20), ["power_brake node1"]);
        assert_eq!(braked(1, 3), Vec::<String>::new());
        assert_eq!(braked(0, 20), Vec::<String>::new());
    }
}
