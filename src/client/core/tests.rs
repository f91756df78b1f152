use super::*;
use crate::client::{Changes, ERROR_UNKNOWN_NS, View};
use crate::schema::{BatchWriter, Engine, Field, Tables};
use bytemuck::Zeroable;
use proptest::prelude::*;

const MS: u64 = MILLISECOND_NS;
/// Their clock reads this much less than ours.
const OFFSET: u64 = 5_000 * MS;

fn core() -> ViewCore {
    ViewCore::new(ViewSettings { ranks_max: 64, ..ViewSettings::default() })
}

fn head(publish_ns: u64) -> BatchHead {
    BatchHead { node: 7, incarnation: 1, publish_monotonic_ns: publish_ns, ..BatchHead::zeroed() }
}

/// A step of instance 1 that ended at `at_ns` of their clock.
fn step(sequence: u64, at_ns: u64) -> StepCore {
    StepCore {
        instance: 1,
        incarnation: 1,
        producers: 1,
        sequence,
        monotonic_ns: at_ns,
        heartbeat_ns: at_ns,
        ttl_ms: 100,
        ..StepCore::zeroed()
    }
}

fn batch(head: &BatchHead, steps: &[StepCore]) -> Vec<u8> {
    BatchWriter::default().write(head, &Tables { steps, ..Tables::default() }).to_vec()
}

/// Feeds steps published at the time of the last one, received at once.
fn feed(core: &mut ViewCore, steps: &[StepCore]) -> Fed {
    let publish_ns = steps.iter().map(|step| step.heartbeat_ns).max().unwrap_or(0);
    core.feed(&batch(&head(publish_ns), steps), publish_ns + OFFSET).unwrap()
}

fn only(core: &ViewCore) -> NewestStep {
    let table = core.shared.table.load();
    let mut all = table.iter();
    let first = all.next().expect("one rank");
    assert!(all.next().is_none(), "more than one rank");
    first
}

#[test]
fn a_sample_stands_in_our_time_with_the_delay_taken_out() {
    let mut core = core();
    feed(&mut core, &[step(1, 1_000 * MS)]);
    assert_eq!(only(&core).alive_ns, 6_000 * MS);
    assert_eq!(only(&core).error_ns, ERROR_UNKNOWN_NS);
    // This one was 40 ms old when it left and 30 ms on its way.
    let late = batch(&head(1_100 * MS), &[step(2, 1_060 * MS)]);
    core.feed(&late, 6_130 * MS).unwrap();
    let newest = only(&core);
    assert!(newest.alive_ns.abs_diff(6_060 * MS) < MS / 10, "{}", newest.alive_ns);
    assert_eq!(newest.heard_ns, 6_130 * MS);
}

#[test]
fn a_round_trip_bounds_the_error() {
    let mut core = core();
    let tables = Tables { steps: &[step(1, 900 * MS)], held_ns: 50 * MS, ..Tables::default() };
    let bytes = BatchWriter::default().write(&head(1_000 * MS), &tables).to_vec();
    // Asked 4 ms + 50 ms before: 4 ms on the road, 50 held.
    core.reply(&bytes, 6_002 * MS, 6_002 * MS - 54 * MS).unwrap();
    let newest = only(&core);
    assert_eq!(newest.alive_ns, 5_900 * MS);
    assert_eq!(newest.error_ns, 2 * MS + 1);
    core.reply(&bytes, 6_002 * MS, 6_003 * MS).unwrap();
    assert_eq!(core.shared.counters.read().trips_refused, 1);
}

#[test]
fn the_bound_holds_too_while_a_clock_becomes_known() {
    let mut core = core();
    // Heard after 50 ms on the road, of which nobody knows yet.
    core.feed(&batch(&head(1_000 * MS), &[step(1, 1_000 * MS)]), 1_050 * MS + OFFSET).unwrap();
    for at_ms in (1_005..1_100).step_by(5) {
        let told = step(at_ms, at_ms * MS);
        let receipt_ns = at_ms.max(1_050) * MS + OFFSET + MS;
        let tables = Tables { steps: &[told], ..Tables::default() };
        let publish_ns = receipt_ns - OFFSET - MS;
        let bytes = BatchWriter::default().write(&head(publish_ns), &tables).to_vec();
        core.reply(&bytes, receipt_ns, receipt_ns - 2 * MS).unwrap();
        let newest = only(&core);
        let off_ns = newest.alive_ns.abs_diff(told.heartbeat_ns + OFFSET);
        assert!(off_ns <= newest.error_ns, "{at_ms}: {off_ns} {newest:?}");
    }
    assert!(only(&core).error_ns < 2 * MS);
}

#[test]
fn older_equal_and_earlier_incarnations_are_ignored() {
    let mut core = core();
    feed(&mut core, &[step(5, 100 * MS)]);
    let earlier = StepCore { incarnation: 0, ..step(9, 300 * MS) };
    for old in [step(5, 100 * MS), step(5, 90 * MS), step(4, 300 * MS), earlier] {
        let fed = feed(&mut core, &[old]);
        assert_eq!((fed.stored, fed.old), (0, 1), "{old:?}");
    }
    let heartbeat = StepCore { heartbeat_ns: 200 * MS, ..step(5, 100 * MS) };
    assert_eq!(feed(&mut core, &[heartbeat]).stored, 1);
    let newest = only(&core);
    assert_eq!((newest.alive_ns, newest.lost), (200 * MS + OFFSET, 0));
    let counts = core.shared.counters.read();
    assert_eq!((counts.steps_stored, counts.steps_old, counts.restarts), (2, 4, 0));
}

#[test]
fn a_goodbye_at_the_same_instant_is_still_heard() {
    let mut core = core();
    feed(&mut core, &[step(5, 100 * MS)]);
    let mut goodbye = step(5, 100 * MS);
    goodbye.raise(Flag::Goodbye);
    assert_eq!(feed(&mut core, &[goodbye]).stored, 1);
    assert_eq!(feed(&mut core, &[goodbye]).stored, 0);
}

#[test]
fn a_restart_is_counted_and_its_new_sequence_is_no_loss() {
    let mut core = core();
    feed(&mut core, &[step(50, 100 * MS)]);
    feed(&mut core, &[StepCore { incarnation: 2, ..step(9, 10 * MS) }]);
    let newest = only(&core);
    assert_eq!((newest.step.sequence, newest.step.incarnation, newest.lost), (9, 2, 0));
    assert_eq!(core.shared.counters.read().restarts, 1);
}

#[test]
fn what_lives_takes_over_from_what_fell_silent_whatever_the_numbers_say() {
    let answered = |core: &mut ViewCore, step: StepCore| {
        let tables = Tables { steps: &[step], ..Tables::default() };
        let bytes = BatchWriter::default().write(&head(step.heartbeat_ns), &tables).to_vec();
        let receipt_ns = step.heartbeat_ns + OFFSET + MS;
        core.reply(&bytes, receipt_ns, receipt_ns - 2 * MS).unwrap().stored == 1
    };
    let mut goodbye = step(9, 1_000 * MS);
    goodbye.raise(Flag::Goodbye);
    let wild = step(1 << 40, 1_000 * MS);
    let earlier = |at_ms| StepCore { incarnation: 0, ..step(1, at_ms * MS) };
    for (held, told, expected) in [
        (step(9, 1_000 * MS), earlier(1_200), false),
        (step(9, 1_000 * MS), earlier(1_310), true),
        (goodbye, earlier(1_002), false),
        (goodbye, earlier(1_010), true),
        (goodbye, earlier(900), false),
        (goodbye, step(8, 1_010 * MS), false),
        (wild, step(10, 1_290 * MS), false),
        (wild, step(10, 1_310 * MS), true),
        (step(9, 1_000 * MS), StepCore { incarnation: 0, ..goodbye }, false),
    ] {
        let mut core = core();
        assert!(answered(&mut core, held));
        assert_eq!(answered(&mut core, told), expected, "{told:?} after {held:?}");
        assert_eq!(core.shared.counters.read().restarts, u64::from(expected));
        assert_eq!(only(&core).lost, 0);
    }
}

#[test]
fn gaps_are_losses_until_what_was_missing_comes() {
    let mut core = core();
    feed(&mut core, &[step(1, 10 * MS), step(5, 50 * MS)]);
    assert_eq!(only(&core).lost, 3);
    for (sequence, lost) in [(3, 2), (3, 2), (2, 1), (1, 1)] {
        feed(&mut core, &[step(sequence, sequence * 10 * MS)]);
        let newest = only(&core);
        assert_eq!((newest.lost, newest.step.sequence), (lost, 5), "after {sequence}");
    }
    feed(&mut core, &[step(500, 60 * MS), step(4, 40 * MS)]);
    let counts = core.shared.counters.read();
    assert_eq!((only(&core).lost, counts.steps_lost, counts.steps_late), (495, 495, 2));
}

#[test]
fn what_is_dated_after_now_is_refused_and_within_the_error_brought_to_now() {
    let mut core = core();
    let future = batch(&head(100 * MS), &[step(1, 1_200 * MS)]);
    assert_eq!(core.feed(&future, 100 * MS + OFFSET).unwrap().refused, 1);
    let near = batch(&head(100 * MS), &[step(1, 600 * MS)]);
    core.feed(&near, 100 * MS + OFFSET).unwrap();
    assert_eq!(only(&core).alive_ns, 100 * MS + OFFSET);
    assert_eq!(core.shared.counters.read().steps_future, 1);
}

#[test]
fn what_cannot_be_is_refused_by_reason() {
    let mut core = core();
    for bad in [
        StepCore { instance: 0, ..step(1, 1) },
        StepCore { producer: 1, ..step(1, 1) },
        StepCore { producers: 1000, ..step(1, 1) },
    ] {
        assert_eq!(feed(&mut core, &[bad]).refused, 1);
    }
    let good = batch(&head(1), &[step(1, 1)]);
    let mut unknown = good.clone();
    unknown[4] = b'X';
    for (bytes, reject) in [
        (vec![0; 100_000], Reject::Oversized),
        (unknown, Reject::Identifier),
        (good[..40].to_vec(), Reject::Malformed),
    ] {
        assert_eq!(core.feed(&bytes, 1), Err(Refused::Batch(reject)));
    }
    let counts = core.shared.counters.read();
    assert_eq!(counts.steps_malformed, 3);
    assert_eq!(
        (counts.batches_oversized, counts.batches_unknown, counts.batches_malformed),
        (1, 1, 1)
    );
}

#[test]
fn ranks_and_senders_beyond_the_limits_are_refused_until_others_go() {
    let settings = ViewSettings { ranks_max: 2, senders_max: 2, ..ViewSettings::default() };
    let mut core = ViewCore::new(settings);
    for instance in 1..=3 {
        feed(&mut core, &[StepCore { instance, ..step(1, 10 * MS) }]);
    }
    assert_eq!(core.shared.counters.read().steps_beyond_ranks, 1);
    let from = |node| batch(&BatchHead { node, ..head(10 * MS) }, &[]);
    assert!(core.feed(&from(8), OFFSET).is_ok());
    assert_eq!(core.feed(&from(9), OFFSET), Err(Refused::Senders));
    assert!(core.feed(&from(9), OFFSET + 61 * SECOND_NS).is_ok());
    // Ten minutes of silence later the ranks are gone, and a third has room.
    core.tick(OFFSET + 700 * SECOND_NS);
    assert_eq!(core.shared.counters.read().ranks_forgotten, 2);
    assert_eq!(feed(&mut core, &[StepCore { instance: 3, ..step(1, 699_000 * MS) }]).stored, 1);
}

#[test]
fn front_ends_that_a_restart_took_away_are_forgotten() {
    let mut core = core();
    let of = |incarnation, producer, producers, at_ns| StepCore {
        incarnation,
        producer,
        producers,
        ..step(1, at_ns)
    };
    feed(&mut core, &[of(1, 0, 3, MS), of(1, 1, 3, MS), of(1, 2, 3, MS)]);
    assert_eq!(core.held.len(), 3);
    feed(&mut core, &[of(2, 0, 1, 2 * MS)]);
    assert_eq!(only(&core).step.producers, 1);
    assert_eq!(core.held.len(), 1);
}

#[test]
fn a_view_is_complete_once_everybody_heard_has_told_all() {
    let mut core = core();
    let view = View::of(&core);
    core.connected(OFFSET);
    core.tick(OFFSET + 300 * MS);
    assert!(!view.is_complete(), "nobody was heard yet");
    feed(&mut core, &[step(1, 310 * MS)]);
    core.tick(OFFSET + 400 * MS);
    assert!(!view.is_complete(), "it has not answered");
    let part = batch(&BatchHead { flags: BatchHead::SNAPSHOT, ..head(410 * MS) }, &[]);
    core.reply(&part, OFFSET + 410 * MS, OFFSET + 400 * MS).unwrap();
    core.tick(OFFSET + 420 * MS);
    assert!(!view.is_complete(), "more of its answer follows");
    let flags = BatchHead::SNAPSHOT | BatchHead::LAST;
    let last = batch(&BatchHead { flags, ..head(420 * MS) }, &[]);
    core.reply(&last, OFFSET + 420 * MS, OFFSET + 400 * MS).unwrap();
    core.tick(OFFSET + 430 * MS);
    assert!(view.is_complete());
    core.disconnected();
    assert!(!view.is_complete() && !view.is_connected());
    core.connected(OFFSET + 1_000 * MS);
    core.tick(OFFSET + 2_100 * MS);
    assert!(view.is_complete(), "after a second of silence nobody is there");
}

fn taken(changes: &Changes) -> Vec<What> {
    std::iter::from_fn(|| changes.next_now()).map(|change| change.what).collect()
}

#[test]
fn changes_tell_the_life_of_a_rank() {
    let mut core = core();
    let changes = View::of(&core).changes();
    feed(&mut core, &[step(1, 10 * MS)]);
    assert_eq!(taken(&changes), [What::APPEARED]);
    feed(&mut core, &[step(2, 20 * MS), step(3, 30 * MS)]);
    assert_eq!(taken(&changes), [What::UPDATED]);
    core.tick(OFFSET + 40 * MS);
    assert_eq!(taken(&changes), []);
    core.tick(OFFSET + 140 * MS);
    assert_eq!(taken(&changes), [What::FRESHNESS]);
    feed(&mut core, &[StepCore { incarnation: 2, ..step(1, 150 * MS) }]);
    let engines = [Engine { instance: 1, ranks: 1, ..Engine::default() }];
    let names = Tables { engines: &engines, ..Tables::default() };
    let bytes = BatchWriter::default().write(&head(160 * MS), &names).to_vec();
    core.feed(&bytes, 160 * MS + OFFSET).unwrap();
    assert_eq!(taken(&changes), [What::RESTARTED | What::NAMED]);
    core.tick(OFFSET + 700 * SECOND_NS);
    assert_eq!(taken(&changes), [What::FRESHNESS | What::FORGOTTEN]);
}

#[test]
fn several_front_ends_are_one_rank() {
    let mut core = core();
    let of = |producer, running| {
        let mut step = StepCore { producer, producers: 2, running, ..step(1, 10 * MS) };
        step.mark(Field::Running);
        step
    };
    feed(&mut core, &[of(0, 3), of(1, 3), StepCore { instance: 2, ..of(0, 9) }]);
    let view = View::of(&core);
    let mut ranks = crate::client::Ranks::default();
    view.scan_at(OFFSET + 20 * MS, &mut ranks);
    let mut seen: Vec<_> = ranks.iter().map(|rank| (rank.id.instance, rank.producers)).collect();
    seen.sort_unstable();
    assert_eq!(seen, [(1, 2), (2, 1)]);
}

proptest! {
    /// Whatever comes, in whatever order, twice or cut: a rank's sequence never
    /// goes back within an incarnation but to a later life, nobody is alive
    /// after the receipt, and every step is counted once.
    #[test]
    fn nothing_that_comes_breaks_the_order(
        messages in prop::collection::vec(
            (0..3_u64, 0..3_u64, 0..20_u64, 0..2_000_u64, 0..2_000_u64),
            1..60,
        ),
    ) {
        let mut core = core();
        let (mut now, mut last) = (OFFSET, HashMap::new());
        for (instance, incarnation, sequence, at_ms, delay_ms) in messages {
            now += MS;
            let told = StepCore { instance, incarnation, ..step(sequence, at_ms * MS) };
            let bytes = batch(&head(at_ms.saturating_sub(delay_ms) * MS), &[told]);
            core.feed(&bytes, now).unwrap();
            for newest in core.shared.table.load().iter() {
                prop_assert!(newest.alive_ns <= newest.heard_ns && newest.heard_ns <= now);
                let place = (newest.step.incarnation, newest.step.sequence);
                let before = last.insert(newest.step.instance, (place, newest.alive_ns));
                let onward = |(before, alive_ns)| before <= place || alive_ns < newest.alive_ns;
                prop_assert!(before.is_none_or(onward));
            }
            let counts = core.shared.counters.read();
            let refused = counts.steps_future + counts.steps_malformed + counts.steps_beyond_ranks;
            let kept = counts.steps_stored + counts.steps_old + counts.steps_late;
            prop_assert_eq!(counts.steps, refused + kept + counts.steps_ignored);
        }
    }
}
