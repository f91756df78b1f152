//! The recorder against disks of every kind, by both backends.

mod damage;
mod disks;
mod model;
mod threads;

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use super::*;
use crate::platform::clock::SECOND_NS;
use crate::schema::{BatchHead, BatchWriter, Device, Event, Tables};

/// Backends that work here, with a word on those that don't.
fn ways() -> Vec<WriteBy> {
    let works = |kind: &WriteBy| write_by::Hand::open(Some(*kind)).0.kind() == *kind;
    let (works, refused): (Vec<_>, Vec<_>) = WriteBy::ALL.into_iter().partition(works);
    for kind in refused {
        eprintln!("{} was NOT tested: this system refuses it", kind.name());
    }
    works
}

fn at(second: u64) -> At {
    At { monotonic_ns: second * SECOND_NS, wall_ns: 1_000_000 * SECOND_NS + second * SECOND_NS }
}

fn head(sequence: u64) -> BatchHead {
    BatchHead {
        node: 1,
        incarnation: 2,
        sequence,
        publish_monotonic_ns: 3,
        publish_wall_ns: 4,
        generation: 5,
        flags: 0,
    }
}

/// A batch with its number, as long as asked for or a little longer.
fn batch(sequence: u64, bytes: usize) -> Bytes {
    let text = "x".repeat(1000);
    let events: Vec<Event> =
        (0..bytes / 1100).map(|_| Event { text: text.clone(), ..Event::default() }).collect();
    let tables = Tables { events: &events, ..Tables::default() };
    Bytes::copy_from_slice(BatchWriter::default().write(&head(sequence), &tables))
}

/// A batch that names a device.
fn naming(sequence: u64, name: &str) -> Bytes {
    let devices = [Device { name: name.to_owned(), ..Device::default() }];
    let tables = Tables { node_name: Some("n"), devices: &devices, ..Tables::default() };
    Bytes::copy_from_slice(BatchWriter::default().write(&head(sequence), &tables))
}

fn nothing_known() -> Known {
    Box::new(Vec::new)
}

fn small() -> Limits {
    Limits { bytes: 4 << 20, free_bytes: 0, ..Limits::default() }
}

fn writer(folder: &Path, limits: Limits, backend: WriteBy) -> (Writer, Arc<Counts>) {
    let counts = Arc::<Counts>::default();
    let keep = Arc::clone(&counts);
    (Writer::new(folder.into(), limits, Some(backend), nothing_known(), keep, at(0)), counts)
}

/// Everything that is played of what is meant, and what was passed over.
fn played(recording: &Recording, range: Range) -> (Vec<(At, What, u64)>, Tally) {
    let mut play = recording.play(range);
    let mut moments = Vec::new();
    while let Some(moment) = play.next_moment().expect("the disk works") {
        let sequence = moment.batch().map_or(0, |batch| batch.head().sequence);
        moments.push((moment.at, moment.what, sequence));
    }
    (moments, play.tally())
}

/// The numbers of the batches in a folder, and what was passed over.
fn batches(folder: &Path) -> (Vec<u64>, Tally) {
    let recording = Recording::open(folder).expect("a recording");
    let (moments, tally) = played(&recording, Range::default());
    let of_batches = moments.iter().filter(|(_, what, _)| *what == What::Batch);
    (of_batches.map(|(_, _, sequence)| *sequence).collect(), tally)
}

#[test]
fn what_is_appended_is_played_at_its_time_in_its_order_over_segments_and_runs() {
    for backend in ways() {
        let dir = tempfile::tempdir().unwrap();
        let mut expected = Vec::new();
        for run in 0..2 {
            let (mut writer, counts) = writer(dir.path(), small(), backend);
            for second in 0..60 {
                let sequence = run * 100 + second;
                writer.append(at(second), FrameKind::Batch, &batch(sequence, 30_000));
                writer.turn(at(second));
                expected.push(sequence);
            }
            writer.close(at(60));
            let counts = counts.snapshot();
            assert_eq!((counts.written, counts.lost_disk, counts.failures), (60, 0, 0));
            assert!(counts.syncs > 0 && counts.trouble.is_none() && counts.held_segments > 1);
        }
        let (found, tally) = batches(dir.path());
        assert_eq!(found, expected);
        assert_eq!((tally.runs, tally.damaged, tally.torn_bytes, tally.lost), (2, 0, 0, 0));
        let recording = Recording::open(dir.path()).unwrap();
        let (moments, _) = played(&recording, Range::default());
        let runs: Vec<usize> = (0..moments.len()).filter(|i| moments[*i].1 == What::Run).collect();
        assert_eq!((runs.len(), runs[0]), (2, 0));
        assert!(moments[..runs[1]].is_sorted_by_key(|(at, ..)| at.monotonic_ns));
        assert!(moments.iter().filter(|(_, what, _)| *what == What::Tick).count() >= 120);
        for (at_, what, sequence) in &moments {
            if *what == What::Batch {
                assert_eq!(*at_, at(sequence % 100));
            }
        }
        assert_eq!(played(&recording, Range::default()).0, moments, "twice the same");
    }
}

#[test]
fn each_segment_begins_with_what_is_known_and_it_is_told_once_while_nothing_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    let mut version = 0;
    let known: Known = Box::new(move || {
        version += 1;
        vec![naming(1000 + version, &format!("gpu{version}"))]
    });
    let counts = Arc::default();
    let mut writer =
        Writer::new(dir.path().into(), small(), Some(WriteBy::Pwrite), known, counts, at(0));
    for second in 0..200 {
        writer.append(at(second), FrameKind::Batch, &batch(second, 30_000));
        writer.turn(at(second));
    }
    writer.close(at(200));
    let recording = Recording::open(dir.path()).unwrap();
    let (moments, tally) = played(&recording, Range::default());
    assert!(tally.segments > 4);
    let known = |moments: &[(At, What, u64)]| -> Vec<u64> {
        moments.iter().filter(|(_, what, _)| *what == What::Known).map(|(.., n)| *n).collect()
    };
    assert_eq!(known(&moments).len(), 1, "only the first of this run");

    // A part begins with what was known by then.
    let range = Range { from_wall_ns: Some(at(150).wall_ns), to_wall_ns: Some(at(160).wall_ns) };
    let (part, _) = played(&recording, range);
    assert!(matches!(part[..2], [(_, What::Run, _), (_, What::Known, n)] if n > 1001), "{part:?}");
    let sequences: Vec<u64> =
        part.iter().filter(|(_, what, _)| *what == What::Batch).map(|(.., n)| *n).collect();
    assert_eq!(sequences, (150..=160).collect::<Vec<_>>());

    // An excerpt is a recording of the same moments.
    let mut bytes = Vec::new();
    let made = excerpt(&recording, range, u64::MAX, &mut bytes).unwrap();
    assert_eq!((made.bytes, made.cut), (bytes.len() as u64, false));
    let copy = Recording::of_bytes(bytes).unwrap();
    assert_eq!(played(&copy, Range::default()).0, part);
    let mut again = Vec::new();
    excerpt(&copy, Range::default(), u64::MAX, &mut again).unwrap();
    assert_eq!(played(&Recording::of_bytes(again).unwrap(), Range::default()).0, part);

    let mut less = Vec::new();
    let made = excerpt(&recording, range, 100_000, &mut less).unwrap();
    assert!(made.cut && less.len() <= 100_000 && made.bytes == less.len() as u64);
    let (shorter, tally) = played(&Recording::of_bytes(less).unwrap(), Range::default());
    assert!(part.starts_with(&shorter) && shorter.len() > 2 && tally.damaged == 0);
}

#[test]
fn what_is_no_recording_is_refused_with_a_sentence() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("x");
    std::fs::write(&file, vec![7; 100_000]).unwrap();
    for path in [dir.path(), &file, Path::new("/dev/null"), Path::new("/nowhere")] {
        let error = Recording::open(path).expect_err("no recording").to_string();
        assert!(error.contains(&path.display().to_string()), "{error}");
    }
    assert!(Recording::of_bytes(Vec::new()).is_err());
}
