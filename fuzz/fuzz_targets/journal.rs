//! A journal's file is whatever the disk gives back. Arbitrary bytes, and
//! arbitrary records under true checksums, must be read without a panic,
//! account for every byte, and open as a journal that conserves its entries
//! and reads the same the second time.
#![no_main]

use std::path::PathBuf;

use eagle_eye::journal::{Entry, EntryKind, Journal, Limits, SegmentHeader, parse};
use eagle_eye::schema::Severity;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((&choice, data)) = data.split_first() else { return };
    let bytes = if choice % 2 == 0 { data.to_vec() } else { sealed(data) };
    if check_parse(&bytes) {
        check_open(&bytes);
    }
});

/// Whether the bytes are a segment; if so, every byte has one place.
fn check_parse(bytes: &[u8]) -> bool {
    let Ok(parsed) = parse(bytes) else { return false };
    assert_eq!(parsed.end + parsed.torn_bytes, bytes.len());
    let mut place = SegmentHeader::BYTES;
    let (mut gaps, mut gap_bytes) = (0, 0);
    for (at, record) in &parsed.records {
        assert!(*at >= place, "records do not overlap");
        gaps += usize::from(*at != place);
        gap_bytes += *at - place;
        place = at + 24 + (record.name.len() + record.payload.len()).next_multiple_of(8);
    }
    assert_eq!(place, parsed.end);
    assert_eq!((gaps, gap_bytes), (parsed.corrupt_gaps, parsed.corrupt_bytes));
    let whole = parse(&bytes[..parsed.end]).expect("the header is still there");
    assert_eq!(whole.records, parsed.records, "what is torn changes nothing before it");
    assert_eq!(whole.torn_bytes, 0);
    true
}

fn check_open(bytes: &[u8]) {
    let directory = directory();
    std::fs::create_dir_all(&directory).expect("a directory to work in");
    std::fs::write(directory.join("journal"), bytes).expect("a file to work on");
    let (mut journal, recovered) = Journal::open(&directory, LIMITS).expect("nobody else is here");
    assert!(recovered.trouble.is_none(), "{:?}", recovered.trouble);
    assert!(recovered.counts.conserve());
    let entry =
        Entry { kind: EntryKind::Verdict, priority: Severity::Critical, payload: b"the newest" };
    let newest = journal.append(entry).ok();
    journal.sync().expect("the disk works");
    assert!(journal.counts().conserve());
    assert!(journal.counts().live_bytes <= u64::from(LIMITS.segment_bytes / 2));
    let before: Vec<_> = journal
        .unacknowledged()
        .map(|entry| (entry.sequence, entry.kind, entry.priority, entry.payload.to_vec()))
        .collect();
    assert!(before.is_sorted_by_key(|(sequence, ..)| *sequence));
    assert_eq!(newest.is_some(), before.last().map(|(sequence, ..)| *sequence) == newest);
    drop(journal);
    let (journal, recovered) = Journal::open(&directory, LIMITS).expect("nobody else is here");
    let after: Vec<_> = journal
        .unacknowledged()
        .map(|entry| (entry.sequence, entry.kind, entry.priority, entry.payload.to_vec()))
        .collect();
    let numbers_end = before.last().is_some_and(|(sequence, ..)| sequence.0 > 1 << 60);
    if numbers_end {
        // Forged numbers near the end of all numbers are given anew.
        let unnumbered = |(_, kind, priority, payload)| (kind, priority, payload);
        let after: Vec<_> = after.into_iter().map(unnumbered).collect();
        assert_eq!(after, before.into_iter().map(unnumbered).collect::<Vec<_>>());
    } else {
        assert_eq!(after, before);
    }
    assert_eq!((recovered.counts.torn_bytes, recovered.counts.corrupt_gaps), (0, 0));
}

/// A segment whose records say what `data` says, under true checksums: a
/// length, a name's length, a kind, a priority, a sequence of 8 bytes, then
/// the body, again and again.
fn sealed(data: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..2 {
        let start = bytes.len();
        bytes.extend_from_slice(b"EEjournl");
        bytes.extend_from_slice(&1_u32.to_le_bytes());
        bytes.extend_from_slice(&SALT.to_le_bytes());
        bytes.extend_from_slice(&1_u64.to_le_bytes());
        let crc = crc32(&bytes[start..]);
        bytes.extend_from_slice(&crc.to_le_bytes());
    }
    let mut rest = data;
    while let Some((said, tail)) = rest.split_first_chunk::<12>() {
        let length = usize::from(said[0]).min(tail.len());
        let (body, tail) = tail.split_at(length);
        rest = tail;
        let place = bytes.len();
        let mut padded = body.to_vec();
        padded.resize(length.next_multiple_of(8), 0);
        bytes.extend_from_slice(&(length as u32).to_le_bytes());
        bytes.extend_from_slice(&crc32(&padded).to_le_bytes());
        bytes.extend_from_slice(&said[4..12]);
        bytes.extend_from_slice(&[said[2], said[3], said[1], 0]);
        let mut sealing = SALT.to_le_bytes().to_vec();
        sealing.extend_from_slice(&(place as u64).to_le_bytes());
        sealing.extend_from_slice(&bytes[place..]);
        bytes.extend_from_slice(&crc32(&sealing).to_le_bytes());
        bytes.extend_from_slice(&padded);
    }
    bytes.extend_from_slice(rest);
    bytes
}

/// The zlib checksum, written out a second time on purpose.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}

fn directory() -> PathBuf {
    let memory = PathBuf::from("/dev/shm");
    let base = if memory.is_dir() { memory } else { std::env::temp_dir() };
    base.join(format!("eagle-eye-fuzz-journal-{}", std::process::id()))
}

const LIMITS: Limits = Limits { segment_bytes: 4096, payload_bytes_max: 224, named_bytes_max: 984 };
const SALT: u64 = 0x5EED;
