//! The node's containers, from its cgroup trees.
//!
//! A bounded walk finds the cgroups whose paths name a container (or that the
//! settings name); their files are then read at every tick, each with one
//! positioned read. A container that begins, ends or loses a process for want
//! of memory is an event; those that are there at the first look have not
//! begun. What begins and ends between two walks is not seen. Kills wake the
//! sampler on version 2; with version 1, one shortly before a container's end
//! is not seen, and only the kernel log has it. Kills within a container that
//! holds others count for both.
//!
//! Version 1, version 2 and hybrid nodes give the same readings as far as
//! their kernels have them; what is not there is absent with its reason
//! counted, and "no limit" is absent, never a number.

use std::path::{Path, PathBuf};

use crate::samplers::{Context, Entry, Opened, Setting, Settings};
use crate::schema::MetricId;

mod alarm;
mod container;
mod follow;
mod layout;
mod needs;
mod path;
mod process;
mod sample;
mod sampler;
pub mod text;
mod walk;

pub use container::{DESCRIPTORS_MAX, FILE_BYTES_MAX};
pub use follow::CONTAINERS_MAX;
pub use layout::Version;
pub use path::{ContainerPath, Runtime, of_path, of_process};
pub(in crate::samplers) use process::{of_peer, of_process_in};
pub use sampler::{Cgroup, CgroupError, LIMITS_EVERY_TICKS};
pub use walk::{DEPTH_MAX, ENTRIES_MAX, FOLDERS_MAX};

/// Prefixes that `include` may list.
pub const INCLUDES_MAX: usize = 64;

/// What the family knows of this sampler.
pub static ENTRY: Entry = Entry {
    name: "cgroup",
    summary: "Containers: CPU, throttling, memory, pressure, tasks, bytes, state; events when they begin, end or are killed for want of memory.",
    source: "/sys/fs/cgroup, version 1, version 2 or both",
    period_ms: 1000,
    steps: false,
    metrics: METRICS,
    settings: &[
        Setting {
            key: "rescan_ms",
            default: "2000",
            help: "How often to look for containers that began or ended, ms, 100 to 60000.",
            check: |value| match value.replace('_', "").parse::<u64>() {
                Ok(100..=60_000) => Ok(()),
                _ => Err("allowed is a whole number from 100 to 60000".to_owned()),
            },
        },
        Setting {
            key: "include",
            default: "\"\"",
            help: "Cgroups to follow besides containers, as prefixes of their paths with commas between: system.slice/vllm for all services whose names begin so, system.slice/ for every service; at most 64.",
            check: |value| includes(value).map(|_| ()),
        },
    ],
    open,
    needs: needs::needs,
};

const METRICS: &[MetricId] = &[
    MetricId::ContainerCpu,
    MetricId::ContainerCpuUser,
    MetricId::ContainerCpuSystem,
    MetricId::ContainerCpuPeriods,
    MetricId::ContainerThrottledPeriods,
    MetricId::ContainerThrottled,
    MetricId::ContainerCpuQuota,
    MetricId::ContainerMemory,
    MetricId::ContainerMemoryLimit,
    MetricId::ContainerWorkingSet,
    MetricId::ContainerSwap,
    MetricId::ContainerSwapLimit,
    MetricId::ContainerOomKills,
    MetricId::ContainerPressureCpuSome,
    MetricId::ContainerPressureCpuFull,
    MetricId::ContainerPressureMemorySome,
    MetricId::ContainerPressureMemoryFull,
    MetricId::ContainerPressureIoSome,
    MetricId::ContainerPressureIoFull,
    MetricId::ContainerTasks,
    MetricId::ContainerTasksLimit,
    MetricId::ContainerRead,
    MetricId::ContainerWritten,
    MetricId::ContainerRunning,
    MetricId::ContainerFrozen,
    MetricId::ContainerEmpty,
    MetricId::ContainersFollowed,
    MetricId::ContainerAbsences,
];

fn open(context: &Context, settings: &Settings) -> Opened {
    let include = match includes(settings.text("include")) {
        Ok(include) => include,
        Err(why) => return Opened::Failed(format!("samplers.cgroup.include: {why}")),
    };
    match Cgroup::open(&context.host_root, settings.number("rescan_ms"), include) {
        Ok(cgroup) => Opened::Ready(Box::new(cgroup)),
        Err(error) => Opened::NotHere(error.to_string()),
    }
}

/// The prefixes in a list, each without the slash that a path begins with.
fn includes(list: &str) -> Result<Vec<String>, String> {
    let plain = list.trim_matches('"');
    let prefixes: Vec<String> = plain
        .split(',')
        .map(|prefix| prefix.trim().trim_start_matches('/').to_owned())
        .filter(|prefix| !prefix.is_empty())
        .collect();
    let has_pattern = prefixes.iter().any(|prefix| prefix.contains(['*', '?', '[']));
    match prefixes.len() > INCLUDES_MAX || has_pattern || plain.chars().any(char::is_control) {
        true => Err(format!(
            "allowed are at most {INCLUDES_MAX} prefixes of paths such as system.slice/vllm, \
             with commas between and without patterns"
        )),
        false => Ok(prefixes),
    }
}

fn tree_root(host_root: &Path) -> PathBuf {
    host_root.join("sys/fs/cgroup")
}

#[cfg(test)]
mod tests;
