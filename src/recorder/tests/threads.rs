//! The recorder's thread and its queue.

use super::*;
use crate::platform::clock;
use crate::platform::thread::{self, Stop};

#[test]
fn every_batch_offered_is_written_or_counted() {
    for backend in ways() {
        let dir = tempfile::tempdir().unwrap();
        let (inlet, runner) = recorder(
            dir.path().into(),
            Limits { free_bytes: 0, ..Limits::default() },
            Some(backend),
            16,
            nothing_known(),
        );
        let stop = Stop::default();
        let stopped = stop.clone();
        let running = thread::spawn("recorder", None, move || runner.run(&stopped)).unwrap();
        let mut taken = Vec::new();
        for sequence in 1..=5000 {
            if inlet.offer(batch(sequence, 2000)) {
                taken.push(sequence);
            }
        }
        stop.raise();
        running.thread().unpark();
        running.join().unwrap();
        let counts = inlet.counts().snapshot();
        assert_eq!((counts.offered, counts.waiting(), counts.lost_disk), (5000, 0, 0));
        assert_eq!(counts.written, taken.len() as u64);
        assert!(!inlet.offer(batch(1, 0)), "nobody is there any more");
        let (found, tally) = batches(dir.path());
        assert_eq!(found, taken);
        assert!(tally.lost <= counts.lost_full);
    }
}

#[test]
fn a_burst_of_events_finds_room_where_shared_batches_do_not_and_order_holds() {
    let dir = tempfile::tempdir().unwrap();
    let limits = Limits { free_bytes: 0, ..Limits::default() };
    let (inlet, runner) = recorder(dir.path().into(), limits, None, 16, nothing_known());
    // Before its thread runs, so that nothing leaves the queue meanwhile.
    let mut taken = Vec::new();
    for sequence in 1..=1000 {
        let shared = sequence % 2 == 0;
        let bytes = batch(sequence, 0);
        if if shared { inlet.offer(bytes) } else { inlet.keep(bytes, sequence == 999) } {
            taken.push(sequence);
        }
    }
    assert_eq!(taken.len(), 500 + 16);
    let stop = Stop::default();
    stop.raise();
    runner.run(&stop);
    let counts = inlet.counts().snapshot();
    assert_eq!((counts.written, counts.lost_full, counts.waiting()), (516, 484, 0));
    let (found, tally) = batches(dir.path());
    assert_eq!((found, tally.lost), (taken, 484));
}

#[test]
fn a_recorder_without_batches_records_that_time_passes() {
    let dir = tempfile::tempdir().unwrap();
    let limits = Limits { free_bytes: 0, ..Limits::default() };
    let (inlet, runner) = recorder(dir.path().into(), limits, None, 16, nothing_known());
    let stop = Stop::default();
    let stopped = stop.clone();
    let running = thread::spawn("recorder", None, move || runner.run(&stopped)).unwrap();
    inlet.tick();
    let deadline_ns = clock::monotonic_ns() + 60 * SECOND_NS;
    let ticks = || {
        let Ok(recording) = Recording::open(dir.path()) else { return 0 };
        let (moments, _) = played(&recording, Range::default());
        moments.iter().filter(|(_, what, _)| *what == What::Tick).count()
    };
    while ticks() < 3 {
        assert!(clock::monotonic_ns() < deadline_ns, "no ticks come");
        clock::sleep_until(clock::monotonic_ns() + SECOND_NS / 20);
    }
    stop.raise();
    running.thread().unpark();
    running.join().unwrap();
}
