//! A recording is whatever the disk, or whoever sent an excerpt, gives.
//! Arbitrary bytes, and arbitrary frames under true checksums, must be played
//! without a panic, the same each time, in order within a run; and an excerpt
//! of them must be a recording of the same moments without anything to pass
//! over.
#![no_main]

use eagle_eye::recorder::{At, Range, Recording, Tally, What, excerpt};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((&choice, data)) = data.split_first() else { return };
    let bytes = if choice % 2 == 0 { data.to_vec() } else { sealed(data) };
    let Ok(recording) = Recording::of_bytes(bytes) else { return };
    let (moments, _) = played(&recording, Range::default());
    assert_eq!(played(&recording, Range::default()).0, moments);
    for pair in moments.windows(2) {
        let same_run = pair[1].1 != What::Run;
        assert!(!same_run || pair[0].0.monotonic_ns <= pair[1].0.monotonic_ns);
    }
    let middle = moments.get(moments.len() / 2).map(|(at, ..)| at.wall_ns);
    for range in [Range::default(), Range { from_wall_ns: middle, to_wall_ns: None }] {
        let mut copy = Vec::new();
        let made = excerpt(&recording, range, 1 << 20, &mut copy).expect("memory takes all");
        assert!(made.bytes == copy.len() as u64 && made.bytes <= 1 << 20);
        if copy.is_empty() {
            continue;
        }
        let copy = Recording::of_bytes(copy).expect("an excerpt is a recording");
        let (again, tally) = played(&copy, Range::default());
        if !made.cut {
            assert_eq!(again, played(&recording, range).0);
        }
        let Tally { damaged, torn_bytes, refused, unknown, unreadable, .. } = tally;
        assert_eq!((damaged, torn_bytes, refused, unknown, unreadable), (0, 0, 0, 0, 0));
    }
});

fn played(recording: &Recording, range: Range) -> (Vec<(At, What, Vec<u8>)>, Tally) {
    let mut play = recording.play(range);
    let mut moments = Vec::new();
    while let Some(moment) = play.next_moment().expect("memory can be read") {
        moments.push((moment.at, moment.what, moment.bytes().to_vec()));
    }
    (moments, play.tally())
}

/// Segments and frames that the data asks for, with true checksums. Each byte
/// of kind 0 begins a segment; lengths, kinds and times are the data's own.
fn sealed(data: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut begin = 0;
    segment(&mut bytes, 0, 0);
    let mut rest = data;
    while let Some((said, tail)) = rest.split_first_chunk::<6>() {
        if said[0] == 0 {
            begin = bytes.len();
            segment(&mut bytes, SALT, u64::from(said[1]));
            rest = tail;
            continue;
        }
        let length = usize::from(u16::from_le_bytes([said[1], said[2]])).min(tail.len());
        let (body, tail) = tail.split_at(length);
        rest = tail;
        let place = bytes.len();
        let mut padded = body.to_vec();
        padded.resize(length.next_multiple_of(8), 0);
        bytes.extend_from_slice(&(length as u32).to_le_bytes());
        bytes.extend_from_slice(&crc32fast::hash(&padded).to_le_bytes());
        bytes.extend_from_slice(&u64::from(said[3]).to_le_bytes());
        bytes.extend_from_slice(&u64::from(said[4]).to_le_bytes());
        bytes.extend_from_slice(&[said[0] % 8, 0, 0, 0]);
        let mut sealing = SALT.to_le_bytes().to_vec();
        sealing.extend_from_slice(&((place - begin) as u64).to_le_bytes());
        sealing.extend_from_slice(&bytes[place..]);
        bytes.extend_from_slice(&crc32fast::hash(&sealing).to_le_bytes());
        bytes.extend_from_slice(&padded);
    }
    bytes.extend_from_slice(rest);
    bytes
}

fn segment(bytes: &mut Vec<u8>, chain: u64, word: u64) {
    for which in 0_u32..2 {
        let start = bytes.len();
        bytes.extend_from_slice(b"EErecord");
        bytes.extend_from_slice(&1_u32.to_le_bytes());
        bytes.extend_from_slice(&which.to_le_bytes());
        // Salt, number, run, and both clocks.
        for word in [SALT, word % 16, word / 16, word % 3, word] {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        bytes.extend_from_slice(&[0; 4]);
        let mut sealing = if chain == 0 { Vec::new() } else { chain.to_le_bytes().to_vec() };
        sealing.extend_from_slice(&bytes[start..]);
        bytes.extend_from_slice(&crc32fast::hash(&sealing).to_le_bytes());
    }
}

const SALT: u64 = 0x0123_4567_89ab_cdef;
