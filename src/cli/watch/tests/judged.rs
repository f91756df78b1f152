//! Accelerators and verdicts: their screens, their keys, their words.

use super::*;
use crate::newest::Names;
use crate::schema::{
    Accelerator as Said, Action, Assessment, Device, DeviceLoad, DeviceProcess,
    DeviceState as State, Evidence, Health, Verdict, VerdictState,
};

const GIB: f64 = 1024.0 * 1024.0 * 1024.0;

/// One accelerator's numbers: temperature, power, share of time, memory used.
struct Load(f64, f64, f64, f64);

impl Node {
    fn accelerator(&mut self, name: &str, state: State, load: Option<&Load>) {
        let index = self.names.device("gpu", name).expect("room for every device");
        let said = Said {
            device_model: "NVIDIA H100 80GB HBM3".to_owned(),
            driver: "570.86.15".to_owned(),
            state,
            state_since_wall_ns: WALL - 743 * SECOND,
            processes: vec![DeviceProcess::default(); 2],
            simulated: name == "gpu3",
            ..Said::default()
        };
        let (name, kind, accelerator) = (name.to_owned(), "gpu".to_owned(), Some(Box::new(said)));
        self.names.put_device(Device { index, name, kind, accelerator, ..Device::default() });
        let Some(Load(celsius, watts, share, used)) = load else { return };
        let hot = if *celsius > 90.0 { 1.0 } else { 0.0 };
        for (metric, value) in [
            (MetricId::AcceleratorTemperature, *celsius),
            (MetricId::AcceleratorTemperatureSlowdown, 92.0),
            (MetricId::AcceleratorPower, *watts),
            (MetricId::AcceleratorPowerLimit, 700.0),
            (MetricId::AcceleratorUtilization, *share),
            (MetricId::AcceleratorMemoryUsed, used * GIB),
            (MetricId::AcceleratorMemoryTotal, 80.0 * GIB),
            (MetricId::AcceleratorThrottled, hot),
            (MetricId::AcceleratorThrottleThermalHardware, hot),
            (MetricId::AcceleratorEccUncorrected, hot * 2.0),
        ] {
            let mut cell = self.readings.cell().expect("room for every reading");
            cell.write(&Reading::new(index, metric, NOW - 100 * MS, value));
            self.cells.push(cell);
        }
    }
}

fn assess(names: &Names, said: &[(&str, &str, Health)]) {
    let of = |(kind, subject, health): &(&str, &str, Health)| Assessment {
        subject_kind: (*kind).to_owned(),
        subject: (*subject).to_owned(),
        health: *health,
        since_wall_ns: WALL - 700 * SECOND,
        verdicts: Vec::new(),
    };
    names.judged().assess(said.iter().map(of).collect());
}

fn verdict(id: u64, severity: Severity, subject: &str, text: &str) -> Verdict {
    Verdict {
        id,
        revision: 1,
        severity,
        state: VerdictState::Open,
        rule: "xid_fault".to_owned(),
        subject: subject.to_owned(),
        subject_kind: "device".to_owned(),
        text: text.to_owned(),
        since_wall_ns: WALL - id * 100 * SECOND,
        wall_ns: WALL - id * 90 * SECOND,
        count: id,
        confidence: 0.95,
        ..Verdict::default()
    }
}

/// Four devices, of which one is hot, one gone and one silent.
fn ill() -> Node {
    let mut node = three();
    node.accelerator("gpu0", State::Present, Some(&Load(48.0, 412.0, 0.93, 71.2)));
    node.accelerator("gpu1", State::Present, Some(&Load(93.0, 699.0, 1.0, 79.1)));
    node.accelerator("gpu2", State::Gone, None);
    node.accelerator("gpu3", State::Present, Some(&Load(31.0, 72.0, 0.0, 0.5)));
    node.accelerator("gpu10", State::Silent, None);
    assess(
        &node.names,
        &[
            ("device", "gpu0", Health::Healthy),
            ("device", "gpu1", Health::Degraded),
            ("device", "gpu2", Health::Gone),
            ("device", "gpu3", Health::Healthy),
            ("engine", "10.0.0.7:8000", Health::Failed),
            ("engine", "10.0.0.7:8001", Health::Degraded),
            ("engine", "10.0.0.8:8000", Health::Healthy),
            ("node", "node-a", Health::Degraded),
        ],
    );
    let load = |device: &str| DeviceLoad { device: device.to_owned(), ..DeviceLoad::default() };
    for (engine, devices) in
        [("10.0.0.7:8000", vec![load("gpu2")]), ("10.0.0.7:8001", vec![load("gpu0"), load("gpu1")])]
    {
        node.names.details().put(EngineDetails {
            instance: Engine::named(engine, "").instance,
            rank: EngineDetails::BY_AGENT,
            producer: EngineDetails::BY_AGENT,
            devices,
            ..EngineDetails::default()
        });
    }
    for of in verdicts_of_all_kinds() {
        node.names.judged().put(of);
    }
    node
}

/// A cause with consequences, one that is silenced, one that is over, causes in
/// a ring, and texts that are hostile.
fn verdicts_of_all_kinds() -> [Verdict; 9] {
    let fallen = Verdict {
        cause: "The device stopped answering on the PCIe bus.".to_owned(),
        action: Action::RebootNode,
        impact: vec!["10.0.0.7:8000".to_owned()],
        steps: vec![
            "Drain the node.".to_owned(),
            "Reboot it; if it comes back, replace it.".to_owned(),
        ],
        page: "docs/rules/xid_fault.md".to_owned(),
        evidence: vec![Evidence {
            wall_ns: WALL - 300 * SECOND,
            source: "kmsg".to_owned(),
            text: "NVRM: Xid (PCI:0000:5c:00): 79, GPU has fallen off the bus.\u{1b}[2J".to_owned(),
            ..Evidence::default()
        }],
        ..verdict(3, Severity::Critical, "gpu2", "GPU has fallen off the bus (Xid 79).")
    };
    let caused = |id, by, severity, subject: &str, text: &str| Verdict {
        caused_by: by,
        ..verdict(id, severity, subject, text)
    };
    let hot = Verdict {
        evidence: vec![Evidence {
            metric: MetricId::AcceleratorTemperature as u16,
            value: 93.0,
            limit: Some(92.0),
            ..Evidence::default()
        }],
        ..verdict(4, Severity::Warning, "gpu1", "Slowed down by heat: 93 °C of 92 °C.")
    };
    let silenced = Verdict {
        silenced_until_wall_ns: WALL + 3600 * SECOND,
        silenced_by: "maintenance".to_owned(),
        ..verdict(5, Severity::Error, "eth\u{202e}0", "The link\r\n is down.")
    };
    let over = Verdict {
        state: VerdictState::Resolved,
        ..verdict(9, Severity::Error, "nvme0", "The disk did not answer.")
    };
    [
        fallen,
        hot,
        silenced,
        over,
        caused(6, 3, Severity::Error, "10.0.0.7:8000", "The engine lost its device."),
        caused(7, 6, Severity::Warning, "10.0.0.7:8000", "Requests wait."),
        // Causes in a ring, and one that is not here.
        caused(11, 12, Severity::Info, "a", "Caused by the other."),
        caused(12, 11, Severity::Info, "b", "Caused by the first."),
        caused(13, 99, Severity::Info, "c", "Its cause is not here."),
    ]
}

#[test]
fn screens_of_accelerators_and_verdicts_look_as_last_found_good() {
    let on = |tab| Ui { tab, ..Ui::default() };
    let (empty, ill) = (Node::new().screen(), ill().screen());
    let chosen = |row| Ui { place: Place::at(row), ..on(Tab::Verdicts) };
    let detail = |row| Ui { detail: true, ..chosen(row) };
    let found = Ui { query: "degraded".to_owned(), ..on(Tab::Devices) };
    for (name, screen, ui, columns, rows) in [
        ("accelerators_empty", &empty, on(Tab::Devices), 80, 24),
        ("accelerators", &ill, on(Tab::Devices), 80, 24),
        ("accelerators_wide", &ill, on(Tab::Devices), 200, 30),
        ("accelerators_roomy", &ill, on(Tab::Devices), 150, 20),
        ("accelerators_narrow", &ill, on(Tab::Devices), 48, 12),
        ("accelerators_tiny", &ill, on(Tab::Devices), 20, 6),
        ("accelerators_found", &ill, found, 80, 12),
        ("judged_engines", &ill, on(Tab::Engines), 80, 12),
        ("judged_engines_wide", &ill, on(Tab::Engines), 150, 12),
        ("verdicts_empty", &empty, on(Tab::Verdicts), 80, 24),
        ("verdicts", &ill, on(Tab::Verdicts), 80, 24),
        ("verdicts_wide", &ill, chosen(2), 150, 20),
        ("verdicts_narrow", &ill, on(Tab::Verdicts), 40, 14),
        ("verdicts_detail", &ill, detail(0), 80, 24),
        ("verdicts_detail_wide", &ill, detail(2), 150, 40),
    ] {
        let text = lines(&drawn(screen, &ui, columns, rows));
        check(&format!("tests/captures/screens/{name}.txt"), &text);
    }
    check("tests/captures/screens/judged_plain.txt", &plain(&ill));
}

#[test]
fn json_carries_devices_verdicts_and_assessments() {
    let json: serde_json::Value = serde_json::from_str(&json(&ill().screen())).unwrap();
    let gone = &json["devices"][0];
    assert_eq!(
        (&gone["name"], &gone["health"], &gone["state"]),
        (&"gpu2".into(), &"gone".into(), &"gone".into())
    );
    assert_eq!(gone["engines"][0], "10.0.0.7:8000");
    assert_eq!(json["verdicts"][0]["severity"], "critical");
    assert_eq!(json["verdicts"].as_array().map(Vec::len), Some(8));
    assert_eq!(json["verdicts_resolved"][0]["subject"], "nvme0");
    assert_eq!(json["assessments"].as_array().map(Vec::len), Some(8));
}

#[test]
fn every_verdict_is_listed_once_whatever_its_cause() {
    let screen = ill().screen();
    let rows = verdicts::wanted(&screen, &Ui::default());
    let mut ids: Vec<(u64, usize)> = rows.iter().map(|row| (row.verdict.id, row.depth)).collect();
    assert_eq!(ids[..3], [(3, 0), (6, 1), (7, 2)]);
    ids.sort_unstable();
    ids.dedup_by_key(|(id, _)| *id);
    assert_eq!(ids.len(), 9);
}

#[test]
fn nothing_that_is_judged_fails_a_screen_or_reaches_it_as_a_control() {
    let screen = ill().screen();
    let control = |c: char| c != '\n' && (c.is_control() || c == '\u{202e}');
    assert!(!plain(&screen).contains(control));
    for tab in Tab::ALL {
        for (columns, rows) in [(0, 0), (1, 1), (2, 3), (7, 5), (12, 40), (80, 24), (300, 60)] {
            for place in 0..12 {
                let ui = Ui { tab, detail: true, place: Place::at(place), ..Ui::default() };
                assert!(!lines(&drawn(&screen, &ui, columns, rows)).contains(control));
            }
        }
    }
}

#[test]
fn columns_of_accelerators_stand_still_while_their_numbers_change() {
    let heading_and_row = |load: Load| {
        let mut node = Node::new();
        node.accelerator("gpu0", State::Present, Some(&load));
        let ui = Ui { tab: Tab::Devices, ..Ui::default() };
        let text = lines(&drawn(&node.screen(), &ui, 170, 10));
        let row = text.lines().find(|line| line.starts_with(" gpu0")).unwrap().to_owned();
        row.chars().count()
    };
    let quiet = heading_and_row(Load(0.0, 0.0, 0.0, 0.0));
    assert_eq!(heading_and_row(Load(1e9, 1e9, 1e9, 1e9)), quiet);
    assert_eq!(heading_and_row(Load(f64::NAN, f64::INFINITY, -1e9, f64::NAN)), quiet);
}
