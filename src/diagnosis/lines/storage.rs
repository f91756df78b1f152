//! Lines of drives, file systems and RAIDs.

use super::scan::{after, holds, number, small, word};
use super::{Detail, Sighting, What};

/// `nvme nvme4: I/O tag 22 … timeout, reset controller`, and its end.
pub(super) fn nvme(text: &str) -> Option<Sighting<'_>> {
    let rest = text.strip_prefix("nvme ")?;
    let (name, said) = rest.split_once(": ")?;
    let unit = name.strip_prefix("nvme").and_then(number).and_then(|(unit, _)| small(unit))?;
    let lost = holds(said, "Disabling device")
        || holds(said, "Removing after probe failure")
        || holds(said, "controller is down; will reset") && holds(said, "PCI_STATUS=0xffff");
    let what = if lost {
        What::NvmeLost
    } else if holds(said, "timeout") || holds(said, "controller is down") {
        What::NvmeTimeout
    } else {
        return None;
    };
    Some(Sighting { unit: Some(unit), name, detail: Detail::Said(said), ..Sighting::of(what) })
}

/// Blocks that could not be read or written, in the words of several kernels.
pub(super) fn block(text: &str) -> Option<Sighting<'_>> {
    let name = if let Some(rest) = text.strip_prefix("block ") {
        let (name, said) = rest.split_once(": ")?;
        if !said.starts_with("no available path") {
            return None;
        }
        name
    } else if let Some(rest) = text.strip_prefix("Buffer I/O error on dev ") {
        word(rest).0
    } else {
        let rest = text.strip_prefix("blk_update_request: ").unwrap_or(text);
        word(rest.strip_prefix("I/O error, dev ")?).0
    };
    Some(Sighting { name, detail: Detail::Said(text), ..Sighting::of(What::IoError) })
}

/// `EXT4-fs error (device sda1): …`, and its consequence.
pub(super) fn ext4(text: &str) -> Option<Sighting<'_>> {
    let rest = text.strip_prefix("EXT4-fs ")?;
    if let Some(rest) = rest.strip_prefix("error (device ") {
        let (name, said) = rest.split_once("): ")?;
        let detail = Detail::Said(said);
        return Some(Sighting { name, detail, ..Sighting::of(What::FilesystemError) });
    }
    let (name, said) = rest.strip_prefix('(')?.split_once("): ")?;
    let read_only = said.starts_with("Remounting filesystem read-only");
    read_only.then(|| Sighting { name, ..Sighting::of(What::FilesystemReadOnly) })
}

/// `XFS (nvme0n1p1): Log I/O Error … Shutting down filesystem.`
pub(super) fn xfs(text: &str) -> Option<Sighting<'_>> {
    let (name, said) = text.strip_prefix("XFS (")?.split_once("): ")?;
    let what = if holds(said, "Shutting down filesystem") || holds(said, "has been shut down") {
        What::FilesystemDown
    } else if holds(said, "Corruption") || holds(said, "metadata I/O error") {
        What::FilesystemError
    } else {
        return None;
    };
    Some(Sighting { name, detail: Detail::Said(said), ..Sighting::of(what) })
}

/// `md/raid1:md0: Disk failure on sdb1, disabling device.`
pub(super) fn raid(text: &str) -> Option<Sighting<'_>> {
    let rest = text.strip_prefix("md/raid")?;
    let (_, rest) = rest.split_once(':')?;
    let (name, said) = rest.split_once(": ")?;
    let disk = word(after(said, "Disk failure on ")?).0;
    Some(Sighting { name, detail: Detail::Said(disk), ..Sighting::of(What::RaidDegraded) })
}
