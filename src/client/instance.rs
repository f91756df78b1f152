//! One picture of an engine instance from those of its ranks.
//!
//! - *Whose pictures count:* those of ranks that are not gone; if all are, all.
//! - *Gauges and counters:* summed where every rank that counts has them, and
//!   otherwise unknown: a part is no whole. KV usage is the share of all blocks,
//!   the oldest wait and the last step are the longest, the block size is one
//!   rank's.
//! - *Flags:* an instance sleeps, drains or warms up when all its ranks do.
//! - *Time:* as old, silent and doubtful as the worst of them.

use bytemuck::Zeroable;

use super::state::RankState;
use crate::schema::{Activity, Field, Freshness, StepCore};

/// One engine instance: all its ranks together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct InstanceState {
    /// Hash of the engine's name.
    pub instance: u64,
    /// Ranks that are in this picture.
    pub ranks: u16,
    /// What they said together; its rank, producer, sequence and times mean
    /// nothing.
    pub step: StepCore,
    /// Age of the oldest of their steps, ns, within `error_ns`.
    pub age_ns: u64,
    /// The longest of their silences, ns, within `error_ns`.
    pub silence_ns: u64,
    /// The largest bound on the error of their ages, ns.
    pub error_ns: u64,
    /// The least fresh of them.
    pub freshness: Freshness,
    /// What the instance was doing.
    pub activity: Activity,
    /// Requests that this process has in flight there.
    pub in_flight: u32,
    /// Those among them that the engine's own numbers cannot include yet.
    pub unaccounted: u32,
}

/// The picture of the instance whose ranks these are; nothing of none.
#[must_use]
pub fn instance(ranks: &[RankState]) -> Option<InstanceState> {
    let lives = ranks.iter().any(|rank| rank.freshness != Freshness::Gone);
    let counted = || ranks.iter().filter(move |rank| !lives || rank.freshness != Freshness::Gone);
    let first = counted().next()?;
    let mut state = InstanceState {
        instance: first.id.instance,
        ranks: 0,
        step: StepCore { incarnation: 0, ..blank(&first.step) },
        age_ns: 0,
        silence_ns: 0,
        error_ns: 0,
        freshness: Freshness::Fresh,
        activity: Activity::Unknown,
        in_flight: 0,
        unaccounted: 0,
    };
    let (mut usage, mut blocks) = (0.0, 0.0);
    for rank in counted() {
        state.ranks = state.ranks.saturating_add(1);
        state.age_ns = state.age_ns.max(rank.age_ns);
        state.silence_ns = state.silence_ns.max(rank.silence_ns);
        state.error_ns = state.error_ns.max(rank.error_ns);
        state.freshness = state.freshness.max(rank.freshness);
        state.in_flight = state.in_flight.saturating_add(rank.in_flight);
        state.unaccounted = state.unaccounted.saturating_add(rank.unaccounted);
        add(&mut state.step, &rank.step);
        // Where the number of blocks is unknown, ranks are taken as equal.
        let weight = if rank.step.known(Field::KvBlocks) { rank.step.kv_blocks } else { 1 };
        usage += f64::from(rank.step.kv_usage) * f64::from(weight);
        blocks += f64::from(weight);
    }
    if blocks > 0.0 {
        state.step.kv_usage = (usage / blocks) as f32;
    }
    state.activity = Activity::of(&state.step);
    Some(state)
}

/// What nothing was added to yet.
fn blank(first: &StepCore) -> StepCore {
    let StepCore { instance, model, role, layout, present, flags, ttl_ms, .. } = *first;
    let block_size = first.block_size;
    let zero = StepCore::zeroed();
    StepCore { instance, model, role, layout, present, flags, ttl_ms, block_size, ..zero }
}

macro_rules! sum {
    ($into:expr, $from:expr, $($field:ident),* $(,)?) => {
        $($into.$field = $into.$field.saturating_add($from.$field);)*
    };
}

fn add(into: &mut StepCore, from: &StepCore) {
    into.present &= from.present;
    into.flags &= from.flags;
    into.ttl_ms = into.ttl_ms.max(from.ttl_ms);
    into.incarnation = into.incarnation.max(from.incarnation);
    into.producers = into.producers.max(from.producers);
    into.last_step_us = into.last_step_us.max(from.last_step_us);
    into.oldest_wait_ms = into.oldest_wait_ms.max(from.oldest_wait_ms);
    into.prefill_tokens_per_second += from.prefill_tokens_per_second;
    into.decode_tokens_per_second += from.decode_tokens_per_second;
    sum!(
        into,
        from,
        running,
        waiting,
        deferred,
        waiting_tokens,
        pending_tokens,
        max_sequences,
        max_batched_tokens,
        kv_blocks,
        lora_running,
        lora_waiting,
        steps,
        prompt_tokens,
        generated_tokens,
        cached_tokens,
        prefix_queries,
        prefix_hits,
        preemptions,
        rejections,
        finished,
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Patience;
    use crate::newest::NewestStep;
    use crate::platform::clock::SECOND_NS;
    use crate::schema::Flag;

    const NOW: u64 = 100 * SECOND_NS;

    fn rank(rank: u16, silence_ns: u64, change: impl FnOnce(&mut StepCore)) -> RankState {
        let mut newest = NewestStep::zeroed();
        newest.step.rank = rank;
        newest.step.instance = 9;
        newest.alive_ns = NOW - silence_ns;
        change(&mut newest.step);
        RankState::of(&newest, NOW, &Patience::default())
    }

    #[test]
    fn an_instance_is_the_sum_of_its_ranks_and_as_old_as_the_oldest() {
        let load = |running, kv_blocks, kv_usage| {
            move |step: &mut StepCore| {
                (step.running, step.kv_blocks, step.kv_usage) = (running, kv_blocks, kv_usage);
                for field in [Field::Running, Field::Waiting, Field::KvBlocks, Field::KvUsage] {
                    step.mark(field);
                }
            }
        };
        let ranks = [
            rank(0, 5, load(2, 100, 0.5)),
            rank(1, SECOND_NS + 1, load(3, 300, 0.1)),
            rank(2, 31 * SECOND_NS, load(9, 300, 1.0)),
        ];
        let state = instance(&ranks).unwrap();
        assert_eq!((state.instance, state.ranks), (9, 2), "the gone one does not count");
        assert_eq!(state.step.value(Field::Running), Some(5.0));
        assert_eq!(state.step.kv_usage, 0.2);
        assert_eq!((state.age_ns, state.freshness), (SECOND_NS + 1, Freshness::Stale));
        assert_eq!(state.activity, Activity::Busy);
    }

    #[test]
    fn what_one_rank_does_not_say_is_unknown_and_all_must_sleep() {
        let asleep = |step: &mut StepCore| {
            step.raise(Flag::Asleep);
            step.mark(Field::Running);
        };
        let state = instance(&[rank(0, 0, asleep), rank(1, 0, |_| {})]).unwrap();
        assert_eq!(state.step.value(Field::Running), None);
        assert_eq!(state.activity, Activity::Unknown);
        let state = instance(&[rank(0, 0, asleep), rank(1, 0, asleep)]).unwrap();
        assert_eq!(state.activity, Activity::Asleep);
        assert_eq!(instance(&[]), None);
    }
}
