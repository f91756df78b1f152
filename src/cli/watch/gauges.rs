//! The node's load as rows: a label, a value, a share, a curve.

use serde::Serialize;

use super::history::History;
use super::text::{ABSENT, bytes, count, percent_fine};
use crate::web::{DeviceState, HostState};

/// One row of load.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Gauge {
    /// What it is, such as `CPU busy` or `eth0 received`.
    pub label: String,
    /// The value with its unit.
    pub text: String,
    /// The share of all there is, 0 to 1, where that means something.
    pub share: Option<f64>,
    /// The last values, one a second, oldest first.
    pub points: Vec<f64>,
    /// The value of a full bar in `points`.
    pub full: f64,
}

/// How a row is made of a metric.
#[derive(Clone, Copy)]
enum Show {
    /// A share of 1.
    Share,
    /// A number of things.
    Count,
    /// Two digits after the point.
    Load,
    /// Bytes.
    Bytes,
    /// Bytes a second.
    ByteRate,
    /// Seconds a second: a share of the time.
    TimeShare,
}

const NODE: &[(&str, &str, Show)] = &[
    ("CPU pressure", "pressure_cpu_some_seconds_total", Show::TimeShare),
    ("memory pressure", "pressure_memory_some_seconds_total", Show::TimeShare),
    ("I/O pressure", "pressure_io_some_seconds_total", Show::TimeShare),
    ("load, 1 min", "load_one_minute", Show::Load),
    ("load, 15 min", "load_fifteen_minutes", Show::Load),
    ("tasks runnable", "tasks_runnable", Show::Count),
    ("tasks blocked", "tasks_blocked", Show::Count),
];

const CPU: &[(&str, &str, Show)] = &[
    ("CPU busy", "cpu_busy_ratio", Show::Share),
    ("CPU waits for I/O", "cpu_iowait_ratio", Show::Share),
    ("CPU stolen", "cpu_steal_ratio", Show::Share),
];

const INTERFACE: &[(&str, &str, Show)] = &[
    ("received", "interface_receive_bytes_total", Show::ByteRate),
    ("sent", "interface_transmit_bytes_total", Show::ByteRate),
];

const DISK: &[(&str, &str, Show)] = &[
    ("busy", "disk_busy_seconds_total", Show::TimeShare),
    ("read", "disk_read_bytes_total", Show::ByteRate),
    ("written", "disk_write_bytes_total", Show::ByteRate),
];

const OWN: &[(&str, &str, Show)] = &[
    ("CPU", "own_cpu_seconds_total", Show::TimeShare),
    ("memory", "own_resident_bytes", Show::Bytes),
    ("threads", "own_threads", Show::Count),
    ("descriptors", "own_descriptors", Show::Count),
];

/// A total from here on is the kernel's way to say that there is no limit.
const UNBOUNDED: f64 = 1e15;

/// What the header shows of the load.
pub(super) const LOAD: &str = "load, 1 min";

/// What the header shows of the processors.
pub(super) const BUSY: &str = "CPU busy";

/// The node's load: processors, memory, pressure, then each interface and
/// disk.
pub(super) fn host(host: &HostState, history: &History) -> Vec<Gauge> {
    let mut gauges = Vec::new();
    for device in devices(host, "cpu").filter(|device| device.name == "cpu") {
        gauges.extend(rows(device, CPU, history, ""));
    }
    for device in devices(host, "node") {
        let used = [
            ("memory used", "memory_total_bytes", "memory_available_bytes", 1.0),
            ("swap used", "swap_total_bytes", "swap_free_bytes", 1.0),
            ("descriptors", "descriptors_limit", "descriptors_used", -1.0),
        ];
        for (label, total, part, sign) in used {
            gauges.extend(used_of(device, history, (label, total, part, sign)));
        }
        gauges.extend(rows(device, NODE, history, ""));
    }
    for (kind, table) in [("interface", INTERFACE), ("disk", DISK)] {
        for device in devices(host, kind) {
            gauges.extend(rows(device, table, history, &device.name));
        }
    }
    gauges
}

/// The busy share of every core.
pub(super) fn cores(host: &HostState) -> Vec<f64> {
    let number = |device: &DeviceState| device.name.strip_prefix("cpu")?.parse::<u32>().ok();
    let mut cores: Vec<(u32, f64)> = devices(host, "cpu")
        .filter_map(|device| Some((number(device)?, device.readings.get("cpu_busy_ratio")?.value)))
        .collect();
    cores.sort_by_key(|(number, _)| *number);
    cores.into_iter().map(|(_, busy)| busy).collect()
}

/// This process' own cost.
pub(super) fn own(host: &HostState, history: &History) -> Vec<Gauge> {
    devices(host, "own").flat_map(|device| rows(device, OWN, history, "")).collect()
}

fn devices<'a>(host: &'a HostState, kind: &'a str) -> impl Iterator<Item = &'a DeviceState> {
    host.devices.iter().filter(move |device| device.kind == kind)
}

/// A row for each metric of `table` that was read.
fn rows(
    device: &DeviceState,
    table: &[(&str, &str, Show)],
    history: &History,
    of: &str,
) -> Vec<Gauge> {
    let read = table.iter().filter(|(_, metric, _)| device.readings.contains_key(*metric));
    read.map(|(label, metric, show)| {
        let value = history.value(&device.kind, &device.name, metric);
        let points = history.points(&device.kind, &device.name, metric);
        let share = matches!(show, Show::Share | Show::TimeShare).then_some(value).flatten();
        let full = if matches!(show, Show::Share | Show::TimeShare) {
            1.0
        } else {
            points.iter().copied().fold(0.0, f64::max)
        };
        let label = if of.is_empty() { (*label).to_owned() } else { format!("{of} {label}") };
        let text = value.map_or_else(|| ABSENT.to_owned(), |value| show.text(value));
        Gauge { label, text, share, points, full }
    })
    .collect()
}

/// What is used of a total: the total less what is free (`sign` 1), or the
/// part itself (`sign` -1). Nothing where there is none of it, as of swap.
fn used_of(
    device: &DeviceState,
    history: &History,
    (label, total_metric, part_metric, sign): (&str, &str, &str, f64),
) -> Option<Gauge> {
    let total = device.readings.get(total_metric)?;
    let part = device.readings.get(part_metric)?;
    if total.value <= 0.0 {
        return None;
    }
    let used_of = |part: f64| if sign > 0.0 { total.value - part } else { part };
    let used = used_of(part.value);
    let show = if total.unit == "bytes" { bytes } else { count };
    let points = history.points(&device.kind, &device.name, part_metric);
    let bounded = total.value < UNBOUNDED;
    let text =
        if bounded { format!("{} of {}", show(used), show(total.value)) } else { show(used) };
    Some(Gauge {
        label: label.to_owned(),
        text,
        share: bounded.then_some(used / total.value),
        points: points.into_iter().map(used_of).collect(),
        full: if bounded { total.value } else { used },
    })
}

impl Show {
    fn text(self, value: f64) -> String {
        match self {
            Self::Share | Self::TimeShare => percent_fine(value),
            Self::Count => count(value),
            Self::Load => format!("{value:.2}"),
            Self::Bytes => bytes(value),
            Self::ByteRate => format!("{}/s", bytes(value)),
        }
    }
}
