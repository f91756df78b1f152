//! A value that should move and does not.

/// How long a value has been the same, to the last bit.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Stuck {
    value: Option<f64>,
    since_ns: u64,
    samples: u32,
}

/// Samples that must have been the same.
const SAMPLES_MIN: u32 = 8;

impl Stuck {
    /// Takes a sample of a value that `should_move`; whether it has been the
    /// same for `for_ns` of such time and over enough samples.
    pub fn take(&mut self, now_ns: u64, value: f64, should_move: bool, for_ns: u64) -> bool {
        let same = self.value.is_some_and(|known| known.to_bits() == value.to_bits());
        if !same || !should_move {
            *self = Self { value: Some(value), since_ns: now_ns, samples: 1 };
            return false;
        }
        self.samples = self.samples.saturating_add(1);
        self.samples >= SAMPLES_MIN && now_ns.saturating_sub(self.since_ns) >= for_ns
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn only_a_value_that_never_moved_is_stuck(values in prop::collection::vec(0_u8..3, 1..80)) {
            let mut stuck = Stuck::default();
            for (at, value) in values.iter().enumerate() {
                let run = values[..=at].iter().rev().take_while(|of| *of == value).count();
                let is = stuck.take(at as u64, f64::from(*value), true, 10);
                prop_assert_eq!(is, run > 10);
            }
        }
    }
}
