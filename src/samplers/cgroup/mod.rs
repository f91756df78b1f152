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

use crate::platform::clock::{self, MILLISECOND_NS};
use crate::platform::thread::Stop;
use crate::samplers::procfs::{Absence, TickReport};
use crate::samplers::{
    Context, Entry, Opened, Outlet, Readings, Sampler, Setting, Settings, Woken,
};
use crate::schema::MetricId;

mod alarm;
mod container;
mod follow;
mod layout;
mod needs;
mod path;
mod process;
mod sample;
pub mod text;
mod walk;

use alarm::Alarm;
use container::{Descriptors, Look};
use follow::Containers;
use layout::Layout;
use sample::{Sample, Value};
use walk::Walk;

pub use container::{DESCRIPTORS_MAX, FILE_BYTES_MAX};
pub use follow::CONTAINERS_MAX;
pub use layout::Version;
pub use path::{ContainerPath, Runtime, of_path, of_process};
pub(in crate::samplers) use process::of_peer;
pub use walk::{DEPTH_MAX, ENTRIES_MAX, FOLDERS_MAX};

/// Limits are read at every tick of this number, and at a container's first.
pub const LIMITS_EVERY_TICKS: u64 = 10;

/// Prefixes that `include` may list.
pub const INCLUDES_MAX: usize = 64;

/// The readings of so many containers are shown to the drain at once.
const PUBLISH_EVERY: usize = 64;

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

/// Why the sampler could not start.
#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    /// No tree is mounted there.
    #[error(
        "no cgroup tree in {}; mount the node's /sys/fs/cgroup there, or set `host_root` \
         to the folder under which it is mounted",
        root.display()
    )]
    OpenTree {
        /// Where it was expected.
        root: PathBuf,
    },
}

/// Samples the node's containers.
#[derive(Debug)]
pub struct Cgroup {
    layout: Layout,
    containers: Containers,
    walk: Walk,
    descriptors: Descriptors,
    alarm: Alarm,
    /// Whether an alarm woke us before the tick that is due at `due_ns`.
    alarmed: bool,
    due_ns: u64,
    buffer: Box<[u8]>,
    rescan_ns: u64,
    walk_due_ns: u64,
    tick: u64,
    /// What stands for the sampler itself.
    own: Option<u32>,
    /// Absences since the start, and the device that stands for the reason.
    absences: [(u64, Option<u32>); Absence::ALL.len()],
}

impl Cgroup {
    /// Opens the trees of the node whose root is at `host_root`, to be walked
    /// every `rescan_ms`; cgroups whose path begins with one of `include`, up
    /// to the next slash, are followed like containers.
    ///
    /// # Errors
    ///
    /// [`CgroupError::OpenTree`] if there is no tree.
    pub fn open(
        host_root: &Path,
        rescan_ms: u64,
        include: Vec<String>,
    ) -> Result<Self, CgroupError> {
        let root = tree_root(host_root);
        let Some(layout) = Layout::open(&root) else { return Err(CgroupError::OpenTree { root }) };
        Ok(Self {
            descriptors: Descriptors::of(&layout),
            layout,
            containers: Containers::new(include),
            walk: Walk::new(),
            alarm: Alarm::new(),
            alarmed: false,
            due_ns: 0,
            buffer: vec![0; FILE_BYTES_MAX].into(),
            rescan_ns: rescan_ms * MILLISECOND_NS,
            walk_due_ns: 0,
            tick: 0,
            own: None,
            absences: Default::default(),
        })
    }

    /// Which versions of cgroups the node has.
    #[must_use]
    pub const fn version(&self) -> Version {
        self.layout.version
    }

    /// How many containers are followed.
    #[must_use]
    pub fn followed(&self) -> usize {
        self.containers.list.len()
    }

    /// Looks for containers if that is due at `now_ns` and reads each once.
    pub fn tick_report(&mut self, now_ns: u64, outlet: &mut Outlet) -> TickReport {
        let mut report = TickReport::default();
        if now_ns >= self.walk_due_ns {
            self.look_for_containers(now_ns, outlet, &mut report);
        }
        if self.read(now_ns, outlet, &mut report) {
            // What vanished has most likely ended: say so now.
            self.look_for_containers(now_ns, outlet, &mut report);
        }
        self.tick += 1;
        self.put_own(now_ns, outlet, &mut report);
        report
    }

    fn look_for_containers(&mut self, now_ns: u64, outlet: &mut Outlet, report: &mut TickReport) {
        self.walk_due_ns = now_ns.saturating_add(self.rescan_ns);
        let Self { layout, containers, walk, descriptors, alarm, .. } = self;
        containers.begin();
        for (tree, &at) in layout.searched.iter().enumerate() {
            let root = std::os::fd::AsFd::as_fd(&layout.hierarchies[at].root);
            let walked = walk.run(root, |path, inode| containers.found(tree, path, inode, report));
            report.count(Absence::DeviceRefused, walked.refused);
            report.count(Absence::Denied, walked.denied);
            report.count(Absence::Failed, walked.failed);
        }
        containers.end(layout, descriptors, alarm, outlet, report);
    }

    /// Reads every container. Returns whether one seems to have ended.
    fn read(&mut self, now_ns: u64, outlet: &mut Outlet, report: &mut TickReport) -> bool {
        let Self { layout, containers, descriptors, buffer, tick, .. } = self;
        let limits_due = tick.is_multiple_of(LIMITS_EVERY_TICKS);
        let mut any_vanished = false;
        for (at, container) in containers.list.iter_mut().enumerate() {
            let slow = limits_due || container.values == 0;
            let mut sample = Sample::default();
            let mut of_this = TickReport::default();
            let mut look = Look { layout, tick: *tick, slow, buffer, descriptors };
            if container.files.read(&mut look, &mut sample, &mut of_this).is_err() {
                any_vanished = true;
                continue;
            }
            add(report, &of_this);
            let kills = container.new_oom_kills(sample.oom_kills);
            if kills > 0 {
                container.tell_oom_kills(kills, outlet);
            }
            let device = container.device;
            let mut put = |values: &[Value]| {
                for &(metric, value) in values {
                    let bit = 1 << (metric as u16 - MetricId::ContainerCpu as u16);
                    if let Some(value) = value {
                        outlet.put(device, metric, now_ns, value);
                        container.values |= bit;
                        report.readings += 1;
                    } else if container.values & bit != 0 {
                        outlet.forget_reading(device, metric);
                        container.values &= !bit;
                    }
                }
            };
            put(&sample.fast());
            if slow {
                put(&sample.slow());
            }
            if at % PUBLISH_EVERY == PUBLISH_EVERY - 1 {
                outlet.publish();
            }
        }
        any_vanished
    }

    /// Reads the kills of those whose bell rang, and nothing else.
    fn heed_alarm(&mut self, now_ns: u64, outlet: &mut Outlet) {
        let Self { layout, containers, descriptors, buffer, tick, alarm, .. } = self;
        alarm.rung(|bell| {
            let rang = containers.list.iter_mut().find(|known| known.bell == Some(bell));
            if let Some(container) = rang {
                container.rang = true;
            }
        });
        for container in containers.list.iter_mut().filter(|container| container.rang) {
            container.rang = false;
            let mut look = Look { layout, tick: *tick, slow: false, buffer, descriptors };
            let count = container.files.kills(&mut look);
            let kills = container.new_oom_kills(count);
            if let Some(count) = count.filter(|_| kills > 0) {
                outlet.put(container.device, MetricId::ContainerOomKills, now_ns, count as f64);
                container.tell_oom_kills(kills, outlet);
            }
        }
    }

    /// What is about no container in particular.
    fn put_own(&mut self, now_ns: u64, outlet: &mut Outlet, report: &mut TickReport) {
        let own = *self.own.get_or_insert_with(|| outlet.device("sampler", ENTRY.name));
        let followed = self.containers.list.len() as f64;
        outlet.put(own, MetricId::ContainersFollowed, now_ns, followed);
        report.readings += 1;
        for ((count, device), why) in self.absences.iter_mut().zip(Absence::ALL) {
            *count += u64::from(report.absent(why));
            if *count > 0 {
                let device = *device.get_or_insert_with(|| outlet.device("absence", why.name()));
                outlet.put(device, MetricId::ContainerAbsences, now_ns, *count as f64);
                report.readings += 1;
            }
        }
    }
}

impl Sampler for Cgroup {
    fn tick(&mut self, now_ns: u64, outlet: &mut Outlet) {
        if self.alarmed && now_ns < self.due_ns {
            self.heed_alarm(now_ns, outlet);
        } else {
            self.alarmed = false;
            self.tick_report(now_ns, outlet);
        }
    }

    /// An alarm does not put off the tick that is due.
    fn wait(&mut self, due_ns: u64, stop: &Stop) -> Woken {
        if self.alarmed {
            stop.sleep_until(self.due_ns.min(clock::monotonic_ns() + alarm::PAUSE_NS));
        } else {
            self.due_ns = due_ns;
        }
        self.alarmed = self.alarm.wait(self.due_ns, stop);
        if self.alarmed { Woken::Early } else { Woken::Due }
    }
}

fn add(report: &mut TickReport, more: &TickReport) {
    report.files += more.files;
    for why in Absence::ALL {
        report.count(why, more.absent(why));
    }
}

#[cfg(test)]
mod tests;
