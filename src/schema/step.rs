//! One scheduler iteration of an inference engine.

use bytemuck::{Pod, Zeroable};

/// Size of a [`StepCore`] in memory and on the wire.
pub const STEP_BYTES: usize = 256;

/// The newest use of the reserve that this build writes.
pub const STEP_LAYOUT: u8 = 1;

/// One step of one rank as one producer saw it, in its wire form.
///
/// Gauges are last values. Counters are cumulative since `incarnation`, so a
/// lost or conflated step costs nothing. A gauge or counter whose bit in
/// `present` is clear is unknown, whatever its bytes say; [`StepCore::known`]
/// asks.
#[derive(Debug, Clone, Copy, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct StepCore {
    /// Hash of the engine instance's name ([`super::name_hash`]).
    pub instance: u64,
    /// Differs after every restart of the engine; larger is later on one host.
    pub incarnation: u64,
    /// Hash of the served model's name.
    pub model: u64,
    /// Data-parallel rank.
    pub rank: u16,
    /// Which of `producers` front ends reports.
    pub producer: u16,
    /// Front ends that report on this rank; at least 1.
    pub producers: u16,
    /// A [`Role`].
    pub role: u8,
    /// Version of the use of the reserve, see [`STEP_LAYOUT`].
    pub layout: u8,

    /// Per rank and producer, one up each step, from 1.
    pub sequence: u64,
    /// The producer host's `CLOCK_MONOTONIC` when the step ended, ns.
    pub monotonic_ns: u64,
    /// The same instant by `CLOCK_REALTIME`, ns since 1970; for people only.
    pub wall_ns: u64,
    /// Bound on the error of `monotonic_ns`, ns.
    pub clock_error_ns: u32,
    /// A step or a heartbeat is promised at least this often, ms.
    pub ttl_ms: u32,

    /// One bit per [`Field`].
    pub present: u64,
    /// [`Flag`] bits.
    pub flags: u32,
    /// Duration of the last step, µs.
    pub last_step_us: u32,

    /// Requests in the running batch.
    pub running: u32,
    /// Requests admitted and waiting for capacity.
    pub waiting: u32,
    /// Requests waiting for something else, such as a KV transfer.
    pub deferred: u32,
    /// Age of the oldest waiting request, ms.
    pub oldest_wait_ms: u32,
    /// Prompt tokens of waiting requests.
    pub waiting_tokens: u32,
    /// Prompt tokens of running requests not yet computed.
    pub pending_tokens: u32,

    /// Most requests that can run at once.
    pub max_sequences: u32,
    /// Most tokens in one step.
    pub max_batched_tokens: u32,
    /// KV-cache blocks in all.
    pub kv_blocks: u32,
    /// Tokens a KV block.
    pub block_size: u16,
    /// Distinct adapters in the running batch.
    pub lora_running: u16,
    /// Distinct adapters among the waiting only.
    pub lora_waiting: u16,
    /// Zero; for later layouts.
    pub reserve_u16: u16,

    /// Share of the KV cache in use, 0 to 1.
    pub kv_usage: f32,
    /// Prompt tokens computed a second, smoothed by the producer.
    pub prefill_tokens_per_second: f32,
    /// Tokens generated a second, smoothed by the producer.
    pub decode_tokens_per_second: f32,

    /// Steps since `incarnation`.
    pub steps: u64,
    /// Prompt tokens since `incarnation`.
    pub prompt_tokens: u64,
    /// Generated tokens since `incarnation`.
    pub generated_tokens: u64,
    /// Prompt tokens served from a cache since `incarnation`.
    pub cached_tokens: u64,
    /// Tokens looked up in the prefix cache since `incarnation`.
    pub prefix_queries: u64,
    /// Tokens found in the prefix cache since `incarnation`.
    pub prefix_hits: u64,
    /// Preempted requests since `incarnation`.
    pub preemptions: u64,
    /// Requests refused at admission since `incarnation`.
    pub rejections: u64,
    /// Finished requests since `incarnation`.
    pub finished: u64,

    /// The producer host's `CLOCK_MONOTONIC` at its last sign of life, be it
    /// a step or a heartbeat, ns.
    pub heartbeat_ns: u64,
    /// Zero; for later layouts.
    pub reserve: [u64; 5],
}

const _: () = assert!(size_of::<StepCore>() == STEP_BYTES);
const _: () = assert!(align_of::<StepCore>() == 8);
const _: () = assert!(cfg!(target_endian = "little"), "the wire is little-endian");

impl StepCore {
    /// Whether `field` was measured.
    #[must_use]
    pub const fn known(&self, field: Field) -> bool {
        self.present & field.bit() != 0
    }

    /// Says that `field` was measured.
    pub const fn mark(&mut self, field: Field) {
        self.present |= field.bit();
    }

    /// Whether `flag` is raised.
    #[must_use]
    pub const fn has(&self, flag: Flag) -> bool {
        self.flags & flag.bit() != 0
    }

    /// Raises `flag`.
    pub const fn raise(&mut self, flag: Flag) {
        self.flags |= flag.bit();
    }

    /// The promised time between two signs of life, ns; a second where the
    /// producer promises none.
    #[must_use]
    pub const fn ttl_ns(&self) -> u64 {
        let ttl_ms = if self.ttl_ms == 0 { 1000 } else { self.ttl_ms };
        ttl_ms as u64 * 1_000_000
    }

    /// A gauge or counter as a number, or nothing where it was not measured.
    #[must_use]
    pub fn value(&self, field: Field) -> Option<f64> {
        self.known(field).then(|| field.read(self))
    }
}

macro_rules! fields {
    ($($(#[doc = $doc:literal])* $variant:ident = $bit:literal, $name:ident;)*) => {
        /// A measured field of a [`StepCore`]; its number is its bit in `present`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Field {
            $($(#[doc = $doc])* $variant = $bit,)*
        }

        impl Field {
            /// Every field in the order of its bit.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The field's name, as in the schema.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => stringify!($name),)* }
            }

            fn read(self, step: &StepCore) -> f64 {
                match self { $(Self::$variant => step.$name as f64,)* }
            }
        }
    };
}

fields! {
    /// `last_step_us`
    LastStep = 0, last_step_us;
    /// `running`
    Running = 1, running;
    /// `waiting`
    Waiting = 2, waiting;
    /// `deferred`
    Deferred = 3, deferred;
    /// `oldest_wait_ms`
    OldestWait = 4, oldest_wait_ms;
    /// `waiting_tokens`
    WaitingTokens = 5, waiting_tokens;
    /// `pending_tokens`
    PendingTokens = 6, pending_tokens;
    /// `max_sequences`
    MaxSequences = 7, max_sequences;
    /// `max_batched_tokens`
    MaxBatchedTokens = 8, max_batched_tokens;
    /// `kv_blocks`
    KvBlocks = 9, kv_blocks;
    /// `block_size`
    BlockSize = 10, block_size;
    /// `lora_running`
    LoraRunning = 11, lora_running;
    /// `lora_waiting`
    LoraWaiting = 12, lora_waiting;
    /// `kv_usage`
    KvUsage = 13, kv_usage;
    /// `prefill_tokens_per_second`
    PrefillRate = 14, prefill_tokens_per_second;
    /// `decode_tokens_per_second`
    DecodeRate = 15, decode_tokens_per_second;
    /// `steps`
    Steps = 16, steps;
    /// `prompt_tokens`
    PromptTokens = 17, prompt_tokens;
    /// `generated_tokens`
    GeneratedTokens = 18, generated_tokens;
    /// `cached_tokens`
    CachedTokens = 19, cached_tokens;
    /// `prefix_queries`
    PrefixQueries = 20, prefix_queries;
    /// `prefix_hits`
    PrefixHits = 21, prefix_hits;
    /// `preemptions`
    Preemptions = 22, preemptions;
    /// `rejections`
    Rejections = 23, rejections;
    /// `finished`
    Finished = 24, finished;
}

impl Field {
    /// The field's bit in [`StepCore::present`].
    #[must_use]
    pub const fn bit(self) -> u64 {
        1 << (self as u8)
    }
}

/// What a step says about its producer, one bit each in [`StepCore::flags`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Flag {
    /// No step ended since the previous record: a sign of life only.
    Heartbeat = 0,
    /// The producer takes no requests any more but finishes what it has.
    Draining = 1,
    /// The engine sleeps (weights may be offloaded).
    Asleep = 2,
    /// The engine is not ready yet.
    Warming = 3,
    /// The producer is gone; nothing follows under this incarnation.
    Goodbye = 4,
    /// `waiting_tokens` and `pending_tokens` are the producer's estimates.
    TokensEstimated = 5,
    /// Made by `--demo` or `simulate`, not by an engine.
    Simulated = 6,
    /// Read from the engine's metrics page; times are the scrape's.
    Scraped = 7,
    /// Only scheduler gauges are the producer's own; counters are partial.
    Partial = 8,
}

impl Flag {
    /// The flag's bit in [`StepCore::flags`].
    #[must_use]
    pub const fn bit(self) -> u32 {
        1 << (self as u8)
    }
}

/// What part of a request an engine serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(u8)]
pub enum Role {
    /// The producer did not say.
    #[default]
    Unknown = 0,
    /// Prefill and decode in one engine.
    Aggregated = 1,
    /// Prefill only.
    Prefill = 2,
    /// Decode only.
    Decode = 3,
    /// Encoder only.
    Encode = 4,
}

impl Role {
    /// The role with this number; unknown numbers are unknown roles.
    #[must_use]
    pub const fn from_number(number: u8) -> Self {
        match number {
            1 => Self::Aggregated,
            2 => Self::Prefill,
            3 => Self::Decode,
            4 => Self::Encode,
            _ => Self::Unknown,
        }
    }

    /// The role in one lower-case word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Aggregated => "aggregated",
            Self::Prefill => "prefill",
            Self::Decode => "decode",
            Self::Encode => "encode",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_that_was_not_marked_is_unknown_even_when_its_bytes_are_set() {
        let mut step = StepCore::zeroed();
        step.running = 7;
        assert_eq!(step.value(Field::Running), None);
        step.mark(Field::Running);
        assert_eq!(step.value(Field::Running), Some(7.0));
    }

    #[test]
    fn bits_are_the_order_of_the_list() {
        for (bit, field) in Field::ALL.iter().enumerate() {
            assert_eq!(field.bit(), 1 << bit, "{}", field.name());
        }
    }
}
