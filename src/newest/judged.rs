//! What the diagnosis stage concluded: open verdicts, the last resolved ones,
//! and how well things are.
//!
//! It changes rarely, so a lock guards it; nothing on a hot path takes it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::platform::atomic::{AtomicU64, Ordering};
use crate::schema::{Assessment, Verdict, VerdictState};

/// Most open verdicts; more are refused and counted.
pub const OPEN_MAX: usize = 1024;

/// Resolved verdicts that can still be shown.
pub const RESOLVED_MAX: usize = 256;

/// Most assessments; more are left out and counted.
pub const ASSESSMENTS_MAX: usize = 8192;

/// Verdicts and assessments as they stand.
#[derive(Debug, Default)]
pub struct Judged {
    version: AtomicU64,
    refused: AtomicU64,
    shelf: Mutex<Shelf>,
}

#[derive(Debug, Default)]
struct Shelf {
    open: HashMap<u64, Arc<Verdict>>,
    resolved: VecDeque<Arc<Verdict>>,
    assessments: Arc<[Assessment]>,
}

impl Judged {
    /// One up with every change: a cheap look.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Verdicts and assessments refused since there were too many.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Takes a revision, unless a later one of the same verdict is here.
    pub fn put(&self, verdict: Verdict) {
        let mut shelf = self.shelf();
        let is_open = shelf.open.contains_key(&verdict.id);
        let known = shelf
            .open
            .get(&verdict.id)
            .or_else(|| shelf.resolved.iter().rev().find(|resolved| resolved.id == verdict.id));
        if known.is_some_and(|known| known.revision >= verdict.revision) {
            return;
        }
        if verdict.state == VerdictState::Resolved {
            shelf.open.remove(&verdict.id);
            if shelf.resolved.len() == RESOLVED_MAX {
                shelf.resolved.pop_front();
            }
            shelf.resolved.push_back(Arc::new(verdict));
        } else if !is_open && shelf.open.len() >= OPEN_MAX {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return;
        } else {
            shelf.open.insert(verdict.id, Arc::new(verdict));
        }
        self.changed();
    }

    /// Takes over what other judges hold, in place of what is here.
    pub fn replace(
        &self,
        open: impl IntoIterator<Item = Arc<Verdict>>,
        resolved: impl IntoIterator<Item = Arc<Verdict>>,
    ) {
        let mut shelf = self.shelf();
        let by_id = open.into_iter().map(|verdict| (verdict.id, verdict));
        shelf.open = by_id.take(OPEN_MAX).collect();
        shelf.resolved = resolved.into_iter().take(RESOLVED_MAX).collect();
        shelf.resolved.make_contiguous().reverse();
        self.changed();
    }

    /// Replaces all assessments; whether any is another.
    pub fn assess(&self, mut assessments: Vec<Assessment>) -> bool {
        if assessments.len() > ASSESSMENTS_MAX {
            let more = assessments.len() - ASSESSMENTS_MAX;
            self.refused.fetch_add(more as u64, Ordering::Relaxed);
            assessments.truncate(ASSESSMENTS_MAX);
        }
        let mut shelf = self.shelf();
        let is_new = *shelf.assessments != *assessments;
        if is_new {
            shelf.assessments = assessments.into();
            self.changed();
        }
        is_new
    }

    /// Open verdicts, the gravest first, then the oldest.
    #[must_use]
    pub fn open(&self) -> Vec<Arc<Verdict>> {
        let mut open: Vec<_> = self.shelf().open.values().cloned().collect();
        open.sort_by(|a, b| {
            b.severity
                .cmp(&a.severity)
                .then(a.since_wall_ns.cmp(&b.since_wall_ns))
                .then(a.id.cmp(&b.id))
        });
        open
    }

    /// The last resolved verdicts, the latest first.
    #[must_use]
    pub fn resolved(&self) -> Vec<Arc<Verdict>> {
        self.shelf().resolved.iter().rev().cloned().collect()
    }

    /// How well each thing is.
    #[must_use]
    pub fn assessments(&self) -> Arc<[Assessment]> {
        Arc::clone(&self.shelf().assessments)
    }

    fn changed(&self) {
        self.version.fetch_add(1, Ordering::Release);
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Severity;

    fn verdict(id: u64, revision: u32, state: VerdictState) -> Verdict {
        Verdict { id, revision, state, ..Verdict::default() }
    }

    #[test]
    fn revisions_only_go_forward_and_resolved_ones_become_history() {
        let judged = Judged::default();
        judged.put(verdict(1, 2, VerdictState::Changed));
        judged.put(verdict(1, 1, VerdictState::Open));
        judged.put(Verdict { severity: Severity::Error, ..verdict(2, 1, VerdictState::Open) });
        let open: Vec<_> = judged.open().iter().map(|of| (of.id, of.revision)).collect();
        assert_eq!((open, judged.version()), (vec![(2, 1), (1, 2)], 2));
        judged.put(verdict(1, 3, VerdictState::Resolved));
        assert_eq!((judged.open().len(), judged.resolved()[0].id), (1, 1));
        judged.put(verdict(1, 2, VerdictState::Open));
        assert_eq!(judged.open().len(), 1, "a revision from before it was resolved");
        judged.put(verdict(1, 4, VerdictState::Open));
        assert_eq!(judged.open().len(), 2, "it began anew");
    }

    #[test]
    fn what_is_kept_is_bounded_and_the_rest_counted() {
        let judged = Judged::default();
        for id in 0..OPEN_MAX as u64 + 3 {
            judged.put(verdict(id, 1, VerdictState::Open));
        }
        assert_eq!((judged.open().len(), judged.refused()), (OPEN_MAX, 3));
        for id in 0..OPEN_MAX as u64 {
            judged.put(verdict(id, 2, VerdictState::Resolved));
        }
        assert_eq!(judged.resolved().len(), RESOLVED_MAX);
    }

    #[test]
    fn what_others_hold_takes_the_place_of_all() {
        let judged = Judged::default();
        judged.put(verdict(1, 1, VerdictState::Open));
        let of = |id, state| Arc::new(verdict(id, 1, state));
        let over = [3, 4].map(|id| of(id, VerdictState::Resolved));
        judged.replace([of(2, VerdictState::Open)], over);
        let ids = |of: Vec<Arc<Verdict>>| of.iter().map(|of| of.id).collect::<Vec<_>>();
        assert_eq!((ids(judged.open()), ids(judged.resolved())), (vec![2], vec![3, 4]));
    }

    #[test]
    fn assessments_are_replaced_as_a_whole() {
        let judged = Judged::default();
        let of = |subject: &str| Assessment { subject: subject.into(), ..Assessment::default() };
        assert!(judged.assess(vec![of("gpu0")]) && !judged.assess(vec![of("gpu0")]));
        assert!(judged.assess(vec![of("gpu1")]));
        assert_eq!(judged.assessments()[0].subject, "gpu1");
        assert!(judged.assess(vec![of("x"); ASSESSMENTS_MAX + 2]));
        assert_eq!((judged.assessments().len(), judged.refused()), (ASSESSMENTS_MAX, 2));
    }
}
