//! Which steps of a door are believed, and the newest of each of its ranks.

use std::collections::HashMap;

use crate::newest::{NewestStep, RankKey};
use crate::platform::clock::SECOND_NS;
use crate::schema::{Field, Flag, StepCore};

use super::counts::{DoorCounts, add};

/// Ranks times producers that one door may have.
pub const RANKS_MAX: usize = 1024;

/// One past the highest rank.
const RANK_END: u16 = 4096;

/// Most front ends of one rank.
const PRODUCERS_MAX: u16 = 256;

/// How far ahead of our clock a step may be: both read the same clock, so this
/// only forgives clocks that a virtual machine moves apart.
pub(super) const AHEAD_NS_MAX: u64 = SECOND_NS;

/// The flags that say what the producer is up to, as its heartbeat may tell
/// when no step does. The others say how a step's values were had.
const STATE_FLAGS: u32 = Flag::Draining.bit()
    | Flag::Asleep.bit()
    | Flag::Warming.bit()
    | Flag::Goodbye.bit()
    | Flag::Simulated.bit();

/// Those that no heartbeat takes back: a goodbye is the last word of an
/// incarnation, and what is simulated never becomes real.
const LASTING_FLAGS: u32 = Flag::Goodbye.bit() | Flag::Simulated.bit();

/// Why a whole step is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// Of another engine or incarnation than its door's.
    Foreign,
    /// Its values contradict themselves.
    Malformed,
    /// From more than a second ahead.
    Future,
    /// It came before.
    Duplicate,
    /// A later one came before.
    Reordered,
    /// The door has [`RANKS_MAX`] ranks already.
    Ranks,
}

impl Refused {
    pub(super) fn count(self, counts: &DoorCounts) {
        let count = match self {
            Self::Foreign => &counts.foreign,
            Self::Malformed => &counts.malformed,
            Self::Future => &counts.future,
            Self::Duplicate => &counts.duplicate,
            Self::Reordered => &counts.reordered,
            Self::Ranks => &counts.ranks_refused,
        };
        add(count, 1);
    }
}

/// One producer of one rank, as this door tells of it.
#[derive(Debug, Clone, Copy)]
pub struct Rank {
    /// Its newest step.
    pub newest: NewestStep,
    /// Our clock when something of it last went into the ring, ns.
    pub pushed_ns: u64,
    /// Whether another incarnation took the rank over.
    pub superseded: bool,
}

/// The ranks of one door.
#[derive(Debug)]
pub struct Ranks {
    instance: u64,
    incarnation: u64,
    list: Vec<Rank>,
    index: HashMap<(u16, u16), usize>,
    last: usize,
}

impl Ranks {
    /// No rank yet, of the engine that the door's header names.
    #[must_use]
    pub fn new(instance: u64, incarnation: u64) -> Self {
        Self { instance, incarnation, list: Vec::new(), index: HashMap::new(), last: 0 }
    }

    /// Every rank.
    pub fn iter_mut(&mut self) -> std::slice::IterMut<'_, Rank> {
        self.list.iter_mut()
    }

    /// Every rank.
    pub fn iter(&self) -> std::slice::Iter<'_, Rank> {
        self.list.iter()
    }

    /// The rank with this key.
    pub fn rank_mut(&mut self, key: &RankKey) -> Option<&mut Rank> {
        let index = *self.index.get(&(key.rank, key.producer))?;
        self.list.get_mut(index)
    }

    /// Believes a step, or says why not. Returns the rank that it made newer,
    /// and whether it is the rank's first. Allocates only for a new rank.
    ///
    /// # Errors
    ///
    /// When the step is not to be believed; its rank is as it was.
    pub fn admit(&mut self, step: &StepCore, now_ns: u64) -> Result<(&mut Rank, bool), Refused> {
        self.check(step, now_ns)?;
        let (index, first) = match self.find(step.rank, step.producer) {
            Some(index) => (index, false),
            None => (self.add(step)?, true),
        };
        self.last = index;
        let rank = &mut self.list[index];
        let before = rank.newest.step.sequence;
        if !first {
            match step.sequence {
                sequence if sequence == before => return Err(Refused::Duplicate),
                sequence if sequence < before => return Err(Refused::Reordered),
                _ => {}
            }
            let gap = step.sequence - before - 1;
            rank.newest.lost = rank.newest.lost.saturating_add(gap);
        }
        let heartbeat_ns = rank.newest.step.heartbeat_ns;
        rank.newest.step = *step;
        // A sign of life from the future is none; one that a heartbeat told
        // before stays.
        let told_ns = if step.heartbeat_ns > now_ns + AHEAD_NS_MAX { 0 } else { step.heartbeat_ns };
        rank.newest.step.heartbeat_ns = step.monotonic_ns.max(told_ns).max(heartbeat_ns);
        rank.newest.heard_ns = now_ns;
        rank.newest.alive_ns = rank.newest.step.heartbeat_ns;
        rank.newest.error_ns = u64::from(step.clock_error_ns);
        Ok((rank, first))
    }

    fn check(&self, step: &StepCore, now_ns: u64) -> Result<(), Refused> {
        if (step.instance, step.incarnation) != (self.instance, self.incarnation) {
            return Err(Refused::Foreign);
        }
        let numbers = [
            (Field::KvUsage, step.kv_usage),
            (Field::PrefillRate, step.prefill_tokens_per_second),
            (Field::DecodeRate, step.decode_tokens_per_second),
        ];
        let well_formed = step.sequence != 0
            && step.rank < RANK_END
            && step.producer < step.producers
            && step.producers <= PRODUCERS_MAX
            && numbers.iter().all(|(field, number)| !step.known(*field) || number.is_finite());
        if !well_formed {
            return Err(Refused::Malformed);
        }
        if step.monotonic_ns > now_ns + AHEAD_NS_MAX {
            return Err(Refused::Future);
        }
        Ok(())
    }

    fn find(&self, rank: u16, producer: u16) -> Option<usize> {
        let is_last = self.list.get(self.last).is_some_and(|last| {
            (last.newest.step.rank, last.newest.step.producer) == (rank, producer)
        });
        if is_last {
            return Some(self.last);
        }
        self.index.get(&(rank, producer)).copied()
    }

    fn add(&mut self, step: &StepCore) -> Result<usize, Refused> {
        if self.list.len() >= RANKS_MAX {
            return Err(Refused::Ranks);
        }
        let newest = NewestStep { step: *step, heard_ns: 0, alive_ns: 0, error_ns: 0, lost: 0 };
        self.list.push(Rank { newest, pushed_ns: 0, superseded: false });
        self.index.insert((step.rank, step.producer), self.list.len() - 1);
        Ok(self.list.len() - 1)
    }
}

impl Rank {
    /// Takes in a sign of life at `monotonic_ns`; returns whether it is news.
    pub fn beat(&mut self, monotonic_ns: u64, flags: u32, now_ns: u64) -> bool {
        let step = &mut self.newest.step;
        if monotonic_ns <= step.heartbeat_ns {
            return false;
        }
        step.heartbeat_ns = monotonic_ns;
        if monotonic_ns > step.monotonic_ns {
            let kept = step.flags & (!STATE_FLAGS | LASTING_FLAGS);
            step.flags = kept | flags & STATE_FLAGS;
            step.raise(Flag::Heartbeat);
        }
        self.newest.alive_ns = monotonic_ns;
        self.newest.heard_ns = now_ns;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytemuck::Zeroable;

    const NOW_NS: u64 = 100 * SECOND_NS;

    fn step(sequence: u64) -> StepCore {
        let monotonic_ns = NOW_NS - 5;
        StepCore {
            instance: 1,
            incarnation: 2,
            producers: 1,
            sequence,
            monotonic_ns,
            ..StepCore::zeroed()
        }
    }

    #[test]
    fn a_step_is_believed_only_when_everything_it_says_can_be() {
        let good = step(9);
        let mut kv = StepCore { kv_usage: f32::NAN, ..good };
        let mut ranks = Ranks::new(1, 2);
        ranks.admit(&step(5), NOW_NS).unwrap();
        assert!(ranks.admit(&StepCore { sequence: 6, ..kv }, NOW_NS).is_ok(), "it is unknown");
        kv.mark(Field::KvUsage);
        for (input, expected) in [
            (StepCore { instance: 3, ..good }, Refused::Foreign),
            (StepCore { incarnation: 3, ..good }, Refused::Foreign),
            (StepCore { sequence: 0, ..good }, Refused::Malformed),
            (StepCore { rank: 4096, ..good }, Refused::Malformed),
            (StepCore { producer: 1, ..good }, Refused::Malformed),
            (StepCore { producers: 0, ..good }, Refused::Malformed),
            (StepCore { producers: 257, ..good }, Refused::Malformed),
            (kv, Refused::Malformed),
            (StepCore { monotonic_ns: NOW_NS + SECOND_NS + 1, ..good }, Refused::Future),
            (StepCore { sequence: 6, ..good }, Refused::Duplicate),
            (StepCore { sequence: 4, ..good }, Refused::Reordered),
        ] {
            assert_eq!(ranks.admit(&input, NOW_NS).err(), Some(expected), "{input:?}");
        }
        assert!(ranks.admit(&good, NOW_NS).is_ok());
    }

    #[test]
    fn a_gap_in_the_sequence_is_a_loss_and_a_late_start_is_none() {
        let mut ranks = Ranks::new(1, 2);
        for (sequence, lost) in [(100, 0), (101, 0), (104, 2), (105, 2), (107, 3)] {
            let (rank, first) = ranks.admit(&step(sequence), NOW_NS).unwrap();
            assert_eq!((rank.newest.lost, first), (lost, sequence == 100));
        }
    }

    #[test]
    fn a_door_has_no_more_ranks_than_it_may() {
        let mut ranks = Ranks::new(1, 2);
        for rank in 0..RANKS_MAX as u16 {
            ranks.admit(&StepCore { rank, ..step(1) }, NOW_NS).unwrap();
        }
        let more = StepCore { rank: RANKS_MAX as u16, ..step(1) };
        assert_eq!(ranks.admit(&more, NOW_NS).err(), Some(Refused::Ranks));
        assert!(ranks.admit(&StepCore { rank: 7, ..step(2) }, NOW_NS).is_ok());
    }

    #[test]
    fn a_heartbeat_tells_the_state_and_keeps_how_the_values_were_had() {
        let mut ranks = Ranks::new(1, 2);
        let mut with_flags = step(1);
        with_flags.raise(Flag::TokensEstimated);
        with_flags.raise(Flag::Warming);
        with_flags.raise(Flag::Simulated);
        let (rank, _) = ranks.admit(&with_flags, NOW_NS).unwrap();
        assert!(!rank.beat(NOW_NS - 5, 0, NOW_NS), "no later than the step");
        assert!(rank.beat(NOW_NS, Flag::Draining.bit(), NOW_NS));
        let expected = [Flag::TokensEstimated, Flag::Draining, Flag::Heartbeat, Flag::Simulated]
            .map(Flag::bit);
        assert_eq!(rank.newest.step.flags, expected.iter().sum::<u32>());
        assert_eq!((rank.newest.alive_ns, rank.newest.step.monotonic_ns), (NOW_NS, NOW_NS - 5));
    }
}
