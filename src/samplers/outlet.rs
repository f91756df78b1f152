//! Where a sampler puts its facts: the ring for those who need every one, the
//! newest values for those who need the last.

use std::collections::HashMap;
use std::sync::Arc;

use crossbeam_channel::{Sender, TrySendError};

use crate::newest::{Names, NewestStep, RankKey, ReadingCell, ReadingTable, StepTable, StepWriter};
use crate::platform::atomic::{AtomicU64, Ordering};
use crate::platform::clock;
use crate::platform::doorbell::Ringer;
use crate::ring;
use crate::schema::{
    Device, Engine, EngineDetails, Event, EventKind, MetricId, Reading, Severity, StepCore,
};

/// A sampler's way out. Storing a step or a reading allocates nothing once its
/// rank or device is known, never waits and makes no system call.
#[derive(Debug)]
pub struct Outlet {
    source: &'static str,
    steps: ring::Writer<StepCore>,
    readings: ring::Writer<Reading>,
    step_cells: StepWriter,
    reading_table: ReadingTable,
    reading_cells: HashMap<(u32, u16), ReadingCell>,
    names: Names,
    events: EventOutlet,
    drain: Ringer,
    losses: Arc<Losses>,
}

/// What a sampler could not put anywhere, by reason.
#[derive(Debug, Default)]
pub struct Losses {
    /// Steps whose rank found no cell in the newest table.
    pub ranks_refused: AtomicU64,
    /// Readings whose metric found no cell in the newest table.
    pub readings_refused: AtomicU64,
}

/// What reaches the journal as one: a fact, how far its source has been read
/// with it, or both. A crash keeps both or neither.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// The fact.
    pub event: Option<Event>,
    /// The sampler's name and where it stands.
    pub cursor: Option<(&'static str, Vec<u8>)>,
}

/// Where events go: a bounded channel to the journal.
#[derive(Debug, Clone)]
pub struct EventOutlet {
    events: Sender<Fact>,
    dropped: Arc<AtomicU64>,
}

/// The parts an [`Outlet`] is made of.
#[derive(Debug)]
pub struct OutletParts {
    /// The ring of steps.
    pub steps: ring::Writer<StepCore>,
    /// The ring of readings.
    pub readings: ring::Writer<Reading>,
    /// The newest steps.
    pub step_table: StepTable,
    /// The newest readings.
    pub reading_table: ReadingTable,
    /// Engines and devices by name.
    pub names: Names,
    /// Where events go.
    pub events: EventOutlet,
    /// Wakes the drain.
    pub drain: Ringer,
}

impl EventOutlet {
    /// An outlet into `events`; what does not fit is dropped and counted.
    #[must_use]
    pub fn new(events: Sender<Fact>) -> Self {
        Self { events, dropped: Arc::default() }
    }

    /// States a fact. Never waits.
    pub fn state(&self, event: Event) {
        if !self.offer(Fact { event: Some(event), cursor: None }) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Hands over a fact that its source keeps until it is taken; says whether
    /// it was. Never waits, and counts nothing as lost.
    #[must_use]
    pub fn offer(&self, fact: Fact) -> bool {
        match self.events.try_send(fact) {
            Ok(()) => true,
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => false,
        }
    }

    /// How many facts find room now.
    #[must_use]
    pub fn room(&self) -> usize {
        self.events.capacity().unwrap_or(usize::MAX).saturating_sub(self.events.len())
    }

    /// Events lost since the channel was full.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

impl Outlet {
    /// The outlet of the sampler named `source`.
    #[must_use]
    pub fn new(source: &'static str, parts: OutletParts) -> Self {
        Self {
            source,
            steps: parts.steps,
            readings: parts.readings,
            step_cells: parts.step_table.writer(),
            reading_table: parts.reading_table,
            reading_cells: HashMap::new(),
            names: parts.names,
            events: parts.events,
            drain: parts.drain,
            losses: Arc::default(),
        }
    }

    /// Puts a rank's step into the ring and its newest cell.
    pub fn step(&mut self, newest: &NewestStep) {
        self.steps.push(&newest.step);
        self.step_newest(newest);
    }

    /// Puts a rank's step into its newest cell only: for a state of the rank
    /// that is no step of its producer.
    pub fn step_newest(&mut self, newest: &NewestStep) {
        if self.step_cells.write(newest).is_none() {
            self.losses.ranks_refused.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Empties a rank's newest cell.
    pub fn forget_rank(&mut self, key: &RankKey) {
        self.step_cells.forget(key);
    }

    /// Puts a value into the ring and its newest cell.
    pub fn reading(&mut self, device: u32, metric: MetricId, time_ns: u64, value: f64) {
        let reading = Reading::new(device, metric, time_ns, value);
        self.readings.push(&reading);
        let key = (device, reading.metric);
        if let Some(cell) = self.reading_cells.get_mut(&key) {
            cell.write(&reading);
            return;
        }
        match self.reading_table.cell() {
            Some(mut cell) => {
                cell.write(&reading);
                self.reading_cells.insert(key, cell);
            }
            None => {
                self.losses.readings_refused.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// A value that can no longer be had: its series ends.
    pub fn forget_reading(&mut self, device: u32, metric: MetricId) {
        self.reading_cells.remove(&(device, metric as u16));
    }

    /// The index of a device, registering it when first seen; nothing when the
    /// node's names are full.
    pub fn register(&mut self, kind: &'static str, name: &str) -> Option<u32> {
        self.names.device(kind, name)
    }

    /// Says more about a registered device than its kind and name.
    pub fn describe(&mut self, device: Device) {
        self.names.put_device(device);
    }

    /// A device that is gone, with all its readings.
    pub fn forget_device(&mut self, device: u32) {
        self.reading_cells.retain(|(owner, _), _| *owner != device);
        self.names.forget_device(device);
    }

    /// Names an engine.
    pub fn engine(&mut self, engine: Engine) {
        self.names.put_engine(engine);
    }

    /// Keeps what an engine says beside its steps.
    pub fn details(&mut self, details: EngineDetails) {
        self.names.details().put(details);
    }

    /// Forgets an engine's name, and what it said beside its steps.
    pub fn forget_engine(&mut self, instance: u64, incarnation: u64) {
        self.names.forget_engine(instance, incarnation);
    }

    /// States a fact that happens now.
    pub fn event(&mut self, kind: EventKind, severity: Severity, subject: &str, text: String) {
        let (wall_ns, monotonic_ns) = (clock::wall_ns(), clock::monotonic_ns());
        let subject = subject.to_owned();
        let event =
            Event { kind, severity, wall_ns, monotonic_ns, subject, text, ..Event::default() };
        self.state(event);
    }

    /// States a fact in this sampler's name.
    pub fn state(&mut self, event: Event) {
        self.events.state(Event { source: self.source.to_owned(), ..event });
    }

    /// Hands over a fact of a source that keeps it until it is taken, together
    /// with how far the source has been read; says whether it was taken. The
    /// next [`super::Cursors::of`] this sampler gives that cursor.
    #[must_use]
    pub fn offer(&mut self, event: Option<Event>, cursor: Option<Vec<u8>>) -> bool {
        let source = self.source;
        let event = event.map(|event| Event { source: source.to_owned(), ..event });
        self.events.offer(Fact { event, cursor: cursor.map(|value| (source, value)) })
    }

    /// How many facts find room now. Only ever grows until the next one is
    /// handed over, unless other samplers speak.
    #[must_use]
    pub fn event_room(&self) -> usize {
        self.events.room()
    }

    /// Shows everything put in so far to the drain, and wakes it if it
    /// sleeps. Once a round, not once a record.
    pub fn publish(&mut self) {
        let steps = self.steps.publish();
        let readings = self.readings.publish();
        if steps || readings {
            self.drain.ring();
        }
    }

    /// What could not be put anywhere.
    #[must_use]
    pub fn losses(&self) -> Arc<Losses> {
        Arc::clone(&self.losses)
    }
}
