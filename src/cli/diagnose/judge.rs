//! The lines of a log as facts for the stage, with the time that they tell.

use std::collections::BTreeMap;

use super::story::Story;
use crate::diagnosis::lines::{Pci, Sighting, What, recognise};
use crate::diagnosis::{At, Fact, Plan, Stage};
use crate::schema::log::{Line, Stamp};
use crate::schema::{
    Accelerator, Device, DeviceState, Event, EventKind, LogRecord, TEXT_BYTES_MAX, Trust,
    bounded_text,
};

/// What a log does not say.
#[derive(Debug, Clone, Default)]
pub struct About {
    /// The node's name.
    pub node: String,
    /// Model of its devices; may be empty.
    pub device_model: String,
    /// Version of their driver; may be empty.
    pub driver: String,
    /// The present, ns since 1970: for lines that give no year.
    pub now_ns: u64,
}

/// Judges the lines of a log.
#[derive(Debug)]
pub struct Judge {
    stage: Stage,
    story: Story,
    about: About,
    at: At,
    /// What the newest stamp said, by its own clock.
    last: Option<(bool, u64)>,
    /// A line that the next one may go on.
    open: Option<Open>,
    /// Devices that were told, by address.
    devices: BTreeMap<Pci, u32>,
    /// What lines say of the devices at addresses.
    uuids: BTreeMap<Pci, String>,
    untaken: u32,
}

/// A line that may go on in the next.
#[derive(Debug)]
struct Open {
    text: String,
    facility: u16,
    level: u8,
    at: At,
}

impl Judge {
    /// A judge of a log that has no line yet.
    #[must_use]
    pub fn new(about: &About) -> Self {
        Self {
            stage: Stage::new(&about.node, Plan::default()),
            story: Story::default(),
            about: about.clone(),
            at: At::default(),
            last: None,
            open: None,
            devices: BTreeMap::new(),
            uuids: BTreeMap::new(),
            untaken: 0,
        }
    }

    /// Takes a line.
    pub fn line(&mut self, line: &Line<'_>) {
        self.story.lines += 1;
        if let Some(stamp) = line.stamp {
            self.pass(stamp);
        }
        if line.of_a_program() {
            return;
        }
        if line.fragment {
            if let Some(open) = &mut self.open {
                open.text.push_str(&line.shown(TEXT_BYTES_MAX));
                open.text.truncate(bounded_text(&open.text).len());
            }
            return;
        }
        self.close();
        // Only a line that says something is copied.
        let plain = if line.escaped { None } else { std::str::from_utf8(line.text).ok() };
        if let Some(text) = plain
            && recognise(text).is_none()
        {
            return self.inventory(text);
        }
        let text = line.shown(TEXT_BYTES_MAX);
        if recognise(&text).is_none() {
            return self.inventory(&text);
        }
        self.open = Some(Open {
            text,
            facility: line.facility.unwrap_or_default(),
            level: line.level.unwrap_or(LogRecord::LEVEL_UNKNOWN),
            at: self.at,
        });
    }

    /// There is no more; the log had so many bytes.
    #[must_use]
    pub fn end(mut self, bytes: u64) -> Story {
        self.close();
        self.stage.tick(self.at);
        self.story.take(self.stage.take_verdicts());
        self.story.take(self.stage.open().cloned().collect());
        self.story.bytes = bytes;
        self.story
    }

    /// The line is whole: a fact.
    fn close(&mut self) {
        let Some(open) = self.open.take() else { return };
        let Some(seen) = recognise(&open.text) else { return };
        self.story.noted(&seen);
        self.introduce(&seen);
        let log = LogRecord {
            facility: open.facility,
            level: open.level,
            trust: Trust::File,
            ..LogRecord::default()
        };
        let event = Event {
            kind: EventKind::KernelLine,
            wall_ns: open.at.wall_ns,
            monotonic_ns: open.at.monotonic_ns,
            source: "log".to_owned(),
            subject: "kernel".to_owned(),
            log: Some(log),
            text: open.text,
            ..Event::default()
        };
        self.stage.fact(open.at, Fact::Event(&event));
        self.untaken += 1;
        if self.untaken >= TAKEN_EVERY {
            self.untaken = 0;
            self.story.take(self.stage.take_verdicts());
        }
    }

    /// Lets the time of a line pass. A log may be put together from several,
    /// whose clocks have nothing to do with each other.
    fn pass(&mut self, stamp: Stamp) {
        let (of_wall, ns) = match stamp {
            Stamp::SinceBoot { us } => (false, us.saturating_mul(1000)),
            stamp => match stamp.wall_ns(self.about.now_ns) {
                Some(ns) => (true, ns),
                None => return,
            },
        };
        let passed = match self.last {
            Some((same, last_ns)) if same == of_wall => ns.saturating_sub(last_ns),
            _ => 0,
        };
        self.last = Some((of_wall, ns));
        let monotonic_ns = self.at.monotonic_ns.saturating_add(passed);
        self.at = At { monotonic_ns, wall_ns: ns };
        self.story.span(ns);
    }

    /// Tells the stage of a device before its first fault, as far as anybody
    /// said what it is.
    fn introduce(&mut self, seen: &Sighting<'_>) {
        let Some(pci) = seen.pci else { return };
        if seen.what == What::GpuIdentity {
            if self.uuids.len() < DEVICES_MAX {
                self.uuids.insert(pci, seen.name.to_owned());
            }
            return;
        }
        let of_gpu = matches!(seen.what, What::Xid | What::GpuLost | What::GpuLostBegins);
        let nothing_known = self.about.device_model.is_empty() && self.about.driver.is_empty();
        if !of_gpu || nothing_known || self.devices.contains_key(&pci) {
            return;
        }
        if self.devices.len() >= DEVICES_MAX {
            return;
        }
        let index = self.devices.len() as u32;
        self.devices.insert(pci, index);
        let accelerator = Accelerator {
            device_model: self.about.device_model.clone(),
            driver: self.about.driver.clone(),
            pci: pci.to_string(),
            state: DeviceState::Present,
            ..Accelerator::default()
        };
        let device = Device {
            index,
            name: pci.to_string(),
            kind: "gpu".to_owned(),
            vendor: "nvidia".to_owned(),
            uuid: self.uuids.get(&pci).cloned().unwrap_or_default(),
            accelerator: Some(Box::new(accelerator)),
            ..Device::default()
        };
        self.stage.fact(self.at, Fact::Device(&device));
    }

    /// The driver says its version once, when it is loaded:
    /// `NVRM: loading NVIDIA UNIX x86_64 Kernel Module  570.86.15  …`.
    fn inventory(&mut self, text: &str) {
        if !self.about.driver.is_empty() || !text.starts_with("NVRM: loading NVIDIA UNIX") {
            return;
        }
        let version = |word: &&str| {
            word.contains('.') && word.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
        };
        if let Some(version) = text.split(' ').find(version) {
            version.clone_into(&mut self.about.driver);
        }
    }
}

/// Most devices that are told of.
const DEVICES_MAX: usize = 1024;
/// Revisions are folded after so many facts, long before any is lost.
const TAKEN_EVERY: u32 = 256;
