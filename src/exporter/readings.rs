//! Families of readings: one for each row of the metric table.

use std::collections::HashMap;

use super::devices::Devices;
use super::limits::READING_AGE_NS_MAX;
use super::page::{Exemplar, Family, Kind, Page};
use super::{Settings, Sources};
use crate::schema::{DeviceState, Metric, MetricId, MetricKind, Reading, Verdict, VerdictState};

/// Rows that are told live, by the agent itself, and not as of the last round
/// of the sampler that watches it.
const TOLD_LIVE: [MetricId; 1] = [MetricId::RecordsLost];

/// The family of a row, under its own name but where that would name a unit
/// that is none.
#[must_use]
pub fn family_of(row: &'static Metric) -> Family {
    let name = match row.id {
        MetricId::LoadOne => "load1",
        MetricId::LoadFive => "load5",
        MetricId::LoadFifteen => "load15",
        _ => row.name,
    };
    let kind = match row.kind {
        MetricKind::Gauge => Kind::Gauge,
        MetricKind::Counter => Kind::Counter,
    };
    Family { name, kind, help: row.help }
}

/// The verdicts that rest on readings, by metric and device.
#[derive(Debug, Default)]
pub(super) struct Faults<'a>(HashMap<(u16, &'a str), Exemplar>);

impl<'a> Faults<'a> {
    /// Of these verdicts, those that hold; the latest of several.
    pub(super) fn of(verdicts: &'a [Verdict]) -> Self {
        let mut faults = HashMap::new();
        for verdict in verdicts.iter().filter(|of| of.state != VerdictState::Resolved) {
            for evidence in verdict.evidence.iter().filter(|evidence| evidence.metric != 0) {
                let own = evidence.subject.is_empty();
                let subject = if own { &verdict.subject } else { &evidence.subject };
                let exemplar = Exemplar {
                    verdict: verdict.id,
                    value: evidence.value,
                    wall_ns: evidence.wall_ns,
                };
                let known = faults.entry((evidence.metric, &**subject)).or_insert(exemplar);
                if known.wall_ns <= exemplar.wall_ns {
                    *known = exemplar;
                }
            }
        }
        Self(faults)
    }
}

/// The newest readings, in the order of the page.
#[derive(Debug, Default)]
pub(super) struct Newest(Vec<Reading>);

impl Newest {
    /// Reads them all, but those that are no numbers, of no known device, or
    /// old: a source that fell silent says nothing of now.
    pub(super) fn read(
        &mut self,
        sources: &Sources,
        settings: &Settings,
        devices: &Devices,
        now_ns: u64,
    ) {
        let age_ns_max = READING_AGE_NS_MAX.saturating_add(2 * settings.period_ns_max);
        let is_shown = |reading: &Reading| {
            let known = devices.named(reading.device).is_some_and(|named| {
                let of = named.device.accelerator.as_ref();
                reading.metric == MetricId::AcceleratorState as u16
                    || of.is_none_or(|of| of.state != DeviceState::Gone)
            });
            known && now_ns.saturating_sub(reading.time_ns) <= age_ns_max
        };
        self.0.clear();
        self.0.extend(sources.readings.iter().filter(is_shown));
        let labels = |reading: &Reading| devices.named(reading.device).map(|of| &*of.labels);
        self.0.sort_unstable_by(|a, b| {
            let order = a.metric.cmp(&b.metric).then_with(|| labels(a).cmp(&labels(b)));
            order.then_with(|| b.time_ns.cmp(&a.time_ns))
        });
        // Of two samplers that say the same the later is believed.
        self.0.dedup_by(|b, a| a.metric == b.metric && labels(a) == labels(b));
    }

    /// Writes every family of them.
    pub(super) fn write(&self, page: &mut Page, devices: &Devices, faults: &Faults<'_>) {
        for of_metric in self.0.chunk_by(|a, b| a.metric == b.metric) {
            let Some(id) = MetricId::from_number(of_metric[0].metric) else { continue };
            if TOLD_LIVE.contains(&id) {
                continue;
            }
            page.family(family_of(id.row()));
            for reading in of_metric {
                let Some(named) = devices.named(reading.device) else { continue };
                let fault = faults.0.get(&(reading.metric, named.device.name.as_str()));
                page.explained(&named.labels, reading.value, fault);
            }
        }
    }

    /// The value of one metric of one device.
    pub(super) fn value(&self, device: u32, metric: MetricId) -> Option<f64> {
        let at = self.0.partition_point(|reading| reading.metric < metric as u16);
        let of_metric = self.0[at..].iter().take_while(|reading| reading.metric == metric as u16);
        of_metric.into_iter().find(|reading| reading.device == device).map(|of| of.value)
    }
}
