//! The sampler over trees that play a node, and its parsers row by row.

mod hostile;
mod life;
mod paths;
mod texts;
mod trees;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crossbeam_channel::{Receiver, bounded};

use super::container::Descriptors;
use super::*;
use crate::newest::{Names, ReadingTable, StepTable};
use crate::platform::doorbell::Doorbell;
use crate::platform::thread::Stop;
use crate::ring::{self, ring};
use crate::samplers::procfs::{Absence, TickReport};
use crate::samplers::{EventOutlet, Fact, Outlet, OutletParts, Sampler, Woken};
use crate::schema::{Device, Event, EventKind, Reading};

pub(super) const ID_A: &str = "3f1c2ab45d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f701";
pub(super) const ID_B: &str = "77aa0c55e4d3c2b1a09f8e7d6c5b4a39281706f5e4d3c2b1a09f8e7d6c5b4a39";
pub(super) const POD: &str = "9f0a1b2c-3d4e-5f60-7182-93a4b5c6d7e8";

/// A folder that plays the root of a node.
pub(super) struct Node {
    folder: tempfile::TempDir,
}

/// A sampler with everything it puts.
pub(super) struct Watched {
    pub(super) cgroup: Cgroup,
    outlet: Outlet,
    names: Names,
    table: ReadingTable,
    events: Receiver<Fact>,
    _ring: ring::Reader<Reading>,
    now_ns: u64,
}

impl Node {
    pub(super) fn empty() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("sys/fs/cgroup")).unwrap();
        Self { folder }
    }

    /// A copy of a captured tree.
    pub(super) fn captured(tree: &str) -> Self {
        let node = Self::empty();
        let captures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captures/cgroup");
        copy(&captures.join(tree), &node.root());
        node
    }

    pub(super) fn root(&self) -> PathBuf {
        tree_root(self.folder.path())
    }

    pub(super) fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(super) fn remove(&self, path: &str) {
        let path = self.root().join(path);
        match path.is_dir() {
            true => fs::remove_dir_all(path).unwrap(),
            false => fs::remove_file(path).unwrap(),
        }
    }

    pub(super) fn watch(&self) -> Watched {
        self.watch_with("")
    }

    pub(super) fn watch_with(&self, include: &str) -> Watched {
        let include = includes(include).unwrap();
        Watched::new(Cgroup::open(self.folder.path(), 1, include).unwrap())
    }

    pub(super) fn context(&self) -> Context {
        Context::to_look(self.folder.path().to_owned(), PathBuf::new())
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to),
            false => drop(fs::copy(entry.path(), to).unwrap()),
        }
    }
}

impl Watched {
    pub(super) fn new(cgroup: Cgroup) -> Self {
        let (names, table) = (Names::new("n"), ReadingTable::heap(16 << 10));
        let (events, received) = bounded(4096);
        let (readings, taken) = ring(1 << 15);
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
        Self { cgroup, outlet, names, table, events: received, _ring: taken, now_ns: 0 }
    }

    /// One tick, with a walk.
    pub(super) fn tick(&mut self) -> TickReport {
        self.now_ns += 1_000_000_000;
        self.cgroup.tick_report(self.now_ns, &mut self.outlet)
    }

    /// Device names of containers.
    pub(super) fn containers(&self) -> Vec<Device> {
        let mut devices = self.names.devices();
        devices.retain(|device| device.kind == "container");
        devices.sort_by(|a, b| a.name.cmp(&b.name));
        devices
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.containers().into_iter().map(|device| device.name).collect()
    }

    /// Every newest value of a device, by the metric's name.
    pub(super) fn values(&self, name: &str) -> BTreeMap<&'static str, f64> {
        let device = self.names.devices().into_iter().find(|device| device.name == name);
        let index = device.unwrap_or_else(|| panic!("no device {name}")).index;
        let of_it = |reading: &Reading| reading.device == index;
        let row = |reading: Reading| {
            let metric = MetricId::from_number(reading.metric).unwrap();
            assert!(reading.value.is_finite() && reading.value >= 0.0, "{metric:?}");
            (metric.row().name, reading.value)
        };
        self.table.view().iter().filter(of_it).map(row).collect()
    }

    pub(super) fn value(&self, name: &str, metric: MetricId) -> Option<f64> {
        self.values(name).get(metric.row().name).copied()
    }

    /// Kinds and subjects of the events since the last call.
    pub(super) fn events(&self) -> Vec<(EventKind, String)> {
        self.whole_events().into_iter().map(|event| (event.kind, event.subject)).collect()
    }

    pub(super) fn whole_events(&self) -> Vec<Event> {
        self.events.try_iter().filter_map(|fact| fact.event).collect()
    }
}
