//! Containers as the kernel of this machine makes them: real cgroups in every
//! hierarchy that is mounted, with real processes in them.
//!
//! Making a cgroup takes root and a tree that may be written, which a
//! container need not have; where one is lacking, these tests say so and pass.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crossbeam_channel::{Receiver, bounded};
use eagle_eye::newest::{Names, ReadingTable, StepTable};
use eagle_eye::platform::clock::{self, SECOND_NS};
use eagle_eye::platform::doorbell::Doorbell;
use eagle_eye::ring::{self, ring};
use eagle_eye::samplers::cgroup::{Cgroup, LIMITS_EVERY_TICKS, Version};
use eagle_eye::samplers::{EventOutlet, Fact, Outlet, OutletParts};
use eagle_eye::schema::{Device, EventKind, MetricId, Reading, name_hash};

use crate::counting::allocations;
use crate::server::eventually;

const TREE: &str = "/sys/fs/cgroup";

/// A cgroup of ours in every hierarchy, gone at the end with all in it.
pub(crate) struct RealCgroup {
    /// As a container's id.
    pub(crate) id: String,
    /// In each hierarchy.
    folders: Vec<PathBuf>,
    parent: String,
}

impl RealCgroup {
    /// One named as docker names a container's, below a folder of this name;
    /// nothing, said aloud, where this process may not make one.
    pub(crate) fn make(parent: &str) -> Option<Self> {
        Self::make_in(&hierarchies(Path::new(TREE)), parent)
    }

    fn make_in(roots: &[PathBuf], parent: &str) -> Option<Self> {
        // Others follow theirs at the same time: even the short name is ours.
        let now_ns = clock::monotonic_ns();
        let hash = name_hash(&format!("{parent} {} {now_ns}", std::process::id()));
        let id = format!("{hash:016x}{now_ns:048x}");
        let parent = format!("eagle-eye-test-{}-{parent}", std::process::id());
        let mut real = Self { id, folders: Vec::new(), parent };
        for root in roots {
            let folder = root.join(real.path());
            match fs::create_dir_all(&folder) {
                Ok(()) => real.folders.push(folder),
                Err(error) => eprintln!("no cgroup in {}: {error}", root.display()),
            }
        }
        if real.folders.is_empty() {
            // Where everything must be there, this is no way out.
            assert!(std::env::var_os("EAGLE_EYE_REQUIRE_CGROUP").is_none(), "make it writable");
            eprintln!("real cgroups were NOT tested: run as root where {TREE} may be written");
            return None;
        }
        Some(real)
    }

    fn path(&self) -> String {
        format!("{}/docker-{}.scope", self.parent, self.id)
    }

    fn name(&self) -> &str {
        &self.id[..12]
    }

    /// A process in it that runs `script`.
    fn run(&self, script: &str) -> Child {
        self.command("sh").args(["-c", script]).spawn().expect("a shell starts")
    }

    /// Starts a program that is in the cgroup before its first instruction.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("sh");
        command
            .args(["-c", r#"for f in $PROCS; do echo $$ > "$f" || exit 9; done; exec "$0" "$@""#])
            .arg(program)
            .env("PROCS", self.files("cgroup.procs").join(" "))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }

    fn files(&self, name: &str) -> Vec<String> {
        let paths = self.folders.iter().map(|folder| folder.join(name));
        paths.filter(|path| path.exists()).map(|path| path.display().to_string()).collect()
    }

    /// Writes a control file; says whether there is one that took it.
    fn set(&self, name: &str, value: &str) -> bool {
        let files = self.files(name);
        !files.is_empty() && files.iter().all(|file| fs::write(file, value).is_ok())
    }

    /// Ends every process in it and removes it.
    fn remove(&self) {
        self.set("freezer.state", "THAWED");
        self.set("cgroup.freeze", "0");
        let pids = || {
            let files = self.files("cgroup.procs").into_iter();
            let texts = files.filter_map(|file| fs::read_to_string(file).ok());
            texts.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>())
        };
        let deadline_ns = clock::monotonic_ns() + 10 * SECOND_NS;
        while clock::monotonic_ns() < deadline_ns {
            for pid in pids().filter_map(|pid| rustix::process::Pid::from_raw(pid.parse().ok()?)) {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
            let gone = |folder: &PathBuf| fs::remove_dir(folder).is_ok() || !folder.exists();
            if self.folders.iter().filter(|folder| !gone(folder)).count() == 0 {
                return;
            }
            clock::sleep_until(clock::monotonic_ns() + SECOND_NS / 100);
        }
    }
}

impl Drop for RealCgroup {
    fn drop(&mut self) {
        self.remove();
        for folder in &self.folders {
            let _ = folder.parent().map(fs::remove_dir);
        }
    }
}

/// A child that does not outlive its test.
struct Ends(Child);

impl Drop for Ends {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn hierarchies(tree: &Path) -> Vec<PathBuf> {
    if tree.join("cgroup.controllers").exists() {
        return vec![tree.to_owned()];
    }
    let folders = fs::read_dir(tree).into_iter().flatten().flatten();
    let folders = folders.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    // A cpuset takes no process before it is given processors.
    let folders = folders.filter(|entry| entry.file_name() != "cpuset");
    let roots = folders.map(|entry| entry.path());
    roots.filter(|root| root.join("cgroup.procs").exists()).collect()
}

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

/// A node of version 2 with so many containers.
fn many(containers: u64) -> tempfile::TempDir {
    let captures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captures/cgroup/v2");
    let scope = "cri-containerd-3f1c2ab45d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f701";
    let pod = "kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod9f0a1b2c_3d4e_5f60_7182_93a4b5c6d7e8.slice";
    let from = captures.join(pod).join(format!("{scope}.scope"));
    let host = tempfile::tempdir().expect("a folder");
    let root = host.path().join(TREE.trim_start_matches('/'));
    for number in 0..containers {
        let to = root.join(pod).join(format!("cri-containerd-{number:064x}.scope"));
        fs::create_dir_all(&to).expect("the folder is ours");
        for file in fs::read_dir(&from).expect("the capture").map(|entry| entry.expect("it")) {
            fs::copy(file.path(), to.join(file.file_name())).expect("it is copied");
        }
    }
    fs::write(root.join("cgroup.controllers"), "cpu io memory pids\n").expect("it is ours");
    host
}

#[test]
fn a_tick_over_known_containers_allocates_nothing() {
    const CONTAINERS: u64 = 50;
    let host = many(CONTAINERS);
    let mut watched = Watched::over(host.path()).expect("the tree is there");
    (0..3).for_each(|_| watched.tick());
    assert_eq!(watched.cgroup.followed() as u64, CONTAINERS);
    let mut readings = 0;
    let allocated = allocations(|| {
        // Each with a walk, some with limits.
        for _ in 0..3 * LIMITS_EVERY_TICKS {
            watched.now_ns += SECOND_NS;
            let report = watched.cgroup.tick_report(watched.now_ns, &mut watched.outlet);
            readings += u64::from(report.readings);
        }
    });
    assert!(readings > CONTAINERS * 22 * 3 * LIMITS_EVERY_TICKS, "{readings} readings");
    assert_eq!(allocated, 0);
}

#[test]
fn files_that_are_missing_cost_no_allocation_either() {
    let host = many(8);
    let mut watched = Watched::over(host.path()).expect("the tree is there");
    watched.tick();
    for device in watched.names.devices().iter().filter(|device| device.kind == "container") {
        let root = host.path().join(TREE.trim_start_matches('/'));
        let pod = root.join("kubepods.slice/kubepods-burstable.slice");
        let pod = fs::read_dir(pod).expect("the pod").next().expect("one").expect("it").path();
        let scope = pod.join(format!("cri-containerd-{}.scope", device.container));
        for file in ["memory.max", "cpu.max", "pids.max"] {
            fs::remove_file(scope.join(file)).expect("it was copied");
        }
    }
    // Each time that limits are read, the next file is found to be gone.
    (0..4 * LIMITS_EVERY_TICKS).for_each(|_| watched.tick());
    assert_eq!(watched.cgroup.followed(), 8, "a missing file ends no container");
    let allocated = allocations(|| {
        for _ in 0..200 {
            watched.now_ns += SECOND_NS;
            watched.cgroup.tick_report(watched.now_ns, &mut watched.outlet);
        }
    });
    assert_eq!(allocated, 0);
}
