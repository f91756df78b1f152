//! From a sketch of 1,024 narrow buckets to the few wide ones of a histogram.

use crate::schema::{Sketch, SketchKind};

/// An upper bound of a histogram's bucket.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bound {
    /// As the page says it. With a decimal point always, so that a scrape in
    /// either format has the same series.
    text: &'static str,
    us: f64,
}

impl Bound {
    /// Most bounds of a histogram.
    pub(super) const MAX: usize = 24;

    /// How many values each of `bounds` is not exceeded by, and how many there
    /// are in all. A bucket counts where its middle lies, so that a bound is
    /// off by at most 2.2 %.
    pub(super) fn counts(
        bounds: &[Self],
        sketch: &Sketch,
        into: &mut [(&'static str, u64); Self::MAX],
    ) -> u64 {
        let (mut at, mut below) = (0, 0_u64);
        for (bound, count) in bounds.iter().zip(into) {
            let last = last_bucket(bound.us);
            while at < sketch.buckets.len() && usize::from(sketch.offset) + at <= last {
                below += u64::from(sketch.buckets[at]);
                at += 1;
            }
            *count = (bound.text, below);
        }
        below + sketch.buckets[at..].iter().copied().map(u64::from).sum::<u64>()
    }
}

/// The last bucket whose middle is no more than this.
fn last_bucket(us: f64) -> usize {
    // The middle of bucket n is 2^((n − 1/2) / 16) µs.
    (16.0 * us.log2() + 0.5).floor() as usize
}

macro_rules! bounds {
    ($name:ident: $($second:literal)*) => {
        const $name: &[Bound] = &[$(Bound { text: stringify!($second), us: $second * 1e6 }),*];
        const _: () = assert!($name.len() <= Bound::MAX);
    };
}

bounds! { BETWEEN_TOKENS:
    0.001 0.0025 0.005 0.0075 0.01 0.015 0.02 0.025 0.03 0.04 0.05 0.075 0.1 0.15 0.2 0.3 0.5 0.75
    1.0 2.5 5.0 10.0
}
bounds! { OF_REQUESTS:
    0.001 0.0025 0.005 0.01 0.025 0.05 0.1 0.2 0.3 0.5 0.75 1.0 1.5 2.0 3.0 5.0 7.5 10.0 20.0 40.0
    80.0 160.0 320.0 640.0
}

/// The bounds of a kind's histogram. They are fixed: series must mean the same
/// on every node and in every version.
pub(super) const fn bounds_of(kind: SketchKind) -> &'static [Bound] {
    match kind {
        SketchKind::InterToken => BETWEEN_TOKENS,
        _ => OF_REQUESTS,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn counts(sketch: &Sketch) -> (Vec<u64>, u64) {
        let mut into = [("", 0); Bound::MAX];
        let bounds = bounds_of(sketch.kind);
        let all = Bound::counts(bounds, sketch, &mut into);
        (into[..bounds.len()].iter().map(|(_, count)| *count).collect(), all)
    }

    #[test]
    fn bounds_rise() {
        for kind in SketchKind::ALL {
            let bounds = bounds_of(kind);
            assert!(bounds.windows(2).all(|pair| pair[0].us < pair[1].us));
            for bound in bounds {
                assert_eq!(bound.text.parse::<f64>().unwrap() * 1e6, bound.us);
                assert!(bound.text.contains('.'), "{}", bound.text);
            }
        }
    }

    #[test]
    fn full_buckets_and_an_empty_sketch_are_counted() {
        let empty = Sketch::new(SketchKind::Ttft);
        assert_eq!(counts(&empty), (vec![0; OF_REQUESTS.len()], 0));
        let buckets = vec![u32::MAX; 1024];
        let full = Sketch { buckets, ..Sketch::new(SketchKind::Ttft) };
        assert_eq!(counts(&full).1, 1024 * u64::from(u32::MAX));
    }

    proptest! {
        #[test]
        fn no_value_is_counted_under_a_bound_that_it_clearly_exceeds(
            values in prop::collection::vec(1_u32..2_000_000_000, 0..200),
        ) {
            let mut sketch = Sketch::new(SketchKind::EndToEnd);
            values.iter().for_each(|us| sketch.add(f64::from(*us), 1));
            let (counts, all) = counts(&sketch);
            prop_assert_eq!(all, values.len() as u64);
            for (bound, count) in OF_REQUESTS.iter().zip(counts) {
                let within = |limit: f64| values.iter().filter(|us| f64::from(**us) <= limit).count() as u64;
                prop_assert!(within(bound.us * 0.97) <= count, "{}", bound.text);
                prop_assert!(count <= within(bound.us * 1.03), "{}", bound.text);
            }
        }
    }
}
