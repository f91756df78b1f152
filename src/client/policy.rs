//! What to do with a rank about which something is wrong or unknown.

use super::pick::Excluded;
use super::state::RankState;
use crate::schema::{Activity, Freshness, Health};

/// What to do with a rank in some state.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Treat {
    /// Never choose it.
    Exclude,
    /// Choose it as if its score were larger by this much. The built-in
    /// scores are in requests: `Penalise(10.0)` makes it look ten requests
    /// busier.
    Penalise(f64),
    /// Choose it like any other.
    Include,
}

/// What to do with ranks that are stale, silent, ill or unknown.
///
/// There is no default: whoever routes must decide. Ranks that are gone,
/// asleep, draining or warming are never chosen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Policy {
    /// Overdue by up to two more of its times-to-live.
    pub stale: Treat,
    /// Overdue by more.
    pub silent: Treat,
    /// Running or waiting requests were not measured. When chosen it is scored
    /// by what this process has in flight there.
    pub unknown_load: Treat,
    /// Its hardware is degraded or failed.
    pub ill: Treat,
    /// Nobody samples its hardware.
    pub unknown_health: Treat,
}

impl Policy {
    /// Only what is known to be fresh, measured and not ill. Rather no rank
    /// than a doubtful one: right where another pool can take the request.
    ///
    /// Unknown health is let pass, since where nobody samples hardware nothing
    /// could be chosen otherwise; exclude it where all nodes have an agent.
    #[must_use]
    pub const fn strict() -> Self {
        Self {
            stale: Treat::Exclude,
            silent: Treat::Exclude,
            unknown_load: Treat::Exclude,
            ill: Treat::Exclude,
            unknown_health: Treat::Include,
        }
    }

    /// Prefers what is known, but rather a doubtful rank than none: right
    /// where refusing a request is worse than a slow answer. Failed hardware
    /// and long silence weigh like a hundred requests.
    #[must_use]
    pub const fn lenient() -> Self {
        Self {
            stale: Treat::Penalise(10.0),
            silent: Treat::Penalise(100.0),
            unknown_load: Treat::Penalise(10.0),
            ill: Treat::Penalise(100.0),
            unknown_health: Treat::Include,
        }
    }

    /// What is added to the rank's score, or nothing when it is left out;
    /// that is counted in `excluded`.
    #[must_use]
    pub fn penalty(&self, state: &RankState, excluded: &mut Excluded) -> Option<f64> {
        if state.freshness == Freshness::Fresh
            && matches!(state.activity, Activity::Busy | Activity::Idle)
            && (state.health == Health::Healthy
                || state.health == Health::Unknown && self.unknown_health == Treat::Include)
            && state.requests().is_some()
        {
            // By far the most.
            return Some(0.0);
        }
        let out = match (state.freshness, state.activity) {
            (Freshness::Gone, _) => Some(&mut excluded.gone),
            (_, Activity::Asleep) => Some(&mut excluded.asleep),
            (_, Activity::Draining) => Some(&mut excluded.draining),
            (_, Activity::Warming) => Some(&mut excluded.warming),
            _ => None,
        };
        if let Some(count) = out {
            *count += 1;
            return None;
        }
        let mut penalty = 0.0;
        let doubts = [
            (state.freshness == Freshness::Stale, self.stale, &mut excluded.stale),
            (state.freshness == Freshness::Silent, self.silent, &mut excluded.silent),
            (state.requests().is_none(), self.unknown_load, &mut excluded.unknown_load),
            (
                !matches!(state.health, Health::Healthy | Health::Unknown),
                self.ill,
                &mut excluded.ill,
            ),
            (state.health == Health::Unknown, self.unknown_health, &mut excluded.unknown_health),
        ];
        for (applies, treat, count) in doubts {
            match treat {
                _ if !applies => {}
                Treat::Include => {}
                Treat::Penalise(by) => penalty += by,
                Treat::Exclude => {
                    *count += 1;
                    return None;
                }
            }
        }
        Some(penalty)
    }
}
