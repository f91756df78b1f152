//! The newest state of every rank, with a number that tells what changed
//! since a reader last looked.

use std::collections::HashMap;

use serde::Serialize;

use super::limits::BOARD_AGE_NS_MAX;
use super::{RankState, Sources};
use crate::newest::{NewestStep, StepTableView};
use crate::schema::{Engine, Freshness};

/// A copy of the tables that all readers share. A reader keeps one number,
/// the version that it saw last, whatever the number of ranks.
#[derive(Debug, Default)]
pub(super) struct Board {
    slots: Vec<Slot>,
    engines: HashMap<u64, Engine>,
    names_version: Option<u64>,
    version: u64,
    read_ns: u64,
}

/// What a cell of the table held when it was last read.
#[derive(Debug, Default)]
struct Slot {
    newest: Option<NewestStep>,
    freshness: Option<Freshness>,
    finished: u64,
    /// At this count of writes the cell looked empty: free, if it stays so,
    /// or disturbed by writes.
    empty_at: Option<u64>,
    version: u64,
}

/// A rank in its place on the board.
#[derive(Debug, Serialize)]
pub(super) struct PlacedRank {
    /// Stands for the rank while a stream lasts; used again for another only
    /// after this one was said to be gone, or with the other's first state.
    pub slot: usize,
    #[serde(flatten)]
    pub state: RankState,
}

/// What changed since a version.
#[derive(Debug)]
pub(super) struct Changes {
    pub ranks: Vec<PlacedRank>,
    pub gone: Vec<usize>,
}

impl Board {
    /// Reads what changed in the tables, unless that was just done.
    pub(super) fn refresh(&mut self, sources: &Sources, now_ns: u64) {
        if self.version > 0 && now_ns.saturating_sub(self.read_ns) < BOARD_AGE_NS_MAX {
            return;
        }
        self.read_ns = now_ns;
        self.version += 1;
        let renamed = self.read_names(sources);
        self.slots.resize_with(sources.steps.len(), Slot::default);
        for (index, slot) in self.slots.iter_mut().enumerate() {
            let read = slot.read(&sources.steps, index);
            let aged = slot.age(now_ns);
            if read || aged || (renamed && slot.newest.is_some()) {
                slot.version = self.version;
            }
        }
    }

    /// The version that a reader of everything has seen.
    pub(super) const fn version(&self) -> u64 {
        self.version
    }

    /// What changed after `seen`, as of `now_ns`. After 0, that is every rank.
    pub(super) fn changes(&self, seen: u64, now_ns: u64) -> Changes {
        let mut changes = Changes { ranks: Vec::new(), gone: Vec::new() };
        for (slot, held) in self.slots.iter().enumerate() {
            if held.version <= seen {
                continue;
            }
            match &held.newest {
                Some(newest) => {
                    let engine = self.engines.get(&newest.step.instance);
                    let state = RankState::of(newest, engine, now_ns);
                    changes.ranks.push(PlacedRank { slot, state });
                }
                None if seen > 0 => changes.gone.push(slot),
                None => {}
            }
        }
        changes
    }

    fn read_names(&mut self, sources: &Sources) -> bool {
        let version = sources.names.version();
        if self.names_version == Some(version) {
            return false;
        }
        self.names_version = Some(version);
        let engines = sources.names.engines().into_iter();
        self.engines = engines.map(|engine| (engine.instance, engine)).collect();
        true
    }
}

impl Slot {
    /// Takes over what the cell holds; whether that changed anything.
    fn read(&mut self, steps: &StepTableView, index: usize) -> bool {
        let finished = steps.finished(index);
        if finished == self.finished {
            return false;
        }
        match steps.read(index) {
            Some(newest) => {
                *self = Self { newest: Some(newest), finished, empty_at: None, ..*self };
                true
            }
            None if self.empty_at == Some(finished) => {
                let held = self.newest.take().is_some();
                *self = Self { freshness: None, finished, empty_at: None, ..*self };
                held
            }
            None => {
                self.empty_at = Some(finished);
                false
            }
        }
    }

    /// Whether time alone changed the state.
    fn age(&mut self, now_ns: u64) -> bool {
        let silence_ns = |newest: &NewestStep| now_ns.saturating_sub(newest.alive_ns);
        let newest = self.newest.as_ref();
        let freshness = newest.map(|newest| Freshness::of(&newest.step, silence_ns(newest)));
        std::mem::replace(&mut self.freshness, freshness) != freshness
    }
}

#[cfg(test)]
mod tests {
    use bytemuck::Zeroable;

    use super::super::tests::sources;
    use super::*;
    use crate::newest::{RankKey, StepTable};

    const MS: u64 = 1_000_000;

    fn newest(instance: u64, alive_ns: u64) -> NewestStep {
        let mut newest = NewestStep { alive_ns, ..NewestStep::zeroed() };
        (newest.step.instance, newest.step.ttl_ms) = (instance, 100);
        newest
    }

    fn seen(board: &Board, since: u64, now_ns: u64) -> (Vec<usize>, Vec<usize>) {
        let changes = board.changes(since, now_ns);
        (changes.ranks.iter().map(|rank| rank.slot).collect(), changes.gone)
    }

    #[test]
    fn a_reader_hears_what_changed_by_write_by_time_by_name_and_by_leaving() {
        let table = StepTable::heap(4);
        let sources = sources(&table);
        let (mut writer, mut board) = (table.writer(), Board::default());
        let mut look = |at_ms: u64, sources: &Sources| {
            let since = board.version();
            board.refresh(sources, at_ms * MS);
            seen(&board, since, at_ms * MS)
        };
        writer.write(&newest(1, 10 * MS));
        writer.write(&newest(2, 10 * MS));
        assert_eq!(look(10, &sources), (vec![0, 1], vec![]), "the first look sees all");
        assert_eq!(look(20, &sources), (vec![], vec![]));
        writer.write(&newest(2, 100 * MS));
        assert_eq!(look(100, &sources), (vec![1], vec![]), "a write");
        assert_eq!(look(115, &sources), (vec![0], vec![]), "a promise broken");
        sources.names.put_engine(Engine { instance: 1, ..Engine::named("a", "m") });
        assert_eq!(look(120, &sources), (vec![0, 1], vec![]), "a name");
        writer.forget(&RankKey { instance: 1, rank: 0, producer: 0 });
        assert_eq!(look(130, &sources), (vec![], vec![]), "perhaps only disturbed");
        assert_eq!(look(140, &sources), (vec![], vec![0]), "free indeed");
        assert_eq!(look(150, &sources), (vec![], vec![]));
        writer.write(&newest(3, 160 * MS));
        assert_eq!(look(160, &sources), (vec![0], vec![]), "its place is used again");
    }

    #[test]
    fn readers_that_come_together_share_one_reading() {
        let table = StepTable::heap(4);
        let sources = sources(&table);
        let (mut writer, mut board) = (table.writer(), Board::default());
        board.refresh(&sources, MS);
        writer.write(&newest(1, MS));
        board.refresh(&sources, 2 * MS);
        assert_eq!(board.version(), 1);
        board.refresh(&sources, MS + BOARD_AGE_NS_MAX);
        assert_eq!(seen(&board, 1, MS), (vec![0], vec![]));
    }
}
