//! What a tick of the host sampler costs beyond the reads that it cannot avoid.
//!
//! Three ways to the same files take turns in one run, so that their ratios hold
//! on a busy machine: our tick, bare positioned reads from kept-open
//! descriptors, and open, read to the end and close as a naive sampler would.
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
#![expect(clippy::print_stdout, reason = "the ratios are what this is run for")]

use std::fs::File;
use std::hint::black_box;
use std::io::Read;
use std::num::NonZeroU64;
use std::path::Path;
use std::time::{Duration, Instant};

use criterion::Criterion;
use eagle_eye::samplers::Readings;
use eagle_eye::samplers::procfs::Procfs;
use eagle_eye::schema::{MetricId, Reading};

/// Read at every tick.
const FAST: [&str; 7] = [
    "/proc/stat",
    "/proc/meminfo",
    "/proc/pressure/cpu",
    "/proc/pressure/memory",
    "/proc/pressure/io",
    "/proc/loadavg",
    SETTING,
];

/// The kernel clears as much memory as is asked for of this one, so even the
/// bare reads ask for little.
const SETTING: &str = "/proc/sys/fs/file-nr";

/// Read once in a while; the kernel gives them page by page.
const SLOW: [&str; 3] = ["/proc/vmstat", "/proc/diskstats", "/proc/net/dev"];

/// A power of two, as a ring's capacity is.
const SLOTS: usize = 4096;

/// Stores each reading as a ring would: in place, over and over.
struct Slots {
    slots: Vec<Reading>,
    next: usize,
    devices: u32,
}

impl Slots {
    fn new() -> Self {
        let empty = Reading::new(0, MetricId::CpuBusy, 0, 0.0);
        Self { slots: vec![empty; SLOTS], next: 0, devices: 0 }
    }
}

impl Readings for Slots {
    fn device(&mut self, _: &'static str, _: &str) -> u32 {
        self.devices += 1;
        self.devices
    }
    fn gone(&mut self, _: u32) {}
    fn put(&mut self, device: u32, metric: MetricId, time_ns: u64, value: f64) {
        let at = self.next & (SLOTS - 1);
        self.slots[at] = Reading::new(device, metric, time_ns, value);
        self.next += 1;
    }
}

/// Kept-open files and one buffer.
struct Bare {
    whole: Vec<(File, usize)>,
    paged: Vec<File>,
    buffer: Vec<u8>,
}

impl Bare {
    fn open(whole: &[&str], paged: &[&str]) -> Self {
        let bytes = |path: &str| if path == SETTING { 256 } else { 32 << 10 };
        Self {
            whole: whole
                .iter()
                .filter_map(|path| Some((File::open(path).ok()?, bytes(path))))
                .collect(),
            paged: paged.iter().filter_map(|path| File::open(path).ok()).collect(),
            buffer: vec![0; 32 << 10],
        }
    }

    /// One read of each whole file, as many as it takes of each paged one.
    fn read(&mut self) -> usize {
        let mut bytes = 0;
        for (file, asked) in &self.whole {
            bytes += rustix::io::pread(file, &mut self.buffer[..*asked], 0).unwrap_or(0);
        }
        for file in &self.paged {
            let mut length = 0;
            loop {
                let space = &mut self.buffer[length..];
                let read = rustix::io::pread(file, space, length as u64).unwrap_or(0);
                length += read;
                if read == 0 {
                    break;
                }
            }
            bytes += length;
        }
        bytes
    }
}

/// Open, read to the end, close.
fn read_afresh(paths: &[&str], buffer: &mut Vec<u8>) -> usize {
    let mut bytes = 0;
    for path in paths {
        let Ok(mut file) = File::open(path) else { continue };
        buffer.clear();
        bytes += file.read_to_end(buffer).unwrap_or(0);
    }
    bytes
}

fn procfs(slots: &mut Slots, slow_every: u64) -> Procfs {
    let slow_every = NonZeroU64::new(slow_every).expect("the callers pass no zero");
    let mut procfs = Procfs::open(Path::new("/"), slots)
        .expect("the benchmark runs where /proc is mounted")
        .with_slow_every(slow_every);
    procfs.tick(0, slots);
    procfs
}

/// The median nanoseconds of one call of each way, taken in turns for `budget`.
fn medians<const N: usize>(mut ways: [&mut dyn FnMut(); N], budget: Duration) -> [f64; N] {
    const CALLS: u32 = 20;
    let mut samples = [const { Vec::<f64>::new() }; N];
    let begun = Instant::now();
    while begun.elapsed() < budget {
        for (way, samples) in ways.iter_mut().zip(&mut samples) {
            let start = Instant::now();
            for _ in 0..CALLS {
                way();
            }
            samples.push(start.elapsed().as_nanos() as f64 / f64::from(CALLS));
        }
    }
    samples.map(|mut samples| {
        samples.sort_by(f64::total_cmp);
        samples[samples.len() / 2]
    })
}

fn compare(name: &str, whole: &[&str], paged: &[&str], slow_every: u64, budget: Duration) {
    let mut slots = Slots::new();
    let mut sampler = procfs(&mut slots, slow_every);
    let mut bare = Bare::open(whole, paged);
    let paths = [whole, paged].concat();
    let mut buffer = Vec::with_capacity(32 << 10);
    let [ours, floor, afresh] = medians(
        [
            &mut || {
                black_box(sampler.tick(1, &mut slots));
            },
            &mut || {
                black_box(bare.read());
            },
            &mut || {
                black_box(read_afresh(&paths, &mut buffer));
            },
        ],
        budget,
    );
    println!(
        "procfs/{name}: {} files, tick {:.1} us, bare pread {:.1} us, open+read+close {:.1} us; \
         tick = {:.3} x bare pread (goal <= 1.05), open+read+close = {:.2} x tick (goal >= 2.5)",
        paths.len(),
        ours / 1e3,
        floor / 1e3,
        afresh / 1e3,
        ours / floor,
        afresh / ours,
    );
}

fn criterion_benches(criterion: &mut Criterion) {
    for (name, whole, paged, slow_every) in
        [("fast", &FAST[..], &[][..], u64::MAX), ("all", &FAST[..], &SLOW[..], 1)]
    {
        let mut group = criterion.benchmark_group(format!("procfs/{name}"));
        let mut slots = Slots::new();
        let mut sampler = procfs(&mut slots, slow_every);
        group.bench_function("tick", |bench| bench.iter(|| sampler.tick(1, &mut slots)));
        let mut bare = Bare::open(whole, paged);
        group.bench_function("bare_pread", |bench| bench.iter(|| bare.read()));
        let paths = [whole, paged].concat();
        let mut buffer = Vec::with_capacity(32 << 10);
        group.bench_function("open_read_close", |bench| {
            bench.iter(|| read_afresh(&paths, &mut buffer));
        });
        group.finish();
    }
}

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(20)
        .configure_from_args();
    criterion_benches(&mut criterion);
    let budget = Duration::from_secs(4);
    compare("fast", &FAST, &[], u64::MAX, budget);
    compare("all", &FAST, &SLOW, 1, budget);
    criterion.final_summary();
}
