//! Generated streams of several front ends, as a view takes them in: reordered,
//! repeated, restarted and lost, beside the plain truth.

use bytemuck::Zeroable;
use proptest::prelude::*;

use crate::client::{RankId, RankState, ViewCore, ViewSettings};
use crate::platform::clock::{MILLISECOND_NS as MS, SECOND_NS};
use crate::schema::{BatchHead, BatchWriter, Field, Freshness, StepCore, Tables};

const FRONTS: u16 = 4;
const BEGIN: u64 = 100 * SECOND_NS;

/// What one scheduler step brings.
#[derive(Debug, Clone)]
struct Act {
    /// The front end that gets the scheduler's numbers.
    front: u16,
    running: u32,
    /// Requests that each front end finishes in it; those with some report.
    finished: [u8; FRONTS as usize],
    /// Whether the front end starts anew before.
    restarts: bool,
}

/// What an engine's front ends know; the truth.
#[derive(Debug, Clone, Copy, Default)]
struct Front {
    incarnation: u64,
    sequence: u64,
    finished: u64,
    /// The scheduler's numbers that it was last given, and when.
    running: Option<(u32, u64)>,
    told: bool,
}

fn act() -> impl Strategy<Value = Act> {
    let finished = prop::array::uniform4(prop_oneof![2 => Just(0_u8), 1 => 1..5_u8]);
    (0..FRONTS, 0..100_u32, finished, prop::bool::weighted(0.05))
        .prop_map(|(front, running, finished, restarts)| Act { front, running, finished, restarts })
}

impl Front {
    /// What it says at `now_ns`. Where it has no new numbers of the scheduler,
    /// its step is as old as those that it repeats.
    fn says(&mut self, producer: u16, now_ns: u64) -> StepCore {
        self.sequence += 1;
        self.told = true;
        let mut step = StepCore {
            instance: 1,
            incarnation: self.incarnation,
            producer,
            producers: FRONTS,
            sequence: self.sequence,
            monotonic_ns: self.running.map_or(now_ns, |(_, at_ns)| at_ns),
            heartbeat_ns: now_ns,
            ttl_ms: 1000,
            finished: self.finished,
            ..StepCore::zeroed()
        };
        step.mark(Field::Finished);
        if let Some((running, _)) = self.running {
            step.running = running;
            step.mark(Field::Running);
        }
        step
    }
}

/// All that the front ends say, and what they know in the end.
fn told(acts: &[Act]) -> (Vec<StepCore>, [Front; FRONTS as usize], u64) {
    let (mut fronts, mut steps, mut now_ns) = ([Front::default(); FRONTS as usize], vec![], BEGIN);
    for (number, act) in acts.iter().enumerate() {
        now_ns += 2 * MS;
        if act.restarts {
            fronts[usize::from(act.front)] =
                Front { incarnation: number as u64 + 1, ..Front::default() };
        }
        for (producer, front) in (0..FRONTS).zip(&mut fronts) {
            let finished = act.finished[usize::from(producer)];
            front.finished += u64::from(finished);
            if producer == act.front {
                front.running = Some((act.running, now_ns));
            }
            if producer == act.front || finished > 0 {
                steps.push(front.says(producer, now_ns));
            }
        }
    }
    (steps, fronts, now_ns)
}

/// The rank after these steps came, each in a batch of its own.
fn seen(steps: &[StepCore], end_ns: u64, now_ns: u64) -> RankState {
    let mut core = ViewCore::new(ViewSettings { ranks_max: 64, ..ViewSettings::default() });
    let head = BatchHead { node: 3, publish_monotonic_ns: end_ns, ..BatchHead::zeroed() };
    let mut writer = BatchWriter::default();
    for step in steps {
        let tables = Tables { steps: std::slice::from_ref(step), ..Tables::default() };
        let bytes = writer.write(&head, &tables);
        core.reply(bytes, end_ns, end_ns).expect("a good batch");
    }
    core.shared().rank(RankId { instance: 1, rank: 0 }, now_ns).expect("the rank is known")
}

proptest! {
    #[test]
    fn however_reordered_and_repeated_the_picture_is_the_truth(
        (acts, swaps) in (
            prop::collection::vec(act(), 1..60),
            prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..80),
        ),
    ) {
        let (mut steps, fronts, end_ns) = told(&acts);
        for (from, to) in swaps {
            let (from, to) = (from.index(steps.len()), to.index(steps.len()));
            steps.swap(from, to);
            steps.push(steps[from]);
        }
        let state = seen(&steps, end_ns, end_ns);
        let here = fronts.iter().filter(|front| front.told);
        let finished: u64 = here.clone().map(|front| front.finished).sum();
        let last = acts.last().expect("at least one");
        prop_assert_eq!(state.value(Field::Running), Some(f64::from(last.running)));
        prop_assert_eq!(state.value(Field::Finished), Some(finished as f64));
        prop_assert_eq!(usize::from(state.producers), here.count());
        prop_assert_eq!((state.age_ns, state.freshness), (0, Freshness::Fresh));
    }

    #[test]
    fn a_lost_front_end_takes_its_gauges_at_once_and_its_counters_when_it_is_gone(
        acts in prop::collection::vec(act(), 1..40),
        lost in 0..FRONTS,
    ) {
        let acts: Vec<Act> = acts.into_iter().map(|act| Act { restarts: false, ..act }).collect();
        let (mut steps, mut fronts, end_ns) = told(&acts);
        for (wait_ns, counts) in [(4 * SECOND_NS, true), (31 * SECOND_NS, false)] {
            let now_ns = end_ns + wait_ns;
            for producer in (0..FRONTS).filter(|producer| *producer != lost) {
                steps.push(fronts[usize::from(producer)].says(producer, now_ns));
            }
            let state = seen(&steps, now_ns, now_ns);
            let counted = |producer: &u16| {
                let front = &fronts[usize::from(*producer)];
                front.told && (counts || *producer != lost)
            };
            let finished: u64 =
                (0..FRONTS).filter(counted).map(|at| fronts[usize::from(at)].finished).sum();
            let others = (0..FRONTS).filter(|producer| *producer != lost);
            let newest = others.filter_map(|at| fronts[usize::from(at)].running).max_by_key(|it| it.1);
            prop_assert_eq!(state.value(Field::Finished), Some(finished as f64));
            prop_assert_eq!(
                state.value(Field::Running),
                newest.map(|(running, _)| f64::from(running))
            );
            prop_assert_eq!(state.freshness, Freshness::Fresh);
        }
    }
}
