//! A sampler over a stand-in for NVML, and who listens to it.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use eagle_eye::platform::clock;
use eagle_eye::samplers::accelerator::stand_in::{self, StandIn};
use eagle_eye::samplers::accelerator::{Accelerators, Facts, ParentPlan, settings};
use eagle_eye::samplers::nvml::ENTRY;
use eagle_eye::samplers::{Readings, Settings};
use eagle_eye::schema::{Accelerator, Device, Event, EventKind, MetricId};
use tempfile::TempDir;

use crate::server::eventually;

/// Keeps the newest values and descriptions, and all events.
#[derive(Default)]
pub(crate) struct Heard {
    devices: Vec<(&'static str, String)>,
    values: BTreeMap<(u32, MetricId), f64>,
    descriptions: BTreeMap<u32, Device>,
    pub(crate) counts: BTreeMap<(u32, MetricId), u64>,
    pub(crate) events: Vec<Event>,
    pub(crate) inventory: Option<Vec<u8>>,
    pub(crate) refuses: bool,
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
        self.descriptions.remove(&device);
    }

    fn put(&mut self, device: u32, metric: MetricId, _: u64, value: f64) {
        self.values.insert((device, metric), value);
        *self.counts.entry((device, metric)).or_default() += 1;
    }
}

impl Facts for Heard {
    fn forget(&mut self, device: u32, metric: MetricId) {
        self.values.remove(&(device, metric));
    }

    fn describe(&mut self, device: Device) {
        self.descriptions.insert(device.index, device);
    }

    fn offer(&mut self, event: Option<Event>, inventory: Option<Vec<u8>>) -> bool {
        if self.refuses {
            return false;
        }
        self.events.extend(event);
        self.inventory = inventory.or_else(|| self.inventory.take());
        true
    }
}

impl Heard {
    fn index(&self, name: &str) -> Option<u32> {
        self.devices.iter().position(|(_, of)| of == name).map(|at| at as u32)
    }

    pub(crate) fn value(&self, name: &str, metric: MetricId) -> Option<f64> {
        self.values.get(&(self.index(name)?, metric)).copied()
    }

    pub(crate) fn count(&self, name: &str, metric: MetricId) -> u64 {
        let key = self.index(name).map(|index| (index, metric));
        key.and_then(|key| self.counts.get(&key)).copied().unwrap_or(0)
    }

    /// Readings of a device that are known now.
    pub(crate) fn known(&self, name: &str) -> usize {
        let index = self.index(name);
        self.values.keys().filter(|(of, _)| Some(*of) == index).count()
    }

    pub(crate) fn device(&self, name: &str) -> Option<&Device> {
        self.descriptions.get(&self.index(name)?)
    }

    pub(crate) fn accelerator(&self, name: &str) -> Option<&Accelerator> {
        self.device(name)?.accelerator.as_deref()
    }

    pub(crate) fn of(&self, kind: EventKind) -> Vec<&Event> {
        self.events.iter().filter(|event| event.kind == kind).collect()
    }

    pub(crate) fn subjects(&self, kind: EventKind) -> Vec<&str> {
        self.of(kind).iter().map(|event| event.subject.as_str()).collect()
    }
}

/// A sampler over a stand-in.
pub(crate) struct Scene {
    pub(crate) sampler: Accelerators,
    pub(crate) heard: Heard,
    pub(crate) library: PathBuf,
    folder: TempDir,
    deadline_ms: u64,
}

impl Scene {
    /// Plays `scenario`; calls are given so long that a busy machine never
    /// makes one late.
    pub(crate) fn patient(scenario: &str) -> Self {
        Self::new(scenario, 60_000, None)
    }

    /// One whose deadline is as soon as a busy machine allows.
    pub(crate) fn impatient(scenario: &str) -> Self {
        Self::new(scenario, 2000, None)
    }

    pub(crate) fn new(scenario: &str, deadline_ms: u64, inventory: Option<Vec<u8>>) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let library = stand_in::plant(StandIn::Nvml, folder.path(), scenario).expect("room for it");
        let sampler = sampler(&library, folder.path(), deadline_ms, inventory, BRISK);
        Self { sampler, heard: Heard::default(), library, folder, deadline_ms }
    }

    /// As a patient one, of which only what is cheap is read more than once.
    pub(crate) fn fast_only(scenario: &str) -> Self {
        let mut scene = Self::patient(scenario);
        scene.sampler = sampler(&scene.library, scene.folder.path(), 60_000, None, FAST_ONLY);
        scene
    }

    /// The host's root, where nothing is unless a test puts it there.
    pub(crate) fn root(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn play(&self, scenario: &str) {
        stand_in::play(&self.library, scenario).expect("it can be written");
    }

    /// As after a restart of the agent, which kept the inventory.
    pub(crate) fn restart(&mut self) {
        let inventory = self.heard.inventory.clone();
        let folder = self.folder.path();
        self.sampler = sampler(&self.library, folder, self.deadline_ms, inventory, BRISK);
    }

    pub(crate) fn tick(&mut self) {
        self.sampler.tick(clock::monotonic_ns(), &mut self.heard);
    }

    /// Ticks until `is` holds.
    pub(crate) fn until(&mut self, what: &str, mut is: impl FnMut(&Heard) -> bool) {
        eventually(what, || {
            self.tick();
            std::thread::sleep(Duration::from_millis(5));
            is(&self.heard)
        });
    }

    /// Ticks until every one of `devices` was read so many times more.
    pub(crate) fn rounds(&mut self, devices: &[&str], more: u64) {
        let metric = MetricId::AcceleratorPower;
        let before: Vec<_> = devices.iter().map(|name| self.heard.count(name, metric)).collect();
        self.until("rounds", |heard| {
            devices.iter().zip(&before).all(|(name, old)| heard.count(name, metric) >= old + more)
        });
    }
}

/// Periods of groups besides the fast one, in ms.
struct Pace {
    medium: &'static str,
    slow: &'static str,
    processes: &'static str,
    inventory: &'static str,
    identity: &'static str,
}

/// Everything is read soon.
const BRISK: Pace =
    Pace { medium: "1000", slow: "1000", processes: "1000", inventory: "500", identity: "1000" };

/// Everything but the fast group is read once.
const FAST_ONLY: Pace = Pace {
    medium: "600000",
    slow: "3600000",
    processes: "600000",
    inventory: "600000",
    identity: "86400000",
};

fn sampler(
    library: &Path,
    root: &Path,
    deadline_ms: u64,
    inventory: Option<Vec<u8>>,
    pace: Pace,
) -> Accelerators {
    let set = [
        ("deadline_ms", deadline_ms.to_string()),
        ("fast_ms", "100".to_owned()),
        ("medium_ms", pace.medium.to_owned()),
        ("slow_ms", pace.slow.to_owned()),
        ("processes_ms", pace.processes.to_owned()),
        ("inventory_ms", pace.inventory.to_owned()),
        ("identity_ms", pace.identity.to_owned()),
    ];
    let settings = Settings::new(set.into());
    Accelerators::new(ParentPlan {
        name: "nvml",
        program: env!("CARGO_BIN_EXE_eagle-eye").into(),
        arguments: settings::command_line("nvml", ENTRY.settings, &settings, library, root),
        host_root: root.to_owned(),
        deadline_ms,
        simulated: true,
        inventory,
    })
}

/// What an agent's HTTP port says of `path`; nothing where it does not answer.
pub(crate) fn page(port: u16, path: &str) -> serde_json::Value {
    let mut text = String::new();
    let asked = TcpStream::connect(("127.0.0.1", port)).and_then(|mut stream| {
        write!(stream, "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
        stream.read_to_string(&mut text)
    });
    let body = asked.ok().and_then(|_| text.split_once("\r\n\r\n")).map_or("", |(_, body)| body);
    serde_json::from_str(body).unwrap_or_default()
}
