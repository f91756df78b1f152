//! Which devices each engine works on, and what of them matters to a router.
//!
//! A device belongs to an engine when a process that works on it is the
//! engine's own, descends from it, runs in its container, or, where nobody
//! else's does, shares its process group: an engine's workers are other processes than the one that
//! reports. No orchestrator is asked.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use crate::newest::{Names, ReadingTableView};
use crate::platform::clock::SECOND_NS;
use crate::schema::{
    Assessment, Device, DeviceLoad, DeviceProcess, ENGINE_DEVICES_MAX, Engine, EngineDetails,
    Health, MetricId,
};

/// How often it is told.
const PERIOD_NS: u64 = SECOND_NS;

/// Generations of a process that are looked through.
const ANCESTORS_MAX: usize = 8;

/// Joins engines and devices, and tells what is new once a second.
pub(super) struct Hardware {
    names: Names,
    readings: ReadingTableView,
    host_root: PathBuf,
    version: Option<u64>,
    under: Vec<Under>,
    due_ns: u64,
}

/// The devices under one engine.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Under {
    instance: u64,
    incarnation: u64,
    devices: Vec<(u32, String)>,
}

/// What `/proc/<pid>/stat` says of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Kin {
    parent: u32,
    group: u32,
}

impl Hardware {
    pub(super) fn new(names: Names, readings: ReadingTableView, host_root: PathBuf) -> Self {
        Self { names, readings, host_root, version: None, under: Vec::new(), due_ns: 0 }
    }

    /// Tells what matters of the devices under each engine, where it is time.
    pub(super) fn look(&mut self, now_ns: u64) {
        if now_ns < self.due_ns {
            return;
        }
        self.due_ns = now_ns + PERIOD_NS;
        if self.version != Some(self.names.version()) {
            self.version = Some(self.names.version());
            let root = self.host_root.clone();
            let under = join(&self.names, |process| kin(&root, process));
            for before in &self.under {
                if !under.iter().any(|of| of.instance == before.instance) {
                    self.tell(before, Vec::new());
                }
            }
            self.under = under;
        }
        if self.under.is_empty() {
            return;
        }
        let assessments = self.names.judged().assessments();
        let readings: Vec<_> = self.readings.iter().collect();
        for under in &self.under {
            let loads = under
                .devices
                .iter()
                .map(|(index, name)| {
                    let of = readings.iter().filter(|reading| reading.device == *index);
                    load(name, of.map(|of| (of.metric, of.time_ns, of.value)), &assessments)
                })
                .collect();
            self.tell(under, loads);
        }
    }

    fn tell(&self, under: &Under, devices: Vec<DeviceLoad>) {
        self.names.details().put(EngineDetails {
            instance: under.instance,
            incarnation: under.incarnation,
            rank: EngineDetails::BY_AGENT,
            producer: EngineDetails::BY_AGENT,
            devices,
            ..EngineDetails::default()
        });
    }
}

fn join(names: &Names, kin: impl Fn(u32) -> Option<Kin>) -> Vec<Under> {
    let devices: Vec<Device> =
        names.devices().into_iter().filter(|device| device.accelerator.is_some()).collect();
    if devices.is_empty() {
        return Vec::new();
    }
    let engines = names.engines();
    let mut under: Vec<Under> = engines
        .iter()
        .map(|engine| Under {
            instance: engine.instance,
            incarnation: engine.incarnation,
            devices: Vec::new(),
        })
        .collect();
    for device in &devices {
        let is_own = |engine: &Engine| owns(engine, device, &kin);
        let any_own = engines.iter().any(is_own);
        for (engine, under) in engines.iter().zip(&mut under) {
            // Two engines that one script started share a group: that counts
            // only where nothing better is known.
            let is_under =
                if any_own { is_own(engine) } else { shares_group(engine, device, &kin) };
            if is_under && under.devices.len() < ENGINE_DEVICES_MAX {
                under.devices.push((device.index, device.name.clone()));
            }
        }
    }
    under.retain(|under| !under.devices.is_empty());
    under
}

fn processes(device: &Device) -> impl Iterator<Item = &DeviceProcess> {
    let of = device.accelerator.iter().flat_map(|of| &of.processes);
    of.filter(|process| process.process != 0)
}

/// Whether a process of this engine, of its children or of its container works
/// on this device.
fn owns(engine: &Engine, device: &Device, kin: &impl Fn(u32) -> Option<Kin>) -> bool {
    processes(device).any(|process| {
        let same_container = !engine.container.is_empty() && process.container == engine.container;
        same_container || (engine.process != 0 && descends(process.process, engine.process, kin))
    })
}

fn shares_group(engine: &Engine, device: &Device, kin: &impl Fn(u32) -> Option<Kin>) -> bool {
    if engine.process == 0 {
        return false;
    }
    let Some(group) = kin(engine.process).map(|of| of.group) else { return false };
    processes(device).any(|process| kin(process.process).is_some_and(|of| of.group == group))
}

fn descends(mut process: u32, from: u32, kin: &impl Fn(u32) -> Option<Kin>) -> bool {
    for _ in 0..ANCESTORS_MAX {
        if process == from {
            return true;
        }
        match kin(process) {
            Some(Kin { parent, .. }) if parent > 1 => process = parent,
            _ => return false,
        }
    }
    false
}

fn kin(host_root: &Path, process: u32) -> Option<Kin> {
    let mut bytes = [0; 512];
    let path = host_root.join("proc").join(process.to_string()).join("stat");
    let count = fs::File::open(path).ok()?.read(&mut bytes).ok()?;
    kin_of(&bytes[..count])
}

/// The name of a process may hold anything, also parentheses: what counts
/// begins behind the last one.
fn kin_of(stat: &[u8]) -> Option<Kin> {
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(&stat[end + 1..]).ok()?;
    let mut fields = rest.split_ascii_whitespace().skip(1);
    Some(Kin { parent: fields.next()?.parse().ok()?, group: fields.next()?.parse().ok()? })
}

fn load(
    name: &str,
    readings: impl Iterator<Item = (u16, u64, f64)>,
    assessments: &[Assessment],
) -> DeviceLoad {
    let assessment =
        assessments.iter().find(|of| of.subject_kind == "device" && of.subject == name);
    let mut load = DeviceLoad {
        device: name.to_owned(),
        health: assessment.map_or(Health::Unknown, |of| of.health),
        ..DeviceLoad::default()
    };
    let mut oldest_ns = u64::MAX;
    for (metric, time_ns, value) in readings {
        let single = Some(value as f32);
        match MetricId::from_number(metric) {
            Some(MetricId::AcceleratorThrottled) => load.throttled = Some(value != 0.0),
            Some(MetricId::AcceleratorTemperature) => load.temperature_celsius = single,
            Some(MetricId::AcceleratorPower) => load.power_watts = single,
            Some(MetricId::AcceleratorPowerLimit) => load.power_limit_watts = single,
            Some(MetricId::AcceleratorUtilization) => load.utilization = single,
            Some(MetricId::AcceleratorMemoryUsed) => load.memory_used_bytes = Some(value),
            Some(MetricId::AcceleratorMemoryTotal) => load.memory_total_bytes = Some(value),
            Some(MetricId::AcceleratorEccUncorrected) => load.errors = Some(value),
            _ => continue,
        }
        oldest_ns = oldest_ns.min(time_ns);
    }
    load.sampled_ns = if oldest_ns == u64::MAX { 0 } else { oldest_ns };
    load
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::newest::ReadingTable;
    use crate::schema::{Accelerator, Reading, name_hash};

    fn device(names: &Names, name: &str, processes: &[(u32, &str)]) -> u32 {
        let index = names.device("gpu", name).unwrap();
        let process = |(process, container): &(u32, &str)| DeviceProcess {
            process: *process,
            container: (*container).to_owned(),
            ..DeviceProcess::default()
        };
        let accelerator = Accelerator {
            processes: processes.iter().map(process).collect(),
            ..Accelerator::default()
        };
        names.put_device(Device {
            index,
            name: name.into(),
            kind: "gpu".into(),
            accelerator: Some(Box::new(accelerator)),
            ..Device::default()
        });
        index
    }

    #[test]
    fn an_engine_s_devices_are_those_of_its_kin_or_its_container() {
        let names = Names::new("n");
        let engine = |name: &str, process, container: &str| Engine {
            process,
            container: container.into(),
            ..Engine::named(name, "m")
        };
        names.put_engine(engine("parent", 100, ""));
        names.put_engine(engine("boxed", 0, "c0ffee"));
        names.put_engine(engine("grouped", 300, ""));
        names.put_engine(engine("nowhere", 0, ""));
        device(&names, "gpu0", &[(102, "")]);
        device(&names, "gpu1", &[(7, "c0ffee"), (0, "")]);
        device(&names, "gpu2", &[(301, "")]);
        device(&names, "gpu3", &[(999, "")]);
        names.device("cpu", "cpu0");
        let kin = |process| {
            Some(match process {
                102 => Kin { parent: 101, group: 102 },
                101 => Kin { parent: 100, group: 101 },
                100 => Kin { parent: 1, group: 100 },
                300 | 301 => Kin { parent: 1, group: 299 },
                _ => return None,
            })
        };
        let under: Vec<(u64, Vec<String>)> = join(&names, kin)
            .into_iter()
            .map(|of| (of.instance, of.devices.into_iter().map(|(_, name)| name).collect()))
            .collect();
        assert_eq!(
            under,
            [
                (name_hash("boxed"), vec!["gpu1".to_owned()]),
                (name_hash("grouped"), vec!["gpu2".to_owned()]),
                (name_hash("parent"), vec!["gpu0".to_owned()]),
            ]
        );
    }

    #[test]
    fn what_is_told_has_its_own_time_and_ends_with_the_process() {
        let names = Names::new("n");
        names.put_engine(Engine { container: "c".into(), ..Engine::named("a", "m") });
        let gpu = device(&names, "gpu0", &[(5, "c")]);
        let table = ReadingTable::heap(8);
        let mut cells = Vec::new();
        for (metric, at_ns, value) in [
            (MetricId::AcceleratorThrottled, 70, 1.0),
            (MetricId::AcceleratorPower, 60, 650.5),
            (MetricId::LoadOne, 5, 3.0),
        ] {
            let mut cell = table.cell().unwrap();
            cell.write(&Reading::new(gpu, metric, at_ns, value));
            cells.push(cell);
        }
        let failed = Assessment {
            subject: "gpu0".into(),
            subject_kind: "device".into(),
            health: Health::Failed,
            ..Assessment::default()
        };
        names.judged().assess(vec![failed]);
        let mut hardware = Hardware::new(names.clone(), table.view(), "/nowhere".into());
        hardware.look(SECOND_NS);
        let told = names.details().since(0);
        let load = &told[0].1.devices[0];
        assert_eq!(
            (load.throttled, load.power_watts, load.sampled_ns),
            (Some(true), Some(650.5), 60)
        );
        assert_eq!((load.health, load.utilization), (Health::Failed, None));
        device(&names, "gpu0", &[]);
        hardware.look(SECOND_NS + 1);
        assert_eq!(names.details().since(0)[0].1.devices.len(), 1, "not yet time");
        hardware.look(2 * SECOND_NS);
        assert!(names.details().since(0)[0].1.devices.is_empty());
    }

    #[test]
    fn a_process_may_have_any_name() {
        let said = kin_of(b"12 (a) b) (c)) S 7 9 9 0 -1");
        assert_eq!(said, Some(Kin { parent: 7, group: 9 }));
        for bad in [&b""[..], b"12 (a", b"12 (a) S", b"12 (a) S x y", b"12 (a) S 7 \xff"] {
            assert_eq!(kin_of(bad), None, "{bad:?}");
        }
        let own = kin(Path::new("/"), std::process::id()).unwrap();
        assert!(own.parent > 0 && own.group > 0);
    }
}
