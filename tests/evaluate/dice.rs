//! Chance that is the same everywhere: what a seed gives, it always gives.

/// A small generator of numbers (splitmix64); good enough for noise, and a
/// few lines to keep for ever.
#[derive(Debug, Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    /// Dice that fall as this seed says.
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x5851_F42D_4C95_7F2D)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// From 0 up to, not including, 1.
    pub(crate) fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// From the first up to the second.
    pub(crate) fn between(&mut self, first: f64, last: f64) -> f64 {
        first + (last - first) * self.share()
    }

    /// A whole number from 0 up to, not including, `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        ((self.share() * end as f64) as usize).min(end.saturating_sub(1))
    }

    /// True as often as `share` says.
    pub(crate) fn chance(&mut self, share: f64) -> bool {
        self.share() < share
    }

    /// One of these.
    pub(crate) fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    /// About 0, seldom far beyond 1: a sum of twelve, so that no logarithm of
    /// one machine's library is in it.
    pub(crate) fn noise(&mut self) -> f64 {
        (0..12).map(|_| self.share()).sum::<f64>() - 6.0
    }

    /// How many of something that happens `mean` times on average.
    pub(crate) fn count(&mut self, mean: f64) -> u64 {
        let whole = mean.max(0.0);
        let spread = (whole + whole.sqrt() * self.noise()).max(0.0);
        if whole > 12.0 {
            return spread.round() as u64;
        }
        // Few: one throw for each small slice of the time.
        (0..64).filter(|_| self.chance(whole / 64.0)).count() as u64
    }
}

#[test]
fn a_seed_falls_the_same_way_and_counts_come_out_on_average() {
    let throw = |seed| Dice::new(seed).next();
    assert_eq!(throw(7), throw(7));
    assert_ne!(throw(7), throw(8));
    let mut dice = Dice::new(1);
    for mean in [0.3, 4.0, 50.0] {
        let sum: u64 = (0..2000).map(|_| dice.count(mean)).sum();
        assert!((sum as f64 / 2000.0 - mean).abs() < mean * 0.1, "{mean}: {sum}");
    }
}
