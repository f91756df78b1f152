//! The newest so many numbers, and their median.

/// A ring of the newest `N` numbers.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Window<const N: usize> {
    values: [f64; N],
    next: usize,
    length: usize,
}

impl<const N: usize> Default for Window<N> {
    fn default() -> Self {
        Self { values: [0.0; N], next: 0, length: 0 }
    }
}

impl<const N: usize> Window<N> {
    pub(super) fn push(&mut self, value: f64) {
        self.values[self.next] = value;
        self.next = (self.next + 1) % N;
        self.length = (self.length + 1).min(N);
    }

    pub(super) const fn len(&self) -> usize {
        self.length
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// From the oldest to the newest.
    pub(super) fn ordered(&self) -> impl Iterator<Item = f64> {
        let first = if self.length < N { 0 } else { self.next };
        (0..self.length).map(move |at| self.values[(first + at) % N])
    }

    /// The median, and the median distance from it.
    pub(super) fn spread(&self) -> Option<(f64, f64)> {
        let mut sorted = self.values;
        let sorted = &mut sorted[..self.length];
        let middle = median(sorted)?;
        for value in sorted.iter_mut() {
            *value = (*value - middle).abs();
        }
        Some((middle, median(sorted)?))
    }
}

/// The median of these numbers, which are put in order; none of none.
#[must_use]
pub fn median(values: &mut [f64]) -> Option<f64> {
    if values.is_empty() {
        return None;
    }
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = values[middle];
    Some(if values.len() % 2 == 1 { upper } else { f64::midpoint(values[middle - 1], upper) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_window_holds_the_newest_in_order(values in prop::collection::vec(-1e9..1e9_f64, 0..40)) {
            let mut window = Window::<8>::default();
            values.iter().for_each(|value| window.push(*value));
            let newest = &values[values.len().saturating_sub(8)..];
            prop_assert_eq!(window.ordered().collect::<Vec<_>>(), newest);
            if let Some((middle, _)) = window.spread() {
                let below = newest.iter().filter(|value| **value < middle).count();
                let above = newest.iter().filter(|value| **value > middle).count();
                prop_assert!(below <= newest.len() / 2 && above <= newest.len() / 2);
            }
        }
    }
}
