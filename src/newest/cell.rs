//! One value behind a sequence: many readers, one writer, no lock.
//!
//! ```text
//! word 0        2 × finished writes, odd while one is under way
//! words 1–7     zero; keep the value off the sequence's neighbours
//! words 8…      two copies of the value; write n goes to copy n mod 2
//! ```
//!
//! Since writes alternate between the copies, a reader of the newest finished
//! one is disturbed only when two writes begin while it copies. Readers copy
//! words that may be written meanwhile, which is sound since each word is
//! atomic, and only believe the copy when the sequence says that it was whole.

use crate::platform::atomic::{AtomicU64, LoadOnly, Ordering, fence};

/// Words before the first copy.
pub const HEADER_WORDS: usize = 8;

/// How often a reader tries before it keeps what it had.
pub const TRIES_MAX: usize = 8;

/// Size of a cell for values of `value_words`.
#[must_use]
pub const fn cell_words(value_words: usize) -> usize {
    HEADER_WORDS + 2 * value_words
}

/// Writes a value. Only one thread may write a cell.
///
/// # Panics
///
/// When the cell is not of the value's size.
pub fn write(cell: &[AtomicU64], value: &[u64]) {
    assert_eq!(cell.len(), cell_words(value.len()), "a cell of this value's size");
    let finished = cell[0].load(Ordering::Relaxed) / 2;
    // Release, since a reader that loads this odd number believes the copy
    // finished before it: a relaxed store would not carry [write done] on
    // (Miri tears a value here without it; x86 pays nothing for it).
    #[cfg(not(seeded_bug_odd))]
    cell[0].store(2 * finished + 1, Ordering::Release);
    #[cfg(seeded_bug_odd)]
    cell[0].store(2 * finished + 1, Ordering::Relaxed);
    // [write begun] pairs with [copy done]: whoever copied a word stored below
    // also sees that a write is under way.
    #[cfg(not(seeded_bug))]
    fence(Ordering::Release);
    let at = copy_at(finished + 1, value.len());
    for (word, value) in cell[at..at + value.len()].iter().zip(value) {
        word.store(*value, Ordering::Relaxed);
    }
    // [write done] pairs with the load in `read`.
    cell[0].store(2 * (finished + 1), Ordering::Release);
}

/// Copies the newest value into `into`. Returns how many writes were finished
/// then, or nothing when the cell was never written or when writers disturbed
/// every try; `into` is then not to be believed.
///
/// # Panics
///
/// When the cell is not of the value's size.
#[must_use]
pub fn read(cell: LoadOnly<'_>, into: &mut [u64]) -> Option<u64> {
    assert_eq!(cell.len(), cell_words(into.len()), "a cell of this value's size");
    read_with(cell, |value| value.copy_out(0, into))
}

/// As [`read`], but `copy` takes what it wants of the value's words. It is
/// called once a try.
#[must_use]
pub fn read_with(cell: LoadOnly<'_>, mut copy: impl FnMut(LoadOnly<'_>)) -> Option<u64> {
    let value_words = (cell.len() - HEADER_WORDS) / 2;
    for _ in 0..TRIES_MAX {
        // [write done] pairs with the stores of this word in `write`.
        let finished = cell.load(0, Ordering::Acquire) / 2;
        if finished == 0 {
            return None;
        }
        copy(cell.part(copy_at(finished, value_words), value_words));
        // [copy done] pairs with [write begun].
        #[cfg(not(seeded_bug_read))]
        fence(Ordering::Acquire);
        let now = cell.load(0, Ordering::Relaxed);
        // Write finished + 1 goes to the other copy; finished + 2 to ours, and
        // it is under way from 2 × (finished + 1) + 1 on. The sequence may be
        // another process's: no number in it may overflow.
        if now.wrapping_sub(2 * finished) <= 2 {
            return Some(finished);
        }
        crate::platform::atomic::spin_hint();
    }
    None
}

/// How many writes were finished; a cheap look for a change.
#[must_use]
pub fn finished(cell: LoadOnly<'_>) -> u64 {
    cell.load(0, Ordering::Acquire) / 2
}

const fn copy_at(write: u64, value_words: usize) -> usize {
    HEADER_WORDS + (write & 1) as usize * value_words
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn cell(value_words: usize) -> Vec<AtomicU64> {
        (0..cell_words(value_words)).map(|_| AtomicU64::new(0)).collect()
    }

    #[test]
    fn a_cell_never_written_holds_nothing() {
        assert_eq!(read(LoadOnly::new(&cell(2)), &mut [0; 2]), None);
    }

    #[test]
    fn the_newest_value_is_read() {
        let cell = cell(3);
        for write_number in 1..=5_u64 {
            write(&cell, &[write_number, 2, 3]);
            let mut value = [0; 3];
            assert_eq!(read(LoadOnly::new(&cell), &mut value), Some(write_number));
            assert_eq!(value, [write_number, 2, 3]);
        }
    }

    #[test]
    fn a_write_under_way_leaves_the_finished_value_readable() {
        let cell = cell(1);
        write(&cell, &[7]);
        cell[0].store(3, Ordering::Relaxed);
        let mut value = [0];
        assert_eq!(read(LoadOnly::new(&cell), &mut value), Some(1));
        assert_eq!(value, [7]);
    }

    #[test]
    fn a_sequence_of_any_number_is_read_without_a_panic() {
        let cell = cell(1);
        for sequence in [1, u64::MAX / 2, u64::MAX - 2, u64::MAX - 1, u64::MAX] {
            cell[0].store(sequence, Ordering::Relaxed);
            let value = read(LoadOnly::new(&cell), &mut [0]);
            assert_eq!(value, (sequence > 1).then_some(sequence / 2));
        }
    }

    #[test]
    fn values_read_while_a_thread_writes_are_whole() {
        let cell = cell(8);
        let writes: u64 = if cfg!(miri) { 50 } else { 50_000 };
        std::thread::scope(|scope| {
            scope.spawn(|| (1..=writes).for_each(|n| write(&cell, &[n; 8])));
            let mut last = 0;
            while last < writes {
                let mut value = [0; 8];
                if read(LoadOnly::new(&cell), &mut value).is_some() {
                    assert!(value.iter().all(|word| *word == value[0]), "torn: {value:?}");
                    assert!(value[0] >= last, "went back");
                    last = value[0];
                }
                std::thread::yield_now();
            }
        });
    }
}
