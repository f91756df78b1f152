//! What readings are about, as labels.

use std::collections::HashMap;

use super::families::{CONTAINER_INFO, DEVICE_INFO, DEVICE_PROCESS};
use super::page::{Page, label};
use crate::newest::Names;
use crate::schema::{Accelerator, Device, DeviceState};

/// One device: its labels, and what else decides about its series.
#[derive(Debug)]
pub(super) struct Named {
    pub(super) labels: String,
    pub(super) device: Device,
}

/// The devices by their index, kept until a name changes.
#[derive(Debug, Default)]
pub(super) struct Devices {
    version: Option<u64>,
    by_index: HashMap<u32, Named>,
    order: Vec<u32>,
}

impl Devices {
    /// Reads the names, if one changed.
    pub(super) fn read(&mut self, names: &Names) {
        let version = names.version();
        if self.version == Some(version) {
            return;
        }
        self.version = Some(version);
        let named = names.devices().into_iter().map(|device| {
            (device.index, Named { labels: labels_of(&device, names.node()), device })
        });
        self.by_index = named.collect();
        self.order = self.by_index.keys().copied().collect();
        self.order.sort_by(|a, b| self.by_index[a].labels.cmp(&self.by_index[b].labels));
    }

    /// The device of this index, if it is known.
    pub(super) fn named(&self, index: u32) -> Option<&Named> {
        self.by_index.get(&index)
    }

    /// Every device, in the order of its labels.
    pub(super) fn all(&self) -> impl Iterator<Item = &Named> {
        self.order.iter().filter_map(|index| self.by_index.get(index))
    }

    /// Every accelerator that is there.
    pub(super) fn accelerators(&self) -> impl Iterator<Item = (&Named, &Accelerator)> {
        let of = |named| Some((named, accelerator(named)?));
        self.all().filter_map(of).filter(|(_, of)| of.state != DeviceState::Gone)
    }

    /// What does not change about accelerators and containers, and who works
    /// on the former.
    pub(super) fn write(&self, page: &mut Page, node: &str) {
        page.family(DEVICE_INFO);
        for (named, of) in self.accelerators() {
            let mut labels = named.labels.clone();
            for (name, value) in [
                ("device_model", &of.device_model),
                ("kind", &named.device.kind),
                ("serial", &of.serial),
                ("pci", &of.pci),
                ("driver", &of.driver),
                ("firmware", &of.firmware),
                ("parent", &of.parent),
            ] {
                label(&mut labels, name, value);
            }
            let simulated = if of.simulated { "true" } else { "false" };
            page.series(&labels, &[("simulated", simulated)], 1.0);
        }
        page.family(DEVICE_PROCESS);
        for (named, of) in self.accelerators() {
            write_processes(page, &named.labels, of);
        }
        page.family(CONTAINER_INFO);
        for named in self.all().filter(|named| named.device.kind == "container") {
            let mut labels = String::new();
            label(&mut labels, "container_id", container_id(&named.device));
            label(&mut labels, "name", &named.device.name);
            label(&mut labels, "pod_uid", &named.device.pod);
            label(&mut labels, "node", node);
            page.series(&labels, &[], 1.0);
        }
    }
}

fn accelerator(named: &Named) -> Option<&Accelerator> {
    named.device.accelerator.as_deref()
}

/// Device memory by container: a process id would make a series of every
/// start.
fn write_processes(page: &mut Page, labels: &str, of: &Accelerator) {
    let mut held: HashMap<(&str, &str), f64> = HashMap::new();
    for process in &of.processes {
        let Some(bytes) = process.memory_bytes else { continue };
        *held.entry((&process.container, &process.pod)).or_default() += bytes as f64;
    }
    let mut held: Vec<_> = held.into_iter().collect();
    held.sort_unstable_by_key(|(owner, _)| *owner);
    for ((container, pod), bytes) in held {
        page.series(labels, &[("container_id", container), ("pod_uid", pod)], bytes);
    }
}

fn container_id(device: &Device) -> &str {
    if device.container.is_empty() { &device.name } else { &device.container }
}

/// The labels of a device's readings. What a device is decides what its name
/// is called, so that a query says what it means.
fn labels_of(device: &Device, node: &str) -> String {
    let mut labels = String::new();
    let name = device.name.as_str();
    match device.kind.as_str() {
        "node" | "own" | "journal" => {}
        "cpu" => label(
            &mut labels,
            "cpu",
            match name.strip_prefix("cpu") {
                Some("") => "all",
                Some(number) => number,
                None => name,
            },
        ),
        "container" => label(&mut labels, "container_id", container_id(device)),
        kind @ ("ring" | "taker" | "sampler" | "table" | "link" | "log" | "trace") => {
            label(&mut labels, kind, name);
        }
        "scrape" => label(&mut labels, "endpoint", name),
        "absence" => label(&mut labels, "reason", name),
        _ => {
            label(&mut labels, "device", name);
            label(&mut labels, "vendor", &device.vendor);
            label(&mut labels, "uuid", &device.uuid);
        }
    }
    label(&mut labels, "node", node);
    labels
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_device_is_decides_what_its_name_is_called() {
        let of = |kind: &str, name: &str| {
            let (kind, name) = (kind.to_owned(), name.to_owned());
            labels_of(&Device { kind, name, ..Device::default() }, "n")
        };
        for (kind, name, labels) in [
            ("node", "node", r#"node="n""#),
            ("cpu", "cpu", r#"cpu="all",node="n""#),
            ("cpu", "cpu12", r#"cpu="12",node="n""#),
            ("interface", "eth0", r#"device="eth0",node="n""#),
            ("container", "c0ffee", r#"container_id="c0ffee",node="n""#),
            ("ring", "procfs/steps", r#"ring="procfs/steps",node="n""#),
            ("never heard of", "x\"y", r#"device="x\"y",node="n""#),
        ] {
            assert_eq!(of(kind, name), labels);
        }
    }
}
