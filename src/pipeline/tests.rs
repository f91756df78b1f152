//! The drain with a clock of the tests' own.

use std::sync::{Arc, Mutex};

use bytemuck::Zeroable;
use proptest::prelude::*;

use super::drain::Instant;
use super::*;
use crate::ring::ring;
use crate::schema::{BATCH_HEADER_BYTES, BatchView, MetricId};

fn settings(linger_ns: u64) -> Settings {
    Settings {
        node: 1,
        incarnation: 2,
        generation: Arc::new(AtomicU32::new(3)),
        linger_ns,
        batch_bytes: BATCH_HEADER_BYTES + 4 * 256,
        slabs: 4,
    }
}

fn at(monotonic_ns: u64) -> Instant {
    Instant { monotonic_ns, wall_ns: 0 }
}

fn step(model: u64, sequence: u64) -> StepCore {
    StepCore { model, sequence, ..StepCore::zeroed() }
}

type Taken = Arc<Mutex<Vec<Batch>>>;

fn taker() -> (Taker, Taken) {
    let taken = Taken::default();
    let keep = Arc::clone(&taken);
    let offer = move |batch: &Batch| {
        keep.lock().expect("one thread").push(batch.clone());
        true
    };
    (Taker::new("test", Box::new(offer)), taken)
}

fn sequences(taken: &Taken) -> Vec<Vec<u64>> {
    let batches = taken.lock().expect("one thread");
    let steps = |batch: &Batch| {
        let view = BatchView::verify(batch.bytes()).expect("our own batch");
        view.steps().map(|step| step.sequence).collect()
    };
    batches.iter().map(steps).collect()
}

#[test]
fn a_quiet_record_leaves_at_once_and_busy_ones_wait_for_half_or_all_of_the_linger() {
    let (mut writer, reader) = ring(64);
    let (taker, taken) = taker();
    let mut drain = Drain::new(vec![Source::Steps(reader)], vec![taker], settings(100));
    for (now, sequence, due, sent) in [
        (1000, 1, None, 1),
        (1010, 2, Some(1050), 1),
        (1040, 3, Some(1050), 1),
        (1050, 4, None, 2),
        (1060, 5, Some(1150), 2),
        (1150, 6, None, 3),
        (1500, 7, None, 4),
    ] {
        writer.push(&step(1, sequence));
        writer.publish();
        assert_eq!(drain.turn(at(now)), due, "at {now}");
        assert_eq!(taken.lock().unwrap().len(), sent, "at {now}");
    }
    assert_eq!(sequences(&taken), [vec![1], vec![2, 3, 4], vec![5, 6], vec![7]]);
}

#[test]
fn a_full_batch_leaves_before_its_linger() {
    let (mut writer, reader) = ring(64);
    let (taker, taken) = taker();
    let mut drain = Drain::new(vec![Source::Steps(reader)], vec![taker], settings(u64::MAX / 2));
    (1..=9).for_each(|sequence| assert!(writer.push(&step(1, sequence))));
    writer.publish();
    drain.turn(at(1));
    assert_eq!(sequences(&taken), [vec![1, 2, 3, 4], vec![5, 6, 7, 8]]);
    drain.flush(at(2));
    assert_eq!(sequences(&taken).last(), Some(&vec![9]));
}

#[test]
fn models_travel_apart_and_every_taker_sees_the_same_bytes_in_place() {
    let (mut writer, reader) = ring(64);
    let ((one, first), (two, second)) = (taker(), taker());
    let mut drain = Drain::new(vec![Source::Steps(reader)], vec![one, two], settings(0));
    [(7, 1), (7, 2), (8, 1), (7, 3)].iter().for_each(|(m, s)| assert!(writer.push(&step(*m, *s))));
    writer.publish();
    drain.turn(at(1));
    let (first, second) = (first.lock().unwrap(), second.lock().unwrap());
    let lanes: Vec<_> = first.iter().map(|batch| (batch.lane().model, batch.records())).collect();
    assert_eq!(lanes, [(7, 3), (8, 1)]);
    for (a, b) in first.iter().zip(second.iter()) {
        assert_eq!(a.bytes().as_ptr(), b.bytes().as_ptr());
    }
    let head = BatchView::verify(first[0].bytes()).unwrap().head();
    assert_eq!((head.node, head.incarnation, head.sequence, head.generation), (1, 2, 1, 3));
}

#[test]
fn a_full_a_stuck_and_a_panicking_taker_lose_their_own_batches_and_delay_nobody() {
    let (mut writer, reader) = ring(64);
    let (good, taken) = taker();
    let mut left = 2;
    let full = Taker::new(
        "full",
        Box::new(move |_| {
            left -= 1;
            left >= 0
        }),
    );
    let mad = Taker::new("mad", Box::new(|_| panic!("a taker's mistake")));
    let counts = [good.counts(), full.counts(), mad.counts()];
    let mut drain = Drain::new(vec![Source::Steps(reader)], vec![mad, full, good], settings(0));
    for now in 1..=4 {
        // What was taken is given back, or the pool would be at its end.
        taken.lock().unwrap().clear();
        writer.push(&step(1, now));
        writer.publish();
        drain.turn(at(now));
    }
    let seen = counts.map(|counts| (counts.queued(), counts.dropped()));
    assert_eq!(seen, [(4, 0), (2, 2), (0, 4)]);
}

#[test]
fn a_taker_that_holds_every_slab_costs_counted_records_and_gets_going_again() {
    let (mut writer, reader) = ring(64);
    let (taker, taken) = taker();
    let mut drain = Drain::new(vec![Source::Steps(reader)], vec![taker], settings(0));
    let counts = drain.counts();
    for now in 1..=6 {
        writer.push(&step(1, now));
        writer.publish();
        drain.turn(at(now));
    }
    assert_eq!((counts.batched(), counts.dropped()), (4, 2));
    taken.lock().unwrap().clear();
    writer.push(&step(1, 7));
    writer.publish();
    drain.turn(at(7));
    assert_eq!(sequences(&taken), [vec![7]]);
}

#[test]
fn readings_travel_in_one_lane() {
    let (mut writer, reader) = ring(8);
    let (taker, taken) = taker();
    let mut drain = Drain::new(vec![Source::Readings(reader)], vec![taker], settings(0));
    writer.push(&Reading::new(4, MetricId::CpuBusy, 5, 0.5));
    writer.publish();
    drain.turn(at(1));
    let taken = taken.lock().unwrap();
    let view = BatchView::verify(taken[0].bytes()).unwrap();
    assert_eq!(view.readings().map(|reading| reading.value).collect::<Vec<_>>(), [0.5]);
}

#[test]
fn models_beyond_the_last_lane_share_one() {
    let (mut writer, reader) = ring(256);
    let (taker, taken) = taker();
    let mut drain = Drain::new(
        vec![Source::Steps(reader)],
        vec![taker],
        Settings { slabs: 2 * LANES_MAX, ..settings(0) },
    );
    (1..=100).for_each(|model| assert!(writer.push(&step(model, model))));
    writer.publish();
    drain.turn(at(1));
    drain.flush(at(2));
    let lanes: std::collections::HashSet<_> =
        taken.lock().unwrap().iter().map(|batch| batch.lane()).collect();
    assert!(lanes.len() < LANES_MAX);
    assert_eq!(sequences(&taken).concat().len(), 100);
}

proptest! {
    #[test]
    fn every_record_is_batched_once_in_order_or_counted(
        turns in prop::collection::vec((0..12_u64, 0..3_u64, 0..200_u64, any::<bool>()), 1..60),
    ) {
        let (mut writer, reader) = ring::<StepCore>(8);
        let (taker, taken) = taker();
        let ring_counts = writer.counts();
        let mut drain = Drain::new(vec![Source::Steps(reader)], vec![taker], settings(100));
        let counts = drain.counts();
        let (mut now, mut sequence, mut seen) = (0, 0, Vec::new());
        for (pushes, model, later, collect) in turns {
            for _ in 0..pushes {
                sequence += 1;
                writer.push(&step(model, sequence));
            }
            writer.publish();
            now += later;
            drain.turn(at(now));
            if collect {
                seen.extend(sequences(&taken).concat());
                taken.lock().unwrap().clear();
            }
        }
        drain.flush(at(now + 1));
        seen.extend(sequences(&taken).concat());
        let mut unique = seen.clone();
        unique.sort_unstable();
        unique.dedup();
        prop_assert_eq!(unique.len(), seen.len());
        prop_assert_eq!(ring_counts.produced(), sequence);
        prop_assert_eq!(ring_counts.taken(), counts.taken());
        prop_assert_eq!(counts.taken(), counts.batched() + counts.dropped());
        prop_assert_eq!(seen.len() as u64, counts.batched());
    }
}
