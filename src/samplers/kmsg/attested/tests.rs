//! A model of the kernel's ring, read through restarts, floods and failures.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};

use proptest::prelude::*;

use super::super::filter::Filter;
use super::*;
use crate::schema::{Event, EventKind};

/// The kernel's side: a ring of `room` records, each with its sequence.
#[derive(Debug, Default)]
struct Kernel {
    held: VecDeque<(u64, Vec<u8>)>,
    next: u64,
    room: usize,
}

impl Kernel {
    fn log(&mut self, level: u8) {
        let time_us = 1000 + self.next;
        let text = format!("{level},{},{time_us},-;line {}", self.next, self.next);
        self.held.push_back((self.next, text.into_bytes()));
        self.next += 1;
        while self.held.len() > self.room {
            self.held.pop_front();
        }
    }

    fn oldest(&self) -> u64 {
        self.next - self.held.len() as u64
    }
}

/// A reader's side, as `/dev/kmsg` behaves.
#[derive(Debug, Clone)]
struct Ring {
    kernel: Arc<Mutex<Kernel>>,
    at: Option<u64>,
    errors: Vec<io::ErrorKind>,
}

impl Records for Ring {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(kind) = self.errors.pop() {
            return Err(kind.into());
        }
        let kernel = self.kernel.lock().unwrap();
        let at = *self.at.get_or_insert(kernel.oldest());
        if at < kernel.oldest() {
            self.at = Some(kernel.oldest());
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let Some((_, bytes)) = kernel.held.get((at - kernel.oldest()) as usize) else {
            return Err(io::ErrorKind::WouldBlock.into());
        };
        self.at = Some(at + 1);
        let Some(space) = buffer.get_mut(..bytes.len()) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        space.copy_from_slice(bytes);
        Ok(bytes.len())
    }

    fn rewind(&mut self) -> io::Result<()> {
        self.at = None;
        Ok(())
    }
}

/// The journal's side: what was taken survives a crash.
#[derive(Debug, Default)]
struct Journal {
    events: Vec<Event>,
    cursor: Option<Vec<u8>>,
    room: usize,
}

impl Facts for Journal {
    fn offer(&mut self, event: Option<Event>, cursor: Option<Vec<u8>>) -> bool {
        if self.room == 0 {
            return false;
        }
        self.room -= 1;
        self.events.extend(event);
        self.cursor = cursor.or(self.cursor.take());
        true
    }
}

const BOOT: Boot = [7; 16];

fn ring(room: usize) -> Ring {
    let kernel = Kernel { room, ..Kernel::default() };
    Ring { kernel: Arc::new(Mutex::new(kernel)), at: None, errors: Vec::new() }
}

fn telling() -> Telling {
    Telling::new(Filter::new(4, "").unwrap())
}

fn clocks(us: u64) -> Clocks {
    Clocks { monotonic_ns: us * 1000, raw_ns: us * 1000, wall_ns: us * 1000 }
}

fn start(ring: &Ring, boot: Boot, journal: &Journal, now: &Clocks) -> Attested<Ring> {
    let cursor = journal.cursor.as_deref().and_then(Cursor::decode);
    Attested::new(Ring { at: None, ..ring.clone() }, boot, cursor, now)
}

fn lines(journal: &Journal) -> Vec<(u64, bool)> {
    let told = |event: &Event| {
        let log = event.log.as_ref()?;
        (event.kind == EventKind::KernelLine).then_some((log.sequence, log.before_start))
    };
    journal.events.iter().filter_map(told).collect()
}

fn gaps(journal: &Journal) -> Vec<(u64, bool)> {
    let lost = |event: &&Event| event.kind == EventKind::KernelLinesLost;
    let gap = |event: &Event| (event.lost, event.log.as_ref().unwrap().before_start);
    journal.events.iter().filter(lost).map(gap).collect()
}

#[test]
fn what_was_logged_before_the_first_look_is_told_once_and_marked() {
    let ring = ring(8);
    let mut journal = Journal { room: 99, ..Journal::default() };
    (0..3).for_each(|_| ring.kernel.lock().unwrap().log(4));
    let now = clocks(1500);
    let mut reader = start(&ring, BOOT, &journal, &now);
    assert_eq!(reader.round(&now, &mut telling(), &mut journal), Round::End);
    ring.kernel.lock().unwrap().log(4);
    reader.round(&now, &mut telling(), &mut journal);
    assert_eq!(lines(&journal), [(0, true), (1, true), (2, true), (3, false)]);

    let mut again = start(&ring, BOOT, &journal, &now);
    again.round(&now, &mut telling(), &mut journal);
    assert_eq!(lines(&journal).len(), 4, "after a restart nothing is repeated");

    let mut other = start(&ring, [8; 16], &journal, &now);
    other.round(&now, &mut telling(), &mut journal);
    assert_eq!(lines(&journal).len(), 8, "in another boot everything is new");
    assert!(lines(&journal)[4..].iter().all(|(_, before)| *before));
    assert!(gaps(&journal).is_empty());
}

#[test]
fn the_gap_is_exactly_what_was_overwritten_while_reading_or_away() {
    let ring = ring(4);
    let mut journal = Journal { room: 99, ..Journal::default() };
    let log = |count| (0..count).for_each(|_| ring.kernel.lock().unwrap().log(4));
    log(10);
    let now = clocks(5000);
    let mut reader = start(&ring, BOOT, &journal, &now);
    reader.round(&now, &mut telling(), &mut journal);
    log(9);
    reader.round(&now, &mut telling(), &mut journal);
    log(7);
    start(&ring, BOOT, &journal, &now).round(&now, &mut telling(), &mut journal);
    assert_eq!(gaps(&journal), [(6, true), (5, false), (3, false)]);
}

#[test]
fn errors_are_survived_and_what_they_cost_is_a_gap() {
    let mut ring = ring(8);
    let mut journal = Journal { room: 99, ..Journal::default() };
    let log = |ring: &Ring| ring.kernel.lock().unwrap().log(4);
    (0..4).for_each(|_| log(&ring));
    ring.errors =
        vec![io::ErrorKind::Other, io::ErrorKind::InvalidInput, io::ErrorKind::Interrupted];
    let now = clocks(1500);
    let mut counts = telling();
    let mut reader = start(&ring, BOOT, &journal, &now);
    ring.errors.clear();
    assert_eq!(reader.round(&now, &mut counts, &mut journal), Round::Failed);
    assert_eq!(counts.counts.failed, 1);
    assert_eq!(reader.round(&now, &mut counts, &mut journal), Round::End);
    ring.kernel.lock().unwrap().held[2].1 = vec![b'x'; RECORD_BYTES_MAX + 1];
    start(&ring, [8; 16], &journal, &now).round(&now, &mut counts, &mut journal);
    assert_eq!(lines(&journal).len(), 4 + 3);
    assert_eq!(gaps(&journal), [(1, true)], "a record that does not fit is a gap");
    reader.records.errors = vec![io::ErrorKind::InvalidInput; 2 * RECORDS_ROUND_MAX];
    assert_eq!(reader.round(&now, &mut counts, &mut journal), Round::Failed);
}

#[test]
fn a_ring_that_was_set_back_is_read_as_a_new_one() {
    let (long, short) = (ring(8), ring(8));
    let now = clocks(5000);
    let mut journal = Journal { room: 99, ..Journal::default() };
    (0..6).for_each(|_| long.kernel.lock().unwrap().log(4));
    start(&long, BOOT, &journal, &now).round(&now, &mut telling(), &mut journal);
    (0..3).for_each(|_| short.kernel.lock().unwrap().log(4));
    let mut reader = start(&short, BOOT, &journal, &now);
    reader.round(&now, &mut telling(), &mut journal);
    assert_eq!(lines(&journal).len(), 6 + 3, "it ends before our cursor");
    assert_eq!(reader.cursor().unwrap().encode(), journal.cursor.clone().unwrap());
}

#[test]
fn the_record_at_the_cursor_with_another_time_is_of_another_history() {
    let ring = ring(8);
    let now = clocks(5000);
    (0..6).for_each(|_| ring.kernel.lock().unwrap().log(4));
    let cursor = |time_us| Cursor::Record { boot: BOOT, sequence: 3, time_us }.encode();
    for (time_us, told) in [(1003, 2), (77, 6), (0, 2)] {
        let mut journal = Journal { room: 99, cursor: Some(cursor(time_us)), ..Journal::default() };
        start(&ring, BOOT, &journal, &now).round(&now, &mut telling(), &mut journal);
        assert_eq!(lines(&journal).len(), told, "time {time_us}");
    }
}

#[test]
fn a_full_channel_leaves_the_records_with_the_kernel() {
    let ring = ring(8);
    let now = clocks(5000);
    let mut journal = Journal { room: 2, ..Journal::default() };
    let mut counts = telling();
    (0..6).for_each(|_| ring.kernel.lock().unwrap().log(4));
    let mut reader = start(&ring, BOOT, &journal, &now);
    assert_eq!(reader.round(&now, &mut counts, &mut journal), Round::Held);
    assert!(counts.counts.read <= 4, "nothing is read that finds no room");
    journal.room = 99;
    assert_eq!(reader.round(&now, &mut counts, &mut journal), Round::End);
    assert_eq!(lines(&journal).len(), 6);
}

/// What may happen between kernel, reader and journal.
#[derive(Debug, Clone)]
enum Act {
    Log(u8),
    Flood(u8),
    Round(u8),
    SaveCursor,
    Crash,
    Fail,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (3_u8..7).prop_map(Act::Log),
        1 => (1_u8..40).prop_map(Act::Flood),
        4 => (0_u8..6).prop_map(Act::Round),
        1 => Just(Act::SaveCursor),
        1 => Just(Act::Crash),
        1 => Just(Act::Fail),
    ]
}

proptest! {
    /// Whatever the order of writes, overwrites, full channels and crashes:
    /// every line is told once or counted in a gap once.
    #[test]
    fn every_line_is_told_once_or_counted_once(
        acts in prop::collection::vec(act(), 1..80),
        room in 1_usize..12,
    ) {
        let now = clocks(1);
        let ring = ring(room);
        let mut journal = Journal::default();
        let mut told = telling();
        let mut levels = BTreeMap::new();
        let mut reader = start(&ring, BOOT, &journal, &now);
        for act in acts {
            let mut kernel = ring.kernel.lock().unwrap();
            match act {
                Act::Log(level) => {
                    levels.insert(kernel.next, level);
                    kernel.log(level);
                }
                Act::Flood(count) => for at in 0..count {
                    levels.insert(kernel.next, 3 + at % 3);
                    kernel.log(3 + at % 3);
                },
                Act::Round(taken) => {
                    drop(kernel);
                    journal.room = taken.into();
                    reader.round(&now, &mut told, &mut journal);
                }
                Act::SaveCursor => if let (true, Some(cursor)) = (told.is_empty(), reader.cursor()) {
                    journal.cursor = Some(cursor.encode());
                },
                Act::Crash => {
                    drop(kernel);
                    told = telling();
                    reader = start(&ring, BOOT, &journal, &now);
                }
                Act::Fail => reader.records.errors.push(io::ErrorKind::Other),
            }
        }
        journal.room = usize::MAX;
        reader.records.errors.clear();
        reader.round(&now, &mut told, &mut journal);
        prop_assert!(told.is_empty());
        every_line_is_accounted_for(&ring.kernel.lock().unwrap(), &journal, &levels)?;
    }
}

fn every_line_is_accounted_for(
    kernel: &Kernel,
    journal: &Journal,
    levels: &BTreeMap<u64, u8>,
) -> Result<(), TestCaseError> {
    let sequences: Vec<u64> = lines(journal).iter().map(|(sequence, _)| *sequence).collect();
    let told: BTreeSet<u64> = sequences.iter().copied().collect();
    prop_assert_eq!(told.len(), sequences.len(), "a line was told twice");
    prop_assert!(sequences.is_sorted());
    let kept: BTreeSet<u64> =
        levels.iter().filter(|(_, level)| **level <= 4).map(|(sequence, _)| *sequence).collect();
    prop_assert!(told.is_subset(&kept));
    // A gap ends where the next line was read. Lines that were passed over and
    // not yet noted when we crashed may count in it; kept ones exactly.
    let untold = kept.difference(&told).count() as u64;
    let passed = levels.len() as u64 - kept.len() as u64;
    let lost: u64 = gaps(journal).iter().map(|(lost, _)| lost).sum();
    prop_assert!((untold..=untold + passed).contains(&lost), "{lost} lost, {untold} untold");
    prop_assert!(kept.range(kernel.oldest()..).all(|sequence| told.contains(sequence)));
    Ok(())
}
