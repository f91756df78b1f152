//! How well each device, each engine and the node is.

use std::collections::BTreeMap;

use super::at::SECOND_NS;
use super::facts::DeviceFacts;
use super::known::Known;
use super::verdicts::{Case, Verdicts, works_on};
use crate::schema::{Assessment, DeviceState, Health, VERDICTS_MAX};

/// A device of which nothing was heard for this long is not observable.
const SILENT_NS: u64 = 90 * SECOND_NS;
/// Most subjects whose health is remembered.
const SUBJECTS_MAX: usize = 32_768;

/// Since when each subject is as it is.
#[derive(Debug, Default)]
pub(super) struct Healths {
    since: BTreeMap<(&'static str, String), (Health, u64)>,
}

impl Healths {
    /// Notes what changed, so that an assessment can say since when.
    pub(super) fn note(&mut self, all: &[Assessment]) {
        for of in all {
            let key = (kind(&of.subject_kind), of.subject.clone());
            if self.since.len() < SUBJECTS_MAX || self.since.contains_key(&key) {
                self.since.insert(key, (of.health, of.since_wall_ns));
            }
        }
    }

    /// Since when a subject has this health.
    fn since(&self, kind: &'static str, subject: &str, health: Health, wall_ns: u64) -> u64 {
        let known = self.since.get(&(kind, subject.to_owned()));
        known.filter(|known| known.0 == health).map_or(wall_ns, |known| known.1)
    }
}

/// What an assessment is made from.
pub(super) struct Looks<'a> {
    pub(super) known: &'a Known,
    pub(super) verdicts: &'a Verdicts,
    pub(super) healths: &'a Healths,
    pub(super) now_ns: u64,
    pub(super) wall_ns: u64,
}

impl Looks<'_> {
    /// Every accelerator, every engine and the node, in this order.
    pub(super) fn all(&self) -> Vec<Assessment> {
        let by_subject = self.by_subject();
        let none = Vec::new();
        let on = |kind, name: &str| by_subject.get(&(kind, name.to_owned())).unwrap_or(&none);
        let mut all = Vec::new();
        let mut devices_ill = false;
        let mut device_health = BTreeMap::new();
        for (_, facts) in self.known.devices().filter(|(_, of)| of.device.accelerator.is_some()) {
            let cases = on("device", &facts.device.name);
            let health = self.device(facts, cases);
            devices_ill |= matches!(health, Health::Failed | Health::Gone);
            device_health.insert(facts.device.name.as_str(), health);
            all.push(self.assessment("device", &facts.device.name, health, cases));
        }
        // A device that only its faults make known.
        for ((_, name), cases) in by_subject.iter().filter(|((kind, _), _)| *kind == "device") {
            if self.known.device_named(name).is_none() {
                all.push(self.assessment("device", name, worst(cases), cases));
            }
        }
        for (_, facts) in self.known.engines() {
            let name = &facts.engine.name;
            let mut cases = on("engine", name).clone();
            let mut health = worst(&cases);
            let works = |of: &&DeviceFacts| works_on(facts, &of.device);
            for device in self.known.devices().map(|(_, of)| of).filter(works) {
                let of_device = device_health.get(device.device.name.as_str()).copied();
                health = graver(health, passed_on(of_device.unwrap_or_default()));
                cases.extend(on("device", &device.device.name));
            }
            all.push(self.assessment("engine", name, health, &cases));
        }
        let cases = on("node", &self.known.node);
        let devices = if devices_ill { Health::Degraded } else { Health::Healthy };
        let health = graver(worst(cases), devices);
        all.push(self.assessment("node", &self.known.node, health, cases));
        all
    }

    fn by_subject(&self) -> BTreeMap<(&'static str, String), Vec<&Case>> {
        let mut by_subject: BTreeMap<_, Vec<&Case>> = BTreeMap::new();
        for case in self.verdicts.open_cases() {
            let kind = kind(&case.verdict.subject_kind);
            by_subject.entry((kind, case.verdict.subject.clone())).or_default().push(case);
        }
        by_subject
    }

    fn device(&self, facts: &DeviceFacts, cases: &[&Case]) -> Health {
        let by_verdicts = worst(cases);
        let state = facts.device.accelerator.as_ref().map(|of| of.state).unwrap_or_default();
        match state {
            DeviceState::Gone => Health::Gone,
            DeviceState::Resetting | DeviceState::Upgrading => Health::Resetting,
            _ if by_verdicts != Health::Healthy => by_verdicts,
            DeviceState::Silent | DeviceState::Unknown => Health::Unknown,
            DeviceState::Present => {
                let heard_ns = facts.heard_ns();
                let sampled = !facts.readings().is_empty();
                let silent = sampled && heard_ns + SILENT_NS < self.now_ns;
                if silent { Health::Unknown } else { Health::Healthy }
            }
        }
    }

    fn assessment(
        &self,
        kind: &'static str,
        name: &str,
        health: Health,
        cases: &[&Case],
    ) -> Assessment {
        let mut cases = cases.to_vec();
        cases.sort_by_key(|case| {
            let severity = std::cmp::Reverse(case.verdict.severity);
            (severity, case.verdict.since_wall_ns, case.verdict.id)
        });
        cases.dedup_by_key(|case| case.verdict.id);
        Assessment {
            subject: name.to_owned(),
            subject_kind: kind.to_owned(),
            health,
            since_wall_ns: self.healths.since(kind, name, health, self.wall_ns),
            verdicts: cases.iter().take(VERDICTS_MAX).map(|case| case.verdict.id).collect(),
        }
    }
}

/// What the health of a device makes of an engine that works on it.
const fn passed_on(device: Health) -> Health {
    match device {
        Health::Failed | Health::Gone | Health::Suspect | Health::Resetting => Health::Suspect,
        Health::Degraded => Health::Degraded,
        Health::Healthy | Health::Unknown => Health::Healthy,
    }
}

fn worst(cases: &[&Case]) -> Health {
    cases.iter().map(|case| case.health()).fold(Health::Healthy, graver)
}

fn graver(one: Health, other: Health) -> Health {
    if gravity(one) >= gravity(other) { one } else { other }
}

const fn gravity(health: Health) -> u8 {
    match health {
        Health::Healthy => 0,
        Health::Unknown => 1,
        Health::Degraded => 2,
        Health::Suspect => 3,
        Health::Resetting => 4,
        Health::Failed => 5,
        Health::Gone => 6,
    }
}

fn kind(kind: &str) -> &'static str {
    match kind {
        "engine" => "engine",
        "container" => "container",
        "interface" => "interface",
        "disk" => "disk",
        "node" => "node",
        _ => "device",
    }
}

#[cfg(test)]
mod tests {
    use crate::diagnosis::rules::trial::{Trial, gpu};
    use crate::schema::{DeviceProcess, DeviceState, Engine, EventKind, Health};

    fn health(trial: &Trial, subject: &str) -> Health {
        let all = trial.stage.assessments();
        all.iter().find(|of| of.subject == subject).expect("assessed").health
    }

    #[test]
    fn a_silent_driver_makes_suspect_and_a_lost_device_its_engine_as_well() {
        let mut trial = Trial::new();
        let mut device = gpu(0);
        let parts = device.accelerator.as_mut().expect("a GPU");
        parts.processes = vec![DeviceProcess { process: 7, ..DeviceProcess::default() }];
        trial.device(&device);
        trial.device(&gpu(1));
        trial.engine(&Engine { process: 7, ..Engine::named("e", "m") });
        for subject in ["gpu0", "e", "node1"] {
            assert_eq!(health(&trial, subject), Health::Healthy, "{subject}");
        }
        trial.event(EventKind::SourceHangs, "gpu1", "hangs");
        assert_eq!(health(&trial, "gpu1"), Health::Suspect);
        device.accelerator.as_mut().expect("a GPU").state = DeviceState::Gone;
        trial.device(&device);
        trial.seconds(5);
        assert_eq!(health(&trial, "gpu0"), Health::Gone);
        assert_eq!(health(&trial, "e"), Health::Suspect);
        assert_eq!(health(&trial, "node1"), Health::Degraded);
        let since = |trial: &Trial| trial.stage.assessments()[0].since_wall_ns;
        let before = since(&trial);
        trial.seconds(60);
        assert_eq!(since(&trial), before);
    }
}
