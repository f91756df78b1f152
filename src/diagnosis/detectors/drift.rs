//! How far a value lies from the same device's own past.

use super::window::Window;

/// The median and the median distance of the past, in bounded memory: one
/// sample of each stretch of time is kept.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Drift {
    past: Window<PAST>,
    kept_ns: u64,
}

/// Samples of the past.
const PAST: usize = 64;
/// Samples before anything is said.
const PAST_MIN: usize = 24;
/// A median distance of a normal spread is so much of its standard deviation.
const NORMAL: f64 = 1.4826;

impl Drift {
    /// How many deviations `value` lies from the past, positive above it; the
    /// deviation is taken as at least `least`. Nothing before enough is known.
    #[must_use]
    pub fn deviations(&self, value: f64, least: f64) -> Option<f64> {
        if self.past.len() < PAST_MIN || !value.is_finite() {
            return None;
        }
        let (middle, spread) = self.past.spread()?;
        Some((value - middle) / (spread * NORMAL).max(least).max(f64::MIN_POSITIVE))
    }

    /// The median of the past.
    #[must_use]
    pub fn usual(&self) -> Option<f64> {
        (self.past.len() >= PAST_MIN).then(|| self.past.spread()).flatten().map(|of| of.0)
    }

    /// Takes a value into the past, if `every_ns` went by since the last. What
    /// lies far off belongs to the trouble, not to the past: it is for the
    /// caller to leave out.
    pub fn learn(&mut self, now_ns: u64, value: f64, every_ns: u64) {
        let due = self.past.len() == 0 || now_ns.saturating_sub(self.kept_ns) >= every_ns;
        if due && value.is_finite() {
            self.past.push(value);
            self.kept_ns = now_ns;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_few_wild_samples_do_not_move_what_is_usual(
            noise in prop::collection::vec(-1.0..1.0_f64, 64),
            wild in prop::collection::vec((0_usize..64, -1e6..1e6_f64), 0..16),
        ) {
            let mut values: Vec<f64> = noise.iter().map(|noise| 50.0 + noise).collect();
            for (at, value) in wild {
                values[at] = value;
            }
            let mut drift = Drift::default();
            for (at, value) in values.iter().enumerate() {
                prop_assert_eq!(drift.deviations(50.0, 0.5).is_some(), at >= PAST_MIN);
                drift.learn(at as u64, *value, 1);
            }
            let usual = drift.usual().expect("enough is known");
            prop_assert!((usual - 50.0).abs() <= 1.0);
            prop_assert!(drift.deviations(50.5, 0.5).expect("known").abs() < 6.0);
            prop_assert!(drift.deviations(70.0, 0.5).expect("known") > 6.0);
        }
    }
}
