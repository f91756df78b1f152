//! What the built-in scores need of a rank, kept by each thread that chooses.
//!
//! A cell says how often it was written. While that number stands, what was
//! read of it stands too, and a choice among a thousand ranks reads a thousand
//! numbers instead of a thousand records. When every cell was written since,
//! the choice costs what reading them all does, and no more.

use std::cell::Cell;

use super::shared::Shared;
use super::state::{RankId, RankState};
use crate::newest::{Disturbed, Life, StepTableView};
use crate::platform::atomic::{AtomicU64, Ordering};
use crate::schema::{Activity, Field, Flag};

/// A table with a number that no other has had, by which what was kept of it
/// is known.
#[derive(Debug)]
pub(super) struct Numbered {
    number: u64,
    view: StepTableView,
}

/// How much work a rank has by its engine's own word.
#[derive(Debug, Clone, Copy)]
pub(super) struct Load {
    /// Running, waiting and deferred.
    pub(super) requests: u64,
    pub(super) waiting: u32,
    /// Waiting and pending prompt tokens, where known.
    pub(super) tokens: u64,
    pub(super) kv_usage: f32,
}

/// A rank that stands alone in its cell, whose load is known, and which takes
/// requests as far as it said.
#[derive(Debug, Clone, Copy)]
pub(super) struct Brief {
    pub(super) id: RankId,
    pub(super) model: u64,
    pub(super) sampled_ns: u64,
    pub(super) alive_ns: u64,
    pub(super) error_ns: u64,
    pub(super) ttl_ns: u64,
    pub(super) load: Load,
}

#[derive(Debug, Default)]
struct Kept {
    number: u64,
    cells: Vec<(u64, Found)>,
}

#[derive(Debug, Clone, Copy)]
enum Found {
    Free,
    Plain(Brief),
    /// To be looked at in full each time.
    Other,
}

thread_local! {
    static KEPT: Cell<Kept> = const { Cell::new(Kept { number: 0, cells: Vec::new() }) };
}

impl Numbered {
    pub(super) fn new(view: StepTableView) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self { number: NEXT.fetch_add(1, Ordering::Relaxed), view }
    }
}

impl std::ops::Deref for Numbered {
    type Target = StepTableView;

    fn deref(&self) -> &StepTableView {
        &self.view
    }
}

impl Load {
    /// Nothing where running or waiting is unknown.
    pub(super) fn of(state: &RankState) -> Option<Self> {
        let step = &state.step;
        let known = |field, count: u32| if step.known(field) { u64::from(count) } else { 0 };
        (step.known(Field::Running) && step.known(Field::Waiting)).then(|| Self {
            requests: u64::from(step.running)
                + u64::from(step.waiting)
                + known(Field::Deferred, step.deferred),
            waiting: step.waiting,
            tokens: known(Field::WaitingTokens, step.waiting_tokens)
                + known(Field::PendingTokens, step.pending_tokens),
            kv_usage: if step.known(Field::KvUsage) { step.kv_usage } else { 0.0 },
        })
    }
}

impl Found {
    fn of(state: &RankState) -> Self {
        let takes = matches!(state.activity, Activity::Busy | Activity::Idle)
            && !state.step.has(Flag::Goodbye)
            && state.step.producers <= 1;
        match Load::of(state) {
            Some(load) if takes => Self::Plain(Brief {
                id: state.id,
                model: state.step.model,
                sampled_ns: state.sampled_ns,
                alive_ns: state.alive_ns,
                error_ns: state.error_ns,
                ttl_ns: state.step.ttl_ns(),
                load,
            }),
            _ => Self::Other,
        }
    }
}

/// Calls `each` with every cell in use and its brief, or none where the cell
/// must be looked at in full, until `each` says that it cannot go on. Returns
/// whether it went through.
pub(super) fn each_brief(
    shared: &Shared,
    mut each: impl FnMut(u32, Option<&Brief>) -> bool,
) -> bool {
    let table = shared.table.load();
    let mut kept = KEPT.take();
    if kept.number != table.number {
        kept.number = table.number;
        kept.cells.clear();
    }
    kept.cells.resize(table.len(), (0, Found::Free));
    let mut goes_on = true;
    for (cell, (finished, found)) in kept.cells.iter_mut().enumerate() {
        // Before the value: if it is written in between, the number is not
        // that of the value, and the next look reads it again.
        let now_finished = table.finished(cell);
        if *finished != now_finished {
            match read(shared, &table, cell) {
                Ok(read) => (*finished, *found) = (now_finished, read),
                Err(Disturbed) => (*finished, *found) = (0, Found::Other),
            }
        }
        goes_on = match found {
            Found::Free => true,
            Found::Plain(brief) => each(cell as u32, Some(brief)),
            Found::Other => each(cell as u32, None),
        };
        if !goes_on {
            break;
        }
    }
    KEPT.set(kept);
    goes_on
}

fn read(shared: &Shared, table: &StepTableView, cell: usize) -> Result<Found, Disturbed> {
    let (mut state, mut life) = (RankState::blank(), Life::default());
    if !table.glance(cell, &mut state.step, &mut life)? {
        return Ok(Found::Free);
    }
    state.derive(&life, life.alive_ns, &shared.patience);
    Ok(Found::of(&state))
}
