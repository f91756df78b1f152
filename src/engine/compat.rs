//! The stream for routers that read JSON: one object an update on one
//! subject, as such routers know it from elsewhere.
//!
//! It costs the flow of batches as little as can be. The drain only copies
//! each step to its rank's place; the thread that sends to NATS writes objects
//! while no batch waits. A rank is told of at most so often, always with its
//! newest step: what is replaced before it was due was never anybody's, and
//! what came last before silence is sent once it is due.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};

use super::compat_json::Writer;
use crate::config::NatsPlan;
use crate::newest::{Names, RankKey};
use crate::pipeline::Batch;
use crate::platform::atomic::{AtomicU64, Ordering};
use crate::platform::clock::SECOND_NS;
use crate::schema::{BATCH_HEADER_BYTES, HotKind, STEP_BYTES, StepCore};
use crate::transports::nats::Aside;

/// What somebody who may only ask whether he may publish publishes: an object
/// that says nothing.
pub(super) const TRIAL: &[u8] = b"{}";

/// Ranks that are told of; beyond, those silent for longest are forgotten.
const RANKS_MAX: usize = 16_384;

/// Steps that may wait where every one is sent; beyond, whole batches are lost
/// to this stream, counted by the taker.
const QUEUE_MAX: usize = 4096;

/// Objects written before batches get their turn: about 50 µs.
const ROUND_MAX: usize = 16;

/// Ranks that are due within one of so many parts of the period are told of
/// together, so that the thread wakes seldom.
const GRID: u64 = 4;

/// Room for objects: one of usual names takes 1.2 KiB.
const ROOM_BYTES: usize = 32 * 1024;

/// Both ends of the stream: the drain's and the sender's. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Compat {
    subject: Arc<str>,
    names: Names,
    shelf: Arc<Mutex<Shelf>>,
    /// Steps that waited when a connection died, where every one is sent.
    lost: Arc<AtomicU64>,
}

/// Steps that wait to be sent.
#[derive(Debug)]
struct Shelf {
    /// The least time between two objects of a rank; 0 where each is sent.
    period_ns: u64,
    ranks: Vec<Place>,
    index: HashMap<RankKey, usize>,
    /// Places with something to send.
    waiting: Vec<usize>,
    /// The earliest that one of them is due.
    due_ns: u64,
    /// Where every step is sent: those to send.
    queue: VecDeque<StepCore>,
}

#[derive(Debug)]
struct Place {
    step: StepCore,
    waits: bool,
    due_ns: u64,
    /// For when it was sent last, ns.
    told_ns: u64,
}

impl Compat {
    /// The stream that a plan asks for, if it does.
    pub(super) fn of(plan: &NatsPlan, names: &Names) -> Option<Self> {
        let period_ns = SECOND_NS.checked_div(plan.compat_hz).unwrap_or(0);
        (!plan.compat_subject.is_empty()).then(|| Self {
            subject: plan.compat_subject.as_str().into(),
            names: names.clone(),
            shelf: Arc::new(Mutex::new(Shelf::new(period_ns))),
            lost: Arc::default(),
        })
    }

    /// Keeps the steps of a batch; no where it does not fit.
    pub(super) fn take(&self, batch: &Batch, now_ns: u64) -> bool {
        if batch.lane().kind != HotKind::Steps {
            return true;
        }
        let steps = &batch.bytes()[BATCH_HEADER_BYTES..];
        let steps =
            steps.as_chunks::<STEP_BYTES>().0.iter().map(|step| bytemuck::pod_read_unaligned(step));
        self.shelf().put(batch.records() as usize, steps, now_ns)
    }

    /// Begins anew with the newest of every rank, which a new connection has
    /// not heard.
    pub(super) fn restart(&self, newest: impl Iterator<Item = StepCore>, now_ns: u64) {
        let mut shelf = self.shelf();
        self.lost.fetch_add(shelf.queue.len() as u64, Ordering::Relaxed);
        *shelf = Shelf::new(shelf.period_ns);
        for step in newest {
            shelf.put(1, std::iter::once(step), now_ns);
        }
    }

    /// Steps that waited when a connection died, where every one is sent.
    pub(super) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// The sending end.
    pub(super) fn aside(&self) -> Aside {
        let compat = self.clone();
        let mut writer = Writer::new(self.names.clone());
        let (mut steps, mut text) = (Vec::with_capacity(ROUND_MAX), String::new());
        let mut room = BytesMut::new();
        let next = move |messages: &mut Vec<Bytes>, all: bool| {
            steps.clear();
            let most = if all { usize::MAX } else { ROUND_MAX };
            let now_ns = if all { u64::MAX } else { crate::platform::clock::monotonic_ns() };
            let due_ns = compat.shelf().next(now_ns, most, &mut steps);
            for step in &steps {
                text.clear();
                writer.write(step, &mut text);
                // Once everything written into it was sent it is used again.
                if room.capacity() < text.len() {
                    room.reserve(text.len().max(ROOM_BYTES));
                }
                room.extend_from_slice(text.as_bytes());
                messages.push(room.split().freeze());
            }
            due_ns
        };
        Aside { subject: Arc::clone(&self.subject), next: Box::new(next) }
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shelf {
    fn new(period_ns: u64) -> Self {
        Self {
            period_ns,
            ranks: Vec::new(),
            index: HashMap::new(),
            waiting: Vec::new(),
            due_ns: u64::MAX,
            queue: VecDeque::new(),
        }
    }

    /// Keeps `count` steps, or none of them.
    fn put(&mut self, count: usize, steps: impl Iterator<Item = StepCore>, now_ns: u64) -> bool {
        if self.period_ns > 0 {
            steps.for_each(|step| self.replace(&step, now_ns));
            return true;
        }
        let fits = self.queue.len() + count <= QUEUE_MAX;
        if fits {
            self.queue.extend(steps);
        }
        fits
    }

    /// Keeps a step as its rank's newest.
    fn replace(&mut self, step: &StepCore, now_ns: u64) {
        let key = RankKey::of(step);
        let at = match self.index.get(&key) {
            Some(at) => *at,
            None => self.add(key, step),
        };
        let place = &mut self.ranks[at];
        place.step = *step;
        if place.waits {
            return;
        }
        place.waits = true;
        // At once after a silence; otherwise with others, but never early.
        let free_ns = place.told_ns + self.period_ns;
        place.due_ns = match free_ns <= now_ns {
            true => now_ns,
            false => free_ns.next_multiple_of((self.period_ns / GRID).max(1)),
        };
        self.due_ns = self.due_ns.min(place.due_ns);
        self.waiting.push(at);
    }

    fn add(&mut self, key: RankKey, step: &StepCore) -> usize {
        if self.ranks.len() >= RANKS_MAX {
            self.forget_silent();
        }
        self.ranks.push(Place { step: *step, waits: false, due_ns: 0, told_ns: 0 });
        self.index.insert(key, self.ranks.len() - 1);
        self.ranks.len() - 1
    }

    /// Forgets the half of the ranks that was told of earliest, and keeps what
    /// waits.
    fn forget_silent(&mut self) {
        let mut told: Vec<u64> = self.ranks.iter().map(|place| place.told_ns).collect();
        told.sort_unstable();
        let middle_ns = told[told.len() / 2];
        let mut ranks = std::mem::take(&mut self.ranks);
        ranks.retain(|place| place.waits || place.told_ns > middle_ns);
        self.ranks = ranks;
        let places = self.ranks.iter().enumerate();
        self.waiting = places.clone().filter(|(_, place)| place.waits).map(|(at, _)| at).collect();
        self.index = places.map(|(at, place)| (RankKey::of(&place.step), at)).collect();
    }

    /// Moves up to `most` steps that are due into `steps`; returns when the
    /// next is.
    fn next(&mut self, now_ns: u64, most: usize, steps: &mut Vec<StepCore>) -> Option<u64> {
        if self.period_ns == 0 {
            let count = self.queue.len().min(most);
            steps.extend(self.queue.drain(..count));
            return (!self.queue.is_empty()).then_some(now_ns);
        }
        if now_ns < self.due_ns {
            return (self.due_ns < u64::MAX).then_some(self.due_ns);
        }
        let Self { ranks, waiting, .. } = self;
        let mut due_ns = u64::MAX;
        waiting.retain(|at| {
            let place = &mut ranks[*at];
            let goes = place.due_ns <= now_ns && steps.len() < most;
            if goes {
                place.waits = false;
                place.told_ns = place.due_ns;
                steps.push(place.step);
            } else {
                due_ns = due_ns.min(place.due_ns);
            }
            !goes
        });
        self.due_ns = due_ns;
        (due_ns < u64::MAX).then_some(due_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::clock::MILLISECOND_NS as MS;
    use bytemuck::Zeroable;
    use proptest::prelude::*;

    fn step(instance: u64, sequence: u64) -> StepCore {
        StepCore { instance, sequence, ..StepCore::zeroed() }
    }

    fn put(shelf: &mut Shelf, step: StepCore, now_ns: u64) -> bool {
        shelf.put(1, std::iter::once(step), now_ns)
    }

    fn next(shelf: &mut Shelf, now_ns: u64) -> (Vec<u64>, Option<u64>) {
        let mut steps = Vec::new();
        let due_ns = shelf.next(now_ns, ROUND_MAX, &mut steps);
        (steps.iter().map(|step| step.sequence).collect(), due_ns)
    }

    #[test]
    fn a_rank_is_told_of_at_once_after_a_silence_and_then_no_more_often_than_allowed() {
        let mut shelf = Shelf::new(100 * MS);
        let begin = 1000 * MS;
        assert_eq!(next(&mut shelf, begin), (vec![], None));
        put(&mut shelf, step(1, 1), begin);
        assert_eq!(next(&mut shelf, begin), (vec![1], None));
        put(&mut shelf, step(1, 2), begin + 20 * MS);
        put(&mut shelf, step(1, 3), begin + 40 * MS);
        let due_ns = begin + 100 * MS;
        assert_eq!(next(&mut shelf, begin + 40 * MS), (vec![], Some(due_ns)));
        assert_eq!(next(&mut shelf, due_ns), (vec![3], None), "the newest, though nothing follows");
        put(&mut shelf, step(1, 4), begin + 900 * MS);
        assert_eq!(next(&mut shelf, begin + 900 * MS), (vec![4], None));
    }

    #[test]
    fn ranks_that_are_due_about_the_same_time_go_together() {
        let mut shelf = Shelf::new(100 * MS);
        for (instance, at_ms) in [(1, 1001), (2, 1007), (3, 1024)] {
            put(&mut shelf, step(instance, 1), at_ms * MS);
            next(&mut shelf, at_ms * MS);
            put(&mut shelf, step(instance, 2), at_ms * MS + MS);
        }
        assert_eq!(next(&mut shelf, 1100 * MS), (vec![], Some(1125 * MS)));
        assert_eq!(next(&mut shelf, 1125 * MS), (vec![2, 2, 2], None));
    }

    #[test]
    fn one_round_is_bounded_and_says_that_more_waits() {
        let mut shelf = Shelf::new(100 * MS);
        assert!((0..40).all(|instance| put(&mut shelf, step(instance, 1), 1000 * MS)));
        let (told, due_ns) = next(&mut shelf, 1000 * MS);
        assert_eq!((told.len(), due_ns), (ROUND_MAX, Some(1000 * MS)));
    }

    #[test]
    fn where_every_step_is_sent_they_come_in_order_and_whole_batches_are_refused() {
        let mut shelf = Shelf::new(0);
        assert!((1..=20).all(|sequence| put(&mut shelf, step(1, sequence), 5)));
        assert_eq!(next(&mut shelf, 6), ((1..=16).collect(), Some(6)));
        assert_eq!(next(&mut shelf, 6), ((17..=20).collect(), None));
        let many = |count| (0..count as u64).map(|sequence| step(1, sequence));
        assert!(shelf.put(QUEUE_MAX - 1, many(QUEUE_MAX - 1), 7));
        assert!(!shelf.put(2, many(2), 7));
        assert!(shelf.put(1, many(1), 7));
    }

    #[cfg(not(miri))]
    #[test]
    fn ranks_that_are_silent_for_longest_make_room_for_others() {
        let mut shelf = Shelf::new(100 * MS);
        for instance in 0..RANKS_MAX as u64 {
            let now_ns = 1000 * MS + instance;
            put(&mut shelf, step(instance, 1), now_ns);
            next(&mut shelf, now_ns);
        }
        put(&mut shelf, step(5, 2), 1001 * MS);
        put(&mut shelf, step(u64::MAX, 9), 1002 * MS);
        assert!(shelf.ranks.len() <= RANKS_MAX / 2 + 2);
        let (told, due_ns) = next(&mut shelf, 1002 * MS);
        assert_eq!(told, [9]);
        assert_eq!(next(&mut shelf, due_ns.unwrap()), (vec![2], None), "what waits is kept");
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 4 } else { 256 }, ..Default::default() })]

        #[test]
        fn the_last_of_every_rank_is_sent_and_none_too_often(
            acts in prop::collection::vec((0_u64..4, 1_u64..60, any::<bool>()), 1..200),
        ) {
            let period_ns = 100 * MS;
            let mut shelf = Shelf::new(period_ns);
            let (mut now_ns, mut last) = (1000 * MS, HashMap::new());
            let mut told: HashMap<u64, Vec<(u64, u64)>> = HashMap::new();
            let mut look = |shelf: &mut Shelf, now_ns| {
                let mut steps = Vec::new();
                let due_ns = shelf.next(now_ns, ROUND_MAX, &mut steps);
                for step in steps {
                    told.entry(step.instance).or_default().push((now_ns, step.sequence));
                }
                due_ns
            };
            for (sequence, (instance, pause_ms, looks)) in acts.into_iter().enumerate() {
                now_ns += pause_ms * MS;
                put(&mut shelf, step(instance, sequence as u64), now_ns);
                last.insert(instance, sequence as u64);
                if looks {
                    look(&mut shelf, now_ns);
                }
            }
            while let Some(due_ns) = look(&mut shelf, now_ns) {
                now_ns = now_ns.max(due_ns);
            }
            for (instance, sequence) in last {
                let told = &told[&instance];
                prop_assert_eq!(told.last().map(|told| told.1), Some(sequence));
                prop_assert!(told.is_sorted_by(|a, b| a.1 < b.1), "{:?}", told);
                // Each is sent no earlier than it was due; that is when the rate holds.
                let span_ns = told[told.len() - 1].0 - told[0].0;
                prop_assert!(told.len() as u64 <= span_ns / period_ns + 2, "{:?}", told);
            }
        }
    }
}
