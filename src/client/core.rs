//! The view without its connections: bytes and times in, newest values out.
//!
//! It has no clock, socket or thread. Whoever owns it feeds it what arrives,
//! with the receipt's time, and ticks it now and then; readers hold a
//! [`super::View`] of it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use super::changes::What;
use super::clock::{Offset, SenderClock};
use super::news::News;
use super::shared::Shared;
use super::state::{Patience, RankId, freshness_of};
use crate::newest::{NewestStep, RankKey, StepTable, StepWriter};
use crate::platform::atomic::Ordering;
use crate::platform::clock::{MILLISECOND_NS, SECOND_NS};
use crate::schema::{BatchHead, BatchView, Flag, Freshness, Reject, StepCore};

/// Most ranks that can be configured, times producers.
pub const RANKS_MAX: usize = 16_384;

/// Most front ends of one rank.
const PRODUCERS_MAX: u16 = 256;

/// After a connection, how long to listen for producers before the view can
/// call itself complete; agents are heard several times in this.
const LISTEN_NS: u64 = 250 * MILLISECOND_NS;

/// A sender silent for this long makes room for another when all places are
/// taken; what was known of its clock is void by then.
const SENDER_SPARE_NS: u64 = 60 * SECOND_NS;

/// Limits and patience of a view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ViewSettings {
    /// Most ranks, times producers; up to [`RANKS_MAX`]. Beyond, steps are
    /// refused and counted.
    pub ranks_max: usize,
    /// Most senders (agents and engines that publish themselves); beyond,
    /// batches are refused and counted.
    pub senders_max: usize,
    /// When a silent rank is gone.
    pub patience: Patience,
    /// Silence after which a rank and its names are forgotten, ns.
    pub forget_ns: u64,
}

impl Default for ViewSettings {
    fn default() -> Self {
        Self {
            ranks_max: 4096,
            senders_max: 4096,
            patience: Patience::default(),
            forget_ns: 600 * SECOND_NS,
        }
    }
}

/// What became of one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Fed {
    /// Steps that became the newest of their rank.
    pub stored: u32,
    /// Steps already had, or earlier.
    pub old: u32,
    /// Steps refused for any reason.
    pub refused: u32,
}

/// Why a message was refused whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is no batch that we read.
    #[error("reading a batch failed: {0}")]
    Batch(#[from] Reject),
    /// More senders than the limit.
    #[error("a batch came from more senders than `senders_max` allows; raise it")]
    Senders,
}

/// The writing side of a view. One thread owns it.
#[derive(Debug)]
pub struct ViewCore {
    shared: Arc<Shared>,
    writer: StepWriter,
    held: HashMap<RankKey, Held>,
    senders: HashMap<SenderId, Sender>,
    news: News,
    settings: ViewSettings,
    /// One up with every connection; answers count for the one they came in.
    connection: u64,
    connected_ns: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct SenderId {
    node: u64,
    incarnation: u64,
}

#[derive(Debug, Default)]
struct Sender {
    clock: SenderClock,
    heard_ns: u64,
    /// The connection in which it last told its whole state.
    answered: u64,
}

/// What the table's cell holds, and what the writer alone needs.
#[derive(Debug)]
struct Held {
    newest: NewestStep,
    /// Bit n: the sequence n + 1 before the newest came, or never was ours to
    /// miss.
    seen: u64,
    freshness: Freshness,
}

/// What to do with a step beside the newest of its rank.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Newer { restarted: bool, lost: u64, seen: u64 },
    Late { bit: u64 },
    Old,
}

impl ViewCore {
    /// An empty view.
    #[must_use]
    pub fn new(settings: ViewSettings) -> Self {
        Self::with_cells(settings, settings.ranks_max.clamp(1, RANKS_MAX))
    }

    /// A core whose numbers stand in a table that another process writes.
    pub(super) fn for_news(settings: ViewSettings) -> Self {
        Self::with_cells(settings, 1)
    }

    fn with_cells(settings: ViewSettings, cells: usize) -> Self {
        let ranks_max = settings.ranks_max.clamp(1, RANKS_MAX);
        let settings = ViewSettings { ranks_max, ..settings };
        let table = StepTable::heap(cells);
        let shared = Arc::new(Shared::new(table.view(), &settings));
        let news = News::new(Arc::clone(&shared.board), ranks_max, settings.senders_max);
        Self {
            writer: table.writer(),
            shared,
            held: HashMap::with_capacity(ranks_max.min(1024)),
            senders: HashMap::new(),
            news,
            settings,
            connection: 0,
            connected_ns: None,
        }
    }

    pub(super) const fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Takes a message that was published. Allocates nothing when it brings
    /// only steps of ranks already known.
    ///
    /// # Errors
    ///
    /// When the message is refused whole; it is counted.
    pub fn feed(&mut self, bytes: &[u8], receipt_ns: u64) -> Result<Fed, Refused> {
        let batch = self.verify(bytes)?;
        let head = batch.head();
        let sender = self.sender(&head, receipt_ns)?;
        sender.clock.heard(head.publish_monotonic_ns, receipt_ns);
        Ok(self.take(&batch, receipt_ns))
    }

    /// Takes a message that answers our snapshot request of `request_sent_ns`.
    ///
    /// # Errors
    ///
    /// As [`Self::feed`].
    pub fn reply(
        &mut self,
        bytes: &[u8],
        receipt_ns: u64,
        request_sent_ns: u64,
    ) -> Result<Fed, Refused> {
        let batch = self.verify(bytes)?;
        let head = batch.head();
        let sender = self.sender(&head, receipt_ns)?;
        let made_sense = sender.clock.answered(
            head.publish_monotonic_ns,
            receipt_ns,
            request_sent_ns,
            batch.held_ns(),
        );
        if !made_sense {
            sender.clock.heard(head.publish_monotonic_ns, receipt_ns);
            self.shared.counters.trips_refused.add(1);
        }
        let fed = self.take(&batch, receipt_ns);
        if head.flags & BatchHead::LAST != 0 {
            self.shared.board.standing.answered(head.node, request_sent_ns);
        }
        Ok(fed)
    }

    /// Takes a message whose steps are had from elsewhere: only its names,
    /// events and verdicts.
    ///
    /// # Errors
    ///
    /// When the bytes are no batch; it is counted.
    pub fn feed_news(&mut self, bytes: &[u8]) -> Result<(), Refused> {
        let batch = self.verify(bytes)?;
        self.shared.counters.batches.add(1);
        let ignored = batch.steps().len() as u64;
        self.shared.counters.steps.add(ignored);
        self.shared.counters.steps_ignored.add(ignored);
        // Its agent is on this host: the clocks are the same.
        self.take_news(&batch, batch.head().publish_monotonic_ns);
        Ok(())
    }

    /// Notes that a connection stands; until everybody answered it is not
    /// complete.
    pub fn connected(&mut self, now_ns: u64) {
        self.connection += 1;
        self.connected_ns = Some(now_ns);
        self.shared.counters.connects.add(1);
        self.shared.complete.store(false, Ordering::Release);
        self.shared.connected.store(true, Ordering::Release);
    }

    /// Notes that the connection is gone. What was heard stays and ages.
    pub fn disconnected(&mut self) {
        if self.connected_ns.take().is_some() {
            self.shared.counters.disconnects.add(1);
        }
        self.shared.complete.store(false, Ordering::Release);
        self.shared.connected.store(false, Ordering::Release);
    }

    /// Forgets what was silent for very long, tells changes of freshness, and
    /// sees whether the view is complete. Several times a second.
    pub fn tick(&mut self, now_ns: u64) {
        self.tell_freshness(now_ns);
        self.forget_ranks(now_ns);
        self.forget_senders(now_ns);
        if self.connected_ns.is_some_and(|since| self.everybody_answered(since, now_ns)) {
            self.shared.complete.store(true, Ordering::Release);
        }
    }

    /// Whether a connection stands.
    #[must_use]
    pub const fn is_connected(&self) -> bool {
        self.connected_ns.is_some()
    }

    /// Whether everybody heard in this connection told its whole state.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.shared.complete.load(Ordering::Acquire)
    }

    /// Whoever is heard from here on tells all verdicts that stand.
    pub(super) fn begin_verdicts(&self) {
        self.shared.board.standing.begin_anew();
    }

    /// What is read from shared memory is always whole.
    pub(super) fn set_complete(&self) {
        self.shared.complete.store(true, Ordering::Release);
    }

    pub(super) fn count_lost(&self, messages: u64) {
        self.shared.counters.messages_lost.add(messages);
    }

    pub(super) fn count_oversized(&self) {
        self.shared.counters.batches_oversized.add(1);
    }

    pub(super) fn forget_engines(&mut self, is_known: impl Fn(u64) -> bool) {
        self.news.forget_engines(is_known);
    }

    fn verify<'a>(&self, bytes: &'a [u8]) -> Result<BatchView<'a>, Refused> {
        BatchView::verify(bytes).map_err(|reject| {
            let counters = &self.shared.counters;
            match reject {
                Reject::Oversized => counters.batches_oversized.add(1),
                Reject::Identifier => counters.batches_unknown.add(1),
                Reject::Malformed => counters.batches_malformed.add(1),
            }
            reject.into()
        })
    }

    fn sender(&mut self, head: &BatchHead, receipt_ns: u64) -> Result<&mut Sender, Refused> {
        let id = SenderId { node: head.node, incarnation: head.incarnation };
        if self.senders.len() >= self.settings.senders_max && !self.senders.contains_key(&id) {
            let longest = self.senders.iter().min_by_key(|(_, sender)| sender.heard_ns);
            match longest {
                Some((spare, sender))
                    if receipt_ns.saturating_sub(sender.heard_ns) > SENDER_SPARE_NS =>
                {
                    let spare = *spare;
                    self.senders.remove(&spare);
                }
                _ => {
                    self.shared.counters.batches_beyond_senders.add(1);
                    return Err(Refused::Senders);
                }
            }
        }
        let sender = self.senders.entry(id).or_default();
        sender.heard_ns = receipt_ns;
        if head.flags & BatchHead::LAST != 0 {
            sender.answered = self.connection;
        }
        Ok(sender)
    }

    fn take(&mut self, batch: &BatchView<'_>, receipt_ns: u64) -> Fed {
        let head = batch.head();
        let id = SenderId { node: head.node, incarnation: head.incarnation };
        let offset = self.senders.get(&id).and_then(|sender| sender.clock.offset(receipt_ns));
        self.shared.counters.batches.add(1);
        let mut fed = Fed::default();
        if let Some(offset) = offset {
            for step in batch.steps() {
                self.take_step(step, offset, receipt_ns, &mut fed);
            }
        }
        self.take_news(batch, receipt_ns);
        fed
    }

    fn take_news(&mut self, batch: &BatchView<'_>, receipt_ns: u64) {
        self.shared.counters.readings_ignored.add(batch.readings().len() as u64);
        let shared = &self.shared;
        self.news.feed(batch, receipt_ns, &shared.counters, |engine| {
            for rank in 0..engine.ranks.clamp(1, PRODUCERS_MAX) {
                let rank = RankId { instance: engine.instance, rank };
                shared.changes.tell(rank, What::NAMED, &shared.counters.changes_dropped);
            }
        });
    }

    fn take_step(&mut self, mut step: StepCore, offset: Offset, receipt_ns: u64, fed: &mut Fed) {
        let counters = &self.shared.counters;
        counters.steps.add(1);
        let producers = step.producers.max(1);
        if step.instance == 0 || step.producer >= producers || producers > PRODUCERS_MAX {
            counters.steps_malformed.add(1);
            fed.refused += 1;
            return;
        }
        step.producers = producers;
        step.heartbeat_ns = step.heartbeat_ns.max(step.monotonic_ns);
        let alive_ns = offset.ours_ns(step.heartbeat_ns);
        if alive_ns > receipt_ns.saturating_add(offset.error_ns) {
            counters.steps_future.add(1);
            fed.refused += 1;
            return;
        }
        let newest = NewestStep {
            step,
            heard_ns: receipt_ns,
            alive_ns: alive_ns.min(receipt_ns),
            error_ns: offset.error_ns,
            lost: 0,
        };
        match self.held.entry(RankKey::of(&step)) {
            Entry::Vacant(place) => {
                if self.writer.write(&newest).is_none() {
                    counters.steps_beyond_ranks.add(1);
                    fed.refused += 1;
                    return;
                }
                place.insert(Held { newest, seen: u64::MAX, freshness: Freshness::Fresh });
                counters.steps_stored.add(1);
                fed.stored += 1;
                self.tell(&step, What::APPEARED);
            }
            Entry::Occupied(mut place) => match place.get().compare(&newest, &self.settings) {
                Standing::Old => {
                    counters.steps_old.add(1);
                    fed.old += 1;
                }
                Standing::Late { bit } => {
                    let held = place.get_mut();
                    held.seen |= bit;
                    held.newest.lost = held.newest.lost.saturating_sub(1);
                    self.writer.write(&held.newest);
                    counters.steps_late.add(1);
                    counters.steps_lost.take_back(1);
                    fed.old += 1;
                }
                Standing::Newer { restarted, lost, seen } => {
                    let fewer = place.get().newest.step.producers;
                    place.get_mut().replace(newest, lost, seen);
                    self.writer.write(&place.get().newest);
                    counters.steps_stored.add(1);
                    counters.steps_lost.add(lost);
                    counters.restarts.add(u64::from(restarted));
                    fed.stored += 1;
                    self.forget_producers(&step, fewer);
                    let what = if restarted { What::RESTARTED } else { What::UPDATED };
                    self.tell(&step, what);
                }
            },
        }
    }

    /// Forgets front ends that a rank does not have any more.
    fn forget_producers(&mut self, step: &StepCore, before: u16) {
        for producer in step.producers..before {
            let key = RankKey { producer, ..RankKey::of(step) };
            if self.held.remove(&key).is_some() {
                self.writer.forget(&key);
            }
        }
    }

    fn tell(&self, step: &StepCore, what: What) {
        let rank = RankId { instance: step.instance, rank: step.rank };
        self.shared.changes.tell(rank, what, &self.shared.counters.changes_dropped);
    }

    fn tell_freshness(&mut self, now_ns: u64) {
        if !self.shared.changes.is_wanted() {
            return;
        }
        for held in self.held.values_mut() {
            let silence_ns = now_ns.saturating_sub(held.newest.alive_ns);
            let patience = &self.settings.patience;
            let freshness = freshness_of(&held.newest.step, silence_ns, patience);
            if freshness != held.freshness {
                held.freshness = freshness;
                let step = &held.newest.step;
                let rank = RankId { instance: step.instance, rank: step.rank };
                let dropped = &self.shared.counters.changes_dropped;
                self.shared.changes.tell(rank, What::FRESHNESS, dropped);
            }
        }
    }

    fn forget_ranks(&mut self, now_ns: u64) {
        let (before, shared, writer) = (self.held.len(), &self.shared, &mut self.writer);
        self.held.retain(|key, held| {
            let last_ns = held.newest.alive_ns.max(held.newest.heard_ns);
            let keep = now_ns.saturating_sub(last_ns) <= self.settings.forget_ns;
            if !keep {
                writer.forget(key);
                shared.counters.ranks_forgotten.add(1);
                let rank = RankId { instance: key.instance, rank: key.rank };
                shared.changes.tell(rank, What::FORGOTTEN, &shared.counters.changes_dropped);
            }
            keep
        });
        if self.held.len() != before {
            let held = &self.held;
            self.news.forget_engines(|instance| held.keys().any(|key| key.instance == instance));
        }
    }

    fn forget_senders(&mut self, now_ns: u64) {
        let forget_ns = self.settings.forget_ns;
        let is_silent = |sender: &Sender| now_ns.saturating_sub(sender.heard_ns) > forget_ns;
        // One at a time: it is rare, and nothing is collected.
        let silent = self.senders.iter().find(|(_, sender)| is_silent(sender)).map(|(id, _)| *id);
        if let Some(id) = silent {
            self.senders.remove(&id);
            if !self.senders.keys().any(|other| other.node == id.node) {
                self.news.forget_node(id.node);
            }
        }
    }

    fn everybody_answered(&self, since_ns: u64, now_ns: u64) -> bool {
        let waited_ns = now_ns.saturating_sub(since_ns);
        let mut heard = self.senders.values().filter(|sender| sender.heard_ns >= since_ns);
        let anybody = heard.clone().next().is_some();
        let long_enough = if anybody { LISTEN_NS } else { SECOND_NS };
        waited_ns >= long_enough && heard.all(|sender| sender.answered == self.connection)
    }
}

impl Held {
    /// As [`Self::standing`], unless the one that is held fell silent and this
    /// one lives: numbers may lie, as after a clock that was set back between
    /// two starts, or one wild message. No rank is stuck longer than that.
    fn compare(&self, newest: &NewestStep, settings: &ViewSettings) -> Standing {
        let standing = self.standing(&newest.step);
        if standing == Standing::Old && self.is_outlived_by(newest, &settings.patience) {
            return Standing::Newer { restarted: true, lost: 0, seen: u64::MAX };
        }
        standing
    }

    fn is_outlived_by(&self, newest: &NewestStep, patience: &Patience) -> bool {
        let held = &self.newest;
        let restarted = newest.step.incarnation != held.step.incarnation;
        let silence_ns = if restarted && held.step.has(Flag::Goodbye) {
            0
        } else {
            held.step.ttl_ns().saturating_mul(3).min(patience.gone_ns)
        };
        let error_ns = held.error_ns.saturating_add(newest.error_ns);
        let since_ns = newest.alive_ns.saturating_sub(held.alive_ns);
        !newest.step.has(Flag::Goodbye) && since_ns > silence_ns.saturating_add(error_ns)
    }

    fn standing(&self, step: &StepCore) -> Standing {
        let held = &self.newest.step;
        if step.incarnation != held.incarnation {
            return if step.incarnation > held.incarnation {
                Standing::Newer { restarted: true, lost: 0, seen: u64::MAX }
            } else {
                Standing::Old
            };
        }
        if step.sequence == held.sequence {
            // A heartbeat tells the same step again, at a later sign of life.
            // So does a goodbye, which may come within the clock's resolution.
            let later = step.heartbeat_ns > held.heartbeat_ns
                || step.heartbeat_ns == held.heartbeat_ns
                    && step.has(Flag::Goodbye)
                    && !held.has(Flag::Goodbye);
            return if later {
                Standing::Newer { restarted: false, lost: 0, seen: self.seen }
            } else {
                Standing::Old
            };
        }
        if step.sequence < held.sequence {
            let distance = held.sequence - step.sequence;
            let bit = 1_u64.checked_shl(u32::try_from(distance - 1).unwrap_or(u32::MAX));
            return match bit {
                Some(bit) if self.seen & bit == 0 => Standing::Late { bit },
                _ => Standing::Old,
            };
        }
        let ahead = step.sequence - held.sequence;
        let shift = |bits: u64, by: u64| bits.checked_shl(by.min(64) as u32).unwrap_or(0);
        // The newest so far becomes bit `ahead - 1`.
        let seen = shift(self.seen, ahead) | shift(1, ahead - 1);
        Standing::Newer { restarted: false, lost: ahead - 1, seen }
    }

    fn replace(&mut self, newest: NewestStep, lost: u64, seen: u64) {
        let before = &self.newest;
        let same = before.step.incarnation == newest.step.incarnation;
        let alive_ns = if same { newest.alive_ns.max(before.alive_ns) } else { newest.alive_ns };
        let alive_ns = alive_ns.min(newest.heard_ns);
        // A sign of life dated before its clock was known may stand beyond
        // this one; the bound then says so.
        let beyond_ns = alive_ns.saturating_sub(newest.alive_ns);
        let error_ns = newest.error_ns.saturating_add(beyond_ns);
        let lost = before.lost.saturating_add(lost);
        self.newest = NewestStep { alive_ns, error_ns, lost, ..newest };
        self.seen = seen;
    }
}

#[cfg(test)]
mod tests;
