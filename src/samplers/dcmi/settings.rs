//! What a person may set, and where the library is looked for.

use std::path::Path;

use crate::samplers::Setting;
use crate::samplers::accelerator::settings::{
    BURST, DEADLINE, FAST, IDENTITY, INVENTORY, MEDIUM, PROCESSES, SLOW,
};

pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        key: "library",
        default: "\"\"",
        help: "The library's file or name; where empty, libdcmi.so as the dynamic linker finds it and where Ascend's driver puts it.",
        check: |value| match value {
            _ if value.len() > PATH_BYTES_MAX => Err("allowed are at most 1024 bytes".to_owned()),
            _ if value.bytes().any(|byte| byte < b' ') => {
                Err("allowed is a path or a file name".to_owned())
            }
            _ => Ok(()),
        },
    },
    DEADLINE,
    BURST,
    FAST,
    Setting {
        default: "5000",
        help: "Health, open faults, clocks and counters of errors and links are read every so many milliseconds, 1000 to 600000.",
        ..MEDIUM
    },
    Setting {
        help: "Limits, further sensors, flash and what else hardly changes is read every so many milliseconds, 1000 to 3600000.",
        ..SLOW
    },
    Setting { default: "60000", ..PROCESSES },
    INVENTORY,
    IDENTITY,
];

/// Files and names by which the library is tried, in that order.
pub(super) fn libraries(setting: &str) -> Vec<String> {
    if !setting.is_empty() {
        return vec![setting.to_owned()];
    }
    let here = USUAL_PLACES.iter().filter(|place| Path::new(place).exists());
    std::iter::once(&NAME).chain(here).map(|name| (*name).to_owned()).collect()
}

/// The library's name, which the dynamic linker looks for.
pub(super) const NAME: &str = "libdcmi.so";

/// Where Ascend's driver puts it.
pub(super) const USUAL_PLACES: [&str; 3] = [
    "/usr/local/dcmi/libdcmi.so",
    "/usr/local/Ascend/driver/lib64/driver/libdcmi.so",
    "/usr/local/Ascend/driver/lib64/libdcmi.so",
];

const PATH_BYTES_MAX: usize = 1024;
