//! The ring against a plain model, and from two real threads.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::{Reader, ring};

#[derive(Debug, Clone)]
enum Act {
    Commit(u64),
    Abandon,
    Publish,
    Take(usize),
    Look,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => any::<u64>().prop_map(Act::Commit),
        1 => Just(Act::Abandon),
        2 => Just(Act::Publish),
        2 => (0..6_usize).prop_map(Act::Take),
        1 => Just(Act::Look),
    ]
}

/// Miri runs few and short cases, and without files to keep failures in.
fn config() -> ProptestConfig {
    if cfg!(miri) {
        ProptestConfig { cases: 4, failure_persistence: None, ..ProptestConfig::default() }
    } else {
        ProptestConfig::default()
    }
}

const ACTS_MAX: usize = if cfg!(miri) { 30 } else { 200 };

proptest! {
    #![proptest_config(config())]
    #[test]
    fn the_ring_is_a_bounded_queue_that_refuses_and_counts(acts in prop::collection::vec(act(), 0..ACTS_MAX)) {
        let (mut writer, mut reader) = ring::<u64>(4);
        let (mut hidden, mut visible) = (VecDeque::new(), VecDeque::new());
        let (mut dropped, mut produced, mut taken) = (0, 0, 0);
        for act in acts {
            match act {
                Act::Commit(record) => {
                    let room = hidden.len() + visible.len() < 4;
                    prop_assert_eq!(writer.push(&record), room);
                    if room { hidden.push_back(record) } else { dropped += 1; produced += 1 }
                }
                Act::Abandon => {
                    if let Some(slot) = writer.reserve() {
                        let kept = slot.commit_if(|place| { *place = 99; false });
                        prop_assert!(!kept);
                    } else { dropped += 1; produced += 1 }
                }
                Act::Publish => {
                    prop_assert_eq!(writer.publish(), !hidden.is_empty());
                    produced += hidden.len() as u64;
                    visible.append(&mut hidden);
                }
                Act::Take(most) => {
                    let run = reader.borrow(most);
                    let records: Vec<u64> = run.slices().concat();
                    let expected: Vec<u64> = visible.drain(..most.min(visible.len())).collect();
                    prop_assert_eq!(run.len(), expected.len());
                    prop_assert_eq!(records, expected);
                    taken += run.len() as u64;
                    run.release();
                }
                Act::Look => {
                    prop_assert_eq!(reader.is_empty(), visible.is_empty());
                    let run = reader.borrow(usize::MAX);
                    prop_assert_eq!(run.slices().concat(), visible.iter().copied().collect::<Vec<_>>());
                }
            }
        }
        let counts = reader.counts();
        prop_assert_eq!((counts.produced(), counts.dropped(), counts.taken()), (produced, dropped, taken));
        prop_assert_eq!(produced, dropped + taken + visible.len() as u64);
    }
}

#[test]
fn two_threads_exchange_every_record_that_was_not_counted_as_dropped() {
    let total: u64 = if cfg!(miri) { 200 } else { 200_000 };
    let (mut writer, mut reader) = ring::<[u64; 4]>(64);
    let counts = writer.counts();
    let mut last = 0;
    let mut take = |reader: &mut Reader<[u64; 4]>| {
        let run = reader.borrow(usize::MAX);
        for record in run.slices().into_iter().flatten() {
            assert!(record[0] > last, "in order");
            last = record[0];
            assert_eq!([last ^ 1, last ^ 2, last ^ 3], record[1..], "whole");
        }
        run.release();
    };
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for record in 1..=total {
                writer.push(&[record, record ^ 1, record ^ 2, record ^ 3]);
                if record.is_multiple_of(7) {
                    writer.publish();
                }
            }
        });
        while counts.produced() < total || !reader.is_empty() {
            take(&mut reader);
            std::thread::yield_now();
        }
    });
    // Counts are relaxed: the last of them may be seen before the records.
    take(&mut reader);
    assert_eq!(counts.produced(), total);
    assert_eq!(counts.taken() + counts.dropped(), total);
}

#[test]
fn a_writer_that_ends_publishes_what_it_committed() {
    let (mut writer, mut reader) = ring::<u64>(4);
    writer.push(&5);
    drop(writer);
    assert_eq!(reader.borrow(9).slices()[0], [5]);
}
