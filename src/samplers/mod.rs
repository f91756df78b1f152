//! Each folder turns one source into facts on its own thread; it never judges
//! them.
//!
//! A sampler owns its name, settings and documentation in its [`Entry`]; the
//! list [`ALL`] is the only place that knows them together. Opening answers
//! *not here*, *ready* or *failed because*; the engine prints one line per
//! entry and goes on. A sampler refuses to wait for anything but its source:
//! what it puts into its [`Outlet`] is stored or counted as lost.

pub mod accelerator;
pub mod cgroup;
pub mod dcmi;
pub mod engine_push;
pub mod kmsg;
pub mod ktrace;
pub mod hardware_sys;
pub mod engine_scrape;
pub mod nvml;
mod need;
mod outlet;
pub mod own;
pub mod procfs;
mod readings;
mod run;

use std::path::PathBuf;

use crate::newest::{Names, ReadingTable, StepTable};
use crate::platform::thread::Stop;
use crate::schema::MetricId;

pub use need::{Need, NeedState};
pub use outlet::{EventOutlet, Fact, Losses, Outlet, OutletParts};
use readings::Opening;
pub use readings::Readings;
pub use run::{Progress, start};

/// Every sampler, in the order in which they start.
pub const ALL: &[&Entry] = &[
    &engine_push::ENTRY,
    &engine_scrape::ENTRY,
    &procfs::ENTRY,
    &cgroup::ENTRY,
    &kmsg::ENTRY,
    &ktrace::ENTRY,
    &hardware_sys::ENTRY,
    &nvml::ENTRY,
    &dcmi::ENTRY,
    // Last, so that it sees what the others registered.
    &own::ENTRY,
];

/// Turns one source into facts.
pub trait Sampler: Send {
    /// Reads the source once and puts what it says into `outlet`, whose
    /// publishing the caller does.
    fn tick(&mut self, now_ns: u64, outlet: &mut Outlet);

    /// Waits for the next tick, due at `due_ns`. A sampler whose source can
    /// wake it returns early.
    fn wait(&mut self, due_ns: u64, stop: &Stop) -> Woken {
        stop.sleep_until(due_ns);
        Woken::Due
    }
}

/// Why a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Woken {
    /// The next tick is due.
    Due,
    /// The source has something.
    Early,
}

/// What the family knows of a sampler.
#[derive(Debug)]
pub struct Entry {
    /// Lower-case, stable; its table in the configuration is `samplers.<name>`.
    pub name: &'static str,
    /// One sentence.
    pub summary: &'static str,
    /// What it reads: files, sockets, interfaces.
    pub source: &'static str,
    /// Default period, ms.
    pub period_ms: u64,
    /// Whether it gives steps.
    pub steps: bool,
    /// The readings it can give; steps and events are said in `summary`.
    pub metrics: &'static [MetricId],
    /// Its own settings, beyond `enabled`, `period_ms` and `cpu`.
    pub settings: &'static [Setting],
    /// Checks its own settings and opens its source.
    pub open: fn(&Context, &Settings) -> Opened,
    /// Looks at what it needs without disturbing an agent that runs: files,
    /// permissions, kernel features. In the order in which a person should
    /// read them.
    pub needs: fn(&Context, &Settings) -> Vec<Need>,
}

/// One setting of a sampler: key, default as TOML, and a sentence.
#[derive(Debug)]
pub struct Setting {
    /// The key within the sampler's table.
    pub key: &'static str,
    /// The default, as it would stand in the file.
    pub default: &'static str,
    /// One sentence, with the unit and the allowed values.
    pub help: &'static str,
    /// Whether a value is allowed; the error is a sentence that names the
    /// allowed values.
    pub check: fn(&str) -> Result<(), String>,
}

/// A sampler's own settings, checked: every key of its entry with its value as
/// TOML text without quotes.
#[derive(Debug, Clone, Default)]
pub struct Settings(Vec<(&'static str, String)>);

impl Settings {
    /// Settings from pairs.
    #[must_use]
    pub fn new(pairs: Vec<(&'static str, String)>) -> Self {
        Self(pairs)
    }

    /// The value of `key`; empty where there is no such key.
    #[must_use]
    pub fn text(&self, key: &str) -> &str {
        self.0.iter().find(|(known, _)| *known == key).map_or("", |(_, value)| value)
    }

    /// The value of `key`; where nobody set it, its default among `known`. A
    /// value may be empty.
    fn or_default<'a>(&'a self, known: &'a [Setting], key: &str) -> &'a str {
        let set = self.0.iter().find(|(of, _)| *of == key).map(|(_, value)| value.as_str());
        let default =
            || known.iter().find(|of| of.key == key).map(|of| of.default.trim_matches('"'));
        set.or_else(default).unwrap_or_default()
    }

    /// Sets `key` to another value, whoever set it before.
    pub fn set(&mut self, key: &'static str, value: String) {
        self.0.retain(|(known, _)| *known != key);
        self.0.push((key, value));
    }

    /// The value of `key` as a number; 0 where it is none.
    #[must_use]
    pub fn number(&self, key: &str) -> u64 {
        self.text(key).replace('_', "").parse().unwrap_or(0)
    }
}

/// A whole number within its limits, or a sentence that says them.
fn whole_number(text: &str, least: u64, most: u64) -> Result<u64, String> {
    match text.replace('_', "").parse() {
        Ok(number) if (least..=most).contains(&number) => Ok(number),
        _ => Err(format!("it must be a number from {least} to {most}, it is \"{text}\"")),
    }
}

/// What a sampler may use besides its outlet.
#[derive(Debug, Clone)]
pub struct Context {
    /// Where the host's `/proc` and `/sys` are found; `/` unless in a
    /// container.
    pub host_root: PathBuf,
    /// Where sockets live.
    pub run_dir: PathBuf,
    /// Engines and devices by name.
    pub names: Names,
    /// The newest steps, for those who hand them out.
    pub steps: StepTable,
    /// The newest readings, for those who hand them out.
    pub readings: ReadingTable,
    /// Where each sampler stood when the agent last ran.
    pub cursors: Cursors,
    /// Numbers about ourselves.
    pub gauges: own::Gauges,
    /// What the engine door shares with the rest of the process.
    pub door: engine_push::DoorContext,
}

impl Context {
    /// For looking without an agent ([`Entry::needs`]): no names, no values.
    #[must_use]
    pub fn to_look(host_root: PathBuf, run_dir: PathBuf) -> Self {
        Self {
            host_root,
            run_dir,
            names: Names::new(""),
            steps: StepTable::heap(1),
            readings: ReadingTable::heap(1),
            cursors: Cursors::default(),
            gauges: own::Gauges::default(),
            door: engine_push::DoorContext::default(),
        }
    }
}

/// Where each sampler stood in its source when the agent last ran, as the
/// journal kept it ([`Outlet::offer`]).
#[derive(Debug, Clone, Default)]
pub struct Cursors(Vec<(&'static str, Vec<u8>)>);

impl Cursors {
    /// Cursors of samplers, by their names.
    #[must_use]
    pub fn new(cursors: Vec<(&'static str, Vec<u8>)>) -> Self {
        Self(cursors)
    }

    /// The cursor of the sampler with this name.
    #[must_use]
    pub fn of(&self, name: &str) -> Option<&[u8]> {
        self.0.iter().find(|(of, _)| *of == name).map(|(_, value)| value.as_slice())
    }
}

/// The answer of [`Entry::open`].
pub enum Opened {
    /// The source does not exist on this machine.
    NotHere(String),
    /// It can be read.
    Ready(Box<dyn Sampler>),
    /// It exists and cannot be read: why, and what to do.
    Failed(String),
}
