//! Which devices there are. Reads names and labels only; those that come from
//! memory before those that may ask firmware, so that a hang costs little.

use super::kind::Kind;
use super::plan::{Place, Plan};
use super::reach::{Reach, Tell};
use super::rows;
use crate::schema::MetricId;

/// Everything that is here.
pub(super) fn discover(reach: &mut Reach<impl Tell>) -> Plan {
    let mut plan = Plan::new(reach);
    throttles(reach, &mut plan);
    interfaces(reach, &mut plan);
    memory(reach, &mut plan);
    nvme(reach, &mut plan);
    pci(reach, &mut plan);
    infiniband(reach, &mut plan);
    thermal(reach, &mut plan);
    sensors(reach, &mut plan);
    plan
}

/// `prefix` and a number.
fn is_numbered(name: &str, prefix: &str) -> bool {
    name.strip_prefix(prefix)
        .is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}

/// Threads of one core show the core's count, and cores of one package the
/// package's: the first of each counts.
fn throttles(reach: &mut Reach<impl Tell>, plan: &mut Plan) {
    const CPUS: &str = "devices/system/cpu";
    let (mut cores, mut packages) = (Vec::new(), Vec::new());
    for cpu in reach.names(CPUS, |name| is_numbered(name, "cpu")) {
        let folder = format!("{CPUS}/{cpu}");
        for (count, list, files) in [
            ("core_throttle_count", "thread_siblings_list", &mut cores),
            ("package_throttle_count", "core_siblings_list", &mut packages),
        ] {
            let file = format!("{folder}/thermal_throttle/{count}");
            if !reach.has(&file) {
                continue;
            }
            let siblings = reach.word(&format!("{folder}/topology/{list}"));
            let first = siblings.split([',', '-']).next().unwrap_or_default();
            if first.is_empty() || cpu.strip_prefix("cpu") == Some(first) {
                files.push(file);
            }
        }
    }
    plan.add_sum(MetricId::CoreThrottles, cores);
    plan.add_sum(MetricId::PackageThrottles, packages);
}

/// Those with hardware behind them, and bonds of such; not the many that
/// containers bring, nor functions that are lent to virtual machines.
fn interfaces(reach: &mut Reach<impl Tell>, plan: &mut Plan) {
    for name in reach.names("class/net", |name| name != "lo") {
        let folder = format!("class/net/{name}");
        let physical = reach.has(&format!("{folder}/device"))
            && !reach.has(&format!("{folder}/device/physfn"));
        if physical || reach.has(&format!("{folder}/bonding")) {
            let place = Place::new(&folder);
            plan.add(reach, (Kind::Interface, name), place, rows::INTERFACE, &[]);
        }
    }
}

fn memory(reach: &mut Reach<impl Tell>, plan: &mut Plan) {
    const CONTROLLERS: &str = "devices/system/edac/mc";
    for controller in reach.names(CONTROLLERS, |name| is_numbered(name, "mc")) {
        let folder = format!("{CONTROLLERS}/{controller}");
        let device = (Kind::MemoryController, controller.clone());
        plan.add(reach, device, Place::new(&folder), rows::MEMORY_CONTROLLER, &[]);
        let modules =
            reach.names(&folder, |name| is_numbered(name, "dimm") || is_numbered(name, "rank"));
        for module in &modules {
            let place = format!("{folder}/{module}");
            let label = reach.word(&format!("{place}/dimm_label"));
            let name = format!("{controller}/{module} {label}").trim_end().to_owned();
            plan.add(reach, (Kind::Dimm, name), Place::new(&place), rows::DIMM, &[]);
        }
        if modules.is_empty() {
            for row in reach.names(&folder, |name| is_numbered(name, "csrow")) {
                let place = format!("{folder}/{row}");
                let device = (Kind::Dimm, format!("{controller}/{row}"));
                plan.add(reach, device, Place::new(&place), rows::CHIP_SELECT_ROW, &[]);
            }
        }
    }
}

fn nvme(reach: &mut Reach<impl Tell>, plan: &mut Plan) {
    for name in reach.names("class/nvme", |name| is_numbered(name, "nvme")) {
        let folder = format!("class/nvme/{name}");
        plan.add(reach, (Kind::Nvme, name), Place::new(&folder), rows::NVME, &[]);
    }
}

/// GPUs and other accelerators, network cards, NVMe drives, and the bridges
/// above them; physical functions only.
fn pci(reach: &mut Reach<impl Tell>, plan: &mut Plan) {
    const DEVICES: &str = "bus/pci/devices";
    let mut bridges = Vec::new();
    for address in reach.names(DEVICES, |_| true) {
        let folder = format!("{DEVICES}/{address}");
        if reach.has(&format!("{folder}/physfn")) {
            continue;
        }
        let class = reach.word(&format!("{folder}/class"));
        match class.get(2..6).unwrap_or_default() {
            "0604" => bridges.push((address, folder)),
            "0108" => endpoint(reach, plan, address, &folder),
            of if ["02", "03", "12"].iter().any(|base| of.starts_with(base)) => {
                endpoint(reach, plan, address, &folder);
            }
            _ => {}
        }
    }
    // A large machine has hundreds: endpoints find room first.
    for (address, folder) in bridges {
        plan.add(reach, (Kind::Pci, address), Place::new(&folder), rows::PCI_BRIDGE, &[]);
    }
}

fn endpoint(reach: &mut Reach<impl Tell>, plan: &mut Plan, address: String, folder: &str) {
    let fixed: Vec<_> = rows::PCI_ENDPOINT_FIXED
        .iter()
        .map(|row| (format!("{folder}/{}", row.file), row))
        .collect();
    plan.add(reach, (Kind::Pci, address), Place::new(folder), rows::PCI_ENDPOINT, &fixed);
}

fn infiniband(reach: &mut Reach<impl Tell>, plan: &mut Plan) {
    for adapter in reach.names("class/infiniband", |_| true) {
        let ports = format!("class/infiniband/{adapter}/ports");
        for port in reach.names(&ports, |name| is_numbered(name, "")) {
            let folder = format!("{ports}/{port}");
            let device = (Kind::InfinibandPort, format!("{adapter}/{port}"));
            plan.add(reach, device, Place::new(&folder), rows::INFINIBAND_PORT, &[]);
        }
    }
}

fn thermal(reach: &mut Reach<impl Tell>, plan: &mut Plan) {
    for zone in reach.names("class/thermal", |name| is_numbered(name, "thermal_zone")) {
        let folder = format!("class/thermal/{zone}");
        let name =
            format!("{zone} {}", reach.word(&format!("{folder}/type"))).trim_end().to_owned();
        let is_trip = |name: &str| name.starts_with("trip_point_") && name.ends_with("_type");
        let trips = reach.names(&folder, is_trip);
        let critical =
            trips.iter().find(|trip| reach.word(&format!("{folder}/{trip}")) == "critical");
        let fixed = critical.map(|trip| {
            let row = &rows::THERMAL_ZONE_FIXED[0];
            (format!("{folder}/{}{}", trip.trim_end_matches("_type"), row.file), row)
        });
        let place = Place::new(&folder);
        let device = (Kind::ThermalZone, name);
        plan.add(reach, device, place, rows::THERMAL_ZONE, fixed.as_slice());
    }
}

/// Named by chip, the device behind it and the sensor's own label: the number
/// of a `hwmon` changes from boot to boot.
fn sensors(reach: &mut Reach<impl Tell>, plan: &mut Plan) {
    for chip in reach.names("class/hwmon", |name| is_numbered(name, "hwmon")) {
        let folder = format!("class/hwmon/{chip}");
        let inputs = reach.names(&folder, |name| {
            name.strip_suffix("_input").is_some_and(|sensor| is_numbered(sensor, "temp"))
        });
        if inputs.is_empty() {
            continue;
        }
        let kind = reach.word(&format!("{folder}/name"));
        let behind = reach.link(&format!("{folder}/device"));
        let behind = if behind.is_empty() { &chip } else { &behind };
        for input in inputs {
            let sensor = input.trim_end_matches("_input");
            let label = reach.word(&format!("{folder}/{sensor}_label"));
            let label = if label.is_empty() { sensor } else { &label };
            let fixed: Vec<_> = rows::SENSOR_FIXED
                .iter()
                .map(|row| (format!("{folder}/{sensor}{}", row.file), row))
                .collect();
            let place = Place { folder: &folder, prefix: sensor };
            let device = (Kind::Sensor, format!("{kind} {behind} {label}"));
            plan.add(reach, device, place, rows::SENSOR, &fixed);
        }
    }
}
