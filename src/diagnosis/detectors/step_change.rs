//! A level that has moved at once, and stayed.

use super::window::{Window, median};

/// Compares the newest quarter of a window with what was before.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct StepChange {
    window: Window<LENGTH>,
}

/// Samples in the window.
const LENGTH: usize = 32;
/// Of these, the newest that must have moved.
const NEWEST: usize = 8;

impl StepChange {
    /// Takes a sample; by how much the level moved, where every one of the
    /// newest samples lies beyond what was usual before by `spreads` median
    /// distances and by at least `least`.
    pub fn take(&mut self, value: f64, spreads: f64, least: f64) -> Option<f64> {
        if !value.is_finite() {
            return None;
        }
        self.window.push(value);
        if self.window.len() < LENGTH {
            return None;
        }
        let all: Vec<f64> = self.window.ordered().collect();
        let (before, newest) = all.split_at(LENGTH - NEWEST);
        let mut sorted = before.to_vec();
        let usual = median(&mut sorted)?;
        for value in &mut sorted {
            *value = (*value - usual).abs();
        }
        let beyond = (median(&mut sorted)? * spreads).max(least);
        let up = newest.iter().all(|value| value - usual > beyond);
        let down = newest.iter().all(|value| usual - value > beyond);
        let mut newest = newest.to_vec();
        (up || down).then(|| median(&mut newest).unwrap_or(usual) - usual)
    }

    /// Begins anew, as after a change that was told.
    pub fn clear(&mut self) {
        self.window.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn noise_is_no_step_and_a_step_is_found(
            noise in prop::collection::vec(-1.0..1.0_f64, 60..200),
            step in prop_oneof![-90.0..-20.0_f64, 20.0..90.0_f64],
        ) {
            let mut change = StepChange::default();
            for value in &noise {
                prop_assert_eq!(change.take(100.0 + value, 6.0, 10.0), None);
            }
            let moved = (0..NEWEST).find_map(|_| change.take(100.0 + step, 6.0, 10.0));
            let moved = moved.expect("the step is found within its samples");
            prop_assert!((moved - step).abs() <= 1.0);
        }
    }
}
