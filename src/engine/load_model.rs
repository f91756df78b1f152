//! A made-up engine whose numbers hang together: what waits is admitted, what
//! runs holds KV blocks and ends, and a wave of load comes and goes.
//!
//! It is for demonstrations and benchmarks; every step it gives carries
//! [`Flag::Simulated`].

use std::collections::VecDeque;

use bytemuck::Zeroable;

use crate::schema::{
    Engine, EngineDetails, Field, Finished, Flag, Role, STEP_LAYOUT, Sketch, SketchKind, StepCore,
};

/// Requests that can wait.
const WAITING_MAX: usize = 500;

/// Requests that can run at once.
const SEQUENCES_MAX: u32 = 64;
const BATCHED_TOKENS_MAX: u32 = 8192;
const KV_BLOCKS: u32 = 4096;
const BLOCK_TOKENS: u16 = 16;
const PROMPT_TOKENS_MEAN: u64 = 600;
const OUTPUT_TOKENS_MEAN: u64 = 200;

/// A running request.
#[derive(Debug, Clone, Copy)]
struct Request {
    /// Tokens left to generate.
    left: u32,
    came_ns: u64,
    /// When its first token came, ns; 0 before.
    first_ns: u64,
}

/// One simulated rank.
#[derive(Debug, Clone)]
pub struct LoadModel {
    step: StepCore,
    random: Random,
    /// When each waiting request came, ns.
    waiting: VecDeque<u64>,
    running: Vec<Request>,
    details: EngineDetails,
    /// Position in the wave of load, in steps.
    phase: u64,
    /// Steps in one wave.
    wave: u64,
}

impl LoadModel {
    /// A rank of `engine` that will step `hz` times a second. Equal seeds give
    /// equal loads.
    #[must_use]
    pub fn new(engine: &Engine, rank: u16, hz: u32, seed: u64) -> Self {
        let mut step = StepCore::zeroed();
        step.instance = engine.instance;
        step.incarnation = engine.incarnation;
        step.model = engine.model_hash;
        step.rank = rank;
        step.producers = 1;
        step.role = Role::Aggregated as u8;
        step.layout = STEP_LAYOUT;
        step.ttl_ms = 1000;
        step.max_sequences = SEQUENCES_MAX;
        step.max_batched_tokens = BATCHED_TOKENS_MAX;
        step.kv_blocks = KV_BLOCKS;
        step.block_size = BLOCK_TOKENS;
        Field::ALL.iter().for_each(|field| step.mark(*field));
        step.raise(Flag::Simulated);
        step.raise(Flag::TokensEstimated);
        let mut random = Random(seed | 1);
        let wave = u64::from(hz.max(1)) * 40;
        let phase = random.below(wave);
        let details = EngineDetails {
            rank,
            sketches: SketchKind::ALL.map(Sketch::new).to_vec(),
            finished: vec![Finished { reason: "length".to_owned(), count: 0 }],
            ..EngineDetails::default()
        };
        Self {
            step,
            random,
            waiting: VecDeque::with_capacity(WAITING_MAX),
            running: Vec::with_capacity(SEQUENCES_MAX as usize),
            details,
            phase,
            wave,
        }
    }

    /// How long its made-up requests took so far, and how they ended.
    #[must_use]
    pub const fn details(&self) -> &EngineDetails {
        &self.details
    }

    /// The next step, ended at these times.
    pub fn next(&mut self, monotonic_ns: u64, wall_ns: u64) -> &StepCore {
        // A request that came during the step waited for half of it on average.
        let before_ns = self.step.monotonic_ns;
        let step_ns = if before_ns == 0 { 0 } else { monotonic_ns.saturating_sub(before_ns) };
        self.arrive(monotonic_ns - step_ns / 2);
        let prefilled = self.admit(monotonic_ns);
        let decoded = self.decode(monotonic_ns, step_ns);
        let held: u64 =
            self.running.iter().map(|one| 700 + u64::from(400_u32.saturating_sub(one.left))).sum();
        let capacity = u64::from(KV_BLOCKS) * u64::from(BLOCK_TOKENS);
        let step = &mut self.step;
        let since_ns = monotonic_ns.saturating_sub(step.monotonic_ns).max(1);
        step.sequence += 1;
        step.steps = step.sequence;
        step.last_step_us = 2500 + 30 * self.running.len() as u32 + (prefilled / 8) as u32;
        step.monotonic_ns = monotonic_ns;
        step.heartbeat_ns = monotonic_ns;
        step.wall_ns = wall_ns;
        step.running = self.running.len() as u32;
        step.waiting = self.waiting.len() as u32;
        step.waiting_tokens = step.waiting * PROMPT_TOKENS_MEAN as u32;
        let oldest_ns = self.waiting.front().map_or(0, |came_ns| monotonic_ns - came_ns);
        step.oldest_wait_ms = (oldest_ns / 1_000_000) as u32;
        step.kv_usage = (held as f32 / capacity as f32).min(1.0);
        step.prompt_tokens += prefilled;
        step.cached_tokens += prefilled / 4;
        step.prefix_queries += prefilled;
        step.prefix_hits += prefilled / 4;
        step.generated_tokens += decoded;
        let rate = |tokens: u64| tokens as f32 * 1e9 / since_ns as f32;
        step.prefill_tokens_per_second += (rate(prefilled) - step.prefill_tokens_per_second) / 16.0;
        step.decode_tokens_per_second += (rate(decoded) - step.decode_tokens_per_second) / 16.0;
        &self.step
    }

    /// Requests come in a wave: from few to more than can run at once.
    fn arrive(&mut self, now_ns: u64) {
        self.phase = (self.phase + 1) % self.wave;
        let half = self.wave / 2;
        let height = 100 * self.phase.abs_diff(half) / half.max(1);
        let chance = 4 + 36 * (100 - height) / 100;
        if self.random.below(100) < chance && self.waiting.len() < WAITING_MAX {
            self.waiting.push_back(now_ns);
        }
    }

    fn admit(&mut self, now_ns: u64) -> u64 {
        let mut tokens = 0;
        while self.running.len() < SEQUENCES_MAX as usize
            && tokens < u64::from(BATCHED_TOKENS_MAX) / 2
        {
            let Some(came_ns) = self.waiting.pop_front() else { break };
            let left = 1 + self.random.below(2 * OUTPUT_TOKENS_MEAN) as u32;
            self.running.push(Request { left, came_ns, first_ns: 0 });
            self.note(SketchKind::Queue, now_ns.saturating_sub(came_ns), 1);
            tokens += 1 + self.random.below(2 * PROMPT_TOKENS_MEAN);
        }
        tokens
    }

    /// Every running request gets a token: its first, or its next a step after
    /// the last.
    fn decode(&mut self, now_ns: u64, step_ns: u64) -> u64 {
        let tokens = self.running.len() as u64;
        let mut next = 0;
        for at in 0..self.running.len() {
            let request = &mut self.running[at];
            request.left -= 1;
            let came_ns = request.came_ns;
            if request.first_ns == 0 {
                request.first_ns = now_ns;
                self.note(SketchKind::Ttft, now_ns.saturating_sub(came_ns), 1);
                self.note(SketchKind::Prefill, step_ns, 1);
            } else {
                next += 1;
            }
            let request = self.running[at];
            if request.left == 0 {
                self.step.finished += 1;
                self.details.finished[0].count += 1;
                self.note(SketchKind::Decode, now_ns.saturating_sub(request.first_ns), 1);
                self.note(SketchKind::EndToEnd, now_ns.saturating_sub(came_ns), 1);
            }
        }
        self.note(SketchKind::InterToken, step_ns, next);
        self.running.retain(|request| request.left > 0);
        tokens
    }

    fn note(&mut self, kind: SketchKind, ns: u64, times: u32) {
        let sketches = self.details.sketches.iter_mut();
        sketches.filter(|known| known.kind == kind).for_each(|of| of.add(ns as f64 / 1e3, times));
    }
}

/// xorshift64: enough for made-up load, and equal on every machine.
#[derive(Debug, Clone)]
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_hang_together_over_a_whole_wave() {
        let engine = Engine::named("a", "m");
        let mut model = LoadModel::new(&engine, 0, 100, 7);
        let (mut queued, mut idle_least) = (0, u32::MAX);
        for at in 1..=8000_u64 {
            let before = model.step;
            let step = *model.next(at * 10_000_000, 0);
            assert_eq!(step.sequence, before.sequence + 1);
            assert!(step.running <= SEQUENCES_MAX && (0.0..=1.0).contains(&step.kv_usage));
            assert!(step.generated_tokens >= before.generated_tokens);
            assert!(step.finished >= before.finished);
            assert!(step.has(Flag::Simulated));
            queued = queued.max(step.waiting);
            idle_least = idle_least.min(step.running);
        }
        assert!(queued > 0, "the crest of the wave is more than can run");
        assert!(idle_least < SEQUENCES_MAX, "the trough is less");
    }

    #[test]
    fn the_times_it_tells_are_those_of_its_steps() {
        let mut model = LoadModel::new(&Engine::named("a", "m"), 0, 100, 7);
        for at in 1..=8000_u64 {
            model.next(at * 10_000_000, 0);
        }
        let (details, step) = (model.details(), model.step);
        let of = |kind| details.sketch(kind).unwrap();
        assert_eq!(of(SketchKind::EndToEnd).count, step.finished);
        assert_eq!(details.finished[0].count, step.finished);
        let tokens = of(SketchKind::Ttft).count + of(SketchKind::InterToken).count;
        assert_eq!(tokens, step.generated_tokens);
        let median = of(SketchKind::InterToken).quantile(0.5).unwrap();
        assert!((median / 0.01 - 1.0).abs() < 0.022, "a token a step, not {median} s");
        let [queue, ttft, all] = [SketchKind::Queue, SketchKind::Ttft, SketchKind::EndToEnd]
            .map(|kind| of(kind).mean().unwrap());
        assert!(queue <= ttft && ttft < all);
    }
}
