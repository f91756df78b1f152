//! Discrete facts, and what rules conclude from facts.

use super::wire;

/// How much something matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
#[repr(u8)]
pub enum Severity {
    /// Worth knowing.
    #[default]
    Info = 0,
    /// Worth a look.
    Warning = 1,
    /// Something does not work.
    Error = 2,
    /// Something is lost or about to be.
    Critical = 3,
}

impl Severity {
    /// The severity with this number; numbers of the future are critical.
    #[must_use]
    pub const fn from_number(number: u8) -> Self {
        match number {
            0 => Self::Info,
            1 => Self::Warning,
            2 => Self::Error,
            _ => Self::Critical,
        }
    }

    /// The severity in one lower-case word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Critical => "critical",
        }
    }
}

/// What kind of fact an [`Event`] states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(u16)]
pub enum EventKind {
    /// A kind that this build does not know.
    #[default]
    Unknown = 0,
    /// An engine began to report.
    EngineAppeared = 1,
    /// An engine's connection hung up or it said goodbye.
    EngineGone = 2,
    /// An engine reports under a later incarnation.
    EngineRestarted = 3,
    /// A sampler missed two periods.
    SamplerStalled = 4,
    /// A stalled sampler ticks again.
    SamplerRecovered = 5,
    /// The agent runs.
    AgentStarted = 6,
    /// The agent leaves.
    AgentStopped = 7,
    /// Something from outside was refused for the first time.
    RecordRejected = 8,
}

impl EventKind {
    /// The kind with this number.
    #[must_use]
    pub const fn from_number(number: u16) -> Self {
        match number {
            1 => Self::EngineAppeared,
            2 => Self::EngineGone,
            3 => Self::EngineRestarted,
            4 => Self::SamplerStalled,
            5 => Self::SamplerRecovered,
            6 => Self::AgentStarted,
            7 => Self::AgentStopped,
            8 => Self::RecordRejected,
            _ => Self::Unknown,
        }
    }

    /// The kind as its name in the schema.
    #[must_use]
    pub fn name(self) -> &'static str {
        wire::EventKind(self as u16).variant_name().unwrap_or("unknown")
    }
}

/// A discrete fact: something began, ended or was refused.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Event {
    /// Unique with its node.
    pub id: u64,
    /// What kind of fact.
    pub kind: EventKind,
    /// How much it matters by itself.
    pub severity: Severity,
    /// `CLOCK_REALTIME`, ns since 1970.
    pub wall_ns: u64,
    /// The node's `CLOCK_MONOTONIC`, ns.
    pub monotonic_ns: u64,
    /// The sampler that saw it.
    pub source: String,
    /// What it is about: an engine, a device, a sampler.
    pub subject: String,
    /// One sentence for people.
    pub text: String,
}

/// What a rule concluded.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verdict {
    /// Stable over revisions.
    pub id: u64,
    /// One up with every change.
    pub revision: u32,
    /// The rule's name.
    pub rule: String,
    /// How much it matters.
    pub severity: Severity,
    /// What it is about.
    pub subject: String,
    /// One sentence for people.
    pub text: String,
    /// `CLOCK_REALTIME`, ns since 1970.
    pub wall_ns: u64,
}
