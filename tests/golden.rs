//! Golden bytes: the wire as released, both ways.
//!
//! What we write equals the committed bytes, and the committed bytes read as
//! what was written. `tests/captures/golden/README.md` lists the files.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use bytemuck::Zeroable;
use eagle_eye::schema::{
    AbsentReading, AbsentReason, Accelerator, Action, Adapter, Assessment, BATCH_HEADER_BYTES,
    BatchHead, BatchView, BatchWriter, Device, DeviceLoad, DeviceProcess, DeviceState, Door,
    DoorHeader, Engine, EngineDetails, Event, EventKind, Evidence, FaultPhase, FaultRecord, Field,
    Finished, Flag, Greeting, GreetingKind, Health, HotKind, LogRecord, MetricId, Reading, Role,
    STEP_BYTES, STEP_LAYOUT, Severity, Sketch, SketchKind, Speculation, StepCore, Tables, Transfer,
    Trust, Verdict, VerdictState, name_hash, write_header,
};

fn path(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests/captures/golden", name].iter().collect()
}

fn golden(name: &str) -> Vec<u8> {
    fs::read(path(name)).unwrap_or_else(|error| panic!("cannot read the golden {name}: {error}"))
}

/// Compares what this build writes with the golden file, or blesses it.
fn check(name: &str, written: &[u8]) -> Vec<u8> {
    if std::env::var_os("EAGLE_EYE_BLESS_GOLDEN").is_some() {
        fs::write(path(name), written).expect("the golden file can be written");
    }
    let golden = golden(name);
    if let Some(at) = first_difference(written, &golden) {
        panic!(
            "{name} differs from what this build writes at byte {at}: released bytes never \
             change, so undo the change or give it a new layout beside the old \
             (schema/README.md). Only if it was never released: \
             EAGLE_EYE_BLESS_GOLDEN=1 cargo test --test golden"
        );
    }
    golden
}

/// Where two byte strings part; a length is a difference too.
fn first_difference(a: &[u8], b: &[u8]) -> Option<usize> {
    let common = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    (common < a.len().max(b.len())).then_some(common)
}

fn head() -> BatchHead {
    BatchHead {
        node: name_hash("node one"),
        incarnation: 1_700_000_000_000_000_001,
        sequence: 3,
        publish_monotonic_ns: 4_000_000_005,
        publish_wall_ns: 1_700_000_000_000_000_006,
        generation: 7,
        flags: BatchHead::SNAPSHOT | BatchHead::LAST,
    }
}

/// A step in which no two fields hold the same bytes, so that a swap shows.
fn step(sequence: u64) -> StepCore {
    StepCore {
        instance: name_hash("one"),
        incarnation: 0x0102_0304_0506_0708,
        model: name_hash("org/model"),
        rank: 0x1112,
        producer: 1,
        producers: 2,
        role: Role::Decode as u8,
        layout: STEP_LAYOUT,
        sequence,
        monotonic_ns: 0x2122_2324_2526_2728,
        wall_ns: 0x3132_3334_3536_3738,
        clock_error_ns: 0x4142_4344,
        ttl_ms: 500,
        present: Field::ALL.iter().map(|field| field.bit()).sum(),
        flags: Flag::TokensEstimated.bit() | Flag::Simulated.bit(),
        last_step_us: 5_001,
        running: 101,
        waiting: 102,
        deferred: 103,
        oldest_wait_ms: 104,
        waiting_tokens: 105,
        pending_tokens: 106,
        max_sequences: 107,
        max_batched_tokens: 108,
        kv_blocks: 109,
        block_size: 16,
        lora_running: 111,
        lora_waiting: 112,
        reserve_u16: 0,
        kv_usage: 0.5,
        prefill_tokens_per_second: 1000.25,
        decode_tokens_per_second: 2000.75,
        steps: 201,
        prompt_tokens: 202,
        generated_tokens: 203,
        cached_tokens: 204,
        prefix_queries: 205,
        prefix_hits: 206,
        preemptions: 207,
        rejections: 208,
        finished: 209,
        heartbeat_ns: 0x5152_5354_5556_5758,
        reserve: [0; 5],
    }
}

fn readings() -> [Reading; 3] {
    [
        Reading::new(0, MetricId::CpuBusy, 1_001, 0.25),
        Reading::new(1, MetricId::CpuBusy, 1_001, 0.75),
        Reading { flags: 0x0102, ..Reading::new(7, MetricId::MemoryTotal, 1_002, 1.5e11) },
    ]
}

fn hot<T: bytemuck::Pod>(kind: HotKind, structs: &[T]) -> Vec<u8> {
    let body: &[u8] = bytemuck::cast_slice(structs);
    let mut bytes = vec![0; BATCH_HEADER_BYTES + body.len()];
    bytes[BATCH_HEADER_BYTES..].copy_from_slice(body);
    write_header(&mut bytes, kind, &head(), structs.len() as u32);
    bytes
}

fn engine() -> Engine {
    Engine {
        incarnation: 0x0102_0304_0506_0708,
        endpoint: "http://10.0.0.7:8000".into(),
        engine: "vllm 0.32.0".into(),
        ranks: 4,
        process: 4321,
        source: "plugin".into(),
        container: "c0ffee".into(),
        pod: "6f1d9c1e-0000-4000-8000-000000000001".into(),
        ..Engine::named("one", "org/model")
    }
}

#[test]
fn a_hot_batch_of_steps_is_the_golden_one() {
    let steps = [step(41), step(42)];
    let bytes = check("hot_steps.bin", &hot(HotKind::Steps, &steps));
    let view = BatchView::verify(&bytes).unwrap();
    assert_eq!(view.head(), head());
    assert_eq!(view.steps().collect::<Vec<_>>(), steps);
    assert_eq!(view.readings().len(), 0);
}

#[test]
fn a_hot_batch_of_readings_is_the_golden_one() {
    let bytes = check("hot_readings.bin", &hot(HotKind::Readings, &readings()));
    let view = BatchView::verify(&bytes).unwrap();
    assert_eq!(view.head(), head());
    assert_eq!(view.readings().collect::<Vec<_>>(), readings());
    assert_eq!(view.steps().len(), 0);
}

#[test]
fn a_batch_of_tables_is_the_golden_one() {
    let engines = [engine(), Engine::named("two", "org/model")];
    let devices = [Device {
        index: 3,
        name: "gpu0".into(),
        kind: "gpu".into(),
        vendor: "acme".into(),
        uuid: "GPU-0".into(),
        container: "c0ffee".into(),
        pod: "6f1d9c1e-0000-4000-8000-000000000001".into(),
        ..Device::default()
    }];
    let events = [Event {
        id: 9,
        kind: EventKind::EngineRestarted,
        severity: Severity::Warning,
        wall_ns: 10,
        monotonic_ns: 11,
        source: "engine_push".into(),
        subject: "one".into(),
        text: "engine one restarted".into(),
        log: Some(LogRecord {
            facility: 86,
            level: 3,
            trust: Trust::Claimed,
            before_start: true,
            sequence: 41_022,
            device: "+pci:0000:5c:00.0".into(),
            subsystem: "pci".into(),
        }),
        code: 79,
        lost: 15,
        ..Event::default()
    }];
    let verdicts = [Verdict {
        id: 12,
        revision: 13,
        rule: "thermal_throttle".into(),
        severity: Severity::Error,
        subject: "gpu0".into(),
        text: "gpu0 is too hot".into(),
        wall_ns: 14,
        ..Verdict::default()
    }];
    let (steps, readings) = ([step(43)], readings());
    let tables = Tables {
        node_name: Some("node one"),
        engines: &engines,
        devices: &devices,
        events: &events,
        verdicts: &verdicts,
        steps: &steps,
        readings: &readings,
        held_ns: 12,
        ..Tables::default()
    };
    let bytes = check("tables.bin", BatchWriter::default().write(&head(), &tables));
    let view = BatchView::verify(&bytes).unwrap();
    assert_eq!(view.head(), head());
    assert_eq!((view.node_name(), view.held_ns()), (Some("node one"), 12));
    assert_eq!(view.engines().collect::<Vec<_>>(), engines);
    assert_eq!(view.devices().collect::<Vec<_>>(), devices);
    assert_eq!(view.events().collect::<Vec<_>>(), events);
    assert_eq!(view.verdicts().collect::<Vec<_>>(), verdicts);
    assert_eq!(view.steps().collect::<Vec<_>>(), steps);
    assert_eq!(view.readings().collect::<Vec<_>>(), readings);
}

/// An accelerator in which no two fields are the same.
fn accelerator() -> Accelerator {
    Accelerator {
        device_model: "NVIDIA H100 80GB HBM3".into(),
        serial: "1650000000001".into(),
        pci: "0000:5c:00.0".into(),
        driver: "580.65.06".into(),
        firmware: "96.00.89.00.01".into(),
        inforom: "G520.0200.00.05".into(),
        library: "13.580.65.06".into(),
        parent: "gpu0".into(),
        numa_node: Some(1),
        state: DeviceState::Silent,
        state_since_wall_ns: 51,
        silent_call: "nvmlDeviceGetTemperature".into(),
        processes: vec![
            DeviceProcess {
                process: 4321,
                memory_bytes: Some(52),
                container: "c0ffee".into(),
                pod: "6f1d9c1e-0000-4000-8000-000000000001".into(),
            },
            DeviceProcess { process: 4322, ..DeviceProcess::default() },
        ],
        absent: vec![AbsentReading { metric: 10, reason: AbsentReason::NoPermission }],
        simulated: true,
    }
}

/// What an agent says of the devices under an engine.
fn of_agent() -> EngineDetails {
    let known = DeviceLoad {
        device: "gpu0".into(),
        health: Health::Suspect,
        throttled: Some(true),
        temperature_celsius: Some(81.5),
        power_watts: Some(651.25),
        power_limit_watts: Some(700.0),
        utilization: Some(0.875),
        memory_used_bytes: Some(6.1e10),
        memory_total_bytes: Some(8.5e10),
        errors: Some(3.0),
        sampled_ns: 61,
    };
    EngineDetails {
        instance: name_hash("one"),
        incarnation: 62,
        rank: EngineDetails::BY_AGENT,
        producer: EngineDetails::BY_AGENT,
        devices: vec![known, DeviceLoad { device: "gpu1".into(), ..DeviceLoad::default() }],
        ..EngineDetails::default()
    }
}

/// A verdict in which no two fields are the same.
fn verdict() -> Verdict {
    Verdict {
        id: 12,
        revision: 13,
        rule: "xid".into(),
        severity: Severity::Critical,
        subject: "gpu0".into(),
        text: "gpu0 fell off the bus".into(),
        wall_ns: 14,
        state: VerdictState::Changed,
        since_wall_ns: 15,
        subject_kind: "device".into(),
        cause: "The driver lost contact with the device.".into(),
        confidence: 0.75,
        evidence: vec![
            Evidence {
                wall_ns: 16,
                source: "kmsg".into(),
                subject: "0000:5c:00.0".into(),
                text: "NVRM: Xid (PCI:0000:5c:00): 79".into(),
                event: 17,
                ..Evidence::default()
            },
            Evidence { metric: 18, value: 19.5, limit: Some(20.5), ..Evidence::default() },
        ],
        impact: vec!["one".into(), "default/pod".into()],
        action: Action::RebootNode,
        steps: vec!["Drain the node.".into(), "Reboot it.".into()],
        page: "rules/xid.md".into(),
        data_version: "2026-08".into(),
        caused_by: 21,
        count: 22,
        silenced_until_wall_ns: 23,
        silenced_by: "window".into(),
        limit_source: "device".into(),
    }
}

#[test]
fn a_batch_of_what_was_judged_is_the_golden_one() {
    let devices = [Device {
        index: 3,
        name: "mig0".into(),
        kind: "gpu".into(),
        accelerator: Some(Box::new(accelerator())),
        ..Device::default()
    }];
    let fault = FaultRecord {
        phase: FaultPhase::Raised,
        severity: 3,
        node_type: 41,
        node_id: 42,
        sub_node_type: 43,
        sub_node_id: 44,
        serial: 45,
        raised_wall_ns: 46,
        replayed: true,
    };
    let events = [Event {
        kind: EventKind::DeviceFault,
        code: 0x80e0_1801,
        fault: Some(fault),
        ..Event::default()
    }];
    let verdicts = [verdict()];
    let assessments = [Assessment {
        subject: "gpu0".into(),
        subject_kind: "device".into(),
        health: Health::Failed,
        since_wall_ns: 31,
        verdicts: vec![12, 13],
    }];
    let details = [Arc::new(of_agent())];
    let tables = Tables {
        details: &details,
        devices: &devices,
        events: &events,
        verdicts: &verdicts,
        assessments: &assessments,
        ..Tables::default()
    };
    let bytes = check("judged.bin", BatchWriter::default().write(&head(), &tables));
    let view = BatchView::verify(&bytes).unwrap();
    assert_eq!(view.devices().collect::<Vec<_>>(), devices);
    assert_eq!(view.events().collect::<Vec<_>>(), events);
    assert_eq!(view.verdicts().collect::<Vec<_>>(), verdicts);
    assert_eq!(view.assessments().collect::<Vec<_>>(), assessments);
    assert_eq!(view.details().collect::<Vec<_>>(), [of_agent()]);
}

/// Details in which no two numbers are the same.
fn details(rank: u16) -> EngineDetails {
    let sketch = Sketch {
        offset: 200 + rank,
        count: 6,
        sum_us: 70_000.5,
        max_us: 11_000.25,
        buckets: vec![1, 0, 2, 3],
        ..Sketch::new(SketchKind::Ttft)
    };
    EngineDetails {
        instance: name_hash("one"),
        incarnation: 0x0102_0304_0506_0708,
        rank,
        producer: 1,
        sketches: vec![sketch.clone(), Sketch { kind: SketchKind::EndToEnd, ..sketch }],
        finished: vec![Finished { reason: "stop".into(), count: 21 }],
        adapters: vec![Adapter { name: "tuned".into(), running: 22, waiting: 23 }],
        speculation: Some(Speculation {
            drafts: 24,
            draft_tokens: 25,
            accepted_tokens: 26,
            accepted: vec![27, 28],
        }),
        transfer: Some(Transfer { transfers: 31, bytes: 32, failures: 33, seconds: 0.5 }),
        devices: Vec::new(),
    }
}

#[test]
fn a_batch_of_details_is_the_golden_one() {
    let all = [Arc::new(details(0)), Arc::new(details(3))];
    let tables = Tables { node_name: Some("node one"), details: &all, ..Tables::default() };
    let bytes = check("details.bin", BatchWriter::default().write(&head(), &tables));
    let view = BatchView::verify(&bytes).unwrap();
    assert_eq!(view.details().collect::<Vec<_>>(), [details(0), details(3)]);
}

#[test]
fn a_door_with_details_is_the_golden_one() {
    let door = Door::new(1).unwrap().with_details(1024).unwrap();
    let mut bytes = vec![0; door.bytes as usize];
    let header = door.header(name_hash("one"), 0x0102_0304_0506_0708);
    bytes[..64].copy_from_slice(bytemuck::bytes_of(&header));
    let entries = EngineDetails::write_all(&[details(0), details(3)], 1024);
    let words = [2, entries.len() as u32, crc32fast::hash(&entries), 0];
    let at = door.details_at as usize;
    bytes[at..at + 16].copy_from_slice(bytemuck::cast_slice(&words));
    bytes[at + 16..][..entries.len()].copy_from_slice(&entries);

    let bytes = check("door_details.bin", &bytes);
    let header: DoorHeader = bytemuck::pod_read_unaligned(&bytes[..size_of::<DoorHeader>()]);
    assert_eq!(Door::check(&header, bytes.len()), Ok(door));
    let of = |details: EngineDetails| EngineDetails {
        instance: 0,
        incarnation: 0,
        producer: 0,
        ..details
    };
    let read = EngineDetails::read_all(&bytes[at + 16..][..entries.len()]);
    assert_eq!(read, (vec![of(details(0)), of(details(3))], 0));
}

#[test]
fn a_batch_of_nothing_is_the_golden_one() {
    let bytes = check("bare.bin", BatchWriter::default().write(&head(), &Tables::default()));
    let view = BatchView::verify(&bytes).unwrap();
    assert_eq!(view.head(), head());
    assert_eq!((view.steps().len(), view.readings().len()), (0, 0));
    assert_eq!((view.engines().count(), view.node_name()), (0, None));
}

/// An engine's memory as its layout says, written place by place.
fn door_bytes() -> Vec<u8> {
    let door = Door::new(2).expect("two is a power of two");
    let mut bytes = vec![0; door.bytes as usize];
    let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);

    let header = door.header(name_hash("one"), 0x0102_0304_0506_0708);
    put(0, bytemuck::bytes_of(&header));
    put(Door::HEAD_AT, &42_u64.to_le_bytes());

    let mut beat = Vec::new();
    for word in [6_u64, 1_000_000_007, 1_700_000_000_000_000_008] {
        beat.extend_from_slice(&word.to_le_bytes());
    }
    beat.extend_from_slice(&Flag::Draining.bit().to_le_bytes());
    beat.extend_from_slice(&crc32fast::hash(&beat).to_le_bytes());
    put(Door::HEARTBEAT_AT, &beat);

    let info = Door::write_info(&engine());
    let words = [2, info.len() as u32, crc32fast::hash(&info)];
    put(Door::INFO_AT, bytemuck::cast_slice(&words));
    put(Door::INFO_BYTES_AT, &info);

    for sequence in [41, 42] {
        let (at, step) = (door.slot_at(sequence), step(sequence));
        let step = bytemuck::bytes_of(&step);
        put(at, &sequence.to_le_bytes());
        put(at + 8, bytemuck::cast_slice(&[STEP_BYTES as u32, crc32fast::hash(step)]));
        put(at + Door::SLOT_HEADER_BYTES, step);
    }
    bytes
}

fn word(bytes: &[u8], at: usize) -> u32 {
    bytemuck::pod_read_unaligned(&bytes[at..at + 4])
}

fn long(bytes: &[u8], at: usize) -> u64 {
    bytemuck::pod_read_unaligned(&bytes[at..at + 8])
}

#[test]
fn an_engine_s_door_is_the_golden_one() {
    let bytes = check("door.bin", &door_bytes());
    let header: DoorHeader = bytemuck::pod_read_unaligned(&bytes[..size_of::<DoorHeader>()]);
    let door = Door::check(&header, bytes.len()).unwrap();
    assert_eq!(door, Door::new(2).unwrap());
    assert_eq!((header.instance, header.incarnation), (name_hash("one"), 0x0102_0304_0506_0708));
    assert_eq!(long(&bytes, Door::HEAD_AT), 42);

    let beat = &bytes[Door::HEARTBEAT_AT..Door::HEARTBEAT_AT + Door::HEARTBEAT_BYTES];
    assert_eq!(word(beat, 28), crc32fast::hash(&beat[..28]));

    let length = word(&bytes, Door::INFO_AT + 4) as usize;
    let info = &bytes[Door::INFO_BYTES_AT..Door::INFO_BYTES_AT + length];
    assert_eq!(word(&bytes, Door::INFO_AT) % 2, 0, "an even version: nobody is writing");
    assert_eq!(word(&bytes, Door::INFO_AT + 8), crc32fast::hash(info));
    // What an engine cannot say of itself comes from elsewhere: the kernel, the
    // header.
    let said = Engine {
        process: 0,
        incarnation: 0,
        container: String::new(),
        pod: String::new(),
        ..engine()
    };
    assert_eq!(Door::read_info(info), said);

    for sequence in [41, 42] {
        let at = door.slot_at(sequence);
        let body = &bytes[at + Door::SLOT_HEADER_BYTES..][..STEP_BYTES];
        assert_eq!(long(&bytes, at), sequence);
        assert_eq!((word(&bytes, at + 8), word(&bytes, at + 12)), (256, crc32fast::hash(body)));
        assert_eq!(bytemuck::pod_read_unaligned::<StepCore>(body), step(sequence));
    }
}

#[test]
fn greetings_are_sixteen_bytes_that_never_change() {
    for (kind, number) in [
        (GreetingKind::Engine, 1),
        (GreetingKind::View, 2),
        (GreetingKind::WelcomeEngine, 3),
        (GreetingKind::WelcomeView, 4),
        (GreetingKind::Refused, 5),
    ] {
        let bytes = [b'E', b'E', b'H', b'I', number, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let greeting = Greeting::new(kind);
        assert_eq!(bytemuck::bytes_of(&greeting), bytes);
        assert_eq!(Greeting::read(&bytes), Some(kind));
    }
}

#[test]
fn a_later_build_s_batch_is_read_as_far_as_it_is_known() {
    let bytes = golden("future.bin");
    let view = BatchView::verify(&bytes).unwrap();
    assert_eq!((view.head().node, view.head().sequence, view.head().flags), (5, 7, 1 << 31));
    assert_eq!((view.node_name(), view.held_ns()), (Some("node one"), 12));

    let steps: Vec<StepCore> = view.steps().collect();
    let [step] = steps[..] else { panic!("one step, not {}", steps.len()) };
    assert!(step.layout > STEP_LAYOUT);
    assert_eq!((step.instance, step.rank, step.sequence), (1, 4, 42));
    assert_eq!(step.value(Field::Running), Some(7.0));
    assert_eq!(step.value(Field::Waiting), None);
    assert_eq!(Role::from_number(step.role), Role::Unknown);
    assert_eq!(step.reserve, [11, 12, 13, 14, 15]);

    let reading = view.readings().next().unwrap();
    assert_eq!(MetricId::from_number(reading.metric), None);
    assert_eq!(reading.value.to_bits(), 0.5_f64.to_bits());
    let engine = view.engines().next().unwrap();
    assert_eq!((engine.name.as_str(), engine.endpoint.as_str()), ("one", "http://one:8000"));
    let event = view.events().next().unwrap();
    assert_eq!((event.kind, event.severity), (EventKind::Unknown, Severity::Critical));
    assert_eq!(event.text, "it rains");
}

#[test]
fn a_golden_comparison_sees_a_changed_byte_and_a_changed_length() {
    let good = hot(HotKind::Steps, &[StepCore::zeroed()]);
    assert_eq!(first_difference(&good, &good), None);
    let mut bad = good.clone();
    bad[99] ^= 1;
    assert_eq!(first_difference(&bad, &good), Some(99));
    assert_eq!(first_difference(&good[..good.len() - 1], &good), Some(good.len() - 1));
}
