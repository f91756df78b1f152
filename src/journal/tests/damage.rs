//! Files that are cut, flipped, forged, too long or too new.

use std::fs::{self, File};

use super::super::disk::{ASIDE, FILE};
use super::super::*;
use super::model::Model;
use super::{LIMITS, append, entry, open, payloads, scratch};

/// The bytes of a journal with three entries, one acknowledged, and a name.
fn small_journal() -> Vec<u8> {
    let directory = scratch();
    let (mut journal, _) = open(directory.path());
    let first = append(&mut journal, "one");
    append(&mut journal, "two");
    append(&mut journal, "three");
    journal.acknowledge(first);
    journal.set_cursor("kmsg", b"41").unwrap();
    journal.sync().unwrap();
    fs::read(directory.path().join(FILE)).unwrap()
}

#[test]
fn a_file_cut_at_any_byte_opens_with_what_is_whole() {
    let bytes = small_journal();
    let states: [&[&str]; 6] = [
        &[],
        &["one"],
        &["one", "two"],
        &["one", "two", "three"],
        &["two", "three"],
        &["two", "three"],
    ];
    for cut in 0..=bytes.len() {
        let directory = scratch();
        fs::write(directory.path().join(FILE), &bytes[..cut]).unwrap();
        let (mut journal, recovered) = open(directory.path());
        let whole = parse(&bytes[..cut]).map_or(0, |parsed| parsed.records.len());
        assert_eq!(payloads(&journal), states[whole], "cut at {cut}");
        assert_eq!(journal.cursor("kmsg").is_some(), whole == 5, "cut at {cut}");
        assert_eq!(recovered.counts.set_aside, u64::from(cut < SegmentHeader::BYTES));
        append(&mut journal, "later");
        journal.sync().unwrap();
        let expected = payloads(&journal);
        drop(journal);
        let (journal, recovered) = open(directory.path());
        assert_eq!(payloads(&journal), expected, "cut at {cut}");
        assert_eq!(recovered.counts.torn_bytes, 0, "the tear at {cut} was cut off");
    }
}

#[test]
fn no_flipped_bit_harms_more_than_one_statement() {
    let bytes = small_journal();
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let directory = scratch();
        fs::write(directory.path().join(FILE), &flipped).unwrap();
        let (journal, recovered) = open(directory.path());
        let found = payloads(&journal);
        let cursor = journal.cursor("kmsg");
        assert!(matches!(cursor, None | Some(b"41")), "bit {bit}");
        let found: Vec<&str> = found.iter().map(String::as_str).collect();
        let outcome = (found.as_slice(), cursor.is_some());
        // Nothing, an entry, its acknowledgement or the name is lost.
        let expected: [(&[&str], bool); 5] = [
            (&["two", "three"], true),
            (&["three"], true),
            (&["two"], true),
            (&["one", "two", "three"], true),
            (&["two", "three"], false),
        ];
        assert!(expected.contains(&outcome), "bit {bit}: {outcome:?}");
        let counts = recovered.counts;
        let harmed = counts.torn_bytes + counts.corrupt_bytes > 0;
        assert_eq!(harmed, bit / 8 >= SegmentHeader::BYTES, "bit {bit}");
        assert!(counts.conserve());
    }
}

#[test]
fn a_later_versions_file_is_left_alone() {
    let directory = scratch();
    let file = directory.path().join(FILE);
    let mut bytes = small_journal();
    bytes[8] = 2;
    let crc = crc32fast::hash(&bytes[..28]);
    bytes[28..32].copy_from_slice(&crc.to_le_bytes());
    bytes.copy_within(0..32, 32);
    fs::write(&file, &bytes).unwrap();
    let outcome = Journal::open(directory.path(), LIMITS);
    assert!(matches!(outcome, Err(JournalError::Layout { layout: 2, .. })), "{outcome:?}");
    assert_eq!(fs::read(&file).unwrap(), bytes);
}

#[test]
fn what_no_longer_fits_smaller_limits_gives_way_and_is_counted() {
    let directory = scratch();
    let (mut journal, _) = Journal::open(directory.path(), Limits::default()).unwrap();
    for priority in [Severity::Info, Severity::Critical, Severity::Warning] {
        for _ in 0..4 {
            journal.append(entry(priority, &[7; 200])).unwrap();
        }
    }
    journal.append(entry(Severity::Critical, &[7; 300])).unwrap();
    journal.sync().unwrap();
    drop(journal);
    let (journal, recovered) = open(directory.path());
    assert_eq!(
        journal.unacknowledged().map(|entry| entry.sequence.0).collect::<Vec<_>>(),
        [5, 6, 7, 8]
    );
    assert_eq!(recovered.counts.recovered, 13);
    assert_eq!(recovered.counts.dropped, [4, 4, 0, 1]);
    assert!(recovered.counts.conserve());
}

#[test]
fn a_file_longer_than_any_journal_is_set_aside() {
    let directory = scratch();
    let bytes = small_journal();
    let file = directory.path().join(FILE);
    fs::write(&file, &bytes).unwrap();
    File::options().write(true).open(&file).unwrap().set_len((16 << 20) + 1).unwrap();
    let (journal, recovered) = open(directory.path());
    assert_eq!((recovered.counts.set_aside, recovered.counts.recovered), (1, 0));
    assert!(payloads(&journal).is_empty());
    assert!(fs::read(directory.path().join(ASIDE)).unwrap().starts_with(&bytes));
}

#[test]
fn forged_sequences_do_not_end_the_numbers() {
    let directory = scratch();
    let mut bytes = Vec::new();
    SegmentHeader { salt: 1, sequence_next: 1 }.encode(&mut bytes);
    for sequence in [(1 << 62) - 1, 1 << 62, u64::MAX, 0] {
        let kind = RecordKind::Event;
        let payload = &u64::to_be_bytes(sequence)[..];
        let record = Record { kind, priority: Severity::Info, sequence, name: "", payload };
        record.encode(1, bytes.len() as u64, &mut bytes);
    }
    fs::write(directory.path().join(FILE), &bytes).unwrap();
    let (mut journal, recovered) = open(directory.path());
    assert_eq!(recovered.counts.recovered, 2);
    assert!(append(&mut journal, "next") < Sequence(10));
    journal.sync().unwrap();
    let expected = Model::of(&journal);
    drop(journal);
    assert_eq!(Model::of(&open(directory.path()).0), expected);
}
