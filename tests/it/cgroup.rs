//! Containers as the kernel of this machine makes them: real cgroups in every
//! hierarchy that is mounted, with real processes in them.
//!
//! Making a cgroup takes root and a tree that may be written, which a
//! container need not have; where one is lacking, these tests say so and pass.
#![expect(clippy::print_stderr, reason = "a test that cannot be made says so")]

mod alloc;
mod real;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crossbeam_channel::{Receiver, bounded};
use eagle_eye::newest::{Names, ReadingTable, StepTable};
use eagle_eye::platform::clock::SECOND_NS;
use eagle_eye::platform::doorbell::Doorbell;
use eagle_eye::ring::{self, ring};
use eagle_eye::samplers::cgroup::{Cgroup, LIMITS_EVERY_TICKS, Version};
use eagle_eye::samplers::{EventOutlet, Fact, Outlet, OutletParts};
use eagle_eye::schema::{Device, EventKind, MetricId, Reading};

use crate::server::eventually;
use real::Ends;
pub(crate) use real::RealCgroup;

const TREE: &str = "/sys/fs/cgroup";

/// The sampler over a node, and everything it puts.
struct Watched {
    cgroup: Cgroup,
    outlet: Outlet,
    names: Names,
    table: ReadingTable,
    events: Receiver<Fact>,
    told: Vec<(EventKind, String)>,
    _ring: ring::Reader<Reading>,
    now_ns: u64,
}

impl Watched {
    fn over(host_root: &Path) -> Option<Self> {
        let cgroup = Cgroup::open(host_root, 1, Vec::new())
            .inspect_err(|error| eprintln!("containers were NOT tested: {error}"))
            .ok()?;
        let (names, table) = (Names::new("n"), ReadingTable::heap(16 << 10));
        let (events, received) = bounded(4096);
        let (readings, taken) = ring(1 << 12);
        let parts = OutletParts {
            steps: ring(16).0,
            readings,
            step_table: StepTable::heap(1),
            reading_table: table.clone(),
            names: names.clone(),
            events: EventOutlet::new(events),
            drain: Doorbell::for_this_thread().ringer(),
        };
        let outlet = Outlet::new("cgroup", parts);
        let told = Vec::new();
        Some(Self { cgroup, outlet, names, table, events: received, told, _ring: taken, now_ns: 0 })
    }

    fn tick(&mut self) {
        self.now_ns += SECOND_NS;
        self.cgroup.tick_report(self.now_ns, &mut self.outlet);
        let events = self.events.try_iter().filter_map(|fact| fact.event);
        self.told.extend(events.map(|event| (event.kind, event.subject)));
    }

    fn device(&self, name: &str) -> Option<Device> {
        self.names.devices().into_iter().find(|device| device.name == name)
    }

    fn values(&self, name: &str) -> BTreeMap<u16, f64> {
        let Some(device) = self.device(name) else { return BTreeMap::new() };
        let readings = self.table.view();
        let of_it = readings.iter().filter(|reading| reading.device == device.index);
        of_it.map(|reading| (reading.metric, reading.value)).collect()
    }

    fn value(&self, name: &str, metric: MetricId) -> Option<f64> {
        self.values(name).get(&(metric as u16)).copied()
    }

    /// Ticks until a value is as it should be.
    fn until(&mut self, name: &str, metric: MetricId, holds: impl Fn(Option<f64>) -> bool) {
        eventually(metric.row().name, || {
            self.tick();
            holds(self.value(name, metric))
        });
    }

    fn has_told(&self, kind: EventKind, name: &str) -> bool {
        self.told.iter().any(|(told, subject)| *told == kind && subject == name)
    }
}

#[test]
fn a_real_container_is_followed_from_its_first_process_to_its_end() {
    let Some(mut watched) = Watched::over(Path::new("/")) else { return };
    watched.tick();
    let Some(real) = RealCgroup::make("life") else { return };
    eprintln!("{:?}: {} hierarchies", watched.cgroup.version(), real.folders.len());
    let name = real.name().to_owned();
    watched.tick();
    assert!(watched.has_told(EventKind::ContainerStarted, &name), "{:?}", watched.told);
    assert_eq!(watched.device(&name).expect("it has a name").container, real.id);
    watched.until(&name, MetricId::ContainerEmpty, |empty| empty == Some(1.0));
    let busy = Ends(real.run("while :; do :; done"));
    watched.until(&name, MetricId::ContainerRunning, |running| running == Some(1.0));
    watched.until(&name, MetricId::ContainerCpu, |cpu| cpu.is_some_and(|cpu| cpu > 0.05));
    let has = |file: &str| !real.files(file).is_empty();
    if has("pids.current") {
        watched.until(&name, MetricId::ContainerTasks, |tasks| tasks == Some(1.0));
    }
    if has("memory.stat") {
        watched.until(&name, MetricId::ContainerMemory, |bytes| bytes.is_some_and(|b| b > 0.0));
        assert!(watched.value(&name, MetricId::ContainerWorkingSet).is_some());
    }
    let has_pressure = real.files("cpu.pressure").iter().any(|file| fs::read(file).is_ok());
    let some = watched.value(&name, MetricId::ContainerPressureCpuSome);
    assert_eq!(some.is_some(), has_pressure);
    if real.set("freezer.state", "FROZEN") || real.set("cgroup.freeze", "1") {
        watched.until(&name, MetricId::ContainerFrozen, |frozen| frozen == Some(1.0));
        assert_eq!(watched.value(&name, MetricId::ContainerRunning), Some(0.0));
        assert!(real.set("freezer.state", "THAWED") || real.set("cgroup.freeze", "0"));
        watched.until(&name, MetricId::ContainerRunning, |running| running == Some(1.0));
    }
    drop(busy);
    watched.until(&name, MetricId::ContainerEmpty, |empty| empty == Some(1.0));
    real.remove();
    // The files tell at once that it is gone: no walk is due.
    watched.now_ns -= SECOND_NS;
    watched.tick();
    assert!(watched.has_told(EventKind::ContainerEnded, &name), "{:?}", watched.told);
    assert_eq!(watched.device(&name), None);
}

#[test]
fn real_limits_are_numbers_only_once_they_are_set() {
    let Some(mut watched) = Watched::over(Path::new("/")) else { return };
    let Some(real) = RealCgroup::make("limits") else { return };
    let name = real.name().to_owned();
    watched.tick();
    let limits = [
        MetricId::ContainerMemoryLimit,
        MetricId::ContainerCpuQuota,
        MetricId::ContainerTasksLimit,
        MetricId::ContainerSwapLimit,
    ];
    for limit in limits {
        assert_eq!(watched.value(&name, limit), None, "{limit:?}: there is none");
    }
    let memory =
        real.set("memory.limit_in_bytes", "67108864") || real.set("memory.max", "67108864");
    let cpu = real.set("cpu.cfs_quota_us", "5000") || real.set("cpu.max", "5000 100000");
    let tasks = real.set("pids.max", "17");
    let _busy = Ends(real.run("while :; do :; done"));
    (0..LIMITS_EVERY_TICKS).for_each(|_| watched.tick());
    for (limit, set, value) in [
        (MetricId::ContainerMemoryLimit, memory, 67_108_864.0),
        (MetricId::ContainerCpuQuota, cpu, 0.05),
        (MetricId::ContainerTasksLimit, tasks, 17.0),
    ] {
        assert_eq!(watched.value(&name, limit), set.then_some(value), "{limit:?}");
    }
    if cpu {
        let grows = |value: Option<f64>| value.is_some_and(|value| value > 0.0);
        watched.until(&name, MetricId::ContainerThrottledPeriods, grows);
        watched.until(&name, MetricId::ContainerThrottled, grows);
    }
}

#[test]
fn a_real_kill_for_want_of_memory_is_told() {
    let Some(mut watched) = Watched::over(Path::new("/")) else { return };
    let Some(real) = RealCgroup::make("memory") else { return };
    let name = real.name().to_owned();
    watched.tick();
    if !real.set("memory.limit_in_bytes", "8388608") && !real.set("memory.max", "8388608") {
        eprintln!("kills for want of memory were NOT tested: no memory controller");
        return;
    }
    let _ = real.set("memory.memsw.limit_in_bytes", "8388608") || real.set("memory.swap.max", "0");
    // Holds all that it reads, looking for the end of the first line.
    let mut greedy = Ends(real.run("tail /dev/zero"));
    watched.until(&name, MetricId::ContainerOomKills, |kills| kills >= Some(1.0));
    assert!(watched.has_told(EventKind::ContainerOomKill, &name), "{:?}", watched.told);
    let _ = greedy.0.wait();
}

#[test]
fn the_same_path_made_again_is_another_container() {
    let Some(mut watched) = Watched::over(Path::new("/")) else { return };
    let Some(real) = RealCgroup::make("again") else { return };
    let name = real.name().to_owned();
    watched.tick();
    let before = watched.device(&name).expect("it has a name").index;
    real.remove();
    for folder in &real.folders {
        fs::create_dir(folder).expect("it could be made before");
    }
    watched.tick();
    assert!(watched.has_told(EventKind::ContainerEnded, &name));
    assert!(watched.has_told(EventKind::ContainerStarted, &name));
    assert_ne!(watched.device(&name).expect("it is back").index, before);
}

/// A mount that is undone at the end.
struct Mount(PathBuf);

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_real_tree_of_version_two_alone_gives_what_needs_no_controller() {
    let host = tempfile::tempdir().expect("a folder");
    let root = host.path().join(TREE.trim_start_matches('/'));
    fs::create_dir_all(&root).expect("the folder is ours");
    let mounted = Command::new("mount").args(["-t", "cgroup2", "none"]).arg(&root).output();
    if !mounted.is_ok_and(|said| said.status.success()) {
        eprintln!("a tree of version 2 alone was NOT tested: it could not be mounted");
        return;
    }
    let _mount = Mount(root.clone());
    let Some(mut watched) = Watched::over(host.path()) else { return };
    assert_eq!(watched.cgroup.version(), Version::Two);
    watched.tick();
    let Some(real) = RealCgroup::make_in(&[root], "two") else { return };
    let name = real.name().to_owned();
    let _busy = Ends(real.run("while :; do :; done"));
    watched.until(&name, MetricId::ContainerRunning, |running| running == Some(1.0));
    watched.until(&name, MetricId::ContainerCpu, |cpu| cpu.is_some_and(|cpu| cpu > 0.05));
    if real.set("cgroup.freeze", "1") {
        watched.until(&name, MetricId::ContainerFrozen, |frozen| frozen == Some(1.0));
    }
    if real.files("memory.current").is_empty() {
        assert_eq!(watched.value(&name, MetricId::ContainerMemory), None, "absent, not zero");
    }
    real.remove();
    watched.tick();
    assert!(watched.has_told(EventKind::ContainerEnded, &name));
}
