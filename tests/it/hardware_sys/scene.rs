//! A sampler over a planted tree, and who listens to it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use eagle_eye::platform::clock::SECOND_NS;
use eagle_eye::samplers::Readings;
use eagle_eye::samplers::hardware_sys::record::RECORD_BYTES;
use eagle_eye::samplers::hardware_sys::{Facts, HardwareSys, Limits, Tell};
use eagle_eye::schema::{EventKind, MetricId, Severity};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::process::Pid;

use super::tree::{SERVER, Tree};
use crate::server::eventually;

/// A file that is left out is tried again after so long, ns.
pub(crate) const PAUSE_NS: u64 = 61 * SECOND_NS;

/// Keeps the newest values and all events.
#[derive(Default)]
pub(crate) struct Heard {
    pub(crate) devices: Vec<(&'static str, String)>,
    pub(crate) values: BTreeMap<(u32, MetricId), f64>,
    pub(crate) events: Vec<(EventKind, String, String)>,
}

impl Readings for Heard {
    fn device(&mut self, kind: &'static str, name: &str) -> u32 {
        let is_it = |device: &(&str, String)| device.0 == kind && device.1 == name;
        let at = self.devices.iter().position(is_it).unwrap_or_else(|| {
            self.devices.push((kind, name.to_owned()));
            self.devices.len() - 1
        });
        at as u32
    }

    fn gone(&mut self, device: u32) {
        self.values.retain(|(of, _), _| *of != device);
    }

    fn put(&mut self, device: u32, metric: MetricId, _: u64, value: f64) {
        self.values.insert((device, metric), value);
    }
}

impl Facts for Heard {
    fn forget(&mut self, device: u32, metric: MetricId) {
        self.values.remove(&(device, metric));
    }

    fn say(&mut self, kind: EventKind, _: Severity, subject: &str, text: String) {
        self.events.push((kind, subject.to_owned(), text));
    }
}

impl Heard {
    /// Every device that has this metric, with its value, by name.
    pub(crate) fn values(&self, metric: MetricId) -> Vec<(&str, f64)> {
        let of = self.values.iter().filter(|((_, id), _)| *id == metric);
        let mut all: Vec<_> =
            of.map(|((at, _), value)| (self.devices[*at as usize].1.as_str(), *value)).collect();
        all.sort_by(|a, b| a.0.cmp(b.0));
        all
    }

    pub(crate) fn of_node(&self, metric: MetricId) -> f64 {
        self.values(metric)[0].1
    }

    pub(crate) fn subjects(&self, kind: EventKind) -> Vec<&str> {
        let of = self.events.iter().filter(|(is, ..)| *is == kind);
        of.map(|(_, subject, _)| subject.as_str()).collect()
    }
}

/// A sampler over a tree.
pub(crate) struct Node {
    pub(crate) tree: Tree,
    pub(crate) sampler: HardwareSys,
    pub(crate) heard: Heard,
    pub(crate) now_ns: u64,
}

pub(crate) fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_eagle-eye"))
}

impl Node {
    pub(crate) fn new(tree: Tree, silence_ms: u64) -> Self {
        let sampler = HardwareSys::new(program(), tree.root(), Limits::new(silence_ms, 60));
        Self { tree, sampler, heard: Heard::default(), now_ns: SECOND_NS }
    }

    /// One that never meets its deadline.
    pub(crate) fn patient() -> Self {
        Self::new(Tree::plant(SERVER), 60_000)
    }

    /// One whose deadline is as soon as a busy machine allows: nobody who
    /// wants to run gets no processor for so long.
    pub(crate) fn impatient() -> Self {
        Self::new(Tree::plant(SERVER), 3000)
    }

    pub(crate) fn tick(&mut self) -> u32 {
        self.sampler.tick(self.now_ns, &mut self.heard).readings
    }

    /// Ticks until a round brings something.
    pub(crate) fn round(&mut self) -> u32 {
        let mut readings = 0;
        eventually("a round brings something", || {
            readings = self.tick();
            readings > 0
        });
        readings
    }

    /// Puts a pipe in a file's place, which whoever opens it waits for.
    pub(crate) fn hang(&self, path: &str) -> PathBuf {
        let place = self.tree.place(path);
        let _ = std::fs::remove_file(&place);
        mknodat(CWD, &place, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a pipe");
        place
    }

    pub(crate) fn child(&self) -> Pid {
        let id = self.sampler.reader_id().expect("a child reads");
        Pid::from_raw(i32::try_from(id).expect("a process's number")).expect("above zero")
    }
}

/// Keeps nothing.
pub(crate) struct Nothing;

impl Readings for Nothing {
    fn device(&mut self, _: &'static str, _: &str) -> u32 {
        0
    }
    fn gone(&mut self, _: u32) {}
    fn put(&mut self, _: u32, _: MetricId, _: u64, _: f64) {}
}

impl Facts for Nothing {
    fn forget(&mut self, _: u32, _: MetricId) {}
    fn say(&mut self, _: EventKind, _: Severity, _: &str, _: String) {}
}

impl Tell for Nothing {
    fn put(&mut self, _: &[u8; RECORD_BYTES]) -> std::io::Result<()> {
        Ok(())
    }
    fn tell(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
