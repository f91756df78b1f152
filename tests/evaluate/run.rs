//! A stage fed with a trace, in the trace's own time.

use eagle_eye::diagnosis::{At, Fact as Told, Plan, Stage};

use crate::cases::Case;
use crate::dice::Dice;
use crate::families::Family;
use crate::score::{Heard, Marks, marks};
use crate::trace::{Fact, Moment, NODE, SECOND};
use crate::world::World;

/// Most times that a stage is ticked in one gap of the facts.
const GAP_TICKS_MAX: u64 = 120;

/// Feeds a stage and hears what it says.
struct Judge {
    stage: Stage,
    heard: Heard,
    ticked: Moment,
    facts: u64,
}

/// What came of one trace.
pub(crate) struct Judged {
    /// Held against its truth.
    pub(crate) marks: Marks,
    /// Facts that went in.
    pub(crate) facts: u64,
    /// How long it lasted.
    pub(crate) lasted_ns: u64,
}

const fn clocks(at: Moment) -> At {
    At::new(at.monotonic_ns(), at.wall_ns())
}

impl Judge {
    fn new() -> Self {
        let stage = Stage::new(NODE, Plan::default());
        Self { stage, heard: Heard::default(), ticked: Moment::default(), facts: 0 }
    }

    fn take(&mut self, at: Moment, fact: &Fact) {
        self.pass(at);
        self.facts += 1;
        let told = match fact {
            Fact::Device(device) => Told::Device(device),
            Fact::Engine(engine) => Told::Engine(engine),
            Fact::Reading(reading) => Told::Reading(reading),
            Fact::Step(step) => Told::Step(step),
            Fact::Event(event) => Told::Event(event),
            Fact::Details(details) => Told::Details(details),
            Fact::Restart => return self.restart(),
        };
        self.stage.fact(clocks(at), told);
        self.hear(at);
    }

    /// Lets time pass up to here, a second at a time.
    fn pass(&mut self, to: Moment) {
        let gap_ns = to.since_ns.saturating_sub(self.ticked.since_ns);
        let stride_ns = SECOND.max(gap_ns / GAP_TICKS_MAX);
        while self.ticked.since_ns + stride_ns <= to.since_ns {
            let since_ns = self.ticked.since_ns + stride_ns;
            self.ticked = Moment { since_ns, wall_step_ns: to.wall_step_ns };
            self.stage.tick(clocks(self.ticked));
            self.hear(self.ticked);
        }
    }

    fn hear(&mut self, at: Moment) {
        for verdict in self.stage.take_verdicts() {
            self.heard.take(at, verdict);
        }
    }

    /// Prints what was said, of the traces that `EAGLE_EYE_SHOW` is a part of.
    #[expect(clippy::print_stdout, reason = "whoever asks for it reads it there")]
    fn show(&self, name: &str) {
        let wanted = std::env::var("EAGLE_EYE_SHOW").ok();
        if wanted.is_some_and(|part| name.contains(&part)) {
            println!("{name}\n{}", self.heard.shown());
        }
    }

    /// The stage is gone and another one begins with what was kept.
    fn restart(&mut self) {
        let kept = self.stage.snapshot();
        self.stage = Stage::new(NODE, Plan::default());
        self.stage.restore(&kept).expect("a stage goes on from its own snapshot");
    }
}

/// Judges an incident.
pub(crate) fn judge_case(case: &Case) -> Judged {
    let mut judge = Judge::new();
    let end_ns = case.play(&mut |at, fact| judge.take(at, fact));
    judge.pass(Moment { since_ns: end_ns, wall_step_ns: judge.ticked.wall_step_ns });
    judge.show(&case.name);
    let marks = marks(&case.truth, &judge.heard);
    Judged { marks, facts: judge.facts, lasted_ns: end_ns }
}

/// Judges a scenario of this family as this seed plays it.
pub(crate) fn judge_scenario(family: &Family, seed: u64) -> Judged {
    let mut judge = Judge::new();
    let mut take = |at: Moment, fact: &Fact| judge.take(at, fact);
    let mut world = World::new(seed_of(family, seed), &family.build, &mut take);
    (family.play)(&mut world);
    let (truth, lasted_ns) = (std::mem::take(&mut world.truth), world.now_ns());
    let wall_step_ns = judge.ticked.wall_step_ns;
    judge.pass(Moment { since_ns: lasted_ns, wall_step_ns });
    judge.show(family.name);
    Judged { marks: marks(&truth, &judge.heard), facts: judge.facts, lasted_ns }
}

/// A seed of its own for each family, so that families can be added.
fn seed_of(family: &Family, seed: u64) -> u64 {
    let name = family.name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    name ^ seed.wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// A digest of everything that a scenario says.
#[cfg(test)]
fn told(family: &Family, seed: u64) -> u64 {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};

    let mut digest = DefaultHasher::new();
    let mut take = |at: Moment, fact: &Fact| {
        at.since_ns.hash(&mut digest);
        match fact {
            Fact::Reading(of) => (of.device, of.metric, of.value.to_bits()).hash(&mut digest),
            Fact::Step(step) => digest.write(bytemuck::bytes_of(&**step)),
            fact => format!("{fact:?}").hash(&mut digest),
        }
    };
    let mut world = World::new(seed_of(family, seed), &family.build, &mut take);
    (family.play)(&mut world);
    format!("{:?}", world.truth).hash(&mut digest);
    digest.finish()
}

#[test]
fn a_seed_plays_the_same_scenario_every_time() {
    for family in crate::families::all().filter(|family| !family.name.starts_with("healthy")) {
        let seed = Dice::new(3).below(1000) as u64;
        let first = told(family, seed);
        assert!(first == told(family, seed), "{} is played in two ways", family.name);
        assert!(first != told(family, seed + 1), "{} knows no seed", family.name);
    }
}

#[test]
fn time_never_runs_back_and_what_is_expected_lies_within() {
    for family in crate::families::all().filter(|family| !family.name.starts_with("healthy")) {
        for seed in 0..2 {
            let mut last_ns = 0;
            let mut take = |at: Moment, _: &Fact| {
                assert!(at.since_ns >= last_ns, "{}: time runs back", family.name);
                last_ns = at.since_ns;
            };
            let mut world = World::new(seed_of(family, seed), &family.build, &mut take);
            (family.play)(&mut world);
            let (truth, end_ns) = (std::mem::take(&mut world.truth), world.now_ns());
            let says = !truth.expected.is_empty() || !truth.never.is_empty();
            assert!(says, "{}: nothing is said to be right", family.name);
            for expected in &truth.expected {
                let due_ns = expected.at_ns + expected.within_ns;
                assert!(due_ns <= end_ns, "{}: ends {end_ns} before {due_ns}", family.name);
            }
        }
    }
}
