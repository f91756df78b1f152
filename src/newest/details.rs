//! The newest of what engines say beside their steps.
//!
//! It comes about once a second an engine, so a lock guards it; nothing on a
//! hot path takes it. Each entry has the number of the change that made it, so
//! that whoever sends them on sends what changed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::platform::atomic::{AtomicU64, Ordering};
use crate::schema::EngineDetails;

/// Most producers of ranks whose details are kept; more are refused and
/// counted.
pub const DETAILS_MAX: usize = 4096;

/// Most bytes of them all; a usual engine's are 4 KiB a rank.
pub const DETAILS_KEPT_BYTES_MAX: usize = 32 << 20;

/// What each producer of each rank said last.
#[derive(Debug, Default)]
pub struct Details {
    version: AtomicU64,
    refused: AtomicU64,
    shelf: Mutex<Shelf>,
}

#[derive(Debug, Default)]
struct Shelf {
    kept: HashMap<(u64, u16, u16), Kept>,
    bytes: usize,
}

#[derive(Debug)]
struct Kept {
    details: Arc<EngineDetails>,
    version: u64,
}

impl Details {
    /// One up with every change: a cheap look.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Details refused since there were too many.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Takes what a producer says, unless a later incarnation of it spoke.
    pub fn put(&self, details: EngineDetails) {
        let mut shelf = self.shelf();
        let key = (details.instance, details.rank, details.producer);
        let known = shelf.kept.get(&key);
        if known.is_some_and(|kept| {
            kept.details.incarnation > details.incarnation || *kept.details == details
        }) {
            return;
        }
        let before = known.map_or(0, |kept| kept.details.bytes_max());
        let after = shelf.bytes - before + details.bytes_max();
        if known.is_none() && shelf.kept.len() >= DETAILS_MAX || after > DETAILS_KEPT_BYTES_MAX {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let version = self.version() + 1;
        shelf.kept.insert(key, Kept { details: Arc::new(details), version });
        shelf.bytes = after;
        self.version.store(version, Ordering::Release);
    }

    /// Forgets what an engine said under this incarnation.
    pub fn forget(&self, instance: u64, incarnation: u64) {
        let mut shelf = self.shelf();
        let Shelf { kept, bytes } = &mut *shelf;
        kept.retain(|_, kept| {
            let details = &kept.details;
            let stays = (details.instance, details.incarnation) != (instance, incarnation);
            if !stays {
                *bytes -= details.bytes_max();
            }
            stays
        });
    }

    /// What changed after `version`, the earliest change first, each with the
    /// version that it made.
    #[must_use]
    pub fn since(&self, version: u64) -> Vec<(u64, Arc<EngineDetails>)> {
        let shelf = self.shelf();
        let changed = shelf.kept.values().filter(|kept| kept.version > version);
        let mut changed: Vec<_> =
            changed.map(|kept| (kept.version, Arc::clone(&kept.details))).collect();
        changed.sort_unstable_by_key(|(version, _)| *version);
        changed
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Finished;

    fn said(instance: u64, incarnation: u64, count: u64) -> EngineDetails {
        let finished = vec![Finished { reason: "stop".into(), count }];
        EngineDetails { instance, incarnation, finished, ..EngineDetails::default() }
    }

    fn counts(details: &Details, since: u64) -> Vec<u64> {
        details.since(since).iter().map(|(_, said)| said.finished[0].count).collect()
    }

    #[test]
    fn the_newest_of_each_producer_is_kept_and_what_changed_comes_in_order() {
        let details = Details::default();
        details.put(said(1, 5, 10));
        details.put(said(2, 5, 20));
        let seen = details.version();
        details.put(said(1, 5, 11));
        details.put(said(1, 5, 11));
        details.put(said(1, 4, 99));
        assert_eq!((details.version() - seen, counts(&details, seen)), (1, vec![11]));
        assert_eq!(counts(&details, 0), [20, 11]);
    }

    #[test]
    fn a_farewell_of_the_previous_incarnation_does_not_remove_the_next() {
        let details = Details::default();
        details.put(said(1, 5, 10));
        details.put(said(1, 6, 1));
        details.forget(1, 5);
        assert_eq!(counts(&details, 0), [1]);
        details.forget(1, 6);
        assert!(counts(&details, 0).is_empty() && details.shelf().bytes == 0);
    }

    #[cfg(not(miri))]
    #[test]
    fn more_than_is_kept_is_refused_and_counted() {
        let details = Details::default();
        (0..DETAILS_MAX as u64 + 2).for_each(|instance| details.put(said(instance, 1, 1)));
        details.put(said(0, 1, 2));
        assert_eq!((details.refused(), details.since(0).len()), (2, DETAILS_MAX));
    }
}
