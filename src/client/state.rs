//! One rank as a router sees it: numbers, their age, and what they mean.

use bytemuck::Zeroable;

use crate::newest::{Life, NewestStep};
use crate::platform::clock::SECOND_NS;
use crate::schema::{Activity, Field, Freshness, Health, StepCore};

/// One data-parallel rank of one engine instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RankId {
    /// Hash of the engine's name.
    pub instance: u64,
    /// Data-parallel rank.
    pub rank: u16,
}

/// One rank: the newest numbers of all its producers, and their age.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RankState {
    /// Which rank.
    pub id: RankId,
    /// The newest step; of several producers, as [`super::merge`] says.
    pub step: StepCore,
    /// Since the step ended, ns, within `error_ns`.
    pub age_ns: u64,
    /// Since the last sign of life, ns, within `error_ns`.
    pub silence_ns: u64,
    /// Bound on the error of `age_ns` and `silence_ns`, ns.
    pub error_ns: u64,
    /// Steps that never came here.
    pub lost: u64,
    /// Producers whose records are in this picture.
    pub producers: u16,
    /// How recently it was heard.
    pub freshness: Freshness,
    /// What it was doing when it was last heard.
    pub activity: Activity,
    /// What is known of its hardware.
    pub health: Health,
    /// The newest values could not be had whole: these are the ones before,
    /// with their true age.
    pub previous: bool,
    /// Requests that this process has in flight there.
    pub in_flight: u32,
    /// Those among them that the engine's own numbers cannot include yet.
    pub unaccounted: u32,
    /// Prompt tokens of those, as given at `reserve`, without those whose
    /// first token came.
    pub unaccounted_tokens: u64,
    /// This host's `CLOCK_MONOTONIC` when the step ended, ns.
    pub sampled_ns: u64,
    /// This host's `CLOCK_MONOTONIC` at the last sign of life, ns.
    pub alive_ns: u64,
    /// The cell it was read from, to look there first.
    pub(super) cell: u32,
}

/// How long a silence means what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// Silence after which a rank is gone, ns.
    pub gone_ns: u64,
}

impl Default for Patience {
    fn default() -> Self {
        Self { gone_ns: 30 * SECOND_NS }
    }
}

impl RankState {
    /// A picture to be filled in.
    pub(super) fn blank() -> Self {
        Self {
            id: RankId { instance: 0, rank: 0 },
            step: StepCore::zeroed(),
            age_ns: 0,
            silence_ns: 0,
            error_ns: 0,
            lost: 0,
            producers: 1,
            freshness: Freshness::Gone,
            activity: Activity::Unknown,
            health: Health::Unknown,
            previous: false,
            in_flight: 0,
            unaccounted: 0,
            unaccounted_tokens: 0,
            sampled_ns: 0,
            alive_ns: 0,
            cell: 0,
        }
    }

    /// The picture of one producer's record at `now_ns`.
    #[must_use]
    pub fn of(newest: &NewestStep, now_ns: u64, patience: &Patience) -> Self {
        let NewestStep { step, heard_ns, alive_ns, error_ns, lost } = *newest;
        let mut state = Self { step, ..Self::blank() };
        state.derive(&Life { heard_ns, alive_ns, error_ns, lost }, now_ns, patience);
        state
    }

    /// Fills in what follows from the step and its life.
    pub(super) fn derive(&mut self, life: &Life, now_ns: u64, patience: &Patience) {
        let step = &self.step;
        let idle_ns = step.heartbeat_ns.saturating_sub(step.monotonic_ns);
        self.id = RankId { instance: step.instance, rank: step.rank };
        self.error_ns = life.error_ns.saturating_add(u64::from(step.clock_error_ns));
        self.lost = life.lost;
        self.activity = Activity::of(step);
        self.sampled_ns = life.alive_ns.saturating_sub(idle_ns);
        self.alive_ns = life.alive_ns;
        self.age(now_ns, patience);
    }

    /// Brings the ages and the freshness to `now_ns`.
    pub(super) fn age(&mut self, now_ns: u64, patience: &Patience) {
        self.age_ns = now_ns.saturating_sub(self.sampled_ns);
        self.silence_ns = now_ns.saturating_sub(self.alive_ns);
        self.freshness = freshness_of(&self.step, self.silence_ns, patience);
    }

    /// A gauge or counter, or nothing where it was not measured.
    #[must_use]
    pub fn value(&self, field: Field) -> Option<f64> {
        self.step.value(field)
    }

    /// Requests running, waiting and deferred at the engine, with ours that it
    /// cannot have counted yet; nothing where running or waiting is unknown.
    #[must_use]
    pub fn requests(&self) -> Option<u64> {
        let step = &self.step;
        let known = step.known(Field::Running) && step.known(Field::Waiting);
        let deferred = if step.known(Field::Deferred) { step.deferred } else { 0 };
        known.then(|| {
            u64::from(step.running)
                + u64::from(step.waiting)
                + u64::from(deferred)
                + u64::from(self.unaccounted)
        })
    }
}

/// How fresh a producer is after a silence.
#[must_use]
pub(super) fn freshness_of(step: &StepCore, silence_ns: u64, patience: &Patience) -> Freshness {
    if silence_ns > patience.gone_ns { Freshness::Gone } else { Freshness::of(step, silence_ns) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::clock::MILLISECOND_NS;
    use crate::schema::Flag;

    const MS: u64 = MILLISECOND_NS;

    #[test]
    fn freshness_follows_the_silence_and_the_promise() {
        for (ttl_ms, silence_ns, expected) in [
            (100, 100 * MS, Freshness::Fresh),
            (100, 100 * MS + 1, Freshness::Stale),
            (100, 300 * MS, Freshness::Stale),
            (100, 300 * MS + 1, Freshness::Silent),
            (0, 1_000 * MS, Freshness::Fresh),
            (0, 1_001 * MS, Freshness::Stale),
            (100, 30_001 * MS, Freshness::Gone),
            (u32::MAX, 30_001 * MS, Freshness::Gone),
        ] {
            let step = StepCore { ttl_ms, ..StepCore::zeroed() };
            let found = freshness_of(&step, silence_ns, &Patience::default());
            assert_eq!(found, expected, "{ttl_ms} {silence_ns}");
        }
        let mut step = StepCore::zeroed();
        step.raise(Flag::Goodbye);
        assert_eq!(freshness_of(&step, 0, &Patience::default()), Freshness::Gone);
    }

    #[test]
    fn activity_is_known_only_from_what_was_said() {
        let step = |running: Option<u32>, waiting: Option<u32>, flags: &[Flag]| {
            let mut step = StepCore::zeroed();
            flags.iter().for_each(|flag| step.raise(*flag));
            if let Some(running) = running {
                step.running = running;
                step.mark(Field::Running);
            }
            if let Some(waiting) = waiting {
                step.waiting = waiting;
                step.mark(Field::Waiting);
            }
            Activity::of(&step)
        };
        assert_eq!(step(None, None, &[]), Activity::Unknown);
        assert_eq!(step(Some(0), None, &[]), Activity::Unknown);
        assert_eq!(step(Some(0), Some(0), &[]), Activity::Idle);
        assert_eq!(step(None, Some(1), &[]), Activity::Busy);
        assert_eq!(step(Some(1), Some(0), &[]), Activity::Busy);
        assert_eq!(step(Some(1), Some(0), &[Flag::Draining]), Activity::Draining);
        assert_eq!(step(Some(1), Some(0), &[Flag::Warming]), Activity::Warming);
        assert_eq!(step(Some(1), Some(0), &[Flag::Draining, Flag::Asleep]), Activity::Asleep);
    }

    #[test]
    fn the_age_of_a_step_counts_the_heartbeats_since() {
        let mut newest = NewestStep::zeroed();
        newest.step.monotonic_ns = 1_000;
        newest.step.heartbeat_ns = 1_700;
        newest.step.clock_error_ns = 5;
        newest.alive_ns = 10_000;
        newest.error_ns = 3;
        let state = RankState::of(&newest, 10_100, &Patience::default());
        assert_eq!((state.age_ns, state.silence_ns, state.error_ns), (800, 100, 8));
    }
}
