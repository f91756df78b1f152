//! What `/sys` has for this sampler, as `doctor` tells it: looks at names only
//! and opens without reading, so that no device is asked.

use std::fs::File;
use std::path::Path;

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
    if child::offered().is_none() {
        needs.push(Need::limited(
            "a child that reads",
            "this program is not eagle-eye, which alone can become one",
            "run the program eagle-eye",
        ));
    }
    needs
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
