//! The door of this sampler, without a process: whole rounds over captured
//! trees, told to a list.

use std::path::Path;

use super::known::Known;
use super::listening::Heard;
use super::reading::Reading;
use super::record::{Message, RECORD_BYTES, decode};
use super::*;
use crate::samplers::NeedState;
use crate::samplers::procfs::Absence;

#[path = "../../../tests/it/hardware_sys/tree.rs"]
mod tree;

use tree::{SERVER, Tree};

/// What a round over `sys` brings.
fn round(sys: &Path) -> (Heard, Vec<(Absence, u32)>) {
    let mut reading = Reading::new(sys, Vec::new()).unwrap();
    reading.round(7, true);
    let records: Vec<[u8; RECORD_BYTES]> = std::mem::take(reading.parent());
    let (mut known, mut heard, mut absent) = (Known::default(), Heard::default(), Vec::new());
    let mut text = String::new();
    known.begin_round(&mut heard);
    for record in &records {
        match decode(record, &mut text).unwrap() {
            Message::Device(number, kind, name) => {
                known.device(number, kind, name, &mut heard).unwrap();
            }
            Message::Value(number, metric, value) => {
                known.value(number, metric, value, 1, &mut heard).unwrap();
            }
            Message::Absent(why, times) => absent.push((why, times)),
            Message::Hello | Message::At(_) | Message::Done(7) => {}
            other => panic!("a child does not say {other:?}"),
        }
    }
    known.end_round(&mut heard);
    (heard, absent)
}

#[test]
fn metrics_stand_in_ascending_order() {
    assert!(METRICS.is_sorted());
    assert!(METRICS.len() < 128);
}

#[test]
fn a_captured_server_shows_every_metric_of_ours() {
    let own = [MetricId::SourcesHanging, MetricId::ChildrenStuck, MetricId::HardwareAbsent];
    let (heard, _) = round(&Tree::plant(SERVER).sys());
    let seen = heard.metrics();
    let unseen: Vec<_> =
        METRICS.iter().filter(|metric| !seen.contains(metric) && !own.contains(metric)).collect();
    assert!(unseen.is_empty(), "the captured server shows no {unseen:?}");
}

#[test]
fn a_captured_server_is_seen_as_it_is() {
    let (heard, absent) = round(&Tree::plant(SERVER).sys());
    let (gpu, nic, nvme, root) = ("0000:17:00.0", "0000:18:00.0", "0000:19:00.0", "0000:16:01.0");
    let asleep = "0000:1a:00.0";
    let expected: [(&str, &[(&str, f64)]); 20] = [
        ("memory_errors_corrected_total", &[("mc0", 3.0), ("mc1", 0.0)]),
        ("memory_errors_uncorrected_total", &[("mc0", 0.0), ("mc1", 1.0)]),
        (
            "dimm_errors_corrected_total",
            &[
                ("mc0/dimm0 CPU_SrcID#0_MC#0_Chan#0_DIMM#0", 2.0),
                ("mc0/dimm1", 0.0),
                ("mc1/csrow0", 0.0),
            ],
        ),
        (
            "pcie_errors_corrected_total",
            &[(root, 0.0), (gpu, 13.0), (nic, 0.0), (nvme, 0.0), (asleep, 0.0)],
        ),
        (
            "pcie_surprise_downs_total",
            &[(root, 0.0), (gpu, 1.0), (nic, 0.0), (nvme, 0.0), (asleep, 0.0)],
        ),
        ("pcie_root_errors_nonfatal_total", &[(root, 7.0)]),
        ("pcie_link_transfers_per_second", &[(gpu, 16e9), (nic, 32e9), (nvme, 16e9)]),
        ("pcie_link_transfers_per_second_max", &[(gpu, 32e9), (nic, 32e9), (nvme, 16e9)]),
        ("pcie_link_lanes", &[(gpu, 8.0), (nic, 16.0), (nvme, 4.0)]),
        ("nvme_live", &[("nvme0", 1.0)]),
        ("interface_up", &[("bond0", 1.0), ("eth0", 1.0)]),
        ("interface_speed_bytes", &[("bond0", 12.5e9), ("eth0", 12.5e9)]),
        ("infiniband_receive_bytes_total", &[("mlx5_0/1", 4000.0)]),
        ("infiniband_rate_bytes", &[("mlx5_0/1", 12.5e9)]),
        ("infiniband_port_active", &[("mlx5_0/1", 1.0)]),
        ("roce_congestion_notifications_sent_total", &[("mlx5_0/1", 15.0)]),
        (
            "thermal_zone_celsius",
            &[("thermal_zone0 acpitz", 27.8), ("thermal_zone1 x86_pkg_temp", 61.0)],
        ),
        ("thermal_zone_critical_celsius", &[("thermal_zone0 acpitz", 119.0)]),
        (
            "sensor_celsius",
            &[
                ("coretemp coretemp.0 Core 0", 58.0),
                ("coretemp coretemp.0 Package id 0", 61.0),
                ("nvme nvme0 Composite", 38.85),
            ],
        ),
        ("cpu_core_throttles_total", &[("node", 21.0)]),
    ];
    for (metric, expected) in expected {
        assert_eq!(heard.values(metric), expected, "{metric}");
    }
    assert_eq!(absent, [(Absence::Malformed, 1)], "the drive's second sensor is not there");
}

#[test]
fn a_sum_that_lacks_a_part_is_absent_not_smaller() {
    let tree = Tree::plant(SERVER);
    tree.write("devices/system/cpu/cpu1/thermal_throttle/core_throttle_count", "x");
    let (heard, absent) = round(&tree.sys());
    assert!(heard.values("cpu_core_throttles_total").is_empty());
    assert_eq!(absent, [(Absence::Malformed, 2)]);
}

#[test]
fn sensors_of_one_label_are_told_apart() {
    let tree = Tree::plant(SERVER);
    tree.write("class/hwmon/hwmon0/temp2_label", "Package id 0");
    let (heard, _) = round(&tree.sys());
    let names: Vec<_> = heard.values("sensor_celsius").iter().map(|(name, _)| *name).collect();
    let expected = ["coretemp coretemp.0 Package id 0", "coretemp coretemp.0 Package id 0 temp2"];
    assert_eq!(names[..2], expected);
}

#[test]
fn devices_beyond_their_limit_are_refused_and_counted() {
    let tree = Tree::empty();
    for number in 0..100 {
        tree.write(&format!("class/nvme/nvme{number}/state"), "live");
    }
    let (heard, absent) = round(&tree.sys());
    assert_eq!(heard.values("nvme_live").len(), Kind::Nvme.devices_max());
    assert_eq!(absent, [(Absence::DeviceRefused, 36)]);
}

#[test]
fn whatever_stands_in_the_files_is_survived() {
    let long = "9".repeat(5000);
    for junk in ["", "-", "\0", "99999999999999999999999", "\u{1b}[31m", long.as_str()] {
        let line = |line: &str| match line.split_once(": ") {
            Some((path, _)) if !line.starts_with('#') => format!("{path}: {junk}\n"),
            _ => format!("{line}\n"),
        };
        let text: String = SERVER.lines().map(line).collect();
        let (heard, absent) = round(&Tree::plant(&text).sys());
        assert_eq!(heard.metrics().len(), 0, "{junk:?}");
        assert!(!absent.is_empty());
    }
}

#[test]
fn an_empty_sys_is_not_here_and_a_server_s_is_as_doctor_says() {
    let (empty, server) = (Tree::empty(), Tree::plant(SERVER));
    let look = |tree: &Tree| Context::to_look(tree.root().to_owned(), tree.root().to_owned());
    assert!(matches!(open(&look(&empty), &Settings::default()), Opened::NotHere(_)));
    let needs = (ENTRY.needs)(&look(&empty), &Settings::default());
    assert_eq!(needs[0].state, NeedState::Trouble, "no class folder: no sysfs");
    let needs = (ENTRY.needs)(&look(&server), &Settings::default());
    let fine = needs.iter().filter(|need| need.state == NeedState::Fine);
    assert_eq!(fine.count(), 8, "{needs:#?}");
}

#[test]
fn settings_say_what_they_allow() {
    let check = |key: &str, value: &str| {
        let setting = SETTINGS.iter().find(|setting| setting.key == key).unwrap();
        (setting.check)(value).is_ok()
    };
    for (key, value, fits) in [
        ("silence_ms", "1000", true),
        ("silence_ms", "49", false),
        ("discover_s", "5", false),
        ("leave_out", "", true),
        ("leave_out", "class/hwmon/hwmon3, class/net/", true),
        ("leave_out", "/sys/class/net", false),
        ("leave_out", &"a,".repeat(17), false),
    ] {
        assert_eq!(check(key, value), fits, "{key} = {value}");
    }
    assert_eq!(left_out("class/hwmon/hwmon3, class/net/,"), ["class/hwmon/hwmon3", "class/net"]);
}
