//! What the engine door costs the engine and the agent, beside what engines
//! use without it: a datagram, and JSON in one.
//!
//! `cargo bench --bench door`

use std::hint::black_box;
use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use bytemuck::Zeroable;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

use eagle_eye::newest::{Names, ReadingTable, StepTable, StepTableView};
use eagle_eye::platform::atomic::{LoadOnly, Ordering};
use eagle_eye::platform::clock::{self, MILLISECOND_NS};
use eagle_eye::platform::doorbell::Doorbell;
use eagle_eye::platform::memory::{SharedMemory, SharedView};
use eagle_eye::platform::thread::{self, Stop};
use eagle_eye::producer::{DoorWriter, LineState};
use eagle_eye::ring;
use eagle_eye::samplers::engine_push::{self, DoorContext, DoorCounts, Ranks, Scratch, Slots};
use eagle_eye::samplers::own::Gauges;
use eagle_eye::samplers::{
    Context, Cursors, EventOutlet, Opened, Outlet, OutletParts, Progress, Settings, start,
};
use eagle_eye::schema::{Door, Engine, Field, StepCore};

fn step() -> StepCore {
    let mut step = StepCore { running: 12, waiting: 3, kv_usage: 0.5, ..StepCore::zeroed() };
    for field in Field::ALL {
        step.mark(*field);
    }
    step
}

fn writer() -> DoorWriter {
    DoorWriter::create(&Engine::named("bench", "m"), 1024).expect("memory for a door")
}

/// Measures `act` alone, once a millisecond, after 8 MiB of other memory went
/// through the caches: an engine does much else between two steps.
fn cold(iterations: u64, mut act: impl FnMut()) -> Duration {
    let mut other = vec![0_u64; 1 << 20];
    let mut spent_ns = 0;
    for _ in 0..iterations {
        let next_ns = clock::monotonic_ns() + MILLISECOND_NS;
        other.iter_mut().step_by(8).for_each(|word| *word = word.wrapping_add(1));
        black_box(&mut other);
        clock::sleep_until(next_ns);
        let begun_ns = clock::monotonic_ns();
        act();
        spent_ns += clock::monotonic_ns() - begun_ns;
    }
    Duration::from_nanos(spent_ns)
}

fn engine_side(c: &mut Criterion) {
    let mut group = c.benchmark_group("door/engine_side");
    let (mut door, step) = (writer(), step());
    group.bench_function("write", |b| b.iter(|| door.write(black_box(&step))));
    let (here, there) = UnixDatagram::pair().expect("two sockets");
    let reader = thread::spawn("bench-reader", None, move || {
        let mut buffer = [0; 4096];
        while there.recv(&mut buffer).is_ok_and(|length| length > 1) {}
    })
    .expect("a thread");
    let bytes = bytemuck::bytes_of(&step);
    group.bench_function("datagram", |b| b.iter(|| here.send(black_box(bytes))));
    group.bench_function("json_datagram", |b| b.iter(|| here.send(&json(black_box(&step)))));
    group.sample_size(10).measurement_time(Duration::from_secs(3));
    group.bench_function("clock_cold_1khz", |b| b.iter_custom(|n| cold(n, || {})));
    group.bench_function("write_cold_1khz", |b| {
        b.iter_custom(|n| {
            cold(n, || {
                door.write(&step);
            })
        });
    });
    group.bench_function("datagram_cold_1khz", |b| {
        b.iter_custom(|n| {
            cold(n, || {
                let _ = here.send(bytes);
            })
        });
    });
    group.bench_function("json_datagram_cold_1khz", |b| {
        b.iter_custom(|n| {
            cold(n, || {
                let _ = here.send(&json(&step));
            })
        });
    });
    group.finish();
    here.send(&[0]).expect("the reader is there");
    reader.join().expect("the reader ends");
}

fn json(step: &StepCore) -> Vec<u8> {
    let fields =
        Field::ALL.iter().map(|field| (field.name().to_owned(), step.value(*field).into()));
    let map: serde_json::Map<String, serde_json::Value> = fields.collect();
    serde_json::to_vec(&map).expect("numbers and names")
}

fn agent_side(c: &mut Criterion) {
    let mut group = c.benchmark_group("door/scan_idle");
    for doors in [1_usize, 64, 1024] {
        let door = Door::new(64).expect("a power of two");
        let open: Vec<(SharedView, Slots)> = (0..doors)
            .map(|_| {
                let memory =
                    SharedMemory::new("bench", door.bytes as usize, false).expect("memory");
                let most = door.bytes as usize;
                let view = SharedView::map(memory.as_fd(), most, most).expect("sealed memory");
                let slots = Slots::open(door, view.words());
                (view, slots)
            })
            .collect();
        group.throughput(Throughput::Elements(doors as u64));
        group.bench_function(BenchmarkId::from_parameter(doors), |b| {
            b.iter(|| black_box(&open).iter().any(|(view, slots)| slots.waits(view.words())));
        });
    }
    group.finish();

    let mut group = c.benchmark_group("door/read");
    group.throughput(Throughput::Elements(32));
    group.bench_function("run_of_32", |b| b.iter_custom(read_runs));
    group.finish();
}

/// Reads `runs` runs of 32 steps that were just written; only reading counts.
fn read_runs(runs: u64) -> Duration {
    let door = Door::new(64).expect("a power of two");
    let memory = SharedMemory::new("bench", door.bytes as usize, false).expect("memory");
    let words = LoadOnly::new(memory.words());
    let mut slots = Slots::open(door, words);
    let (counts, mut scratch, mut ranks) =
        (DoorCounts::default(), Scratch::default(), Ranks::new(1, 1));
    let (mut sequence, mut spent_ns, mut taken) = (0, 0, 0);
    for _ in 0..runs {
        for _ in 0..32 {
            sequence += 1;
            let step = StepCore { instance: 1, incarnation: 1, producers: 1, sequence, ..step() };
            let step: &[u64] = bytemuck::cast_slice(std::slice::from_ref(&step));
            let crc = u64::from(crc32fast::hash(bytemuck::cast_slice(step)));
            let at = door.slot_at(sequence) / 8;
            let slot = [sequence, crc << 32 | 256].into_iter().chain(step.iter().copied());
            for (word, value) in memory.words()[at..].iter().zip(slot) {
                word.store(value, Ordering::Relaxed);
            }
        }
        memory.words()[Door::HEAD_AT / 8].store(sequence, Ordering::Release);
        let begun_ns = clock::monotonic_ns();
        slots.read(words, &mut scratch, &counts, |_, step| {
            taken += u64::from(ranks.admit(step, begun_ns).is_ok());
        });
        spent_ns += clock::monotonic_ns() - begun_ns;
    }
    assert_eq!(taken, 32 * runs);
    Duration::from_nanos(spent_ns)
}

/// From the engine's write to the newest table, through the door's own thread.
/// Medians: one step in a thousand that the machine kept waiting would be all
/// that a mean shows.
fn to_newest(c: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a folder for the socket");
    let agent = Agent::start(folder.path());
    let mut door = writer();
    let mut line = door.line(&folder.path().join(engine_push::SOCKET_NAME));
    while *line.maintain(clock::monotonic_ns()) != LineState::Welcome {
        clock::sleep_until(clock::monotonic_ns() + MILLISECOND_NS);
    }
    let mut group = c.benchmark_group("door/to_newest");
    group.sample_size(10).measurement_time(Duration::from_secs(3));
    for (name, pause_ns) in [("flowing_1khz", MILLISECOND_NS), ("woken_20hz", 50 * MILLISECOND_NS)]
    {
        group.bench_function(name, |b| {
            b.iter_custom(|n| {
                let mut spent_ns = Vec::new();
                for _ in 0..n {
                    clock::sleep_until(clock::monotonic_ns() + pause_ns);
                    let begun_ns = clock::monotonic_ns();
                    door.write(&step());
                    while agent.steps.iter().all(|seen| seen.step.sequence < door.written()) {
                        std::hint::spin_loop();
                    }
                    spent_ns.push(clock::monotonic_ns() - begun_ns);
                }
                spent_ns.sort_unstable();
                Duration::from_nanos(spent_ns[spent_ns.len() / 2] * n)
            });
        });
    }
    group.bench_function("write_with_an_agent", |b| b.iter(|| door.write(black_box(&step()))));
    group.finish();
}

/// The door's thread and what it writes into.
struct Agent {
    steps: StepTableView,
    stop: Stop,
    thread: Option<JoinHandle<()>>,
}

impl Agent {
    fn start(run_dir: &Path) -> Self {
        let (steps, readings) = (StepTable::heap(64), ReadingTable::heap(64));
        let names = Names::new("node");
        let context = Context {
            host_root: "/".into(),
            run_dir: run_dir.to_owned(),
            names: names.clone(),
            steps: steps.clone(),
            readings: readings.clone(),
            cursors: Cursors::default(),
            gauges: Gauges::default(),
            door: DoorContext::default(),
        };
        let Opened::Ready(sampler) = (engine_push::ENTRY.open)(&context, &Settings::default())
        else {
            panic!("the door opens")
        };
        let parts = OutletParts {
            steps: ring::ring(1024).0,
            readings: ring::ring(16).0,
            step_table: steps.clone(),
            reading_table: readings,
            names,
            events: EventOutlet::new(crossbeam_channel::bounded(16).0),
            drain: Doorbell::for_this_thread().ringer(),
        };
        let outlet = Outlet::new("engine_push", parts);
        let progress = Arc::new(Progress::new(100 * MILLISECOND_NS, clock::monotonic_ns()));
        let stop = Stop::default();
        let thread = start("engine_push", None, sampler, outlet, progress, stop.clone());
        Self { steps: steps.view(), stop, thread: thread.ok() }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.stop.raise();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

criterion_group!(benches, engine_side, agent_side, to_newest);
criterion_main!(benches);
