//! Batches: what travels under one subject in one message.
//!
//! A hot batch is a fixed header, written by [`write_header`] over a template
//! whose every offset is known, followed by structs back to back. It is a
//! valid FlatBuffers message: any reader made from the schema accepts it.

use bytemuck::{Pod, Zeroable};
use flatbuffers::VerifierOptions;
use thiserror::Error;

use super::{
    Accelerator, Assessment, Device, Engine, EngineDetails, Event, EventKind, FaultPhase,
    FaultRecord, LogRecord, Reading, Severity, StepCore, Trust, Verdict, bounded_text, wire,
};

/// Bytes before the first struct of a hot batch.
pub const BATCH_HEADER_BYTES: usize = 80;

/// The largest batch that we send or accept. NATS refuses more than 1 MiB by
/// default; 64 KiB keep one message from holding up others.
pub const BATCH_BYTES_MAX: usize = 64 * 1024;

/// A message that says nothing: with it somebody asks a server whether he may
/// publish under a subject. Whoever receives it passes over it.
pub const TRIAL_MESSAGE: [u8; 8] = *b"EE-TRIAL";

/// Most tables (names, events) in one batch that we accept.
const TABLES_MAX: usize = 2048;

/// Who sends a batch, and when, in its wire form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct BatchHead {
    /// Hash of the node's name.
    pub node: u64,
    /// Of the sending agent or producer; larger is later.
    pub incarnation: u64,
    /// Of this batch under its subject, one up each batch, from 1.
    pub sequence: u64,
    /// The sender's `CLOCK_MONOTONIC` when it handed the batch over, ns.
    pub publish_monotonic_ns: u64,
    /// The same instant by `CLOCK_REALTIME`; for people only.
    pub publish_wall_ns: u64,
    /// One up at every (re)connection; full state is sent first.
    pub generation: u32,
    /// [`BatchHead::SNAPSHOT`], [`BatchHead::LAST`] and [`BatchHead::REPLAY`].
    pub flags: u32,
}

const _: () = assert!(size_of::<BatchHead>() == 48);

impl BatchHead {
    /// The batch answers a snapshot request or opens a generation.
    pub const SNAPSHOT: u32 = 1;
    /// The last batch of that answer.
    pub const LAST: u32 = 2;
    /// The batch comes from a recording: what it says was so once.
    pub const REPLAY: u32 = 4;
}

/// A kind of struct that hot batches carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HotKind {
    /// [`StepCore`]s.
    Steps,
    /// [`Reading`]s.
    Readings,
}

impl HotKind {
    /// Size of one struct.
    #[must_use]
    pub const fn stride(self) -> usize {
        match self {
            Self::Steps => size_of::<StepCore>(),
            Self::Readings => size_of::<Reading>(),
        }
    }

    /// Most structs that fit [`BATCH_BYTES_MAX`].
    #[must_use]
    pub const fn count_max(self) -> usize {
        (BATCH_BYTES_MAX - BATCH_HEADER_BYTES) / self.stride()
    }
}

/// Writes the header of a hot batch of `count` structs into the first
/// [`BATCH_HEADER_BYTES`] of `bytes`.
///
/// ```text
///  0 root → 20   4 "EEB1"   8 vtable: its size, the table's size, where each field is
/// 20 table: → vtable   24 head   72 → 76   76 count   80 structs
/// ```
///
/// # Panics
///
/// When `bytes` is shorter than the header: a caller's mistake.
pub fn write_header(bytes: &mut [u8], kind: HotKind, head: &BatchHead, count: u32) {
    const TABLE_AT: usize = 20;
    const VTABLE_AT: usize = 8;
    const HEAD_IN_TABLE: u16 = 4;
    const VECTOR_IN_TABLE: u16 = 52;
    const TABLE_BYTES: u16 = 56;
    // Slots of the vtable: head, steps, readings. One that is 0 is absent.
    let (vtable_bytes, steps, readings) = match kind {
        HotKind::Steps => (8_u16, VECTOR_IN_TABLE, 0_u16),
        HotKind::Readings => (10, 0, VECTOR_IN_TABLE),
    };
    let bytes = &mut bytes[..BATCH_HEADER_BYTES];
    bytes[0..4].copy_from_slice(&(TABLE_AT as u32).to_le_bytes());
    bytes[4..8].copy_from_slice(wire::BATCH_IDENTIFIER.as_bytes());
    for (at, word) in
        [vtable_bytes, TABLE_BYTES, HEAD_IN_TABLE, steps, readings, 0].iter().enumerate()
    {
        let at = VTABLE_AT + 2 * at;
        bytes[at..at + 2].copy_from_slice(&word.to_le_bytes());
    }
    bytes[20..24].copy_from_slice(&((TABLE_AT - VTABLE_AT) as i32).to_le_bytes());
    bytes[24..72].copy_from_slice(bytemuck::bytes_of(head));
    bytes[72..76].copy_from_slice(&4_u32.to_le_bytes());
    bytes[76..80].copy_from_slice(&count.to_le_bytes());
}

/// Raises flags in the head of a batch, wherever it stands.
///
/// # Errors
///
/// When the bytes are no batch.
pub fn raise_flags(bytes: &mut [u8], flags: u32) -> Result<(), Reject> {
    let batch = BatchView::verify(bytes)?.batch;
    let head_at = batch.head().0.as_ptr().addr() - bytes.as_ptr().addr();
    let at = head_at + std::mem::offset_of!(BatchHead, flags);
    let word = bytes[at..].first_chunk_mut::<4>().ok_or(Reject::Malformed)?;
    *word = (u32::from_le_bytes(*word) | flags).to_le_bytes();
    Ok(())
}

/// Why bytes from outside are not a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
pub enum Reject {
    /// More than [`BATCH_BYTES_MAX`].
    #[error("larger than a batch may be")]
    Oversized,
    /// The identifier is not ours.
    #[error("not a batch of this version")]
    Identifier,
    /// Offsets or lengths leave the message.
    #[error("malformed or truncated")]
    Malformed,
}

impl Reject {
    /// Every reason, for counters.
    pub const ALL: [Self; 3] = [Self::Oversized, Self::Identifier, Self::Malformed];
}

/// A verified batch, read in place.
#[derive(Debug, Clone, Copy)]
pub struct BatchView<'a> {
    batch: wire::Batch<'a>,
}

impl<'a> BatchView<'a> {
    /// Checks bytes from outside once; everything after reads in place.
    ///
    /// # Errors
    ///
    /// When the bytes are too many, of another kind or version, or malformed.
    pub fn verify(bytes: &'a [u8]) -> Result<Self, Reject> {
        if bytes.len() > BATCH_BYTES_MAX {
            return Err(Reject::Oversized);
        }
        if bytes.len() < 8 || &bytes[4..8] != wire::BATCH_IDENTIFIER.as_bytes() {
            return Err(Reject::Identifier);
        }
        let options = VerifierOptions {
            max_depth: 4,
            max_tables: TABLES_MAX,
            max_apparent_size: 4 * BATCH_BYTES_MAX,
            ignore_missing_null_terminator: false,
        };
        let batch =
            wire::root_as_batch_with_opts(&options, bytes).map_err(|_| Reject::Malformed)?;
        Ok(Self { batch })
    }

    /// Who sent it, and when.
    #[must_use]
    pub fn head(&self) -> BatchHead {
        bytemuck::pod_read_unaligned(&self.batch.head().0)
    }

    /// The steps, each copied out of the message.
    pub fn steps(&self) -> impl ExactSizeIterator<Item = StepCore> + 'a {
        structs(self.batch.steps().map(|vector| vector.bytes()))
    }

    /// The readings, each copied out of the message.
    pub fn readings(&self) -> impl ExactSizeIterator<Item = Reading> + 'a {
        structs(self.batch.readings().map(|vector| vector.bytes()))
    }

    /// The node's true name, where the batch carries it.
    #[must_use]
    pub fn node_name(&self) -> Option<&'a str> {
        self.batch.node_name().map(super::bounded_name)
    }

    /// In an answer: how long its request was held before it was published,
    /// ns.
    #[must_use]
    pub fn held_ns(&self) -> u64 {
        self.batch.held_ns()
    }

    /// The engines that the batch names.
    pub fn engines(&self) -> impl Iterator<Item = Engine> + 'a {
        self.batch.engines().into_iter().flatten().map(|engine| Engine {
            instance: engine.instance(),
            incarnation: engine.incarnation(),
            model_hash: engine.model_hash(),
            name: text(engine.name()),
            model: text(engine.model()),
            endpoint: text(engine.endpoint()),
            engine: text(engine.engine()),
            ranks: engine.ranks(),
            process: engine.process(),
            source: text(engine.source()),
            container: text(engine.container()),
            pod: text(engine.pod()),
        })
    }

    /// What engines say beside their steps, each bounded as in an engine's own
    /// memory; what is beyond the bounds is left out.
    pub fn details(&self) -> impl Iterator<Item = EngineDetails> + 'a {
        self.batch.details().into_iter().flatten().map(EngineDetails::from_wire)
    }

    /// The devices that the batch names.
    pub fn devices(&self) -> impl Iterator<Item = Device> + 'a {
        self.batch.devices().into_iter().flatten().map(|device| Device {
            index: device.index(),
            name: text(device.name()),
            kind: text(device.kind()),
            vendor: text(device.vendor()),
            uuid: text(device.uuid()),
            container: text(device.container()),
            pod: text(device.pod()),
            accelerator: device.accelerator().map(|of| Box::new(Accelerator::from_wire(of))),
        })
    }

    /// The events that the batch carries.
    pub fn events(&self) -> impl Iterator<Item = Event> + 'a {
        self.batch.events().into_iter().flatten().map(|event| Event {
            id: event.id(),
            kind: EventKind::from_number(event.kind().0),
            severity: Severity::from_number(event.severity().0),
            wall_ns: event.wall_ns(),
            monotonic_ns: event.monotonic_ns(),
            source: text(event.source()),
            subject: text(event.subject()),
            text: event.text().map(|text| bounded_text(text).to_owned()).unwrap_or_default(),
            log: event.log().map(log_record),
            code: event.code(),
            lost: event.lost(),
            fault: event.fault().map(fault_record),
        })
    }

    /// The verdicts that the batch carries.
    pub fn verdicts(&self) -> impl Iterator<Item = Verdict> + 'a {
        self.batch.verdicts().into_iter().flatten().map(Verdict::from_wire)
    }

    /// The assessments that the batch carries.
    pub fn assessments(&self) -> impl Iterator<Item = Assessment> + 'a {
        self.batch.assessments().into_iter().flatten().map(Assessment::from_wire)
    }
}

fn fault_record(fault: wire::FaultRecord<'_>) -> FaultRecord {
    FaultRecord {
        phase: FaultPhase::from_number(fault.phase().0),
        severity: fault.severity(),
        node_type: fault.node_type(),
        node_id: fault.node_id(),
        sub_node_type: fault.sub_node_type(),
        sub_node_id: fault.sub_node_id(),
        serial: fault.serial(),
        raised_wall_ns: fault.raised_wall_ns(),
        replayed: fault.replayed(),
    }
}

fn log_record(log: wire::LogRecord<'_>) -> LogRecord {
    LogRecord {
        facility: log.facility(),
        level: log.level(),
        trust: Trust::from_number(log.trust().0),
        before_start: log.before_start(),
        sequence: log.sequence(),
        device: text(log.device()),
        subsystem: text(log.subsystem()),
    }
}

pub(super) fn text(text: Option<&str>) -> String {
    super::bounded_name(text.unwrap_or_default()).to_owned()
}

fn structs<'a, T: Pod>(bytes: Option<&'a [u8]>) -> impl ExactSizeIterator<Item = T> + 'a {
    bytes.unwrap_or_default().chunks_exact(size_of::<T>()).map(bytemuck::pod_read_unaligned)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::{
        ADAPTERS_MAX, Adapter, BUCKETS_MAX, BatchWriter, Finished, POSITIONS_MAX, REASONS_MAX,
        Sketch, SketchKind, Speculation, Tables, Transfer,
    };
    use super::*;

    fn head() -> BatchHead {
        BatchHead {
            node: 1,
            incarnation: 2,
            sequence: 3,
            publish_monotonic_ns: 4,
            publish_wall_ns: 5,
            generation: 6,
            flags: 7,
        }
    }

    #[test]
    fn a_hot_batch_is_a_flatbuffers_message_that_any_reader_accepts() {
        let mut step = StepCore::zeroed();
        step.sequence = 42;
        let mut bytes = vec![0; BATCH_HEADER_BYTES + 2 * size_of::<StepCore>()];
        bytes[BATCH_HEADER_BYTES..].copy_from_slice(bytemuck::cast_slice(&[step, step]));
        write_header(&mut bytes, HotKind::Steps, &head(), 2);
        let view = BatchView::verify(&bytes).unwrap();
        assert_eq!(view.head(), head());
        assert_eq!(view.steps().collect::<Vec<_>>(), [step, step]);
        assert_eq!(view.readings().len(), 0);

        let reading = Reading { device: 1, metric: 2, flags: 0, time_ns: 4, value: 0.5 };
        let mut bytes = vec![0; BATCH_HEADER_BYTES + size_of::<Reading>()];
        bytes[BATCH_HEADER_BYTES..].copy_from_slice(bytemuck::bytes_of(&reading));
        write_header(&mut bytes, HotKind::Readings, &head(), 1);
        let view = BatchView::verify(&bytes).unwrap();
        assert_eq!(view.readings().collect::<Vec<_>>(), [reading]);
    }

    #[test]
    fn a_batch_of_tables_says_what_was_written() {
        let engines = [Engine { endpoint: "http://a:1".into(), ..Engine::named("a", "m") }];
        let devices =
            [Device { index: 3, name: "cpu0".into(), kind: "cpu".into(), ..Device::default() }];
        let events = [Event {
            id: 9,
            kind: EventKind::EngineGone,
            severity: Severity::Warning,
            text: "x".into(),
            ..Event::default()
        }];
        let verdicts = [Verdict { id: 8, rule: "r".into(), ..Verdict::default() }];
        let tables = Tables {
            node_name: Some("n"),
            engines: &engines,
            devices: &devices,
            events: &events,
            verdicts: &verdicts,
            ..Tables::default()
        };
        let mut writer = BatchWriter::default();
        for _ in 0..2 {
            let view = BatchView::verify(writer.write(&head(), &tables)).unwrap();
            assert_eq!(view.node_name(), Some("n"));
            assert_eq!(view.engines().collect::<Vec<_>>(), engines);
            assert_eq!(view.devices().collect::<Vec<_>>(), devices);
            assert_eq!(view.events().collect::<Vec<_>>(), events);
            assert_eq!(view.verdicts().collect::<Vec<_>>(), verdicts);
            assert_eq!(view.details().count(), 0);
        }
    }

    #[test]
    fn flags_are_raised_in_a_head_wherever_it_stands() {
        let tables = Tables { node_name: Some("n"), ..Tables::default() };
        let mut named = BatchWriter::default().write(&head(), &tables).to_vec();
        let mut hot = vec![0; BATCH_HEADER_BYTES + size_of::<StepCore>()];
        write_header(&mut hot, HotKind::Steps, &head(), 1);
        for bytes in [&mut named, &mut hot] {
            raise_flags(bytes, BatchHead::REPLAY | 8).unwrap();
            let expected = BatchHead { flags: 7 | 8, ..head() };
            assert_eq!(BatchView::verify(bytes).unwrap().head(), expected);
        }
        assert_eq!(raise_flags(&mut [0; 100], 1), Err(Reject::Identifier));
    }

    #[test]
    fn the_most_that_one_rank_may_say_fits_a_batch() {
        let long = |at: usize| format!("{at:0>255}");
        let sketch =
            |kind| Sketch { buckets: vec![1; BUCKETS_MAX.into()], count: 1, ..Sketch::new(kind) };
        let details = EngineDetails {
            sketches: SketchKind::ALL.map(sketch).to_vec(),
            finished: (0..REASONS_MAX).map(|at| Finished { reason: long(at), count: 1 }).collect(),
            adapters: (0..ADAPTERS_MAX)
                .map(|at| Adapter { name: long(at), running: 1, waiting: 2 })
                .collect(),
            speculation: Some(Speculation {
                accepted: vec![1; POSITIONS_MAX],
                ..Speculation::default()
            }),
            transfer: Some(Transfer::default()),
            ..EngineDetails::default()
        };
        let details = [Arc::new(details)];
        let tables = Tables { node_name: Some("n"), details: &details, ..Tables::default() };
        let mut writer = BatchWriter::default();
        let bytes = writer.write(&head(), &tables);
        assert!(bytes.len() <= BATCH_BYTES_MAX && bytes.len() <= 512 + details[0].bytes_max());
        let view = BatchView::verify(bytes).unwrap();
        assert_eq!(view.details().collect::<Vec<_>>(), [(*details[0]).clone()]);
    }

    #[test]
    fn bytes_cut_anywhere_or_flipped_anywhere_never_panic() {
        let engines = [Engine::named("a", "m")];
        let tables = Tables { engines: &engines, ..Tables::default() };
        let good = BatchWriter::default().write(&head(), &tables).to_vec();
        for end in 0..good.len() {
            // The last bytes are padding, without which nothing is missing.
            let refused = BatchView::verify(&good[..end]).is_err();
            assert!(refused || end > good.len() - 8, "cut at {end}");
        }
        for at in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[at / 8] ^= 1 << (at % 8);
            if let Ok(view) = BatchView::verify(&bad) {
                let _ = (view.head(), view.engines().count(), view.steps().len());
            }
        }
    }
}
