//! The two axes of an engine's state.

use std::fmt;

use super::{Field, Flag, StepCore};

/// How recently a producer was heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Freshness {
    /// A step or a heartbeat within its time-to-live.
    Fresh = 0,
    /// Overdue by up to two more of them.
    Stale = 1,
    /// Overdue by more; nobody said goodbye.
    Silent = 2,
    /// It said goodbye, its connection hung up, or it was silent for very long.
    Gone = 3,
}

/// What a producer was doing when it was last heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Activity {
    /// The producer did not say enough to tell.
    Unknown = 0,
    /// It has requests running or waiting.
    Busy = 1,
    /// It has none.
    Idle = 2,
    /// It sleeps and must be woken before it serves.
    Asleep = 3,
    /// It finishes what it has and takes nothing more.
    Draining = 4,
    /// It is not ready yet.
    Warming = 5,
}

impl Freshness {
    /// How recently the producer of `step` was heard, when its last sign of
    /// life is `silence_ns` ago. A time-to-live of 0 stands for one second.
    #[must_use]
    pub fn of(step: &StepCore, silence_ns: u64) -> Self {
        if step.has(Flag::Goodbye) {
            return Self::Gone;
        }
        let ttl_ns = step.ttl_ns();
        match silence_ns {
            silence_ns if silence_ns <= ttl_ns => Self::Fresh,
            silence_ns if silence_ns <= 3 * ttl_ns => Self::Stale,
            _ => Self::Silent,
        }
    }

    /// The state in one lower-case word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fresh => "fresh",
            Self::Stale => "stale",
            Self::Silent => "silent",
            Self::Gone => "gone",
        }
    }
}

impl Activity {
    /// What the producer of `step` said that it does. Zero requests are idle
    /// only where both gauges were measured.
    #[must_use]
    pub fn of(step: &StepCore) -> Self {
        let known = |field, value: u32| step.known(field).then_some(value);
        if step.has(Flag::Asleep) {
            return Self::Asleep;
        }
        if step.has(Flag::Draining) {
            return Self::Draining;
        }
        if step.has(Flag::Warming) {
            return Self::Warming;
        }
        match (known(Field::Running, step.running), known(Field::Waiting, step.waiting)) {
            (Some(0), Some(0)) => Self::Idle,
            (Some(1..), _) | (_, Some(1..)) => Self::Busy,
            _ => Self::Unknown,
        }
    }

    /// The state in one lower-case word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Busy => "busy",
            Self::Idle => "idle",
            Self::Asleep => "asleep",
            Self::Draining => "draining",
            Self::Warming => "warming",
        }
    }
}

impl fmt::Display for Freshness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl fmt::Display for Activity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use bytemuck::Zeroable;

    use super::*;

    #[test]
    fn freshness_follows_the_promise_and_a_goodbye_ends_it() {
        for (ttl_ms, silence_ms, goodbye, expected) in [
            (100, 100, false, Freshness::Fresh),
            (100, 101, false, Freshness::Stale),
            (100, 300, false, Freshness::Stale),
            (100, 301, false, Freshness::Silent),
            (0, 1000, false, Freshness::Fresh),
            (0, 1001, false, Freshness::Stale),
            (100, 0, true, Freshness::Gone),
            (u32::MAX, u64::MAX / 1_000_000, false, Freshness::Silent),
        ] {
            let mut step = StepCore { ttl_ms, ..StepCore::zeroed() };
            if goodbye {
                step.raise(Flag::Goodbye);
            }
            let seen = Freshness::of(&step, silence_ms * 1_000_000);
            assert_eq!(seen, expected, "{ttl_ms} ms, {silence_ms} ms");
        }
    }

    #[test]
    fn activity_is_what_was_said_and_unknown_where_nothing_was_measured() {
        let check = |running: Option<u32>, waiting: Option<u32>, flag: Option<Flag>, expected| {
            let mut step = StepCore::zeroed();
            for (gauge, field) in [(running, Field::Running), (waiting, Field::Waiting)] {
                if gauge.is_some() {
                    step.mark(field);
                }
            }
            (step.running, step.waiting) = (running.unwrap_or(9), waiting.unwrap_or(9));
            if let Some(flag) = flag {
                step.raise(flag);
            }
            assert_eq!(Activity::of(&step), expected, "{running:?} {waiting:?} {flag:?}");
        };
        check(None, None, None, Activity::Unknown);
        check(Some(0), None, None, Activity::Unknown);
        check(None, Some(0), None, Activity::Unknown);
        check(Some(0), Some(0), None, Activity::Idle);
        check(Some(1), Some(0), None, Activity::Busy);
        check(Some(0), Some(1), None, Activity::Busy);
        check(None, Some(1), None, Activity::Busy);
        check(Some(3), None, None, Activity::Busy);
        check(Some(3), Some(0), Some(Flag::Draining), Activity::Draining);
        check(Some(0), Some(0), Some(Flag::Asleep), Activity::Asleep);
        check(None, None, Some(Flag::Warming), Activity::Warming);
    }
}
