//! The agent: every room, in the order of the flow.

use std::io;
use std::sync::Arc;

use crossbeam_channel::bounded;
use thiserror::Error;

use super::desk::{self, Desk, Recent, WAITING_MAX};
use super::gauges;
use super::overseer::{self, Watched};
use super::part::{PartLine, PartState};
use super::sampling::{Common, SamplerGauges, Sampling};
use super::threads::{Cpus, Stage, Threads};
use crate::config::Plan;
use crate::journal::{Journal, Limits};
use crate::newest::{Names, ReadingTable, StepTable};
use crate::pipeline::{self, Drain, Taker, TakerCounts};
use crate::platform::atomic::AtomicU32;
use crate::platform::clock;
use crate::platform::doorbell::{Doorbell, Ringer};
use crate::samplers::own::Gauges;
use crate::samplers::{Context, EventOutlet};
use crate::schema::{Event, EventKind, Severity};

/// Batches that wait for one taker; at the default linger a quarter of a
/// second of a busy lane. More are lost to that taker, counted.
pub const TAKER_QUEUE_MAX: usize = 256;

/// Why the agent did not start at all.
#[derive(Debug, Error)]
pub enum StartError {
    /// The system gave no memory, thread or descriptor.
    #[error(
        "{what} could not be started: {source}; a limit on memory, threads or descriptors may be too low"
    )]
    System {
        /// What was started.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

/// A running agent.
#[derive(Debug)]
pub struct Agent {
    /// Engines and devices by name.
    pub names: Names,
    /// The newest steps.
    pub steps: StepTable,
    /// The newest readings.
    pub readings: ReadingTable,
    /// The latest events.
    pub recent: Recent,
    /// How each part came up.
    pub parts: Vec<PartLine>,
    events: EventOutlet,
    threads: Threads,
    pipeline: Arc<pipeline::Counts>,
    takers: Vec<(&'static str, Arc<TakerCounts>)>,
    samplers: Vec<SamplerGauges>,
    gauges: Gauges,
}

impl Agent {
    /// Builds and starts every room that the plan asks for; batches go to
    /// `takers` besides those of the plan.
    ///
    /// # Errors
    ///
    /// Only when memory, threads or descriptors run out: a sampler, the
    /// journal, NATS or the page that cannot start is a line in `parts`.
    pub fn start(plan: &Plan, takers: Vec<Taker>) -> Result<Self, StartError> {
        let names = Names::new(&plan.node);
        let steps = StepTable::shared(plan.newest_ranks)
            .map_err(|error| StartError::system("the table of newest steps", error))?;
        let readings = ReadingTable::shared(plan.newest_readings)
            .map_err(|error| StartError::system("the table of newest readings", error))?;
        let (events_in, events_out) = bounded(WAITING_MAX);
        let mut agent = Self {
            names,
            steps,
            readings,
            recent: Recent::default(),
            parts: Vec::new(),
            events: EventOutlet::new(events_in),
            threads: Threads::default(),
            pipeline: Arc::default(),
            takers: takers.iter().map(|taker| (taker.name(), taker.counts())).collect(),
            samplers: Vec::new(),
            gauges: Gauges::default(),
        };
        let incarnation = clock::wall_ns();
        let mut cpus = Cpus::new(&plan.pinning);
        let (ringer, hand_drain) = agent.start_drain()?;
        let sampling = agent.start_samplers(plan, ringer, &mut cpus)?;
        agent.start_desk(plan, events_out, incarnation)?;

        let settings = pipeline::Settings {
            node: agent.names.node_hash(),
            incarnation,
            generation: Arc::new(AtomicU32::new(0)),
            linger_ns: plan.linger_ns,
            batch_bytes: plan.batch_bytes,
            slabs: TAKER_QUEUE_MAX * takers.len() + pipeline::LANES_MAX,
        };
        let drain = Drain::new(sampling.sources, takers, settings);
        agent.pipeline = drain.counts();
        let _ = hand_drain.send(drain);
        agent.samplers.iter().for_each(|sampler| gauges::of_sampler(&agent.gauges, sampler));
        agent
            .takers
            .iter()
            .for_each(|(name, counts)| gauges::of_taker(&agent.gauges, name, counts));
        agent.start_overseer()?;
        agent.state(EventKind::AgentStarted, "the agent runs");
        Ok(agent)
    }

    /// Stops from front to back, so that what is under way still arrives;
    /// takes at most half a second a stage, however a source hangs.
    pub fn stop(mut self) {
        self.state(EventKind::AgentStopped, "the agent leaves");
        for stage in [Stage::Samplers, Stage::Drain, Stage::Desk] {
            self.threads.end(stage);
        }
    }

    /// What went through the pipeline.
    #[must_use]
    pub fn pipeline(&self) -> &pipeline::Counts {
        &self.pipeline
    }

    /// Starts the drain's thread, which tells how to ring it and waits for
    /// its drain: samplers need the one before the other can be made.
    fn start_drain(&mut self) -> Result<(Ringer, crossbeam_channel::Sender<Drain>), StartError> {
        let (ringer_in, ringer_out) = bounded(1);
        let (drain_in, drain_out) = bounded::<Drain>(1);
        self.threads.spawn(Stage::Drain, "drain", None, move |stop| {
            let bell = Doorbell::for_this_thread();
            let _ = ringer_in.send(bell.ringer());
            if let Ok(drain) = drain_out.recv() {
                pipeline::run(drain, &bell, stop);
            }
        })?;
        let ringer = ringer_out
            .recv()
            .map_err(|_| StartError::system("the drain", io::ErrorKind::BrokenPipe.into()))?;
        Ok((ringer, drain_in))
    }

    fn start_samplers(
        &mut self,
        plan: &Plan,
        ringer: Ringer,
        cpus: &mut Cpus,
    ) -> Result<Sampling, StartError> {
        let context = Context {
            host_root: plan.host_root.clone(),
            run_dir: plan.run_dir.clone(),
            names: self.names.clone(),
            steps: self.steps.clone(),
            readings: self.readings.clone(),
            gauges: self.gauges.clone(),
        };
        let mut common = Common { plan, context, events: self.events.clone(), ringer, cpus };
        let mut sampling = Sampling::start(&mut common, &mut self.threads)?;
        self.parts.append(&mut sampling.lines);
        self.samplers = std::mem::take(&mut sampling.gauges);
        Ok(sampling)
    }

    fn start_desk(
        &mut self,
        plan: &Plan,
        events: crossbeam_channel::Receiver<Event>,
        incarnation: u64,
    ) -> Result<(), StartError> {
        let limits = Limits { segment_bytes: (plan.journal_bytes / 2) as u32, ..Limits::default() };
        let journal = match Journal::open(&plan.state_dir, limits) {
            Ok((journal, recovered)) => {
                let (state, why) = match recovered.trouble {
                    Some(trouble) => (PartState::Failed, trouble.to_string()),
                    None => (PartState::Ready, String::new()),
                };
                self.parts.push(PartLine::new("journal", state, why));
                Some(journal)
            }
            Err(error) => {
                self.parts.push(PartLine::new("journal", PartState::Failed, error.to_string()));
                None
            }
        };
        let (_outcome, outcomes) = bounded(WAITING_MAX);
        let desk = Desk {
            events,
            journal,
            names: self.names.clone(),
            incarnation,
            recent: self.recent.clone(),
            announce: Box::new(|_| {}),
            deliver: None,
            outcomes,
        };
        self.threads.spawn(Stage::Desk, "journal", None, move |stop| desk::run(desk, stop))
    }

    fn start_overseer(&mut self) -> Result<(), StartError> {
        let watched: Vec<Watched> = self.samplers.iter().map(|s| s.watched.clone()).collect();
        let (names, events) = (self.names.clone(), self.events.clone());
        self.threads.spawn(Stage::Samplers, "overseer", None, move |stop| {
            overseer::run(&watched, &names, &events, Box::new(|| {}), stop);
        })
    }

    fn state(&self, kind: EventKind, text: &str) {
        self.events.state(Event {
            id: 0,
            kind,
            severity: Severity::Info,
            wall_ns: clock::wall_ns(),
            monotonic_ns: clock::monotonic_ns(),
            source: "agent".to_owned(),
            subject: self.names.node().to_owned(),
            text: text.to_owned(),
        });
    }
}
