//! Every order in which the two ends can meet, for few records.
//!
//! Mistakes that they must find, one cfg each (`models/loom.sh` checks):
//! `seeded_bug` weakens the publishing store, `seeded_bug_release` the
//! releasing one, and `seeded_bug_early` publishes every record by itself.

use super::ring;

#[test]
fn loom_records_arrive_whole_in_order_and_once_or_are_counted() {
    loom::model(|| {
        let (mut writer, mut reader) = ring::<u64>(2);
        let counts = writer.counts();
        let handle = loom::thread::spawn(move || {
            for record in 1..=3_u64 {
                writer.push(&record);
                writer.publish();
            }
        });
        let mut seen = Vec::new();
        for _ in 0..2 {
            let run = reader.borrow(usize::MAX);
            seen.extend((0..run.len() as u64).map(|at| run.copy(at)));
            run.release();
            loom::thread::yield_now();
        }
        handle.join().expect("the writer ends");
        loop {
            let run = reader.borrow(usize::MAX);
            if run.is_empty() {
                break;
            }
            seen.extend((0..run.len() as u64).map(|at| run.copy(at)));
            run.release();
        }
        assert!(seen.windows(2).all(|pair| pair[0] < pair[1]), "in order and once: {seen:?}");
        assert_eq!(seen.len() as u64 + counts.dropped(), 3);
        assert_eq!(counts.produced(), 3);
        assert_eq!(counts.taken(), seen.len() as u64);
    });
}

#[test]
fn loom_a_run_published_together_is_seen_together() {
    loom::model(|| {
        let (mut writer, mut reader) = ring::<u64>(4);
        let handle = loom::thread::spawn(move || {
            writer.push(&1);
            writer.push(&2);
            writer.publish();
        });
        let run = reader.borrow(usize::MAX);
        assert!(run.is_empty() || run.len() == 2);
        run.release();
        handle.join().expect("the writer ends");
    });
}
