//! Which files say what, by what of cgroups this node has mounted.
//!
//! Version 2 is one tree at `/sys/fs/cgroup`. Version 1 has a tree for each
//! controller there, or for several; a hybrid node also has version 2 in
//! `unified`, with whatever controllers version 1 left. A controller of
//! version 1 is the authority where it is mounted.

use std::ffi::CStr;
use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

/// Most hierarchies that are looked at; Linux has 14 controllers.
const HIERARCHIES_MAX: usize = 24;

/// What a file tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FileKind {
    /// CPU time and throttling.
    CpuStat,
    /// Throttling only.
    Throttling,
    CpuacctStat,
    CpuacctUsage,
    CpuMax,
    CfsQuota,
    CfsPeriod,
    Memory,
    MemoryStat,
    MemoryLimit,
    Swap,
    SwapLimit,
    OomKills,
    Tasks,
    TasksLimit,
    IoStat,
    Blkio,
    /// Of CPU (0), memory (1), input and output (2).
    Pressure(u8),
    Events,
    Freezer,
}

impl FileKind {
    /// Whether it is a limit, which seldom changes.
    pub(super) const fn is_slow(self) -> bool {
        matches!(
            self,
            Self::CpuMax
                | Self::CfsQuota
                | Self::CfsPeriod
                | Self::MemoryLimit
                | Self::SwapLimit
                | Self::TasksLimit
        )
    }
}

/// A file of each container.
#[derive(Debug, Clone, Copy)]
pub(super) struct FileSpec {
    pub(super) kind: FileKind,
    /// Index of its hierarchy.
    pub(super) hierarchy: usize,
    pub(super) name: &'static CStr,
}

/// One mounted tree.
#[derive(Debug)]
pub(super) struct Hierarchy {
    pub(super) root: OwnedFd,
    pub(super) path: PathBuf,
    /// Whether it is version 2.
    pub(super) unified: bool,
    /// Of version 1, what it controls.
    pub(super) controllers: Vec<String>,
}

/// Which of the versions a node has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// Version 1 only.
    One,
    /// Version 2 only.
    Two,
    /// Controllers of version 1 beside a tree of version 2.
    Hybrid,
}

impl Version {
    /// The version as people say it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::One => "version 1",
            Self::Two => "version 2",
            Self::Hybrid => "hybrid: version 1 with a tree of version 2",
        }
    }
}

/// The trees of a node and the files that are read in them.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) version: Version,
    pub(super) hierarchies: Vec<Hierarchy>,
    pub(super) files: Vec<FileSpec>,
    /// The hierarchies that are searched for containers: that of version 2 and
    /// one of version 1.
    pub(super) searched: Vec<usize>,
}

impl Layout {
    /// The trees below `root`, usually `/sys/fs/cgroup`; nothing where there
    /// are none.
    pub(super) fn open(root: &Path) -> Option<Self> {
        let hierarchies = hierarchies(root);
        let unified = hierarchies.iter().any(|hierarchy| hierarchy.unified);
        let version = match (hierarchies.len(), unified) {
            (0, _) => return None,
            (1, true) => Version::Two,
            (_, true) => Version::Hybrid,
            (_, false) => Version::One,
        };
        let files = files(&hierarchies);
        let searched = searched(&hierarchies);
        Some(Self { version, hierarchies, files, searched })
    }

    /// Whether any file of this hierarchy is read.
    pub(super) fn reads(&self, hierarchy: usize) -> bool {
        self.files.iter().any(|file| file.hierarchy == hierarchy)
    }

    /// The file whose change tells of kills: version 2 only.
    pub(super) fn kills(&self) -> Option<&FileSpec> {
        let file = self.files.iter().find(|file| file.kind == FileKind::OomKills)?;
        self.hierarchies[file.hierarchy].unified.then_some(file)
    }

    /// Whether any file of these kinds is read, of whichever version.
    pub(super) fn has(&self, kinds: &[FileKind]) -> bool {
        self.files.iter().any(|file| kinds.contains(&file.kind))
    }
}

fn hierarchies(root: &Path) -> Vec<Hierarchy> {
    let open = |path: PathBuf, controllers: Vec<String>| {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(&path, flags, Mode::empty()).ok()?;
        let unified = path.join("cgroup.controllers").exists();
        Some(Hierarchy { root, path, unified, controllers })
    };
    if root.join("cgroup.controllers").exists() {
        return open(root.to_owned(), Vec::new()).into_iter().collect();
    }
    let mut names: Vec<String> = fs::read_dir(root)
        .into_iter()
        .flatten()
        .flatten()
        .take(256)
        // The links `cpu` and `cpuacct` lead to the folder `cpu,cpuacct`.
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    names.truncate(HIERARCHIES_MAX);
    names
        .iter()
        .filter_map(|name| open(root.join(name), name.split(',').map(str::to_owned).collect()))
        .filter(|hierarchy| hierarchy.unified || is_version_one(&hierarchy.path))
        .collect()
}

/// Something else may be mounted there too; every cgroup lists its processes.
fn is_version_one(path: &Path) -> bool {
    path.join("cgroup.procs").exists()
}

/// Version 2, and the first of version 1 in this order: a node without the
/// memory controller is rarer than one whose runtime knows no `systemd`.
fn searched(hierarchies: &[Hierarchy]) -> Vec<usize> {
    let unified = hierarchies.iter().position(|hierarchy| hierarchy.unified);
    let first = ["memory", "cpuacct", "cpu", "pids", "freezer", "blkio", "systemd"]
        .iter()
        .find_map(|controller| version_one(hierarchies, controller));
    unified.into_iter().chain(first).collect()
}

fn version_one(hierarchies: &[Hierarchy], controller: &str) -> Option<usize> {
    hierarchies.iter().position(|hierarchy| {
        !hierarchy.unified && hierarchy.controllers.iter().any(|known| known == controller)
    })
}

/// The files in the order in which they are read: first the one that tells
/// that a cgroup is gone, last the limits.
fn files(hierarchies: &[Hierarchy]) -> Vec<FileSpec> {
    let mut files = Vec::new();
    let unified = hierarchies.iter().position(|hierarchy| hierarchy.unified);
    if let Some(hierarchy) = unified {
        extend(&mut files, hierarchy, UNIFIED);
    }
    for (controller, one, two) in CONTROLLERS {
        if let Some(hierarchy) = version_one(hierarchies, controller) {
            extend(&mut files, hierarchy, one);
        } else if let Some(hierarchy) = unified {
            extend(&mut files, hierarchy, two);
        }
    }
    files.sort_by_key(|file| file.kind.is_slow());
    files
}

fn extend(files: &mut Vec<FileSpec>, hierarchy: usize, rows: &[Row]) {
    files.extend(rows.iter().map(|&(kind, name)| FileSpec { kind, hierarchy, name }));
}

type Row = (FileKind, &'static CStr);

/// What version 2 has whoever has the controllers.
const UNIFIED: &[Row] = &[
    (FileKind::Events, c"cgroup.events"),
    (FileKind::Pressure(0), c"cpu.pressure"),
    (FileKind::Pressure(1), c"memory.pressure"),
    (FileKind::Pressure(2), c"io.pressure"),
];

/// By controller, the files of version 1 and of version 2.
const CONTROLLERS: &[(&str, &[Row], &[Row])] = &[
    ("freezer", &[(FileKind::Freezer, c"freezer.state")], &[]),
    (
        "cpuacct",
        &[(FileKind::CpuacctUsage, c"cpuacct.usage"), (FileKind::CpuacctStat, c"cpuacct.stat")],
        &[(FileKind::CpuStat, c"cpu.stat")],
    ),
    (
        "cpu",
        &[
            (FileKind::Throttling, c"cpu.stat"),
            (FileKind::CfsQuota, c"cpu.cfs_quota_us"),
            (FileKind::CfsPeriod, c"cpu.cfs_period_us"),
        ],
        &[(FileKind::CpuMax, c"cpu.max")],
    ),
    (
        "memory",
        &[
            (FileKind::Memory, c"memory.usage_in_bytes"),
            (FileKind::MemoryStat, c"memory.stat"),
            (FileKind::OomKills, c"memory.oom_control"),
            (FileKind::MemoryLimit, c"memory.limit_in_bytes"),
        ],
        &[
            (FileKind::Memory, c"memory.current"),
            (FileKind::MemoryStat, c"memory.stat"),
            (FileKind::Swap, c"memory.swap.current"),
            (FileKind::OomKills, c"memory.events"),
            (FileKind::MemoryLimit, c"memory.max"),
            (FileKind::SwapLimit, c"memory.swap.max"),
        ],
    ),
    (
        "pids",
        &[(FileKind::Tasks, c"pids.current"), (FileKind::TasksLimit, c"pids.max")],
        &[(FileKind::Tasks, c"pids.current"), (FileKind::TasksLimit, c"pids.max")],
    ),
    (
        "blkio",
        &[(FileKind::Blkio, c"blkio.throttle.io_service_bytes_recursive")],
        &[(FileKind::IoStat, c"io.stat")],
    ),
];
