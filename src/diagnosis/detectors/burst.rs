//! So many occurrences within so much time.

use std::collections::VecDeque;

/// Times of the newest occurrences.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Burst {
    times: VecDeque<u64>,
}

/// Most occurrences that a burst can ask for.
pub const BURST_MAX: usize = 64;

impl Burst {
    /// Takes an occurrence; whether it is at least the `wanted`th within
    /// `span_ns`.
    pub fn take(&mut self, now_ns: u64, wanted: usize, span_ns: u64) -> bool {
        let wanted = wanted.clamp(1, BURST_MAX);
        self.times.push_back(now_ns);
        while self.times.len() > wanted {
            self.times.pop_front();
        }
        self.count(now_ns, span_ns) >= wanted
    }

    /// Occurrences within the last `span_ns`, of those that are remembered.
    #[must_use]
    pub fn count(&self, now_ns: u64, span_ns: u64) -> usize {
        self.times.iter().filter(|time| now_ns.saturating_sub(**time) <= span_ns).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_burst_is_what_counting_all_says(
            pauses in prop::collection::vec(0_u64..20, 1..120),
            wanted in 1_usize..6,
            span in 0_u64..40,
        ) {
            let (mut burst, mut now, mut all) = (Burst::default(), 0, Vec::new());
            for pause in pauses {
                now += pause;
                all.push(now);
                let within = all.iter().filter(|time| now - **time <= span).count();
                prop_assert_eq!(burst.take(now, wanted, span), within >= wanted);
            }
        }
    }
}
