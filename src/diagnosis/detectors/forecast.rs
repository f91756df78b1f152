//! When a value that grows will reach its limit, if it goes on so.

/// A straight line through the newest values, robust against single ones.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Forecast {
    points: Vec<(u64, f64)>,
    every_ns: u64,
}

/// Most points kept; when they are full every second one is dropped and the
/// distance between points doubles.
const POINTS_MAX: usize = 32;
/// Fewest points from which a line is drawn.
const POINTS_MIN: usize = 6;

impl Forecast {
    /// Keeps a value, unless the last one was kept less than `every_ns` ago.
    pub fn take(&mut self, now_ns: u64, value: f64, every_ns: u64) {
        self.every_ns = self.every_ns.max(every_ns);
        let due = |(last, _): &(u64, f64)| now_ns.saturating_sub(*last) >= self.every_ns;
        if !value.is_finite() || !self.points.last().is_none_or(due) {
            return;
        }
        if self.points.len() == POINTS_MAX {
            let mut at = 0;
            self.points.retain(|_| {
                at += 1;
                at % 2 == 1
            });
            self.every_ns *= 2;
        }
        self.points.push((now_ns, value));
    }

    /// Growth a second: the median slope of all pairs (Theil and Sen).
    #[must_use]
    pub fn slope(&self) -> Option<f64> {
        if self.points.len() < POINTS_MIN {
            return None;
        }
        let mut slopes = Vec::with_capacity(POINTS_MAX * POINTS_MAX / 2);
        for (at, (time, value)) in self.points.iter().enumerate() {
            for (later, other) in &self.points[at + 1..] {
                let seconds = (later - time) as f64 / 1e9;
                if seconds > 0.0 {
                    slopes.push((other - value) / seconds);
                }
            }
        }
        super::median(&mut slopes)
    }

    /// Seconds until the value reaches `limit`; nothing where it does not grow
    /// towards it, or too little is known.
    #[must_use]
    pub fn seconds_to(&self, limit: f64) -> Option<f64> {
        let (_, newest) = *self.points.last()?;
        let (slope, left) = (self.slope()?, limit - newest);
        (slope != 0.0 && left.signum() == slope.signum()).then(|| left / slope)
    }

    /// Begins anew, as after a reset.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_line_with_noise_is_forecast_and_memory_is_bounded(
            slope in 1.0..100.0_f64,
            noise in prop::collection::vec(-0.2..0.2_f64, 40..400),
        ) {
            let mut forecast = Forecast::default();
            let second = 1_000_000_000;
            for (at, noise) in noise.iter().enumerate() {
                forecast.take(at as u64 * second, slope * (at as f64 + noise), second);
                prop_assert!(forecast.points.len() <= POINTS_MAX);
            }
            let newest = forecast.points.last().expect("kept").1;
            let wanted = (slope * 1000.0 - newest) / slope;
            let seconds = forecast.seconds_to(slope * 1000.0).expect("it grows");
            prop_assert!((seconds - wanted).abs() < 0.1 * wanted.abs() + 1.0, "{seconds} {wanted}");
            prop_assert_eq!(forecast.seconds_to(-1.0), None);
        }
    }
}
