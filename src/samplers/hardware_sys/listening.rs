//! A listener for tests: keeps the newest values and all events.

use std::collections::BTreeMap;

use super::Facts;
use crate::samplers::Readings;
use crate::schema::{EventKind, MetricId, Severity};

/// What was heard.
#[derive(Debug, Default)]
pub(super) struct Heard {
    devices: Vec<(&'static str, String)>,
    values: BTreeMap<(u32, MetricId), f64>,
    pub(super) gone: usize,
    pub(super) events: Vec<(EventKind, String)>,
}

impl Heard {
    /// Every device that has this metric, with its value, by name.
    pub(super) fn values(&self, metric: &str) -> Vec<(&str, f64)> {
        let of = self.values.iter().filter(|((_, id), _)| id.row().name == metric);
        let mut all: Vec<_> =
            of.map(|((at, _), value)| (self.devices[*at as usize].1.as_str(), *value)).collect();
        all.sort_by(|a, b| a.0.cmp(b.0));
        all
    }

    /// The metrics that some device has.
    pub(super) fn metrics(&self) -> std::collections::BTreeSet<MetricId> {
        self.values.keys().map(|(_, metric)| *metric).collect()
    }
}

impl Readings for Heard {
    fn device(&mut self, kind: &'static str, name: &str) -> u32 {
        let is_it = |device: &(&str, String)| device.0 == kind && device.1 == name;
        let at = self.devices.iter().position(is_it).unwrap_or_else(|| {
            self.devices.push((kind, name.to_owned()));
            self.devices.len() - 1
        });
        at as u32
    }

    fn gone(&mut self, device: u32) {
        self.gone += 1;
        self.values.retain(|(of, _), _| *of != device);
    }

    fn put(&mut self, device: u32, metric: MetricId, _: u64, value: f64) {
        self.values.insert((device, metric), value);
    }
}

impl Facts for Heard {
    fn forget(&mut self, device: u32, metric: MetricId) {
        self.values.remove(&(device, metric));
    }

    fn say(&mut self, kind: EventKind, _: Severity, subject: &str, _: String) {
        self.events.push((kind, subject.to_owned()));
    }
}
