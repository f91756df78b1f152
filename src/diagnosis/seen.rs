//! Which events were told already.

use std::collections::{BTreeSet, VecDeque};

/// Ids of the newest events; bounded.
#[derive(Debug, Default)]
pub(super) struct Seen {
    ids: BTreeSet<u64>,
    order: VecDeque<u64>,
}

/// How many ids are remembered.
const SEEN_MAX: usize = 8192;

impl Seen {
    /// Whether this id is told for the first time; 0 is no id and always is.
    pub(super) fn first(&mut self, id: u64) -> bool {
        if id == 0 {
            return true;
        }
        if !self.ids.insert(id) {
            return false;
        }
        self.order.push_back(id);
        if self.order.len() > SEEN_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
        true
    }

    /// The ids, the oldest first.
    pub(super) fn ids(&self) -> impl Iterator<Item = u64> {
        self.order.iter().copied()
    }
}
