//! A tick over fifty containers beside what one would write first: walk the
//! tree with the standard library and read the same files to strings.
//!
//! `cargo bench --bench cgroup`: over a copy of captured files in memory, and,
//! as root where the tree may be written, over fifty real cgroups.

#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use crossbeam_channel::bounded;
use eagle_eye::newest::{Names, ReadingTable, StepTable};
use eagle_eye::platform::doorbell::Doorbell;
use eagle_eye::ring::{self, ring};
use eagle_eye::samplers::cgroup::{Cgroup, LIMITS_EVERY_TICKS};
use eagle_eye::samplers::{EventOutlet, Outlet, OutletParts};
use eagle_eye::schema::Reading;
use support::Race;

const CONTAINERS: u64 = 50;
const TREE: &str = "sys/fs/cgroup";
const RESCAN_MS: u64 = 2000;
const SECOND_NS: u64 = 1_000_000_000;

/// The sampler, its outlet and who takes what it puts.
struct Ours {
    cgroup: Cgroup,
    outlet: Outlet,
    taken: ring::Reader<Reading>,
    now_ns: u64,
}

impl Ours {
    fn over(host_root: &Path) -> Self {
        let cgroup = Cgroup::open(host_root, RESCAN_MS, Vec::new()).expect("a tree");
        let (readings, taken) = ring(1 << 13);
        let parts = OutletParts {
            steps: ring(16).0,
            readings,
            step_table: StepTable::heap(1),
            reading_table: ReadingTable::heap(1 << 13),
            names: Names::new("n"),
            events: EventOutlet::new(bounded(1024).0),
            drain: Doorbell::for_this_thread().ringer(),
        };
        let outlet = Outlet::new("cgroup", parts);
        let mut ours = Self { cgroup, outlet, taken, now_ns: 1 };
        ours.tick(0);
        ours
    }

    /// One tick so much later, taken at once. Returns how many files it read.
    fn tick(&mut self, later_ns: u64) -> u32 {
        self.now_ns += later_ns;
        let report = self.cgroup.tick_report(self.now_ns, &mut self.outlet);
        self.outlet.publish();
        self.taken.borrow(usize::MAX).release();
        report.files
    }
}

/// Every folder below that has a file of this name, by the standard library.
fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            let path = entry.path();
            let name = entry.file_name();
            if name.to_string_lossy().ends_with(".scope") {
                found.push(path.clone());
            }
            walk(&path, found);
        }
    }
}

/// The same files, read as strings.
fn read(paths: &[PathBuf]) -> usize {
    paths.iter().filter_map(|path| fs::read_to_string(path).ok()).map(|text| text.len()).sum()
}

fn race(title: &'static str, host_root: &Path, roots: &[PathBuf], files: &[&str]) -> Race {
    let mut folders = Vec::new();
    walk(&roots[0], &mut folders);
    let of = |folder: &PathBuf| {
        let below = folder.strip_prefix(&roots[0]).expect("it lies there").to_owned();
        let paths = roots.iter().flat_map(move |root| {
            let folder = root.join(&below);
            files.iter().map(move |file| folder.join(file)).collect::<Vec<_>>()
        });
        paths.filter(|path| path.exists()).collect::<Vec<_>>()
    };
    let paths: Vec<PathBuf> = folders.iter().flat_map(of).collect();
    let mut ours = Ours::over(host_root);
    let read_by_ours: u32 = (0..LIMITS_EVERY_TICKS).map(|_| ours.tick(0)).sum();
    println!(
        "{title}: {} containers, {} files a tick as strings, {:.1} by ours (limits every {}th)",
        ours.cgroup.followed(),
        paths.len(),
        f64::from(read_by_ours) / LIMITS_EVERY_TICKS as f64,
        LIMITS_EVERY_TICKS,
    );
    let mut race = Race::new(title);
    race.enter("ours: a tick, ns a container", CONTAINERS, move || ours.tick(0));
    let mut ours = Ours::over(host_root);
    race.enter("ours: a tick with a walk", CONTAINERS, move || ours.tick(10 * SECOND_NS));
    let same = paths.clone();
    race.enter("read_to_string of the files", CONTAINERS, move || read(&same));
    let roots = roots.to_vec();
    race.enter("read_dir walk and read_to_string", CONTAINERS, move || {
        let mut found = Vec::new();
        roots.iter().for_each(|root| walk(root, &mut found));
        found.len() + read(&paths)
    });
    race.leave_out("cAdvisor, as people run it", "a program of its own, in Go; none is here");
    race
}

/// What version 2 has of each container that changes.
const TWO: [&str; 11] = [
    "cgroup.events",
    "cpu.pressure",
    "memory.pressure",
    "io.pressure",
    "cpu.stat",
    "memory.current",
    "memory.stat",
    "memory.swap.current",
    "memory.events",
    "pids.current",
    "io.stat",
];

/// The same of version 1, of which a hybrid node has both.
const ONE: [&str; 8] = [
    "cpuacct.usage",
    "cpuacct.stat",
    "memory.usage_in_bytes",
    "memory.oom_control",
    "freezer.state",
    "blkio.throttle.io_service_bytes_recursive",
    "memory.stat",
    "pids.current",
];

/// A copy of a captured container for each, in memory.
fn copies() -> tempfile::TempDir {
    let captures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captures/cgroup/v2");
    let pod = "kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod9f0a1b2c_3d4e_5f60_7182_93a4b5c6d7e8.slice";
    let scope = fs::read_dir(captures.join(pod)).expect("the capture").next();
    let from = scope.expect("one").expect("it can be read").path();
    let host = tempfile::tempdir_in("/dev/shm").expect("memory");
    let root = host.path().join(TREE);
    for number in 0..CONTAINERS {
        let to = root.join(pod).join(format!("cri-containerd-{number:064x}.scope"));
        fs::create_dir_all(&to).expect("the folder is ours");
        for file in fs::read_dir(&from).expect("the capture").map(|entry| entry.expect("it")) {
            fs::copy(file.path(), to.join(file.file_name())).expect("it is copied");
        }
    }
    fs::write(root.join("cgroup.controllers"), "cpu io memory pids\n").expect("it is ours");
    host
}

/// Real cgroups, gone at the end.
struct Real {
    roots: Vec<PathBuf>,
    parent: String,
}

impl Real {
    fn make() -> Option<Self> {
        let tree = Path::new("/").join(TREE);
        let roots = match tree.join("cgroup.controllers").exists() {
            true => vec![tree],
            false => {
                let folders = fs::read_dir(tree).ok()?.flatten();
                let folders = folders.filter(|entry| entry.file_type().is_ok_and(|k| k.is_dir()));
                let folders = folders.filter(|entry| entry.file_name() != "cpuset");
                folders.map(|entry| entry.path()).collect()
            }
        };
        let real = Self { roots, parent: format!("eagle-eye-bench-{}", std::process::id()) };
        for root in &real.roots {
            for number in 0..CONTAINERS {
                let scope = format!("docker-{number:064x}.scope");
                fs::create_dir_all(root.join(&real.parent).join(scope)).ok()?;
            }
        }
        Some(real)
    }
}

impl Drop for Real {
    fn drop(&mut self) {
        for root in &self.roots {
            let parent = root.join(&self.parent);
            for entry in fs::read_dir(&parent).into_iter().flatten().flatten() {
                let _ = fs::remove_dir(entry.path());
            }
            let _ = fs::remove_dir(parent);
        }
    }
}

fn main() {
    let mut criterion = support::criterion();
    let host = copies();
    let root = host.path().join(TREE);
    race("copied files in memory", host.path(), &[root], &TWO).run(&mut criterion);
    match Real::make() {
        Some(real) => {
            let mut files = TWO.to_vec();
            // A name that both versions have is in the tree that has it.
            files.extend(ONE.iter().filter(|file| !TWO.contains(file)));
            let roots: Vec<PathBuf> =
                real.roots.iter().map(|root| root.join(&real.parent)).collect();
            race("real cgroups", Path::new("/"), &roots, &files).run(&mut criterion);
        }
        None => println!("real cgroups left out: they cannot be made here"),
    }
    criterion.final_summary();
}
