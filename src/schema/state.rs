//! The two axes of an engine's state.

use std::fmt;

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
