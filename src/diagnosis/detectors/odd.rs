//! The one among sisters that is not like the others.

use super::window::median;

/// How far each value lies from the median of all, in deviations of at least
/// `least`; nothing where there are fewer than four, since of three nobody
/// knows who is odd.
#[must_use]
pub fn odd_one_out(values: &[f64], at: usize, least: f64) -> Option<f64> {
    let own = *values.get(at)?;
    if values.len() < SISTERS_MIN || values.iter().any(|value| !value.is_finite()) {
        return None;
    }
    let mut sorted = values.to_vec();
    let middle = median(&mut sorted)?;
    for value in &mut sorted {
        *value = (*value - middle).abs();
    }
    let spread = median(&mut sorted)? * 1.4826;
    Some((own - middle) / spread.max(least).max(f64::MIN_POSITIVE))
}

/// Fewest sisters that can be compared.
const SISTERS_MIN: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_odd_one_is_found_and_the_others_are_not(
            mut values in prop::collection::vec(60.0..62.0_f64, 4..16),
            odd in any::<prop::sample::Index>(),
        ) {
            let odd = odd.index(values.len());
            values[odd] = 85.0;
            for at in 0..values.len() {
                let off = odd_one_out(&values, at, 2.0).expect("enough sisters");
                prop_assert_eq!(off > 5.0, at == odd, "{}", off);
            }
            prop_assert_eq!(odd_one_out(&values[..3], 0, 1.0), None);
        }
    }
}
