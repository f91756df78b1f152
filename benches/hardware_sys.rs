//! What a round over a large server's `/sys` costs, and what the child that
//! reads it weighs.
//!
//! Four ways to the same files take turns in one run, so that their ratios hold
//! on a busy machine: a round in this process, one through a child with its
//! records and naps, each file with `std::fs::read_to_string`, and the same
//! after walking the folders, as a naive sampler would. The tree is one of
//! plain files; those of a real `/sys` cost what their drivers take.
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
#![expect(clippy::print_stdout, reason = "the ratios are what this is run for")]

#[path = "../tests/it/hardware_sys/tree.rs"]
mod tree;

use std::fmt::Write as _;
use std::fs;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use criterion::Criterion;
use eagle_eye::platform::clock;
use eagle_eye::samplers::Readings;
use eagle_eye::samplers::hardware_sys::reading::Reading;
use eagle_eye::samplers::hardware_sys::record::{Message, RECORD_BYTES, decode};
use eagle_eye::samplers::hardware_sys::{Facts, HardwareSys, Limits};
use eagle_eye::schema::{EventKind, MetricId, Severity};
use tree::{SERVER, Tree};

/// Counts devices and keeps no value.
#[derive(Default)]
struct Count(u32);

impl Readings for Count {
    fn device(&mut self, _: &'static str, _: &str) -> u32 {
        self.0 += 1;
        self.0
    }
    fn gone(&mut self, _: u32) {}
    fn put(&mut self, device: u32, metric: MetricId, _: u64, value: f64) {
        black_box((device, metric, value));
    }
}

impl Facts for Count {
    fn forget(&mut self, _: u32, _: MetricId) {}
    fn say(&mut self, _: EventKind, _: Severity, _: &str, text: String) {
        println!("hardware_sys: {text}");
    }
}

/// The captured server, of each device as many as a machine with eight GPUs
/// has: two more network cards, eight InfiniBand ports, two sockets of sixteen
/// DIMMs, forty sensors.
fn large_server() -> Tree {
    let mut text = SERVER.to_owned();
    let lines = |of: &str| -> Vec<&str> {
        SERVER.lines().filter(|line| line.contains(of) && line.contains(": ")).collect()
    };
    let mut copy = |of: &str, into: &str, from: &str, to: &str| {
        for line in lines(of) {
            let Some((path, content)) = line.split_once(": ") else { continue };
            let Some((_, file)) = path.split_once(from) else { continue };
            let _ = writeln!(text, "{into}{to}{file}: {content}");
        }
    };
    for gpu in 0..7 {
        copy(
            "0000:17:00.0/",
            "bus/pci/devices/",
            "0000:17:00.0",
            &format!("0000:{}:00.0", 40 + gpu),
        );
        copy("mlx5_0/", "class/infiniband/", "mlx5_0", &format!("mlx5_{}", 1 + gpu));
    }
    for card in 0..2 {
        let address = format!("0000:{}:00.0", 60 + card);
        copy("0000:18:00.0/", "bus/pci/devices/", "0000:18:00.0", &address);
    }
    for module in 2..32 {
        let mc = format!("mc{}/dimm", module / 16);
        copy("mc0/dimm1/", "devices/system/edac/mc/", "mc0/dimm1", &format!("{mc}{module}"));
    }
    for sensor in 3..40 {
        copy("hwmon0/temp2", "class/hwmon/hwmon0/", "hwmon0/temp2", &format!("temp{sensor}"));
    }
    Tree::plant(&text)
}

/// Where each read of a round goes.
fn files(sys: &Path) -> Vec<PathBuf> {
    let mut reading = Reading::new(sys, Vec::new()).expect("the tree is ours");
    reading.round(1, true);
    reading.parent().clear();
    reading.round(2, false);
    let mut text = String::new();
    let path = |record: &[u8; RECORD_BYTES]| match decode(record, &mut text) {
        Ok(Message::At(path)) => Some(sys.join(path)),
        _ => None,
    };
    reading.parent().iter().filter_map(path).collect()
}

/// Every file by `read_to_string`, its number or nothing.
fn read_to_string(files: &[PathBuf]) -> u64 {
    let number = |path: &PathBuf| fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    files.iter().filter_map(number).sum()
}

/// The same after a look at every folder, as who keeps no plan must.
fn walk_and_read(files: &[PathBuf]) -> u64 {
    let mut folders: Vec<_> = files.iter().filter_map(|file| file.parent()).collect();
    folders.dedup();
    let entries = |folder: &&Path| fs::read_dir(folder).map_or(0, Iterator::count);
    folders.iter().map(entries).sum::<usize>() as u64 + read_to_string(files)
}

/// The median microseconds of one call of each way, taken in turns for `budget`.
fn medians<const N: usize>(mut ways: [&mut dyn FnMut(); N], budget: Duration) -> [f64; N] {
    let mut samples = [const { Vec::<f64>::new() }; N];
    let begun = Instant::now();
    while begun.elapsed() < budget {
        for (way, samples) in ways.iter_mut().zip(&mut samples) {
            let start = Instant::now();
            way();
            samples.push(start.elapsed().as_nanos() as f64 / 1e3);
        }
    }
    samples.map(|mut samples| {
        samples.sort_by(f64::total_cmp);
        samples[samples.len() / 2]
    })
}

/// Kibibytes of a child, by the line that begins with `what`.
fn memory(child: u32, what: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{child}/smaps_rollup")).unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with(what));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok()).unwrap_or(0)
}

/// Processor time of a process in microseconds, by the scheduler's own count.
fn processor_us(process: &str) -> f64 {
    let text = fs::read_to_string(format!("/proc/{process}/schedstat")).unwrap_or_default();
    let ns: f64 = text.split_whitespace().next().and_then(|ns| ns.parse().ok()).unwrap_or(0.0);
    ns / 1e3
}

fn compare(name: &str, root: &Path) {
    let sys = root.join("sys");
    let files = files(&sys);
    let mut reading = Reading::new(&sys, Vec::new()).expect("the tree is ours");
    let program = Path::new(env!("CARGO_BIN_EXE_eagle-eye"));
    let mut sampler = HardwareSys::new(program, root, Limits::new(10_000, 3600));
    let mut count = Count::default();
    let report = sampler.tick(clock::monotonic_ns(), &mut count);
    let [ours, child, naive, walk] = medians(
        [
            &mut || {
                reading.parent().clear();
                reading.round(1, false);
            },
            &mut || {
                black_box(sampler.tick(clock::monotonic_ns(), &mut count));
            },
            &mut || {
                black_box(read_to_string(&files));
            },
            &mut || {
                black_box(walk_and_read(&files));
            },
        ],
        Duration::from_secs(4),
    );
    println!(
        "hardware_sys/{name}: {} devices, {} files, {} readings; round {ours:.0} us, through a \
         child {child:.0} us, read_to_string {naive:.0} us = {:.2} x round, with walking \
         {walk:.0} us = {:.2} x round",
        sampler.devices(),
        report.files,
        report.readings,
        naive / ours,
        walk / ours,
    );
    let Some(id) = sampler.reader_id() else { return };
    const ROUNDS: u32 = 50;
    let begun = [processor_us(&id.to_string()), processor_us("thread-self")];
    for _ in 0..ROUNDS {
        sampler.tick(clock::monotonic_ns(), &mut count);
    }
    let spent = [processor_us(&id.to_string()) - begun[0], processor_us("thread-self") - begun[1]];
    let [of_child, of_parent] = spent.map(|us| us / f64::from(ROUNDS));
    println!(
        "hardware_sys/{name}: a round costs {of_child:.0} us of processor in the child and \
         {of_parent:.0} us in the sampler, {:.4} % of a core every 10 s; the child has Rss {} kB, \
         Pss {} kB, private {} kB",
        (of_child + of_parent) / 1e7 * 100.0,
        memory(id, "Rss:"),
        memory(id, "Pss:"),
        memory(id, "Private_Dirty:") + memory(id, "Private_Clean:"),
    );
}

fn criterion_benches(criterion: &mut Criterion, tree: &Tree) {
    let mut group = criterion.benchmark_group("hardware_sys");
    let mut reading = Reading::new(&tree.sys(), Vec::new()).expect("the tree is ours");
    group.bench_function("round", |bench| {
        bench.iter(|| {
            reading.parent().clear();
            reading.round(1, false);
        });
    });
    group.bench_function("discover", |bench| {
        bench.iter(|| {
            reading.parent().clear();
            reading.round(1, true);
        });
    });
    let files = files(&tree.sys());
    group.bench_function("read_to_string", |bench| bench.iter(|| read_to_string(&files)));
    group.finish();
}

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(20)
        .configure_from_args();
    let tree = large_server();
    criterion_benches(&mut criterion, &tree);
    compare("large_server", tree.root());
    compare("this_machine", Path::new("/"));
    criterion.final_summary();
}
