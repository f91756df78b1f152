//! Rules over one number of a device that stays beyond its limit: each is how
//! the number is had, a few settings and its words.

use std::collections::BTreeMap;

use crate::diagnosis::detectors::{Hold, Limit};
use crate::diagnosis::{Bench, Conclusion, Counters, DeviceFacts, Look, Place, Rule, Subject};

/// What such a rule measures, and its words. Its settings hold `hold_s` and
/// the limit.
#[derive(Debug)]
pub(super) struct Level {
    /// Span of the counters' rates, seconds.
    pub(super) span_s: u64,
    /// The number; nothing where its sources are absent.
    pub(super) measure: fn(&mut Counters, Place, &Bench<'_>) -> Option<f64>,
    /// The setting that holds the limit; bad at it and above.
    pub(super) limit: &'static str,
    /// Good again below so much of the limit.
    pub(super) release: f64,
    /// What is concluded. Its severity counts.
    pub(super) conclude: fn(&DeviceFacts, f64, Place, &Bench<'_>) -> Conclusion,
}

/// Measures such a number of every device.
#[derive(Debug)]
pub(super) struct Levels {
    of: &'static Level,
    counters: Counters,
    holds: BTreeMap<Place, Hold>,
}

impl Levels {
    pub(super) fn open(of: &'static Level) -> Box<dyn Rule> {
        let counters = Counters::over(of.span_s * 1_000_000_000);
        Box::new(Self { of, counters, holds: BTreeMap::new() })
    }
}

impl Rule for Levels {
    fn look(&mut self, place: Place, bench: &mut Bench<'_>) -> Look {
        let Some(facts) = bench.device(place) else { return Look::Done };
        let Some(value) = (self.of.measure)(&mut self.counters, place, bench) else {
            return Look::Again;
        };
        let limit = bench.setting(self.of.limit);
        let limits = Limit::above(limit, limit * self.of.release, bench.setting_ns("hold_s"));
        let hold = self.holds.entry(place).or_default();
        let subject = Subject::of(&facts.device);
        if hold.take(bench.now_ns(), value, &limits) {
            let mut conclusion = (self.of.conclude)(facts, value, place, bench);
            conclusion.limit_source = bench.setting_source(self.of.limit);
            bench.hold(subject, "", conclusion.severity, || conclusion);
        } else {
            bench.clear(subject, "");
        }
        Look::Again
    }

    fn forget(&mut self, place: Place) {
        self.counters.forget(place);
        self.holds.remove(&place);
    }
}
