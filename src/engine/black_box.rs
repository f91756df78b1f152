//! The recorder's place on the road: it takes every batch, every change of
//! names, every event, and tells what it has.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use super::StartError;
use super::overseer::{DetailsChanged, NamesChanged};
use super::road::{Cargo, full_state};
use super::state::Message;
use super::subjects::Subjects;
use super::threads::{Stage, Threads};
use crate::config::RecorderPlan;
use crate::pipeline::{Batch, Taker};
use crate::platform::atomic::Ordering;
use crate::recorder::{Counts, FOLDER, Inlet, Limits, recorder};
use crate::schema::{BatchView, Severity};
use crate::web::{RecorderState, RecorderStatus};

/// Batches that wait for the recorder's thread; it wakes when a quarter of
/// this is full.
const QUEUE_MAX: usize = 2 * super::TAKER_QUEUE_MAX;

/// A running recorder, as the engine feeds it. Clones feed the same one.
#[derive(Debug, Clone)]
pub(super) struct BlackBox {
    inlet: Inlet,
    cargo: Cargo,
    bytes_max: u64,
}

impl BlackBox {
    /// Starts the recorder's thread. What its disk says comes later, in
    /// [`Self::status`].
    pub(super) fn start(
        plan: &RecorderPlan,
        state_dir: &Path,
        cargo: &Cargo,
        threads: &mut Threads,
    ) -> Result<Self, StartError> {
        let limits = Limits { bytes: plan.bytes, age_ns: plan.age_ns, ..Limits::default() };
        let known = {
            let (mut state, mut subjects) = (full_state(cargo), subjects(cargo));
            let generation = Arc::clone(&cargo.generation);
            Box::new(move || {
                let generation = generation.load(Ordering::Relaxed);
                state
                    .messages(&mut subjects, generation, 0)
                    .into_iter()
                    .map(|(_, b, _)| b)
                    .collect()
            })
        };
        let folder = state_dir.join(FOLDER);
        let (inlet, runner) = recorder(folder, limits, plan.backend, QUEUE_MAX, known);
        threads.spawn(Stage::Recorder, "recorder", None, move |stop| runner.run(stop))?;
        Ok(Self { inlet, cargo: cargo.clone(), bytes_max: plan.bytes })
    }

    /// Receives batches from the drain.
    pub(super) fn taker(&self) -> Taker {
        let inlet = self.inlet.clone();
        let offer = move |batch: &Batch| inlet.offer(Bytes::from_owner(batch.clone()));
        Taker::new("recorder", Box::new(offer))
    }

    /// Keeps a batch of events or verdicts; one that matters is made durable
    /// soon.
    pub(super) fn keep(&self, bytes: &Bytes) {
        let urgent = BatchView::verify(bytes).is_ok_and(|batch| {
            batch.events().any(|event| event.severity >= Severity::Error)
                || batch.verdicts().any(|verdict| verdict.severity >= Severity::Error)
        });
        self.inlet.keep(bytes.clone(), urgent);
    }

    /// Keeps names after they changed.
    pub(super) fn names_changed(&self) -> NamesChanged {
        let (inlet, generation) = (self.inlet.clone(), Arc::clone(&self.cargo.generation));
        let (mut state, mut subjects) = (full_state(&self.cargo), subjects(&self.cargo));
        Box::new(move || {
            offer(&inlet, state.names(&mut subjects, generation.load(Ordering::Relaxed)));
        })
    }

    /// Keeps what engines say beside their steps, as far as it changed.
    pub(super) fn details_changed(&self) -> DetailsChanged {
        let (inlet, generation) = (self.inlet.clone(), Arc::clone(&self.cargo.generation));
        let (mut state, mut subjects) = (full_state(&self.cargo), subjects(&self.cargo));
        let mut since = 0;
        Box::new(move || {
            let generation = generation.load(Ordering::Relaxed);
            let (messages, version) = state.details(&mut subjects, generation, since);
            since = version;
            offer(&inlet, messages);
        })
    }

    /// What it counts.
    pub(super) fn counts(&self) -> Arc<Counts> {
        self.inlet.counts()
    }

    /// How it is.
    pub(super) fn status(&self) -> RecorderStatus {
        let counts = self.inlet.counts().snapshot();
        let (state, sentence) = match (counts.trouble, counts.backend) {
            (Some(trouble), _) => (RecorderState::Failed, trouble),
            (None, Some(_)) => (RecorderState::Ready, String::new()),
            (None, None) => (RecorderState::Starting, String::new()),
        };
        RecorderStatus {
            state,
            sentence,
            backend: counts.backend.map(|kind| kind.name().to_owned()).unwrap_or_default(),
            bytes: counts.held_bytes,
            bytes_max: self.bytes_max,
            since_wall_ns: counts.since_wall_ns,
            batches: counts.written,
            lost: counts.lost_full + counts.lost_disk,
        }
    }
}

fn offer(inlet: &Inlet, messages: Vec<Message>) {
    for (_, bytes, _) in messages {
        inlet.keep(bytes, false);
    }
}

/// Messages of full state ask for subjects, which a recording needs none of.
fn subjects(cargo: &Cargo) -> Subjects {
    Subjects::new("recorder", cargo.names.clone())
}
