//! One file per rule: what it concludes from which facts, its settings, its
//! page and its cases.

use super::Entry;

mod driver_silent;
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

/// Every rule, in the order in which they are asked.
pub const ALL: &[&Entry] = &[
    &driver_silent::RULE,
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
];
