//! The stage: facts and time in, verdicts out.

use super::assessment::{Healths, Looks};
use super::at::{At, BASE_NS, Clock, SECOND_NS};
use super::bench::Bench;
use super::fact::Fact;
use super::known::{Known, Place, Rules};
use super::plan::Plan;
use super::rule::{Look, Rule};
use super::seen::Seen;
use super::silence::{SILENCES_MAX, Silence};
use super::slots::{Slot, Wanted, bits, slots};
use super::subject::Subject;
use super::verdicts::Case;
use super::verdicts::Verdicts;
use crate::schema::{Assessment, Event, EventKind, Verdict};

/// Judges one node. Pure: it has no clock, thread, socket or randomness, and
/// the same facts give the same verdicts, to the byte.
#[derive(Debug)]
pub struct Stage {
    pub(super) clock: Clock,
    pub(super) known: Known,
    pub(super) plan: Plan,
    pub(super) verdicts: Verdicts,
    pub(super) seen: Seen,
    pub(super) silences: Vec<Silence>,
    healths: Healths,
    /// Something that assessments rest on changed.
    assess: bool,
    rules: Vec<Slot>,
    wanted: Wanted,
    round_ns: u64,
    tally: Tally,
}

/// What happened to the facts that a stage was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Facts told.
    pub facts: u64,
    /// Events that were told before.
    pub repeated: u64,
    /// Facts about devices, engines or metrics that found no room.
    pub facts_refused: u64,
    /// Conclusions that found no room among the verdicts.
    pub verdicts_refused: u64,
    /// Revisions that nobody took in time.
    pub revisions_lost: u64,
}

/// Whether nobody has told of this verdict's engine or container.
fn is_unknown(known: &Known, of: &Verdict) -> bool {
    match of.subject_kind.as_str() {
        "engine" => !known.engines().any(|(_, engine)| engine.engine.name == of.subject),
        "container" => known.device_named(&of.subject).is_none(),
        _ => false,
    }
}

/// What a snapshot said of engines and containers is to be confirmed so soon.
const CONFIRM_NS: u64 = 900 * SECOND_NS;
/// What is due is looked at this often, by the time of the facts.
const ROUND_NS: u64 = SECOND_NS / 4;

impl Stage {
    /// A stage that knows nothing yet.
    #[must_use]
    pub fn new(node: &str, plan: Plan) -> Self {
        let rules = slots(&plan, &mut Vec::new());
        let wanted = Wanted::of(&rules);
        Self {
            clock: Clock::new(),
            known: Known::new(node.to_owned()),
            plan,
            verdicts: Verdicts::default(),
            seen: Seen::default(),
            silences: Vec::new(),
            healths: Healths::default(),
            assess: true,
            rules,
            wanted,
            round_ns: 0,
            tally: Tally::default(),
        }
    }

    /// Takes a fact.
    pub fn fact(&mut self, at: At, fact: Fact<'_>) {
        self.pass(at);
        self.tally.facts += 1;
        let now_ns = self.clock.now_ns;
        match fact {
            Fact::Reading(reading) => {
                let rules = self.wanted.metric(reading.metric);
                if let Some(of) = self.known.take_reading(reading, now_ns) {
                    of.due |= rules;
                }
            }
            Fact::Step(step) => {
                let rules = self.wanted.steps;
                if let Some(of) = self.known.take_step(step, now_ns) {
                    of.due |= rules;
                }
            }
            Fact::Event(event) => self.event(at, event),
            Fact::Device(device) => {
                if self.known.take_device(device, now_ns).is_some() {
                    self.assess = true;
                    self.verdicts.named(&self.known, device, at.wall_ns, now_ns);
                    self.dispatch(at, self.wanted.devices, &fact);
                }
            }
            Fact::Engine(engine) => {
                if self.known.take_engine(engine, now_ns).is_some() {
                    self.assess = true;
                    self.dispatch(at, self.wanted.engines, &fact);
                }
            }
            Fact::Details(details) => {
                if self.known.take_details(details, now_ns).is_some() {
                    self.dispatch(at, self.wanted.details, &fact);
                }
            }
        }
        self.forget();
    }

    /// Lets time pass: hold times, missing data, quiet times.
    pub fn tick(&mut self, at: At) {
        self.pass(at);
    }

    /// The revisions since the last call, in their order.
    pub fn take_verdicts(&mut self) -> Vec<Verdict> {
        self.verdicts.take()
    }

    /// Every verdict that stands, in the order of the ids.
    pub fn open(&self) -> impl Iterator<Item = &Verdict> {
        self.verdicts.open_cases().map(|case| &case.verdict)
    }

    /// How well each accelerator, each engine and the node is.
    #[must_use]
    pub fn assessments(&self) -> Vec<Assessment> {
        let looks = Looks {
            known: &self.known,
            verdicts: &self.verdicts,
            healths: &self.healths,
            now_ns: self.clock.now_ns,
            wall_ns: self.clock.wall_ns,
        };
        looks.all()
    }

    /// Silences verdicts: a maintenance window, or that somebody knows. False
    /// where there are [`SILENCES_MAX`] already.
    pub fn silence(&mut self, silence: Silence) -> bool {
        let wall_ns = self.clock.wall_ns;
        self.silences.retain(|of| of.until_wall_ns > wall_ns);
        if self.silences.len() >= SILENCES_MAX {
            return false;
        }
        self.silences.push(silence);
        true
    }

    /// Judges by another plan from here on. What rules have seen is kept; what
    /// a rule said that no longer runs is over.
    pub fn adopt(&mut self, plan: Plan) {
        let mut before = std::mem::take(&mut self.rules);
        self.rules = slots(&plan, &mut before);
        for slot in before {
            let name = &slot.profile.name;
            if self.rules.iter().all(|slot| slot.profile.name != *name) {
                self.verdicts.end_rule(name, self.clock.wall_ns, self.clock.now_ns);
            }
        }
        self.wanted = Wanted::of(&self.rules);
        self.plan = plan;
        let wanted = &self.wanted;
        self.known.owe_all(wanted.steps, |metric| wanted.metric(metric));
    }

    /// What happened to the facts so far.
    #[must_use]
    pub fn tally(&self) -> Tally {
        Tally {
            facts_refused: self.known.refused,
            verdicts_refused: self.verdicts.refused,
            revisions_lost: self.verdicts.untold,
            ..self.tally
        }
    }

    fn event(&mut self, at: At, event: &Event) {
        if !self.seen.first(event.id) {
            self.tally.repeated += 1;
            return;
        }
        let (wall_ns, now_ns) = (at.wall_ns, self.clock.now_ns);
        let name = &event.subject;
        match event.kind {
            EventKind::EngineGone => {
                self.verdicts.end_subject(Subject::engine(name), wall_ns, now_ns);
            }
            EventKind::ContainerEnded => {
                self.verdicts.end_subject(Subject::container(name), wall_ns, now_ns);
            }
            _ => {}
        }
        let rules = self.wanted.event(event.kind);
        self.dispatch(at, rules, &Fact::Event(event));
    }

    /// Hands a fact to the rules that want it.
    fn dispatch(&mut self, at: At, rules: Rules, fact: &Fact<'_>) {
        self.each(at, rules, |rule, bench| rule.fact(fact, bench));
    }

    fn each(&mut self, at: At, rules: Rules, mut call: impl FnMut(&mut dyn Rule, &mut Bench<'_>)) {
        for slot in bits(rules) {
            let Some(slot) = self.rules.get_mut(slot) else { continue };
            let mut bench = Bench {
                at,
                now_ns: self.clock.now_ns,
                known: &self.known,
                plan: &self.plan,
                rule: &slot.profile,
                verdicts: &mut self.verdicts,
            };
            call(&mut *slot.rule, &mut bench);
        }
    }

    /// Lets time pass, with a round where one is due.
    fn pass(&mut self, at: At) {
        self.clock.pass(at);
        if self.clock.now_ns.saturating_sub(self.round_ns) >= ROUND_NS {
            self.round_ns = self.clock.now_ns;
            self.round(at);
        }
    }

    /// Looks at everything that is due.
    fn round(&mut self, at: At) {
        self.each(at, self.wanted.ticks, |rule, bench| rule.tick(bench));
        let (devices, engines) = self.known.places();
        for slot in 0..devices {
            self.look(at, Place::Device(slot));
        }
        for slot in 0..engines {
            self.look(at, Place::Engine(slot));
        }
        let now_ns = self.clock.now_ns;
        self.verdicts.round(now_ns, at.wall_ns);
        self.verdicts.silence(&[&self.silences, &self.plan.silences], at.wall_ns, now_ns);
        if now_ns.saturating_sub(BASE_NS) > CONFIRM_NS {
            let known = &self.known;
            let gone = |of: &Verdict| is_unknown(known, of);
            self.verdicts.end_unconfirmed(at.wall_ns, now_ns, gone);
        }
        if std::mem::take(&mut self.assess) || self.verdicts.is_changed() {
            let all = self.assessments();
            self.healths.note(&all);
        }
    }

    /// Gives a verdict of a snapshot what its rule says of it.
    pub(super) fn adopt_rule(&self, case: &mut Case) {
        let rule = self.rules.iter().find(|slot| slot.profile.name == case.verdict.rule);
        if let Some(slot) = rule {
            case.relations = slot.profile.relations;
            case.follows_driver = slot.profile.follows_driver;
        }
    }

    fn look(&mut self, at: At, place: Place) {
        let due = self.known.settle(place);
        if due == 0 {
            return;
        }
        let mut again: Rules = 0;
        for bit in bits(due) {
            self.each(at, 1 << bit, |rule, bench| {
                if rule.look(place, bench) == Look::Again {
                    again |= 1 << bit;
                }
            });
        }
        self.known.owe(place, again);
    }

    /// Tells rules of places that were given to others.
    fn forget(&mut self) {
        while let Some(place) = self.known.forgotten.pop() {
            for slot in &mut self.rules {
                slot.rule.forget(place);
            }
        }
    }
}
