//! The ring against its peers, with the real 256-byte record.
//!
//! *Hop*: two threads on two processors send one record to and fro; half a
//! round trip counts. *Stream*: one side writes as fast as it can, each record
//! visible at once. *Runs of 32*: visible 32 at a time, where the queue can.
//! Every queue is written from a record at hand and read where it hands it out.

#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]

mod support;

use std::hint::{black_box, spin_loop};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use bytemuck::Zeroable;
use crossbeam_queue::ArrayQueue;
use crossbeam_utils::CachePadded;
use eagle_eye::platform::atomic::{AtomicU64, Ordering};
use eagle_eye::platform::clock::monotonic_ns;
use eagle_eye::platform::thread::{spawn, usable_cpus};
use eagle_eye::ring::{Reader, Writer, ring};
use eagle_eye::schema::StepCore;
use support::Race;

/// Slots of every queue here.
const CAPACITY: usize = 1024;
/// Records in a run.
const RUN: usize = 32;

trait Queue: 'static {
    type Writer: Send + 'static;
    type Reader: Send + 'static;
    fn ends() -> (Self::Writer, Self::Reader);
    /// Writes a record that is visible at once; false when there is no room.
    fn write(writer: &mut Self::Writer, record: &StepCore) -> bool;
    /// Writes a whole run, waiting for room.
    fn write_run(writer: &mut Self::Writer, records: &[StepCore; RUN]) {
        for record in records {
            while !Self::write(writer, record) {
                spin_loop();
            }
        }
    }
    /// Looks at what is there, up to `most`; says how many there were.
    fn take(reader: &mut Self::Reader, most: usize, see: impl FnMut(&StepCore)) -> usize;
}

struct Ours;

impl Queue for Ours {
    type Writer = Writer<StepCore>;
    type Reader = Reader<StepCore>;
    fn ends() -> (Self::Writer, Self::Reader) {
        ring(CAPACITY)
    }
    fn write(writer: &mut Self::Writer, record: &StepCore) -> bool {
        writer.push(record) && writer.publish()
    }
    fn write_run(writer: &mut Self::Writer, records: &[StepCore; RUN]) {
        for record in records {
            while !writer.push(record) {
                spin_loop();
            }
        }
        writer.publish();
    }
    fn take(reader: &mut Self::Reader, most: usize, mut see: impl FnMut(&StepCore)) -> usize {
        let run = reader.borrow(most);
        let count = run.len();
        run.slices().into_iter().flatten().for_each(&mut see);
        run.release();
        count
    }
}

struct Rtrb;

impl Queue for Rtrb {
    type Writer = rtrb::Producer<StepCore>;
    type Reader = rtrb::Consumer<StepCore>;
    fn ends() -> (Self::Writer, Self::Reader) {
        rtrb::RingBuffer::new(CAPACITY)
    }
    fn write(writer: &mut Self::Writer, record: &StepCore) -> bool {
        writer.push(*record).is_ok()
    }
    fn write_run(writer: &mut Self::Writer, records: &[StepCore; RUN]) {
        loop {
            if let Ok(chunk) = writer.write_chunk_uninit(RUN) {
                chunk.fill_from_iter(records.iter().copied());
                return;
            }
            spin_loop();
        }
    }
    fn take(reader: &mut Self::Reader, most: usize, mut see: impl FnMut(&StepCore)) -> usize {
        let count = reader.slots().min(most);
        let Ok(chunk) = reader.read_chunk(count) else { return 0 };
        let (first, second) = chunk.as_slices();
        first.iter().chain(second).for_each(&mut see);
        chunk.commit_all();
        count
    }
}

/// Takes one at a time from queues that hand records out by value.
fn take_each(
    most: usize,
    mut pop: impl FnMut() -> Option<StepCore>,
    mut see: impl FnMut(&StepCore),
) -> usize {
    let mut count = 0;
    while count < most
        && let Some(record) = pop()
    {
        see(&record);
        count += 1;
    }
    count
}

struct CrossbeamArray;

impl Queue for CrossbeamArray {
    type Writer = Arc<ArrayQueue<StepCore>>;
    type Reader = Arc<ArrayQueue<StepCore>>;
    fn ends() -> (Self::Writer, Self::Reader) {
        let queue = Arc::new(ArrayQueue::new(CAPACITY));
        (Arc::clone(&queue), queue)
    }
    fn write(writer: &mut Self::Writer, record: &StepCore) -> bool {
        writer.push(*record).is_ok()
    }
    fn take(reader: &mut Self::Reader, most: usize, see: impl FnMut(&StepCore)) -> usize {
        take_each(most, || reader.pop(), see)
    }
}

struct CrossbeamChannel;

impl Queue for CrossbeamChannel {
    type Writer = crossbeam_channel::Sender<StepCore>;
    type Reader = crossbeam_channel::Receiver<StepCore>;
    fn ends() -> (Self::Writer, Self::Reader) {
        crossbeam_channel::bounded(CAPACITY)
    }
    fn write(writer: &mut Self::Writer, record: &StepCore) -> bool {
        writer.try_send(*record).is_ok()
    }
    fn take(reader: &mut Self::Reader, most: usize, see: impl FnMut(&StepCore)) -> usize {
        take_each(most, || reader.try_recv().ok(), see)
    }
}

struct StdChannel;

impl Queue for StdChannel {
    type Writer = SyncSender<StepCore>;
    type Reader = Receiver<StepCore>;
    fn ends() -> (Self::Writer, Self::Reader) {
        sync_channel(CAPACITY)
    }
    fn write(writer: &mut Self::Writer, record: &StepCore) -> bool {
        writer.try_send(*record).is_ok()
    }
    fn take(reader: &mut Self::Reader, most: usize, see: impl FnMut(&StepCore)) -> usize {
        take_each(most, || reader.try_recv().ok(), see)
    }
}

/// The two processors of a race.
fn processors() -> [Option<usize>; 2] {
    let cpus = usable_cpus();
    [cpus.first().copied(), cpus.get(1).copied()]
}

/// Runs the two halves on a processor each; the first says how long it took.
fn on_two<A: Send + 'static>(
    first: impl FnOnce() -> u64 + Send + 'static,
    second: impl FnOnce() -> A + Send + 'static,
) -> u64 {
    let [here, there] = processors();
    let second = spawn("bench-there", there, second).expect("a second thread");
    let took = spawn("bench-here", here, first).expect("a first thread").join();
    second.join().expect("the second thread ends");
    took.expect("the first thread ends")
}

fn write_waiting<Q: Queue>(writer: &mut Q::Writer, record: &StepCore) {
    while !Q::write(writer, record) {
        spin_loop();
    }
}

/// Takes exactly one, waiting for it, and gives its sequence.
fn take_one<Q: Queue>(reader: &mut Q::Reader) -> u64 {
    let mut sequence = 0;
    while Q::take(reader, 1, |record| sequence = black_box(record).sequence) == 0 {
        spin_loop();
    }
    sequence
}

fn hop<Q: Queue>(round_trips: u64) -> u64 {
    let (mut there, mut arrivals) = Q::ends();
    let (mut back, mut returns) = Q::ends();
    on_two(
        move || {
            let mut record = StepCore::zeroed();
            let mut start = 0;
            // The first trip waits for the other thread and is not timed.
            for sequence in 0..=round_trips {
                record.sequence = sequence;
                write_waiting::<Q>(&mut there, &record);
                assert_eq!(take_one::<Q>(&mut returns), sequence);
                if sequence == 0 {
                    start = monotonic_ns();
                }
            }
            monotonic_ns() - start
        },
        move || {
            let mut record = StepCore::zeroed();
            for _ in 0..=round_trips {
                record.sequence = take_one::<Q>(&mut arrivals);
                write_waiting::<Q>(&mut back, &record);
            }
        },
    )
}

/// The floor: a number to and fro, with `words` more written and read before.
fn hop_bare(round_trips: u64, words: usize) -> u64 {
    #[derive(Default)]
    struct Place {
        turn: CachePadded<AtomicU64>,
        record: CachePadded<[AtomicU64; 32]>,
    }
    impl Place {
        fn write(&self, turn: u64, words: usize) {
            for word in &self.record[..words] {
                word.store(turn, Ordering::Relaxed);
            }
            self.turn.store(turn, Ordering::Release);
        }
        fn take(&self, turn: u64, words: usize) {
            while self.turn.load(Ordering::Acquire) != turn {
                spin_loop();
            }
            for word in &self.record[..words] {
                black_box(word.load(Ordering::Relaxed));
            }
        }
    }
    let places = Arc::new([Place::default(), Place::default()]);
    let theirs = Arc::clone(&places);
    on_two(
        move || {
            let mut start = 0;
            for turn in 1..=round_trips + 1 {
                places[0].write(turn, words);
                places[1].take(turn, words);
                if turn == 1 {
                    start = monotonic_ns();
                }
            }
            monotonic_ns() - start
        },
        move || {
            for turn in 1..=round_trips + 1 {
                theirs[0].take(turn, words);
                theirs[1].write(turn, words);
            }
        },
    )
}

/// `runs` runs of `RUN` records, written by `write`, until the last is taken.
fn stream<Q: Queue>(runs: u64, write: fn(&mut Q::Writer, &[StepCore; RUN])) -> u64 {
    let (mut writer, mut reader) = Q::ends();
    on_two(
        move || {
            let mut taken = 0;
            let mut start = 0;
            // The first run waits for the other thread and is not timed.
            while taken < (runs + 1) * RUN as u64 {
                let count = Q::take(&mut reader, RUN, |record| {
                    black_box(record.sequence);
                });
                if count == 0 {
                    spin_loop();
                }
                taken += count as u64;
                if start == 0 && taken >= RUN as u64 {
                    start = monotonic_ns();
                }
            }
            monotonic_ns() - start
        },
        move || {
            let records = [StepCore::zeroed(); RUN];
            for _ in 0..=runs {
                write(&mut writer, black_box(&records));
            }
        },
    )
}

fn one_by_one<Q: Queue>(writer: &mut Q::Writer, records: &[StepCore; RUN]) {
    for record in records {
        write_waiting::<Q>(writer, record);
    }
}

fn as_runs<Q: Queue>(writer: &mut Q::Writer, records: &[StepCore; RUN]) {
    Q::write_run(writer, records);
}

/// Enters one queue into the three races.
fn enter<Q: Queue>(name: &'static str, races: &mut [Race; 3]) {
    let [hops, streams, runs] = races;
    hops.enter_timed(name, 2, hop::<Q>);
    streams.enter_timed(name, RUN as u64, |count| stream::<Q>(count, one_by_one::<Q>));
    runs.enter_timed(name, RUN as u64, |count| stream::<Q>(count, as_runs::<Q>));
}

fn main() {
    if processors()[1].is_none() {
        println!("the ring's races need two processors; this process may use one");
        return;
    }
    let mut races = [Race::new("ring hop"), Race::new("ring stream"), Race::new("ring runs of 32")];
    enter::<Ours>("ours", &mut races);
    races[0].enter_timed("floor: one word", 2, |trips| hop_bare(trips, 0));
    races[0].enter_timed("floor: one word after 256 B", 2, |trips| hop_bare(trips, 32));
    races[2].enter_timed("ours, one by one", RUN as u64, |count| {
        stream::<Ours>(count, one_by_one::<Ours>)
    });
    let mut slots = vec![StepCore::zeroed(); CAPACITY];
    let (mut at, record) = (0, StepCore::zeroed());
    races[2].enter("floor: a copy of 256 B, one thread", 1, move || {
        at = (at + 1) % CAPACITY;
        black_box(&mut slots)[at] = *black_box(&record);
    });
    enter::<Rtrb>("rtrb", &mut races);
    enter::<CrossbeamArray>("crossbeam ArrayQueue", &mut races);
    enter::<CrossbeamChannel>("crossbeam-channel", &mut races);
    enter::<StdChannel>("std sync_channel", &mut races);
    let mut criterion = support::criterion();
    for mut race in races {
        race.leave_out(
            "iceoryx2, disruptor",
            "many dependencies for figures that no promise is made of",
        );
        race.run(&mut criterion);
    }
    criterion.final_summary();
}
