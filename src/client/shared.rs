//! What the writing side of a view and its readers share.

use std::cell::Cell;
use std::sync::Arc;

use arc_swap::{ArcSwap, ArcSwapOption};

use super::brief::Numbered;
use super::changes::ChangeFan;
use super::core::ViewSettings;
use super::counts::Counters;
use super::ledger::Ledger;
use super::merge::merge;
use super::news::Board;
use super::state::{Patience, RankId, RankState};
use crate::newest::{Disturbed, Life, NewestStep, ReadingTableView, StepTableView};
use crate::platform::atomic::AtomicBool;

#[derive(Debug)]
pub(super) struct Shared {
    /// Swapped when a local agent comes back with another table.
    pub(super) table: ArcSwap<Numbered>,
    pub(super) readings: ArcSwapOption<ReadingTableView>,
    pub(super) board: Arc<Board>,
    pub(super) changes: ChangeFan,
    pub(super) counters: Counters,
    pub(super) ledger: Arc<Ledger>,
    pub(super) patience: Patience,
    pub(super) ranks_max: usize,
    pub(super) connected: AtomicBool,
    pub(super) complete: AtomicBool,
}

/// How much of each rank to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Detail {
    /// All of it.
    Whole,
    /// All but the cumulative counters.
    Glance,
}

/// The cell of a rank that stands in several.
pub(super) const NO_CELL: u32 = u32::MAX;

thread_local! {
    /// Records of ranks with several producers while a thread puts them
    /// together; kept so that reading allocates nothing once it is warm.
    static RECORDS: Cell<Vec<NewestStep>> = const { Cell::new(Vec::new()) };
}

impl Shared {
    pub(super) fn new(table: StepTableView, settings: &ViewSettings) -> Self {
        Self {
            table: ArcSwap::from_pointee(Numbered::new(table)),
            readings: ArcSwapOption::empty(),
            board: Arc::default(),
            changes: ChangeFan::default(),
            counters: Counters::default(),
            ledger: Arc::new(Ledger::new(settings.ranks_max)),
            patience: settings.patience,
            ranks_max: settings.ranks_max,
            connected: AtomicBool::new(false),
            complete: AtomicBool::new(false),
        }
    }

    /// Calls `each` with every rank as it stands at `now_ns`, and `disturbed`
    /// with every cell that could not be had whole. At a glance, counters are
    /// unknown.
    pub(super) fn each_rank(
        &self,
        now_ns: u64,
        detail: Detail,
        mut disturbed: impl FnMut(u32),
        mut each: impl FnMut(&mut RankState),
    ) {
        let table = self.table.load();
        let health = self.board.health.load();
        let mut records = RECORDS.take();
        records.clear();
        // One picture on the stack serves all: reading copies words into it
        // and nothing is moved.
        let (mut state, mut life) = (RankState::blank(), Life::default());
        for cell in 0..table.len() {
            let looked = match detail {
                Detail::Whole => table.look(cell, &mut state.step, &mut life),
                Detail::Glance => table.glance(cell, &mut state.step, &mut life),
            };
            match looked {
                Ok(false) => {}
                Err(Disturbed) => disturbed(cell as u32),
                Ok(true) if state.step.producers > 1 => {
                    let Life { heard_ns, alive_ns, error_ns, lost } = life;
                    let step = state.step;
                    records.push(NewestStep { step, heard_ns, alive_ns, error_ns, lost });
                }
                Ok(true) => {
                    state.cell = cell as u32;
                    state.derive(&life, now_ns, &self.patience);
                    state.health = health.engine(state.id.instance);
                    self.add_ours(&mut state);
                    each(&mut state);
                }
            }
        }
        let key = |record: &NewestStep| (record.step.instance, record.step.rank);
        records.sort_unstable_by_key(key);
        for group in records.chunk_by_mut(|a, b| key(a) == key(b)) {
            let mut state = merge(group, now_ns, &self.patience);
            state.cell = NO_CELL;
            state.health = health.engine(state.id.instance);
            self.add_ours(&mut state);
            each(&mut state);
        }
        RECORDS.set(records);
    }

    /// The rank in `cell`, if it is there alone.
    pub(super) fn rank_in(&self, cell: u32, now_ns: u64) -> Result<Option<RankState>, Disturbed> {
        let table = self.table.load();
        if cell as usize >= table.len() {
            return Ok(None);
        }
        let (mut state, mut life) = (RankState::blank(), Life::default());
        let is_here = table.look(cell as usize, &mut state.step, &mut life)?;
        if !is_here || state.step.producers > 1 {
            return Ok(None);
        }
        state.cell = cell;
        state.derive(&life, now_ns, &self.patience);
        state.health = self.board.health.load().engine(state.id.instance);
        self.add_ours(&mut state);
        Ok(Some(state))
    }

    pub(super) fn rank(&self, id: RankId, now_ns: u64) -> Option<RankState> {
        let mut found = None;
        self.each_rank(
            now_ns,
            Detail::Whole,
            |_| {},
            |state| {
                if state.id == id {
                    found = Some(*state);
                }
            },
        );
        found
    }

    pub(super) fn add_ours(&self, state: &mut RankState) {
        let owed = self.ledger.owed(state.id, state.sampled_ns, state.error_ns);
        state.in_flight = owed.in_flight;
        state.unaccounted = owed.unaccounted;
        state.unaccounted_tokens = owed.unaccounted_tokens;
    }
}
