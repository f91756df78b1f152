//! What judging costs: a sample of a node, events over ten thousand devices,
//! a storm of equal records, a rule file that is read anew, and the memory of
//! a device.
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
#![expect(clippy::print_stdout, reason = "the rates are what this is run for")]

use std::fs;
use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput};
use eagle_eye::diagnosis::{At, Fact, Plan, Stage};
use eagle_eye::schema::{
    Accelerator, Device, DeviceState, Event, EventKind, METRICS, Metric, MetricId, Reading,
};

/// As many devices as the promise speaks of.
const DEVICES: u32 = 10_000;
/// Records of the storm, as one was seen in the field.
const STORM: u64 = 800_000;
/// Its keys.
const KEYS: u64 = 29;
const SECOND: u64 = 1_000_000_000;

/// A node of so many GPUs, and the metrics that each of them reads.
struct Node {
    stage: Stage,
    at: At,
    metrics: Vec<MetricId>,
    events: u64,
}

impl Node {
    fn new(devices: u32) -> Self {
        let mut stage = Stage::new("node", Plan::default());
        let at = At::new(SECOND, 1_700_000_000 * SECOND);
        for index in 0..devices {
            let accelerator = Accelerator {
                device_model: "NVIDIA H100 80GB HBM3".into(),
                pci: format!("{:04x}:{:02x}:00.0", index >> 8, index & 255),
                driver: "570.86.15".into(),
                state: DeviceState::Present,
                ..Accelerator::default()
            };
            // Like devices of a fleet: few of them are accelerators of one
            // host, so that what compares sisters compares a host's worth.
            let kind = if index < 16 { "gpu" } else { "pci" };
            let device = Device {
                index,
                name: format!("gpu{index}"),
                kind: kind.into(),
                accelerator: Some(Box::new(accelerator)),
                ..Device::default()
            };
            stage.fact(at, Fact::Device(&device));
        }
        let of_accelerators = |of: &&Metric| of.device_kind == "accelerator";
        let metrics = METRICS.iter().filter(of_accelerators).map(|of| of.id).collect();
        Self { stage, at, metrics, events: 0 }
    }

    fn pass(&mut self, ns: u64) {
        self.at.monotonic_ns += ns;
        self.at.wall_ns += ns;
    }

    /// One sample of so many devices with a value that is well everywhere.
    fn sample(&mut self, devices: u32, value: impl Fn(u32) -> f64) -> u64 {
        for device in 0..devices {
            for metric in &self.metrics {
                let value =
                    if *metric == MetricId::AcceleratorTemperature { value(device) } else { 0.0 };
                let reading = Reading::new(device, *metric, self.at.monotonic_ns, value);
                self.stage.fact(self.at, Fact::Reading(&reading));
            }
        }
        u64::from(devices) * self.metrics.len() as u64
    }

    fn event(&mut self, kind: EventKind, device: u64) {
        self.events += 1;
        let event = Event {
            id: self.events,
            kind,
            wall_ns: self.at.wall_ns,
            subject: format!("gpu{device}"),
            text: "a record of the driver that is as long as such records are".into(),
            ..Event::default()
        };
        self.stage.fact(self.at, Fact::Event(&event));
    }
}

/// Resident memory of this process, bytes.
fn resident() -> u64 {
    let statm = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
    pages.unwrap_or_default() * 4096
}

fn rate(what: &str, facts: u64, took: Duration) {
    println!("{what}: {:.0} facts/s", facts as f64 / took.as_secs_f64());
}

/// A second of ten thousand devices with all their readings, rounds included.
fn many() {
    let before = resident();
    let mut node = Node::new(DEVICES);
    node.sample(DEVICES, |_| 50.0);
    let bytes = resident().saturating_sub(before) / u64::from(DEVICES);
    println!("memory: {bytes} bytes a device with {} readings", node.metrics.len());
    for (what, moves) in [("nothing changes", false), ("every temperature moves", true)] {
        let (began, mut facts) = (Instant::now(), 0);
        for second in 0..5 {
            node.pass(SECOND);
            let moved = if moves { f64::from(second) / 10.0 } else { 0.0 };
            facts += node.sample(DEVICES, |device| 50.0 + moved + f64::from(device % 7));
        }
        rate(&format!("readings of {DEVICES} devices, {what}"), facts, began.elapsed());
    }
    let (began, events) = (Instant::now(), 200_000);
    for at in 0..events {
        node.pass(10_000);
        let kind = if at % 2 == 0 { EventKind::SourceHangs } else { EventKind::SourceAnswers };
        node.event(kind, at * 7919 % u64::from(DEVICES));
        if at % 100 == 0 {
            black_box(node.stage.take_verdicts());
        }
    }
    rate(&format!("events over {DEVICES} devices"), events, began.elapsed());
}

fn storm() {
    let mut node = Node::new(32);
    node.event(EventKind::DeviceGone, 0);
    let (before, began) = (resident(), Instant::now());
    let mut told = 0;
    for at in 0..STORM {
        node.pass(10_000);
        node.event(EventKind::ContainerOomKill, at % KEYS);
        if at % 1000 == 0 {
            told += node.stage.take_verdicts().len();
        }
    }
    rate("storm of equal records", STORM, began.elapsed());
    let open = node.stage.open().filter(|of| of.rule == "container_oom").count();
    let counted: u64 =
        node.stage.open().filter(|of| of.rule == "container_oom").map(|of| of.count).sum();
    let grown = resident().saturating_sub(before);
    println!(
        "storm: {open} verdicts count {counted} records, {told} revisions, {grown} bytes more"
    );
}

fn main() {
    many();
    storm();
    let mut criterion = Criterion::default()
        .measurement_time(Duration::from_secs(2))
        .warm_up_time(Duration::from_millis(500))
        .configure_from_args();
    let mut group = criterion.benchmark_group("diagnosis");
    let mut node = Node::new(16);
    let facts = node.sample(16, |_| 50.0);
    group.throughput(Throughput::Elements(facts));
    let mut second = 0;
    group.bench_function("sample of 16 devices", |bencher| {
        bencher.iter(|| {
            node.pass(SECOND);
            second += 1;
            node.sample(16, |device| 50.0 + f64::from((second + device) % 5))
        });
    });
    let mut file = String::new();
    for number in 0..40 {
        file += &format!(
            "[[threshold]]\nname = \"own_{number}\"\nmetric = \"sensor_celsius\"\nabove = 90\n"
        );
    }
    group.throughput(Throughput::Bytes(file.len() as u64));
    group.bench_function("rule file read and adopted", |bencher| {
        bencher.iter(|| match Plan::read(black_box(&file)) {
            Ok(plan) => node.stage.adopt(plan),
            Err(mistakes) => println!("{mistakes:?}"),
        });
    });
    group.bench_function("snapshot", |bencher| bencher.iter(|| node.stage.snapshot()));
    group.finish();
    criterion.final_summary();
}
