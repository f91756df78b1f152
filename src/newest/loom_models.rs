//! Every order in which a writer and a reader of one cell can meet.
//!
//! Mistakes that the model must find, one cfg each (`models/loom.sh` checks):
//! `seeded_bug` leaves out the writer's fence, `seeded_bug_read` the reader's.
//! `models/miri.sh` finds `seeded_bug_odd`, a relaxed store of the odd number.

use super::cell::{cell_words, read, write};
use crate::platform::atomic::{Arc, AtomicU64, LoadOnly};

#[test]
fn loom_a_value_is_read_whole_or_not_at_all() {
    loom::model(|| {
        let cell: Arc<Vec<AtomicU64>> =
            Arc::new((0..cell_words(2)).map(|_| AtomicU64::new(0)).collect());
        write(&cell, &[1, 1]);
        let handle = {
            let cell = Arc::clone(&cell);
            loom::thread::spawn(move || {
                write(&cell, &[2, 2]);
                write(&cell, &[3, 3]);
            })
        };
        let mut value = [0; 2];
        if let Some(finished) = read(LoadOnly::new(&cell), &mut value) {
            assert_eq!(value, [finished, finished], "torn");
        }
        handle.join().expect("the writer ends");
    });
}
