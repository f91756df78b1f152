//! Counts allocations: feeding, reading and choosing make none once warm.
//!
//! A binary of its own, since the allocator is the process's.

#![cfg(feature = "client")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;

use bytemuck::Zeroable;
use eagle_eye::client::{Ask, Policy, Ranks, Score, View, ViewCore, ViewSettings};
use eagle_eye::schema::{
    BATCH_HEADER_BYTES, BatchHead, Field, HotKind, STEP_BYTES, StepCore, write_header,
};

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

#[expect(unsafe_code, reason = "an allocator is unsafe by its trait; this one passes on")]
// SAFETY: every call is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = COUNT.try_with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promise, passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise, passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn batch(sequence: u64, now_ns: u64) -> Vec<u8> {
    let steps: Vec<StepCore> = (0..64_u16)
        .map(|n| {
            let mut step = StepCore {
                instance: 1 + u64::from(n / 2),
                // Every fourth engine has two front ends, the others two ranks.
                rank: if n % 8 < 2 { 0 } else { n % 2 },
                producer: if n % 8 < 2 { n % 2 } else { 0 },
                producers: if n % 8 < 2 { 2 } else { 1 },
                sequence,
                monotonic_ns: now_ns,
                heartbeat_ns: now_ns,
                ..StepCore::zeroed()
            };
            step.mark(Field::Running);
            step.mark(Field::Waiting);
            step
        })
        .collect();
    let mut bytes = vec![0; BATCH_HEADER_BYTES + 64 * STEP_BYTES];
    bytes[BATCH_HEADER_BYTES..].copy_from_slice(bytemuck::cast_slice(&steps));
    let head = BatchHead { publish_monotonic_ns: now_ns, ..BatchHead::zeroed() };
    write_header(&mut bytes, HotKind::Steps, &head, 64);
    bytes
}

#[test]
fn once_warm_nothing_is_allocated_from_message_to_choice() {
    let now_ns = 1_000_000_000_000;
    let batches: Vec<Vec<u8>> = (1..=100).map(|n| batch(n, now_ns)).collect();
    let mut core = ViewCore::new(ViewSettings::default());
    let view = View::of(&core);
    let mut ranks = Ranks::default();
    let own = |state: &eagle_eye::client::RankState| state.value(Field::Running);
    let scores = [Score::LeastWork, Score::PowerOfTwo, Score::KvAware, Score::Own(&own)];
    let mut round = |bytes: &[u8]| {
        core.feed(bytes, now_ns).expect("a good batch");
        view.scan_at(now_ns, &mut ranks);
        for score in &scores {
            let ask = Ask { prompt_tokens: 9, ..Ask::default() };
            let pick = view.pick_at(now_ns, &ask, &Policy::strict(), score).expect("all fresh");
            let reservation = view.reserve_picked(pick, 9);
            reservation.first_token();
            drop(black_box(reservation));
        }
    };
    let (warm, measured) = batches.split_at(40);
    // Each rank's ring of dispatches comes with its first one: choose until
    // every rank was chosen.
    warm.iter().for_each(|bytes| round(bytes));
    let mut held = Vec::new();
    for _ in 0..2_000 {
        let pick = view
            .pick_at(now_ns, &Ask::default(), &Policy::strict(), &Score::LeastWork)
            .expect("all fresh");
        held.push(view.reserve_picked(pick, 1));
    }
    drop(held);
    let mut round = |bytes: &[u8]| {
        core.feed(bytes, now_ns).expect("a good batch");
        view.scan_at(now_ns, &mut ranks);
        for score in &scores {
            let pick =
                view.pick_at(now_ns, &Ask::default(), &Policy::strict(), score).expect("all fresh");
            let reservation = view.reserve_picked(pick, 9);
            reservation.first_token();
            drop(black_box(reservation));
        }
        core.tick(now_ns);
    };
    let before = COUNT.get();
    measured.iter().for_each(|bytes| round(bytes));
    assert_eq!(COUNT.get() - before, 0, "allocations in 60 rounds");
    assert_eq!(ranks.len(), 56);
    assert!(before > 0, "the counter counts");
}
