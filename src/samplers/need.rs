//! What `eagle-eye doctor` says of one thing that a sampler needs.

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    /// What was looked at: a path, a permission, a kernel feature.
    pub what: String,
    /// How it stands.
    pub state: NeedState,
    /// One sentence: what was seen.
    pub says: String,
    /// What to do about it, as a sentence; empty where nothing need be done.
    pub remedy: String,
}

/// How a thing that was looked at stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NeedState {
    /// As it should be.
    Fine,
    /// Not on this machine, which is no trouble: no such hardware, no such
    /// kernel feature.
    NotHere,
    /// It works in part, or with less than could be had.
    Limited,
    /// It should work and does not.
    Trouble,
}

impl NeedState {
    /// The state in one word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fine => "fine",
            Self::NotHere => "not here",
            Self::Limited => "limited",
            Self::Trouble => "trouble",
        }
    }
}

impl Need {
    /// Something that is as it should be.
    #[must_use]
    pub fn fine(what: impl Into<String>, says: impl Into<String>) -> Self {
        Self { what: what.into(), state: NeedState::Fine, says: says.into(), remedy: String::new() }
    }

    /// Something that this machine does not have.
    #[must_use]
    pub fn not_here(what: impl Into<String>, says: impl Into<String>) -> Self {
        Self { state: NeedState::NotHere, ..Self::fine(what, says) }
    }

    /// Something that works in part, and how it could be whole.
    #[must_use]
    pub fn limited(
        what: impl Into<String>,
        says: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        let remedy = remedy.into();
        Self { state: NeedState::Limited, remedy, ..Self::fine(what, says) }
    }

    /// Something that should work and does not, and what to do.
    #[must_use]
    pub fn trouble(
        what: impl Into<String>,
        says: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { state: NeedState::Trouble, ..Self::limited(what, says, remedy) }
    }
}
