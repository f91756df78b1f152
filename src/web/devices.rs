//! Accelerators as JSON shows them: what they are, how they stand, their
//! newest readings with ages, what they do not give and why, and their latest
//! events.

use std::collections::BTreeMap;

use serde::Serialize;

use super::event::EventState;
use super::host::{HostState, ReadingState};
use crate::newest::{Names, ReadingTableView};
use crate::schema::{Accelerator, Event, MetricId, utc_text};

/// Most events of one device.
const EVENTS_MAX: usize = 16;

/// Every accelerator of the node.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AcceleratorStates {
    /// They and their parts, in the order in which they were first seen.
    pub devices: Vec<AcceleratorState>,
}

/// One accelerator, or a part of one.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AcceleratorState {
    /// `gpu0`, `npu3`, `gpu0/mig1`.
    pub name: String,
    /// `gpu` or `npu`.
    pub kind: String,
    /// Who made it.
    pub vendor: String,
    /// A name that survives renumbering.
    pub uuid: String,
    /// What its driver calls it.
    pub device_model: String,
    /// The serial number of the board.
    pub serial: String,
    /// PCI address.
    pub pci: String,
    /// Version of the driver.
    pub driver: String,
    /// VBIOS or firmware version.
    pub firmware: String,
    /// InfoROM image version.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub inforom: String,
    /// Version of the library through which it is read.
    pub library: String,
    /// The device that it is a part of.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub parent: String,
    /// NUMA node, where known.
    pub numa_node: Option<u16>,
    /// `present`, `gone`, `resetting`, `upgrading`, `silent`, `unknown`.
    pub state: &'static str,
    /// Since when.
    pub state_since: String,
    /// While its driver does not answer: the call that does not return.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub silent_call: String,
    /// It exists in a simulation only.
    pub simulated: bool,
    /// Who works on it.
    pub processes: Vec<ProcessState>,
    /// Its readings by the metric's name.
    pub readings: BTreeMap<String, ReadingState>,
    /// Readings that it does not give, by the metric's name, with the reason.
    pub absent: BTreeMap<String, &'static str>,
    /// Its latest events, newest last.
    pub events: Vec<EventState>,
}

/// A process that works on an accelerator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProcessState {
    /// Process id on the node.
    pub process: u32,
    /// Device memory it holds, where known.
    pub memory_bytes: Option<u64>,
    /// Full id of its container.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub container: String,
    /// UID of the container's Kubernetes pod.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub pod: String,
}

impl AcceleratorStates {
    /// The accelerators at `now_ns` of this host's `CLOCK_MONOTONIC`, with the
    /// events about them among `events`, newest last.
    #[must_use]
    pub fn of(readings: &ReadingTableView, names: &Names, events: &[Event], now_ns: u64) -> Self {
        let host = HostState::of(readings, names, now_ns);
        let mut readings: BTreeMap<(String, String), _> =
            host.devices.into_iter().map(|of| ((of.kind, of.name), of.readings)).collect();
        let mut devices = Vec::new();
        for device in names.devices() {
            let Some(accelerator) = device.accelerator else { continue };
            let readings =
                readings.remove(&(device.kind.clone(), device.name.clone())).unwrap_or_default();
            let about = events.iter().rev().filter(|event| event.subject == device.name);
            let mut events: Vec<_> = about.take(EVENTS_MAX).map(EventState::of).collect();
            events.reverse();
            devices.push(AcceleratorState {
                name: device.name,
                kind: device.kind,
                vendor: device.vendor,
                uuid: device.uuid,
                readings,
                events,
                ..AcceleratorState::from(*accelerator)
            });
        }
        Self { devices }
    }
}

impl From<Accelerator> for AcceleratorState {
    fn from(of: Accelerator) -> Self {
        let metric = |number| match MetricId::from_number(number) {
            Some(metric) => metric.row().name.to_owned(),
            None => format!("metric_{number}"),
        };
        Self {
            name: String::new(),
            kind: String::new(),
            vendor: String::new(),
            uuid: String::new(),
            device_model: of.device_model,
            serial: of.serial,
            pci: of.pci,
            driver: of.driver,
            firmware: of.firmware,
            inforom: of.inforom,
            library: of.library,
            parent: of.parent,
            numa_node: of.numa_node,
            state: of.state.name(),
            state_since: utc_text(of.state_since_wall_ns),
            silent_call: of.silent_call,
            simulated: of.simulated,
            processes: of
                .processes
                .into_iter()
                .map(|of| ProcessState {
                    process: of.process,
                    memory_bytes: of.memory_bytes,
                    container: of.container,
                    pod: of.pod,
                })
                .collect(),
            readings: BTreeMap::new(),
            absent: of.absent.iter().map(|of| (metric(of.metric), of.reason.name())).collect(),
            events: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::newest::ReadingTable;
    use crate::schema::{AbsentReading, AbsentReason, Device, Reading};

    #[test]
    fn an_accelerator_stands_with_all_that_is_known_of_it() {
        let (names, table) = (Names::new("n"), ReadingTable::heap(2));
        let index = names.device("gpu", "gpu0").unwrap();
        names.device("cpu", "cpu0").unwrap();
        let metric = MetricId::AcceleratorFan as u16;
        let accelerator = Accelerator {
            simulated: true,
            absent: vec![AbsentReading { metric, reason: AbsentReason::NotSupported }],
            ..Accelerator::default()
        };
        let (name, kind) = ("gpu0".to_owned(), "gpu".to_owned());
        let accelerator = Some(Box::new(accelerator));
        names.put_device(Device { index, name, kind, accelerator, ..Device::default() });
        let mut cell = table.cell().unwrap();
        cell.write(&Reading::new(index, MetricId::AcceleratorTemperature, 1_000_000, 41.0));
        let of = |subject: &str| Event { subject: subject.to_owned(), ..Event::default() };
        let events = [of("gpu0"), of("cpu0")];
        let states = AcceleratorStates::of(&table.view(), &names, &events, 3_000_000);
        let json = serde_json::to_value(states).unwrap();
        assert_eq!(json["devices"].as_array().map(Vec::len), Some(1));
        let gpu = &json["devices"][0];
        assert_eq!(gpu["readings"]["accelerator_temperature_celsius"]["age_ms"], 2.0);
        assert_eq!(gpu["absent"]["accelerator_fan_ratio"], "not supported");
        assert_eq!((&gpu["simulated"], &gpu["state"]), (&true.into(), &"unknown".into()));
        assert_eq!(gpu["events"].as_array().map(Vec::len), Some(1));
    }
}
