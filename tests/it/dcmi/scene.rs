//! A sampler over a stand-in for DCMI.

use std::path::{Path, PathBuf};
use std::time::Duration;

use eagle_eye::platform::clock;
use eagle_eye::samplers::Settings;
use eagle_eye::samplers::accelerator::stand_in::{self, StandIn};
use eagle_eye::samplers::accelerator::{Accelerators, ParentPlan, settings};
use eagle_eye::samplers::dcmi::ENTRY;
use eagle_eye::schema::MetricId;
use tempfile::TempDir;

use crate::nvml::scene::Heard;
use crate::server::eventually;

/// A sampler over a stand-in.
pub(crate) struct Scene {
    pub(crate) sampler: Accelerators,
    pub(crate) heard: Heard,
    library: PathBuf,
    folder: TempDir,
}

impl Scene {
    /// Plays `scenario`; calls are given so long that a busy machine never
    /// makes one late.
    pub(crate) fn patient(scenario: &str) -> Self {
        Self::new(scenario, 60_000)
    }

    /// One whose deadline is as soon as a busy machine allows.
    pub(crate) fn impatient(scenario: &str) -> Self {
        Self::new(scenario, 2000)
    }

    fn new(scenario: &str, deadline_ms: u64) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let library = stand_in::plant(StandIn::Dcmi, folder.path(), scenario).expect("room for it");
        let sampler = sampler(&library, folder.path(), deadline_ms);
        Self { sampler, heard: Heard::default(), library, folder }
    }

    /// The host's root, where nothing is unless a test puts it there.
    pub(crate) fn root(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn play(&self, scenario: &str) {
        stand_in::play(&self.library, scenario).expect("it can be written");
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

fn sampler(library: &Path, root: &Path, deadline_ms: u64) -> Accelerators {
    let set = [
        ("deadline_ms", deadline_ms.to_string()),
        ("fast_ms", "100".to_owned()),
        ("medium_ms", "1000".to_owned()),
        ("slow_ms", "1000".to_owned()),
        ("processes_ms", "1000".to_owned()),
        ("inventory_ms", "500".to_owned()),
        ("identity_ms", "1000".to_owned()),
    ];
    let settings = Settings::new(set.into());
    Accelerators::new(ParentPlan {
        name: "dcmi",
        program: env!("CARGO_BIN_EXE_eagle-eye").into(),
        arguments: settings::command_line("dcmi", ENTRY.settings, &settings, library, root),
        host_root: root.to_owned(),
        deadline_ms,
        simulated: true,
        inventory: None,
    })
}
