//! One engine: requests come, prompts are computed, tokens are made, the KV
//! cache fills. A fluid model, second by second.

use eagle_eye::schema::{
    Engine, EngineDetails, Field, Flag, Role, STEP_LAYOUT, StepCore, Transfer,
};

use crate::dice::Dice;
use crate::lines::write;
use crate::trace::Moment;

/// Tokens that one step computes at most.
const BATCHED_TOKENS: f64 = 8192.0;

/// What an engine is and does now. Faults change the public fields.
#[derive(Debug, Clone)]
pub(crate) struct Serving {
    pub(crate) engine: Engine,
    /// Requests a second that come.
    pub(crate) arrivals: f64,
    /// Tokens of a prompt, and of an answer.
    pub(crate) prompt: f64,
    pub(crate) answer: f64,
    /// Most requests that run.
    pub(crate) max_sequences: f64,
    /// Tokens that the KV cache holds.
    pub(crate) kv_tokens: f64,
    /// Prompt tokens a second that it can compute.
    pub(crate) prefill_rate: f64,
    /// Seconds of a step with an empty batch, and more for each request.
    pub(crate) step_s: (f64, f64),
    /// How fast its device is; 1 is full speed.
    pub(crate) speed: f64,
    /// How fast its host is.
    pub(crate) host_speed: f64,
    /// Requests that wait for KV blocks from elsewhere, and seconds of each.
    pub(crate) transfer_s: f64,
    /// Its process runs.
    pub(crate) alive: bool,
    /// Its scheduler steps; the heartbeat goes on without it.
    pub(crate) steps_on: bool,
    pub(crate) running: f64,
    pub(crate) waiting: f64,
    deferred: f64,
    tokens_in_cache: f64,
    oldest_s: f64,
    /// What the last step had: requests, tokens in the cache.
    batch: f64,
    cache_peak: f64,
    /// Steps and finished requests, with their fractions.
    sums: (f64, f64),
    step: StepCore,
    transfer: Transfer,
}

impl Serving {
    pub(crate) fn new(name: &str, process: u32, dice: &mut Dice) -> Self {
        let engine = Engine {
            incarnation: 1,
            process,
            engine: "vllm 0.32.0".into(),
            source: "plugin".into(),
            ..Engine::named(name, "llama-3.3-70b")
        };
        let mut step: StepCore = bytemuck::Zeroable::zeroed();
        (step.instance, step.incarnation, step.model) = (engine.instance, 1, engine.model_hash);
        (step.producers, step.role) = (1, Role::Aggregated as u8);
        (step.layout, step.ttl_ms) = (STEP_LAYOUT, 1000);
        Self {
            engine,
            arrivals: dice.between(3.0, 5.0),
            prompt: 900.0,
            answer: 250.0,
            max_sequences: 256.0,
            kv_tokens: 600_000.0,
            prefill_rate: 12_000.0,
            step_s: (0.018, 0.000_12),
            speed: 1.0,
            host_speed: 1.0,
            transfer_s: 0.0,
            alive: true,
            steps_on: true,
            running: 20.0,
            waiting: 0.0,
            deferred: 0.0,
            tokens_in_cache: 20.0 * 1000.0,
            oldest_s: 0.0,
            batch: 20.0,
            cache_peak: 20.0 * 1000.0,
            sums: (0.0, 0.0),
            step,
            transfer: Transfer::default(),
        }
    }

    /// Begins anew under a later incarnation.
    pub(crate) fn restart(&mut self) {
        let incarnation = self.engine.incarnation + 1;
        self.engine.incarnation = incarnation;
        let (old, ttl_ms) = (self.step, self.step.ttl_ms);
        self.step = bytemuck::Zeroable::zeroed();
        (self.step.instance, self.step.incarnation) = (old.instance, incarnation);
        (self.step.model, self.step.producers, self.step.role) = (old.model, 1, old.role);
        (self.step.layout, self.step.ttl_ms) = (STEP_LAYOUT, ttl_ms);
        (self.running, self.waiting, self.tokens_in_cache) = (0.0, 0.0, 0.0);
        self.sums = (0.0, 0.0);
    }

    /// Lets time pass, and gives what is told at its end.
    pub(crate) fn pass(&mut self, seconds: f64, at: Moment, dice: &mut Dice) -> Option<StepCore> {
        if !self.alive {
            return None;
        }
        self.step.sequence += 1;
        self.step.heartbeat_ns = at.monotonic_ns();
        self.step.flags = 0;
        if !self.steps_on || (self.running < 0.5 && self.waiting < 0.5 && self.arrivals <= 0.0) {
            self.waiting += self.arrivals * seconds;
            self.step.raise(Flag::Heartbeat);
            return Some(self.step);
        }
        let mut left = seconds;
        while left > 0.0 {
            let stride = left.min(1.0);
            left -= stride;
            self.flow(stride, dice);
        }
        (self.step.monotonic_ns, self.step.wall_ns) = (at.monotonic_ns(), at.wall_ns());
        self.tell();
        Some(self.step)
    }

    fn flow(&mut self, seconds: f64, dice: &mut Dice) {
        let speed = self.speed * self.host_speed;
        self.come(seconds, dice);
        let room = (self.max_sequences - self.running).max(0.0);
        let cache = ((self.kv_tokens - self.tokens_in_cache) / self.prompt).max(0.0);
        let compute = self.prefill_rate * speed * seconds / self.prompt;
        let begun = self.waiting.min(room).min(cache).min(compute);
        self.waiting -= begun;
        self.running += begun;
        let computed = begun * self.prompt;
        // Prompts are computed in whole budgets of a step, whose decode tokens
        // wait for them; what time is left goes to steps of decode alone.
        let mixed = computed / BATCHED_TOKENS;
        let mixed_s = computed / (self.prefill_rate * speed);
        let step_s = (self.step_s.0 + self.step_s.1 * self.running) / speed;
        let steps = mixed + (seconds - mixed_s).max(0.0) / step_s;
        let made = self.running * steps;
        self.tokens_in_cache += computed + made;
        // A full cache takes blocks away from the youngest.
        while self.tokens_in_cache > self.kv_tokens && self.running > 1.0 {
            self.tokens_in_cache -= self.prompt + self.answer * 0.5;
            self.running -= 1.0;
            self.waiting += 1.0;
            self.step.preemptions += 1;
        }
        self.batch = self.running;
        self.cache_peak = self.tokens_in_cache;
        let finished = (made / self.answer).min(self.running);
        self.running -= finished;
        self.tokens_in_cache -= finished * (self.prompt + self.answer);
        self.tokens_in_cache = self.tokens_in_cache.max(self.running * self.prompt * 0.9);
        self.count(seconds, (steps, computed, made, finished));
    }

    /// Requests come, and fetch what they need from elsewhere first.
    fn come(&mut self, seconds: f64, dice: &mut Dice) {
        let came = dice.count(self.arrivals * seconds) as f64;
        if self.transfer_s <= 0.0 {
            self.waiting += came + self.deferred;
            self.deferred = 0.0;
            return;
        }
        let fetched = (self.deferred * seconds / self.transfer_s).min(self.deferred);
        self.deferred += came - fetched;
        self.waiting += fetched;
        self.transfer.transfers += fetched as u64;
        self.transfer.bytes += (fetched * self.prompt * 131_072.0) as u64;
        self.transfer.seconds += fetched * self.transfer_s;
    }

    fn count(&mut self, seconds: f64, (steps, computed, made, finished): (f64, f64, f64, f64)) {
        self.oldest_s = match self.waiting < 1.0 {
            true => 0.0,
            false => (self.oldest_s + seconds).min(self.waiting / self.arrivals.max(0.1) + 1.0),
        };
        self.sums.0 += steps;
        self.sums.1 += finished;
        let step = &mut self.step;
        (step.steps, step.finished) = (self.sums.0 as u64, self.sums.1 as u64);
        step.prompt_tokens += computed as u64;
        step.generated_tokens += made as u64;
        step.last_step_us = (seconds / steps.max(0.1) * 1e6) as u32;
        step.prefill_tokens_per_second = (computed / seconds) as f32;
        step.decode_tokens_per_second = (made / seconds) as f32;
    }

    fn tell(&mut self) {
        let kv = (self.cache_peak / self.kv_tokens).clamp(0.0, 1.0);
        let pending = (self.waiting * self.prompt).round();
        // The record after the last answer says that nothing runs.
        let batch = if self.running < 0.5 && self.waiting < 0.5 { 0.0 } else { self.batch };
        let now = &mut self.step;
        for (field, value) in [
            (Field::Running, batch.round()),
            (Field::Waiting, self.waiting.round()),
            (Field::Deferred, self.deferred.round()),
            (Field::OldestWait, self.oldest_s * 1000.0),
            (Field::WaitingTokens, pending),
            (Field::MaxSequences, self.max_sequences),
            (Field::MaxBatchedTokens, BATCHED_TOKENS),
            (Field::KvBlocks, self.kv_tokens / 16.0),
            (Field::BlockSize, 16.0),
            (Field::KvUsage, kv),
        ] {
            write(now, field, value);
        }
        for field in [
            Field::LastStep,
            Field::Steps,
            Field::PromptTokens,
            Field::GeneratedTokens,
            Field::Preemptions,
            Field::Finished,
            Field::PrefillRate,
            Field::DecodeRate,
        ] {
            now.mark(field);
        }
    }

    /// Its last record says that it leaves.
    pub(crate) const fn say_goodbye(&mut self) {
        self.step.sequence += 1;
        self.step.raise(Flag::Goodbye);
    }

    /// What it told last.
    pub(crate) const fn last_step(&self) -> StepCore {
        self.step
    }

    /// What it says beside its steps.
    pub(crate) fn details(&self) -> EngineDetails {
        EngineDetails {
            instance: self.engine.instance,
            incarnation: self.engine.incarnation,
            transfer: (self.transfer_s > 0.0).then_some(self.transfer),
            ..EngineDetails::default()
        }
    }
}
