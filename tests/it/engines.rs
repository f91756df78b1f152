//! Engines of the tests' own, which know what they wrote.

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use bytemuck::Zeroable;
use eagle_eye::platform::atomic::{AtomicBool, AtomicU64, Ordering};
use eagle_eye::platform::clock::{self, MILLISECOND_NS, SECOND_NS};
use eagle_eye::platform::thread::{self, Stop};
use eagle_eye::producer::{DoorWriter, Line, LineState};
use eagle_eye::schema::{Engine, Field, StepCore, name_hash};

use crate::counting::allocations;
use crate::server::eventually;

/// Slots of each engine's memory: five seconds at 200 Hz.
const SLOTS: u32 = 1024;

/// How often lines are looked after.
const MAINTAIN_NS: u64 = 50 * MILLISECOND_NS;

/// Rounds that a busy machine made late are made up within this.
const LATE_NS_MAX: u64 = SECOND_NS;

/// Engines of one rank each, written by one thread at a steady pace.
pub(crate) struct Engines {
    pub(crate) instances: Vec<u64>,
    shared: Arc<Shared>,
    stop: Stop,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    /// The last sequence that each engine wrote.
    written: Vec<AtomicU64>,
    welcome: AtomicU64,
    paused: AtomicBool,
    /// Allocations that writing made once every rank was known.
    allocated: AtomicU64,
}

struct Round {
    engines: Vec<(DoorWriter, Line)>,
    shared: Arc<Shared>,
    written: u64,
    maintain_ns: u64,
}

impl Engines {
    /// `count` engines named after `prefix`, each at `hz` steps a second.
    pub(crate) fn start(socket: &Path, prefix: &str, count: u32, hz: u64) -> Self {
        let make = |at| {
            let name = format!("{prefix}{at}");
            let writer = DoorWriter::create(&Engine::named(&name, "org/model"), SLOTS)
                .expect("memory for a door");
            let line = writer.line(socket);
            (writer, line)
        };
        let engines: Vec<_> = (0..count).map(make).collect();
        let instances = (0..count).map(|at| name_hash(&format!("{prefix}{at}"))).collect();
        let shared = Arc::new(Shared {
            written: (0..count).map(|_| AtomicU64::new(0)).collect(),
            welcome: AtomicU64::new(0),
            paused: AtomicBool::new(false),
            allocated: AtomicU64::new(0),
        });
        let mut round = Round { engines, shared: Arc::clone(&shared), written: 0, maintain_ns: 0 };
        let stop = Stop::default();
        let stopped = stop.clone();
        let thread = thread::spawn("engines", None, move || {
            let mut due_ns = clock::monotonic_ns();
            while !stopped.is_raised() {
                round.go(clock::monotonic_ns());
                due_ns = (due_ns + SECOND_NS / hz)
                    .max(clock::monotonic_ns().saturating_sub(LATE_NS_MAX));
                clock::sleep_until(due_ns);
            }
        })
        .expect("a thread for the engines");
        Self { instances, shared, stop, thread: Some(thread) }
    }

    /// Waits until every engine is welcome.
    pub(crate) fn welcome(self) -> Self {
        let all = self.instances.len() as u64;
        eventually("every engine is welcome", || {
            self.shared.welcome.load(Ordering::Acquire) == all
        });
        self
    }

    /// The last sequence of each engine, in the order of `instances`.
    pub(crate) fn written(&self) -> Vec<u64> {
        self.shared.written.iter().map(|last| last.load(Ordering::Acquire)).collect()
    }

    /// Steps that all engines wrote.
    pub(crate) fn total(&self) -> u64 {
        self.written().iter().sum()
    }

    /// Waits until each engine wrote so many more steps.
    pub(crate) fn write_more(&self, steps: u64) {
        let before = self.written();
        eventually("engines write on", || {
            self.written().iter().zip(&before).all(|(now, before)| *now >= before + steps)
        });
    }

    /// Writes no more steps, and returns once the last one is written; the
    /// hearts beat on.
    pub(crate) fn pause(&self) {
        self.shared.paused.store(true, Ordering::Release);
        let mut last = self.total();
        eventually("engines pause", || {
            clock::sleep_until(clock::monotonic_ns() + 20 * MILLISECOND_NS);
            let now = self.total();
            std::mem::replace(&mut last, now) == now
        });
    }

    /// Allocations that writing made once every rank was known.
    pub(crate) fn allocated(&self) -> u64 {
        self.shared.allocated.load(Ordering::Acquire)
    }
}

impl Drop for Engines {
    fn drop(&mut self) {
        self.stop.raise();
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || std::thread::panicking(), "the engines' thread panicked");
        }
    }
}

impl Round {
    fn go(&mut self, now_ns: u64) {
        if now_ns >= self.maintain_ns {
            self.maintain_ns = now_ns + MAINTAIN_NS;
            let welcome = self
                .engines
                .iter_mut()
                .filter_map(|(_, line)| {
                    (*line.maintain(now_ns) == LineState::Welcome).then_some(())
                })
                .count();
            self.shared.welcome.store(welcome as u64, Ordering::Release);
        }
        if self.shared.paused.load(Ordering::Acquire) {
            return;
        }
        self.written += 1;
        let mut step = StepCore { running: self.written as u32, ..StepCore::zeroed() };
        step.mark(Field::Running);
        step.mark(Field::Waiting);
        let allocated = allocations(|| {
            for ((writer, _), written) in self.engines.iter_mut().zip(&self.shared.written) {
                writer.write(&step);
                written.store(self.written, Ordering::Release);
            }
        });
        if self.written > 1 {
            self.shared.allocated.fetch_add(allocated, Ordering::AcqRel);
        }
    }
}
