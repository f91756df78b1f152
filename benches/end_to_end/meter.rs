//! A router's end of the road in this process: a view over NATS that notes
//! when each step came.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;

use eagle_eye::client::{View, ViewCore, ViewSettings};
use eagle_eye::engine::{Simulation, SimulationCounts, SimulationPlan};
use eagle_eye::platform::clock;
use eagle_eye::platform::thread::{self, Stop};
use eagle_eye::schema::{BatchView, Flag};
use eagle_eye::transports::nats::{NatsSettings, NatsSubscriber, SubscriberHooks};

/// What was noted since it was taken last.
#[derive(Debug, Default)]
pub(crate) struct Noted {
    /// From each step's end until it was in the view, ns, in order of arrival.
    pub(crate) times_ns: Vec<u64>,
    pub(crate) messages: u64,
    /// Bytes of batches with steps, headers included.
    pub(crate) payload_bytes: u64,
    /// What NATS adds to them: its own line and the subject.
    pub(crate) nats_bytes: u64,
    /// When the first message came, ns.
    pub(crate) first_ns: u64,
    last_receipt_ns: u64,
}

/// See the module.
pub(crate) struct Meter {
    record: Arc<Mutex<Record>>,
    pub(crate) view: View,
    subscriber: NatsSubscriber,
}

struct Record {
    core: ViewCore,
    last: HashMap<(u64, u64, u16), u64>,
    noted: Noted,
    /// How long the taking of a step takes, ns: a router that is too slow.
    pause_ns: u64,
}

impl Meter {
    pub(crate) fn start(nats: &str, pause_ns: u64) -> Result<Self, String> {
        let core = ViewCore::new(ViewSettings::default());
        let view = View::of(&core);
        let noted = Noted::default();
        let record = Record { core, last: HashMap::new(), noted, pause_ns };
        let record = Arc::new(Mutex::new(record));
        let taking = Arc::clone(&record);
        let hooks = SubscriberHooks {
            on_message: Box::new(move |subject, bytes, receipt_ns| {
                lock(&taking).take(subject, &bytes, receipt_ns);
            }),
            on_reply: Box::new(|_, _, _| {}),
            on_connected: Box::new(|_, _| {}),
            on_disconnected: Box::new(|| {}),
            on_lost: Box::new(|_, _| {}),
        };
        let subjects = vec!["eagle_eye.v1.routing.*.*".to_owned()];
        let subscriber =
            NatsSubscriber::start(NatsSettings::with_urls([nats]), subjects, hooks, None)
                .map_err(|error| error.to_string())?;
        Ok(Self { record, view, subscriber })
    }

    /// What came since the last call.
    pub(crate) fn take(&self) -> Noted {
        std::mem::take(&mut lock(&self.record).noted)
    }

    pub(crate) fn has_any(&self) -> bool {
        !lock(&self.record).noted.times_ns.is_empty()
    }

    pub(crate) fn stop(self) {
        self.subscriber.stop(Duration::from_millis(200));
    }
}

impl Record {
    fn take(&mut self, subject: &str, bytes: &Bytes, receipt_ns: u64) {
        let Ok(batch) = BatchView::verify(bytes) else { return };
        if batch.steps().len() == 0 {
            return;
        }
        let _ = self.core.feed(bytes, receipt_ns);
        let stored_ns = clock::monotonic_ns();
        self.noted.messages += 1;
        self.noted.payload_bytes += bytes.len() as u64;
        // PUB <subject> <length>\r\n … \r\n
        self.noted.nats_bytes += subject.len() as u64 + 4 + 6 + 4;
        if self.noted.first_ns == 0 {
            self.noted.first_ns = receipt_ns;
        }
        self.noted.last_receipt_ns = receipt_ns;
        for step in batch.steps() {
            if step.has(Flag::Goodbye) {
                continue;
            }
            let last = self.last.entry((step.instance, step.incarnation, step.rank)).or_default();
            if step.sequence > *last {
                *last = step.sequence;
                self.noted.times_ns.push(stored_ns.saturating_sub(step.monotonic_ns));
                if self.pause_ns > 0 {
                    clock::sleep_until(clock::monotonic_ns() + self.pause_ns);
                }
            }
        }
    }
}

fn lock(record: &Mutex<Record>) -> MutexGuard<'_, Record> {
    record.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Simulated engines on a thread of their own.
pub(crate) struct Engines {
    stop: Stop,
    thread: std::thread::JoinHandle<SimulationCounts>,
}

impl Engines {
    pub(crate) fn start(socket: &std::path::Path, engines: u32, hz: u32) -> Result<Self, String> {
        let simulation = Simulation::new(&SimulationPlan {
            socket: socket.to_owned(),
            name: "bench".to_owned(),
            engines,
            ranks: 1,
            models: vec!["bench".to_owned()],
            hz,
        })
        .map_err(|error| format!("simulated engines need memory and descriptors: {error}"))?;
        let stop = Stop::default();
        let theirs = stop.clone();
        let thread = thread::spawn("ee-simulation", None, move || simulation.run(&theirs, |_| {}))
            .map_err(|error| error.to_string())?;
        Ok(Self { stop, thread })
    }

    pub(crate) fn end(self) -> SimulationCounts {
        self.stop.raise();
        self.thread.join().unwrap_or_default()
    }
}
