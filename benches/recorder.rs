//! What recording costs the thread that records.
//!
//! First the hand-over of 64 KiB alone: by `io_uring`, by `pwrite`, and by a
//! write that waits for the disk, as who wants to be sure would naively do.
//! Then the recorder's own writer with all it does besides (copy, checksums,
//! segments, names), by both backends, for each KiB of batches. The ways take
//! turns in one run, with a pause before each, as batches come on a node.
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
#![expect(clippy::print_stdout, reason = "the ratios are what this is run for")]

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput};
use eagle_eye::platform::write_ring::{WriteBuffer, WriteRing};
use eagle_eye::recorder::{At, Counts, FrameKind, Limits, WriteBy, Writer};
use eagle_eye::schema::{BATCH_HEADER_BYTES, BatchHead, HotKind, write_header};

const APPEND_BYTES: usize = 64 << 10;
const ROUNDS: u64 = 400;
const PAUSE: Duration = Duration::from_millis(2);

/// A batch of so many steps.
fn batch(steps: usize) -> Vec<u8> {
    let mut bytes = vec![7; BATCH_HEADER_BYTES + steps * HotKind::Steps.stride()];
    let head = BatchHead {
        node: 1,
        incarnation: 2,
        sequence: 3,
        publish_monotonic_ns: 4,
        publish_wall_ns: 5,
        generation: 6,
        flags: 0,
    };
    write_header(&mut bytes, HotKind::Steps, &head, steps as u32);
    bytes
}

fn limits() -> Limits {
    Limits { bytes: 512 << 20, free_bytes: 0, ..Limits::default() }
}

fn writer(folder: &Path, backend: WriteBy) -> (Writer, Arc<Counts>) {
    let counts = Arc::<Counts>::default();
    let keep = Arc::clone(&counts);
    let known = Box::new(Vec::new);
    (Writer::new(folder.into(), limits(), Some(backend), known, keep, At::now()), counts)
}

fn quantiles(name: &str, mut us: Vec<f64>) -> f64 {
    us.sort_by(f64::total_cmp);
    let at = |share: f64| us[((us.len() - 1) as f64 * share) as usize];
    println!("  {name:<28} p50 {:>8.2} us   p99 {:>8.1}   max {:>8.0}", at(0.5), at(0.99), at(1.0));
    at(0.5)
}

/// Hands 64 KiB over by every way in turns.
fn hand_over(folder: &Path) {
    let ring = WriteRing::open(4, APPEND_BYTES);
    let bytes = vec![7; APPEND_BYTES];
    let file = |name: &str| Arc::new(File::create(folder.join(name)).expect("a file"));
    let (by_ring, by_write, by_sync) = (file("ring"), file("write"), file("sync"));
    let mut samples: [Vec<f64>; 3] = Default::default();
    let (mut ring, mut free) = match ring {
        Ok((ring, free)) => (Some(ring), free),
        Err(error) => {
            println!("io_uring is refused here: {error}");
            (None, Vec::<WriteBuffer>::new())
        }
    };
    let mut timed = |way: usize, act: &mut dyn FnMut()| {
        std::thread::sleep(PAUSE);
        let begun = Instant::now();
        act();
        samples[way].push(begun.elapsed().as_nanos() as f64 / 1e3);
    };
    for round in 0..ROUNDS {
        let place = round * APPEND_BYTES as u64;
        if let Some(ring) = &mut ring {
            while let Some(done) = ring.done(free.is_empty()) {
                free.extend(done.buffer);
            }
            let mut buffer = free.pop().expect("a buffer came back");
            buffer.clear();
            buffer.extend(APPEND_BYTES).copy_from_slice(&bytes);
            let mut filled = Some(buffer);
            timed(0, &mut || {
                let buffer = filled.take().expect("once");
                ring.write(Arc::clone(&by_ring), place, buffer).expect("it writes");
            });
        }
        timed(1, &mut || by_write.write_all_at(&bytes, place).expect("it writes"));
        timed(2, &mut || {
            by_sync.write_all_at(&bytes, place).expect("it writes");
            by_sync.sync_data().expect("it syncs");
        });
    }
    println!("one append of 64 KiB, time on the calling thread:");
    let [ring, write, sync] = samples;
    let ring = (!ring.is_empty()).then(|| quantiles("io_uring", ring));
    let write = quantiles("pwrite", write);
    let sync = quantiles("pwrite, then fdatasync", sync);
    if let Some(ring) = ring {
        println!("  pwrite / io_uring {:.1}, naive / io_uring {:.0}", write / ring, sync / ring);
    }
    println!("  naive / pwrite {:.0}", sync / write);
}

/// The whole writer: 16 batches of 4 KiB a turn.
fn whole(folder: &Path) {
    let batch = batch(16);
    println!("one turn of the writer, 16 batches of {} bytes:", batch.len());
    for backend in WriteBy::ALL {
        let dir = folder.join(backend.name());
        let (mut writer, counts) = writer(&dir, backend);
        let mut us = Vec::new();
        for _ in 0..ROUNDS {
            std::thread::sleep(PAUSE);
            let begun = Instant::now();
            for _ in 0..16 {
                writer.append(At::now(), FrameKind::Batch, &batch);
            }
            writer.turn(At::now());
            us.push(begun.elapsed().as_nanos() as f64 / 1e3);
        }
        quantiles(backend.name(), us);
        writer.close(At::now());
        let counts = counts.snapshot();
        assert_eq!((counts.written, counts.lost_disk), (16 * ROUNDS, 0), "all of it is there");
    }
}

fn append(criterion: &mut Criterion, folder: &Path) {
    let batch = batch(16);
    let mut group = criterion.benchmark_group("recorder append");
    group.throughput(Throughput::Bytes(batch.len() as u64));
    for backend in WriteBy::ALL {
        let (mut writer, _) = writer(&folder.join(format!("c-{}", backend.name())), backend);
        group.bench_function(backend.name(), |bencher| {
            bencher.iter(|| writer.append(At::now(), FrameKind::Batch, &batch));
        });
    }
    group.finish();
}

fn main() {
    // Beside the build, since /tmp may be memory.
    let folder = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).expect("a folder");
    hand_over(folder.path());
    whole(folder.path());
    let mut criterion = Criterion::default()
        .measurement_time(Duration::from_secs(3))
        .warm_up_time(Duration::from_secs(1))
        .sample_size(20)
        .configure_from_args();
    append(&mut criterion, folder.path());
    criterion.final_summary();
}
