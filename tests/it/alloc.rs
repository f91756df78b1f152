//! From a sampler's store to the hand-over, and from a message to a choice,
//! nothing is allocated a record: twice the records cost the same.

use std::hint::black_box;
use std::sync::Arc;

use bytemuck::Zeroable;
use bytes::Bytes;
use crossbeam_channel::bounded;
use eagle_eye::client::{Ask, Policy, Ranks, Score, View, ViewCore, ViewSettings};
use eagle_eye::newest::{Names, NewestStep, ReadingTable, StepTable};
use eagle_eye::pipeline::{Batch, Drain, Instant, Settings, Source, Taker};
use eagle_eye::platform::atomic::AtomicU32;
use eagle_eye::platform::doorbell::Doorbell;
use eagle_eye::ring::ring;
use eagle_eye::samplers::{EventOutlet, Outlet, OutletParts};
use eagle_eye::schema::MetricId;

use crate::counting::allocations;

/// A round of the sampler puts so many steps, and as many readings.
const ROUND: u64 = 64;

/// Allocations that handing one batch to NATS may cost: the owner behind its
/// shared bytes.
const HAND_OVER_MAX: u64 = 2;

/// A sampler's outlet and the drain behind it, both on this thread.
struct Path {
    outlet: Outlet,
    drain: Drain,
    sequence: u64,
    now_ns: u64,
}

impl Path {
    fn new(takers: Vec<Taker>) -> Self {
        let (steps, steps_out) = ring(256);
        let (readings, readings_out) = ring(256);
        let parts = OutletParts {
            steps,
            readings,
            step_table: StepTable::heap(ROUND as usize),
            reading_table: ReadingTable::heap(ROUND as usize),
            names: Names::new("n"),
            events: EventOutlet::new(bounded(1).0),
            drain: Doorbell::for_this_thread().ringer(),
        };
        let settings = Settings {
            node: 1,
            incarnation: 2,
            generation: Arc::new(AtomicU32::new(0)),
            linger_ns: 0,
            batch_bytes: 8192,
            slabs: 16,
        };
        let sources = vec![Source::Steps(steps_out), Source::Readings(readings_out)];
        Self {
            outlet: Outlet::new("test", parts),
            drain: Drain::new(sources, takers, settings),
            sequence: 0,
            now_ns: 1,
        }
    }

    /// Puts a round of records, and drains them.
    fn round(&mut self) {
        self.sequence += 1;
        self.now_ns += 1_000_000;
        for at in 0..ROUND {
            let mut newest = NewestStep::zeroed();
            newest.step.instance = 1 + at;
            newest.step.model = at / 32;
            newest.step.sequence = self.sequence;
            self.outlet.step(&newest);
            self.outlet.reading(at as u32, MetricId::LoadOne, self.now_ns, 1.0);
        }
        self.outlet.publish();
        self.drain.turn(Instant { monotonic_ns: self.now_ns, wall_ns: 0 });
    }

    /// Allocations of so many rounds.
    fn rounds(&mut self, rounds: u64) -> u64 {
        allocations(|| (0..rounds).for_each(|_| self.round()))
    }
}

#[test]
fn from_source_to_taker_nothing_is_allocated_for_any_number_of_records() {
    let taker = Taker::new("plain", Box::new(|batch: &Batch| black_box(batch).records() > 0));
    let counts = taker.counts();
    let mut path = Path::new(vec![taker]);
    path.rounds(8);
    let before = counts.queued();
    assert_eq!((path.rounds(50), path.rounds(100)), (0, 0));
    assert_eq!(counts.queued() - before, 150 * 2 * ROUND, "every record came through");
}

#[test]
fn the_hand_over_to_a_network_costs_a_bounded_number_of_allocations_a_batch() {
    let (sent, received) = bounded::<Bytes>(4);
    let taker = Taker::new(
        "network",
        Box::new(move |batch: &Batch| {
            // One message waits, the older ones have left.
            let _ = received.try_recv();
            sent.try_send(Bytes::from_owner(batch.clone())).is_ok()
        }),
    );
    let counts = taker.counts();
    let mut path = Path::new(vec![taker]);
    path.rounds(8);
    let before = counts.batches_queued();
    let allocated = path.rounds(100);
    let batches = counts.batches_queued() - before;
    assert!(allocated <= HAND_OVER_MAX * batches, "{allocated} for {batches} batches");
    assert!(batches < 100 * ROUND / 8, "{batches} batches");
    assert_eq!(path.drain.counts().dropped(), 0);
}

/// Hot batches as the drain makes them: `rounds` updates of every rank.
fn messages(rounds: u64) -> Vec<Vec<u8>> {
    let kept = Arc::<std::sync::Mutex<Vec<Vec<u8>>>>::default();
    let keep = Arc::clone(&kept);
    let taker = Taker::new(
        "keeps",
        Box::new(move |batch: &Batch| {
            keep.lock().expect("one thread").push(batch.bytes().to_vec());
            true
        }),
    );
    let mut path = Path::new(vec![taker]);
    (0..rounds).for_each(|_| path.round());
    drop(path);
    Arc::into_inner(kept).expect("the taker is gone").into_inner().expect("one thread")
}

#[test]
fn from_message_to_choice_nothing_is_allocated_for_any_number_of_records() {
    const NOW_NS: u64 = 1 << 40;
    let mut core = ViewCore::new(ViewSettings::default());
    let view = View::of(&core);
    let mut ranks = Ranks::default();
    let messages = messages(250);
    let policy = Policy::strict();
    let mut go = |messages: &[Vec<u8>]| {
        allocations(|| {
            for message in messages {
                core.feed(message, NOW_NS).expect("our own batch");
                view.scan(&mut ranks);
                if let Some(mut rank) = ranks.first().copied() {
                    assert!(view.refresh(&mut rank));
                    let _ = black_box(view.rank(rank.id));
                }
                let _ = black_box(view.pick(&Ask::default(), &policy, &Score::PowerOfTwo));
                core.tick(NOW_NS);
            }
        })
    };
    let fifth = messages.len() / 5;
    let (warm, rest) = messages.split_at(fifth);
    let (once, twice) = rest.split_at(rest.len() / 3);
    go(warm);
    assert_eq!((go(once), go(twice)), (0, 0));
    assert_eq!(view.counts().batches, messages.len() as u64);
    assert_eq!(ranks.len() as u64, ROUND);
}
