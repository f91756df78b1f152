//! One file per rule: what it concludes from which facts, its settings, its
//! page and its cases.

use super::Entry;

mod accelerator_link;
mod ascend_fault;
mod container_limit;
mod container_oom;
mod container_throttled;
mod cooling;
mod cooling_drift;
mod cpu_starved;
mod cpu_throttled;
mod data_missing;
mod descriptors;
mod device_gone;
mod device_health;
mod driver_mismatch;
mod driver_silent;
mod ecc_uncorrected;
mod engine_dead;
mod engine_limit;
mod engine_restarting;
mod engine_silent;
mod engine_slowed;
mod facts_lost;
mod filesystem;
mod growth;
mod host_memory_corrected;
mod host_memory_uncorrected;
mod host_swap;
mod host_thermal;
mod hung_task;
mod infiniband_errors;
mod interface_errors;
mod interface_flaps;
mod interface_saturated;
mod io_pressure;
mod kernel_stall;
mod kv_pressure;
mod level;
mod line;
mod link_down;
mod link_flap;
mod machine_check;
mod memory_low;
mod memory_wear;
mod neighbour;
mod nic_fault;
mod nvme;
mod odd_sister;
mod oom;
mod pcie_aer;
mod pcie_corrected;
mod pcie_link;
mod pcie_uncorrected;
mod power_brake;
mod power_cap;
mod process_crash;
mod recovery_action;
mod sampler_stalled;
mod sxid;
mod thermal_throttle;
pub(super) mod threshold;
mod xid;
#[cfg(test)]
pub(crate) mod trial;

/// What is the same of all rules of the operator's own.
pub const THRESHOLD: &Entry = &threshold::RULE;

/// Every rule, in the order in which they are asked: causes before what they
/// bring about.
pub const ALL: &[&Entry] = &[
    // What the kernel and the drivers say.
    &xid::RULE,
    &sxid::RULE,
    &ascend_fault::RULE,
    &machine_check::RULE,
    &pcie_aer::RULE,
    &nvme::RULE,
    &filesystem::RULE,
    &oom::RULE,
    &hung_task::RULE,
    &kernel_stall::RULE,
    &link_flap::RULE,
    &nic_fault::RULE,
    &cpu_throttled::RULE,
    &process_crash::RULE,
    // Devices.
    &device_gone::RULE,
    &driver_silent::RULE,
    &ecc_uncorrected::RULE,
    &memory_wear::RULE,
    &recovery_action::RULE,
    &device_health::RULE,
    &cooling::RULE,
    &thermal_throttle::RULE,
    &power_brake::RULE,
    &power_cap::RULE,
    &pcie_link::RULE,
    &pcie_corrected::RULE,
    &pcie_uncorrected::RULE,
    &accelerator_link::RULE,
    &driver_mismatch::RULE,
    &odd_sister::RULE,
    &cooling_drift::RULE,
    &data_missing::RULE,
    // The host.
    &host_memory_corrected::RULE,
    &host_memory_uncorrected::RULE,
    &host_thermal::RULE,
    &interface_errors::RULE,
    &interface_flaps::RULE,
    &infiniband_errors::RULE,
    &link_down::RULE,
    &interface_saturated::RULE,
    &host_swap::RULE,
    &memory_low::RULE,
    &cpu_starved::RULE,
    &io_pressure::RULE,
    &descriptors::RULE,
    &container_limit::RULE,
    &container_oom::RULE,
    &neighbour::RULE,
    &sampler_stalled::RULE,
    &facts_lost::RULE,
    &container_throttled::RULE,
    // Engines.
    &engine_dead::RULE,
    &engine_silent::RULE,
    &engine_restarting::RULE,
    &kv_pressure::RULE,
    &engine_slowed::RULE,
    &engine_limit::RULE,
];
