//! What Prometheus stores is what engines and devices said.

use eagle_eye::exporter;
use eagle_eye::platform::clock;
use eagle_eye::schema::{
    EngineDetails, Evidence, Field, Finished, MetricId, Severity, Sketch, SketchKind, StepCore,
    Verdict, VerdictState,
};

use super::node::{Node, SpeakingEngine, mark};
use super::server::{Prometheus, fetched, patiently, promtool};

fn fill(step: &mut StepCore) {
    (step.running, step.waiting, step.kv_usage) = (37, 5, 0.625);
    (step.generated_tokens, step.last_step_us) = (1_234_567, 12_500);
    mark(
        step,
        &[Field::Running, Field::Waiting, Field::KvUsage, Field::GeneratedTokens, Field::LastStep],
    );
}

fn details() -> EngineDetails {
    let mut sketch = Sketch::new(SketchKind::Ttft);
    sketch.add(90_000.0, 90);
    sketch.add(900_000.0, 10);
    let finished = vec![Finished { reason: "stop".into(), count: 77 }];
    EngineDetails { sketches: vec![sketch], finished, ..EngineDetails::default() }
}

#[test]
fn a_real_prometheus_stores_what_engines_and_devices_said() {
    let mut node = Node::start(&[("exporter.dcgm_names", "true")]);
    let gpu = node.gpu("gpu0");
    // This host may have troubles of its own, which its judge finds.
    node.agent.names.judged().put(Verdict {
        id: 7,
        revision: 1,
        rule: "injected".into(),
        subject: "gpu0".into(),
        severity: Severity::Error,
        state: VerdictState::Open,
        ..Verdict::default()
    });
    node.reading(gpu, MetricId::AcceleratorTemperature, 61.5);
    node.reading(gpu, MetricId::AcceleratorMemoryUsed, 2_147_483_648.0);
    let (mut one, mut two) = (
        SpeakingEngine::start(node.folder(), "one"),
        SpeakingEngine::start(node.folder(), "two\"\\"),
    );
    one.step(fill);
    two.step(|step| (step.running = 2, step.mark(Field::Running)).1);
    one.say(details());
    let prometheus = Prometheus::scraping(node.address, &[]);
    for (query, value) in [
        ("up", 1.0),
        (
            r#"eagle_eye_engine_requests_running{engine="one",rank="0",model="org/model",node="n1"}"#,
            37.0,
        ),
        (r#"eagle_eye_engine_requests_running{engine="two\"\\"}"#, 2.0),
        ("sum(eagle_eye_engine_requests_running)", 39.0),
        ("eagle_eye_engine_requests_waiting", 5.0),
        ("eagle_eye_engine_kv_usage_ratio", 0.625),
        ("eagle_eye_engine_generated_tokens_total", 1_234_567.0),
        ("eagle_eye_engine_last_step_seconds", 0.0125),
        (r#"eagle_eye_engine_requests_finished_by_reason_total{reason="stop"}"#, 77.0),
        ("eagle_eye_engine_time_to_first_token_seconds_count", 100.0),
        ("eagle_eye_engine_time_to_first_token_seconds_sum", 17.1),
        (r#"eagle_eye_engine_time_to_first_token_seconds_bucket{le="0.5"}"#, 90.0),
        (
            r#"eagle_eye_accelerator_temperature_celsius{device="gpu0",vendor="nvidia",uuid="GPU-gpu0"}"#,
            61.5,
        ),
        (r#"eagle_eye_device_info{device_model="H100",simulated="true"}"#, 1.0),
        (r#"DCGM_FI_DEV_GPU_TEMP{gpu="0",UUID="GPU-gpu0",modelName="H100",Hostname="n1"}"#, 61.5),
        ("DCGM_FI_DEV_FB_USED", 2048.0),
        (r#"eagle_eye_sampler_success{sampler="engine_push"}"#, 1.0),
        (r#"eagle_eye_events_total{kind="agent_started"}"#, 1.0),
        ("eagle_eye_memory_total_bytes", memory_bytes()),
        ("sum(eagle_eye_engine_steps_lost_total)", 0.0),
        ("eagle_eye_exporter_series_refused", 0.0),
        (r#"eagle_eye_verdicts_open{rule="injected",subject="gpu0",severity="error"}"#, 1.0),
    ] {
        prometheus.until(query, value);
    }
    // Nobody is told that a series begins or ends but by its being there.
    drop(two);
    prometheus.until(r#"count({engine="two\"\\"}) or vector(0)"#, 0.0);
    prometheus.until("sum(eagle_eye_engine_requests_running)", 37.0);
    one.step(|step| {
        fill(step);
        step.running = 41;
    });
    prometheus.until("eagle_eye_engine_requests_running", 41.0);
    let log = prometheus.log();
    assert!(!log.contains("level=warn") && !log.contains("level=error"), "{log}");
    drop(one);
    node.agent.stop();
}

/// What the kernel itself says.
fn memory_bytes() -> f64 {
    let text = std::fs::read_to_string("/proc/meminfo").expect("this host has /proc");
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:")).expect("its memory");
    line.trim().trim_end_matches(" kB").trim().parse::<f64>().expect("a number") * 1024.0
}

#[test]
fn a_real_prometheus_keeps_which_verdict_rests_on_a_counter() {
    let mut node = Node::start(&[]);
    let gpu = node.gpu("gpu0");
    node.reading(gpu, MetricId::AcceleratorEccUncorrected, 3.0);
    let verdict = Verdict {
        id: 0xfeed,
        rule: "memory_errors".into(),
        subject: "gpu0".into(),
        state: VerdictState::Open,
        evidence: vec![Evidence {
            metric: MetricId::AcceleratorEccUncorrected as u16,
            value: 3.0,
            wall_ns: clock::wall_ns(),
            ..Evidence::default()
        }],
        ..Verdict::default()
    };
    let sources = exporter::Sources {
        steps: node.agent.steps.view(),
        readings: node.agent.readings.view(),
        names: node.agent.names.clone(),
        merge: Box::new(|_, _| panic!("there are no engines")),
        health: Box::new(exporter::Health::default),
        verdicts: Box::new(move || vec![verdict.clone()]),
    };
    let exporter = exporter::Exporter::new(sources, exporter::Settings::default());
    let any = ([127, 0, 0, 1], 0).into();
    let server = eagle_eye::web::start(any, node.agent.sources(), exporter).expect("a port");
    let prometheus = Prometheus::scraping(server.address(), &[]);
    prometheus.until(r#"eagle_eye_verdicts_open{rule="memory_errors",subject="gpu0"}"#, 1.0);
    let at = clock::wall_ns() / 1_000_000_000;
    let path = format!(
        "/api/v1/query_exemplars?query=eagle_eye_accelerator_ecc_uncorrected_total&start={}&end={}",
        at - 600,
        at + 600
    );
    let mut said = serde_json::Value::Null;
    let kept = patiently(|| {
        said = prometheus.get(&path).expect("an answer");
        said["data"][0]["exemplars"][0]["labels"]["verdict"] == "000000000000feed"
    });
    assert!(kept, "{said}");
    drop(server);
    node.agent.stop();
}

#[test]
fn promtool_has_nothing_to_say_of_a_real_page() {
    let mut node = Node::start(&[]);
    let gpu = node.gpu("gpu0");
    for row in eagle_eye::schema::METRICS.iter().filter(|row| row.device_kind == "accelerator") {
        node.reading(gpu, row.id, 1.0);
    }
    let mut engine = SpeakingEngine::start(node.folder(), "one");
    engine.step(|step| {
        fill(step);
        mark(step, Field::ALL);
    });
    engine.say(details());
    let mut page = String::new();
    // The last of them to come is a reading of the sampler that watches the
    // agent itself.
    let whole = patiently(|| {
        page = fetched(node.address, "/metrics", "").expect("it answers").1;
        ["time_to_first_token", "own_cpu_seconds", "own_tick_seconds", "disk_", "accelerator_"]
            .iter()
            .all(|part| page.contains(part))
    });
    assert!(whole, "{page}");
    assert_eq!(promtool(&["check", "metrics"], &page), (true, String::new()));
    let (head, routing) =
        fetched(node.address, "/metrics/routing?engine=one", "").expect("it answers");
    assert!(head.contains("200") && routing.contains("vllm:num_requests_running{"), "{routing}");
    assert!(routing.len() <= exporter::ROUTING_BYTES_MAX);
    drop(engine);
    node.agent.stop();
}

#[test]
fn fifty_scrapers_at_once_all_get_the_whole_page() {
    let node = Node::start(&[]);
    let mut engine = SpeakingEngine::start(node.folder(), "one");
    engine.step(fill);
    let address = node.address;
    let asking = move || fetched(address, "/metrics", "").expect("it answers");
    assert!(patiently(|| asking().1.contains("engine=\"one\"")));
    let spawn = |_| std::thread::Builder::new().spawn(asking).expect("a thread");
    let asked: Vec<_> = (0..50).map(spawn).collect();
    for answer in asked {
        let (head, page) = answer.join().expect("no panic");
        assert!(head.contains(" 200 "), "{head}");
        assert!(page.contains("engine=\"one\"") && page.contains("exporter_page_bytes{"), "{page}");
    }
    drop(engine);
    node.agent.stop();
}

#[test]
fn promtool_would_say_what_is_wrong() {
    let (fine, said) = promtool(&["check", "metrics"], "# TYPE a_total gauge\na_total 1\n");
    assert!(!fine && said.contains("a_total"), "{said}");
}
