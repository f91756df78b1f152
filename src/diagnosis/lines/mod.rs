//! What a line of the kernel's log says: which fault, of which device.
//!
//! A driver's line begins with the driver's own words, so that the first bytes
//! tell which parser it takes, and a line that quotes another is none. Parsers
//! are written by hand: they read a line once, give back pieces of it, and
//! neither allocate nor go back. Any text may come.
//!
//! Nothing here judges; codes keep their numbers for the tables.

mod address;
mod ascend;
mod kernel;
mod memory;
mod network;
mod nvidia;
mod pcie;
mod scan;
mod storage;
mod what;

pub use address::{Instance, Pci};
pub use ascend::AscendReport;
pub use nvidia::{Registers, Xid, traced_xid};
pub use what::{Detail, Sighting, Speaker, What};

/// What `text`, a line without its time and level, says of trouble; nothing
/// where it says none that is known.
#[must_use]
pub fn recognise(text: &str) -> Option<Sighting<'_>> {
    let text = text.trim_start();
    let first = *text.as_bytes().first()?;
    let found = match first {
        b'N' => nvidia::driver(text).or_else(|| kernel::hard_lockup(text)),
        b'n' => nvidia::other(text)
            .or_else(|| storage::nvme(text))
            .or_else(|| network::connections(text)),
        b'[' => ascend::line(text).or_else(|| memory::decoded(text)),
        b'T' => ascend::line(text).or_else(|| kernel::group_limit(text)),
        b'E' => memory::edac(text).or_else(|| storage::ext4(text)),
        b'm' => memory::machine_check(text)
            .or_else(|| network::mlx5(text))
            .or_else(|| storage::raid(text)),
        b'{' => memory::firmware_first(text),
        b'M' => memory::poisoned(text).or_else(|| kernel::out_of_memory(text)),
        b'o' | b'O' => kernel::out_of_memory(text),
        b'I' => kernel::hung_task(text).or_else(|| storage::block(text)),
        b'w' => kernel::soft_lockup(text),
        b'r' => kernel::stall(text),
        b'K' => kernel::panic(text),
        b'b' | b'B' => storage::block(text).or_else(|| kernel::soft_lockup(text)),
        b'X' => storage::xfs(text),
        b'L' => kernel::booted(text),
        b'C' => kernel::throttled(text),
        _ => None,
    };
    found
        .or_else(|| pcie::line(text))
        .or_else(|| network::link(text))
        .or_else(|| kernel::segfault(text))
}

#[cfg(test)]
mod tests;
