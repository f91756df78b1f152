//! A stream of changes that never grows: what happened to a rank since it was
//! last taken is one entry.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::time::Duration;

use super::RankId;
use super::counts::Counter;
use crate::platform::atomic::{AtomicUsize, Ordering};

/// What happened to a rank, as bits: several can be true.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct What(u8);

impl What {
    /// First heard of.
    pub const APPEARED: Self = Self(1);
    /// Its newest step is another.
    pub const UPDATED: Self = Self(2);
    /// It came back under a later incarnation.
    pub const RESTARTED: Self = Self(4);
    /// It is more or less fresh than before; read it to learn how.
    pub const FRESHNESS: Self = Self(8);
    /// Its engine's name, endpoint or model is another.
    pub const NAMED: Self = Self(16);
    /// It was silent for so long that it was forgotten.
    pub const FORGOTTEN: Self = Self(32);

    /// Whether all bits of `other` are among these.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl std::ops::BitOr for What {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// One rank's changes since it was last taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// Whose.
    pub rank: RankId,
    /// What happened, in no order.
    pub what: What,
}

/// A subscriber's end. Dropping it ends the subscription.
#[derive(Debug)]
pub struct Changes(Arc<Pending>);

#[derive(Debug)]
struct Pending {
    waiting: Mutex<Waiting>,
    arrived: Condvar,
    ranks_max: usize,
}

#[derive(Debug, Default)]
struct Waiting {
    order: VecDeque<RankId>,
    what: HashMap<RankId, What>,
}

/// The writer's end: everybody who subscribed.
#[derive(Debug, Default)]
pub(super) struct ChangeFan {
    subscribers: Mutex<Vec<Weak<Pending>>>,
    /// How many there may be; zero saves the writer the lock.
    count: AtomicUsize,
}

impl Changes {
    /// The next change, waiting up to `limit` for it.
    #[must_use]
    pub fn next_within(&self, limit: Duration) -> Option<Change> {
        let waiting = self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut waiting, _) = self
            .0
            .arrived
            .wait_timeout_while(waiting, limit, |waiting| waiting.order.is_empty())
            .unwrap_or_else(PoisonError::into_inner);
        waiting.take()
    }

    /// The next change, if there is one.
    #[must_use]
    pub fn next_now(&self) -> Option<Change> {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Waiting {
    fn take(&mut self) -> Option<Change> {
        let rank = self.order.pop_front()?;
        let what = self.what.remove(&rank).unwrap_or_default();
        Some(Change { rank, what })
    }
}

impl ChangeFan {
    pub(super) fn subscribe(&self, ranks_max: usize) -> Changes {
        let pending = Arc::new(Pending {
            waiting: Mutex::default(),
            arrived: Condvar::new(),
            ranks_max: ranks_max.max(1),
        });
        let mut subscribers = self.subscribers.lock().unwrap_or_else(PoisonError::into_inner);
        subscribers.retain(|subscriber| subscriber.strong_count() > 0);
        subscribers.push(Arc::downgrade(&pending));
        self.count.store(subscribers.len(), Ordering::Release);
        Changes(pending)
    }

    pub(super) fn is_wanted(&self) -> bool {
        self.count.load(Ordering::Acquire) > 0
    }

    pub(super) fn tell(&self, rank: RankId, what: What, dropped: &Counter) {
        if !self.is_wanted() {
            return;
        }
        let mut subscribers = self.subscribers.lock().unwrap_or_else(PoisonError::into_inner);
        subscribers.retain(|subscriber| {
            let Some(pending) = subscriber.upgrade() else { return false };
            pending.add(rank, what, dropped);
            true
        });
        self.count.store(subscribers.len(), Ordering::Release);
    }
}

impl Pending {
    fn add(&self, rank: RankId, what: What, dropped: &Counter) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = waiting.what.get_mut(&rank) {
            *before = *before | what;
            return;
        }
        if waiting.order.len() >= self.ranks_max {
            dropped.add(1);
            return;
        }
        waiting.order.push_back(rank);
        waiting.what.insert(rank, what);
        self.arrived.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_of_one_rank_become_one_and_a_full_table_counts() {
        let (fan, dropped) = (ChangeFan::default(), Counter::default());
        let rank = |rank| RankId { instance: 1, rank };
        fan.tell(rank(9), What::UPDATED, &dropped);
        let changes = fan.subscribe(2);
        fan.tell(rank(0), What::APPEARED, &dropped);
        fan.tell(rank(0), What::UPDATED, &dropped);
        fan.tell(rank(1), What::UPDATED, &dropped);
        fan.tell(rank(2), What::UPDATED, &dropped);
        let first = changes.next_now().unwrap();
        assert_eq!(first, Change { rank: rank(0), what: What::APPEARED | What::UPDATED });
        assert!(!first.what.contains(What::RESTARTED));
        assert_eq!(changes.next_within(Duration::ZERO).map(|c| c.rank), Some(rank(1)));
        assert_eq!(changes.next_now(), None);
        drop(changes);
        fan.tell(rank(0), What::UPDATED, &dropped);
        assert!(!fan.is_wanted());
    }
}
