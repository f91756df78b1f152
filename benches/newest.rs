//! The newest value of a rank against a lock, a swapped pointer and a watch
//! channel: written, read, read while a writer never pauses, and all scanned.

#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]

mod support;

use std::hint::{black_box, spin_loop};
use std::sync::{Arc, Mutex, RwLock};

use arc_swap::ArcSwap;
use bytemuck::Zeroable;
use eagle_eye::newest::{NewestStep, StepTable, StepTableView, StepWriter};
use eagle_eye::platform::atomic::{AtomicU64, Ordering};
use eagle_eye::platform::clock::monotonic_ns;
use eagle_eye::platform::thread::{Stop, spawn, usable_cpus};
use support::Race;
use tokio::sync::watch;

const UNPOISONED: &str = "nobody panics with the lock";

/// One place per rank for its newest value, in some fashion.
trait Board: 'static {
    const NAME: &'static str;
    type Writer: Send + 'static;
    type Reader: Clone + Send + 'static;
    fn ends(ranks: usize) -> (Self::Writer, Self::Reader);
    fn write(writer: &mut Self::Writer, rank: usize, value: &NewestStep);
    /// The rank's newest value, whole; none where a writer disturbed too often.
    fn read(reader: &Self::Reader, rank: usize) -> Option<NewestStep>;
}

struct Cells;

impl Board for Cells {
    const NAME: &'static str = "ours";
    type Writer = StepWriter;
    type Reader = StepTableView;
    fn ends(ranks: usize) -> (Self::Writer, Self::Reader) {
        let table = StepTable::heap(ranks);
        (table.writer(), table.view())
    }
    fn write(writer: &mut Self::Writer, _: usize, value: &NewestStep) {
        black_box(writer.write(value));
    }
    fn read(reader: &Self::Reader, rank: usize) -> Option<NewestStep> {
        reader.read(rank)
    }
}

struct Locked;

impl Board for Locked {
    const NAME: &'static str = "RwLock";
    type Writer = Arc<Vec<RwLock<NewestStep>>>;
    type Reader = Self::Writer;
    fn ends(ranks: usize) -> (Self::Writer, Self::Reader) {
        let board: Self::Writer =
            Arc::new((0..ranks).map(|_| RwLock::new(example(0, 0))).collect());
        (Arc::clone(&board), board)
    }
    fn write(writer: &mut Self::Writer, rank: usize, value: &NewestStep) {
        *writer[rank].write().expect(UNPOISONED) = *value;
    }
    fn read(reader: &Self::Reader, rank: usize) -> Option<NewestStep> {
        Some(*reader[rank].read().expect(UNPOISONED))
    }
}

struct Mutexed;

impl Board for Mutexed {
    const NAME: &'static str = "Mutex";
    type Writer = Arc<Vec<Mutex<NewestStep>>>;
    type Reader = Self::Writer;
    fn ends(ranks: usize) -> (Self::Writer, Self::Reader) {
        let board: Self::Writer = Arc::new((0..ranks).map(|_| Mutex::new(example(0, 0))).collect());
        (Arc::clone(&board), board)
    }
    fn write(writer: &mut Self::Writer, rank: usize, value: &NewestStep) {
        *writer[rank].lock().expect(UNPOISONED) = *value;
    }
    fn read(reader: &Self::Reader, rank: usize) -> Option<NewestStep> {
        Some(*reader[rank].lock().expect(UNPOISONED))
    }
}

struct Swapped;

impl Board for Swapped {
    const NAME: &'static str = "arc-swap";
    type Writer = Arc<Vec<ArcSwap<NewestStep>>>;
    type Reader = Self::Writer;
    fn ends(ranks: usize) -> (Self::Writer, Self::Reader) {
        let board: Self::Writer =
            Arc::new((0..ranks).map(|_| ArcSwap::from_pointee(example(0, 0))).collect());
        (Arc::clone(&board), board)
    }
    fn write(writer: &mut Self::Writer, rank: usize, value: &NewestStep) {
        writer[rank].store(Arc::new(*value));
    }
    fn read(reader: &Self::Reader, rank: usize) -> Option<NewestStep> {
        Some(**reader[rank].load())
    }
}

struct Watched;

impl Board for Watched {
    const NAME: &'static str = "tokio watch";
    type Writer = Vec<watch::Sender<NewestStep>>;
    type Reader = Vec<watch::Receiver<NewestStep>>;
    fn ends(ranks: usize) -> (Self::Writer, Self::Reader) {
        (0..ranks).map(|_| watch::channel(example(0, 0))).unzip()
    }
    fn write(writer: &mut Self::Writer, rank: usize, value: &NewestStep) {
        writer[rank].send_replace(*value);
    }
    fn read(reader: &Self::Reader, rank: usize) -> Option<NewestStep> {
        Some(*reader[rank].borrow())
    }
}

fn example(rank: usize, sequence: u64) -> NewestStep {
    let mut value = NewestStep::zeroed();
    value.step.instance = rank as u64 + 1;
    value.step.sequence = sequence;
    value.lost = sequence;
    value
}

fn filled<B: Board>(ranks: usize) -> (B::Writer, B::Reader) {
    let (mut writer, reader) = B::ends(ranks);
    for rank in 0..ranks {
        B::write(&mut writer, rank, &example(rank, 1));
    }
    (writer, reader)
}

fn enter_write<B: Board>(race: &mut Race) {
    let (mut writer, reader) = filled::<B>(1);
    let value = example(0, 2);
    race.enter(B::NAME, 1, move || {
        // The reader lives: a channel without one would refuse.
        black_box(&reader);
        B::write(&mut writer, 0, black_box(&value));
    });
}

fn enter_read<B: Board>(race: &mut Race) {
    let (writer, reader) = filled::<B>(1);
    race.enter(B::NAME, 1, move || {
        black_box(&writer);
        B::read(&reader, 0).expect("nobody writes")
    });
}

fn enter_scan<B: Board>(race: &mut Race, ranks: usize) {
    let (writer, reader) = filled::<B>(ranks);
    race.enter(B::NAME, 1, move || {
        black_box(&writer);
        (0..ranks).filter_map(|rank| black_box(B::read(&reader, rank))).count()
    });
}

/// Reads on one processor while the other writes without a pause. Counts the
/// reads and those of them that gave up.
fn enter_disturbed<B: Board>(race: &mut Race, cpu: usize, counts: &Arc<[AtomicU64; 2]>) {
    let (writer, reader) = filled::<B>(1);
    let mut writer = Some(writer);
    let counts = Arc::clone(counts);
    race.enter_timed(B::NAME, 1, move |iterations| {
        let mut own = writer.take().expect("the last round gave it back");
        let (stop, begun) = (Stop::default(), Stop::default());
        let (stopped, running) = (stop.clone(), begun.clone());
        let handle = spawn("bench-writer", Some(cpu), move || {
            let mut sequence = 2;
            while !stopped.is_raised() {
                B::write(&mut own, 0, &example(0, sequence));
                sequence += 1;
                running.raise();
            }
            own
        });
        while !begun.is_raised() {
            spin_loop();
        }
        let mut gave_up = 0;
        let start = monotonic_ns();
        for _ in 0..iterations {
            match black_box(B::read(&reader, 0)) {
                Some(value) => debug_assert_eq!(value.step.sequence, value.lost, "torn"),
                None => gave_up += 1,
            }
        }
        let took = monotonic_ns() - start;
        stop.raise();
        writer = Some(handle.expect("a thread").join().expect("the writer ends"));
        counts[0].fetch_add(iterations, Ordering::Relaxed);
        counts[1].fetch_add(gave_up, Ordering::Relaxed);
        took
    });
}

fn enter<B: Board>(races: &mut [Race; 5], cpu: Option<usize>, counts: &Arc<[AtomicU64; 2]>) {
    let [write, read, disturbed, few, many] = races;
    enter_write::<B>(write);
    enter_read::<B>(read);
    match cpu {
        Some(cpu) => enter_disturbed::<B>(disturbed, cpu, counts),
        None => disturbed.leave_out(B::NAME, "there is no second processor for its writer"),
    }
    enter_scan::<B>(few, 64);
    enter_scan::<B>(many, 1024);
}

fn compare(writer_cpu: Option<usize>) {
    let mut races = [
        Race::new("newest write"),
        Race::new("newest read"),
        Race::new("newest read under a writer without pause"),
        Race::new("newest scan of 64"),
        Race::new("newest scan of 1024"),
    ];
    let (ours, others) = (Arc::default(), Arc::default());
    enter::<Cells>(&mut races, writer_cpu, &ours);
    enter::<Locked>(&mut races, writer_cpu, &others);
    enter::<Mutexed>(&mut races, writer_cpu, &others);
    enter::<Swapped>(&mut races, writer_cpu, &others);
    enter::<Watched>(&mut races, writer_cpu, &others);
    let mut criterion = support::criterion();
    for mut race in races {
        race.leave_out("left-right", "its writer waits for readers, which ours must not");
        race.run(&mut criterion);
    }
    let [reads, gave_up] = [&ours[0], &ours[1]].map(|count| count.load(Ordering::Relaxed));
    println!("ours, under a writer without pause: {gave_up} of {reads} reads gave up");
    criterion.final_summary();
}

fn main() {
    // Asked before anything is pinned: a pinned thread sees only its own
    // processor, and those it starts inherit it.
    let cpus = usable_cpus();
    let writer_cpu = cpus.get(1).copied();
    let races = spawn("bench-reader", cpus.first().copied(), move || compare(writer_cpu));
    races.expect("a thread").join().expect("the races end");
}
