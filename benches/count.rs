//! `count OPERATION N`: does one operation N times, and as little else as can
//! be. `benches/instructions.sh` runs it under callgrind with N and with 2 N:
//! the difference is what the operation costs.

#![expect(clippy::print_stderr, reason = "a program for a script")]

use std::hint::black_box;
use std::process::ExitCode;

use bytemuck::Zeroable;
use eagle_eye::newest::cell::{cell_words, read, write};
use eagle_eye::platform::atomic::{AtomicU64, LoadOnly};
use eagle_eye::platform::doorbell::Doorbell;
use eagle_eye::ring::ring;
use eagle_eye::schema::{
    BATCH_HEADER_BYTES, BatchHead, BatchView, HotKind, StepCore, write_header,
};

/// Most operations on the ring: what it holds.
const RECORDS: usize = 1 << 15;
const RUN: usize = 32;
const STEPS: usize = 64;
const VALUE_WORDS: usize = size_of::<StepCore>() / 8;

const OPERATIONS: &[(&str, fn(usize))] = &[
    ("ring_push_publish", ring_push_publish),
    ("ring_take_run_of_32", ring_take_run_of_32),
    ("cell_write", cell_write),
    ("cell_read", cell_read),
    ("batch_verify_of_64", batch_verify_of_64),
    ("write_header", header),
    ("doorbell_ring_awake", doorbell_ring_awake),
];

fn ring_push_publish(count: usize) {
    assert!(count <= RECORDS, "a full ring refuses, which is another operation");
    let (mut writer, _reader) = ring::<StepCore>(RECORDS);
    let record = StepCore::zeroed();
    for _ in 0..count {
        writer.push(black_box(&record));
        writer.publish();
    }
}

/// The ring is as full in every run; only the runs taken differ.
fn ring_take_run_of_32(count: usize) {
    assert!(count * RUN <= RECORDS, "an empty ring gives nothing, which is another operation");
    let (mut writer, mut reader) = ring::<StepCore>(RECORDS);
    while writer.push(&StepCore::zeroed()) && writer.counts().dropped() == 0 {}
    writer.publish();
    for _ in 0..count {
        let run = reader.borrow(RUN);
        black_box(run.slices());
        run.release();
    }
}

fn cell() -> Vec<AtomicU64> {
    (0..cell_words(VALUE_WORDS)).map(|_| AtomicU64::new(0)).collect()
}

fn cell_write(count: usize) {
    let (cell, value) = (cell(), [7; VALUE_WORDS]);
    for _ in 0..count {
        write(black_box(&cell), black_box(&value));
    }
}

fn cell_read(count: usize) {
    let (cell, mut value) = (cell(), [7; VALUE_WORDS]);
    write(&cell, &value);
    for _ in 0..count {
        black_box(read(LoadOnly::new(black_box(&cell)), &mut value));
    }
}

fn batch_verify_of_64(count: usize) {
    let mut message = vec![0; BATCH_HEADER_BYTES + STEPS * size_of::<StepCore>()];
    write_header(&mut message, HotKind::Steps, &BatchHead::zeroed(), STEPS as u32);
    for _ in 0..count {
        assert!(BatchView::verify(black_box(&message)).is_ok());
    }
}

fn header(count: usize) {
    let (mut bytes, head) = ([0; BATCH_HEADER_BYTES], BatchHead::zeroed());
    for _ in 0..count {
        write_header(black_box(&mut bytes), HotKind::Steps, black_box(&head), STEPS as u32);
    }
}

fn doorbell_ring_awake(count: usize) {
    let bell = Doorbell::for_this_thread();
    let ringer = bell.ringer();
    for _ in 0..count {
        assert!(!black_box(&ringer).ring());
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let chosen = arguments.get(1).and_then(|name| OPERATIONS.iter().find(|(own, _)| own == name));
    let count = arguments.get(2).and_then(|count| count.parse().ok());
    let (Some((_, run)), Some(count)) = (chosen, count) else {
        let names: Vec<&str> = OPERATIONS.iter().map(|(name, _)| *name).collect();
        eprintln!("usage: count OPERATION N, where OPERATION is one of {}", names.join(", "));
        return ExitCode::from(2);
    };
    run(count);
    ExitCode::SUCCESS
}
