//! The promises of the client, each beside what a router would do otherwise.
//!
//! - `update`: one batch of 64 steps into the view, against the same steps into
//!   a locked map and into a map that is copied and swapped.
//! - `scan`: every rank out of the view, against the same maps.
//! - `pick`: a choice among 16, 128 and 1,024 ranks, none or all of which were
//!   written since the last; the swapped list with a bare argmin is the least
//!   that any router does, without age, policy or ledger.
//! - `reserve`: one dispatch noted and taken back, against a locked map.

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytemuck::Zeroable;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use eagle_eye::client::{
    Ask, Ledger, Policy, RankId, RankState, Ranks, Score, View, ViewCore, ViewSettings,
};
use eagle_eye::platform::clock::monotonic_ns;
use eagle_eye::schema::{
    BATCH_HEADER_BYTES, BatchHead, BatchView, Field, HotKind, STEP_BYTES, StepCore, write_header,
};

const NOW: u64 = 1_000_000_000_000;

type Map = HashMap<(u64, u16), StepCore>;

fn step(instance: u64, sequence: u64) -> StepCore {
    let mut step = StepCore {
        instance,
        incarnation: 1,
        producers: 1,
        sequence,
        monotonic_ns: NOW,
        heartbeat_ns: NOW,
        running: (instance * 7 % 31) as u32,
        waiting: (instance % 5) as u32,
        kv_usage: (instance % 10) as f32 / 10.0,
        ..StepCore::zeroed()
    };
    for field in [Field::Running, Field::Waiting, Field::KvUsage] {
        step.mark(field);
    }
    step
}

fn batch(first: u64, count: usize, sequence: u64) -> Vec<u8> {
    let steps: Vec<StepCore> = (0..count as u64).map(|n| step(first + n, sequence)).collect();
    let mut bytes = vec![0; BATCH_HEADER_BYTES + count * STEP_BYTES];
    bytes[BATCH_HEADER_BYTES..].copy_from_slice(bytemuck::cast_slice(&steps));
    let head = BatchHead { publish_monotonic_ns: NOW, ..BatchHead::zeroed() };
    write_header(&mut bytes, HotKind::Steps, &head, count as u32);
    bytes
}

/// The sequence of the n-th step of a batch.
fn renumber(bytes: &mut [u8], sequence: u64) {
    const SEQUENCE_AT: usize = 32;
    for step in bytes[BATCH_HEADER_BYTES..].chunks_exact_mut(STEP_BYTES) {
        step[SEQUENCE_AT..SEQUENCE_AT + 8].copy_from_slice(&sequence.to_le_bytes());
    }
}

fn filled(ranks: usize) -> (ViewCore, View, Map) {
    let mut core = ViewCore::new(ViewSettings::default());
    let mut map = Map::new();
    for first in (0..ranks).step_by(64) {
        let bytes = batch(1 + first as u64, 64.min(ranks - first), 1);
        core.reply(&bytes, NOW, NOW).expect("a good batch");
        let steps = BatchView::verify(&bytes).expect("a good batch").steps();
        map.extend(steps.map(|step| ((step.instance, step.rank), step)));
    }
    let view = View::of(&core);
    (core, view, map)
}

fn update(c: &mut Criterion) {
    let mut group = c.benchmark_group("update");
    group.throughput(Throughput::Elements(64));
    let mut bytes = batch(1, 64, 1);
    let mut sequence = 1;
    let (mut core, _view, map) = filled(1024);
    group.bench_function("view", |b| {
        b.iter(|| {
            sequence += 1;
            renumber(&mut bytes, sequence);
            core.feed(&bytes, NOW).expect("a good batch").stored
        });
    });
    let locked = RwLock::new(map.clone());
    group.bench_function("rwlock_map", |b| {
        b.iter(|| {
            sequence += 1;
            renumber(&mut bytes, sequence);
            let mut map = locked.write().unwrap_or_else(PoisonError::into_inner);
            for step in BatchView::verify(&bytes).expect("a good batch").steps() {
                map.insert((step.instance, step.rank), step);
            }
        });
    });
    let swapped = ArcSwap::from_pointee(map);
    group.bench_function("arc_swap_map", |b| {
        b.iter(|| {
            sequence += 1;
            renumber(&mut bytes, sequence);
            let mut map = Map::clone(&swapped.load());
            for step in BatchView::verify(&bytes).expect("a good batch").steps() {
                map.insert((step.instance, step.rank), step);
            }
            swapped.store(Arc::new(map));
        });
    });
    group.finish();
}

fn scan(c: &mut Criterion) {
    let mut group = c.benchmark_group("scan");
    for count in [16, 128, 1024] {
        group.throughput(Throughput::Elements(count as u64));
        let (_core, view, map) = filled(count);
        let mut ranks = Ranks::default();
        group.bench_function(BenchmarkId::new("view", count), |b| {
            b.iter(|| {
                view.scan_at(NOW, &mut ranks);
                ranks.len()
            });
        });
        let mut copies = Vec::new();
        let mutex = Mutex::new(map.clone());
        group.bench_function(BenchmarkId::new("mutex_map", count), |b| {
            b.iter(|| {
                copies.clear();
                let map = mutex.lock().unwrap_or_else(PoisonError::into_inner);
                copies.extend(map.values().copied());
                copies.len()
            });
        });
        let locked = RwLock::new(map);
        group.bench_function(BenchmarkId::new("rwlock_map", count), |b| {
            b.iter(|| {
                copies.clear();
                let map = locked.read().unwrap_or_else(PoisonError::into_inner);
                copies.extend(map.values().copied());
                copies.len()
            });
        });
    }
    group.finish();
}

fn pick(c: &mut Criterion) {
    let mut group = c.benchmark_group("pick");
    for count in [16, 128, 1024] {
        let (mut core, view, map) = filled(count);
        let own = |state: &RankState| state.value(Field::Running);
        for (name, score) in [
            ("least_work", Score::LeastWork),
            ("kv_aware", Score::KvAware),
            ("power_of_two", Score::PowerOfTwo),
            ("own", Score::Own(&own)),
        ] {
            let (ask, policy) = (Ask::default(), Policy::strict());
            group.bench_function(BenchmarkId::new(name, count), |b| {
                b.iter(|| view.pick_at(NOW, &ask, &policy, &score).expect("all fresh").score);
            });
        }
        // The most that a choice costs: every rank was written since the last.
        let mut batches: Vec<Vec<u8>> = (0..count)
            .step_by(64)
            .map(|first| batch(1 + first as u64, 64.min(count - first), 1))
            .collect();
        let mut sequence = 1;
        group.bench_function(BenchmarkId::new("least_work_all_written", count), |b| {
            b.iter_custom(|rounds| {
                let (ask, policy) = (Ask::default(), Policy::strict());
                let mut spent = Duration::ZERO;
                for _ in 0..rounds {
                    sequence += 1;
                    for bytes in &mut batches {
                        renumber(bytes, sequence);
                        core.feed(bytes, NOW).expect("a good batch");
                    }
                    let began_ns = monotonic_ns();
                    let pick = view.pick_at(NOW, &ask, &policy, &Score::LeastWork);
                    black_box(pick.expect("all fresh").score);
                    spent += Duration::from_nanos(monotonic_ns() - began_ns);
                }
                spent
            });
        });
        let swapped = ArcSwap::from_pointee(map.into_values().collect::<Vec<_>>());
        group.bench_function(BenchmarkId::new("arc_swap_argmin", count), |b| {
            b.iter(|| {
                let steps = swapped.load();
                steps.iter().min_by_key(|step| step.running + step.waiting).map(|s| s.instance)
            });
        });
    }
    group.finish();
}

fn reserve(c: &mut Criterion) {
    let mut group = c.benchmark_group("reserve");
    let ledger = Ledger::new(1024);
    let ranks: Vec<RankId> = (0..1024).map(|n| RankId { instance: 77 * n + 1, rank: 0 }).collect();
    let mut at = 0;
    group.bench_function("ledger", |b| {
        b.iter(|| {
            at = (at + 1) % 64;
            let entry = ledger.open(ranks[at], NOW, 512).expect("there is room");
            ledger.close(black_box(entry));
        });
    });
    let mutex: Mutex<HashMap<RankId, u32>> = Mutex::default();
    group.bench_function("mutex_map", |b| {
        b.iter(|| {
            at = (at + 1) % 64;
            *mutex.lock().unwrap_or_else(PoisonError::into_inner).entry(ranks[at]).or_default() +=
                1;
            let mut map = mutex.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(count) = map.get_mut(&black_box(ranks[at])) {
                *count -= 1;
            }
        });
    });
    group.finish();
}

criterion_group!(benches, update, scan, pick, reserve);
criterion_main!(benches);
