//! Rules over counters of errors: each is a few numbers and its words.

use std::collections::BTreeMap;

use crate::diagnosis::detectors::{Hold, Limit};
use crate::diagnosis::{Bench, Conclusion, Counters, DeviceFacts, Look, Place, Rule, Subject};
use crate::schema::MetricId;

/// What such a rule watches, and its words.
#[derive(Debug)]
pub(super) struct Growth {
    /// Counters of one device whose growth is added up.
    pub(super) metrics: &'static [MetricId],
    /// How it counts.
    pub(super) when: When,
    /// What is concluded from so much growth. Its severity counts.
    pub(super) conclude: fn(&DeviceFacts, f64) -> Conclusion,
}

/// When growth counts.
#[derive(Debug, Clone, Copy)]
pub(super) enum When {
    /// At once, each time that it grows by anything; it is over after the
    /// setting `quiet_s`.
    AnyMore,
    /// When it grew by the setting with this key within the span; it is over
    /// when it grew by less than half of that.
    Within {
        /// The span, seconds.
        span_s: u64,
        /// The setting that says how much.
        key: &'static str,
    },
}

/// Follows such counters of every device.
#[derive(Debug)]
pub(super) struct Grows {
    of: &'static Growth,
    counters: Counters,
    holds: BTreeMap<Place, Hold>,
}

impl Grows {
    pub(super) fn open(of: &'static Growth) -> Box<dyn Rule> {
        let span_s = match of.when {
            When::AnyMore => 60,
            When::Within { span_s, .. } => span_s,
        };
        let counters = Counters::over(span_s * 1_000_000_000);
        Box::new(Self { of, counters, holds: BTreeMap::new() })
    }

    fn at_once(&mut self, place: Place, facts: &DeviceFacts, bench: &mut Bench<'_>) -> Look {
        let mut more = 0.0;
        let mut grown = None;
        for metric in self.of.metrics {
            let by = self.counters.more(bench, place, *metric).unwrap_or(0.0);
            if by > 0.0 {
                grown = Some(*metric);
            }
            more += by;
        }
        let Some(metric) = grown else { return Look::Done };
        let mut conclusion = (self.of.conclude)(facts, more);
        conclusion.evidence.push(bench.evidence(place, metric, None));
        conclusion.quiet_ns = bench.setting_ns("quiet_s");
        bench.raise(Subject::of(&facts.device), "", conclusion);
        Look::Done
    }

    fn within(
        &mut self,
        place: Place,
        facts: &DeviceFacts,
        key: &str,
        bench: &mut Bench<'_>,
    ) -> Look {
        let mut grown: Option<f64> = None;
        let mut most: Option<(f64, MetricId)> = None;
        for metric in self.of.metrics {
            if let Some(by) = self.counters.grown(bench, place, *metric) {
                grown = Some(grown.unwrap_or(0.0) + by);
                if most.is_none_or(|(most, _)| by > most) {
                    most = Some((by, *metric));
                }
            }
        }
        let (Some(grown), Some((_, metric))) = (grown, most) else { return Look::Again };
        let limit = bench.setting(key);
        let hold = self.holds.entry(place).or_default();
        let subject = Subject::of(&facts.device);
        if hold.take(bench.now_ns(), grown, &Limit::above(limit, limit / 2.0, 0)) {
            let mut conclusion = (self.of.conclude)(facts, grown);
            conclusion.evidence.push(bench.evidence(place, metric, None));
            conclusion.limit_source = bench.setting_source(key);
            bench.hold(subject, "", conclusion.severity, || conclusion);
        } else {
            bench.clear(subject, "");
        }
        Look::Again
    }
}

impl Rule for Grows {
    fn look(&mut self, place: Place, bench: &mut Bench<'_>) -> Look {
        let Some(facts) = bench.device(place) else { return Look::Done };
        if !self.of.metrics.iter().any(|metric| facts.held(*metric).is_some()) {
            return Look::Done;
        }
        match self.of.when {
            When::AnyMore => self.at_once(place, facts, bench),
            When::Within { key, .. } => self.within(place, facts, key, bench),
        }
    }

    fn forget(&mut self, place: Place) {
        self.counters.forget(place);
        self.holds.remove(&place);
    }
}

/// Cases that every rule over counters passes.
#[cfg(test)]
pub(super) fn check(rule: &str, kind: &str, metric: MetricId, near: f64, enough: f64) {
    use crate::diagnosis::rules::trial::{Trial, device, gpu};
    let played = |by: Option<f64>| {
        let mut trial = Trial::new();
        let of = if kind == "gpu" { gpu(1) } else { device(1, kind, "thing") };
        trial.device(&of);
        if let Some(by) = by {
            // What happened before we looked is no evidence.
            trial.set(1, metric, 1000.0);
            trial.seconds(600);
            for _ in 0..100 {
                trial.grow(1, metric, 1000.0, 0.0);
                trial.seconds(1);
            }
            trial.grow(1, metric, 1000.0, by / 200.0);
            trial.seconds(200);
        }
        trial.open().iter().any(|open| open.starts_with(&format!("{rule} ")))
    };
    assert!(played(Some(enough)), "{rule}: {enough} more is trouble");
    assert!(!played(Some(near)), "{rule}: {near} more is none");
    assert!(!played(None), "{rule}: silent without its source");
}
