//! The node's devices and their readings as JSON shows them.

use std::collections::BTreeMap;

use serde::Serialize;

use super::rank::{Number, milliseconds};
use crate::newest::{Names, ReadingTableView};
use crate::schema::{Device, MetricId, MetricKind, Reading};

/// Every device with its newest readings.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HostState {
    /// The devices, in the order in which they were first seen.
    pub devices: Vec<DeviceState>,
}

/// One device with its newest readings.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DeviceState {
    /// What people call it; its index where the name is unknown.
    pub name: String,
    /// `node`, `cpu`, `interface`, `disk`, `container`, `own`; empty where unknown.
    pub kind: String,
    /// Who made it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub vendor: String,
    /// A name that survives renumbering.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uuid: String,
    /// The full id, of a container.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub container: String,
    /// UID of the container's Kubernetes pod.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub pod: String,
    /// Its readings by the metric's name.
    pub readings: BTreeMap<String, ReadingState>,
}

/// One value, when and in which unit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ReadingState {
    /// In `unit`.
    #[serde(serialize_with = "number")]
    pub value: f64,
    /// `ratio`, `bytes`, `seconds` or `count`; empty for a metric that this
    /// build does not know.
    pub unit: &'static str,
    /// `gauge` or `counter`.
    pub kind: &'static str,
    /// Age of the sample, ms.
    pub age_ms: f64,
}

impl HostState {
    /// The newest readings at `now_ns` of this host's `CLOCK_MONOTONIC`.
    #[must_use]
    pub fn of(readings: &ReadingTableView, names: &Names, now_ns: u64) -> Self {
        let mut by_device: BTreeMap<u32, BTreeMap<String, ReadingState>> = BTreeMap::new();
        for reading in readings.iter().filter(|reading| reading.value.is_finite()) {
            let (name, state) = state_of(&reading, now_ns);
            by_device.entry(reading.device).or_default().insert(name, state);
        }
        let mut devices = Vec::new();
        for device in names.devices() {
            if let Some(readings) = by_device.remove(&device.index) {
                devices.push(DeviceState::of(device, readings));
            }
        }
        for (index, readings) in by_device {
            let device = Device { index, name: format!("#{index}"), ..Device::default() };
            devices.push(DeviceState::of(device, readings));
        }
        Self { devices }
    }
}

impl DeviceState {
    fn of(device: Device, readings: BTreeMap<String, ReadingState>) -> Self {
        let Device { name, kind, vendor, uuid, container, pod, .. } = device;
        Self { name, kind, vendor, uuid, container, pod, readings }
    }
}

fn state_of(reading: &Reading, now_ns: u64) -> (String, ReadingState) {
    let row = MetricId::from_number(reading.metric).map(MetricId::row);
    let state = ReadingState {
        value: reading.value,
        unit: row.map_or("", |row| row.unit.name()),
        kind: match row.map(|row| row.kind) {
            Some(MetricKind::Counter) => "counter",
            _ => "gauge",
        },
        age_ms: milliseconds(now_ns.saturating_sub(reading.time_ns)),
    };
    (row.map_or_else(|| format!("metric_{}", reading.metric), |row| row.name.to_owned()), state)
}

fn number<S: serde::Serializer>(value: &f64, into: S) -> Result<S::Ok, S::Error> {
    Number(*value).serialize(into)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::newest::ReadingTable;

    #[test]
    fn readings_stand_with_their_device_and_what_is_no_number_is_absent() {
        let (names, table) = (Names::new("n"), ReadingTable::heap(8));
        let cpu = names.device("cpu", "cpu").unwrap();
        let mut cells: Vec<_> = (0..4).map(|_| table.cell().unwrap()).collect();
        cells[0].write(&Reading::new(cpu, MetricId::CpuBusy, 1_000_000, 0.25));
        cells[1].write(&Reading::new(cpu, MetricId::CpuUser, 1_000_000, f64::NAN));
        cells[2].write(&Reading::new(77, MetricId::MemoryTotal, 1_000_000, 1024.0));
        let later = Reading { metric: 9999, ..Reading::new(77, MetricId::Tasks, 0, 1.0) };
        cells[3].write(&later);
        let json = serde_json::to_string(&HostState::of(&table.view(), &names, 3_000_000)).unwrap();
        let cpu = r#"{"name":"cpu","kind":"cpu","readings":{"cpu_busy_ratio":{"value":0.25,"unit":"ratio","kind":"gauge","age_ms":2.0}}}"#;
        assert!(json.contains(cpu), "{json}");
        assert!(json.contains(r##""name":"#77""##), "{json}");
        assert!(json.contains(r#""memory_total_bytes":{"value":1024,"#), "{json}");
        assert!(json.contains(r#""metric_9999":"#), "{json}");
        assert!(!json.contains("cpu_user"), "{json}");
    }
    #[test]
    fn a_container_stands_with_its_id_and_pod() {
        let (names, table) = (Names::new("n"), ReadingTable::heap(1));
        let index = names.device("container", "c0ffee").unwrap();
        let (kind, name) = ("container".to_owned(), "c0ffee".to_owned());
        let (container, pod) = ("c0ffee00".to_owned(), "9f0a".to_owned());
        names.put_device(Device { index, name, kind, container, pod, ..Device::default() });
        let mut cell = table.cell().unwrap();
        cell.write(&Reading::new(index, MetricId::ContainerTasks, 0, 1.0));
        let json = serde_json::to_value(HostState::of(&table.view(), &names, 0)).unwrap();
        let device = &json["devices"][0];
        assert_eq!((&device["container"], &device["pod"]), (&"c0ffee00".into(), &"9f0a".into()));
    }
}
