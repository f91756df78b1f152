//! What a scrape costs the agent: a node of 16 engines with all that they can
//! say and 16 accelerators with every metric of the table, as one page.
//!
//! The goal is 5 ms. `shared` is what everybody costs who asks within the same
//! few milliseconds; `without_sketches` is the page without histograms, so that
//! the difference is what 96 sketches cost to become them.
#![expect(clippy::expect_used, reason = "a benchmark may fail")]
#![expect(clippy::print_stdout, reason = "a benchmark says what it measures")]

use std::hint::black_box;

use bytemuck::Zeroable;
use criterion::{Criterion, criterion_group, criterion_main};
use eagle_eye::exporter::{
    Exporter, Form, Health, LossCount, Rank, SHARED_NS, SamplerHealth, Settings, Sources, Wanted,
};
use eagle_eye::newest::{Names, NewestStep, ReadingCell, ReadingTable, StepTable, StepWriter};
use eagle_eye::schema::{
    Accelerator, Activity, Device, DeviceState, Engine, EngineDetails, Field, Finished, Freshness,
    METRICS, Reading, Sketch, SketchKind, StepCore,
};

const NOW: u64 = 1_000_000_000_000;

/// A node's tables, filled.
struct Node {
    exporter: Exporter,
    _writer: StepWriter,
    _cells: Vec<ReadingCell>,
}

impl Node {
    fn new(engines: u32, devices: u32, sketches: bool) -> Self {
        let names = Names::new("node-1");
        let (steps, readings) = (StepTable::heap(4096), ReadingTable::heap(16_384));
        let mut writer = steps.writer();
        for at in 0..engines {
            let engine = Engine::named(&format!("10.0.0.7:{}", 8000 + at), "org/model-70b");
            writer.write(&step(&engine)).expect("room for it");
            names.details().put(details(&engine, sketches));
            names.put_engine(engine);
        }
        let mut cells = Vec::new();
        for at in 0..devices {
            let index = device(&names, at);
            for row in METRICS.iter().filter(|row| row.device_kind == "accelerator") {
                let mut cell = readings.cell().expect("room for it");
                cell.write(&Reading::new(index, row.id, NOW, 61.5 + f64::from(at)));
                cells.push(cell);
            }
        }
        let sources = Sources {
            steps: steps.view(),
            readings: readings.view(),
            names,
            merge: Box::new(newest),
            health: Box::new(health),
            verdicts: Box::new(Vec::new),
        };
        Self {
            exporter: Exporter::new(sources, Settings::default()),
            _writer: writer,
            _cells: cells,
        }
    }
}

fn step(engine: &Engine) -> NewestStep {
    let mut step = StepCore { instance: engine.instance, ttl_ms: 1000, ..StepCore::zeroed() };
    Field::ALL.iter().for_each(|field| step.mark(*field));
    (step.running, step.kv_usage, step.generated_tokens) = (37, 0.613, 123_456_789);
    NewestStep { step, alive_ns: NOW, ..NewestStep::zeroed() }
}

fn details(engine: &Engine, sketches: bool) -> EngineDetails {
    let sketch = |kind| {
        let mut sketch = Sketch::new(kind);
        // Three decades, as a busy engine fills them.
        (0..1000_u32).for_each(|at| sketch.add(1e3 * 1.007_f64.powi(at as i32), at));
        sketch
    };
    let reason = |reason: &str| Finished { reason: reason.to_owned(), count: 77 };
    EngineDetails {
        instance: engine.instance,
        sketches: if sketches { SketchKind::ALL.map(sketch).to_vec() } else { Vec::new() },
        finished: ["stop", "length", "abort"].map(reason).to_vec(),
        ..EngineDetails::default()
    }
}

fn device(names: &Names, at: u32) -> u32 {
    let name = format!("gpu{at}");
    let index = names.device("gpu", &name).expect("room for it");
    names.put_device(Device {
        index,
        name,
        kind: "gpu".to_owned(),
        vendor: "nvidia".to_owned(),
        uuid: format!("GPU-4f1c2ab4-5d6e-7f80-91a2-b3c4d5e6f7{at:02x}"),
        accelerator: Some(Box::new(Accelerator {
            device_model: "NVIDIA H100 80GB HBM3".to_owned(),
            state: DeviceState::Present,
            ..Accelerator::default()
        })),
        ..Device::default()
    });
    index
}

fn newest(records: &mut [NewestStep], now_ns: u64) -> Rank {
    let newest = records[0];
    let age_ns = now_ns.saturating_sub(newest.alive_ns);
    let (freshness, activity) = (Freshness::Fresh, Activity::Busy);
    Rank { step: newest.step, age_ns, silence_ns: age_ns, lost: 0, freshness, activity }
}

fn health() -> Health {
    let sampler = |name| SamplerHealth {
        name,
        success: true,
        period_ns: 100_000_000,
        age_ns: Some(40_000_000),
        duration_ns: Some(250_000),
    };
    let loss = |place: u32| LossCount {
        place: format!("ring number {place}"),
        reason: "full".to_owned(),
        count: 0,
    };
    Health {
        samplers: ["procfs", "cgroup", "kmsg", "nvml", "own", "engine_push"].map(sampler).to_vec(),
        losses: (0..40).map(loss).collect(),
        ..Health::default()
    }
}

fn exposition(criterion: &mut Criterion) {
    let (node, bare) = (Node::new(16, 16, true), Node::new(16, 16, false));
    let page = node.exporter.metrics(Form::Classic, NOW);
    let lines = page.split(|byte| *byte == b'\n').filter(|line| !line.starts_with(b"#")).count();
    println!("16 engines, 16 devices: {lines} series, {} bytes", page.len());
    drop(page);
    let mut group = criterion.benchmark_group("exposition");
    let mut now_ns = NOW;
    for (name, node, form, step_ns) in [
        ("classic", &node, Form::Classic, SHARED_NS),
        ("openmetrics", &node, Form::OpenMetrics, SHARED_NS),
        ("without_sketches", &bare, Form::Classic, SHARED_NS),
        ("shared", &node, Form::Classic, 0),
    ] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                now_ns += step_ns;
                black_box(node.exporter.metrics(form, now_ns)).len()
            });
        });
    }
    let wanted = Wanted { engine: Some("10.0.0.7:8007".to_owned()), rank: None };
    group.bench_function("routing_of_one", |bencher| {
        bencher.iter(|| black_box(node.exporter.routing(&wanted, NOW, NOW)).len());
    });
    group.bench_function("routing_of_all", |bencher| {
        bencher.iter(|| black_box(node.exporter.routing(&Wanted::default(), NOW, NOW)).len());
    });
    group.finish();
}

criterion_group!(benches, exposition);
criterion_main!(benches);
