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
//!   the longest. A front end whose steps are flagged partial estimates tokens
//!   from the scheduler's numbers, so of the whole rank: they are gauges.
//! - *A front end that is silent* while another is not says nothing of now: its
//!   gauges and rates do not count, its counters do.
//! - *Counters:* summed. What a lost front end had counted leaves the sum with
//!   it. The picture's incarnation is the latest. So a reader who takes
//!   differences begins anew when `incarnation` or `producers` is another or
//!   when a sum falls; while none is lost, none does.
//! - *Time:* the newest sign of life of any of them; the step's age is that of
//!   the record whose running requests are in the picture, so that a front end
//!   that only counts does not make another's gauges look new. The error is the
//!   largest.

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
    let standing = |record: &NewestStep| standing(record, &newest, latest, now_ns, patience);
    let lives = records.iter().any(|record| standing(record) == Some(true));
    let mut merged = Merged::new();
    // Where all are silent, the newest of them say what was last known.
    for record in records.iter().filter(|record| standing(record) == Some(lives)) {
        merged.add(record);
    }
    if merged.producers == 0 {
        return state;
    }
    for record in records.iter().filter(|record| lives && standing(record) == Some(false)) {
        merged.add_counters(record);
    }
    merged.step.incarnation = latest;
    if merged.producers >= newest.step.producers {
        // All parts are here.
        merged.step.flags &= !Flag::Partial.bit();
    }
    state.step = merged.step;
    state.lost = merged.lost;
    state.producers = merged.producers;
    state.error_ns = merged.error_ns;
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

/// Whether a record that counts is more than silent; nothing for one that does
/// not count.
fn standing(
    record: &NewestStep,
    newest: &NewestStep,
    latest: u64,
    now_ns: u64,
    patience: &Patience,
) -> Option<bool> {
    let silence_ns = now_ns.saturating_sub(record.alive_ns);
    let freshness = freshness_of(&record.step, silence_ns, patience);
    let lives = freshness < Freshness::Silent;
    let counts = record.step.producer < newest.step.producers.max(1)
        && freshness != Freshness::Gone
        && (lives || record.step.incarnation == latest);
    counts.then_some(lives)
}

/// Whether a front end estimated the tokens of its own requests alone.
fn tokens_are_own(step: &StepCore) -> bool {
    step.has(Flag::TokensEstimated) && !step.has(Flag::Partial)
}

struct Merged {
    step: StepCore,
    lost: u64,
    producers: u16,
    sampled_ns: u64,
    alive_ns: u64,
    error_ns: u64,
    /// Whether the newest record's waiting and pending tokens are of its own
    /// requests alone.
    tokens_are_own: bool,
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
        Self {
            step,
            lost: 0,
            producers: 0,
            sampled_ns: 0,
            alive_ns: 0,
            error_ns: 0,
            tokens_are_own: false,
        }
    }

    /// Adds a record that is older than those before.
    fn add(&mut self, record: &NewestStep) {
        let from = &record.step;
        if self.producers == 0 {
            // Identity, time and flags are the newest record's; what is known
            // is added below.
            let flags = from.flags & !Flag::TokensEstimated.bit();
            self.step = StepCore { present: 0, flags, ..*from };
            self.tokens_are_own = tokens_are_own(from);
            self.sampled_ns = sampled_ns(record);
        }
        if from.known(Field::Running) && !self.step.known(Field::Running) {
            self.sampled_ns = sampled_ns(record);
        }
        let into = &mut self.step;
        first!(
            into, from, LastStep last_step_us, Running running, Waiting waiting,
            Deferred deferred, MaxSequences max_sequences,
            MaxBatchedTokens max_batched_tokens, KvBlocks kv_blocks, BlockSize block_size,
            LoraRunning lora_running, LoraWaiting lora_waiting, KvUsage kv_usage,
        );
        let (plus_f32, longest) = (|a: f32, b: f32| a + b, u32::max);
        sum!(into, from, longest, OldestWait oldest_wait_ms);
        sum!(into, from, plus_f32, PrefillRate prefill_tokens_per_second,
            DecodeRate decode_tokens_per_second);
        self.add_tokens(from);
        self.add_counters(record);
    }

    fn add_tokens(&mut self, from: &StepCore) {
        let before = self.step.present;
        let into = &mut self.step;
        if self.tokens_are_own && tokens_are_own(from) {
            let plus = u32::saturating_add;
            sum!(into, from, plus, WaitingTokens waiting_tokens, PendingTokens pending_tokens);
        } else {
            first!(into, from, WaitingTokens waiting_tokens, PendingTokens pending_tokens);
        }
        if into.present != before && from.has(Flag::TokensEstimated) {
            into.raise(Flag::TokensEstimated);
        }
    }

    /// Adds what stays true of a record however old it is.
    fn add_counters(&mut self, record: &NewestStep) {
        let from = &record.step;
        self.producers += 1;
        self.lost = self.lost.saturating_add(record.lost);
        self.alive_ns = self.alive_ns.max(record.alive_ns);
        let error_ns = record.error_ns.saturating_add(u64::from(from.clock_error_ns));
        self.error_ns = self.error_ns.max(error_ns);
        let (into, plus) = (&mut self.step, u64::saturating_add);
        sum!(
            into, from, plus, Steps steps, PromptTokens prompt_tokens,
            GeneratedTokens generated_tokens, CachedTokens cached_tokens,
            PrefixQueries prefix_queries, PrefixHits prefix_hits, Preemptions preemptions,
            Rejections rejections, Finished finished,
        );
    }
}

#[cfg(test)]
mod streams;
#[cfg(test)]
mod tests;
