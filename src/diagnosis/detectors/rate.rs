//! How fast a counter rises, over a span of time, whatever resets it.

/// The growth of a counter over about a span.
#[derive(Debug, Clone, PartialEq)]
pub struct Rate {
    span_ns: u64,
    /// Growth and time of the parts of the span, the oldest first.
    parts: [(f64, u64); PARTS],
    last: Option<(f64, u64)>,
    part_began_ns: u64,
}

/// Parts that a span is remembered in.
const PARTS: usize = 8;

impl Rate {
    /// A rate over about this span.
    #[must_use]
    pub const fn over(span_ns: u64) -> Self {
        Self { span_ns, parts: [(0.0, 0); PARTS], last: None, part_began_ns: 0 }
    }

    /// Takes the counter's value at the time of its sample. One that fell was
    /// reset, and has grown by what it says. A sample that is no later than
    /// the last says nothing.
    pub fn take(&mut self, time_ns: u64, value: f64) {
        let Some((before, at_ns)) = self.last else {
            self.last = Some((value, time_ns));
            self.part_began_ns = time_ns;
            return;
        };
        if time_ns <= at_ns {
            // A clock that began anew begins the rate anew.
            if at_ns - time_ns > self.span_ns {
                *self = Self::over(self.span_ns);
                self.last = Some((value, time_ns));
                self.part_began_ns = time_ns;
            }
            return;
        }
        let grown = if value >= before { value - before } else { value.max(0.0) };
        if time_ns - self.part_began_ns >= self.span_ns / PARTS as u64 {
            self.parts.rotate_left(1);
            self.parts[PARTS - 1] = (0.0, 0);
            self.part_began_ns = time_ns;
        }
        let part = &mut self.parts[PARTS - 1];
        part.0 += grown;
        part.1 += time_ns - at_ns;
        self.last = Some((value, time_ns));
    }

    /// Growth within the span; none before half of it was seen.
    #[must_use]
    pub fn grown(&self) -> Option<f64> {
        self.covered().map(|(grown, _)| grown)
    }

    /// Growth a second; none before half the span was seen.
    #[must_use]
    pub fn per_second(&self) -> Option<f64> {
        self.covered().map(|(grown, time_ns)| grown / (time_ns as f64 / 1e9))
    }

    fn covered(&self) -> Option<(f64, u64)> {
        let time_ns: u64 = self.parts.iter().map(|part| part.1).sum();
        let grown: f64 = self.parts.iter().map(|part| part.0).sum();
        (time_ns > 0 && time_ns >= self.span_ns / 2).then_some((grown, time_ns))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn growth_is_that_of_the_span_whatever_resets_the_counter(
            grows in prop::collection::vec((0_u32..50, prop::bool::weighted(0.1)), 80..300),
        ) {
            let span = 40_u64;
            let mut rate = Rate::over(span);
            let mut value = 1000.0;
            rate.take(0, value);
            for (at, (grow, reset)) in grows.iter().enumerate() {
                value = if *reset { f64::from(*grow) } else { value + f64::from(*grow) };
                rate.take(at as u64 + 1, value);
            }
            let sum = |of: usize| {
                let from = grows.len() - of.min(grows.len());
                grows[from..].iter().map(|(grow, _)| f64::from(*grow)).sum::<f64>()
            };
            let grown = rate.grown().expect("the span was seen");
            prop_assert!(grown >= sum(30) && grown <= sum(48), "{grown} {} {}", sum(30), sum(48));
        }

        #[test]
        fn samples_out_of_order_do_not_harm(times in prop::collection::vec(any::<u64>(), 0..60)) {
            let mut rate = Rate::over(10);
            for time in times {
                rate.take(time, (time % 1000) as f64);
                prop_assert!(rate.per_second().is_none_or(|rate| rate >= 0.0));
            }
        }
    }
}
