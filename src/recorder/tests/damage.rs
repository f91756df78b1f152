//! Crashes at any byte and bytes of any kind.

use std::fs;
use std::path::PathBuf;

use proptest::prelude::*;

use super::*;

/// A recording of one segment of these payload sizes, and its file.
fn recorded(folder: &Path, sizes: &[usize]) -> PathBuf {
    let (mut writer, _) = writer(folder, small(), WriteBy::Pwrite);
    for (sequence, size) in (0..).zip(sizes) {
        writer.append(at(sequence), FrameKind::Batch, &batch(sequence, *size));
    }
    writer.close(at(sizes.len() as u64));
    folder.join(format!("{:016x}.rec", 0))
}

/// Where each whole frame of a segment's bytes ends.
fn ends(bytes: &[u8]) -> Vec<u64> {
    let mut scan = scan::Scan::of_memory(bytes.into());
    let mut ends = Vec::new();
    while scan.next().unwrap().is_some() {
        ends.push(scan.whole().0);
    }
    ends
}

#[test]
fn a_crash_at_any_byte_keeps_every_whole_frame_before_it_and_the_next_run_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let file = recorded(dir.path(), &[0, 1100, 0, 2200]);
    let bytes = fs::read(&file).unwrap();
    let ends = ends(&bytes);
    for cut in 0..=bytes.len() {
        // Every byte near an edge, and some of the rest.
        let near = ends.iter().any(|end| end.abs_diff(cut as u64) < 40) || cut < 200;
        if !near && cut % 61 != 0 {
            continue;
        }
        fs::write(&file, &bytes[..cut]).unwrap();
        let whole = ends.iter().filter(|end| **end <= cut as u64).count();
        let (mut writer, counts) = writer(dir.path(), small(), WriteBy::Pwrite);
        writer.append(at(9), FrameKind::Batch, &batch(99, 0));
        writer.close(at(9));
        let kept = if whole == 0 { 0 } else { ends[whole - 1] };
        // The second header copy may be what is missing.
        let lenient = cut >= 64 && whole == 0;
        if !lenient {
            assert_eq!(counts.snapshot().torn_bytes, cut as u64 - kept, "cut at {cut}");
            let (found, tally) = batches(dir.path());
            let mut expected: Vec<u64> = (0..4).take(whole.saturating_sub(1)).collect();
            expected.push(99);
            assert_eq!(found, expected, "cut at {cut}");
            assert_eq!((tally.torn_bytes, tally.damaged), (0, 0), "cut at {cut}");
        } else {
            assert!(batches(dir.path()).0.ends_with(&[99]));
        }
        fs::remove_file(dir.path().join(format!("{:016x}.rec", 1))).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(
        std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(64)
    ))]

    #[test]
    fn damage_in_the_middle_costs_the_frames_that_it_hits_and_no_other(
        sizes in prop::collection::vec(0_usize..9000, 1..12),
        place in 0.0..1.0_f64,
        length in 1_usize..3000,
        noise in any::<u8>(),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let file = recorded(dir.path(), &sizes);
        let mut bytes = fs::read(&file).unwrap();
        let ends = ends(&bytes);
        let from = (place * bytes.len() as f64) as usize;
        let to = (from + length).min(bytes.len());
        for byte in &mut bytes[from..to] {
            *byte = byte.wrapping_add(1).wrapping_mul(noise | 1);
        }
        fs::write(&file, &bytes).unwrap();
        // Frame n lies between two ends; the tick at the end is the last.
        let hit = |n: usize| from < ends[n + 1] as usize && to > ends[n] as usize;
        if to <= 64 || from >= 128 {
            let expected: Vec<u64> =
                (0..sizes.len()).filter(|n| !hit(*n)).map(|n| n as u64).collect();
            let (found, tally) = batches(dir.path());
            // Noise may leave some bytes as they were, never make others whole.
            prop_assert!(expected.iter().all(|n| found.contains(n)), "{expected:?} {found:?}");
            prop_assert!(found.is_sorted() && found.len() <= sizes.len());
            if found.len() < sizes.len() {
                prop_assert!(tally.damaged_bytes + tally.torn_bytes > 0);
            }
        } else if let Ok(recording) = Recording::open(dir.path()) {
            played(&recording, Range::default());
        }
    }

    #[test]
    fn any_bytes_behind_a_true_begin_are_played_without_a_panic(
        noise in prop::collection::vec(any::<u8>(), 0..4000),
        keep in 0_usize..2000,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let file = recorded(dir.path(), &[0, 0]);
        let mut bytes = fs::read(&file).unwrap();
        bytes.truncate(keep);
        bytes.extend(noise);
        if let Ok(recording) = Recording::of_bytes(bytes) {
            let (moments, _) = played(&recording, Range::default());
            prop_assert!(moments.len() <= 8);
        }
    }
}

#[test]
fn a_copy_of_a_segment_inside_a_payload_is_not_taken_for_one() {
    let dir = tempfile::tempdir().unwrap();
    let inner = fs::read(recorded(dir.path(), &[0, 0, 0])).unwrap();
    let other = tempfile::tempdir().unwrap();
    let (mut writer, _) = writer(other.path(), small(), WriteBy::Pwrite);
    writer.append(at(1), FrameKind::Batch, &batch(1, 0));
    writer.append(at(2), FrameKind::Batch, &inner);
    writer.append(at(3), FrameKind::Batch, &batch(3, 0));
    writer.close(at(4));
    let file = other.path().join(format!("{:016x}.rec", 0));
    let mut bytes = fs::read(&file).unwrap();
    let (found, tally) = batches(other.path());
    assert_eq!((found, tally.refused), (vec![1, 3], 1));
    let inside = bytes.windows(8).rposition(|word| word == header::MAGIC).unwrap();
    // Break the head before it, so that the reader has to search.
    let head = bytes[..inside - 64].len() - frame::HEAD_BYTES;
    bytes[head] ^= 1;
    fs::write(&file, &bytes).unwrap();
    let (found, tally) = batches(other.path());
    assert_eq!((found, tally.damaged, tally.segments), (vec![1, 3], 1, 1));
}

/// Frames of any kind, time and content under true checksums, in segments of
/// any number and run: what only a forger writes.
fn forged(parts: &[(u8, u64, u64, Vec<u8>)]) -> Vec<u8> {
    let (salt, mut chain, mut begin) = (77, 0, 0);
    let mut bytes: Vec<u8> = Vec::new();
    for (kind, one, other, payload) in std::iter::once(&(0, 0, 0, Vec::new())).chain(parts.iter()) {
        let place = bytes.len();
        if *kind == 0 {
            begin = place;
            let number = one % header::NUMBER_MAX;
            let at = At { monotonic_ns: *other, wall_ns: *one };
            let header = header::SegmentHeader { salt, number, run: other % 3, at };
            bytes.resize(place + header::SegmentHeader::BYTES, 0);
            header.encode(chain, &mut bytes[place..]);
            chain = salt;
            continue;
        }
        bytes.resize(place + frame::frame_bytes(payload.len()), 0);
        let frame_kind = match kind % 4 {
            0 => FrameKind::Batch,
            1 => FrameKind::Known,
            2 => FrameKind::Tick,
            _ => FrameKind::Lost,
        };
        let at = At { monotonic_ns: *one, wall_ns: *other };
        frame::encode(&mut bytes[place..], (salt, (place - begin) as u64), at, frame_kind, payload);
    }
    bytes
}

fn payload() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..100),
        (0_usize..3000).prop_map(|bytes| batch(bytes as u64, bytes).to_vec()),
        Just(naming(5, "gpu0").to_vec()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(
        std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(256)
    ))]

    #[test]
    fn an_excerpt_of_anything_says_the_same_and_has_nothing_to_pass_over(
        parts in prop::collection::vec((0_u8..9, 0_u64..50, 0_u64..50, payload()), 0..40),
        far in any::<(u64, u64)>(),
        from in prop::option::of(0_u64..50),
        to in prop::option::of(0_u64..60),
    ) {
        let mut parts = parts;
        parts.push((1, far.0, far.1, Vec::new()));
        let recording = Recording::of_bytes(forged(&parts)).expect("it begins with a header");
        let range = Range { from_wall_ns: from, to_wall_ns: to };
        let (meant, _) = played(&recording, range);
        for pair in meant.windows(2) {
            prop_assert!(pair[1].1 == What::Run || pair[0].0.monotonic_ns <= pair[1].0.monotonic_ns);
        }
        let mut bytes = Vec::new();
        let made = excerpt(&recording, range, u64::MAX, &mut bytes).unwrap();
        prop_assert!(!made.cut);
        let copy = Recording::of_bytes(bytes).expect("there is at least one segment");
        let (again, tally) = played(&copy, Range::default());
        prop_assert_eq!(again, meant);
        let passed = (tally.damaged, tally.torn_bytes, tally.refused, tally.unreadable);
        prop_assert_eq!(passed, (0, 0, 0, 0));
    }
}
