use super::*;
use crate::platform::clock::{MILLISECOND_NS as MS, SECOND_NS};
use proptest::prelude::*;

const NOW: u64 = 100 * SECOND_NS;

fn record(producer: u16, sampled_ns: u64) -> NewestStep {
    let mut record = NewestStep::zeroed();
    record.step.producer = producer;
    record.step.producers = 2;
    record.step.incarnation = 1;
    record.alive_ns = sampled_ns;
    record
}

#[test]
fn gauges_come_from_the_newest_that_has_them_and_counters_are_summed() {
    let mut older = record(0, NOW - 2);
    older.step.running = 9;
    older.step.kv_usage = 0.5;
    older.step.finished = 10;
    older.step.decode_tokens_per_second = 1.0;
    older.lost = 1;
    for field in [Field::Running, Field::KvUsage, Field::Finished, Field::DecodeRate] {
        older.step.mark(field);
    }
    let mut newer = record(1, NOW - 1);
    newer.step.running = 3;
    newer.step.finished = 5;
    newer.step.decode_tokens_per_second = 2.0;
    newer.lost = 2;
    for field in [Field::Running, Field::Finished, Field::DecodeRate] {
        newer.step.mark(field);
    }
    for mut records in [[older, newer], [newer, older]] {
        let state = merge(&mut records, NOW, &Patience::default());
        assert_eq!(state.value(Field::Running), Some(3.0));
        assert_eq!(state.value(Field::KvUsage), Some(0.5));
        assert_eq!(state.value(Field::Finished), Some(15.0));
        assert_eq!(state.value(Field::DecodeRate), Some(3.0));
        assert_eq!(state.value(Field::Waiting), None);
        assert_eq!((state.lost, state.producers, state.age_ns), (3, 2, 1));
        assert_eq!(state.activity, Activity::Busy);
    }
}

#[test]
fn estimates_of_each_front_end_are_summed_and_measurements_are_not() {
    for (estimated, expected) in [(true, 30.0), (false, 10.0)] {
        let mut records = [record(0, NOW - 1), record(1, NOW - 2)];
        for (record, tokens) in records.iter_mut().zip([10, 20]) {
            record.step.waiting_tokens = tokens;
            record.step.mark(Field::WaitingTokens);
            if estimated {
                record.step.raise(Flag::TokensEstimated);
            }
        }
        let state = merge(&mut records, NOW, &Patience::default());
        assert_eq!(state.value(Field::WaitingTokens), Some(expected));
    }
}

#[test]
fn who_is_gone_left_over_or_beyond_the_number_does_not_count() {
    let mut gone = record(0, NOW - 31 * SECOND_NS);
    let mut left_over = record(0, NOW - 4 * SECOND_NS);
    let mut beyond = record(2, NOW - 1);
    for record in [&mut gone, &mut left_over, &mut beyond] {
        record.step.finished = 100;
        record.step.mark(Field::Finished);
    }
    left_over.step.incarnation = 0;
    let mut newest = record(1, NOW);
    newest.step.finished = 1;
    newest.step.mark(Field::Finished);
    for other in [gone, left_over, beyond] {
        let state = merge(&mut [newest, other], NOW, &Patience::default());
        assert_eq!(state.value(Field::Finished), Some(1.0));
        assert_eq!(state.producers, 1);
    }
}

#[test]
fn a_rank_lives_while_one_of_its_front_ends_does() {
    let mut goodbye = record(0, NOW);
    goodbye.step.raise(Flag::Goodbye);
    let alive = record(1, NOW - 10);
    let state = merge(&mut [goodbye, alive], NOW, &Patience::default());
    assert_eq!((state.freshness, state.silence_ns), (Freshness::Fresh, 10));
    let state = merge(&mut [goodbye, goodbye], NOW, &Patience::default());
    assert_eq!(state.freshness, Freshness::Gone);
}

#[test]
fn a_silent_front_end_keeps_its_counters_in_the_sum_but_not_its_gauges() {
    let mut silent = record(0, NOW - 4 * SECOND_NS);
    (silent.step.running, silent.step.finished) = (7, 10);
    silent.step.decode_tokens_per_second = 3.0;
    let mut alive = record(1, NOW - MS);
    (alive.step.waiting, alive.step.finished) = (1, 5);
    for field in [Field::Running, Field::Finished, Field::DecodeRate] {
        silent.step.mark(field);
    }
    for field in [Field::Waiting, Field::Finished] {
        alive.step.mark(field);
    }
    let state = merge(&mut [silent, alive], NOW, &Patience::default());
    assert_eq!(state.value(Field::Running), None);
    assert_eq!(state.value(Field::DecodeRate), None);
    assert_eq!(state.value(Field::Waiting), Some(1.0));
    assert_eq!(state.value(Field::Finished), Some(15.0));
    assert_eq!((state.freshness, state.producers), (Freshness::Fresh, 2));
    let mut both = [silent, NewestStep { alive_ns: silent.alive_ns, ..alive }];
    let state = merge(&mut both, NOW, &Patience::default());
    assert_eq!(state.value(Field::Running), Some(7.0), "what was last known");
    assert_eq!(state.freshness, Freshness::Silent);
}

#[test]
fn the_age_is_that_of_the_running_requests_and_the_silence_that_of_anybody() {
    let mut scheduler = record(0, NOW - 900 * MS);
    scheduler.step.mark(Field::Running);
    scheduler.error_ns = 5;
    let mut counts_only = record(1, NOW - MS);
    counts_only.step.mark(Field::Finished);
    counts_only.error_ns = 3;
    let state = merge(&mut [scheduler, counts_only], NOW, &Patience::default());
    assert_eq!((state.age_ns, state.silence_ns, state.error_ns), (900 * MS, MS, 5));
}

/// A front end with everything said that a merge looks at.
fn front(producer: u16) -> impl Strategy<Value = NewestStep> {
    let times = (0..40_000_u64, 0..2_000_u64, 1..4_u64, 0..3_u64);
    let says = (any::<u32>(), 0..1_000_u32, 0..1_000_u64, prop::bool::weighted(0.05));
    (times, says).prop_map(move |((ago_ms, idle_ms, incarnation, error_ns), says)| {
        let (present, running, finished, goodbye) = says;
        let mut record = record(producer, NOW - ago_ms * MS);
        record.step.producers = 4;
        record.step.incarnation = incarnation;
        record.step.monotonic_ns = (ago_ms + idle_ms) * MS;
        record.step.heartbeat_ns = record.step.monotonic_ns + idle_ms * MS;
        record.step.present = u64::from(present) | Field::Finished.bit();
        (record.step.running, record.step.finished) = (running, finished);
        record.step.waiting_tokens = running;
        record.error_ns = error_ns;
        if goodbye {
            record.step.raise(Flag::Goodbye);
        }
        record
    })
}

fn fronts() -> impl Strategy<Value = Vec<NewestStep>> {
    (front(0), front(1), front(2), front(3), 1..=4_usize).prop_map(|(a, b, c, d, count)| {
        let mut records = vec![a, b, c, d];
        records.truncate(count);
        records
    })
}

proptest! {
    #[test]
    fn the_order_of_arrival_does_not_matter(
        (records, shuffled) in fronts().prop_flat_map(|records| {
            (Just(records.clone()), Just(records).prop_shuffle())
        }),
    ) {
        let (mut records, mut shuffled) = (records, shuffled);
        let (a, b) = (
            merge(&mut records, NOW, &Patience::default()),
            merge(&mut shuffled, NOW, &Patience::default()),
        );
        prop_assert_eq!(a, b);
    }

    #[test]
    fn a_merge_says_no_more_than_its_records(records in fronts()) {
        let state = merge(&mut records.clone(), NOW, &Patience::default());
        let says = |field| records.iter().filter_map(move |record| record.step.value(field));
        if let Some(running) = state.value(Field::Running) {
            prop_assert!(says(Field::Running).any(|one| one == running));
        }
        let finished = state.value(Field::Finished).expect("everybody counts");
        prop_assert!(finished <= says(Field::Finished).sum::<f64>());
        prop_assert!(usize::from(state.producers) <= records.len());
        let freshest = records.iter().map(|record| {
            freshness_of(&record.step, NOW - record.alive_ns, &Patience::default())
        });
        if state.freshness < Freshness::Silent {
            prop_assert!(freshest.min() <= Some(state.freshness), "somebody is as fresh");
        }
    }

    /// Steps of front ends come in any order; each front end's own are kept
    /// newest, as a view does. While nobody is lost, no sum falls.
    #[test]
    fn while_nobody_is_lost_no_counter_falls(
        steps in prop::collection::vec((0..4_u16, 1..50_u64, 0..20_u64), 1..60),
    ) {
        let mut newest: Vec<NewestStep> = (0..4).map(|producer| record(producer, NOW)).collect();
        for record in &mut newest {
            record.step.producers = 4;
            record.step.mark(Field::Finished);
        }
        let mut before = 0.0;
        for (producer, sequence, ago_ms) in steps {
            let held = &mut newest[usize::from(producer)];
            if sequence > held.step.sequence {
                (held.step.sequence, held.step.finished) = (sequence, sequence * 3);
                held.alive_ns = NOW - ago_ms * MS;
            }
            let state = merge(&mut newest.clone(), NOW, &Patience::default());
            let finished = state.value(Field::Finished).expect("everybody counts");
            prop_assert!(finished >= before);
            before = finished;
        }
    }
}
