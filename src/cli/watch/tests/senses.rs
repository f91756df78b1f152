//! Containers, devices and events: their screens, their keys, their words.

use super::*;
use crate::schema::{LogRecord, METRICS, Trust};
use crate::web::ReadingState;

const ID: &str = "9f2c41d07be85a6610c3f4e2d8b7a95566e1f0c2b3a4958d7e6f5a4b3c2d1e0f";

/// One container's numbers: state, cores in use and allowed, share of periods
/// held back, memory and its limit, tasks, kills.
struct Load(&'static str, f64, Option<f64>, f64, f64, Option<f64>, f64, f64);

const GIB: f64 = 1024.0 * 1024.0 * 1024.0;

impl Node {
    /// A device with readings as name, unit, value, and what a counter rises
    /// by in a second.
    fn device(
        &mut self,
        kind: &str,
        name: &str,
        readings: &[(&str, &'static str, f64, f64)],
    ) -> &mut DeviceState {
        let mut device = DeviceState {
            name: name.to_owned(),
            kind: kind.to_owned(),
            vendor: String::new(),
            uuid: String::new(),
            container: String::new(),
            pod: String::new(),
            readings: Default::default(),
        };
        let mut rates = std::collections::BTreeMap::new();
        for (metric, unit, value, rate) in readings {
            let kind = if metric.ends_with("_total") { "counter" } else { "gauge" };
            let reading = ReadingState { value: *value, unit, kind, age_ms: 140.0 };
            device.readings.insert((*metric).to_owned(), reading);
            rates.insert((*metric).to_owned(), *rate);
        }
        self.devices.push((device, rates));
        &mut self.devices.last_mut().expect("it was just put").0
    }

    fn container(&mut self, name: &str, id: &str, pod: &str, load: &Load) {
        let Load(state, cores, quota, held, memory, limit, tasks, kills) = *load;
        let is = |word| f64::from(u8::from(state == word));
        let mut readings = vec![
            ("container_running", "count", is("running"), 0.0),
            ("container_frozen", "count", is("frozen"), 0.0),
            ("container_empty", "count", is("empty"), 0.0),
            ("container_cpu_seconds_total", "seconds", 9e4, cores),
            ("container_cpu_periods_total", "count", 8e5, 10.0),
            ("container_cpu_throttled_periods_total", "count", 3e3, held * 10.0),
            ("container_memory_bytes", "bytes", memory * 1.4, 0.0),
            ("container_memory_working_set_bytes", "bytes", memory, 0.0),
            ("container_pressure_memory_some_seconds_total", "seconds", 12.0, held / 30.0),
            ("container_tasks", "count", tasks, 0.0),
            ("container_oom_kills_total", "count", kills, 0.0),
        ];
        readings.extend(quota.map(|quota| ("container_cpu_quota_cores", "count", quota, 0.0)));
        readings.extend(limit.map(|limit| ("container_memory_limit_bytes", "bytes", limit, 0.0)));
        let device = self.device("container", name, &readings);
        (device.container, device.pod) = (id.to_owned(), pod.to_owned());
    }
}

/// Engines in containers, and containers without one.
fn boxed() -> Node {
    let mut node = three();
    for (engine, container) in [("10.0.0.7:8000", ID), ("10.0.0.7:8001", ID)] {
        let known = Engine {
            source: "scrape".to_owned(),
            container: container.to_owned(),
            pod: "0d7c5a3e-91b4-4c1e-8f6a-2b9d8e7c6f51".to_owned(),
            ..Engine::named(engine, LLAMA)
        };
        node.names.put_engine(known);
    }
    let pod = "0d7c5a3e-91b4-4c1e-8f6a-2b9d8e7c6f51";
    let (big, small) = (Some(96.0 * GIB), Some(0.25 * GIB));
    node.container(
        &ID[..12],
        ID,
        pod,
        &Load("running", 6.51, Some(8.0), 0.034, 71.0 * GIB, big, 214.0, 0.0),
    );
    let id = |letter: &str| letter.repeat(64);
    node.container(
        "sidecar",
        &id("b"),
        pod,
        &Load("running", 0.02, Some(0.5), 0.61, 0.24 * GIB, small, 9.0, 3.0),
    );
    node.container(
        "batch-job",
        &id("c"),
        "",
        &Load("frozen", 0.0, None, 0.0, 1.5 * GIB, None, 4.0, 0.0),
    );
    node.container(
        "evil\u{1b}[2J\u{202e}名前",
        &id("d"),
        "",
        &Load("empty", 0.0, None, 0.0, 0.0, None, 0.0, 0.0),
    );
    node.device("container", "says-little", &[("container_tasks", "count", 2.0, 0.0)]);
    node
}

fn crowd() -> Node {
    let mut node = Node::new();
    for at in 0..200_u32 {
        let (id, load) =
            (format!("{:064x}", u128::from(at) << 96 | 0xbeef), f64::from(at % 17) / 4.0);
        let limit = (at % 3 > 0).then_some(8.0 * GIB);
        let load = Load("running", load, Some(4.0), load / 10.0, load * GIB, limit, 12.0, 0.0);
        node.container(&format!("web-{at:03}"), &id, "", &load);
    }
    node.load();
    node
}

fn hardware(node: &mut Node, at_rest: bool) {
    let ill = |value: f64| if at_rest { 0.0 } else { value };
    for at in 0..34 {
        let errors = if at == 7 { ill(812.0) } else { 0.0 };
        let readings = [
            ("pcie_errors_corrected_total", "count", errors, errors / 400.0),
            ("pcie_errors_fatal_total", "count", 0.0, 0.0),
            ("pcie_link_lanes", "count", if at == 9 { 16.0 - ill(8.0) } else { 16.0 }, 0.0),
            ("pcie_link_lanes_max", "count", 16.0, 0.0),
        ];
        node.device("pci", &format!("0000:{at:02x}:00.0"), &readings);
    }
    for (name, up) in [("mlx5_0/1", 1.0), ("mlx5_1/1", 1.0 - ill(1.0))] {
        let readings = [
            ("infiniband_link_up", "count", up, 0.0),
            ("infiniband_symbol_errors_total", "count", ill(4.0), 0.0),
            ("infiniband_receive_bytes_total", "bytes", 9e12, 1e9),
        ];
        node.device("infiniband_port", name, &readings);
    }
    for (at, celsius) in [41.0, 67.0, 39.0].into_iter().enumerate() {
        let readings = [("thermal_zone_celsius", "celsius", celsius, 0.0)];
        node.device("thermal_zone", &format!("zone{at}"), &readings);
    }
    for (name, celsius) in [("coretemp Package id 0", 58.0), ("nvme\u{1b}[2J Composite", 61.0)] {
        let critical = ("sensor_critical_celsius", "celsius", 90.0, 0.0);
        node.device("sensor", name, &[("sensor_celsius", "celsius", celsius, 0.0), critical]);
    }
    node.device("nvme", "nvme0\u{1b}[2J", &[("nvme_live", "count", 1.0 - ill(1.0), 0.0)]);
    let errors = ("memory_errors_corrected_total", "count", ill(6.0), 0.0);
    node.device("memory_controller", "mc0", &[errors]);
}

fn storm() -> Node {
    let mut node = three();
    for at in 0..220 {
        let readings = [("pcie_errors_corrected_total", "count", f64::from(at), 0.0)];
        node.device("pci", &format!("0000:{at:02x}:00.0"), &readings);
    }
    node
}

fn line(id: u64, ago_s: u64, severity: Severity, trust: Option<Trust>, text: &str) -> Event {
    let log = trust.map(|trust| LogRecord {
        trust,
        level: 3,
        sequence: 1000 + id,
        before_start: ago_s > 1000,
        device: "+pci:0000:5c:00.0".to_owned(),
        ..LogRecord::default()
    });
    Event {
        id,
        kind: if trust.is_some() { EventKind::KernelLine } else { EventKind::EngineGone },
        severity,
        wall_ns: WALL - ago_s * SECOND,
        source: if trust.is_some() { "kmsg" } else { "engine_push" }.to_owned(),
        subject: if trust.is_some() { "kernel" } else { "10.0.0.7:8000" }.to_owned(),
        text: text.to_owned(),
        log,
        ..Event::default()
    }
}

const XID: &str = "NVRM: Xid (PCI:0000:5c:00): 79, pid='<unknown>', name=<unknown>, GPU has fallen \
                   off the bus.";

fn eventful() -> Node {
    use Severity as S;
    let mut node = three();
    let trust = [Trust::Attested, Trust::Claimed, Trust::Polled, Trust::File, Trust::Unknown];
    node.events = vec![
        line(3, 700, S::Info, None, "10.0.0.7:8000 began to report."),
        line(4, 600, S::Critical, Some(trust[0]), XID),
        line(5, 590, S::Error, Some(trust[1]), "systemd[1]: it says that it \u{1b}[31mfailed"),
        line(6, 500, S::Warning, Some(trust[3]), "from a file"),
        line(7, 400, S::Warning, Some(trust[4]), "from somewhere"),
        line(8, 3, S::Warning, None, "No sign of life for 30 s."),
        // Heard of last, and the oldest.
        line(1, 190_000, S::Info, Some(trust[0]), "Linux version 6.8.0"),
        line(2, 1200, S::Warning, Some(trust[2]), "pcieport 0000:00:01.0: AER: Corrected error"),
    ];
    node
}

#[test]
fn screens_of_containers_devices_and_events_look_as_last_found_good() {
    let on = |tab| Ui { tab, ..Ui::default() };
    let (empty, boxed, crowd, storm, eventful) = (
        Node::new().screen(),
        boxed().screen(),
        crowd().screen(),
        storm().screen(),
        eventful().screen(),
    );
    let devices = |at_rest| {
        let mut node = three();
        hardware(&mut node, at_rest);
        node.screen()
    };
    let (calm, ill) = (devices(true), devices(false));
    let down = |rows| Ui { place: Place::at(rows), ..on(Tab::Host) };
    let chosen = |row| Ui { place: Place::at(row), ..on(Tab::Events) };
    let detail = Ui { detail: true, ..chosen(4) };
    let found = Ui { query: "sidecar".to_owned(), ..on(Tab::Containers) };
    let by_cpu = Ui { container_sort: ContainerSort::Cpu, ..on(Tab::Containers) };
    let severe = Ui { least: Severity::Error, paused: true, ..on(Tab::Events) };
    let typing = Ui { query: "aer".to_owned(), typing: true, ..on(Tab::Events) };
    for (name, screen, ui, columns, rows) in [
        ("containers_empty", &empty, on(Tab::Containers), 80, 24),
        ("containers", &boxed, on(Tab::Containers), 80, 24),
        ("containers_wide", &boxed, on(Tab::Containers), 200, 30),
        ("containers_narrow", &boxed, on(Tab::Containers), 48, 12),
        ("containers_tiny", &boxed, on(Tab::Containers), 20, 4),
        ("containers_many", &crowd, by_cpu, 120, 30),
        ("containers_found", &boxed, found, 80, 12),
        ("containers_engines_wide", &boxed, on(Tab::Engines), 200, 12),
        ("devices_at_rest", &calm, down(usize::MAX), 80, 30),
        ("devices", &ill, down(usize::MAX), 80, 30),
        ("devices_wide", &ill, down(usize::MAX), 200, 60),
        ("devices_narrow", &ill, down(usize::MAX), 40, 12),
        ("devices_many", &storm, down(100), 80, 24),
        ("events", &eventful, on(Tab::Events), 80, 24),
        ("events_wide", &eventful, chosen(4), 200, 20),
        ("events_narrow", &eventful, on(Tab::Events), 48, 12),
        ("events_tiny", &eventful, detail.clone(), 20, 4),
        ("events_detail", &eventful, detail, 80, 24),
        ("events_severe", &eventful, severe, 80, 12),
        ("events_typing", &eventful, typing, 80, 12),
    ] {
        let text = lines(&drawn(screen, &ui, columns, rows));
        check(&format!("tests/captures/screens/{name}.txt"), &text);
    }
    check("tests/captures/screens/containers_plain.txt", &plain(&boxed));
    check("tests/captures/screens/devices_plain.txt", &plain(&ill));
    check("tests/captures/screens/events_plain.txt", &plain(&eventful));
}

#[test]
fn metrics_of_containers_are_in_the_metric_table_once_it_has_any() {
    use crate::cli::watch::container::metric as m;
    let known: Vec<&str> =
        METRICS.iter().filter(|m| m.device_kind == "container").map(|m| m.name).collect();
    let states = m::STATES.map(|(metric, _)| metric);
    let numbers = [
        m::CPU,
        m::CPU_QUOTA,
        m::PERIODS,
        m::PERIODS_THROTTLED,
        m::MEMORY,
        m::WORKING_SET,
        m::MEMORY_LIMIT,
        m::MEMORY_PRESSURE,
        m::TASKS,
        m::KILLS,
    ];
    for metric in states.into_iter().chain(numbers) {
        assert!(known.is_empty() || known.contains(&metric), "{metric}");
    }
}

#[test]
fn an_engine_stands_with_its_container_by_id_alone() {
    let screen = boxed().screen();
    let json: serde_json::Value = serde_json::from_str(&json(&screen)).unwrap();
    let containers = json["containers"].as_array().unwrap();
    let engines = |name: &str| {
        let named = containers.iter().find(|container| container["name"] == name).unwrap();
        named["engines"].as_array().unwrap().len()
    };
    assert_eq!(engines(&ID[..12]), 2);
    assert_eq!((engines("sidecar"), engines("says-little")), (0, 0), "no id joins nothing");
    assert_eq!(containers.len(), 5);
    let of = |name: &str| containers.iter().find(|container| container["name"] == name).unwrap();
    assert_eq!(of("says-little").get("cpu_cores"), None, "what was not measured is absent");
    assert_eq!(of("sidecar")["oom_kills"], 3.0);
    assert_eq!(json["ranks"][0]["container"], ID);
}

#[test]
fn devices_in_json_tell_how_many_there_are_and_what_is_not_at_rest() {
    let mut node = three();
    hardware(&mut node, false);
    let json: serde_json::Value = serde_json::from_str(&json(&node.screen())).unwrap();
    let hardware = json["hardware"].as_array().unwrap();
    let of = |kind: &str| hardware.iter().find(|device| device["kind"] == kind).unwrap();
    assert_eq!(of("pci")["devices"], 34);
    assert_eq!(of("pci")["signs"][0]["value"], 812.0);
    assert_eq!(of("pci")["signs"][0]["moves"], true);
    assert_eq!(of("thermal_zone")["peaks"][0]["device"], "zone1");
    assert_eq!(of("infiniband_port")["signs"].as_array().unwrap().len(), 3);
}

#[test]
fn events_keep_what_was_chosen_while_newer_ones_come() {
    let mut node = eventful();
    let mut ui = Ui { tab: Tab::Events, ..Ui::default() };
    let show = |node: &mut Node, ui: &mut Ui| {
        let screen = node.screen();
        let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
        terminal.draw(|frame| ui.place = draw(frame, &screen, ui)).unwrap();
        let events = events::wanted(&screen, ui);
        events[ui.place.row(&events::keys(&events))].id
    };
    let press = |ui: &mut Ui, code| _ = ui.key(KeyEvent::new(code, KeyModifiers::NONE));
    assert_eq!(show(&mut node, &mut ui), 8, "the newest");
    node.events.push(line(9, 2, Severity::Info, None, "one"));
    assert_eq!(show(&mut node, &mut ui), 9, "the newest still");
    press(&mut ui, KeyCode::Down);
    assert_eq!(show(&mut node, &mut ui), 8);
    node.events.push(line(10, 1, Severity::Info, None, "two"));
    assert_eq!(show(&mut node, &mut ui), 8, "chosen, it stays");
    press(&mut ui, KeyCode::Up);
    assert_eq!(show(&mut node, &mut ui), 9, "one up from there");
    press(&mut ui, KeyCode::Home);
    node.events.push(line(11, 0, Severity::Info, None, "three"));
    assert_eq!(show(&mut node, &mut ui), 11);
    press(&mut ui, KeyCode::End);
    assert_eq!(show(&mut node, &mut ui), 1);
    press(&mut ui, KeyCode::Char('f'));
    assert_eq!(show(&mut node, &mut ui), 8, "the newest warning");
    press(&mut ui, KeyCode::Char('f'));
    assert_eq!(show(&mut node, &mut ui), 5, "the newest error");
}

#[test]
fn a_search_takes_every_key_until_it_ends() {
    let mut ui = Ui { tab: Tab::Events, ..Ui::default() };
    let mut press = |code| {
        let flow = ui.key(KeyEvent::new(code, KeyModifiers::NONE));
        (flow, ui.query.clone(), ui.typing, ui.paused)
    };
    let stay = |query: &str, typing| (Flow::Stay, query.to_owned(), typing, false);
    assert_eq!(press(KeyCode::Char('/')), stay("", true));
    assert_eq!(press(KeyCode::Char('Q')), stay("q", true), "no key leaves or pauses");
    assert_eq!(press(KeyCode::Char(' ')), stay("q ", true));
    assert_eq!(press(KeyCode::Backspace), stay("q", true));
    assert_eq!(press(KeyCode::Enter), stay("q", false));
    assert_eq!(press(KeyCode::Esc), stay("", false));
    for _ in 0..3 {
        assert_eq!(press(KeyCode::Esc), stay("", false));
    }
    press(KeyCode::Char('/'));
    for _ in 0..1000 {
        press(KeyCode::Char('x'));
    }
    assert!(press(KeyCode::Char('x')).1.len() < 100, "a search is bounded");
    press(KeyCode::Esc);
    assert!(press(KeyCode::Char(' ')).3, "space holds the screen");
}

#[test]
fn no_size_of_terminal_and_no_key_makes_a_screen_fail() {
    let screens = [Node::new().screen(), boxed().screen(), eventful().screen(), storm().screen()];
    for screen in &screens {
        for tab in Tab::ALL {
            for (columns, rows) in [(0, 0), (1, 1), (2, 3), (7, 5), (12, 40), (300, 2)] {
                for place in [0, 3, usize::MAX] {
                    let place = Place::at(place);
                    let ui = Ui { tab, detail: true, help: rows == 5, place, ..Ui::default() };
                    let _ = drawn(screen, &ui, columns, rows);
                }
            }
        }
    }
}

#[test]
fn names_from_outside_stay_harmless_on_every_new_screen() {
    let mut node = boxed();
    hardware(&mut node, false);
    node.events = eventful().events;
    let screen = node.screen();
    let control = |c: char| c != '\n' && (c.is_control() || c == '\u{202e}');
    assert!(!plain(&screen).contains(control));
    for tab in Tab::ALL {
        for detail in [false, true] {
            let ui = Ui { tab, detail, place: Place::at(usize::MAX), ..Ui::default() };
            assert!(!lines(&drawn(&screen, &ui, 160, 60)).contains(control), "{tab:?}");
        }
    }
}
