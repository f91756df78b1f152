//! A rule of the operator's own, as the rule file says it.

use std::collections::BTreeMap;

use crate::diagnosis::detectors::{Hold, Limit};
use crate::diagnosis::plan::Threshold;
use crate::diagnosis::{
    Bench, Conclusion, Counters, Entry, LimitSource, Look, Page, Place, Rule, Subject, Wants,
};
use crate::schema::MetricKind;

/// What is the same of all of them; name and metric are the threshold's own.
pub(crate) static RULE: Entry = Entry {
    name: "threshold",
    summary: "A limit on a metric that the operator's rule file sets.",
    page: Page {
        concludes: "A reading is beyond the limit of a `[[threshold]]` of the rule file for as \
                    long as it says; of a counter, its growth a second over a minute.",
        matters: "As whoever wrote it says.",
        needs: "The metric.",
        silent: "While the metric is absent or old.",
        remedy: "As whoever wrote it says.",
    },
    settings: &[],
    wants: Wants::NOTHING,
    consequence_of: &[],
    follows_driver: false,
    open: || Box::new(Nothing),
};

/// Stands where no threshold is given.
#[derive(Debug)]
struct Nothing;

impl Rule for Nothing {}

/// Follows one threshold.
#[derive(Debug)]
pub(crate) struct OverThreshold {
    of: Threshold,
    counters: Counters,
    holds: BTreeMap<Place, Hold>,
}

impl OverThreshold {
    pub(crate) fn open(of: &Threshold) -> Box<dyn Rule> {
        let counters = Counters::over(60_000_000_000);
        Box::new(Self { of: of.clone(), counters, holds: BTreeMap::new() })
    }
}

impl Rule for OverThreshold {
    fn look(&mut self, place: Place, bench: &mut Bench<'_>) -> Look {
        let Some(facts) = bench.device(place) else { return Look::Done };
        let of = &self.of;
        let kind = &facts.device.kind;
        let fits = of.device_kind.is_empty()
            || of.device_kind == *kind
            || (of.device_kind == "accelerator" && facts.is_accelerator());
        if !fits || facts.held(of.metric).is_none() {
            return Look::Done;
        }
        let counts = of.metric.row().kind == MetricKind::Counter;
        let value = if counts {
            self.counters.per_second(bench, place, of.metric)
        } else {
            bench.value(place, of.metric)
        };
        let subject = Subject::of(&facts.device);
        let hold = self.holds.entry(place).or_default();
        let limit =
            Limit { side: of.side, limit: of.limit, release: of.release, for_ns: of.for_ns };
        // What is absent is no evidence: it stays as it is.
        if let Some(value) = value {
            if hold.take(bench.now_ns(), value, &limit) {
                let evidence = vec![bench.evidence(place, of.metric, Some(of.limit))];
                let text = of
                    .text
                    .replace("{device}", &facts.device.name)
                    .replace("{value}", &value.to_string())
                    .replace("{limit}", &of.limit.to_string());
                bench.hold(subject, "", of.severity, || Conclusion {
                    text,
                    cause: of.cause.clone(),
                    evidence,
                    action: of.action,
                    steps: of.steps.clone(),
                    limit_source: LimitSource::Operator,
                    ..Conclusion::default()
                });
            } else {
                bench.clear(subject, "");
            }
        }
        if counts || hold.is_on() || hold.waits() { Look::Again } else { Look::Done }
    }

    fn forget(&mut self, place: Place) {
        self.counters.forget(place);
        self.holds.remove(&place);
    }
}
