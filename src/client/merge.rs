//! One picture of a rank from the records of its several producers.
//!
//! An engine with several front ends sends each step's scheduler numbers
//! through one of them, and each front end counts only its own requests. So:
//!
//! - *Whose records count:* those of producers below the newest record's
//!   `producers`, unless gone. One of an earlier incarnation that fell silent
//!   is left over from before a restart and does not count either. If none is
//!   left, the newest record alone is the picture.
//! - *Scheduler gauges* (running, waiting, KV usage, capacity …): each from the
//!   newest record that has it.
//! - *What each front end knows of its own requests:* rates are summed, so are
//!   waiting and pending tokens where they are estimates; the oldest wait is
//!   the longest.
//! - *Counters:* summed. The picture's incarnation is the latest, so that a
//!   reader who takes differences begins anew when one front end restarts.
//! - *Time:* the newest sign of life and the newest step of any of them.

use bytemuck::Zeroable;

use super::state::{Patience, RankState, freshness_of};
use crate::newest::NewestStep;
use crate::schema::{Activity, Field, Flag, Freshness, StepCore};

/// The picture of one rank from `records`, all of it.
///
/// Sorts `records` in place, the newest first; allocates nothing.
///
/// # Panics
///
/// When there are no records: a caller's mistake.
#[must_use]
pub fn merge(records: &mut [NewestStep], now_ns: u64, patience: &Patience) -> RankState {
    records.sort_unstable_by_key(|record| {
        std::cmp::Reverse((sampled_ns(record), record.step.incarnation, record.step.producer))
    });
    let mut state = RankState::of(&records[0], now_ns, patience);
    if records.len() == 1 {
        return state;
    }
    let (newest, latest) = (records[0], latest_incarnation(records));
    let counts = |record: &&NewestStep| is_counted(record, &newest, latest, now_ns, patience);
    if records.iter().filter(counts).count() == 0 {
        return state;
    }
    let mut merged = Merged::new();
    for record in records.iter().filter(counts) {
        merged.add(record);
    }
    merged.step.incarnation = latest;
    state.step = merged.step;
    state.lost = merged.lost;
    state.producers = merged.producers;
    state.sampled_ns = merged.sampled_ns;
    state.alive_ns = merged.alive_ns;
    state.activity = Activity::of(&merged.step);
    state.age(now_ns, patience);
    state
}

fn sampled_ns(record: &NewestStep) -> u64 {
    let idle_ns = record.step.heartbeat_ns.saturating_sub(record.step.monotonic_ns);
    record.alive_ns.saturating_sub(idle_ns)
}

fn latest_incarnation(records: &[NewestStep]) -> u64 {
    records.iter().map(|record| record.step.incarnation).max().unwrap_or(0)
}

fn is_counted(
    record: &NewestStep,
    newest: &NewestStep,
    latest: u64,
    now_ns: u64,
    patience: &Patience,
) -> bool {
    let silence_ns = now_ns.saturating_sub(record.alive_ns);
    let freshness = freshness_of(&record.step, silence_ns, patience);
    let left_over = record.step.incarnation < latest && freshness >= Freshness::Silent;
    record.step.producer < newest.step.producers.max(1)
        && freshness != Freshness::Gone
        && !left_over
}

struct Merged {
    step: StepCore,
    lost: u64,
    producers: u16,
    sampled_ns: u64,
    alive_ns: u64,
}

/// The record is the newest of those that follow.
macro_rules! first {
    ($into:expr, $from:expr, $($field:ident $name:ident),* $(,)?) => {
        $(if $from.known(Field::$field) && !$into.known(Field::$field) {
            $into.$name = $from.$name;
            $into.mark(Field::$field);
        })*
    };
}

macro_rules! sum {
    ($into:expr, $from:expr, $plus:ident, $($field:ident $name:ident),* $(,)?) => {
        $(if $from.known(Field::$field) {
            $into.$name = if $into.known(Field::$field) {
                $plus($into.$name, $from.$name)
            } else {
                $from.$name
            };
            $into.mark(Field::$field);
        })*
    };
}

impl Merged {
    fn new() -> Self {
        let step = StepCore::zeroed();
        Self { step, lost: 0, producers: 0, sampled_ns: 0, alive_ns: 0 }
    }

    /// Adds a record that is older than those before.
    fn add(&mut self, record: &NewestStep) {
        let from = &record.step;
        if self.producers == 0 {
            // Identity, time and flags are the newest record's; what is known
            // is added below.
            self.step = StepCore { present: 0, ..*from };
            self.sampled_ns = sampled_ns(record);
        }
        self.producers += 1;
        self.lost = self.lost.saturating_add(record.lost);
        self.alive_ns = self.alive_ns.max(record.alive_ns);
        let into = &mut self.step;
        first!(
            into, from, LastStep last_step_us, Running running, Waiting waiting,
            Deferred deferred, MaxSequences max_sequences,
            MaxBatchedTokens max_batched_tokens, KvBlocks kv_blocks, BlockSize block_size,
            LoraRunning lora_running, LoraWaiting lora_waiting, KvUsage kv_usage,
        );
        let (plus_f32, plus, longest) = (|a: f32, b: f32| a + b, u64::saturating_add, u32::max);
        sum!(into, from, longest, OldestWait oldest_wait_ms);
        sum!(into, from, plus_f32, PrefillRate prefill_tokens_per_second,
            DecodeRate decode_tokens_per_second);
        if from.has(Flag::TokensEstimated) && into.has(Flag::TokensEstimated) {
            let plus = u32::saturating_add;
            sum!(into, from, plus, WaitingTokens waiting_tokens, PendingTokens pending_tokens);
        } else {
            first!(into, from, WaitingTokens waiting_tokens, PendingTokens pending_tokens);
        }
        sum!(
            into, from, plus, Steps steps, PromptTokens prompt_tokens,
            GeneratedTokens generated_tokens, CachedTokens cached_tokens,
            PrefixQueries prefix_queries, PrefixHits prefix_hits, Preemptions preemptions,
            Rejections rejections, Finished finished,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::clock::SECOND_NS;
    use crate::schema::Activity;

    const NOW: u64 = 100 * SECOND_NS;

    fn record(producer: u16, sampled_ns: u64) -> NewestStep {
        let mut record = NewestStep::zeroed();
        record.step.producer = producer;
        record.step.producers = 2;
        record.step.incarnation = 1;
        record.alive_ns = sampled_ns;
        record
    }

    #[test]
    fn gauges_come_from_the_newest_that_has_them_and_counters_are_summed() {
        let mut older = record(0, NOW - 2);
        older.step.running = 9;
        older.step.kv_usage = 0.5;
        older.step.finished = 10;
        older.step.decode_tokens_per_second = 1.0;
        older.lost = 1;
        for field in [Field::Running, Field::KvUsage, Field::Finished, Field::DecodeRate] {
            older.step.mark(field);
        }
        let mut newer = record(1, NOW - 1);
        newer.step.running = 3;
        newer.step.finished = 5;
        newer.step.decode_tokens_per_second = 2.0;
        newer.lost = 2;
        for field in [Field::Running, Field::Finished, Field::DecodeRate] {
            newer.step.mark(field);
        }
        for mut records in [[older, newer], [newer, older]] {
            let state = merge(&mut records, NOW, &Patience::default());
            assert_eq!(state.value(Field::Running), Some(3.0));
            assert_eq!(state.value(Field::KvUsage), Some(0.5));
            assert_eq!(state.value(Field::Finished), Some(15.0));
            assert_eq!(state.value(Field::DecodeRate), Some(3.0));
            assert_eq!(state.value(Field::Waiting), None);
            assert_eq!((state.lost, state.producers, state.age_ns), (3, 2, 1));
            assert_eq!(state.activity, Activity::Busy);
        }
    }

    #[test]
    fn estimates_of_each_front_end_are_summed_and_measurements_are_not() {
        for (estimated, expected) in [(true, 30.0), (false, 10.0)] {
            let mut records = [record(0, NOW - 1), record(1, NOW - 2)];
            for (record, tokens) in records.iter_mut().zip([10, 20]) {
                record.step.waiting_tokens = tokens;
                record.step.mark(Field::WaitingTokens);
                if estimated {
                    record.step.raise(Flag::TokensEstimated);
                }
            }
            let state = merge(&mut records, NOW, &Patience::default());
            assert_eq!(state.value(Field::WaitingTokens), Some(expected));
        }
    }

    #[test]
    fn who_is_gone_left_over_or_beyond_the_number_does_not_count() {
        let mut gone = record(0, NOW - 31 * SECOND_NS);
        let mut left_over = record(0, NOW - 4 * SECOND_NS);
        let mut beyond = record(2, NOW - 1);
        for record in [&mut gone, &mut left_over, &mut beyond] {
            record.step.finished = 100;
            record.step.mark(Field::Finished);
        }
        left_over.step.incarnation = 0;
        let mut newest = record(1, NOW);
        newest.step.finished = 1;
        newest.step.mark(Field::Finished);
        for other in [gone, left_over, beyond] {
            let state = merge(&mut [newest, other], NOW, &Patience::default());
            assert_eq!(state.value(Field::Finished), Some(1.0));
            assert_eq!(state.producers, 1);
        }
    }

    #[test]
    fn a_rank_lives_while_one_of_its_front_ends_does() {
        let mut goodbye = record(0, NOW);
        goodbye.step.raise(Flag::Goodbye);
        let alive = record(1, NOW - 10);
        let state = merge(&mut [goodbye, alive], NOW, &Patience::default());
        assert_eq!((state.freshness, state.silence_ns), (Freshness::Fresh, 10));
        let state = merge(&mut [goodbye, goodbye], NOW, &Patience::default());
        assert_eq!(state.freshness, Freshness::Gone);
    }
}
