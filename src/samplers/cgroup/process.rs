//! The container of a process that connected to us.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::path::{ContainerPath, PROCESS_BYTES_MAX, of_process};

/// The container of the process `pid`, a peer of ours by the kernel's word.
///
/// It is looked up in our own `/proc`, not below `host_root`: the kernel gives
/// a peer's id as *our* process namespace counts it, and under the node's
/// `/proc` the same number may be somebody else. A peer whose id is 0 is not
/// to be seen from here, so its container stays unknown unless the agent
/// shares the node's process namespace (`hostPID`). Whichever `/proc` it is,
/// the kernel writes the path as seen from our cgroup namespace: from a
/// private one, a process of our own container is at `/` and stays unknown;
/// others begin with `/..` and still name theirs.
pub(in crate::samplers) fn of_peer(pid: u32) -> Option<ContainerPath> {
    of_process_in(Path::new("/proc"), pid)
}

/// The container of the process that this `proc` counts as `pid`.
pub(in crate::samplers) fn of_process_in(proc: &Path, pid: u32) -> Option<ContainerPath> {
    if pid == 0 {
        return None;
    }
    let file = File::open(proc.join(format!("{pid}/cgroup"))).ok()?;
    let mut text = Vec::new();
    file.take(PROCESS_BYTES_MAX as u64).read_to_end(&mut text).ok()?;
    of_process(&text)
}
