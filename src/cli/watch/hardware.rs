//! The node's devices, kind by kind, and which of their readings are not at
//! rest.
//!
//! What is shown follows from the metric's row alone, whichever sampler wrote
//! it: a counter of trouble that is not zero, a link that is down or has fewer
//! lanes than it could, the hottest and the fullest of a kind. Nothing here says
//! whether that is bad.

use std::collections::BTreeMap;

use serde::Serialize;

use super::history::History;
use super::text::{bytes, count, percent_fine};
use crate::web::{DeviceState, HostState, ReadingState};

/// The kinds of device that are hardware, and the node, for what it counts of
/// all of them. Other kinds are parts of ours, or other parts of the screen
/// show them.
#[rustfmt::skip]
const KINDS: &[&str] = &[
    "node", "memory_controller", "dimm", "pci", "nvme", "interface", "infiniband_port", "sensor",
    "hwmon", "thermal_zone", "gpu", "npu",
];

/// What counts trouble: at rest it is zero. Other counters count work.
#[rustfmt::skip]
const TROUBLE: &[&str] = &[
    "error", "bad", "drop", "discard", "fail", "downs", "lost", "loss", "throttle", "retries",
    "retransmit", "rollover", "unsafe", "critical", "missed", "overrun", "timeout", "warning",
    "recover", "malformed", "poisoned", "out_of_sequence", "kills", "hanging", "stuck",
];

/// What counts changes, of which there are some at rest.
const CHANGES: &str = "changes_total";

/// What ends the name of the most that there could be of something.
const MOST: &str = "_max";

/// What an idle device may have less of than it could.
const IDLE: &str = "per_second";

/// What is 1 at rest.
const UP: &[&str] = &["_up", "_carrier", "_active", "_online", "_live", "_duplex"];

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
    /// How much there could be, where there is less.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub most: Option<f64>,
    /// As [`ReadingState::unit`].
    pub unit: &'static str,
    /// Whether it rose within the time that is remembered.
    pub moves: bool,
    /// The last values, one a second, oldest first; a counter's rate.
    #[serde(skip)]
    pub points: Vec<f64>,
}

/// What a reading means for the section, by its metric's row.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Rule {
    /// Shown where it is not zero.
    Trouble,
    /// Shown where it is zero.
    Up,
    /// Shown where it moves.
    Change,
    /// Shown where there is less than there could be.
    Most(f64),
    /// The largest of the kind is shown.
    Peak,
    /// Work, or a bound.
    Quiet,
}

/// Every kind of hardware that there is, by kind.
pub(super) fn all(host: &HostState, history: &History) -> Vec<DeviceKind> {
    let mut kinds: BTreeMap<&str, DeviceKind> = BTreeMap::new();
    for device in &host.devices {
        if !KINDS.contains(&device.kind.as_str()) {
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
        let rule = rule(device, metric, reading);
        self.watched += usize::from(rule != Rule::Quiet);
        let sign = || Sign::of(device, metric, reading, history);
        match rule {
            Rule::Trouble if reading.value > 0.0 => self.signs.push(sign()),
            Rule::Up if reading.value == 0.0 => self.signs.push(sign()),
            Rule::Change => self.signs.extend(Some(sign()).filter(|sign| sign.moves)),
            Rule::Most(most) if reading.value < most => {
                self.signs.push(Sign { most: Some(most), ..sign() });
            }
            Rule::Peak => {
                let higher = |peak: &Sign| peak.metric == metric && peak.value >= reading.value;
                if !self.peaks.iter().any(higher) {
                    self.peaks.retain(|peak| peak.metric != metric);
                    self.peaks.push(sign());
                }
            }
            _ => {}
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
            most: None,
            unit: reading.unit,
            moves,
            points,
        }
    }

    /// What was read, without the words of the kind that it stands under and
    /// without the unit that its value bears; empty where nothing is left.
    pub(super) fn label(&self, kind: &str) -> String {
        let metric = self.metric.trim_end_matches("_total");
        let metric = metric.strip_suffix(self.unit).unwrap_or(metric).trim_end_matches('_');
        let (mut words, mut said) = (metric.split('_').peekable(), kind.split('_'));
        while said.next().is_some_and(|said| words.peek().is_some_and(|w| w.starts_with(said))) {
            words.next();
        }
        words.collect::<Vec<_>>().join(" ")
    }

    /// What a peak says: the most of its kind.
    pub(super) fn peak(&self, kind: &str) -> String {
        let most = if self.unit == "celsius" { "hottest" } else { "highest" };
        let (label, text) = (self.label(kind), self.text());
        format!("{most} {label}{}{text}", if label.is_empty() { "" } else { " " })
    }

    /// The value with its unit; `no` of what is not up.
    pub(super) fn text(&self) -> String {
        match self.unit {
            _ if is_up(&self.metric) => "no".to_owned(),
            _ if self.most.is_some() => {
                format!("{} of {}", count(self.value), count(self.most.unwrap_or_default()))
            }
            "celsius" => format!("{:.0} °C", self.value),
            "ratio" => percent_fine(self.value),
            "bytes" => bytes(self.value),
            "seconds" => format!("{} s", count(self.value)),
            _ => count(self.value),
        }
    }
}

fn rule(device: &DeviceState, metric: &str, reading: &ReadingState) -> Rule {
    let named = |words: &[&str]| words.iter().any(|word| metric.contains(word));
    let most = || device.readings.get(&format!("{metric}{MOST}")).map(|most| most.value);
    // The node's own shares stand above, as curves.
    let peaks = device.kind != "node";
    match (reading.kind, reading.unit) {
        ("gauge", "celsius" | "ratio") if peaks && !named(BOUND) => Rule::Peak,
        ("gauge", "celsius" | "ratio") => Rule::Quiet,
        ("gauge", _) if is_up(metric) => Rule::Up,
        ("counter", _) if metric.ends_with(CHANGES) => Rule::Change,
        _ if named(TROUBLE) => Rule::Trouble,
        _ if metric.ends_with(IDLE) => Rule::Quiet,
        _ => most().map_or(Rule::Quiet, Rule::Most),
    }
}

fn is_up(metric: &str) -> bool {
    UP.iter().any(|word| metric.ends_with(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(metric: &str, unit: &'static str) -> ReadingState {
        let kind = if metric.ends_with("_total") { "counter" } else { "gauge" };
        ReadingState { value: 1.0, unit, kind, age_ms: 0.0 }
    }

    #[test]
    fn what_is_shown_follows_from_the_metrics_row() {
        let most = ("pcie_link_lanes_max".to_owned(), reading("pcie_link_lanes_max", "count"));
        let device = DeviceState {
            name: "d".to_owned(),
            kind: "k".to_owned(),
            vendor: String::new(),
            uuid: String::new(),
            container: String::new(),
            pod: String::new(),
            readings: BTreeMap::from([most]),
        };
        for (metric, unit, expected) in [
            ("interface_receive_errors_total", "count", Rule::Trouble),
            ("interface_transmit_drops_total", "count", Rule::Trouble),
            ("interface_receive_packets_total", "count", Rule::Quiet),
            ("interface_receive_bytes_total", "bytes", Rule::Quiet),
            ("interface_carrier_changes_total", "count", Rule::Change),
            ("interface_up", "count", Rule::Up),
            ("nvme_live", "count", Rule::Up),
            ("memory_errors_corrected_total", "count", Rule::Trouble),
            ("infiniband_link_downs_total", "count", Rule::Trouble),
            ("infiniband_transmit_wait_ticks_total", "count", Rule::Quiet),
            ("pcie_link_lanes", "count", Rule::Most(1.0)),
            ("pcie_link_lanes_max", "count", Rule::Quiet),
            ("pcie_link_transfers_per_second", "count", Rule::Quiet),
            ("thermal_zone_celsius", "celsius", Rule::Peak),
            ("thermal_zone_critical_celsius", "celsius", Rule::Quiet),
            ("nvme_wear_ratio", "ratio", Rule::Peak),
            ("metric_999", "", Rule::Quiet),
        ] {
            assert_eq!(rule(&device, metric, &reading(metric, unit)), expected, "{metric}");
        }
        let node = DeviceState { kind: "node".to_owned(), ..device };
        assert_eq!(rule(&node, "a_ratio", &reading("a_ratio", "ratio")), Rule::Quiet);
    }

    #[test]
    fn a_label_leaves_out_what_stands_beside_it() {
        for (metric, unit, kind, expected) in [
            ("nvme_temperature_celsius", "celsius", "nvme", "temperature"),
            ("interface_receive_errors_total", "count", "interface", "receive errors"),
            ("pcie_errors_fatal_total", "count", "pci", "errors fatal"),
            ("infiniband_link_up", "count", "infiniband_port", "link up"),
            ("infiniband_port_active", "count", "infiniband_port", "active"),
            ("thermal_zone_celsius", "celsius", "thermal_zone", ""),
            ("interface_up", "count", "interface", "up"),
        ] {
            let sign = Sign {
                device: String::new(),
                metric: metric.to_owned(),
                value: 0.0,
                most: None,
                unit,
                moves: false,
                points: Vec::new(),
            };
            assert_eq!(sign.label(kind), expected, "{metric}");
        }
    }
}
