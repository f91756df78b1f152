//! Batches from the network: whatever is accepted can be read to its end, and
//! what our own writers make reads back equal.

#![no_main]

use eagle_eye::schema::{
    ADAPTERS_MAX, BATCH_BYTES_MAX, BATCH_HEADER_BYTES, BUCKETS_MAX, BatchHead, BatchView,
    BatchWriter, Device, Engine, Event, EventKind, HotKind, NAME_BYTES_MAX, REASONS_MAX, Reading,
    Severity, StepCore, Tables, Verdict, write_header,
};
use libfuzzer_sys::fuzz_target;

/// Bytes of an event's and of a verdict's text that a reader keeps.
const EVENT_TEXT_MAX: usize = 1024;
const VERDICT_TEXT_MAX: usize = 4096;

fuzz_target!(|bytes: &[u8]| {
    read_all(bytes);
    hot_batch_reads_back(bytes);
    tables_read_back(bytes);
});

fn read_all(bytes: &[u8]) {
    let Ok(view) = BatchView::verify(bytes) else { return };
    assert!(bytes.len() <= BATCH_BYTES_MAX);
    let _ = (view.head(), view.held_ns());
    assert!(view.steps().count() * HotKind::Steps.stride() <= bytes.len());
    assert!(view.readings().count() * HotKind::Readings.stride() <= bytes.len());
    assert_names(&[view.node_name().unwrap_or_default()]);
    for engine in view.engines() {
        assert_names(&[
            &engine.name,
            &engine.model,
            &engine.endpoint,
            &engine.engine,
            &engine.source,
        ]);
    }
    for device in view.devices() {
        assert_names(&[&device.name, &device.kind, &device.vendor, &device.uuid]);
    }
    for event in view.events() {
        assert_names(&[&event.source, &event.subject]);
        assert!(event.text.len() <= EVENT_TEXT_MAX);
    }
    for verdict in view.verdicts() {
        assert_names(&[&verdict.rule, &verdict.subject]);
        assert!(verdict.text.len() <= VERDICT_TEXT_MAX);
    }
    for details in view.details() {
        let sketches = &details.sketches;
        assert!(sketches.iter().all(|of| of.buckets.len() <= usize::from(BUCKETS_MAX)));
        assert!(details.adapters.len() <= ADAPTERS_MAX && details.finished.len() <= REASONS_MAX);
        assert!(details.transfer.is_none_or(|of| of.seconds.is_finite()));
        assert!(details.bytes_max() <= BATCH_BYTES_MAX, "it can be sent on");
    }
}

fn assert_names(names: &[&str]) {
    assert!(names.iter().all(|name| name.len() <= NAME_BYTES_MAX));
}

/// Compared as bytes: a value may be no number.
fn hot_batch_reads_back(bytes: &[u8]) {
    let Some((head, bytes)) = head(bytes) else { return };
    let steps: Vec<StepCore> = structs(bytes);
    let message = hot_message(HotKind::Steps, &head, &steps);
    let view = BatchView::verify(&message).expect("our own batch is accepted");
    assert_eq!(view.head(), head);
    let read: Vec<StepCore> = view.steps().collect();
    assert_eq!(bytemuck::cast_slice::<_, u8>(&read), bytemuck::cast_slice::<_, u8>(&steps));
    assert_eq!(view.readings().count(), 0);

    let readings: Vec<Reading> = structs(bytes);
    let message = hot_message(HotKind::Readings, &head, &readings);
    let view = BatchView::verify(&message).expect("our own batch is accepted");
    let read: Vec<Reading> = view.readings().collect();
    assert_eq!(bytemuck::cast_slice::<_, u8>(&read), bytemuck::cast_slice::<_, u8>(&readings));
    assert_eq!(view.steps().count(), 0);
}

fn hot_message<T: bytemuck::Pod>(kind: HotKind, head: &BatchHead, structs: &[T]) -> Vec<u8> {
    let mut message = vec![0; BATCH_HEADER_BYTES];
    write_header(&mut message, kind, head, structs.len() as u32);
    message.extend_from_slice(bytemuck::cast_slice(structs));
    message
}

fn tables_read_back(bytes: &[u8]) {
    let Some((head, rest)) = head(bytes) else { return };
    let steps: Vec<StepCore> = structs(rest);
    let readings: Vec<Reading> = structs(rest);
    let text = String::from_utf8_lossy(rest);
    let mut names = text.split('\n').map(|name| short(name, NAME_BYTES_MAX));
    let mut name = || names.next().unwrap_or_default();
    let engines = [Engine { endpoint: name(), ..Engine::named(&name(), &name()) }];
    let devices = [Device { index: rest.len() as u32, name: name(), ..Device::default() }];
    let number = rest.first().copied().unwrap_or_default();
    let events = [Event {
        kind: EventKind::from_number(number.into()),
        severity: Severity::from_number(number),
        text: short(&text, EVENT_TEXT_MAX),
        ..Event::default()
    }];
    let verdicts =
        [Verdict { rule: name(), text: short(&text, VERDICT_TEXT_MAX), ..Verdict::default() }];
    let tables = Tables {
        node_name: Some(&engines[0].name),
        engines: &engines,
        devices: &devices,
        events: &events,
        verdicts: &verdicts,
        steps: &steps,
        readings: &readings,
        held_ns: head.node,
        ..Tables::default()
    };
    let mut writer = BatchWriter::default();
    let message = writer.write(&head, &tables);
    if message.len() > BATCH_BYTES_MAX {
        return;
    }
    let view = BatchView::verify(message).expect("our own batch is accepted");
    assert_eq!(view.head(), head);
    assert_eq!(view.held_ns(), head.node);
    assert_eq!(view.node_name(), Some(engines[0].name.as_str()));
    assert!(view.engines().eq(engines));
    assert!(view.devices().eq(devices));
    assert!(view.events().eq(events));
    assert!(view.verdicts().eq(verdicts));
    assert_eq!(view.steps().count(), steps.len());
    assert_eq!(view.readings().count(), readings.len());
}

fn head(bytes: &[u8]) -> Option<(BatchHead, &[u8])> {
    let (head, rest) = bytes.split_at_checked(size_of::<BatchHead>())?;
    Some((bytemuck::pod_read_unaligned(head), rest))
}

/// As many whole structs as there are bytes for, and at least one.
fn structs<T: bytemuck::Pod>(bytes: &[u8]) -> Vec<T> {
    let structs: Vec<T> =
        bytes.chunks_exact(size_of::<T>()).take(64).map(bytemuck::pod_read_unaligned).collect();
    if structs.is_empty() { vec![T::zeroed()] } else { structs }
}

fn short(text: &str, most: usize) -> String {
    text[..text.floor_char_boundary(most)].to_owned()
}
