//! One file per rule: what it concludes from which facts, its settings, its
//! page and its cases.

use super::Entry;

mod accelerator_link;
mod container_throttled;
mod cooling;
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
mod growth;
mod host_memory_corrected;
mod host_memory_uncorrected;
mod host_thermal;
mod infiniband_errors;
mod interface_errors;
mod interface_flaps;
mod kv_pressure;
mod memory_wear;
mod odd_sister;
mod pcie_corrected;
mod pcie_link;
mod pcie_uncorrected;
mod power_brake;
mod power_cap;
mod recovery_action;
mod thermal_throttle;
mod line;
mod sxid;
mod machine_check;
mod pcie_aer;
mod nvme;
mod filesystem;
mod oom;
mod hung_task;
mod kernel_stall;
mod link_flap;
mod nic_fault;
mod ascend_fault;
mod cpu_throttled;
mod process_crash;
#[cfg(test)]
pub(crate) mod trial;
mod xid;

/// Every rule, in the order in which they are asked: causes before what they
/// bring about.
pub const ALL: &[&Entry] = &[
    // Devices.
    &device_gone::RULE,
    &driver_silent::RULE,
    // Kernel lines and vendors' codes.
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
    // The host.
    &host_memory_corrected::RULE,
    &host_memory_uncorrected::RULE,
    &host_thermal::RULE,
    &interface_errors::RULE,
    &interface_flaps::RULE,
    &infiniband_errors::RULE,
    &container_throttled::RULE,
    // Engines.
    &engine_dead::RULE,
    &engine_silent::RULE,
    &engine_restarting::RULE,
    &kv_pressure::RULE,
    &engine_slowed::RULE,
    &engine_limit::RULE,
];
