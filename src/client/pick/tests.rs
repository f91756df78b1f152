use super::*;
use crate::client::{RankId, Treat, View, ViewCore, ViewSettings};
use crate::platform::clock::{MILLISECOND_NS, SECOND_NS};
use crate::schema::{Assessment, BatchHead, BatchWriter, Field, Flag, Health, StepCore, Tables};
use bytemuck::Zeroable;
use std::collections::HashMap;

const NOW: u64 = 100 * SECOND_NS;

/// A step of `instance`, `silence_ms` before now.
fn step(instance: u64, running: u32, waiting: u32, silence_ms: u64) -> StepCore {
    let at_ns = NOW - silence_ms * MILLISECOND_NS;
    let mut step = StepCore {
        instance,
        model: 5,
        producers: 1,
        sequence: 1,
        running,
        waiting,
        monotonic_ns: at_ns,
        heartbeat_ns: at_ns,
        ttl_ms: 100,
        ..StepCore::zeroed()
    };
    step.mark(Field::Running);
    step.mark(Field::Waiting);
    step
}

fn with(mut step: StepCore, change: impl FnOnce(&mut StepCore)) -> StepCore {
    change(&mut step);
    step
}

/// A view, and the core that would empty it if it were dropped.
struct Held {
    view: View,
    _core: ViewCore,
}

impl std::ops::Deref for Held {
    type Target = View;

    fn deref(&self) -> &View {
        &self.view
    }
}

/// A view of these steps, with a clock that is exactly known.
fn view(steps: &[StepCore]) -> Held {
    let mut core = ViewCore::new(ViewSettings { ranks_max: 4096, ..ViewSettings::default() });
    for part in steps.chunks(100) {
        let head = BatchHead { publish_monotonic_ns: NOW, ..BatchHead::zeroed() };
        let tables = Tables { steps: part, ..Tables::default() };
        let bytes = BatchWriter::default().write(&head, &tables).to_vec();
        core.reply(&bytes, NOW, NOW).unwrap();
    }
    Held { view: View::of(&core), _core: core }
}

fn picked(view: &View, policy: &Policy, score: &Score<'_>) -> Result<u64, Excluded> {
    let ask = Ask::default();
    view.pick_at(NOW, &ask, policy, score)
        .map(|pick| pick.state.id.instance)
        .map_err(|none| none.excluded)
}

#[test]
fn each_score_prefers_what_it_promises() {
    let kv = |step: StepCore, usage| {
        with(step, |step| {
            step.kv_usage = usage;
            step.mark(Field::KvUsage);
        })
    };
    let tokens = |step: StepCore, tokens| {
        with(step, |step| {
            step.waiting_tokens = tokens;
            step.mark(Field::WaitingTokens);
        })
    };
    let fewest: &dyn Fn(&RankState) -> Option<f64> = &|state| state.value(Field::Running);
    for (score, steps) in [
        (Score::LeastWork, vec![step(1, 2, 1, 0), step(2, 9, 0, 0)]),
        (Score::LeastWork, vec![tokens(step(1, 2, 2, 0), 100), tokens(step(2, 2, 1, 0), 8_000)]),
        (Score::KvAware, vec![kv(step(1, 5, 2, 0), 0.5), kv(step(2, 4, 2, 0), 1.0)]),
        (Score::KvAware, vec![kv(step(1, 4, 0, 0), 1.0), kv(step(2, 5, 0, 0), 0.1)]),
        (Score::PowerOfTwo, vec![step(1, 2, 1, 0), step(2, 9, 0, 0)]),
        (Score::Own(fewest), vec![step(1, 1, 99, 0), step(2, 2, 0, 0)]),
    ] {
        assert_eq!(picked(&view(&steps), &Policy::strict(), &score), Ok(1), "{steps:?}");
    }
}

#[test]
fn what_is_doubtful_is_treated_as_the_policy_says() {
    let flag = |flag| with(step(1, 0, 0, 0), |step| step.raise(flag));
    let unknown = with(step(1, 0, 0, 0), |step| step.present = 0);
    let other = step(2, 5, 0, 0);
    for (doubtful, reason, lenient) in [
        (step(1, 0, 0, 150), Excluded { stale: 1, ..Excluded::default() }, 2),
        (step(1, 0, 0, 350), Excluded { silent: 1, ..Excluded::default() }, 2),
        (unknown, Excluded { unknown_load: 1, ..Excluded::default() }, 2),
        (step(1, 0, 0, 31_000), Excluded { gone: 1, ..Excluded::default() }, 2),
        (flag(Flag::Goodbye), Excluded { gone: 1, ..Excluded::default() }, 2),
        (flag(Flag::Asleep), Excluded { asleep: 1, ..Excluded::default() }, 2),
        (flag(Flag::Draining), Excluded { draining: 1, ..Excluded::default() }, 2),
        (flag(Flag::Warming), Excluded { warming: 1, ..Excluded::default() }, 2),
    ] {
        for score in [Score::LeastWork, Score::PowerOfTwo] {
            let alone = view(&[doubtful]);
            assert_eq!(picked(&alone, &Policy::strict(), &score), Err(reason));
            let both = view(&[doubtful, other]);
            assert_eq!(picked(&both, &Policy::strict(), &score), Ok(2));
            assert_eq!(picked(&both, &Policy::lenient(), &score), Ok(lenient));
        }
    }
    let stale = view(&[step(1, 0, 0, 150), step(2, 50, 0, 0)]);
    assert_eq!(picked(&stale, &Policy::lenient(), &Score::LeastWork), Ok(1), "ten against fifty");
    let include = Policy { stale: Treat::Include, ..Policy::strict() };
    let stale = view(&[step(1, 4, 0, 150), step(2, 5, 0, 0)]);
    assert_eq!(picked(&stale, &include, &Score::LeastWork), Ok(1));
}

#[test]
fn requests_go_only_where_they_can() {
    let view = view(&[step(1, 0, 0, 0), with(step(2, 1, 0, 0), |step| step.model = 6)]);
    let policy = Policy::strict();
    let not_one = |state: &RankState| state.id.instance != 1;
    for (model, only, expected) in [
        (None, None, Some(1)),
        (Some(6), None, Some(2)),
        (Some(5), None, Some(1)),
        (None, Some(&not_one as &dyn Fn(&RankState) -> bool), Some(2)),
        (Some(5), Some(&not_one), None),
    ] {
        let ask = Ask { model, only, ..Ask::default() };
        let pick = view.pick_at(NOW, &ask, &policy, &Score::LeastWork);
        assert_eq!(pick.ok().map(|pick| pick.state.id.instance), expected);
    }
    let ask = Ask { model: Some(5), only: Some(&not_one), ..Ask::default() };
    let none = view.pick_at(NOW, &ask, &policy, &Score::LeastWork).unwrap_err();
    let sentence = "choosing an engine failed: none of 2 ranks may take the request \
                    (1 other model, 1 unfit)";
    assert_eq!(none.to_string(), sentence);
}

#[test]
fn a_score_that_is_no_number_leaves_the_rank_out() {
    let view = view(&[step(1, 0, 0, 0), step(2, 0, 0, 0)]);
    let score = |state: &RankState| (state.id.instance == 1).then_some(f64::NAN);
    let none = picked(&view, &Policy::strict(), &Score::Own(&score)).unwrap_err();
    assert_eq!(none, Excluded { unscored: 2, ..Excluded::default() });
}

#[test]
fn equals_are_chosen_equally_often() {
    let steps: Vec<StepCore> = (1..=4).map(|instance| step(instance, 3, 0, 0)).collect();
    let view = view(&steps);
    for score in [Score::LeastWork, Score::PowerOfTwo] {
        let mut times: HashMap<u64, u32> = HashMap::new();
        for _ in 0..4_000 {
            *times.entry(picked(&view, &Policy::strict(), &score).unwrap()).or_default() += 1;
        }
        // Six standard deviations of a fair choice.
        assert!(times.values().all(|times| times.abs_diff(1_000) < 165), "{times:?}");
        assert_eq!(times.len(), 4);
    }
}

#[test]
fn reserving_spreads_a_burst_that_the_engines_have_not_counted_yet() {
    let view = view(&[step(1, 0, 0, 0), step(2, 0, 0, 0), step(3, 0, 0, 0)]);
    let ask = Ask { prompt_tokens: 100, ..Ask::default() };
    let mut held = Vec::new();
    let mut times: HashMap<RankId, u32> = HashMap::new();
    for _ in 0..30 {
        let pick = view.pick_at(NOW, &ask, &Policy::strict(), &Score::LeastWork).unwrap();
        *times.entry(pick.state.id).or_default() += 1;
        held.push(view.reserve_picked(pick, ask.prompt_tokens));
    }
    assert_eq!(times.values().copied().collect::<Vec<_>>(), [10, 10, 10]);
    let of = |view: &View| view.rank(RankId { instance: 1, rank: 0 }).unwrap();
    assert_eq!((of(&view).in_flight, of(&view).unaccounted_tokens), (10, 1_000));
    held.iter().for_each(crate::client::Reservation::first_token);
    assert_eq!((of(&view).in_flight, of(&view).unaccounted_tokens), (10, 0));
    drop(held);
    assert_eq!((of(&view).in_flight, of(&view).unaccounted), (0, 0));
}

#[test]
fn two_choices_find_the_few_that_may_be_chosen_among_many() {
    let mut steps: Vec<StepCore> =
        (1..=1_000).map(|instance| step(instance, 0, 0, 31_000)).collect();
    steps.extend([step(2_001, 9, 0, 0), step(2_002, 1, 0, 0)]);
    assert_eq!(picked(&view(&steps), &Policy::strict(), &Score::PowerOfTwo), Ok(2_002));
}

proptest::proptest! {
    /// What a thread keeps of the ranks changes what a choice costs, never what
    /// it is: after every update both ways score, count and leave out alike.
    #[test]
    fn the_short_way_chooses_as_the_long_way(
        updates in proptest::collection::vec(
            (1..12_u64, 0..4_u32, 0..3_u32, 0..500_u64, 0..12_u32, 0..3_u64),
            1..60,
        ),
        policy in proptest::prop_oneof![
            proptest::strategy::Just(Policy::strict()),
            proptest::strategy::Just(Policy::lenient()),
        ],
    ) {
        let mut core = ViewCore::new(ViewSettings { ranks_max: 16, ..ViewSettings::default() });
        let view = View::of(&core);
        let (mut held, mut sequence) = (Vec::new(), 1);
        for (instance, running, waiting, silence_ms, flag, model) in updates {
            sequence += 1;
            let told = with(step(instance, running, waiting, silence_ms), |step| {
                (step.sequence, step.model) = (sequence, model);
                match flag {
                    0 => step.present = 0,
                    1 => step.raise(Flag::Draining),
                    2 => step.raise(Flag::Goodbye),
                    _ => {}
                }
            });
            let head = BatchHead { publish_monotonic_ns: NOW, ..BatchHead::zeroed() };
            let tables = Tables { steps: &[told], ..Tables::default() };
            core.reply(BatchWriter::default().write(&head, &tables), NOW, NOW).unwrap();
            for (score, model) in [(Score::LeastWork, None), (Score::KvAware, Some(1))] {
                let ask = Ask { model, ..Ask::default() };
                let round = || Round {
                    ask: &ask,
                    policy: &policy,
                    score: &score,
                    excluded: Excluded::default(),
                    considered: 0,
                };
                let (mut short, mut long) = (round(), round());
                let by_short = best_of_briefs(core.shared(), NOW, &mut short);
                let by_long = best_of_all(core.shared(), NOW, &mut long);
                let scored = |best: &Option<Best>| best.as_ref().map(|b| (b.score, b.ties));
                proptest::prop_assert_eq!(scored(&by_short), scored(&by_long));
                if let Some(best) = by_short {
                    proptest::prop_assert_eq!(short.excluded, long.excluded);
                    proptest::prop_assert_eq!(short.considered, long.considered);
                    let state = best.state;
                    let (considered, excluded) = (short.considered, short.excluded);
                    let pick = Pick { state, score: best.score, considered, excluded, at_ns: NOW };
                    held.push(view.reserve_picked(pick, 300));
                }
            }
        }
    }
}

#[test]
fn an_ill_engine_is_avoided_by_every_score_though_it_is_idle_and_chosen_again_once_well() {
    let ill = crate::schema::name_hash("ill");
    let mut core = ViewCore::new(ViewSettings::default());
    let say = |core: &mut ViewCore, steps: &[StepCore], health| {
        let head = BatchHead { publish_monotonic_ns: NOW, node: 7, ..BatchHead::zeroed() };
        let assessment = Assessment {
            subject: "ill".into(),
            subject_kind: "engine".into(),
            health,
            ..Assessment::default()
        };
        let said = [assessment];
        let tables = Tables { steps, assessments: &said, ..Tables::default() };
        let bytes = BatchWriter::default().write(&head, &tables).to_vec();
        core.reply(&bytes, NOW, NOW).unwrap();
    };
    let view = View::of(&core);
    let steps = [step(ill, 0, 0, 1), step(2, 5, 5, 1)];
    for (health, expected) in [
        (Health::Degraded, 2),
        (Health::Failed, 2),
        (Health::Healthy, ill),
        (Health::Suspect, 2),
        (Health::Unknown, ill),
    ] {
        say(&mut core, &steps, health);
        for score in [Score::LeastWork, Score::KvAware, Score::PowerOfTwo] {
            let pick = view.pick_at(NOW, &Ask::default(), &Policy::strict(), &score).unwrap();
            assert_eq!(pick.state.id.instance, expected, "{health:?}");
            assert_eq!(pick.excluded.ill > 0, expected == 2, "{health:?}");
        }
    }
    say(&mut core, &[], Health::Failed);
    assert_eq!(view.rank(RankId { instance: ill, rank: 0 }).unwrap().health, Health::Failed);
}
