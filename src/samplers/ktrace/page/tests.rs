use proptest::prelude::*;

use super::*;

const PAGE: &[u8] = include_bytes!("../../../../tests/captures/ktrace/page");
const LAYOUT: Layout = Layout { time: 0, commit: 8, data: 16, bytes: 4096 };

/// A page with these words as its data.
fn page(words: &[u32], flags: u32) -> Vec<u8> {
    let mut bytes = 1000_u64.to_le_bytes().to_vec();
    bytes.extend_from_slice(&u64::from((words.len() as u32 * 4) | flags).to_le_bytes());
    words.iter().for_each(|word| bytes.extend_from_slice(&word.to_le_bytes()));
    bytes
}

/// Times and data of a page's records; nothing in the place of a malformed one.
fn records(words: &[u32]) -> Vec<Option<(u64, Vec<u8>)>> {
    let bytes = page(words, 0);
    let records = Page::parse(&bytes, &LAYOUT).unwrap();
    records.map(|record| record.ok().map(|record| (record.time_ns, record.data.to_vec()))).collect()
}

#[test]
fn a_real_page_gives_its_records_with_their_times() {
    let records: Vec<Record<'_>> =
        Page::parse(PAGE, &LAYOUT).unwrap().map(|record| record.unwrap()).collect();
    assert_eq!(records.len(), 24);
    assert!(records.iter().all(|record| record.id() == Some(2326)));
    assert!(records.is_sorted_by_key(|record| record.time_ns));
    // The second was written after 2 ms, the third after 300 ms more: a delta
    // that needs a record of its own.
    let between = |at: usize| (records[at].time_ns - records[at - 1].time_ns) / 1_000_000;
    assert_eq!((between(1), between(2)), (2, 300));
}

#[test]
fn each_kind_of_record_moves_the_time_as_the_kernel_says() {
    let delta = |kind: u32, delta: u32| kind | delta << 5;
    for (words, expected) in [
        // Short, long, and nothing behind.
        (&[delta(1, 7), 0x41][..], vec![Some((1007, vec![0x41, 0, 0, 0]))]),
        (&[delta(0, 7), 8, 0x42], vec![Some((1007, vec![0x42, 0, 0, 0]))]),
        (&[delta(0, 7), 4], vec![Some((1007, vec![]))]),
        // A far time, an absolute time, a gap, the rest of the page.
        (&[delta(30, 1), 1, delta(1, 2), 1], vec![Some((1003 + (1 << 27), vec![1, 0, 0, 0]))]),
        (&[delta(31, 1), 1, delta(1, 2), 1], vec![Some((3 + (1 << 27), vec![1, 0, 0, 0]))]),
        (&[delta(29, 1), 8, 0, delta(1, 2), 1], vec![Some((1002, vec![1, 0, 0, 0]))]),
        (&[delta(29, 0), 9, 9], vec![]),
        // Longer than the page, a length without itself, a time without its rest.
        (&[delta(2, 0), 1], vec![None]),
        (&[delta(0, 0), 3, 1], vec![None]),
        (&[delta(0, 0), u32::MAX, 1], vec![None]),
        (&[delta(30, 0)], vec![None]),
        (&[delta(1, 0), 1, delta(29, 1), 64], vec![Some((1000, vec![1, 0, 0, 0])), None]),
        (&[], vec![]),
    ] {
        assert_eq!(records(words), expected, "{words:x?}");
    }
}

#[test]
fn a_page_after_a_loss_says_its_length_beside_the_flags() {
    let bytes = page(&[1, 7], 3 << 30);
    assert_eq!(Page::parse(&bytes, &LAYOUT).unwrap().count(), 1);
}

#[test]
fn what_is_longer_than_it_is_is_no_page() {
    let bytes = page(&[1, 7], 0);
    for end in 0..bytes.len() {
        assert!(Page::parse(&bytes[..end], &LAYOUT).is_none(), "cut at {end}");
    }
    assert!(Page::parse(&page(&[1, 7], 4096), &LAYOUT).is_none());
}

proptest! {
    #[test]
    fn any_page_ends_and_gives_no_byte_twice(bytes: Vec<u8>, time: usize, commit: usize, data: usize) {
        for layout in [LAYOUT, Layout { time, commit, data, bytes: 4096 }, Layout { bytes: 64, ..LAYOUT }] {
            let Some(records) = Page::parse(&bytes, &layout) else { continue };
            let given: usize = records.flatten().map(|record| record.data.len()).sum();
            prop_assert!(given <= bytes.len());
        }
    }

    #[test]
    fn any_words_as_records_end(words in prop::collection::vec(any::<u32>(), 0..64)) {
        let bytes = page(&words, 0);
        prop_assert!(Page::parse(&bytes, &LAYOUT).unwrap().count() <= words.len());
    }
}
