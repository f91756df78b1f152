//! Settings that samplers of accelerators share, and how a parent hands them
//! to its child as arguments.

use std::ffi::OsString;
use std::path::Path;

use super::library::{Group, Wanted};
use super::serve::{Periods, ServePlan};
use crate::samplers::{Setting, Settings, whole_number};

/// A call that has not returned for so long hangs.
pub const DEADLINE: Setting = Setting {
    key: "deadline_ms",
    default: "2000",
    help: "A call of the driver's library that has not returned within so many milliseconds hangs, 100 to 60000.",
    check: |value| whole_number(value, 100, 60_000).map(drop),
};

/// The period of what is cheap.
pub const FAST: Setting = Setting {
    key: "fast_ms",
    default: "1000",
    help: "Power, temperature, use and memory are read every so many milliseconds, 100 to 60000.",
    check: |value| whole_number(value, 100, 60_000).map(drop),
};

/// The period of counters.
pub const MEDIUM: Setting = Setting {
    key: "medium_ms",
    default: "10000",
    help: "Counters of errors and links are read every so many milliseconds, 1000 to 600000.",
    check: |value| whole_number(value, 1000, 600_000).map(drop),
};

/// The period of what hardly changes.
pub const SLOW: Setting = Setting {
    key: "slow_ms",
    default: "60000",
    help: "Limits, repairs and what else hardly changes is read every so many milliseconds, 1000 to 3600000.",
    check: |value| whole_number(value, 1000, 3_600_000).map(drop),
};

/// The period of processes.
pub const PROCESSES: Setting = Setting {
    key: "processes_ms",
    default: "10000",
    help: "Processes of each device are listed every so many milliseconds, 1000 to 600000.",
    check: |value| whole_number(value, 1000, 600_000).map(drop),
};

/// The period of looks for devices.
pub const INVENTORY: Setting = Setting {
    key: "inventory_ms",
    default: "10000",
    help: "Devices are looked for every so many milliseconds, 500 to 600000.",
    check: |value| whole_number(value, 500, 600_000).map(drop),
};

/// The period of identities.
pub const IDENTITY: Setting = Setting {
    key: "identity_ms",
    default: "600000",
    help: "Serial numbers and versions are read anew every so many milliseconds, 1000 to 86400000.",
    check: |value| whole_number(value, 1000, 86_400_000).map(drop),
};

/// The period of bursts.
pub const BURST: Setting = Setting {
    key: "burst_ms",
    default: "0",
    help: "Temperature and power are read every so many milliseconds besides, 50 to 10000; 0 switches that off.",
    check: |value| match whole_number(value, 0, 10_000)? {
        1..50 => Err("it must be 0, or from 50 to 10000".to_owned()),
        _ => Ok(()),
    },
};

/// What a child is told, as its command line has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChildArguments {
    /// The library that it loads.
    pub library: OsString,
    /// Where the host's `/proc` and `/sys` are found.
    pub host_root: OsString,
    /// The values of [`KEYS`], in that order.
    pub numbers: [u64; KEYS.len()],
    /// Which devices it reads.
    pub wanted: Wanted,
    /// Whether it waits for reports of the driver.
    pub events: bool,
}

/// Settings that a child is told.
pub const KEYS: [&str; 8] = [
    "deadline_ms",
    "inventory_ms",
    "identity_ms",
    "burst_ms",
    "fast_ms",
    "medium_ms",
    "slow_ms",
    "processes_ms",
];

/// The command line of a child of the sampler `name`, without the program.
#[must_use]
pub fn command_line(
    name: &str,
    known: &[Setting],
    settings: &Settings,
    library: &Path,
    host_root: &Path,
) -> Vec<OsString> {
    let mut line: Vec<OsString> = vec!["sampler-child".into(), name.into()];
    line.extend(["--library".into(), library.into(), "--host-root".into(), host_root.into()]);
    for key in KEYS {
        let value = settings.or_default(known, key).replace('_', "");
        line.push(format!("--{}={value}", key.replace('_', "-")).into());
    }
    line
}

impl ChildArguments {
    /// What the child does, called `name` in process lists.
    #[must_use]
    pub fn plan(&self, name: &'static std::ffi::CStr) -> ServePlan {
        let [deadline_ms, inventory_ms, identity_ms, group_ms @ ..] = self.numbers;
        const { assert!(KEYS.len() == Group::ALL.len() + 3) };
        ServePlan {
            name,
            deadline_ms,
            inventory_ms,
            periods: Periods { group_ms, identity_ms },
            wanted: self.wanted.clone(),
            events: self.events,
        }
    }
}
