//! An agent that is a door and nothing else, and ways to meet it.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use bytemuck::Zeroable;
use crossbeam_channel::{Receiver, Sender, bounded};

use eagle_eye::newest::{Names, NewestStep, ReadingTable, StepTable, StepTableView};
use eagle_eye::platform::clock::{self, SECOND_NS};
use eagle_eye::platform::doorbell::Doorbell;
use eagle_eye::platform::memory::SharedMemory;
use eagle_eye::platform::socket::{Connection, Received};
use eagle_eye::platform::thread::Stop;
use eagle_eye::producer::{DoorWriter, Line, LineState};
use eagle_eye::ring;
use eagle_eye::samplers::engine_push::{self, DoorContext, DoorCounts};
use eagle_eye::samplers::own::Gauges;
use eagle_eye::samplers::{
    Context, Cursors, EventOutlet, Fact, Opened, Outlet, OutletParts, Progress, Settings, start,
};
use eagle_eye::schema::{
    Door, Engine, Event, EventKind, Field, Flag, Greeting, GreetingKind, StepCore,
};

/// Waits for what a real thread or process does.
pub(super) fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline_ns = clock::monotonic_ns() + 30 * SECOND_NS;
    while !condition() {
        assert!(clock::monotonic_ns() < deadline_ns, "waited 30 s: {what}");
        clock::sleep_until(clock::monotonic_ns() + 2_000_000);
    }
}

pub(super) struct Agent {
    pub(super) names: Names,
    pub(super) steps: StepTableView,
    pub(super) context: DoorContext,
    pub(super) news: Sender<Arc<[u8]>>,
    pub(super) ring: ring::Reader<StepCore>,
    events: Receiver<Fact>,
    stop: Stop,
    thread: Option<JoinHandle<()>>,
}

impl Agent {
    pub(super) fn start(run_dir: &Path) -> Self {
        Self::start_with(run_dir, Vec::new())
    }

    pub(super) fn start_with(run_dir: &Path, settings: Vec<(&'static str, String)>) -> Self {
        let names = Names::new("node");
        let steps = StepTable::shared(2048).expect("memory for steps");
        let readings = ReadingTable::shared(64).expect("memory for readings");
        let (news, news_here) = bounded(256);
        let door = DoorContext { news: Some(news_here), ..DoorContext::default() };
        let context = Context {
            host_root: PathBuf::from("/"),
            run_dir: run_dir.to_owned(),
            names: names.clone(),
            steps: steps.clone(),
            readings: readings.clone(),
            cursors: Cursors::default(),
            gauges: Gauges::default(),
            door: door.clone(),
        };
        let sampler = match (engine_push::ENTRY.open)(&context, &Settings::new(settings)) {
            Opened::Ready(sampler) => sampler,
            Opened::NotHere(why) | Opened::Failed(why) => panic!("the door did not open: {why}"),
        };
        let (step_writer, ring) = ring::ring(1 << 16);
        let (events, events_here) = bounded(4096);
        let outlet = Outlet::new(
            "engine_push",
            OutletParts {
                steps: step_writer,
                readings: ring::ring(16).0,
                step_table: steps.clone(),
                reading_table: readings,
                names: names.clone(),
                events: EventOutlet::new(events),
                drain: Doorbell::for_this_thread().ringer(),
            },
        );
        let progress = Arc::new(Progress::new(100_000_000, clock::monotonic_ns()));
        let stop = Stop::default();
        let thread = start("engine_push", None, sampler, outlet, progress, stop.clone())
            .expect("a thread for the door");
        Self {
            names,
            steps: steps.view(),
            context: door,
            news,
            ring,
            events: events_here,
            stop,
            thread: Some(thread),
        }
    }

    pub(super) fn newest(&self, writer: &DoorWriter) -> Option<NewestStep> {
        let instance = writer.engine().instance;
        self.steps.iter().find(|newest| newest.step.instance == instance)
    }

    pub(super) fn sequence(&self, writer: &DoorWriter) -> u64 {
        self.newest(writer).map_or(0, |newest| newest.step.sequence)
    }

    pub(super) fn has_left(&self, writer: &DoorWriter) -> bool {
        self.newest(writer).is_some_and(|newest| newest.step.has(Flag::Goodbye))
    }

    pub(super) fn count(&self, name: &str) -> u64 {
        let mut found = None;
        self.context.counts.each(|known, value| {
            if known == name {
                found = Some(value);
            }
        });
        found.expect("a count of this name")
    }

    /// Every slot went one way and no other.
    pub(super) fn assert_accounts_balance(&self) {
        let not_steps = DoorCounts::NOT_STEPS.iter().map(|way| self.count(way));
        let sum = not_steps.fold(self.count("steps"), u64::wrapping_add);
        assert_eq!(self.count("slots"), sum);
    }

    /// Waits for an event of this kind about `subject`.
    pub(super) fn event(&self, kind: EventKind, subject: &str) -> Event {
        let mut found = None;
        until(&format!("{} of {subject}", kind.name()), || {
            found = self.events().find(|e| e.kind == kind && e.subject == subject);
            found.is_some()
        });
        found.expect("it was found")
    }

    fn events(&self) -> impl Iterator<Item = Event> {
        self.events.try_iter().filter_map(|fact| fact.event)
    }

    pub(super) fn no_event(&self, kind: EventKind) {
        assert!(self.events().all(|event| event.kind != kind));
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.stop.raise();
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || std::thread::panicking(), "the door's thread panicked");
        }
    }
}

pub(super) fn socket(run_dir: &Path) -> PathBuf {
    run_dir.join(engine_push::SOCKET_NAME)
}

/// A folder for an agent, gone at the end.
pub(super) fn run_dir() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder for the socket")
}

pub(super) fn writer(name: &str) -> DoorWriter {
    let engine =
        Engine { endpoint: format!("http://{name}:8000"), ..Engine::named(name, "org/model") };
    DoorWriter::create(&engine, 64).expect("memory for a door")
}

pub(super) fn step(running: u32) -> StepCore {
    let mut step = StepCore { running, ..StepCore::zeroed() };
    step.mark(Field::Running);
    step
}

/// Maintains lines until each is welcome.
pub(super) fn welcome(lines: &mut [Line]) {
    until("every line is welcome", || {
        let now_ns = clock::monotonic_ns();
        let mut all = true;
        for line in &mut *lines {
            all &= *line.maintain(now_ns) == LineState::Welcome;
        }
        all
    });
}

/// Lets this process have as many descriptors as it may.
pub(super) fn allow_descriptors() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })
        .expect("the hard limit is allowed");
}

/// An engine that writes its memory by hand, as any program may.
pub(super) struct RawEngine {
    pub(super) memory: SharedMemory,
    pub(super) door: Door,
    pub(super) connection: Connection,
}

impl RawEngine {
    pub(super) fn new(run_dir: &Path, instance: u64, slots: u32) -> Self {
        let door = Door::new(slots).expect("a power of two");
        let memory = SharedMemory::new("raw", door.bytes as usize, false).expect("memory");
        let raw = Self { memory, door, connection: call(run_dir) };
        raw.store(0, bytemuck::cast_slice(&[door.header(instance, 1)]));
        raw
    }

    pub(super) fn store(&self, at: usize, words: &[u64]) {
        use eagle_eye::platform::atomic::Ordering;
        for (word, value) in self.memory.words()[at..].iter().zip(words) {
            word.store(*value, Ordering::Release);
        }
    }

    pub(super) fn greet(&self) -> Answer {
        greet(&self.connection, GreetingKind::Engine, &[self.memory.as_fd()]);
        answer(&self.connection)
    }

    pub(super) fn slot(&self, sequence: u64, step: &StepCore) -> Vec<u64> {
        let step: &[u64] = bytemuck::cast_slice(std::slice::from_ref(step));
        let crc = u64::from(crc32fast::hash(bytemuck::cast_slice(step)));
        [&[sequence, crc << 32 | 256], step].concat()
    }

    pub(super) fn write(&self, sequence: u64, step: &StepCore) {
        self.store(self.door.slot_at(sequence) / 8, &self.slot(sequence, step));
        self.head(sequence);
    }

    pub(super) fn head(&self, sequence: u64) {
        self.store(Door::HEAD_AT / 8, &[sequence]);
    }
}

pub(super) fn call(run_dir: &Path) -> Connection {
    Connection::connect(&socket(run_dir)).expect("the agent listens")
}

pub(super) fn greet(connection: &Connection, kind: GreetingKind, descriptors: &[BorrowedFd<'_>]) {
    let greeting = [Greeting::new(kind)];
    connection.send(bytemuck::cast_slice(&greeting), descriptors).expect("the greeting is sent");
}

#[derive(Debug)]
pub(super) enum Answer {
    Welcome(GreetingKind, Vec<OwnedFd>),
    Refused(String),
    HungUp,
}

pub(super) fn answer(connection: &Connection) -> Answer {
    let mut buffer = [0; 2048];
    let mut found = None;
    until("the agent answers", || {
        found = match connection.receive(&mut buffer).expect("receiving works") {
            Received::Nothing => None,
            Received::HungUp => Some(Answer::HungUp),
            Received::Oversized => panic!("an answer is short"),
            Received::Message(length, descriptors) => {
                let message = &buffer[..length];
                Some(match Greeting::read(message).expect("an answer is a greeting") {
                    GreetingKind::Refused => {
                        let why = String::from_utf8_lossy(&message[Greeting::BYTES..]);
                        Answer::Refused(why.into_owned())
                    }
                    kind => Answer::Welcome(kind, descriptors),
                })
            }
        };
        found.is_some()
    });
    found.expect("it was found")
}
