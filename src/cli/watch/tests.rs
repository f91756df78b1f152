//! Every screen as text, and the keys.

mod judged;
mod senses;

use std::path::Path;

use bytemuck::Zeroable;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::picture::svg;
use super::*;
use crate::newest::{Names, NewestStep, ReadingCell, ReadingTable, StepTable};
use crate::schema::{
    Engine, EngineDetails, Event, EventKind, Field, Flag, MetricId, Reading, Role, Severity,
    Sketch, SketchKind, StepCore,
};
use crate::web::{
    DeviceState, HostState, LossCount, NatsState, NatsStatus, SamplerState, SamplerStatus, Sources,
    Status,
};

const MS: u64 = 1_000_000;
const SECOND: u64 = 1000 * MS;
const NOW: u64 = 1_000_000 * SECOND;
const WALL: u64 = 1_795_512_303 * SECOND;

/// A node to look at, and what holds its tables.
struct Node {
    steps: StepTable,
    readings: ReadingTable,
    names: Names,
    status: Status,
    events: Vec<Event>,
    cells: Vec<ReadingCell>,
    /// Devices beside those of the table, and how fast each counter rises.
    devices: Vec<(DeviceState, std::collections::BTreeMap<String, f64>)>,
    writer: crate::newest::StepWriter,
}

impl Node {
    fn new() -> Self {
        let (steps, readings) = (StepTable::heap(64), ReadingTable::heap(128));
        let sampler = |name: &str, state, sentence: &str, tick_age_ms| SamplerStatus {
            name: name.to_owned(),
            state,
            sentence: sentence.to_owned(),
            period_ms: 1000,
            tick_age_ms,
        };
        let status = Status {
            node: "node-a".to_owned(),
            version: "0.1.0".to_owned(),
            up_ms: 11_520_000,
            ready: Ok(()),
            samplers: vec![
                sampler("engine_push", SamplerState::Ready, "", Some(3)),
                sampler("procfs", SamplerState::Ready, "", Some(412)),
                sampler("kmsg", SamplerState::NotHere, "no /dev/kmsg", None),
            ],
            nats: None,
            recorder: None,
            simulated: false,
            losses: Vec::new(),
        };
        let writer = steps.writer();
        let (names, events, cells) = (Names::new("node-a"), Vec::new(), Vec::new());
        Self { steps, readings, names, status, events, cells, devices: Vec::new(), writer }
    }

    /// An engine whose step ended and that was heard so long ago.
    fn engine(&mut self, name: &str, model: &str, ago_ms: u64, shape: impl FnOnce(&mut StepCore)) {
        let engine = Engine {
            endpoint: format!("http://{name}"),
            source: "plugin".to_owned(),
            ..Engine::named(name, model)
        };
        let mut newest = NewestStep { alive_ns: NOW - ago_ms * MS, ..NewestStep::zeroed() };
        let step = &mut newest.step;
        (step.instance, step.model, step.ttl_ms) = (engine.instance, engine.model_hash, 500);
        (step.role, step.producers) = (Role::Aggregated as u8, 1);
        shape(step);
        self.names.put_engine(engine);
        self.writer.write(&newest).expect("room for every rank");
    }

    /// Readings as they are; counters by what they rise in a second at most.
    fn load(&mut self) -> &mut Self {
        use MetricId as M;
        for (kind, name, metric, value) in [
            ("node", "node", M::LoadOne, 0.52),
            ("node", "node", M::LoadFifteen, 0.4),
            ("node", "node", M::MemoryTotal, 16.0 * 1e9),
            ("node", "node", M::MemoryAvailable, 12.5 * 1e9),
            ("node", "node", M::SwapTotal, 0.0),
            ("node", "node", M::SwapFree, 0.0),
            ("node", "node", M::PressureCpuSome, 0.08),
            ("node", "node", M::PressureIoSome, 0.004),
            ("node", "node", M::TasksRunnable, 3.0),
            ("node", "node", M::TasksBlocked, 0.0),
            ("node", "node", M::DescriptorsUsed, 2048.0),
            ("node", "node", M::DescriptorsLimit, 9e18),
            ("cpu", "cpu", M::CpuBusy, 0.31),
            ("cpu", "cpu", M::CpuIoWait, 0.02),
            ("cpu", "cpu1", M::CpuBusy, 0.5),
            ("cpu", "cpu0", M::CpuBusy, 0.12),
            ("interface", "eth0", M::InterfaceReceived, 5e6),
            ("interface", "eth0", M::InterfaceSent, 7e5),
            ("disk", "nvme0n1", M::DiskBusy, 0.22),
            ("disk", "nvme0n1", M::DiskRead, 12e6),
            ("disk", "nvme0n1", M::DiskWritten, 48e6),
            ("own", "agent", M::OwnCpu, 0.012),
            ("own", "agent", M::OwnResident, 14.3e6),
            ("own", "agent", M::OwnThreads, 9.0),
        ] {
            let device = self.names.device(kind, name).expect("room for every device");
            let mut cell = self.readings.cell().expect("room for every reading");
            cell.write(&Reading::new(device, metric, NOW - 100 * MS, value));
            self.cells.push(cell);
        }
        self
    }

    /// The screen after a minute in which everything rose and fell.
    fn screen(&mut self) -> Screen {
        let (status, events) = (self.status.clone(), self.events.clone());
        let sources = Sources {
            steps: self.steps.view(),
            readings: self.readings.view(),
            names: self.names.clone(),
            status: Box::new(move || status.clone()),
            events: Box::new(move || events.clone()),
            report: Box::new(|_| String::new()),
        };
        let mut history = History::new();
        let mut sums = std::collections::HashMap::new();
        let now: Vec<Reading> = self.readings.view().iter().collect();
        for second in (0..=60).rev() {
            let at_ns = NOW - second * SECOND;
            for (at, (cell, reading)) in self.cells.iter_mut().zip(&now).enumerate() {
                let (slow, quick) = (second as f64 / 7.0 + at as f64, second as f64 * 1.7);
                let wave = 0.5 + 0.35 * slow.cos() + 0.15 * quick.cos();
                let counter = MetricId::from_number(reading.metric)
                    .is_some_and(|metric| metric.row().name.ends_with("_total"));
                let value = if counter {
                    sums.entry(reading.metric).and_modify(|sum| *sum += reading.value * wave);
                    *sums.entry(reading.metric).or_insert(reading.value)
                } else {
                    reading.value * if second == 0 { 1.0 } else { 0.2 + 0.8 * wave }
                };
                let time_ns = at_ns - 100 * MS;
                cell.write(&Reading { time_ns, value, ..*reading });
            }
            let mut host = HostState::of(&sources.readings, &sources.names, at_ns);
            host.devices.extend(self.devices_at(second));
            let screen = Screen::with_host(&sources, host, (at_ns, WALL), &mut history);
            if second == 0 {
                return screen;
            }
        }
        unreachable!("the last second returns")
    }

    /// The devices as they were so long ago.
    fn devices_at(&self, seconds_ago: u64) -> impl Iterator<Item = DeviceState> {
        self.devices.iter().map(move |(device, rates)| {
            let mut device = device.clone();
            for (metric, rate) in rates {
                device.readings.get_mut(metric).expect("a rate is of a reading").value -=
                    rate * seconds_ago as f64;
            }
            device
        })
    }
}

fn put(step: &mut StepCore, (running, waiting, kv_usage, decode): (u32, u32, f32, f32)) {
    (step.running, step.waiting, step.kv_usage) = (running, waiting, kv_usage);
    (step.decode_tokens_per_second, step.prefill_tokens_per_second) = (decode, decode * 3.0);
    for field in
        [Field::Running, Field::Waiting, Field::KvUsage, Field::DecodeRate, Field::PrefillRate]
    {
        step.mark(field);
    }
}

const LLAMA: &str = "meta-llama/Llama-3.1-70B-Instruct";
const QWEN: &str = "Qwen/Qwen3-32B";

fn three() -> Node {
    let mut node = Node::new();
    node.engine("10.0.0.7:8000", LLAMA, 12, |step| put(step, (12, 3, 0.64, 1234.0)));
    node.engine("10.0.0.7:8001", LLAMA, 9, |step| put(step, (31, 118, 0.97, 2210.0)));
    node.engine("10.0.0.8:8000", QWEN, 41, |step| put(step, (0, 0, 0.0, 0.0)));
    node.load();
    node
}

/// Three engines, of which two tell how long their requests took.
fn timed() -> Node {
    let node = three();
    for (name, scale) in [("10.0.0.7:8000", 1.0), ("10.0.0.8:8000", 0.03)] {
        let sketch = |kind, us: &[(f64, u32)]| {
            let mut sketch = Sketch::new(kind);
            us.iter().for_each(|(us, times)| sketch.add(us * scale, *times));
            sketch
        };
        let sketches = vec![
            sketch(SketchKind::Ttft, &[(180_000.0, 90), (2_400_000.0, 10)]),
            sketch(SketchKind::InterToken, &[(9_100.0, 900), (64_000.0, 90)]),
        ];
        let instance = Engine::named(name, "").instance;
        node.names.details().put(EngineDetails { instance, sketches, ..EngineDetails::default() });
    }
    node
}

/// A screen to show.
pub(super) fn screen_of_three() -> Screen {
    three().screen()
}

fn many() -> Node {
    let mut node = Node::new();
    for at in 0..40_u16 {
        let name = format!("vllm-llama-70b-7f9c6d5b8-{:02}.prod.svc:8000", at / 2);
        let load = (u32::from(at * 7 % 64), u32::from(at * 13 % 29), f32::from(at % 10) / 9.0);
        node.engine(&name, LLAMA, u64::from(at), |step| {
            put(step, (load.0, load.1, load.2, f32::from(at) * 1711.0));
            step.rank = at % 2;
        });
    }
    node.load();
    node
}

fn overdue() -> Node {
    let mut node = Node::new();
    node.engine("a-fresh", LLAMA, 100, |step| put(step, (1, 0, 0.1, 90.0)));
    node.engine("b-stale", LLAMA, 900, |step| put(step, (4, 1, 0.4, 300.0)));
    node.engine("c-silent", LLAMA, 125_000, |step| put(step, (8, 40, 0.99, 0.0)));
    node.engine("d-gone", LLAMA, 7_200_000, |step| step.raise(Flag::Goodbye));
    node.engine("e-asleep", QWEN, 20, |step| step.raise(Flag::Asleep));
    node.engine("f-says-little", QWEN, 20, |_| {});
    node.engine("g\u{1b}[31m\u{202e}evil\r\n模型", QWEN, 20, |step| step.rank = 3);
    node.status.nats = Some(NatsStatus {
        url: "nats://nats:4222".to_owned(),
        state: NatsState::Down,
        sentence: "connection refused; is the server up?".to_owned(),
    });
    node.status.ready = Err("NATS is down: connection refused; is the server up?".to_owned());
    node.status.samplers[1].state = SamplerState::Stalled;
    node.status.samplers[1].sentence = "no tick for 4.2 s".to_owned();
    node.status.losses =
        vec![LossCount { place: "ring procfs".to_owned(), reason: "full".to_owned(), count: 128 }];
    let event = |at: u64, severity, subject: &str, text: &str| Event {
        id: at,
        kind: EventKind::EngineGone,
        severity,
        wall_ns: WALL - at * SECOND,
        subject: subject.to_owned(),
        text: text.to_owned(),
        ..Event::default()
    };
    node.events = vec![
        event(300, Severity::Info, "a-fresh", "a-fresh began to report."),
        event(125, Severity::Warning, "c-silent", "No sign of life."),
        event(3, Severity::Error, "procfs", "Missed two periods;\u{1b}[2J a read of /proc hangs."),
    ];
    node.load();
    node
}

fn simulated() -> Node {
    let mut node = Node::new();
    node.status.simulated = true;
    for at in 0..4_u16 {
        let name = format!("demo-{at}");
        node.engine(&name, LLAMA, 4, |step| {
            put(step, (4 + u32::from(at) * 9, u32::from(at) * 3, f32::from(at) * 0.31, 812.0));
            step.raise(Flag::Simulated);
        });
        let source = "simulated".to_owned();
        node.names.put_engine(Engine { source, ..Engine::named(&name, LLAMA) });
    }
    node.load();
    node
}

fn drawn(screen: &Screen, ui: &Ui, columns: u16, rows: u16) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(columns, rows)).expect("it is memory");
    terminal.draw(|frame| _ = draw(frame, screen, ui)).expect("memory cannot fail");
    terminal.backend().buffer().clone()
}

fn lines(buffer: &Buffer) -> String {
    let mut text = String::new();
    for row in 0..buffer.area.height {
        let cells = (0..buffer.area.width).map(|column| buffer[(column, row)].symbol());
        // A wide character fills the cell after it with a space of its own.
        let mut line = String::new();
        let mut skip = false;
        for symbol in cells {
            if !skip {
                line.push_str(symbol);
            }
            skip = text::width(symbol) > 1;
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Compares with the committed file, or writes it when asked to bless.
fn check(file: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    if std::env::var_os("EAGLE_EYE_BLESS").is_some() {
        std::fs::create_dir_all(path.parent().expect("a file has a folder")).expect("writable");
        std::fs::write(&path, text).expect("writable");
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == text,
        "{file} differs; if this is right, run the test with EAGLE_EYE_BLESS=1:\n{text}"
    );
}

#[test]
fn every_screen_looks_as_it_was_last_found_good() {
    let on = |tab| Ui { tab, ..Ui::default() };
    let sorted = Ui { sort: Sort::Waiting, place: Place::at(5), ..Ui::default() };
    let help = Ui { help: true, ..Ui::default() };
    let (empty, three, many, overdue, simulated, timed) = (
        Node::new().screen(),
        three().screen(),
        many().screen(),
        overdue().screen(),
        simulated().screen(),
        timed().screen(),
    );
    for (name, screen, ui, columns, rows) in [
        ("empty", &empty, on(Tab::Engines), 80, 24),
        ("empty_host", &empty, on(Tab::Host), 80, 24),
        ("empty_events", &empty, on(Tab::Events), 80, 24),
        ("three", &three, on(Tab::Engines), 80, 24),
        ("three_wide", &three, on(Tab::Engines), 200, 60),
        ("three_narrow", &three, on(Tab::Engines), 48, 12),
        ("three_tiny", &three, on(Tab::Engines), 20, 4),
        ("three_host", &three, on(Tab::Host), 80, 24),
        ("three_host_wide", &three, on(Tab::Host), 200, 60),
        ("three_health", &three, on(Tab::Health), 80, 24),
        ("three_help", &three, help, 80, 24),
        ("many", &many, on(Tab::Engines), 80, 24),
        ("many_sorted", &many, sorted, 120, 30),
        ("overdue", &overdue, on(Tab::Engines), 80, 24),
        ("overdue_events", &overdue, on(Tab::Events), 80, 24),
        ("overdue_health", &overdue, on(Tab::Health), 80, 24),
        ("simulated", &simulated, on(Tab::Engines), 80, 24),
        ("timed_narrow", &timed, on(Tab::Engines), 120, 8),
        ("timed", &timed, on(Tab::Engines), 150, 8),
        ("timed_wide", &timed, on(Tab::Engines), 210, 8),
    ] {
        let text = lines(&drawn(screen, &ui, columns, rows));
        check(&format!("tests/captures/screens/{name}.txt"), &text);
    }
    check("tests/captures/screens/three_plain.txt", &plain(&three));
    check("tests/captures/screens/overdue_plain.txt", &plain(&overdue));
    check("tests/captures/screens/empty_plain.txt", &plain(&empty));
    check("tests/captures/screens/simulated_plain.txt", &plain(&simulated));
    check("tests/captures/screens/timed_plain.txt", &plain(&timed));
}

#[test]
fn the_pictures_of_the_readme_are_these_screens() {
    // Marked as simulated: nothing in a picture is taken for real.
    let mut node = simulated();
    let screen = node.screen();
    for (name, tab) in [("watch", Tab::Engines), ("watch_host", Tab::Host)] {
        let buffer = drawn(&screen, &Ui { tab, ..Ui::default() }, 100, 20);
        check(&format!("docs/pictures/{name}.svg"), &svg(&buffer));
    }
}

#[test]
fn nothing_from_outside_reaches_a_terminal_or_a_pipe_as_a_control() {
    let screen = overdue().screen();
    for tab in Tab::ALL {
        let text = lines(&drawn(&screen, &Ui { tab, ..Ui::default() }, 120, 40));
        let control = |c: char| c != '\n' && (c.is_control() || c == '\u{202e}');
        assert!(!text.contains(control) && !plain(&screen).contains(control), "{tab:?}");
    }
}

#[test]
fn no_width_cuts_a_name_for_the_sake_of_times() {
    let (three, timed) = (three().screen(), timed().screen());
    for columns in 20..240 {
        let text = lines(&drawn(&timed, &Ui::default(), columns, 12));
        let name_columns = |text: &str| {
            let heading = text.lines().find(|line| line.starts_with(" ENGINE")).unwrap_or_default();
            heading.find("STATE").unwrap_or(0)
        };
        let without = name_columns(&lines(&drawn(&three, &Ui::default(), columns, 12)));
        let with = name_columns(&text);
        assert!(
            with >= 18.min(without),
            "{columns} columns: {with} for the name, {without} without"
        );
        assert_eq!(text.contains("TTFT P50/P99"), columns >= 150, "{columns}\n{text}");
    }
    assert_eq!(timed.latency("10.0.0.7:8000").map(|of| of.ttft.is_some()), Some(true));
    assert_eq!(timed.latency("10.0.0.7:8001"), None);
}

#[test]
fn json_is_one_line_with_true_names_and_numbers() {
    let screen = overdue().screen();
    let text = json(&screen);
    assert_eq!(text.lines().count(), 1);
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["time"], "2026-11-24T09:25:03.000Z");
    assert_eq!(json["status"]["ready"], false);
    assert_eq!(json["ranks"][6]["engine"], "g\u{1b}[31m\u{202e}evil\r\n模型");
    assert_eq!(json["ranks"][5].get("running"), None, "what was not measured is absent");
    assert_eq!(json["ranks"][2]["freshness"], "silent");
    assert_eq!(json["events"][2]["severity"], "error");
    assert!(json["host"]["devices"].as_array().unwrap().len() > 4);
}

#[test]
fn colours_stand_for_states_and_for_nothing_else() {
    use ratatui::style::Color;
    let screen = overdue().screen();
    let buffer = drawn(&screen, &Ui::default(), 80, 24);
    let text = lines(&buffer);
    for (name, colour) in [
        ("a-fresh", Color::Reset),
        ("b-stale", Color::Yellow),
        ("c-silent", Color::Red),
        ("d-gone", Color::DarkGray),
        ("e-asleep", Color::Reset),
    ] {
        let row = text.lines().position(|line| line.starts_with(&format!(" {name}"))).unwrap();
        for column in [1, 30, 70] {
            assert_eq!(buffer[(column, row as u16)].fg, colour, "{name}");
        }
    }
}

#[test]
fn columns_stand_still_while_their_numbers_change() {
    let row = |running, waiting, usage, decode, ago_ms| {
        let mut node = Node::new();
        node.engine("e", LLAMA, ago_ms, |step| put(step, (running, waiting, usage, decode)));
        let text = lines(&drawn(&node.screen(), &Ui::default(), 100, 10));
        let row = text.lines().find(|line| line.starts_with(" e ")).unwrap().to_owned();
        row.chars().count()
    };
    let quiet = row(0, 0, 0.0, 0.0, 0);
    assert_eq!(row(u32::MAX, u32::MAX, 9.99, 3e38, 99_000), quiet);
    assert_eq!(row(99_999, 12, f32::NAN, f32::NEG_INFINITY, 400_000_000), quiet);
}

#[test]
fn keys_choose_sort_scroll_help_and_leave() {
    let screen = many().screen();
    let mut ui = Ui::default();
    let mut press = |code: KeyCode| {
        let flow = ui.key(KeyEvent::new(code, KeyModifiers::NONE));
        let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
        terminal.draw(|frame| ui.place = draw(frame, &screen, &ui)).unwrap();
        (flow, ui.tab, ui.sort, ui.place.scroll, ui.help)
    };
    use Flow::{Leave, Stay};
    for (code, expected) in [
        (KeyCode::Up, (Stay, Tab::Engines, Sort::Name, 0, false)),
        (KeyCode::Down, (Stay, Tab::Engines, Sort::Name, 1, false)),
        (KeyCode::End, (Stay, Tab::Engines, Sort::Name, 21, false)),
        (KeyCode::Up, (Stay, Tab::Engines, Sort::Name, 20, false)),
        (KeyCode::PageUp, (Stay, Tab::Engines, Sort::Name, 10, false)),
        (KeyCode::Char('s'), (Stay, Tab::Engines, Sort::State, 0, false)),
        (KeyCode::Char('6'), (Stay, Tab::Events, Sort::State, 0, false)),
        (KeyCode::PageDown, (Stay, Tab::Events, Sort::State, 0, false)),
        (KeyCode::Tab, (Stay, Tab::Health, Sort::State, 0, false)),
        (KeyCode::Right, (Stay, Tab::Engines, Sort::State, 0, false)),
        (KeyCode::Left, (Stay, Tab::Health, Sort::State, 0, false)),
        (KeyCode::Char('?'), (Stay, Tab::Health, Sort::State, 0, true)),
        (KeyCode::Esc, (Stay, Tab::Health, Sort::State, 0, false)),
        (KeyCode::Char('x'), (Stay, Tab::Health, Sort::State, 0, false)),
        (KeyCode::Char('q'), (Leave, Tab::Health, Sort::State, 0, false)),
    ] {
        assert_eq!(press(code), expected, "{code:?}");
    }
    let interrupt = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    assert_eq!(Ui::default().key(interrupt), Leave);
    let mut released = KeyEvent::new(KeyCode::Char('q'), KeyModifiers::NONE);
    released.kind = KeyEventKind::Release;
    assert_eq!(Ui::default().key(released), Stay);
}

#[test]
fn a_sort_puts_the_worst_first_and_the_unmeasured_last() {
    let screen = overdue().screen();
    let first = |sort: Sort| {
        let ui = Ui { sort, ..Ui::default() };
        let text = lines(&drawn(&screen, &ui, 80, 24));
        let mut rows = text.lines().skip_while(|line| !line.starts_with(" ENGINE")).skip(1);
        rows.next().unwrap().split_whitespace().next().unwrap().to_owned()
    };
    for (sort, expected) in [
        (Sort::Name, "a-fresh"),
        (Sort::State, "d-gone"),
        (Sort::Running, "c-silent"),
        (Sort::Waiting, "c-silent"),
        (Sort::Cache, "c-silent"),
        (Sort::Age, "d-gone"),
    ] {
        assert_eq!(first(sort), expected, "{sort:?}");
    }
}
