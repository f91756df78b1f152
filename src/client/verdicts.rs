//! Verdicts as they stand, folded by node and id from what was told.
//!
//! They change rarely, so a lock guards them; nothing on a hot path takes it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::View;
use super::counts::Counters;
use super::news::Told;
use crate::schema::{Assessment, Verdict, VerdictState};

/// Most open verdicts of all nodes together; more are refused and counted.
pub const OPEN_MAX: usize = 4096;

/// Resolved verdicts that can still be shown.
pub const RESOLVED_MAX: usize = 256;

/// A node and a verdict of its judge.
type Key = (u64, u64);

/// Every verdict that stands, and the last that do not any more.
#[derive(Debug, Default)]
pub(super) struct Standing(Mutex<Shelf>);

#[derive(Debug, Default)]
struct Shelf {
    open: HashMap<Key, Kept>,
    resolved: VecDeque<(Key, Kept)>,
}

/// A revision, when it was last told, and by which start of its agent.
#[derive(Debug, Clone)]
struct Kept {
    verdict: Arc<Verdict>,
    heard_ns: u64,
    incarnation: u64,
}

impl Standing {
    /// Takes a revision, unless a later one is here. One of a later start of
    /// the agent is later, since an agent may have lost what it judged before.
    pub(super) fn put(
        &self,
        (node, incarnation): (u64, u64),
        verdict: Verdict,
        heard_ns: u64,
        counters: &Counters,
    ) {
        let key = (node, verdict.id);
        let place = (incarnation, verdict.revision);
        let mut shelf = self.shelf();
        let shelf = &mut *shelf;
        if let Some(open) = shelf.open.get_mut(&key) {
            let known = open.place();
            if known == place {
                open.heard_ns = heard_ns;
            }
            if known >= place {
                return;
            }
        } else if shelf.latest_resolved(key).is_some_and(|known| known.place() >= place) {
            return;
        }
        let is_resolved = verdict.state == VerdictState::Resolved;
        let kept = Kept { verdict: Arc::new(verdict), heard_ns, incarnation };
        if is_resolved {
            shelf.open.remove(&key);
            shelf.resolved.retain(|(other, _)| *other != key);
            if shelf.resolved.len() == RESOLVED_MAX {
                shelf.resolved.pop_front();
            }
            shelf.resolved.push_back((key, kept));
        } else if shelf.open.len() >= OPEN_MAX && !shelf.open.contains_key(&key) {
            counters.names_refused.add(1);
        } else {
            shelf.open.insert(key, kept);
        }
    }

    /// Forgets what `node` did not tell again since `asked_ns`, though it told
    /// all that stands: its end was missed.
    pub(super) fn answered(&self, node: u64, asked_ns: u64) {
        self.shelf().open.retain(|(of, _), kept| *of != node || kept.heard_ns >= asked_ns);
    }

    /// Forgets what stands: all of it is about to be told.
    pub(super) fn begin_anew(&self) {
        self.shelf().open.clear();
    }

    /// Forgets a node that is gone.
    pub(super) fn forget_node(&self, node: u64) {
        let mut shelf = self.shelf();
        shelf.open.retain(|(of, _), _| *of != node);
        shelf.resolved.retain(|((of, _), _)| *of != node);
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shelf {
    fn latest_resolved(&self, key: Key) -> Option<&Kept> {
        self.resolved.iter().rev().find(|(other, _)| *other == key).map(|(_, kept)| kept)
    }
}

impl Kept {
    fn place(&self) -> (u64, u32) {
        (self.incarnation, self.verdict.revision)
    }
}

impl View {
    /// Verdicts that stand on every node heard, the gravest first, then the
    /// oldest; at most [`OPEN_MAX`]. Allocates.
    #[must_use]
    pub fn open_verdicts(&self) -> Vec<Told<Arc<Verdict>>> {
        let shelf = self.shared.board.standing.shelf();
        let told = |((node, _), kept): (&Key, &Kept)| Told {
            node: *node,
            what: Arc::clone(&kept.verdict),
        };
        let mut open: Vec<_> = shelf.open.iter().map(told).collect();
        drop(shelf);
        open.sort_by(|a, b| {
            let order = |of: &Told<Arc<Verdict>>| (of.what.since_wall_ns, of.node, of.what.id);
            b.what.severity.cmp(&a.what.severity).then_with(|| order(a).cmp(&order(b)))
        });
        open
    }

    /// Verdicts whose end was told since the view was made, the latest first;
    /// at most [`RESOLVED_MAX`]. Allocates.
    #[must_use]
    pub fn resolved_verdicts(&self) -> Vec<Told<Arc<Verdict>>> {
        let shelf = self.shared.board.standing.shelf();
        let told =
            |((node, _), kept): &(Key, Kept)| Told { node: *node, what: Arc::clone(&kept.verdict) };
        shelf.resolved.iter().rev().map(told).collect()
    }

    /// How well every engine, device and node is, by the word of its node's
    /// judge. Allocates.
    #[must_use]
    pub fn assessments(&self) -> Vec<Told<Arc<Assessment>>> {
        self.shared.board.health.load().all()
    }
}

#[cfg(all(test, not(miri)))]
mod tests;
