//! One turn takes what is there; one thread takes turns.

use std::sync::Arc;
use std::time::Duration;

use super::batch::{Batch, Lane};
use super::lanes::Lanes;
use super::pool::Pool;
use super::{Counts, Settings, Source, Taker, add};
use crate::platform::atomic::Ordering;
use crate::platform::clock;
use crate::platform::doorbell::Doorbell;
use crate::platform::thread::Stop;
use crate::ring::Reader;
use crate::schema::{BatchHead, Reading, StepCore};

/// Takes records out of rings and hands batches to takers.
#[derive(Debug)]
pub struct Drain {
    sources: Vec<Source>,
    lanes: Lanes,
    pool: Pool,
    takers: Vec<Taker>,
    settings: Settings,
    counts: Arc<Counts>,
}

/// Where a turn stands in time.
#[derive(Debug, Clone, Copy)]
pub struct Instant {
    /// `CLOCK_MONOTONIC`, ns.
    pub monotonic_ns: u64,
    /// `CLOCK_REALTIME`, ns.
    pub wall_ns: u64,
}

impl Drain {
    /// A drain from `sources` to `takers`. Slabs are made as a backlog first
    /// needs them, up to `settings.slabs`.
    #[must_use]
    pub fn new(sources: Vec<Source>, takers: Vec<Taker>, settings: Settings) -> Self {
        let batch_bytes = settings.batch_bytes.clamp(1024, crate::schema::BATCH_BYTES_MAX);
        Self {
            sources,
            lanes: Lanes::new(batch_bytes),
            pool: Pool::new(settings.slabs.max(2), batch_bytes),
            takers,
            settings,
            counts: Arc::default(),
        }
    }

    /// What went through.
    #[must_use]
    pub fn counts(&self) -> Arc<Counts> {
        Arc::clone(&self.counts)
    }

    /// Takes everything that is in the rings, and sends the batches that are
    /// full or due. Returns when the next open batch is due.
    pub fn turn(&mut self, now: Instant) -> Option<u64> {
        let mut sources = std::mem::take(&mut self.sources);
        for source in &mut sources {
            match source {
                Source::Steps(reader) => self.take_steps(reader, now),
                Source::Readings(reader) => self.take_readings(reader, now),
            }
        }
        self.sources = sources;
        self.send_due(now)
    }

    /// Sends every open batch, due or not.
    pub fn flush(&mut self, now: Instant) {
        for at in 0..self.lanes.all().len() {
            self.send(at, now);
        }
    }

    /// Whether some ring holds a record.
    #[must_use]
    pub fn has_work(&self) -> bool {
        self.sources.iter().any(|source| match source {
            Source::Steps(reader) => !reader.is_empty(),
            Source::Readings(reader) => !reader.is_empty(),
        })
    }

    fn take_steps(&mut self, reader: &mut Reader<StepCore>, now: Instant) {
        let run = reader.borrow(usize::MAX);
        for slice in run.slices() {
            for same_model in slice.chunk_by(|a, b| a.model == b.model) {
                self.take(Lane::steps(same_model[0].model), same_model, now);
            }
        }
        run.release();
    }

    fn take_readings(&mut self, reader: &mut Reader<Reading>, now: Instant) {
        let run = reader.borrow(usize::MAX);
        for slice in run.slices() {
            self.take(Lane::readings(), slice, now);
        }
        run.release();
    }

    fn take<T: bytemuck::Pod>(&mut self, lane: Lane, mut records: &[T], now: Instant) {
        if records.is_empty() {
            return;
        }
        add(&self.counts.taken, records.len() as u64);
        let at = self.lanes.find(lane);
        while !records.is_empty() {
            let Some(room) = self.lanes.at(at).room(&mut self.pool) else {
                add(&self.counts.dropped, records.len() as u64);
                return;
            };
            let (fitting, rest) = records.split_at(room.min(records.len()));
            self.lanes.at(at).append(fitting);
            records = rest;
            if self.lanes.at(at).is_full() {
                self.send(at, now);
            }
        }
    }

    fn send_due(&mut self, now: Instant) -> Option<u64> {
        let mut next_ns: Option<u64> = None;
        for at in 0..self.lanes.all().len() {
            let Some(due_ns) = self.lanes.at(at).due_ns(self.settings.linger_ns) else { continue };
            if due_ns <= now.monotonic_ns {
                self.send(at, now);
            } else {
                next_ns = Some(next_ns.map_or(due_ns, |next| next.min(due_ns)));
            }
        }
        next_ns
    }

    fn send(&mut self, at: usize, now: Instant) {
        let head = BatchHead {
            node: self.settings.node,
            incarnation: self.settings.incarnation,
            sequence: 0,
            publish_monotonic_ns: now.monotonic_ns,
            publish_wall_ns: now.wall_ns,
            generation: self.settings.generation.load(Ordering::Relaxed),
            flags: 0,
        };
        let Some(slab) = self.lanes.at(at).finish(head) else { return };
        let batch = Batch::new(slab.clone());
        add(&self.counts.batched, u64::from(batch.records()));
        add(&self.counts.batches, 1);
        for taker in &mut self.takers {
            taker.offer(&batch);
        }
        drop(batch);
        self.pool.give_back(slab);
    }
}

/// Takes turns until asked to stop, then sends what is left.
///
/// With nothing open it sleeps until a sampler rings, and samplers ring only
/// while it sleeps. With a batch open it sleeps until that batch is due, and
/// nobody pays for a wake: what comes meanwhile travels along.
pub fn run(mut drain: Drain, bell: &Doorbell, stop: &Stop) {
    /// The longest sleep. Who raises the stop flag unparks this thread; a
    /// wake that is lost nevertheless costs no more than this.
    const LOOK: Duration = Duration::from_secs(2);
    while !stop.is_raised() {
        match drain.turn(now()) {
            Some(due_ns) => clock::sleep_until(due_ns),
            None => bell.sleep(Some(LOOK), || drain.has_work()),
        }
    }
    drain.turn(now());
    drain.flush(now());
}

fn now() -> Instant {
    Instant { monotonic_ns: clock::monotonic_ns(), wall_ns: clock::wall_ns() }
}
