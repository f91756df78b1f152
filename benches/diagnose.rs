//! How fast lines become sightings and verdicts on one processor.
//!
//! Lines that hold no trouble are what a log is made of; lines of every known
//! shape are what a node in trouble writes; a storm is one trouble told over
//! and over. One regex per shape, as agents of this kind do it, is measured
//! beside for the lines that hold none.
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
#![expect(clippy::print_stdout, reason = "the rates are what this is run for")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput};
use eagle_eye::cli::diagnose::{About, Judge, each_line};
use eagle_eye::diagnosis::lines::recognise;
use eagle_eye::diagnosis::{At, Fact, Plan, Stage};
use eagle_eye::schema::log::{Blocks, Record};
use eagle_eye::schema::{
    Accelerator, Device, DeviceState, Event, EventKind, LogRecord, TEXT_BYTES_MAX, Trust,
};
use regex::Regex;

const PLAIN: &[u8] = include_bytes!("../tests/captures/kmsg/records");
const SHAPES: &str = include_str!("../tests/captures/lines/samples");

/// Captured lines that hold no trouble.
fn plain() -> Vec<String> {
    let records = Blocks::new(PLAIN, true).filter_map(Record::parse);
    let shown = |record: Record<'_>| eagle_eye::schema::log::decoded(record.text, TEXT_BYTES_MAX);
    records.map(shown).filter(|text| recognise(text).is_none()).collect()
}

/// One line of every shape that holds some.
fn shapes() -> Vec<String> {
    let lines: Vec<&str> = SHAPES.lines().filter(|line| !line.starts_with('#')).collect();
    let texts = lines.chunks_exact(2).map(|pair| pair[1].to_owned());
    texts.filter(|text| recognise(text).is_some()).collect()
}

/// Patterns as peers write them, one per family.
fn regexes() -> Vec<Regex> {
    [
        r"NVRM: Xid \(.*?([0-9a-fA-F:.]+).*?\): (\d+)",
        r"SXid \(PCI:([0-9a-fA-F:.]+)\): (\d+)",
        r"fallen off the bus",
        r"AER: .*(Corrected|Uncorrected)",
        r"EDAC MC\d+: \d+ (CE|UE)",
        r"mce: \[Hardware Error\]",
        r"event severity: (fatal|recoverable|corrected)",
        r"Killed process (\d+) \((.*)\)",
        r"task \S+:\w+ blocked for more than \w+ seconds",
        r"soft lockup - CPU#\d+",
        r"nvme\d+: .*timeout",
        r"EXT4-fs error",
        r"Heartbeat lost",
        r"event_id=0x([0-9a-f]+)",
    ]
    .iter()
    .map(|pattern| Regex::new(pattern).expect("our own pattern"))
    .collect()
}

fn event(text: String, at: At) -> Event {
    let log = LogRecord { level: 3, trust: Trust::Attested, ..LogRecord::default() };
    Event {
        kind: EventKind::KernelLine,
        wall_ns: at.wall_ns,
        monotonic_ns: at.monotonic_ns,
        source: "kmsg".to_owned(),
        subject: "kernel".to_owned(),
        log: Some(log),
        text,
        ..Event::default()
    }
}

/// A node with so many GPUs.
fn stage(gpus: u32) -> Stage {
    let mut stage = Stage::new("node1", Plan::default());
    for index in 0..gpus {
        let accelerator = Accelerator {
            device_model: "NVIDIA H100 80GB HBM3".to_owned(),
            pci: format!("{:04x}:{:02x}:00.0", index >> 8, index & 0xff),
            driver: "570.86.15".to_owned(),
            state: DeviceState::Present,
            ..Accelerator::default()
        };
        let device = Device {
            index,
            name: format!("gpu{index}"),
            kind: "gpu".to_owned(),
            accelerator: Some(Box::new(accelerator)),
            ..Device::default()
        };
        stage.fact(At::new(1, 1), Fact::Device(&device));
    }
    stage
}

/// Calls a second, over at least a second.
fn rate(mut call: impl FnMut() -> usize) -> f64 {
    let begun = Instant::now();
    let mut done = 0;
    while begun.elapsed() < Duration::from_secs(1) {
        done += call();
    }
    done as f64 / begun.elapsed().as_secs_f64()
}

/// Xids of this many GPUs in turn, through the stage.
fn xids(gpus: u32) -> (Vec<Event>, Stage) {
    let at = At::new(1_000_000, 1_000_000);
    let line = |gpu: u32| {
        format!(
            "NVRM: Xid (PCI:{:04x}:{:02x}:00): 95, pid=7194, name=train, Uncontained: LTC TAG \
             (0x2, 0x1). RST: Yes, D-RST: No",
            gpu >> 8,
            gpu & 0xff
        )
    };
    ((0..gpus).map(|gpu| event(line(gpu), at)).collect(), stage(gpus))
}

fn compare() {
    let (plain, shapes, regexes) = (plain(), shapes(), regexes());
    let look = |lines: &[String]| lines.iter().filter(|line| recognise(line).is_some()).count();
    let ours = rate(|| {
        black_box(look(&plain));
        plain.len()
    });
    let theirs = rate(|| {
        let hits = plain.iter().filter(|line| regexes.iter().any(|of| of.is_match(line)));
        black_box(hits.count());
        plain.len()
    });
    let matching = rate(|| {
        black_box(look(&shapes));
        shapes.len()
    });
    println!(
        "diagnose/lines: {:.2} M lines/s without trouble (goal >= 1.00; {} regexes one by one \
         {:.2}), {:.2} M/s with (goal >= 0.30)",
        ours / 1e6,
        regexes.len(),
        theirs / 1e6,
        matching / 1e6,
    );
    for gpus in [29, 10_000] {
        let (events, mut stage) = xids(gpus);
        let mut now_ns = 1_000_000;
        let rate = rate(|| {
            for event in &events {
                now_ns += 10_000;
                stage.fact(At::new(now_ns, now_ns), Fact::Event(event));
            }
            stage.take_verdicts();
            events.len()
        });
        println!(
            "diagnose/storm: {:.0} k lines/s of {gpus} GPUs become {} verdicts (goal >= 100 k)",
            rate / 1e3,
            stage.open().count()
        );
    }
    let log: String = (0..200_000_u32)
        .map(|at| format!("[{}.{:06}] {}\n", at / 100, at % 100, plain[at as usize % plain.len()]))
        .collect();
    let rate = rate(|| {
        let mut judge = Judge::new(&About::default());
        let bytes = each_line(log.as_bytes(), |line, _| judge.line(line)).expect("a log");
        black_box(judge.end(bytes));
        200_000
    });
    println!("diagnose/log: {:.2} M lines/s of dmesg text from bytes to the story", rate / 1e6);
}

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(2))
        .sample_size(20)
        .configure_from_args();
    let (plain, shapes) = (plain(), shapes());
    let mut group = criterion.benchmark_group("line_to_sighting");
    group.throughput(Throughput::Elements(plain.len() as u64));
    group.bench_function("without_trouble", |bench| {
        bench.iter(|| plain.iter().filter(|line| recognise(line).is_some()).count());
    });
    group.throughput(Throughput::Elements(shapes.len() as u64));
    group.bench_function("with_trouble", |bench| {
        bench.iter(|| shapes.iter().filter(|line| recognise(line).is_some()).count());
    });
    group.finish();
    let mut group = criterion.benchmark_group("line_to_verdict");
    group.throughput(Throughput::Elements(1));
    let first = event("NVRM: Xid (PCI:0000:03:00): 79, lost".to_owned(), At::new(2, 2));
    group.bench_function("first", |bench| {
        bench.iter_batched(
            || stage(8),
            |mut stage| {
                stage.fact(At::new(2, 2), Fact::Event(&first));
                stage.take_verdicts().len()
            },
            criterion::BatchSize::SmallInput,
        );
    });
    let (events, mut of_storm) = xids(1);
    let mut now_ns = 10;
    group.bench_function("again", |bench| {
        bench.iter(|| {
            now_ns += 10_000;
            of_storm.fact(At::new(now_ns, now_ns), Fact::Event(&events[0]));
        });
    });
    group.finish();
    compare();
    criterion.final_summary();
}
