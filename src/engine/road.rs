//! The road to NATS: batches, full state, answers, events.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use crossbeam_channel::Sender;

use super::compat::Compat;
use super::desk::{Deliver, Outcome};
use super::overseer::{DetailsChanged, NamesChanged};
use super::state::FullState;
use super::subjects::{self, Subjects};
use crate::config::NatsPlan;
use crate::journal::EntryKind;
use crate::newest::{Names, ReadingTableView, StepTableView};
use crate::pipeline::{Batch, Taker};
use crate::platform::atomic::{AtomicU32, Ordering};
use crate::platform::clock;
use crate::schema::BatchWriter;
use crate::transports::nats::{
    Answer, DurableHooks, FullStateReason, Kept, NatsDurable, NatsPublisher, NatsSettings,
    PublisherHooks, Secret, StreamSettings, TlsSettings,
};
use crate::transports::{Link, Outgoing};

/// How long a leaving agent gives NATS to take what waits.
const LEAVE: Duration = Duration::from_millis(300);

/// What the road carries and knows.
#[derive(Debug, Clone)]
pub(super) struct Cargo {
    pub(super) names: Names,
    pub(super) steps: StepTableView,
    pub(super) readings: ReadingTableView,
    pub(super) incarnation: u64,
    /// The generation that the drain writes into batches.
    pub(super) generation: Arc<AtomicU32>,
}

/// Both connections: one for what may be replaced by newer state, one for what
/// must not be lost.
#[derive(Debug)]
pub(super) struct Road {
    publisher: NatsPublisher,
    compat: Option<Compat>,
    durable: Arc<NatsDurable>,
    cargo: Cargo,
    prefix: String,
}

impl Road {
    /// Starts both; they connect, and go on trying, by themselves.
    pub(super) fn start(
        plan: &NatsPlan,
        cargo: Cargo,
        outcomes: Sender<Outcome>,
        cpu: Option<usize>,
    ) -> Result<Self, String> {
        let settings = settings(plan, cargo.names.node())?;
        let compat = Compat::of(plan, &cargo.names);
        let hooks = publisher_hooks(plan, &cargo, compat.as_ref());
        let publisher = NatsPublisher::start(settings.clone(), hooks, cpu)
            .map_err(|error| error.to_string())?;
        let stream = stream(&plan.prefix);
        // Events can wait for what a dead connection costs; a rested node's
        // processor is not woken for them.
        let rested = (4 * settings.ping_interval).min(Duration::from_mins(1));
        let settings = NatsSettings { ping_interval: rested, ..settings };
        let durable = NatsDurable::start(settings, stream, durable_hooks(outcomes), None)
            .map_err(|error| error.to_string())?;
        Ok(Self {
            publisher,
            compat,
            durable: Arc::new(durable),
            cargo,
            prefix: plan.prefix.clone(),
        })
    }

    /// Receives batches from the drain.
    pub(super) fn taker(&self) -> Taker {
        let outlet = self.publisher.outlet();
        let mut subjects = self.subjects();
        Taker::new(
            "nats",
            Box::new(move |batch: &Batch| {
                if outlet.generation().is_none() {
                    return false;
                }
                let subject = subjects.of(batch.lane());
                outlet.offer(&subject, Bytes::from_owner(batch.clone()), batch.records())
            }),
        )
    }

    /// Keeps steps for routers that read JSON, if there may be any. It comes
    /// before [`Self::taker`], whose batches wake the thread that sends both.
    pub(super) fn compat_taker(&self) -> Option<Taker> {
        let outlet = self.publisher.outlet();
        let compat = self.compat.clone()?;
        let offer = move |batch: &Batch| {
            outlet.generation().is_some() && compat.take(batch, clock::monotonic_ns())
        };
        Some(Taker::new("compat", Box::new(offer)))
    }

    /// The stream for routers that read JSON, if there is one.
    pub(super) fn compat(&self) -> Option<Compat> {
        self.compat.clone()
    }

    /// Sends names again after they changed.
    pub(super) fn names_changed(&self) -> NamesChanged {
        let outlet = self.publisher.outlet();
        let mut subjects = self.subjects();
        let mut state = full_state(&self.cargo);
        Box::new(move || {
            if let Some(generation) = outlet.generation() {
                for (subject, bytes, records) in state.names(&mut subjects, generation) {
                    outlet.offer(&subject, bytes, records);
                }
            }
        })
    }

    /// Sends what engines say beside their steps, as far as it changed.
    pub(super) fn details_changed(&self) -> DetailsChanged {
        let outlet = self.publisher.outlet();
        let mut subjects = self.subjects();
        let mut state = full_state(&self.cargo);
        let mut since = 0;
        Box::new(move || {
            // A new connection begins with full state.
            let Some(generation) = outlet.generation() else { return };
            let (messages, version) = state.details(&mut subjects, generation, since);
            since = version;
            for (subject, bytes, records) in messages {
                outlet.offer(&subject, bytes, records);
            }
        })
    }

    /// Sends events and verdicts at least once.
    pub(super) fn deliver(&self) -> Deliver {
        let durable = Arc::clone(&self.durable);
        let subjects = self.subjects();
        let (events, verdicts) = (subjects.events(), subjects.verdicts());
        let node = self.cargo.names.node_hash();
        Box::new(move |kind, number, bytes| {
            let subject = match kind {
                EntryKind::Event => &events,
                EntryKind::Verdict => &verdicts,
            };
            durable.offer(subject, &format!("{node:016x}-{number}"), bytes)
        })
    }

    /// What the link says of itself.
    pub(super) fn link(&self) -> Link {
        self.publisher.link()
    }

    /// Sends what waits and leaves.
    pub(super) fn stop(self) {
        self.publisher.stop(LEAVE);
        if let Some(durable) = Arc::into_inner(self.durable) {
            durable.stop(LEAVE);
        }
    }

    fn subjects(&self) -> Subjects {
        Subjects::new(&self.prefix, self.cargo.names.clone())
    }
}

fn publisher_hooks(plan: &NatsPlan, cargo: &Cargo, compat: Option<&Compat>) -> PublisherHooks {
    let mut subjects = Subjects::new(&plan.prefix, cargo.names.clone());
    let mut state = full_state(cargo);
    let current = Arc::clone(&cargo.generation);
    let (begin, steps) = (compat.cloned(), cargo.steps.clone());
    let all = move |reason, generation: u32| {
        current.store(generation, Ordering::Relaxed);
        if let (Some(compat), FullStateReason::Connected) = (&begin, reason) {
            compat.restart(steps.iter().map(|newest| newest.step), clock::monotonic_ns());
        }
        let messages = state.messages(&mut subjects, generation, 0);
        messages
            .into_iter()
            .map(|(subject, payload, records)| Outgoing { subject, payload, records })
            .collect()
    };
    let mut subjects = Subjects::new(&plan.prefix, cargo.names.clone());
    let mut state = full_state(cargo);
    let current = Arc::clone(&cargo.generation);
    let reply = move |_request: &[u8], held_ns: u64| {
        let generation = current.load(Ordering::Relaxed);
        let messages = state.messages(&mut subjects, generation, held_ns);
        messages.into_iter().map(|(_, payload, _)| payload).collect()
    };
    let answer = Answer { subject: subjects::snapshot(&plan.prefix), reply: Box::new(reply) };
    PublisherHooks {
        full_state: Box::new(all),
        answers: vec![answer],
        aside: compat.map(Compat::aside),
    }
}

fn durable_hooks(outcomes: Sender<Outcome>) -> DurableHooks {
    let mut told = false;
    let done = move |id: &str, result: Result<Kept, String>| {
        let kept = match result {
            Ok(Kept::Acknowledged { .. }) => true,
            Ok(Kept::HandedOver) => {
                if !told {
                    tracing::warn!(
                        "the NATS server has no JetStream: events are sent once and kept nowhere; \
                         enable JetStream there to have them delivered at least once"
                    );
                    told = true;
                }
                true
            }
            Err(_) => false,
        };
        if let Some(number) = id.rsplit('-').next().and_then(|number| number.parse().ok()) {
            // A full channel leaves it in the journal: it is sent again.
            let _ = outcomes.try_send(Outcome { number, kept });
        }
    };
    DurableHooks { on_ready: Box::new(|_| {}), on_done: Box::new(done) }
}

pub(super) fn full_state(cargo: &Cargo) -> FullState {
    FullState {
        names: cargo.names.clone(),
        steps: cargo.steps.clone(),
        readings: cargo.readings.clone(),
        incarnation: cargo.incarnation,
        writer: BatchWriter::default(),
    }
}

/// The stream that keeps events and verdicts: a week, at most 256 MiB.
pub(super) fn stream(prefix: &str) -> StreamSettings {
    const DAY: Duration = Duration::from_hours(24);
    let token = prefix.replace(|c: char| !c.is_ascii_alphanumeric(), "_").to_uppercase();
    StreamSettings {
        name: format!("{token}_EVENTS"),
        subjects: vec![format!("{prefix}.events.*"), format!("{prefix}.verdicts.*")],
        create: true,
        age_max: 7 * DAY,
        bytes_max: 256 << 20,
        replicas: 1,
        duplicate_window: Duration::from_mins(2),
    }
}

pub(super) fn settings(plan: &NatsPlan, node: &str) -> Result<NatsSettings, String> {
    let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let file = |path: &str| (!path.is_empty()).then(|| PathBuf::from(path));
    let nkey_seed = match file(&plan.nkey_file) {
        Some(path) => {
            let seed = std::fs::read_to_string(&path).map_err(|error| {
                format!("the NKey seed {} cannot be read: {error}", path.display())
            })?;
            Some(Secret::new(seed.trim()))
        }
        None => None,
    };
    Ok(NatsSettings {
        name: format!("eagle-eye agent {node}"),
        user: text(&plan.user),
        password: text(&plan.password).map(Secret::new),
        token: text(&plan.token).map(Secret::new),
        nkey_seed,
        credentials_file: file(&plan.credentials_file),
        tls: TlsSettings {
            required: plan.tls,
            ca: file(&plan.tls_ca),
            cert: file(&plan.tls_cert),
            key: file(&plan.tls_key),
            ..TlsSettings::default()
        },
        ping_interval: Duration::from_millis(plan.ping_ms),
        queue_batches: super::TAKER_QUEUE_MAX,
        ..NatsSettings::with_urls(plan.urls.iter().cloned())
    })
}
