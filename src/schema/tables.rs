//! Batches of names, events and verdicts, built at their own low rate.

use std::sync::Arc;

use flatbuffers::{FlatBufferBuilder, WIPOffset};

use super::{
    Assessment, BatchHead, Device, Engine, EngineDetails, Event, FaultRecord, LogRecord, Reading,
    Sketch, StepCore, Verdict, wire,
};

/// Builds batches of names, events and verdicts, at their own low rate.
///
/// It keeps its memory from one batch to the next.
pub struct BatchWriter {
    builder: FlatBufferBuilder<'static>,
}

impl std::fmt::Debug for BatchWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BatchWriter").finish_non_exhaustive()
    }
}

impl Default for BatchWriter {
    fn default() -> Self {
        Self { builder: FlatBufferBuilder::with_capacity(4096) }
    }
}

/// What a batch of names and events holds.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tables<'a> {
    /// The node's true name.
    pub node_name: Option<&'a str>,
    /// Engines to name.
    pub engines: &'a [Engine],
    /// Devices to name.
    pub devices: &'a [Device],
    /// Events to tell.
    pub events: &'a [Event],
    /// Verdicts to tell.
    pub verdicts: &'a [Verdict],
    /// Assessments to tell.
    pub assessments: &'a [Assessment],
    /// What engines say beside their steps.
    pub details: &'a [Arc<EngineDetails>],
    /// Newest steps, in a snapshot's answer.
    pub steps: &'a [StepCore],
    /// Newest readings, in a snapshot's answer.
    pub readings: &'a [Reading],
    /// In an answer: how long its request was held before it was published.
    pub held_ns: u64,
}

impl BatchWriter {
    /// One message with these tables. Its bytes stand until the next call.
    pub fn write(&mut self, head: &BatchHead, tables: &Tables<'_>) -> &[u8] {
        self.builder.reset();
        let builder = &mut self.builder;
        let node_name =
            tables.node_name.map(|name| builder.create_string(super::bounded_name(name)));
        let engines = list(builder, tables.engines, write_engine);
        let devices = list(builder, tables.devices, write_device);
        let events = list(builder, tables.events, write_event);
        let verdicts = list(builder, tables.verdicts, |b, verdict| verdict.to_wire(b));
        let assessments = list(builder, tables.assessments, |b, of| of.to_wire(b));
        let details = list(builder, tables.details, |b, details| write_details(b, details));
        let steps = (!tables.steps.is_empty()).then(|| {
            let steps: Vec<wire::StepCore> =
                tables.steps.iter().map(|s| wire::StepCore(bytemuck::cast(*s))).collect();
            builder.create_vector(&steps)
        });
        let readings = (!tables.readings.is_empty()).then(|| {
            let readings: Vec<wire::Reading> =
                tables.readings.iter().map(|r| wire::Reading(bytemuck::cast(*r))).collect();
            builder.create_vector(&readings)
        });
        let head = wire::BatchHead(bytemuck::cast(*head));
        let args = wire::BatchArgs {
            head: Some(&head),
            steps,
            readings,
            node_name,
            engines,
            devices,
            events,
            verdicts,
            held_ns: tables.held_ns,
            details,
            assessments,
        };
        let batch = wire::Batch::create(builder, &args);
        wire::finish_batch_buffer(builder, batch);
        builder.finished_data()
    }
}

/// Cuts a list into parts whose entries together take at most `bytes_max`;
/// what alone is larger is a part of its own.
pub fn cut_to_fit<T>(list: &[T], bytes_max: usize, bytes: impl Fn(&T) -> usize) -> Vec<&[T]> {
    let mut parts = Vec::new();
    let (mut begin, mut sum) = (0, 0);
    for (at, entry) in list.iter().enumerate() {
        let more = bytes(entry);
        if begin < at && sum + more > bytes_max {
            parts.push(&list[begin..at]);
            (begin, sum) = (at, 0);
        }
        sum += more;
    }
    if begin < list.len() {
        parts.push(&list[begin..]);
    }
    parts
}

pub(super) type TableList<'a, T> =
    WIPOffset<flatbuffers::Vector<'a, flatbuffers::ForwardsUOffset<T>>>;

pub(super) fn list<'b, T, W>(
    builder: &mut FlatBufferBuilder<'b>,
    items: &[T],
    write: impl Fn(&mut FlatBufferBuilder<'b>, &T) -> WIPOffset<W>,
) -> Option<TableList<'b, W>> {
    if items.is_empty() {
        return None;
    }
    let offsets: Vec<_> = items.iter().map(|item| write(builder, item)).collect();
    Some(builder.create_vector(&offsets))
}

fn write_engine<'b>(
    builder: &mut FlatBufferBuilder<'b>,
    engine: &Engine,
) -> WIPOffset<wire::Engine<'b>> {
    let args = wire::EngineArgs {
        instance: engine.instance,
        incarnation: engine.incarnation,
        model_hash: engine.model_hash,
        name: name(builder, &engine.name),
        model: name(builder, &engine.model),
        endpoint: name(builder, &engine.endpoint),
        engine: name(builder, &engine.engine),
        ranks: engine.ranks,
        process: engine.process,
        source: name(builder, &engine.source),
        container: name(builder, &engine.container),
        pod: name(builder, &engine.pod),
    };
    wire::Engine::create(builder, &args)
}

fn write_device<'b>(
    builder: &mut FlatBufferBuilder<'b>,
    device: &Device,
) -> WIPOffset<wire::Device<'b>> {
    let accelerator = device.accelerator.as_ref().map(|of| of.to_wire(builder));
    let args = wire::DeviceArgs {
        index: device.index,
        name: name(builder, &device.name),
        kind: name(builder, &device.kind),
        vendor: name(builder, &device.vendor),
        uuid: name(builder, &device.uuid),
        container: name(builder, &device.container),
        pod: name(builder, &device.pod),
        accelerator,
    };
    wire::Device::create(builder, &args)
}

fn write_event<'b>(
    builder: &mut FlatBufferBuilder<'b>,
    event: &Event,
) -> WIPOffset<wire::Event<'b>> {
    let log = event.log.as_ref().map(|log| write_log(builder, log));
    let fault = event.fault.as_ref().map(|fault| write_fault(builder, fault));
    let args = wire::EventArgs {
        id: event.id,
        kind: wire::EventKind(event.kind as u16),
        severity: wire::Severity(event.severity as u8),
        wall_ns: event.wall_ns,
        monotonic_ns: event.monotonic_ns,
        source: name(builder, &event.source),
        subject: name(builder, &event.subject),
        text: Some(builder.create_string(super::bounded_text(&event.text))),
        log,
        code: event.code,
        lost: event.lost,
        fault,
    };
    wire::Event::create(builder, &args)
}

fn write_log<'b>(
    builder: &mut FlatBufferBuilder<'b>,
    log: &LogRecord,
) -> WIPOffset<wire::LogRecord<'b>> {
    let args = wire::LogRecordArgs {
        facility: log.facility,
        level: log.level,
        trust: wire::Trust(log.trust as u8),
        before_start: log.before_start,
        sequence: log.sequence,
        device: name(builder, &log.device),
        subsystem: name(builder, &log.subsystem),
    };
    wire::LogRecord::create(builder, &args)
}

fn write_fault<'b>(
    builder: &mut FlatBufferBuilder<'b>,
    fault: &FaultRecord,
) -> WIPOffset<wire::FaultRecord<'b>> {
    let args = wire::FaultRecordArgs {
        phase: wire::FaultPhase(fault.phase as u8),
        severity: fault.severity,
        node_type: fault.node_type,
        node_id: fault.node_id,
        sub_node_type: fault.sub_node_type,
        sub_node_id: fault.sub_node_id,
        serial: fault.serial,
        raised_wall_ns: fault.raised_wall_ns,
        replayed: fault.replayed,
    };
    wire::FaultRecord::create(builder, &args)
}

fn write_details<'b>(
    builder: &mut FlatBufferBuilder<'b>,
    details: &EngineDetails,
) -> WIPOffset<wire::EngineDetails<'b>> {
    let sketches = list(builder, &details.sketches, write_sketch);
    let finished = list(builder, &details.finished, |builder, finished| {
        let reason = name(builder, &finished.reason);
        wire::Finished::create(builder, &wire::FinishedArgs { reason, count: finished.count })
    });
    let adapters = list(builder, &details.adapters, |builder, of| {
        let name = name(builder, &of.name);
        let args = wire::AdapterArgs { name, running: of.running, waiting: of.waiting };
        wire::Adapter::create(builder, &args)
    });
    let speculation = details.speculation.as_ref().map(|of| {
        let accepted = Some(builder.create_vector(&of.accepted));
        let args = wire::SpeculationArgs {
            drafts: of.drafts,
            draft_tokens: of.draft_tokens,
            accepted_tokens: of.accepted_tokens,
            accepted,
        };
        wire::Speculation::create(builder, &args)
    });
    let transfer = details.transfer.map(|of| {
        let args = wire::TransferArgs {
            transfers: of.transfers,
            bytes: of.bytes,
            failures: of.failures,
            seconds: of.seconds,
        };
        wire::Transfer::create(builder, &args)
    });
    let args = wire::EngineDetailsArgs {
        instance: details.instance,
        incarnation: details.incarnation,
        rank: details.rank,
        producer: details.producer,
        sketches,
        finished,
        adapters,
        speculation,
        transfer,
        devices: list(builder, &details.devices, |builder, of| of.to_wire(builder)),
    };
    wire::EngineDetails::create(builder, &args)
}

fn write_sketch<'b>(
    builder: &mut FlatBufferBuilder<'b>,
    sketch: &Sketch,
) -> WIPOffset<wire::Sketch<'b>> {
    let buckets = Some(builder.create_vector(&sketch.buckets));
    let args = wire::SketchArgs {
        kind: wire::SketchKind(sketch.kind as u16),
        offset: sketch.offset,
        count: sketch.count,
        sum_us: sketch.sum_us,
        max_us: sketch.max_us,
        buckets,
    };
    wire::Sketch::create(builder, &args)
}

pub(super) fn name<'b>(
    builder: &mut FlatBufferBuilder<'b>,
    name: &str,
) -> Option<WIPOffset<&'b str>> {
    (!name.is_empty()).then(|| builder.create_string(super::bounded_name(name)))
}
