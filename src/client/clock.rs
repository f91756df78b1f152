//! What a sender's clock says in ours, and how wrong that can be.
//!
//! Let `o` be our `CLOCK_MONOTONIC` minus the sender's. Every message bounds it
//! from above, since none arrives before it was sent: `o ≤ receipt − publish`.
//! Every measured round trip bounds it from below, since no answer takes longer
//! than the whole trip less the time its request was held:
//! `o ≥ receipt − publish − trip`. We keep the smallest upper and the largest
//! lower bound, both widened by the drift that two clocks can have, and take
//! the middle: its error is at most half the smallest trip, plus drift.

use crate::platform::clock::SECOND_NS;

/// The error that we admit before any round trip was measured, ns.
pub const ERROR_UNKNOWN_NS: u64 = SECOND_NS;

/// How fast two disciplined clocks may part: 100 ppm, in ns per 2^20 ns.
const DRIFT_PER_2_20: i128 = 105;

/// Bounds are kept for one to two of these, so that after a pause of a whole
/// machine, which no drift explains, the view heals within a minute.
const WINDOW_NS: u64 = 30 * SECOND_NS;

/// What we know of one sender's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SenderClock {
    window_began_ns: u64,
    upper: [Option<Bound>; 2],
    lower: Option<Bound>,
}

/// An instant of the sender in our clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offset {
    /// Our `CLOCK_MONOTONIC` minus the sender's, ns.
    ns: i128,
    /// Bound on the error, ns.
    pub error_ns: u64,
}

#[derive(Debug, Clone, Copy)]
struct Bound {
    offset_ns: i128,
    at_ns: u64,
}

impl SenderClock {
    /// Takes what one message says: when it was sent by their clock, and when
    /// it was received by ours.
    pub fn heard(&mut self, publish_ns: u64, receipt_ns: u64) {
        if receipt_ns.saturating_sub(self.window_began_ns) >= WINDOW_NS {
            let idle = receipt_ns.saturating_sub(self.window_began_ns) >= 2 * WINDOW_NS;
            self.upper[1] = if idle { None } else { self.upper[0] };
            self.upper[0] = None;
            self.window_began_ns = receipt_ns;
        }
        let offset_ns = i128::from(receipt_ns) - i128::from(publish_ns);
        let nearer = self.upper[0].is_none_or(|bound| offset_ns < bound.upper_ns(receipt_ns));
        if nearer {
            self.upper[0] = Some(Bound { offset_ns, at_ns: receipt_ns });
        }
        let contradicts = self
            .lower
            .zip(self.upper_ns(receipt_ns))
            .is_some_and(|(lower, upper)| lower.lower_ns(receipt_ns) > upper);
        if contradicts {
            // One of the clocks paused; what was measured before is void.
            self.lower = None;
        }
    }

    /// Takes a round trip as well: when we asked, and how long the answer was
    /// held before it was sent. Returns whether it made sense.
    pub fn answered(
        &mut self,
        publish_ns: u64,
        receipt_ns: u64,
        request_sent_ns: u64,
        held_ns: u64,
    ) -> bool {
        let whole = receipt_ns.checked_sub(request_sent_ns);
        let Some(trip_ns) = whole.and_then(|whole| whole.checked_sub(held_ns)) else {
            return false;
        };
        self.heard(publish_ns, receipt_ns);
        let offset_ns = i128::from(receipt_ns) - i128::from(publish_ns) - i128::from(trip_ns);
        let nearer = self.lower.is_none_or(|bound| offset_ns > bound.lower_ns(receipt_ns));
        if self.upper_ns(receipt_ns).is_some_and(|upper| offset_ns > upper) {
            // A trip bounds the offset from both sides by itself: what says
            // otherwise is from before a pause.
            let offset_ns = i128::from(receipt_ns) - i128::from(publish_ns);
            self.upper = [Some(Bound { offset_ns, at_ns: receipt_ns }), None];
        }
        if nearer {
            self.lower = Some(Bound { offset_ns, at_ns: receipt_ns });
        }
        true
    }

    /// The best offset at `now_ns`; nothing before the first message.
    #[must_use]
    pub fn offset(&self, now_ns: u64) -> Option<Offset> {
        let upper = self.upper_ns(now_ns)?;
        let Some(lower) = self.lower else {
            return Some(Offset { ns: upper, error_ns: ERROR_UNKNOWN_NS });
        };
        let lower = lower.lower_ns(now_ns);
        let half = (upper - lower).max(0) / 2;
        let error_ns = u64::try_from(half + 1).unwrap_or(u64::MAX);
        if error_ns > ERROR_UNKNOWN_NS {
            // Measured so long ago that it says nothing any more.
            return Some(Offset { ns: upper, error_ns: ERROR_UNKNOWN_NS });
        }
        Some(Offset { ns: lower + half, error_ns })
    }

    fn upper_ns(&self, now_ns: u64) -> Option<i128> {
        self.upper.iter().flatten().map(|bound| bound.upper_ns(now_ns)).min()
    }
}

impl Offset {
    /// An instant of the sender's clock in ours; before our clock began is 0.
    #[must_use]
    pub fn ours_ns(&self, theirs_ns: u64) -> u64 {
        let ours = i128::from(theirs_ns) + self.ns;
        u64::try_from(ours.max(0)).unwrap_or(u64::MAX)
    }
}

impl Bound {
    fn upper_ns(self, now_ns: u64) -> i128 {
        self.offset_ns + self.drift_ns(now_ns)
    }

    fn lower_ns(self, now_ns: u64) -> i128 {
        self.offset_ns - self.drift_ns(now_ns)
    }

    fn drift_ns(self, now_ns: u64) -> i128 {
        (i128::from(now_ns.saturating_sub(self.at_ns)) * DRIFT_PER_2_20) >> 20
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::clock::MILLISECOND_NS;
    use proptest::prelude::*;

    const MS: u64 = MILLISECOND_NS;

    #[test]
    fn before_any_message_nothing_is_said_and_before_any_trip_the_error_is_the_cautious_one() {
        let mut clock = SenderClock::default();
        assert_eq!(clock.offset(5), None);
        clock.heard(1_000 * MS, 7_000 * MS);
        let offset = clock.offset(7_000 * MS).unwrap();
        assert_eq!((offset.ours_ns(1_000 * MS), offset.error_ns), (7_000 * MS, ERROR_UNKNOWN_NS));
    }

    #[test]
    fn the_fastest_message_counts_and_later_ones_show_their_delay() {
        let mut clock = SenderClock::default();
        clock.heard(0, 100 * MS);
        clock.heard(10 * MS, 110 * MS + 30 * MS);
        let ours = clock.offset(140 * MS).unwrap().ours_ns(10 * MS);
        assert!((110 * MS..111 * MS).contains(&ours), "{ours}");
    }

    #[test]
    fn a_pause_of_a_machine_heals_within_two_windows() {
        let mut clock = SenderClock::default();
        clock.heard(0, 0);
        // From here on their clock stands 10 s behind where it stood.
        for second in 11..80 {
            clock.heard((second - 10) * SECOND_NS, second * SECOND_NS);
        }
        assert_eq!(clock.offset(79 * SECOND_NS).unwrap().ours_ns(69 * SECOND_NS), 79 * SECOND_NS);
    }

    #[test]
    fn a_trip_after_a_pause_heals_at_once() {
        let mut clock = SenderClock::default();
        clock.answered(0, 2 * MS, 0, 0);
        clock.answered(SECOND_NS, 11 * SECOND_NS, 11 * SECOND_NS - 2 * MS, 0);
        let offset = clock.offset(11 * SECOND_NS).unwrap();
        assert_eq!(offset.ours_ns(SECOND_NS), 11 * SECOND_NS - MS);
        assert!(offset.error_ns <= MS + 1);
    }

    #[test]
    fn a_trip_that_cannot_be_is_refused() {
        let mut clock = SenderClock::default();
        assert!(!clock.answered(5, 100, 200, 0), "asked after the answer");
        assert!(!clock.answered(5, 100, 50, 60), "held longer than the trip");
        assert_eq!(clock.offset(100), None);
        assert!(clock.answered(5, 100, 50, 10));
    }

    #[test]
    fn hostile_times_do_not_overflow() {
        for publish in [0, u64::MAX] {
            for receipt in [0, u64::MAX] {
                let mut clock = SenderClock::default();
                clock.heard(publish, receipt);
                clock.answered(publish, receipt, 0, 0);
                let _ = clock.offset(u64::MAX).unwrap().ours_ns(u64::MAX);
            }
        }
    }

    proptest! {
        /// Whatever the delays, and with clocks that part by up to 90 ppm,
        /// the truth lies within the error.
        #[test]
        fn the_truth_is_within_the_error(
            start in 0..1_000_000_000_000_u64,
            ppm in -90_i64..90,
            messages in prop::collection::vec(
                (1_000_000..2_000_000_000_u64, 1_000..50_000_000_u64, 0..50_000_000_u64, any::<bool>()),
                1..100,
            ),
        ) {
            let theirs = |ours: u64| {
                let drift = i128::from(ours) * i128::from(ppm) / 1_000_000;
                u64::try_from(i128::from(ours) + i128::from(start) + drift).unwrap()
            };
            let mut clock = SenderClock::default();
            let (mut now, mut asked) = (SECOND_NS, false);
            for (pause, there, back, answer) in messages {
                now += pause;
                let (sent, receipt) = (now + there, now + there + back);
                if answer {
                    prop_assert!(clock.answered(theirs(sent), receipt, now, 0));
                    asked = true;
                } else {
                    clock.heard(theirs(sent), receipt);
                }
                let offset = clock.offset(receipt).unwrap();
                let ours = offset.ours_ns(theirs(sent));
                if asked {
                    prop_assert!(
                        ours.abs_diff(sent) <= offset.error_ns + 2,
                        "{} off, error {}", ours.abs_diff(sent), offset.error_ns
                    );
                }
                prop_assert!(ours <= receipt);
            }
        }
    }
}
