//! A whole page against the one that stands in a file, and what is not on it.

use std::path::Path;

use super::*;
use crate::schema::{Evidence, Verdict, VerdictState};

fn health() -> Health {
    let sampler = SamplerHealth {
        name: "procfs",
        success: true,
        period_ns: 100 * MS,
        age_ns: Some(40 * MS),
        duration_ns: Some(MS / 4),
    };
    let failed =
        SamplerHealth { name: "kmsg", success: false, age_ns: None, duration_ns: None, ..sampler };
    let loss = |place: &str, count| LossCount { place: place.into(), reason: "full".into(), count };
    Health {
        version: "0.1.0",
        ready: true,
        up_ns: 90_000 * MS,
        nats: Some(false),
        samplers: vec![sampler, failed],
        losses: vec![loss("ring procfs readings", 0), loss("taker nats", 17)],
        events: vec![EventCount { kind: EventKind::Xid, severity: Severity::Critical, count: 2 }],
    }
}

fn verdict(subject: &str, since_wall_ns: u64, state: VerdictState) -> Verdict {
    Verdict {
        rule: "gpu_off_the_bus".into(),
        severity: Severity::Critical,
        subject: subject.into(),
        subject_kind: "device".into(),
        since_wall_ns,
        state,
        id: since_wall_ns,
        evidence: vec![Evidence {
            wall_ns: since_wall_ns,
            metric: MetricId::AcceleratorEccUncorrected as u16,
            value: 2.0,
            ..Evidence::default()
        }],
        ..Verdict::default()
    }
}

fn full() -> (Node, Exporter) {
    let mut node = Node::new();
    let engine = node.write("10.0.0.7:8000", 0);
    node.details(&engine, 0, vec![Adapter { name: "tuned".into(), running: 2, waiting: 1 }]);
    let (host, cpu, disk) =
        (node.device("node", "node"), node.device("cpu", "cpu3"), node.device("disk", "nvme0n1"));
    let (container, ring, gpu) =
        (node.device("container", "c0ffee"), node.device("ring", "procfs/steps"), node.gpu("gpu0"));
    for (device, metric, value) in [
        (host, MetricId::LoadOne, 2.5),
        (host, MetricId::MemoryTotal, 1024.0),
        (cpu, MetricId::CpuBusy, 0.25),
        (disk, MetricId::DiskRead, 5120.0),
        (container, MetricId::ContainerMemory, 77.0),
        (ring, MetricId::RingDepth, 4.0),
        (gpu, MetricId::AcceleratorTemperature, 61.0),
        (gpu, MetricId::AcceleratorMemoryUsed, 2_147_483_648.0),
        (gpu, MetricId::AcceleratorMemoryTotal, 4_294_967_296.0),
        (gpu, MetricId::AcceleratorUtilization, 0.875),
        (gpu, MetricId::AcceleratorEccUncorrected, 3.0),
    ] {
        node.reading(device, metric, value);
    }
    let verdicts = || {
        vec![
            verdict("gpu0", 1_000 * MS, VerdictState::Open),
            verdict("gpu0", 2_000 * MS, VerdictState::Changed),
            verdict("gpu1", 3_000 * MS, VerdictState::Resolved),
        ]
    };
    let sources =
        Sources { health: Box::new(health), verdicts: Box::new(verdicts), ..node.sources() };
    let settings = Settings { dcgm_names: true, period_ns_max: 0 };
    let exporter = Exporter::new(sources, settings);
    (node, exporter)
}

/// `EAGLE_EYE_BLESS=1` writes the file anew.
fn golden(name: &str, page: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captures/exporter").join(name);
    if std::env::var_os("EAGLE_EYE_BLESS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, page).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = page.lines().zip(expected.lines()).find(|(a, b)| a != b);
    assert!(page == expected, "{}: {differs:?}", path.display());
}

#[test]
fn a_page_of_everything_is_the_one_that_was_looked_at() {
    let (_node, exporter) = full();
    golden("page.txt", &text(&exporter.metrics(Form::Classic, NOW)));
    golden("page.openmetrics.txt", &text(&exporter.metrics(Form::OpenMetrics, NOW)));
}

#[test]
fn a_counter_names_the_verdict_that_rests_on_it_where_the_format_can() {
    let (_node, exporter) = full();
    let series = "eagle_eye_accelerator_ecc_uncorrected_total{";
    let line = |form| {
        let page = text(&exporter.metrics(form, NOW));
        let line = page.lines().find(|line| line.starts_with(series)).map(str::to_owned);
        line.unwrap().rsplit_once('}').map(|(head, _)| head.to_owned()).unwrap()
    };
    let open = line(Form::OpenMetrics);
    assert!(open.ends_with(&format!("}} 3 # {{verdict=\"{:016x}\"", 2_000 * MS)), "{open}");
    assert!(!line(Form::Classic).contains("verdict"));
}

#[test]
fn every_family_stands_once_and_together_and_is_known() {
    let (_node, exporter) = full();
    let page = text(&exporter.metrics(Form::Classic, NOW));
    let known: Vec<String> = families()
        .iter()
        .map(|family| family.name)
        .chain(crate::schema::METRICS.iter().map(|row| family_of(row).name))
        .map(|name| format!("{PREFIX}{name}"))
        .collect();
    let mut seen = std::collections::HashSet::new();
    for header in page.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let name = header.split(' ').next().unwrap();
        assert!(seen.insert(name.to_owned()), "{name} stands twice");
        assert!(
            name.starts_with("DCGM_FI_DEV_") || known.iter().any(|known| known == name),
            "{name}"
        );
    }
    let mut series = std::collections::HashSet::new();
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        let (labels, _) = line.rsplit_once(' ').unwrap();
        assert!(series.insert(labels.to_owned()), "{labels} stands twice");
    }
}

#[test]
fn what_is_gone_vanishes_with_all_that_it_said() {
    let (mut node, exporter) = full();
    let key = crate::newest::RankKey {
        instance: Engine::named("10.0.0.7:8000", "").instance,
        rank: 0,
        producer: 0,
    };
    assert!(text(&exporter.metrics(Form::Classic, NOW)).contains("engine=\"10.0.0.7:8000\""));
    node.writer.forget(&key);
    node.names.forget_engine(key.instance, 7);
    let later = NOW + SHARED_NS;
    assert!(!text(&exporter.metrics(Form::Classic, later)).contains("10.0.0.7:8000"));
    let gpu = node.gpu("gpu0");
    node.names.forget_device(gpu);
    let page = text(&exporter.metrics(Form::Classic, later + SHARED_NS));
    assert!(!page.contains("device=\"gpu0\""), "{page}");
    assert!(page.contains("device=\"nvme0n1\""));
}

#[test]
fn an_engine_that_said_goodbye_and_a_device_that_fell_off_are_not_there() {
    let mut node = Node::new();
    let engine = node.write("a", 0);
    let mut step = node.step(&engine, 0);
    step.step.raise(crate::schema::Flag::Goodbye);
    node.writer.write(&step);
    let gpu = node.gpu("gpu0");
    node.reading(gpu, MetricId::AcceleratorTemperature, 61.0);
    node.reading(gpu, MetricId::AcceleratorState, 2.0);
    let device = node.names.devices().into_iter().find(|device| device.index == gpu).unwrap();
    let accelerator =
        Accelerator { state: DeviceState::Gone, ..*device.accelerator.clone().unwrap() };
    node.names.put_device(Device { accelerator: Some(Box::new(accelerator)), ..device });
    let page = node.page();
    assert!(
        !page.contains("engine=") && !page.contains("celsius") && !page.contains("device_info")
    );
    assert_eq!(value(&page, "eagle_eye_accelerator_state{"), Some(2.0));
}

#[test]
fn what_is_absent_or_old_or_no_number_is_absent() {
    let mut node = Node::new();
    let engine = node.write("a", 0);
    let mut step = node.step(&engine, 0);
    step.step.present = Field::Running.bit();
    node.writer.write(&step);
    let host = node.device("node", "node");
    node.reading(host, MetricId::LoadOne, f64::NAN);
    node.reading(host + 50, MetricId::Tasks, 1.0);
    node.reading_of(NOW - 301_000 * MS, host, MetricId::LoadFive, 1.0);
    node.reading_of(NOW - 299_000 * MS, host, MetricId::LoadFifteen, 1.0);
    let page = node.page();
    assert_eq!(value(&page, "eagle_eye_engine_requests_running{"), Some(12.0));
    for absent in ["requests_waiting", "load1{", "load5{", "tasks{", "finished"] {
        assert!(!page.contains(absent), "{absent}");
    }
    assert_eq!(value(&page, "eagle_eye_load15{"), Some(1.0));
}
