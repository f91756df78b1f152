//! How long something took, in few bytes: a histogram whose buckets grow by a
//! sixteenth of an octave.
//!
//! Every value is at most 2.2 % from the middle of its bucket, whatever its
//! size, and sketches merge by adding: those of several front ends, ranks or
//! hosts are the sketch of all their requests together.

/// Buckets in all: from up to 1 µs to 2^63.9 µs.
pub const BUCKETS_MAX: u16 = 1024;

/// Buckets in which values double.
const BUCKETS_OCTAVE: f64 = 16.0;

/// Which time of a request a [`Sketch`] is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u16)]
pub enum SketchKind {
    /// Arrival to first token.
    Ttft = 1,
    /// Between two tokens of one request.
    InterToken = 2,
    /// Arrival to first computation.
    Queue = 3,
    /// First computation to first token.
    Prefill = 4,
    /// First token to last.
    Decode = 5,
    /// Arrival to last token.
    EndToEnd = 6,
}

impl SketchKind {
    /// Every kind, in the order of its number.
    pub const ALL: [Self; 6] =
        [Self::Ttft, Self::InterToken, Self::Queue, Self::Prefill, Self::Decode, Self::EndToEnd];

    /// The kind with this number, if this build knows it.
    #[must_use]
    pub fn from_number(number: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u16 == number)
    }

    /// The kind's name, as in the schema.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ttft => "ttft",
            Self::InterToken => "inter_token",
            Self::Queue => "queue",
            Self::Prefill => "prefill",
            Self::Decode => "decode",
            Self::EndToEnd => "end_to_end",
        }
    }
}

/// The times of one kind, cumulative since the engine's incarnation.
#[derive(Debug, Clone, PartialEq)]
pub struct Sketch {
    /// What was measured.
    pub kind: SketchKind,
    /// Index of the first bucket.
    pub offset: u16,
    /// Values in all.
    pub count: u64,
    /// Their sum, µs.
    pub sum_us: f64,
    /// The largest, µs.
    pub max_us: f64,
    /// Values in each bucket from `offset` on; `u32::MAX` stands for as many
    /// or more.
    pub buckets: Vec<u32>,
}

impl Sketch {
    /// No value yet.
    #[must_use]
    pub const fn new(kind: SketchKind) -> Self {
        Self { kind, offset: 0, count: 0, sum_us: 0.0, max_us: 0.0, buckets: Vec::new() }
    }

    /// The bucket of a value: ⌈16 · log2 µs⌉, at least 0, at most 1023.
    #[must_use]
    pub fn bucket(us: f64) -> u16 {
        if us > 1.0 {
            (BUCKETS_OCTAVE * us.log2()).ceil().min(f64::from(BUCKETS_MAX - 1)) as u16
        } else {
            0
        }
    }

    /// Adds a value as often as it was measured. What is no time is passed
    /// over.
    pub fn add(&mut self, us: f64, times: u32) {
        if times == 0 || !us.is_finite() || us < 0.0 {
            return;
        }
        self.count = self.count.saturating_add(times.into());
        self.sum_us += us * f64::from(times);
        self.max_us = self.max_us.max(us);
        let index = Self::bucket(us);
        self.reach(index, index);
        let bucket = &mut self.buckets[usize::from(index - self.offset)];
        *bucket = bucket.saturating_add(times);
    }

    /// Adds all values of another sketch of the same kind.
    pub fn merge(&mut self, other: &Self) {
        self.count = self.count.saturating_add(other.count);
        self.sum_us += other.sum_us;
        self.max_us = self.max_us.max(other.max_us);
        let Some(last) = other.last() else { return };
        self.reach(other.offset, last);
        let begin = usize::from(other.offset - self.offset);
        for (bucket, more) in self.buckets[begin..].iter_mut().zip(&other.buckets) {
            *bucket = bucket.saturating_add(*more);
        }
    }

    /// The time, in seconds, that a `share` (0 to 1) of the values does not
    /// exceed: off by at most 2.2 %. Nothing where there is no value.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let all: u64 = self.buckets.iter().copied().map(u64::from).sum();
        if all == 0 || !(0.0..=1.0).contains(&share) {
            return None;
        }
        let wanted = ((share * all as f64).ceil() as u64).clamp(1, all);
        let mut below = 0;
        let at = self.buckets.iter().position(|bucket| {
            below += u64::from(*bucket);
            below >= wanted
        })?;
        let index = f64::from(self.offset) + at as f64;
        let middle_us = if index == 0.0 { 1.0 } else { ((index - 0.5) / BUCKETS_OCTAVE).exp2() };
        let us = if self.max_us > 0.0 { middle_us.min(self.max_us) } else { middle_us };
        Some(us / 1e6)
    }

    /// The mean, in seconds.
    #[must_use]
    pub fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum_us / self.count as f64 / 1e6)
    }

    /// What came from outside, if it can be: buckets within bounds and numbers
    /// that are numbers. Empty buckets at either end are gone.
    #[must_use]
    pub fn checked(mut self) -> Option<Self> {
        let end = usize::from(self.offset) + self.buckets.len();
        let is_time = |us: f64| us.is_finite() && us >= 0.0;
        if end > usize::from(BUCKETS_MAX) || !is_time(self.sum_us) || !is_time(self.max_us) {
            return None;
        }
        let filled = self.buckets.iter().rposition(|bucket| *bucket > 0);
        self.buckets.truncate(filled.map_or(0, |last| last + 1));
        let empty = self.buckets.iter().take_while(|bucket| **bucket == 0).count();
        self.buckets.drain(..empty);
        self.offset = if self.buckets.is_empty() { 0 } else { self.offset + empty as u16 };
        Some(self)
    }

    fn last(&self) -> Option<u16> {
        let more = u16::try_from(self.buckets.len()).ok()?.checked_sub(1)?;
        Some(self.offset + more)
    }

    /// Makes room for the buckets from `first` to `last`.
    fn reach(&mut self, first: u16, last: u16) {
        if self.buckets.is_empty() {
            self.offset = first;
        }
        if first < self.offset {
            let more = usize::from(self.offset - first);
            self.buckets.splice(0..0, std::iter::repeat_n(0, more));
            self.offset = first;
        }
        let length = usize::from(last - self.offset) + 1;
        if self.buckets.len() < length {
            self.buckets.resize(length, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(values: &[u32]) -> Sketch {
        let mut sketch = Sketch::new(SketchKind::Ttft);
        values.iter().for_each(|us| sketch.add(f64::from(*us), 1));
        sketch
    }

    fn merged(mut a: Sketch, b: &Sketch) -> Sketch {
        a.merge(b);
        a
    }

    #[test]
    fn a_value_falls_into_the_bucket_of_its_sixteenth_of_an_octave() {
        for (us, bucket) in [
            (-1.0, 0),
            (f64::NAN, 0),
            (0.0, 0),
            (1.0, 0),
            (1.01, 1),
            (2.0, 16),
            (2.01, 17),
            (1e6, 319),
            (f64::MAX, 1023),
        ] {
            assert_eq!(Sketch::bucket(us), bucket, "{us}");
        }
    }

    #[test]
    fn what_is_no_time_adds_nothing_and_of_nothing_there_is_no_quantile() {
        let mut sketch = of(&[]);
        [f64::NAN, f64::INFINITY, -1.0].iter().for_each(|us| sketch.add(*us, 1));
        sketch.add(5.0, 0);
        assert_eq!((sketch.clone(), sketch.quantile(0.5), sketch.mean()), (of(&[]), None, None));
        assert_eq!(of(&[7]).quantile(1.5), None);
    }

    #[test]
    fn sketches_from_outside_are_bounded_and_lose_their_empty_ends() {
        let bare = Sketch { offset: 1000, buckets: vec![0; 24], ..of(&[]) };
        assert_eq!(bare.clone().checked(), Some(of(&[])));
        let ends = Sketch { offset: 7, buckets: vec![0, 0, 3, 0, 1, 0], ..of(&[]) };
        let kept = ends.checked().map(|sketch| (sketch.offset, sketch.buckets));
        assert_eq!(kept, Some((9, vec![3, 0, 1])));
        for bad in [
            Sketch { buckets: vec![0; 25], ..bare.clone() },
            Sketch { sum_us: f64::NAN, ..bare.clone() },
            Sketch { max_us: -1.0, ..bare },
        ] {
            assert_eq!(bad.checked(), None);
        }
    }

    #[test]
    fn full_buckets_stay_full() {
        let mut sketch = of(&[]);
        sketch.add(3.0, u32::MAX);
        sketch.add(3.0, 5);
        assert_eq!(sketch.buckets, [u32::MAX]);
        assert!(merged(sketch.clone(), &sketch).quantile(0.5).is_some());
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 4 } else { 256 }, ..Default::default() })]

        #[test]
        fn merging_does_not_depend_on_order_or_grouping(
            a in prop::collection::vec(0_u32.., 0..40),
            b in prop::collection::vec(0_u32.., 0..40),
            c in prop::collection::vec(0_u32.., 0..40),
        ) {
            let (a, b, c) = (&a[..], &b[..], &c[..]);
            prop_assert_eq!(merged(of(a), &of(b)), merged(of(b), &of(a)));
            let left = merged(merged(of(a), &of(b)), &of(c));
            let right = merged(of(a), &merged(of(b), &of(c)));
            prop_assert_eq!(&left, &right);
            prop_assert_eq!(left, of(&[a, b, c].concat()));
        }

        #[test]
        fn a_quantile_is_off_by_no_more_than_its_bucket_is_wide(
            mut values in prop::collection::vec(1_u32..4_000_000_000, 1..200),
            share in 0.0_f64..=1.0,
        ) {
            let told = of(&values).quantile(share).unwrap() * 1e6;
            values.sort_unstable();
            let at = ((share * values.len() as f64).ceil() as usize).clamp(1, values.len());
            let exact = f64::from(values[at - 1]);
            prop_assert!((told / exact - 1.0).abs() <= 0.022, "{told} for {exact}");
        }
    }
}
