//! Data that came and does not come any more.

/// When something came, and how often it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Missing {
    last_ns: u64,
    period_ns: u64,
    seen: u32,
}

/// Arrivals after which its period is known.
const SEEN_MIN: u32 = 4;

impl Missing {
    /// It came.
    pub fn take(&mut self, now_ns: u64) {
        if self.seen > 0 {
            let pause_ns = now_ns.saturating_sub(self.last_ns);
            // Slow to forget a long pause, so that what comes now and then is
            // not missed at once.
            self.period_ns = pause_ns.max(self.period_ns - self.period_ns / 8);
        }
        self.last_ns = now_ns;
        self.seen = self.seen.saturating_add(1);
    }

    /// Nobody expected it until now.
    pub const fn wait(&mut self, now_ns: u64) {
        self.last_ns = now_ns;
    }

    /// Whether it has not come for `periods` of its own longest usual pause,
    /// nor for `least_ns`.
    #[must_use]
    pub fn is_missing(&self, now_ns: u64, periods: u64, least_ns: u64) -> bool {
        let wanted_ns = self.period_ns.saturating_mul(periods).max(least_ns);
        self.seen >= SEEN_MIN && now_ns.saturating_sub(self.last_ns) > wanted_ns
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_keeps_its_pace_is_never_missing(pauses in prop::collection::vec(50_u64..100, 4..80)) {
            let (mut missing, mut now) = (Missing::default(), 0);
            for pause in pauses {
                now += pause;
                prop_assert!(!missing.is_missing(now, 3, 0));
                missing.take(now);
            }
            prop_assert!(missing.is_missing(now + 301, 3, 0));
            prop_assert!(!missing.is_missing(now + 301, 3, 1000));
        }
    }
}
