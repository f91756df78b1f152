//! The node's devices, kind by kind, and which of their readings are not at
//! rest.
//!
//! What is shown follows from the metric's row alone, whichever sampler wrote
//! it: a counter of trouble that is not zero, a link that is down, the hottest
//! and the fullest of a kind. Nothing here says whether that is bad.

use std::collections::BTreeMap;

use serde::Serialize;

use super::history::History;
use super::text::{bytes, count, percent_fine};
use crate::web::{DeviceState, HostState, ReadingState};

/// Kinds that other parts of the screen show.
const ELSEWHERE: &[&str] = &[
    "",
    "node",
    "cpu",
    "disk",
    "container",
    "absence",
    "own",
    "ring",
    "taker",
    "sampler",
    "table",
];

/// What counts trouble: at rest it is zero. Other counters count work.
const TROUBLE: &[&str] = &[
    "error",
    "drop",
    "discard",
    "corrected",
    "fatal",
    "fail",
    "downed",
    "lost",
    "loss",
    "throttle",
    "retries",
    "retransmit",
    "unsafe",
    "critical",
    "overrun",
    "timeout",
    "warning",
    "hangs",
    "recover",
    "excessive",
];

/// What is 1 at rest.
const UP: &[&str] = &["_up", "_carrier", "_active", "_online", "_answers"];

/// Parts of the name of a bound, which is no state.
const BOUND: &[&str] = &["limit", "critical", "threshold", "max", "min"];

/// The devices of one kind.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DeviceKind {
    /// As [`DeviceState::kind`].
    pub kind: String,
    /// How many there are.
    pub devices: usize,
    /// Readings of them of which it can be said whether they are at rest.
    pub watched: usize,
    /// The largest of what has a most: temperature, wear.
    pub peaks: Vec<Sign>,
    /// The readings that are not at rest, those that still move first.
    pub signs: Vec<Sign>,
}

/// One reading of one device.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Sign {
    /// The device's name.
    pub device: String,
    /// The metric's name in the metric table.
    pub metric: String,
    /// In `unit`; a counter's sum.
    pub value: f64,
    /// As [`ReadingState::unit`].
    pub unit: &'static str,
    /// Whether it rose within the time that is remembered.
    pub moves: bool,
    /// The last values, one a second, oldest first; a counter's rate.
    #[serde(skip)]
    pub points: Vec<f64>,
}

/// What a reading means for the section, by its metric's row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// Shown where it is not zero.
    Trouble,
    /// Shown where it is zero.
    Up,
    /// The largest of the kind is shown.
    Peak,
    /// Work, or a bound.
    Quiet,
}

/// Every kind of device that no other part shows, by kind.
pub(super) fn all(host: &HostState, history: &History) -> Vec<DeviceKind> {
    let mut kinds: BTreeMap<&str, DeviceKind> = BTreeMap::new();
    for device in &host.devices {
        if ELSEWHERE.contains(&device.kind.as_str()) {
            continue;
        }
        let kind = kinds.entry(&device.kind).or_insert_with(|| DeviceKind::new(&device.kind));
        kind.devices += 1;
        for (metric, reading) in &device.readings {
            kind.take(device, metric, reading, history);
        }
    }
    let mut all: Vec<DeviceKind> = kinds.into_values().collect();
    for kind in &mut all {
        let order = |sign: &Sign| (!sign.moves, sign.device.clone(), sign.metric.clone());
        kind.signs.sort_by_cached_key(order);
    }
    all
}

impl DeviceKind {
    fn new(kind: &str) -> Self {
        Self { kind: kind.to_owned(), devices: 0, watched: 0, peaks: Vec::new(), signs: Vec::new() }
    }

    fn take(
        &mut self,
        device: &DeviceState,
        metric: &str,
        reading: &ReadingState,
        history: &History,
    ) {
        let rule = rule(metric, reading);
        self.watched += usize::from(rule != Rule::Quiet);
        let shown = match rule {
            Rule::Trouble => reading.value > 0.0,
            Rule::Up => reading.value == 0.0,
            Rule::Peak => {
                let higher = |peak: &Sign| peak.metric == metric && peak.value >= reading.value;
                if !self.peaks.iter().any(higher) {
                    self.peaks.retain(|peak| peak.metric != metric);
                    self.peaks.push(Sign::of(device, metric, reading, history));
                }
                false
            }
            Rule::Quiet => false,
        };
        if shown {
            self.signs.push(Sign::of(device, metric, reading, history));
        }
    }
}

impl Sign {
    fn of(device: &DeviceState, metric: &str, reading: &ReadingState, history: &History) -> Self {
        let points = history.points(&device.kind, &device.name, metric);
        let moves = reading.kind == "counter" && points.iter().any(|rate| *rate > 0.0);
        Self {
            device: device.name.clone(),
            metric: metric.to_owned(),
            value: reading.value,
            unit: reading.unit,
            moves,
            points,
        }
    }

    /// What was read, without the kind that it stands under and without the
    /// unit that its value bears.
    pub(super) fn label(&self, kind: &str) -> String {
        let metric = self.metric.trim_end_matches("_total");
        let metric = metric.strip_suffix(self.unit).unwrap_or(metric).trim_end_matches('_');
        let rest = metric.strip_prefix(kind).and_then(|rest| rest.strip_prefix('_'));
        rest.unwrap_or(metric).replace('_', " ")
    }

    /// The value with its unit; `no` of what is not up.
    pub(super) fn text(&self) -> String {
        match self.unit {
            _ if is_up(&self.metric) => "no".to_owned(),
            "celsius" => format!("{:.0} °C", self.value),
            "ratio" => percent_fine(self.value),
            "bytes" => bytes(self.value),
            "seconds" => format!("{} s", count(self.value)),
            _ => count(self.value),
        }
    }
}

fn rule(metric: &str, reading: &ReadingState) -> Rule {
    let named = |words: &[&str]| words.iter().any(|word| metric.contains(word));
    match (reading.kind, reading.unit) {
        ("gauge", "celsius" | "ratio") if named(BOUND) => Rule::Quiet,
        ("gauge", "celsius" | "ratio") => Rule::Peak,
        ("gauge", _) if is_up(metric) => Rule::Up,
        _ if named(TROUBLE) => Rule::Trouble,
        _ => Rule::Quiet,
    }
}

fn is_up(metric: &str) -> bool {
    UP.iter().any(|word| metric.ends_with(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_follows_from_the_metrics_row() {
        let check = |metric, unit, kind, expected| {
            let reading = ReadingState { value: 1.0, unit, kind, age_ms: 0.0 };
            assert_eq!(rule(metric, &reading), expected, "{metric}");
        };
        check("interface_receive_errors_total", "count", "counter", Rule::Trouble);
        check("interface_transmit_drops_total", "count", "counter", Rule::Trouble);
        check("interface_receive_packets_total", "count", "counter", Rule::Quiet);
        check("interface_receive_bytes_total", "bytes", "counter", Rule::Quiet);
        check("interface_up", "count", "gauge", Rule::Up);
        check("memory_controller_corrected_errors_total", "count", "counter", Rule::Trouble);
        check("thermal_zone_temperature_celsius", "celsius", "gauge", Rule::Peak);
        check("hwmon_temperature_critical_celsius", "celsius", "gauge", Rule::Quiet);
        check("nvme_wear_ratio", "ratio", "gauge", Rule::Peak);
        check("metric_999", "", "gauge", Rule::Quiet);
    }

    #[test]
    fn a_label_leaves_out_what_stands_beside_it() {
        for (metric, unit, kind, expected) in [
            ("nvme_temperature_celsius", "celsius", "nvme", "temperature"),
            ("interface_receive_errors_total", "count", "interface", "receive errors"),
            ("pcie_aer_fatal_total", "count", "pci", "pcie aer fatal"),
            ("interface_up", "count", "interface", "up"),
        ] {
            let sign = Sign {
                device: String::new(),
                metric: metric.to_owned(),
                value: 0.0,
                unit,
                moves: false,
                points: Vec::new(),
            };
            assert_eq!(sign.label(kind), expected);
        }
    }
}
