//! What an engine as a whole is doing, by the newest step of each of its
//! ranks.

use super::EngineFacts;
use crate::schema::{Field, Flag, StepCore};

/// Sums and extremes over an engine's ranks; what no rank says is none.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Serving {
    /// Requests in the batches.
    pub running: f64,
    /// Requests that wait for capacity.
    pub waiting: f64,
    /// Requests that wait for something else.
    pub deferred: f64,
    /// Age of the oldest waiting request, ms.
    pub oldest_wait_ms: f64,
    /// The fullest KV cache, 0 to 1.
    pub kv_usage: Option<f64>,
    /// Most requests that can run at once, over all ranks.
    pub max_sequences: Option<f64>,
    /// Prompt tokens that wait or are not yet computed.
    pub prompt_tokens_left: Option<f64>,
    /// Most tokens in one step of a rank.
    pub max_batched_tokens: Option<f64>,
    /// The longest last step, µs.
    pub last_step_us: Option<f64>,
    /// Preempted requests since the engine began.
    pub preemptions: Option<f64>,
    /// Steps since the engine began.
    pub steps: Option<f64>,
    /// When its newest step ended, by its host's monotonic clock, ns.
    pub monotonic_ns: u64,
    /// It sleeps, warms up, drains or said goodbye.
    pub resting: bool,
}

impl Serving {
    /// Of this engine.
    #[must_use]
    pub fn of(engine: &EngineFacts) -> Self {
        let mut all = Self::default();
        for (at, of) in engine.ranks.iter().enumerate() {
            // Front ends of one rank tell of the same scheduler: the newest is
            // heard.
            let newer = |other: &super::RankFacts| {
                other.step.rank == of.step.rank
                    && (other.step.monotonic_ns, other.step.producer)
                        > (of.step.monotonic_ns, of.step.producer)
            };
            let several = of.step.producers > 1;
            let mut others = engine.ranks.iter().enumerate().filter(|(other, _)| *other != at);
            if several && others.any(|(_, rank)| newer(rank)) {
                continue;
            }
            all.add(&of.step);
        }
        all
    }

    fn add(&mut self, step: &StepCore) {
        let value = |field| step.value(field);
        self.running += value(Field::Running).unwrap_or_default();
        self.waiting += value(Field::Waiting).unwrap_or_default();
        self.deferred += value(Field::Deferred).unwrap_or_default();
        self.oldest_wait_ms = self.oldest_wait_ms.max(value(Field::OldestWait).unwrap_or_default());
        most(&mut self.kv_usage, value(Field::KvUsage));
        most(&mut self.last_step_us, value(Field::LastStep));
        most(&mut self.max_batched_tokens, value(Field::MaxBatchedTokens));
        sum(&mut self.max_sequences, value(Field::MaxSequences));
        sum(&mut self.prompt_tokens_left, value(Field::WaitingTokens));
        sum(&mut self.prompt_tokens_left, value(Field::PendingTokens));
        sum(&mut self.preemptions, value(Field::Preemptions));
        sum(&mut self.steps, value(Field::Steps));
        self.monotonic_ns = self.monotonic_ns.max(step.monotonic_ns);
        let rests = [Flag::Asleep, Flag::Warming, Flag::Draining, Flag::Goodbye];
        self.resting |= rests.iter().any(|flag| step.has(*flag));
    }
}

fn most(known: &mut Option<f64>, value: Option<f64>) {
    if let Some(value) = value {
        *known = Some(known.map_or(value, |known| known.max(value)));
    }
}

fn sum(known: &mut Option<f64>, value: Option<f64>) {
    if let Some(value) = value {
        *known = Some(known.unwrap_or(0.0) + value);
    }
}
