//! How each part of the agent came up.

use std::fmt;

/// One line per part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartLine {
    /// The part: a sampler's name, `journal`, `recorder`, `nats`,
    /// `http`.
    pub name: &'static str,
    /// Whether it came up.
    pub state: PartState,
    /// Why not, and what to do; empty when ready.
    pub sentence: String,
}

/// Whether a part came up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartState {
    /// It works.
    Ready,
    /// What it needs does not exist on this machine.
    NotHere,
    /// It exists and does not work.
    Failed,
    /// The configuration switches it off.
    Off,
}

impl PartState {
    /// The state in words.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::NotHere => "not here",
            Self::Failed => "failed",
            Self::Off => "off",
        }
    }
}

impl PartLine {
    pub(super) const fn new(name: &'static str, state: PartState, sentence: String) -> Self {
        Self { name, state, sentence }
    }

    pub(super) const fn ready(name: &'static str) -> Self {
        Self::new(name, PartState::Ready, String::new())
    }
}

impl fmt::Display for PartLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.state.name())?;
        if self.sentence.is_empty() { Ok(()) } else { write!(f, ", {}", self.sentence) }
    }
}
