//! Names of engines, models, adapters and devices that say anything, and what a
//! request may ask for.
//!
//! The input is texts with a zero byte between them. Whatever they say, a page
//! is lines that Prometheus can read, no series stands twice, and the page for
//! routers keeps to its size.

#![no_main]

use std::collections::HashSet;
use std::sync::LazyLock;

use bytemuck::Zeroable;
use libfuzzer_sys::fuzz_target;

use eagle_eye::exporter::{
    Exporter, Form, Health, Rank, ROUTING_BYTES_MAX, Settings, Sources, Wanted,
};
use eagle_eye::newest::{Names, NewestStep, ReadingTable, StepTable};
use eagle_eye::schema::{
    Activity, Adapter, Device, Engine, EngineDetails, Field, Finished, Freshness, METRICS, Reading,
    StepCore, bounded_name,
};

const NOW_NS: u64 = 1 << 40;

/// Engines and devices of one input.
const THINGS_MAX: usize = 8;

static METRIC_COUNT: LazyLock<usize> = LazyLock::new(|| METRICS.len());

fn merge(records: &mut [NewestStep], _: u64) -> Rank {
    let (freshness, activity) = (Freshness::Fresh, Activity::Busy);
    Rank { step: records[0].step, age_ns: 0, silence_ns: 0, lost: 0, freshness, activity }
}

fn engine(names: &Names, texts: &[&str], at: usize) -> NewestStep {
    let (name, model) = (texts[0], texts[texts.len() - 1]);
    let engine = Engine {
        endpoint: bounded_name(model).to_owned(),
        ..Engine::named(bounded_name(name), bounded_name(model))
    };
    let adapters = texts.iter().map(|name| Adapter {
        name: bounded_name(name).to_owned(),
        running: 1,
        waiting: at as u32,
    });
    let finished = texts.iter().map(|reason| Finished {
        reason: bounded_name(reason).to_owned(),
        count: u64::MAX,
    });
    names.details().put(EngineDetails {
        instance: engine.instance,
        adapters: adapters.collect(),
        finished: finished.collect(),
        ..EngineDetails::default()
    });
    let mut step = StepCore { instance: engine.instance, ..StepCore::zeroed() };
    Field::ALL.iter().for_each(|field| step.mark(*field));
    (step.kv_usage, step.steps) = (f32::NAN, u64::MAX);
    names.put_engine(engine);
    NewestStep { step, alive_ns: NOW_NS, ..NewestStep::zeroed() }
}

/// Every line is a comment or a series, and no series stands twice.
fn check(page: &[u8]) -> usize {
    let page = std::str::from_utf8(page).expect("a page is text");
    let mut seen = HashSet::new();
    for line in page.lines().filter(|line| !line.starts_with("# ")) {
        let (series, value) = line.rsplit_once(' ').expect("a value");
        assert!(value.parse::<f64>().is_ok(), "{line}");
        assert!(seen.insert(series), "{line} stands twice");
        let name = series.split('{').next().unwrap_or_default();
        assert!(name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b':'), "{line}");
        let Some(labels) = series[name.len()..].strip_prefix('{') else { continue };
        let (mut quoted, mut escaped) = (false, false);
        for c in labels.strip_suffix('}').expect("labels end").chars() {
            match c {
                _ if escaped => escaped = false,
                '\\' if quoted => escaped = true,
                '"' => quoted = !quoted,
                _ if quoted => {}
                c => assert!(c.is_ascii_alphanumeric() || "_=,".contains(c), "{line}"),
            }
        }
        assert!(!quoted && !escaped, "{line}");
    }
    seen.len()
}

fuzz_target!(|input: &[u8]| {
    let text = String::from_utf8_lossy(input);
    let texts: Vec<&str> = text.split('\0').collect();
    let names = Names::new(bounded_name(texts[0]));
    let (steps, readings) = (StepTable::heap(16), ReadingTable::heap(16));
    let (mut writer, mut cells) = (steps.writer(), Vec::new());
    for (at, some) in texts.chunks(3).take(THINGS_MAX).enumerate() {
        writer.write(&engine(&names, some, at));
        let (kind, name) = (some[some.len() - 1], some[0]);
        let Some(index) = names.device(kind, name) else { continue };
        let device = Device {
            index,
            name: bounded_name(name).to_owned(),
            kind: bounded_name(kind).to_owned(),
            uuid: bounded_name(name).to_owned(),
            ..Device::default()
        };
        names.put_device(device);
        let mut cell = readings.cell().expect("room for it");
        let metric = METRICS[input.len() % *METRIC_COUNT].id;
        cell.write(&Reading::new(index, metric, NOW_NS, input.len() as f64));
        cells.push(cell);
    }
    let sources = Sources {
        steps: steps.view(),
        readings: readings.view(),
        names,
        merge: Box::new(merge),
        health: Box::new(Health::default),
        verdicts: Box::new(Vec::new),
    };
    let exporter = Exporter::new(sources, Settings { dcgm_names: true, period_ns_max: 0 });
    let form = Form::accepted(texts[0]);
    check(&exporter.metrics(form, NOW_NS));
    let all = exporter.routing(&Wanted::default(), NOW_NS, NOW_NS);
    check(&all);
    let wanted = Wanted { engine: Some(texts[0].to_owned()), rank: None };
    let one = exporter.routing(&wanted, NOW_NS, NOW_NS);
    let ranks = one.split(|byte| *byte == b'\n').filter(|line| line.starts_with(b"vllm:num_requests_running")).count();
    assert!(check(&one) <= check(&all) && one.len() <= ROUTING_BYTES_MAX * ranks.max(1));
});
