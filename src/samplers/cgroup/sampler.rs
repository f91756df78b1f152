//! The sampler itself: when it walks, when it reads, what it puts.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use crate::platform::clock::{self, MILLISECOND_NS};
use crate::platform::thread::Stop;
use crate::samplers::procfs::{Absence, TickReport};
use crate::samplers::{Outlet, Readings, Sampler, Woken};
use crate::schema::MetricId;

use super::alarm::{self, Alarm};
use super::container::{Descriptors, FILE_BYTES_MAX, Look};
use super::follow::{Container, Containers};
use super::layout::{Layout, Version};
use super::sample::{Sample, Value};
use super::walk::Walk;
use super::{ENTRY, tree_root};

/// Limits are read at every tick of this number, and at a container's first.
pub const LIMITS_EVERY_TICKS: u64 = 10;

/// The readings of so many containers are shown to the drain at once.
const PUBLISH_EVERY: usize = 64;

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
    pub(super) layout: Layout,
    pub(super) containers: Containers,
    pub(super) walk: Walk,
    pub(super) descriptors: Descriptors,
    pub(super) alarm: Alarm,
    /// Whether an alarm woke us before the tick that is due at `due_ns`.
    pub(super) alarmed: bool,
    pub(super) due_ns: u64,
    pub(super) buffer: Box<[u8]>,
    pub(super) rescan_ns: u64,
    pub(super) walk_due_ns: u64,
    pub(super) tick: u64,
    /// What stands for the sampler itself.
    pub(super) own: Option<u32>,
    /// Absences since the start, and the device that stands for the reason.
    pub(super) absences: [(u64, Option<u32>); Absence::ALL.len()],
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
            let root = layout.hierarchies[at].root.as_fd();
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
            put(container, &sample.fast(), now_ns, outlet, report);
            if slow {
                put(container, &sample.slow(), now_ns, outlet, report);
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

/// Puts what has a value and ends the series of what has none any more.
fn put(
    container: &mut Container,
    values: &[Value],
    now_ns: u64,
    outlet: &mut Outlet,
    report: &mut TickReport,
) {
    for &(metric, value) in values {
        let bit = 1 << (metric as u16 - MetricId::ContainerCpu as u16);
        if let Some(value) = value {
            outlet.put(container.device, metric, now_ns, value);
            container.values |= bit;
            report.readings += 1;
        } else if container.values & bit != 0 {
            outlet.forget_reading(container.device, metric);
            container.values &= !bit;
        }
    }
}

fn add(report: &mut TickReport, more: &TickReport) {
    report.files += more.files;
    for why in Absence::ALL {
        report.count(why, more.absent(why));
    }
}
