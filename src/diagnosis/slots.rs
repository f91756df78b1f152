//! The rules of a plan, and which of them want which facts.

use super::known::Rules;
use super::plan::{Plan, THRESHOLDS_MAX, Threshold};
use super::rule::{Entry, Relation, Rule};
use super::rules;
use crate::schema::EventKind;

/// What a verdict needs to know of its rule.
#[derive(Debug)]
pub(super) struct Profile {
    pub(super) name: String,
    pub(super) page: String,
    pub(super) entry: &'static Entry,
    pub(super) relations: &'static [Relation],
    pub(super) follows_driver: bool,
}

#[derive(Debug)]
pub(super) struct Slot {
    pub(super) profile: Profile,
    pub(super) rule: Box<dyn Rule>,
    /// What the operator set, of a rule of the operator's own.
    threshold: Option<Threshold>,
}

/// Which rules want which facts, one bit each.
#[derive(Debug)]
pub(super) struct Wanted {
    metrics: Box<[Rules; METRIC_END]>,
    events: [Rules; EVENT_END],
    pub(super) devices: Rules,
    pub(super) engines: Rules,
    pub(super) steps: Rules,
    pub(super) details: Rules,
    pub(super) ticks: Rules,
}

/// The rules of a plan: those that ran before go on, the others begin.
pub(super) fn slots(plan: &Plan, before: &mut Vec<Slot>) -> Vec<Slot> {
    let mut slots = Vec::new();
    for entry in rules::ALL.iter().filter(|entry| plan.runs(entry.name)) {
        let known = before.iter().position(|slot| slot.profile.name == entry.name);
        slots.push(known.map_or_else(|| Slot::new(entry), |at| before.remove(at)));
    }
    for threshold in &plan.thresholds {
        let same = |slot: &Slot| slot.threshold.as_ref() == Some(threshold);
        let known = before.iter().position(same);
        slots.push(known.map_or_else(|| Slot::of_threshold(threshold), |at| before.remove(at)));
    }
    slots
}

impl Slot {
    fn of_threshold(threshold: &Threshold) -> Self {
        let mut slot = Self::new(&rules::threshold::RULE);
        slot.profile.name.clone_from(&threshold.name);
        slot.rule = rules::threshold::OverThreshold::open(threshold);
        slot.threshold = Some(threshold.clone());
        slot
    }

    fn new(entry: &'static Entry) -> Self {
        let profile = Profile {
            name: entry.name.to_owned(),
            page: format!("rules/{}.md", entry.name),
            entry,
            relations: entry.consequence_of,
            follows_driver: entry.follows_driver,
        };
        Self { profile, rule: (entry.open)(), threshold: None }
    }
}

impl Wanted {
    fn new() -> Self {
        Self {
            metrics: Box::new([0; METRIC_END]),
            events: [0; EVENT_END],
            devices: 0,
            engines: 0,
            steps: 0,
            details: 0,
            ticks: 0,
        }
    }

    pub(super) fn of(slots: &[Slot]) -> Self {
        let mut wanted = Self::new();
        for (at, slot) in slots.iter().enumerate() {
            wanted.add(at, slot.profile.entry);
            if let Some(threshold) = &slot.threshold {
                wanted.metrics[threshold.metric as usize] |= 1 << at;
            }
        }
        wanted
    }

    fn add(&mut self, slot: usize, entry: &Entry) {
        let bit: Rules = 1 << slot;
        let wants = &entry.wants;
        for metric in wants.metrics {
            self.metrics[*metric as usize] |= bit;
        }
        for kind in wants.events {
            self.events[*kind as usize] |= bit;
        }
        let flag = |wanted: bool| if wanted { bit } else { 0 };
        self.devices |= flag(wants.devices);
        self.engines |= flag(wants.engines);
        self.steps |= flag(wants.steps);
        self.details |= flag(wants.details);
        self.ticks |= flag(wants.ticks);
    }

    pub(super) fn event(&self, kind: EventKind) -> Rules {
        self.events.get(kind as usize).copied().unwrap_or(0)
    }

    pub(super) fn metric(&self, number: u16) -> Rules {
        self.metrics.get(usize::from(number)).copied().unwrap_or(0)
    }
}

/// The numbers of the bits that are set, from the lowest on.
pub(super) fn bits(mut rules: Rules) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let bit = rules.trailing_zeros() as usize;
        (rules != 0).then(|| {
            rules &= rules - 1;
            bit
        })
    })
}

/// One past the highest number of a metric that a rule can want.
const METRIC_END: usize = 1024;
/// One past the highest number of an event's kind.
const EVENT_END: usize = 64;
const _: () =
    assert!(rules::ALL.len() + THRESHOLDS_MAX <= Rules::BITS as usize, "one bit per rule");
