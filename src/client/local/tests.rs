use super::*;
use crate::client::{Changes, ViewSettings};
use crate::newest::{NewestStep, ReadingTable, StepTable, StepWriter};
use crate::platform::socket::Listener;
use crate::schema::{BatchHead, BatchWriter, Engine, Event, Field, MetricId, Reading, Tables};
use bytemuck::Zeroable;

const DEADLINE_NS: u64 = 20 * SECOND_NS;

/// Polls until `done` says so.
fn wait(what: &str, mut done: impl FnMut() -> bool) {
    let deadline_ns = monotonic_ns() + DEADLINE_NS;
    while !done() {
        assert!(monotonic_ns() < deadline_ns, "waited too long until {what}");
        crate::platform::clock::sleep_until(monotonic_ns() + MILLISECOND_NS);
    }
}

/// The agent's end, as much of it as a view sees.
struct FakeAgent {
    _listener: Listener,
    connection: Connection,
    table: StepTable,
    writer: StepWriter,
}

impl FakeAgent {
    fn await_view(path: &Path) -> Self {
        let listener = Listener::bind(path, 4).expect("the path is free");
        let mut connection = None;
        wait("a view calls", || {
            connection = listener.accept().expect("accepting works");
            connection.is_some()
        });
        let connection = connection.expect("somebody called");
        let mut greeting = [0; Greeting::BYTES];
        wait("it greets", || match connection.receive(&mut greeting) {
            Ok(Received::Message(..)) => true,
            Ok(Received::Nothing) => false,
            other => panic!("expected a greeting, got {other:?}"),
        });
        assert_eq!(Greeting::read(&greeting), Some(GreetingKind::View));
        let table = StepTable::shared(16).expect("memory");
        let writer = table.writer();
        Self { _listener: listener, connection, table, writer }
    }

    fn welcome(&self) {
        let readings = ReadingTable::shared(16).expect("memory");
        let mut cell = readings.cell().expect("a free cell");
        cell.write(&Reading::new(0, MetricId::CpuBusy, 1, 0.5));
        let descriptors = [
            self.table.descriptor().expect("shared memory has one"),
            readings.descriptor().expect("shared memory has one"),
        ];
        let welcome = Greeting::new(GreetingKind::WelcomeView);
        self.connection.send(bytemuck::bytes_of(&welcome), &descriptors).expect("it listens");
        // The memory outlives this process's hold on it, its contents too.
        std::mem::forget(cell);
    }

    fn step(&mut self, sequence: u64, running: u32) {
        let now_ns = monotonic_ns();
        let mut newest = NewestStep::zeroed();
        newest.step.instance = Engine::named("e", "m").instance;
        newest.step.sequence = sequence;
        newest.step.running = running;
        newest.step.mark(Field::Running);
        newest.step.monotonic_ns = now_ns;
        newest.step.heartbeat_ns = now_ns;
        (newest.alive_ns, newest.heard_ns) = (now_ns, now_ns);
        self.writer.write(&newest);
    }
}

fn view(path: &Path) -> View {
    let patience = crate::client::Patience { gone_ns: 3_600 * SECOND_NS };
    let settings = ViewSettings { patience, ..ViewSettings::default() };
    let options = Options { socket: Some(path.to_owned()), settings, ..Options::default() };
    View::connect(options).expect("a thread can be started")
}

fn running(view: &View) -> Vec<u32> {
    view.ranks().iter().map(|state| state.step.running).collect()
}

#[test]
fn a_view_reads_the_agents_memory_and_heals_when_the_agent_comes_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("agent.sock");
    let view = view(&path);
    assert!(view.ranks().is_empty() && !view.is_connected());

    let mut agent = FakeAgent::await_view(&path);
    agent.step(1, 3);
    agent.welcome();
    wait("the view is complete", || view.is_complete());
    assert_eq!(running(&view), [3]);
    agent.step(2, 4);
    let ranks = view.ranks();
    assert_eq!((ranks[0].step.running, ranks[0].error_ns), (4, 0));
    let readings = view.readings().expect("the agent passed them");
    assert_eq!(readings.iter().map(|reading| reading.value).collect::<Vec<_>>(), [0.5]);

    let events = view.events();
    let tables = Tables {
        engines: &[Engine { endpoint: "http://e:1".into(), ..Engine::named("e", "m") }],
        events: &[Event { id: 4, ..Event::default() }],
        ..Tables::default()
    };
    let bytes = BatchWriter::default().write(&BatchHead::zeroed(), &tables).to_vec();
    agent.connection.send(&bytes, &[]).expect("it listens");
    assert_eq!(events.recv().expect("an event").what.id, 4);
    let engine = view.engine(ranks[0].id.instance).expect("it was named");
    assert_eq!(engine.endpoint, "http://e:1");

    drop(agent);
    wait("the view notices", || !view.is_connected());
    let mut agent = FakeAgent::await_view(&path);
    agent.step(1, 9);
    agent.welcome();
    wait("the view reads the other table", || running(&view) == [9]);
    assert_eq!(view.counts().connects, 2);
}

#[test]
fn changes_in_the_agents_memory_are_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("agent.sock");
    let view = view(&path);
    let changes = view.changes();
    let mut agent = FakeAgent::await_view(&path);
    agent.welcome();
    let told = |changes: &Changes, what: What| {
        wait("a change is told", || changes.next_now().is_some_and(|c| c.what.contains(what)));
    };
    agent.step(1, 1);
    told(&changes, What::APPEARED);
    agent.step(2, 1);
    told(&changes, What::UPDATED);
    drop(agent.table.writer());
    let id = view.ranks()[0].id;
    agent.writer.forget(&crate::newest::RankKey { instance: id.instance, rank: 0, producer: 0 });
    told(&changes, What::FORGOTTEN);
}

#[test]
fn an_answer_that_makes_no_sense_is_tried_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("agent.sock");
    let view = view(&path);
    for nonsense in [
        bytemuck::bytes_of(&Greeting::new(GreetingKind::WelcomeView)).to_vec(),
        b"hello".to_vec(),
        [bytemuck::bytes_of(&Greeting::new(GreetingKind::Refused)), b"full"].concat(),
    ] {
        let agent = FakeAgent::await_view(&path);
        agent.connection.send(&nonsense, &[]).expect("it listens");
        wait("it hangs up", || {
            matches!(agent.connection.receive(&mut [0; 8]), Ok(Received::HungUp))
        });
        assert!(!view.is_connected());
    }
    let agent = FakeAgent::await_view(&path);
    agent.welcome();
    wait("the view is complete", || view.is_complete());
}
