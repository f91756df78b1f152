//! Counters of devices, as rules follow them.

use std::collections::BTreeMap;

use super::detectors::Rate;
use super::{Bench, Place};
use crate::schema::MetricId;

/// How counters of many devices grow, over one span.
#[derive(Debug, Clone)]
pub struct Counters {
    span_ns: u64,
    rates: BTreeMap<(Place, MetricId), (Rate, f64)>,
}

impl Counters {
    /// Over about this span.
    #[must_use]
    pub const fn over(span_ns: u64) -> Self {
        Self { span_ns, rates: BTreeMap::new() }
    }

    /// Takes the newest sample; the growth within the span, once half of it
    /// was seen.
    pub fn grown(&mut self, bench: &Bench<'_>, place: Place, metric: MetricId) -> Option<f64> {
        self.rate(bench, place, metric)?.grown()
    }

    /// Takes the newest sample; the growth a second within the span, once
    /// half of it was seen.
    pub fn per_second(&mut self, bench: &Bench<'_>, place: Place, metric: MetricId) -> Option<f64> {
        self.rate(bench, place, metric)?.per_second()
    }

    /// Takes the newest sample; by how much it is more than at the last look.
    /// Nothing at the first, which may count what happened long ago.
    pub fn more(&mut self, bench: &Bench<'_>, place: Place, metric: MetricId) -> Option<f64> {
        let value = bench.device(place)?.value(metric)?;
        let known = self.rates.get_mut(&(place, metric));
        let Some((_, last)) = known else {
            self.rates.insert((place, metric), (Rate::over(self.span_ns), value));
            return None;
        };
        let more = if value >= *last { value - *last } else { value };
        *last = value;
        Some(more)
    }

    /// The growth a second of one counter on every place where it is followed.
    pub fn rates_of(&self, metric: MetricId) -> impl Iterator<Item = (Place, f64)> {
        let of_metric = self.rates.iter().filter(move |((_, of), _)| *of == metric);
        of_metric.filter_map(|((place, _), (rate, _))| Some((*place, rate.per_second()?)))
    }

    /// Drops what is known of a place.
    pub fn forget(&mut self, place: Place) {
        self.rates.retain(|(of, _), _| *of != place);
    }

    fn rate(&mut self, bench: &Bench<'_>, place: Place, metric: MetricId) -> Option<&Rate> {
        let held = bench.device(place)?.held(metric)?;
        let new = || (Rate::over(self.span_ns), held.value);
        let (rate, _) = self.rates.entry((place, metric)).or_insert_with(new);
        rate.take(held.time_ns, held.value);
        Some(rate)
    }
}
