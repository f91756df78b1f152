//! One accelerator as the parent knows it.

use std::collections::{BTreeMap, BTreeSet};

use super::facts::Facts;
use super::library::{Found, Identity};
use super::open_faults::OpenFaults;
use super::record::{Absent, Value};
use crate::platform::clock::{self, SECOND_NS};
use crate::schema::{
    AbsentReading, AbsentReason, Accelerator, Device, DeviceProcess, DeviceState, MetricId,
};

/// A device that did not hang for so long is calm.
pub(super) const CALM_NS: u64 = 600 * SECOND_NS;

/// One accelerator, or a part of one.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) found: Found,
    pub(super) identity: Identity,
    pub(super) state: DeviceState,
    pub(super) state_since_wall_ns: u64,
    /// The call that does not return, and since when, monotonic ns.
    pub(super) silent: Option<(String, u64)>,
    /// Whether somebody was told that it is here.
    pub(super) is_announced: bool,
    pub(super) numa_node: Option<u16>,
    /// How often it hung without being calm in between.
    pub(super) hangs: u32,
    hung_ns: u64,
    pub(super) processes: Vec<DeviceProcess>,
    pub(super) open_faults: OpenFaults,
    index: Option<u32>,
    values: BTreeSet<MetricId>,
    absent: BTreeMap<MetricId, AbsentReason>,
    /// Whether its description is another than the one that was told.
    is_dirty: bool,
    is_state_told: bool,
}

impl Known {
    pub(super) fn new(found: Found) -> Self {
        Self {
            found,
            identity: Identity::default(),
            state: DeviceState::Unknown,
            state_since_wall_ns: 0,
            silent: None,
            is_announced: false,
            numa_node: None,
            hangs: 0,
            hung_ns: 0,
            processes: Vec::new(),
            open_faults: OpenFaults::default(),
            index: None,
            values: BTreeSet::new(),
            absent: BTreeMap::new(),
            is_dirty: true,
            is_state_told: false,
        }
    }

    /// The device that it is, or is a part of.
    pub(super) fn root(&self) -> &str {
        if self.found.parent.is_empty() { &self.found.name } else { &self.found.parent }
    }

    /// Another state; false if it is the same.
    pub(super) fn enter(&mut self, state: DeviceState, facts: &mut dyn Facts) -> bool {
        if self.state == state {
            return false;
        }
        (self.state, self.state_since_wall_ns) = (state, clock::wall_ns());
        self.is_dirty = true;
        if state != DeviceState::Silent {
            self.silent = None;
        }
        if state != DeviceState::Present {
            self.forget_values(facts);
        }
        true
    }

    /// It hangs once more; how often without being calm in between.
    pub(super) fn hangs_again(&mut self, now_ns: u64) -> u32 {
        if now_ns.saturating_sub(self.hung_ns) > CALM_NS {
            self.hangs = 0;
        }
        self.hung_ns = now_ns;
        self.hangs = self.hangs.saturating_add(1);
        self.hangs
    }

    pub(super) fn values(&mut self, time_ns: u64, values: &[Value], facts: &mut dyn Facts) {
        let index = self.index(facts);
        for (metric, value) in values {
            if self.absent.remove(metric).is_some() {
                self.is_dirty = true;
            }
            self.values.insert(*metric);
            facts.put(index, *metric, time_ns, *value);
        }
    }

    pub(super) fn absent(&mut self, absent: &[Absent], facts: &mut dyn Facts) {
        let index = self.index(facts);
        for (metric, reason) in absent {
            if self.values.remove(metric) {
                facts.forget(index, *metric);
            }
            if self.absent.insert(*metric, *reason) != Some(*reason) {
                self.is_dirty = true;
            }
        }
    }

    /// All that was known of it by this name ends.
    pub(super) fn forget(&mut self, facts: &mut dyn Facts) {
        if let Some(index) = self.index.take() {
            facts.gone(index);
        }
        self.values.clear();
        self.is_dirty = true;
    }

    pub(super) fn change(&mut self) {
        self.is_dirty = true;
    }

    /// Publishes its state, and describes it if there is anything new.
    pub(super) fn publish(&mut self, time_ns: u64, simulated: bool, facts: &mut dyn Facts) {
        let index = self.index(facts);
        if self.state != DeviceState::Unknown {
            self.is_state_told = true;
            facts.put(index, MetricId::AcceleratorState, time_ns, f64::from(self.state as u8));
        } else if std::mem::take(&mut self.is_state_told) {
            facts.forget(index, MetricId::AcceleratorState);
        }
        if std::mem::take(&mut self.is_dirty) {
            facts.describe(self.description(index, simulated));
        }
    }

    fn description(&self, index: u32, simulated: bool) -> Device {
        let (found, identity) = (&self.found, &self.identity);
        let absent = self.absent.iter();
        let accelerator = Accelerator {
            device_model: identity.device_model.clone(),
            serial: identity.serial.clone(),
            pci: found.pci.clone(),
            driver: identity.driver.clone(),
            firmware: identity.firmware.clone(),
            inforom: identity.inforom.clone(),
            library: identity.library.clone(),
            parent: found.parent.clone(),
            numa_node: self.numa_node,
            state: self.state,
            state_since_wall_ns: self.state_since_wall_ns,
            silent_call: self.silent.as_ref().map_or_else(String::new, |(call, _)| call.clone()),
            processes: self.processes.clone(),
            absent: absent
                .map(|(metric, reason)| AbsentReading { metric: *metric as u16, reason: *reason })
                .collect(),
            simulated,
        };
        Device {
            index,
            name: found.name.clone(),
            kind: found.kind.name().to_owned(),
            vendor: found.kind.vendor().to_owned(),
            uuid: found.uuid.clone(),
            accelerator: Some(Box::new(accelerator)),
            ..Device::default()
        }
    }

    fn index(&mut self, facts: &mut dyn Facts) -> u32 {
        *self.index.get_or_insert_with(|| facts.device(self.found.kind.name(), &self.found.name))
    }

    fn forget_values(&mut self, facts: &mut dyn Facts) {
        if let Some(index) = self.index {
            for metric in std::mem::take(&mut self.values) {
                facts.forget(index, metric);
            }
        }
        // Who worked on it last stays: that is whom its loss hits.
    }
}
