//! The time at which a fact becomes known, and the stage's own count of it.

/// When a fact became known, by the clocks of its node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct At {
    /// `CLOCK_MONOTONIC`, ns.
    pub monotonic_ns: u64,
    /// `CLOCK_REALTIME`, ns since 1970; for people only.
    pub wall_ns: u64,
}

impl At {
    /// Both clocks.
    #[must_use]
    pub const fn new(monotonic_ns: u64, wall_ns: u64) -> Self {
        Self { monotonic_ns, wall_ns }
    }
}

/// A count of ns that never runs backwards, whatever the node's clock does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Clock {
    /// Counts from [`BASE_NS`], so that ages can be taken off it.
    pub(super) now_ns: u64,
    /// What the node's clock said last; none before the first fact.
    raw_ns: Option<u64>,
    /// The wall's time of the newest fact.
    pub(super) wall_ns: u64,
    /// The wall's time at which a snapshot was taken, until the first fact,
    /// and the longest time that may have passed since.
    resumed: Option<(u64, u64)>,
}

impl Clock {
    pub(super) const fn new() -> Self {
        Self { now_ns: BASE_NS, raw_ns: None, wall_ns: 0, resumed: None }
    }

    /// Lets the time of a fact pass. A fact that is a little late belongs to
    /// the present; a clock that was set far back began anew, and time goes on
    /// from where it was.
    pub(super) fn pass(&mut self, at: At) {
        if let Some((wall_ns, most_ns)) = self.resumed.take() {
            let down_ns = at.wall_ns.saturating_sub(wall_ns).min(most_ns);
            self.now_ns = self.now_ns.saturating_add(down_ns);
        }
        self.wall_ns = at.wall_ns;
        let raw_ns = self.raw_ns.unwrap_or(at.monotonic_ns);
        if at.monotonic_ns >= raw_ns {
            self.now_ns = self.now_ns.saturating_add(at.monotonic_ns - raw_ns);
            self.raw_ns = Some(at.monotonic_ns);
        } else if raw_ns - at.monotonic_ns > LATE_NS_MAX {
            self.raw_ns = Some(at.monotonic_ns);
        }
    }

    /// Goes on from a snapshot: what the wall says at the first fact tells how
    /// much time nobody saw pass.
    pub(super) const fn began_at(&mut self, wall_ns: u64, most_ns: u64) {
        self.resumed = Some((wall_ns, most_ns));
        self.wall_ns = wall_ns;
    }
}

/// Where the count begins: a year, more than any age that a snapshot holds.
pub(super) const BASE_NS: u64 = 365 * 24 * 3600 * SECOND_NS;

/// A fact that is later than this comes from a clock that began anew.
const LATE_NS_MAX: u64 = 60 * SECOND_NS;

/// A second.
pub(super) const SECOND_NS: u64 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_never_runs_backwards_and_goes_on_after_a_clock_that_began_anew() {
        let mut clock = Clock::new();
        let mut passed = |ms: u64| {
            clock.pass(At::new(ms * 1_000_000, 0));
            (clock.now_ns - BASE_NS) / 1_000_000
        };
        assert_eq!(passed(500_000), 0);
        assert_eq!(passed(500_100), 100);
        assert_eq!(passed(500_050), 100);
        assert_eq!(passed(500_200), 200);
        assert_eq!(passed(7), 200);
        assert_eq!(passed(17), 210);
    }
}
