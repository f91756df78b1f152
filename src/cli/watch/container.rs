//! The node's containers: what the readings of each say, and the engines in it.

use serde::Serialize;

use super::history::History;
use crate::web::{DeviceState, HostState, RankState};

/// The names of the metrics that are shown, in the metric table.
pub(super) mod metric {
    pub(crate) const STATES: [(&str, &str); 3] = [
        ("container_running", "running"),
        ("container_frozen", "frozen"),
        ("container_empty", "empty"),
    ];
    pub(crate) const CPU: &str = "container_cpu_seconds_total";
    pub(crate) const CPU_QUOTA: &str = "container_cpu_quota_cores";
    pub(crate) const PERIODS: &str = "container_cpu_periods_total";
    pub(crate) const PERIODS_THROTTLED: &str = "container_cpu_throttled_periods_total";
    pub(crate) const MEMORY: &str = "container_memory_bytes";
    pub(crate) const WORKING_SET: &str = "container_memory_working_set_bytes";
    pub(crate) const MEMORY_LIMIT: &str = "container_memory_limit_bytes";
    pub(crate) const MEMORY_PRESSURE: &str = "container_pressure_memory_some_seconds_total";
    pub(crate) const TASKS: &str = "container_tasks";
    pub(crate) const KILLS: &str = "container_oom_kills_total";
}

/// The kind of device that a container is.
pub(super) const KIND: &str = "container";

/// Characters of an id that people tell containers apart by.
const ID_SHORT: usize = 12;

/// One container at one instant; what was not measured is absent.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Container {
    /// What people call it.
    pub name: String,
    /// Its full id.
    pub container: String,
    /// The UID of its Kubernetes pod; empty where there is none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub pod: String,
    /// The engines whose processes run in it, by name.
    pub engines: Vec<String>,
    /// `running`, `frozen` or `empty`; empty where unknown.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub state: &'static str,
    /// CPU seconds used in a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_cores: Option<f64>,
    /// CPU seconds that it may use in a second, where that is bounded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_quota_cores: Option<f64>,
    /// The share of its scheduling periods in which it was held back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub throttled_ratio: Option<f64>,
    /// Memory charged to it, page cache included, bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<f64>,
    /// The same less inactive page cache, bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub working_set_bytes: Option<f64>,
    /// The most memory that it may use, bytes, where that is bounded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_limit_bytes: Option<f64>,
    /// The share of time in which some process waited for memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_pressure_ratio: Option<f64>,
    /// Processes and threads in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tasks: Option<f64>,
    /// Processes that the kernel killed for want of memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oom_kills: Option<f64>,
    /// Age of its newest reading, ms.
    pub age_ms: f64,
}

/// Every container among the devices, by name.
pub(super) fn all(host: &HostState, history: &History, engines: &[RankState]) -> Vec<Container> {
    let devices = host.devices.iter().filter(|device| device.kind == KIND);
    let mut all: Vec<Container> =
        devices.map(|device| Container::of(device, history, engines)).collect();
    all.sort_by(|a, b| (&a.name, &a.container).cmp(&(&b.name, &b.container)));
    all
}

impl Container {
    fn of(device: &DeviceState, history: &History, engines: &[RankState]) -> Self {
        let now = |metric: &str| device.readings.get(metric).map(|reading| reading.value);
        let rate = |metric| history.value(&device.kind, &device.name, metric);
        let ages = device.readings.values().map(|reading| reading.age_ms);
        let held_back = rate(metric::PERIODS_THROTTLED).zip(rate(metric::PERIODS));
        Self {
            name: device.name.clone(),
            container: device.container.clone(),
            pod: device.pod.clone(),
            engines: engines_in(&device.container, engines),
            state: state(now),
            cpu_cores: rate(metric::CPU),
            cpu_quota_cores: now(metric::CPU_QUOTA),
            throttled_ratio: held_back.map(|(held, all)| if all > 0.0 { held / all } else { 0.0 }),
            memory_bytes: now(metric::MEMORY),
            working_set_bytes: now(metric::WORKING_SET),
            memory_limit_bytes: now(metric::MEMORY_LIMIT),
            memory_pressure_ratio: rate(metric::MEMORY_PRESSURE),
            tasks: now(metric::TASKS),
            oom_kills: now(metric::KILLS),
            age_ms: ages.fold(f64::INFINITY, f64::min),
        }
    }

    /// The memory that it can't do without, bytes; all of it where the part is
    /// unknown.
    pub(super) fn memory_used(&self) -> Option<f64> {
        self.working_set_bytes.or(self.memory_bytes)
    }

    /// The same as a share of the limit, where there is one.
    pub(super) fn memory_ratio(&self) -> Option<f64> {
        let limit = self.memory_limit_bytes.filter(|limit| *limit > 0.0)?;
        Some(self.memory_used()? / limit)
    }
}

/// The word of the one of [`metric::STATES`] that is 1.
fn state(now: impl Fn(&str) -> Option<f64>) -> &'static str {
    let is = |metric: &str| now(metric).is_some_and(|value| value > 0.0);
    metric::STATES.iter().find(|(metric, _)| is(metric)).map_or("", |(_, word)| word)
}

/// The engines that run in the container with this full id.
fn engines_in(id: &str, engines: &[RankState]) -> Vec<String> {
    let inside = engines.iter().filter(|rank| !id.is_empty() && rank.container == id);
    let mut names: Vec<String> = inside.map(|rank| rank.engine.clone()).collect();
    names.dedup();
    names
}

/// As much of an id as people use.
pub(super) fn short(id: &str) -> &str {
    id.char_indices().nth(ID_SHORT).map_or(id, |(at, _)| &id[..at])
}
