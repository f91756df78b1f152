//! A limit with hysteresis, that must be crossed for a while and left for a
//! while.

/// On which side of its limit a value is bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Bad at the limit and above.
    Above,
    /// Bad at the limit and below.
    Below,
}

/// Whether a value has been beyond a limit for long enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Hold {
    on: bool,
    since_ns: Option<u64>,
}

impl Hold {
    /// Takes a value. It is on after the value was at or beyond `limit` for
    /// `for_ns` without a break, and off after it was back beyond `release`
    /// for as long; between the two, nothing changes. A value that is no
    /// number is no evidence, and begins the wait anew.
    pub fn take(&mut self, now_ns: u64, value: f64, limit: &Limit) -> bool {
        let beyond = |limit_value: f64| match limit.side {
            Side::Above => value >= limit_value,
            Side::Below => value <= limit_value,
        };
        let changes =
            !value.is_nan() && if self.on { !beyond(limit.release) } else { beyond(limit.limit) };
        self.wait(now_ns, changes, limit.for_ns)
    }

    /// Takes a condition that must be true, or false, for `for_ns`.
    pub fn is(&mut self, now_ns: u64, condition: bool, for_ns: u64) -> bool {
        self.wait(now_ns, condition != self.on, for_ns)
    }

    /// Whether it is on.
    #[must_use]
    pub const fn is_on(&self) -> bool {
        self.on
    }

    /// Whether time alone can change it.
    #[must_use]
    pub const fn waits(&self) -> bool {
        self.since_ns.is_some()
    }

    fn wait(&mut self, now_ns: u64, changes: bool, for_ns: u64) -> bool {
        if !changes {
            self.since_ns = None;
            return self.on;
        }
        let since_ns = *self.since_ns.get_or_insert(now_ns);
        if now_ns.saturating_sub(since_ns) >= for_ns {
            self.on = !self.on;
            self.since_ns = None;
        }
        self.on
    }
}

/// A limit, where it is left again, and for how long either takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limit {
    /// On which side a value is bad.
    pub side: Side,
    /// Bad from here on.
    pub limit: f64,
    /// Good again beyond here; on the good side of `limit`.
    pub release: f64,
    /// How long it takes, ns.
    pub for_ns: u64,
}

impl Limit {
    /// Bad at `limit` and above, good again below `release`.
    #[must_use]
    pub const fn above(limit: f64, release: f64, for_ns: u64) -> Self {
        Self { side: Side::Above, limit, release, for_ns }
    }

    /// Bad at `limit` and below, good again above `release`.
    #[must_use]
    pub const fn below(limit: f64, release: f64, for_ns: u64) -> Self {
        Self { side: Side::Below, limit, release, for_ns }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_short_peak_is_no_evidence_and_the_band_between_changes_nothing() {
        let limit = Limit::above(10.0, 8.0, 3);
        let mut hold = Hold::default();
        let values =
            [11.0, 11.0, 9.0, 11.0, 11.0, 11.0, 12.0, 9.0, 9.0, 7.0, 9.0, 7.0, 7.0, 7.0, 7.0];
        let on: Vec<bool> = values
            .iter()
            .enumerate()
            .map(|(at, value)| hold.take(at as u64, *value, &limit))
            .collect();
        let first = on.iter().position(|on| *on).expect("it goes on");
        assert_eq!(first, 6);
        assert_eq!(on.iter().rposition(|on| *on), Some(13));
    }

    proptest! {
        /// The plain model: look back over everything that was said.
        #[test]
        fn it_is_what_looking_back_says(
            values in prop::collection::vec((1_u64..4, 0_u8..20), 1..200),
            for_ns in 0_u64..10,
        ) {
            let limit = Limit::above(12.0, 8.0, for_ns);
            let mut hold = Hold::default();
            let (mut now, mut on, mut since) = (0, false, None::<u64>);
            for (pause, value) in values {
                now += pause;
                let value = f64::from(value);
                let against = if on { value < 8.0 } else { value >= 12.0 };
                since = if against { since.or(Some(now)) } else { None };
                if since.is_some_and(|since| now - since >= for_ns) {
                    (on, since) = (!on, None);
                }
                prop_assert_eq!(hold.take(now, value, &limit), on);
            }
        }
    }
}
