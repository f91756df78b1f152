//! What a router holds: the newest values of every engine.

use std::ops::Deref;
use std::sync::Arc;

use crossbeam_channel::Receiver;

use super::changes::Changes;
use super::connect::Running;
use super::core::ViewCore;
use super::counts::Counts;
use super::instance::InstanceState;
use super::news::Told;
use super::pick::{Ask, NoPick, Pick, Score};
use super::policy::Policy;
use super::reservation::Reservation;
use super::shared::{Detail, NO_CELL, Shared};
use super::state::{RankId, RankState};
use crate::newest::{Disturbed, ReadingTableView};
use crate::platform::atomic::Ordering;
use crate::platform::clock::monotonic_ns;
use crate::schema::{Assessment, Device, Engine, Event, Verdict};

/// A picture of all engines that keeps itself up to date.
///
/// Clones are cheap and show the same; any thread may read. Reading never
/// blocks and allocates nothing once a thread has read before; what it costs is
/// bounded however often the engines report. When the last clone is dropped the
/// connection behind it is closed.
#[derive(Debug, Clone)]
pub struct View {
    pub(super) shared: Arc<Shared>,
    _running: Option<Arc<Running>>,
}

/// Every rank at one instant, in no order. Keep it from one scan to the next:
/// it keeps its memory, and the copies to fall back on.
#[derive(Debug, Clone, Default)]
pub struct Ranks {
    states: Vec<RankState>,
    before: Vec<RankState>,
    /// Cells that could not be had whole and of which no earlier copy was at
    /// hand.
    pub missed: u32,
    /// This host's `CLOCK_MONOTONIC` at the scan, ns.
    pub at_ns: u64,
}

impl Deref for Ranks {
    type Target = [RankState];

    fn deref(&self) -> &[RankState] {
        &self.states
    }
}

impl View {
    /// A reading end of a core that the caller feeds.
    #[must_use]
    pub fn of(core: &ViewCore) -> Self {
        Self { shared: Arc::clone(core.shared()), _running: None }
    }

    pub(super) fn running(mut self, running: Running) -> Self {
        self._running = Some(Arc::new(running));
        self
    }

    /// Every rank. Allocates; [`Self::scan`] does not.
    #[must_use]
    pub fn ranks(&self) -> Ranks {
        let mut ranks = Ranks::default();
        self.scan(&mut ranks);
        ranks
    }

    /// Brings `into` to now: about 20 ns a rank.
    pub fn scan(&self, into: &mut Ranks) {
        self.scan_at(monotonic_ns(), into);
    }

    /// As [`Self::scan`], at an instant of the caller's.
    pub fn scan_at(&self, now_ns: u64, into: &mut Ranks) {
        let Ranks { states, before, missed, at_ns } = into;
        std::mem::swap(states, before);
        states.clear();
        (*missed, *at_ns) = (0, now_ns);
        let mut disturbed_cells = 0;
        let states = std::cell::RefCell::new(states);
        self.shared.each_rank(
            now_ns,
            Detail::Whole,
            |cell| match before.iter().find(|state| state.cell == cell) {
                Some(state) => states.borrow_mut().push(self.previous(*state, now_ns)),
                None => disturbed_cells += 1,
            },
            |state| states.borrow_mut().push(*state),
        );
        *missed = disturbed_cells;
    }

    /// One rank. Looks through all; [`Self::refresh`] looks where it was.
    #[must_use]
    pub fn rank(&self, id: RankId) -> Option<RankState> {
        self.shared.rank(id, monotonic_ns())
    }

    /// Brings one rank to now. Returns false, and leaves it, when it is not
    /// there any more.
    pub fn refresh(&self, state: &mut RankState) -> bool {
        let now_ns = monotonic_ns();
        if state.cell != NO_CELL {
            match self.shared.rank_in(state.cell, now_ns) {
                Ok(Some(found)) if found.id == state.id => {
                    *state = found;
                    return true;
                }
                Err(Disturbed) => {
                    *state = self.previous(*state, now_ns);
                    return true;
                }
                Ok(_) => {}
            }
        }
        let found = self.shared.rank(state.id, now_ns);
        if let Some(found) = found {
            *state = found;
        }
        found.is_some()
    }

    /// All ranks of one instance together, as [`super::instance`] says. Looks
    /// through all; allocates.
    #[must_use]
    pub fn instance(&self, instance: u64) -> Option<InstanceState> {
        let mut ranks = self.ranks();
        ranks.states.retain(|state| state.id.instance == instance);
        super::instance::instance(&ranks)
    }

    fn previous(&self, mut state: RankState, now_ns: u64) -> RankState {
        state.previous = true;
        state.age(now_ns, &self.shared.patience);
        self.shared.add_ours(&mut state);
        state
    }

    /// The names, model and endpoint behind an instance. Waits for nobody: the
    /// map is swapped whole when names change.
    #[must_use]
    pub fn engine(&self, instance: u64) -> Option<Arc<Engine>> {
        self.shared.board.names.load().engines.get(&instance).cloned()
    }

    /// The name behind a node's hash.
    #[must_use]
    pub fn node(&self, node: u64) -> Option<Arc<str>> {
        self.shared.board.names.load().nodes.get(&node).cloned()
    }

    /// The names behind a node's device.
    #[must_use]
    pub fn device(&self, node: u64, index: u32) -> Option<Arc<Device>> {
        self.shared.board.names.load().devices.get(&(node, index)).cloned()
    }

    /// Every device of every node with its node's hash. Allocates.
    #[must_use]
    pub fn devices(&self) -> Vec<(u64, Arc<Device>)> {
        let names = self.shared.board.names.load();
        names.devices.iter().map(|((node, _), device)| (*node, Arc::clone(device))).collect()
    }

    /// How well a device (`device`) or a node (`node`) is, by the word of its
    /// node's judge; nothing where nobody judges it.
    #[must_use]
    pub fn assessment(&self, node: u64, kind: &str, subject: &str) -> Option<Arc<Assessment>> {
        self.shared.board.health.load().other(node, kind, subject)
    }

    /// The newest readings of this host, where the view is a local agent's.
    #[must_use]
    pub fn readings(&self) -> Option<Arc<ReadingTableView>> {
        self.shared.readings.load_full()
    }

    /// Whether a connection stands.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.shared.connected.load(Ordering::Acquire)
    }

    /// Whether everybody heard since the connection was made has told its
    /// whole state: from then on a rank that is not here is not there.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.shared.complete.load(Ordering::Acquire)
    }

    /// What happens from here on, one entry a rank until it is taken.
    #[must_use]
    pub fn changes(&self) -> Changes {
        self.shared.changes.subscribe(self.shared.ranks_max)
    }

    /// Events from here on, each once. What is left unread beyond
    /// [`super::NEWS_QUEUE_MAX`] is dropped, the newest first, and counted.
    #[must_use]
    pub fn events(&self) -> Receiver<Told<Event>> {
        self.shared.board.events()
    }

    /// Verdicts from here on, each revision once; bounded as events are.
    #[must_use]
    pub fn verdicts(&self) -> Receiver<Told<Verdict>> {
        self.shared.board.verdicts()
    }

    /// What became of everything that came in.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.shared.counters.read()
    }

    /// Dispatches that the ledger had no place for.
    #[must_use]
    pub fn unplaced(&self) -> u64 {
        self.shared.ledger.unplaced()
    }

    /// Chooses a rank for a request. Allocates nothing.
    ///
    /// # Errors
    ///
    /// When no rank may be chosen; the error says how many were left out, and
    /// why.
    pub fn pick(&self, ask: &Ask<'_>, policy: &Policy, score: &Score<'_>) -> Result<Pick, NoPick> {
        self.pick_at(monotonic_ns(), ask, policy, score)
    }

    /// As [`Self::pick`], at an instant of the caller's.
    ///
    /// # Errors
    ///
    /// As [`Self::pick`].
    pub fn pick_at(
        &self,
        now_ns: u64,
        ask: &Ask<'_>,
        policy: &Policy,
        score: &Score<'_>,
    ) -> Result<Pick, NoPick> {
        super::pick::pick(&self.shared, now_ns, ask, policy, score)
    }

    /// Chooses a rank and counts the request as in flight there until the
    /// reservation is dropped.
    ///
    /// # Errors
    ///
    /// As [`Self::pick`].
    pub fn reserve(
        &self,
        ask: &Ask<'_>,
        policy: &Policy,
        score: &Score<'_>,
    ) -> Result<Reservation, NoPick> {
        let pick = self.pick(ask, policy, score)?;
        Ok(self.reserve_picked(pick, ask.prompt_tokens))
    }

    /// Counts a request as in flight at a rank already picked.
    pub fn reserve_picked(&self, pick: Pick, prompt_tokens: u32) -> Reservation {
        Reservation::new(Arc::clone(&self.shared.ledger), pick, prompt_tokens)
    }
}

#[cfg(all(test, not(miri)))]
mod tests {
    use super::*;
    use crate::client::ViewSettings;
    use crate::newest::{NewestStep, StepTable};
    use bytemuck::Zeroable;

    fn newest(sequence: u64) -> NewestStep {
        let mut newest: NewestStep = bytemuck::cast([sequence; size_of::<NewestStep>() / 8]);
        (newest.step.producers, newest.step.producer) = (1, 0);
        (newest.step.instance, newest.step.rank) = (1, 0);
        newest
    }

    #[test]
    fn what_is_read_while_a_thread_writes_is_whole_or_the_copy_before() {
        let core = ViewCore::new(ViewSettings::default());
        let view = View::of(&core);
        let table = StepTable::heap(1);
        core.shared().table.store(Arc::new(super::super::brief::Numbered::new(table.view())));
        let mut writer = table.writer();
        writer.write(&newest(1));
        let mut ranks = Ranks::default();
        view.scan_at(0, &mut ranks);
        std::thread::scope(|scope| {
            scope.spawn(move || {
                (1..=200_000).for_each(|sequence| {
                    writer.write(&newest(sequence)).expect("its own cell");
                });
                std::mem::forget(writer);
            });
            let mut last = 1;
            while last < 200_000 {
                view.scan_at(0, &mut ranks);
                let state = ranks.first().expect("there is always a copy to fall back on");
                let step = &state.step;
                let words = [step.sequence, step.steps, step.finished, state.lost];
                assert!(words.iter().all(|word| *word == words[0]), "torn: {words:?}");
                assert!(words[0] >= last, "went back");
                last = words[0];
                std::thread::yield_now();
            }
        });
    }

    #[test]
    fn a_copy_fallen_back_on_says_so_and_has_its_true_age() {
        let core = ViewCore::new(ViewSettings::default());
        let view = View::of(&core);
        let mut newest = NewestStep::zeroed();
        newest.alive_ns = 100;
        let state = RankState::of(&newest, 110, &core.shared().patience);
        let previous = view.previous(state, 150);
        assert!(previous.previous && !state.previous);
        assert_eq!((state.silence_ns, previous.silence_ns), (10, 50));
    }
}
