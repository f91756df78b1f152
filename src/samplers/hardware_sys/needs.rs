//! What `/sys` has for this sampler, as `doctor` tells it: looks at names only
//! and opens without reading, so that no device is asked.

use std::fs::File;
use std::path::Path;

use super::reading::CHILD_NAME;
use crate::platform::child;
use crate::samplers::{Context, Need, Settings};

/// Something that may be here.
struct Family {
    /// The folder below `/sys` that lists its devices.
    folder: &'static str,
    /// A file that each device has, if it is one of ours.
    file: &'static str,
    /// What is told of it.
    says: &'static str,
    /// What to do where a machine should have it and does not.
    absent: &'static str,
}

const FAMILIES: &[Family] = &[
    Family {
        folder: "devices/system/edac/mc",
        file: "ce_count",
        says: "memory errors",
        absent: "no memory controller reports errors: none in a virtual machine, or no EDAC driver is loaded",
    },
    Family {
        folder: "bus/pci/devices",
        file: "aer_dev_correctable",
        says: "PCIe errors",
        absent: "no PCIe device reports errors: none in a virtual machine, or firmware keeps them, or the kernel was booted with pci=noaer",
    },
    Family {
        folder: "class/infiniband",
        file: "ports",
        says: "InfiniBand and RoCE ports",
        absent: "no such adapter, or its driver is not loaded",
    },
    Family {
        folder: "class/nvme",
        file: "state",
        says: "NVMe controllers",
        absent: "no such drive",
    },
    Family {
        folder: "class/net",
        file: "device",
        says: "network interfaces with hardware behind them",
        absent: "none in this network namespace",
    },
    Family {
        folder: "class/hwmon",
        file: "temp1_input",
        says: "temperature sensors",
        absent: "no chip shows a temperature: none in a virtual machine, or its driver is not loaded",
    },
    Family {
        folder: "class/thermal",
        file: "temp",
        says: "thermal zones",
        absent: "the firmware tells of none",
    },
    Family {
        folder: "devices/system/cpu",
        file: "thermal_throttle/core_throttle_count",
        says: "throttling of processors",
        absent: "the processor does not tell, or a container runtime hides it",
    },
];

/// Most entries of a folder that are looked at.
const ENTRIES_MAX: usize = 4096;

/// Most processes that are looked at.
const PROCESSES_MAX: usize = 1 << 16;

/// Whether anything is here.
pub(super) fn has_anything(sys: &Path) -> bool {
    FAMILIES.iter().any(|family| family.devices(sys).next().is_some())
}

pub(super) fn needs(context: &Context, _: &Settings) -> Vec<Need> {
    let sys = context.host_root.join("sys");
    if !sys.join("class").is_dir() {
        return vec![Need::trouble(
            sys.display().to_string(),
            "is not a mounted sysfs",
            "mount the node's /sys there, or set host_root to the folder under which it is mounted",
        )];
    }
    let mut needs: Vec<_> = FAMILIES.iter().map(|family| family.need(&sys)).collect();
    needs.extend(stuck_children(&context.host_root.join("proc")));
    if child::offered().is_none() {
        needs.push(Need::limited(
            "a child that reads",
            "this program is not eagle-eye, which alone can become one",
            "run the program eagle-eye",
        ));
    }
    needs
}

/// Reading processes, of any agent on this machine, that were killed and that
/// the kernel does not let go: they hold a container open.
fn stuck_children(proc: &Path) -> Option<Need> {
    let mut stuck = Vec::new();
    for entry in std::fs::read_dir(proc).ok()?.take(PROCESSES_MAX).flatten() {
        let is_ours = std::fs::read(entry.path().join("comm"))
            .is_ok_and(|comm| comm.trim_ascii() == CHILD_NAME.to_bytes());
        if is_ours
            && let Ok(status) = std::fs::read_to_string(entry.path().join("status"))
            && is_killed(&status)
        {
            stuck.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    (!stuck.is_empty()).then(|| {
        Need::trouble(
            "children that were killed",
            format!("cannot end, since a driver keeps their read: process {}", stuck.join(", ")),
            "read the kernel log for that driver; they end when it answers, else with a reboot",
        )
    })
}

/// Whether SIGKILL waits to be taken, which it does only in the kernel.
fn is_killed(status: &str) -> bool {
    const SIGKILL_BIT: u64 = 1 << 8;
    let pending = status.lines().filter_map(|line| {
        let mask = line.strip_prefix("SigPnd:").or_else(|| line.strip_prefix("ShdPnd:"))?;
        u64::from_str_radix(mask.trim(), 16).ok()
    });
    let state = status.lines().find_map(|line| line.strip_prefix("State:"));
    let ended = state.is_none_or(|state| state.trim_start().starts_with(['Z', 'X']));
    !ended && pending.fold(0, |all, mask| all | mask) & SIGKILL_BIT != 0
}

impl Family {
    /// The file of each device that has it.
    fn devices(&self, sys: &Path) -> impl Iterator<Item = std::path::PathBuf> {
        let entries = std::fs::read_dir(sys.join(self.folder)).ok();
        let files = entries.into_iter().flatten().take(ENTRIES_MAX).flatten();
        files.map(|entry| entry.path().join(self.file)).filter(|file| file.exists())
    }

    fn need(&self, sys: &Path) -> Need {
        let what = format!("{}: {}", sys.join(self.folder).display(), self.says);
        let (mut count, mut refused) = (0, None);
        for file in self.devices(sys) {
            count += 1;
            if let Err(error) = File::open(&file) {
                refused = Some(format!("{} cannot be opened: {error}", file.display()));
            }
        }
        match refused {
            _ if count == 0 => Need::not_here(what, self.absent),
            None => Need::fine(what, format!("{count} here")),
            Some(why) => Need::limited(
                what,
                why,
                "run as root, or mount the node's /sys without a mask over it",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_stuck_while_its_death_waits() {
        let status = |state: &str, own: &str, shared: &str| {
            format!("Name:\tx\nState:\t{state}\nSigPnd:\t{own}\nShdPnd:\t{shared}\n")
        };
        let (none, kill) = ("0000000000000000", "0000000000000100");
        for (text, stuck) in [
            (status("D (disk sleep)", kill, none), true),
            (status("D (disk sleep)", none, kill), true),
            (status("D (disk sleep)", none, none), false),
            (status("Z (zombie)", kill, kill), false),
            (status("D (disk sleep)", "x", "0000000000000200"), false),
            (String::new(), false),
        ] {
            assert_eq!(is_killed(&text), stuck, "{text}");
        }
    }
}
