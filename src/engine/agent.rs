//! The agent: every room, in the order of the flow.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use thiserror::Error;

use super::black_box::BlackBox;
use super::desk::{self, Desk, Outcome, Recent, WAITING_MAX};
use super::event_counts::EventCounts;
use super::exposition;
use super::gauges;
use super::hardware::Hardware;
use super::inbox::Inbox;
use super::judge::Judge;
use super::losses::{JournalGauges, Losses};
use super::overseer::{self, OnChange, Watched};
use super::part::{PartLine, PartState};
use super::reporting;
use super::road::{Cargo, Road};
use super::rule_file::{self, RuleFile};
use super::sampling::{SamplerGauges, Sampling, Surroundings};
use super::status::{StatusParts, periods_ms};
use super::threads::{Cpus, Stage, Threads};
use crate::config::Plan;
use crate::diagnosis;
use crate::exporter::Exporter;
use crate::journal::{Journal, Limits};
use crate::newest::{Names, ReadingTable, StepTable};
use crate::pipeline::{self, Drain, Taker, TakerCounts};
use crate::platform::atomic::{AtomicU32, Ordering};
use crate::platform::clock;
use crate::platform::doorbell::{Doorbell, Ringer};
use crate::platform::limits;
use crate::samplers::engine_push::{DoorContext, DoorCounts};
use crate::samplers::own::Gauges;
use crate::samplers::{self, Context, Cursors, EventOutlet, Fact};
use crate::schema::{Event, EventKind, Severity};
use crate::transports::LinkSnapshot;
use crate::web::{LossCount, Server, Sources};

/// Batches that wait for one taker; at the default linger 64 ms of a busy
/// lane. More are lost to that taker, counted.
pub const TAKER_QUEUE_MAX: usize = 64;

/// Slabs for each taker: its queue, and as much again three times for what the
/// NATS client and its socket hold after it.
const TAKER_SLABS: usize = 4 * TAKER_QUEUE_MAX;

/// How long open HTTP answers may take to end.
const LEAVE: Duration = Duration::from_millis(200);

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
    door: DoorContext,
    journal: Arc<JournalGauges>,
    recorder: Option<BlackBox>,
    stated: Arc<EventCounts>,
    road: Option<Road>,
    web: Option<Server>,
    periods_ms: HashMap<&'static str, u64>,
    begun_ns: u64,
}

/// What the desk receives.
struct Queues {
    events: Receiver<Fact>,
    outcomes: Receiver<Outcome>,
    news: Sender<Arc<[u8]>>,
}

impl Agent {
    /// Builds and starts every room that the plan asks for; batches go to
    /// `takers` besides those of the plan. Raises this process's soft limit of
    /// descriptors to the hard one, since every engine needs some.
    ///
    /// # Errors
    ///
    /// Only when memory, threads or descriptors run out: a sampler, the
    /// journal, NATS or the page that cannot start is a line in `parts`.
    pub fn start(plan: &Plan, mut takers: Vec<Taker>) -> Result<Self, StartError> {
        // Where it may not rise, engines beyond it are refused and counted.
        let _ = limits::raise_descriptors();
        let names = Names::new(&plan.node);
        let steps = StepTable::shared(plan.newest_ranks)
            .map_err(|error| StartError::system("the table of newest steps", error))?;
        let readings = ReadingTable::shared(plan.newest_readings)
            .map_err(|error| StartError::system("the table of newest readings", error))?;
        let (events_in, events_out) = bounded(WAITING_MAX);
        let (news_in, news_out) = bounded::<Arc<[u8]>>(WAITING_MAX);
        let mut agent = Self {
            names,
            steps,
            readings,
            recent: Recent::default(),
            parts: Vec::new(),
            events: EventOutlet::new(events_in),
            threads: Threads::default(),
            pipeline: Arc::default(),
            takers: Vec::new(),
            journal: Arc::default(),
            recorder: None,
            stated: Arc::default(),
            road: None,
            web: None,
            periods_ms: periods_ms(plan),
            begun_ns: clock::monotonic_ns(),
            samplers: Vec::new(),
            gauges: Gauges::default(),
            door: DoorContext { counts: Arc::default(), news: Some(news_out) },
        };
        let cargo = agent.cargo();
        let mut cpus = Cpus::new(&plan.pinning);
        let (ringer, hand_drain) = agent.start_drain()?;
        let journal = agent.open_journal(plan);
        let sampling = agent.start_samplers(plan, ringer, cursors(journal.as_ref()), &mut cpus)?;
        agent.start_recorder(plan, &cargo, &mut takers)?;
        let outcomes = agent.start_road(plan, &cargo, &mut takers, &mut cpus);
        let judge = agent.open_judge(plan, journal.as_ref(), &mut takers);
        agent.start_desk(
            (journal, judge),
            Queues { events: events_out, outcomes, news: news_in },
            cargo.incarnation,
        )?;
        agent.takers = takers.iter().map(|taker| (taker.name(), taker.counts())).collect();
        let drain = Drain::new(sampling.sources, takers, agent.drain_settings(plan, &cargo));
        agent.pipeline = drain.counts();
        let _ = hand_drain.send(drain);
        agent.register_gauges();
        agent.start_overseer(plan)?;
        agent.start_web(plan);
        agent.state(EventKind::AgentStarted, "the agent runs");
        Ok(agent)
    }

    /// Stops from front to back, so that what is under way still arrives;
    /// takes at most half a second a stage, however a source hangs.
    pub fn stop(mut self) {
        self.state(EventKind::AgentStopped, "the agent leaves");
        if let Some(web) = self.web.take() {
            web.stop(LEAVE);
        }
        for stage in [Stage::Samplers, Stage::Drain] {
            self.threads.end(stage);
        }
        self.threads.stop_of(Stage::Desk).raise();
        // A full channel keeps the desk awake as well.
        let _ = self.events.offer(Fact { event: None, cursor: None });
        self.threads.end(Stage::Desk);
        if let Some(road) = self.road {
            road.stop();
        }
        self.threads.end(Stage::Recorder);
    }

    /// The link to NATS as it stands, where one is configured.
    #[must_use]
    pub fn link(&self) -> Option<LinkSnapshot> {
        self.road.as_ref().map(|road| road.link().snapshot())
    }

    /// What came through the engine door and what did not.
    #[must_use]
    pub fn door(&self) -> &DoorCounts {
        &self.door.counts
    }

    /// What a face of this agent shows. Cheap to call; what it gives is live.
    #[must_use]
    pub fn sources(&self) -> Sources {
        let parts = self.status_parts();
        let recent = self.recent.clone();
        let (parts, names) = (Arc::new(parts), self.names.clone());
        let status = Arc::clone(&parts);
        Sources {
            steps: self.steps.view(),
            readings: self.readings.view(),
            names: self.names.clone(),
            status: Box::new(move || status.status()),
            events: Box::new(move || recent.events()),
            report: Box::new(move |form| reporting::report(&names, &parts.status(), form)),
        }
    }

    /// What Prometheus sees of this agent.
    #[must_use]
    pub fn exporter(&self, plan: &Plan) -> Exporter {
        let stated = Arc::clone(&self.stated);
        exposition::exporter(plan, self.status_parts(), self.readings.view(), stated)
    }

    fn status_parts(&self) -> StatusParts {
        StatusParts {
            names: self.names.clone(),
            steps: self.steps.view(),
            parts: self.parts.clone(),
            periods_ms: self.periods_ms.clone(),
            losses: self.lost(),
            link: self.road.as_ref().map(Road::link),
            recorder: self.recorder.clone(),
            begun_ns: self.begun_ns,
        }
    }

    /// Where HTTP is served, if it is.
    #[must_use]
    pub fn http(&self) -> Option<SocketAddr> {
        self.web.as_ref().map(Server::address)
    }

    /// What went through the pipeline.
    #[must_use]
    pub fn pipeline(&self) -> &pipeline::Counts {
        &self.pipeline
    }

    /// Records that went lost in this agent since its start, by place and
    /// reason, and those that were told before it; only what was lost. A record may count under two reasons, one
    /// for each room that it was lost between.
    #[must_use]
    pub fn losses(&self) -> Vec<LossCount> {
        let mut losses = Vec::new();
        let history = self.door.counts.history.load(Ordering::Relaxed);
        if history > 0 {
            let (place, reason) = ("door".to_owned(), "history".to_owned());
            losses.push(LossCount { place, reason, count: history });
        }
        self.lost().each(|loss| {
            if loss.records && loss.count > 0 {
                let (place, reason) = (loss.place.to_owned(), loss.reason.to_owned());
                losses.push(LossCount { place, reason, count: loss.count });
            }
        });
        losses
    }

    fn lost(&self) -> Losses {
        Losses {
            samplers: self.samplers.clone(),
            takers: self.takers.clone(),
            pipeline: Arc::clone(&self.pipeline),
            door: Arc::clone(&self.door.counts),
            events: self.events.clone(),
            names: self.names.clone(),
            journal: Arc::clone(&self.journal),
            recorder: self.recorder.as_ref().map(BlackBox::counts),
            link: self.road.as_ref().map(Road::link),
            compat: self.road.as_ref().and_then(Road::compat),
        }
    }

    /// Starts the drain's thread, which tells how to ring it and waits for
    /// its drain: samplers need the one before the other can be made.
    fn start_drain(&mut self) -> Result<(Ringer, Sender<Drain>), StartError> {
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
        cursors: Cursors,
        cpus: &mut Cpus,
    ) -> Result<Sampling, StartError> {
        let context = Context {
            host_root: plan.host_root.clone(),
            run_dir: plan.run_dir.clone(),
            names: self.names.clone(),
            steps: self.steps.clone(),
            readings: self.readings.clone(),
            cursors,
            gauges: self.gauges.clone(),
            door: self.door.clone(),
        };
        let mut around = Surroundings { plan, context, events: self.events.clone(), ringer, cpus };
        let mut sampling = Sampling::start(&mut around, &mut self.threads)?;
        self.parts.append(&mut sampling.lines);
        self.samplers = std::mem::take(&mut sampling.gauges);
        Ok(sampling)
    }

    fn cargo(&self) -> Cargo {
        Cargo {
            names: self.names.clone(),
            steps: self.steps.view(),
            readings: self.readings.view(),
            incarnation: clock::wall_ns(),
            generation: Arc::new(AtomicU32::new(0)),
        }
    }

    fn drain_settings(&self, plan: &Plan, cargo: &Cargo) -> pipeline::Settings {
        pipeline::Settings {
            node: self.names.node_hash(),
            incarnation: cargo.incarnation,
            generation: Arc::clone(&cargo.generation),
            linger_ns: plan.linger_ns,
            batch_bytes: plan.batch_bytes,
            slabs: TAKER_SLABS * self.takers.len() + pipeline::LANES_MAX,
        }
    }

    /// Starts the black box, if the plan has one, as one more taker.
    fn start_recorder(
        &mut self,
        plan: &Plan,
        cargo: &Cargo,
        takers: &mut Vec<Taker>,
    ) -> Result<(), StartError> {
        let Some(recorder) = &plan.recorder else {
            self.parts.push(PartLine::new("recorder", PartState::Off, String::new()));
            return Ok(());
        };
        let recorder = BlackBox::start(recorder, &plan.state_dir, cargo, &mut self.threads)?;
        takers.push(recorder.taker());
        self.recorder = Some(recorder);
        self.parts.push(PartLine::ready("recorder"));
        Ok(())
    }

    /// Starts the road to NATS, if one is configured, as one more taker.
    fn start_road(
        &mut self,
        plan: &Plan,
        cargo: &Cargo,
        takers: &mut Vec<Taker>,
        cpus: &mut Cpus,
    ) -> Receiver<Outcome> {
        let (outcomes_in, outcomes) = bounded(WAITING_MAX);
        let Some(nats) = &plan.nats else { return outcomes };
        match Road::start(nats, cargo.clone(), outcomes_in, cpus.next()) {
            Ok(road) => {
                takers.extend(road.compat_taker());
                takers.push(road.taker());
                self.road = Some(road);
                self.parts.push(PartLine::ready("nats"));
            }
            Err(why) => self.parts.push(PartLine::new("nats", PartState::Failed, why)),
        }
        outcomes
    }

    fn register_gauges(&self) {
        self.samplers.iter().for_each(|sampler| gauges::of_sampler(&self.gauges, sampler));
        for (name, counts) in &self.takers {
            gauges::of_taker(&self.gauges, name, counts);
        }
        gauges::of_losses(&self.gauges, self.lost());
        gauges::of_journal(&self.gauges, &self.journal);
        if let Some(road) = &self.road {
            gauges::of_link(&self.gauges, road.link());
        }
    }

    fn open_journal(&mut self, plan: &Plan) -> Option<Journal> {
        let segment_bytes = (plan.journal_bytes / 2) as u32;
        let limits = Limits {
            segment_bytes,
            // An event's batch; what the judge remembers is larger.
            payload_bytes_max: (segment_bytes / 16).max(64 << 10),
            named_bytes_max: segment_bytes / 8,
        };
        match Journal::open(&plan.state_dir, limits) {
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
        }
    }

    /// Opens the judge of this node, if it is to be judged here, as one more
    /// taker.
    fn open_judge(
        &mut self,
        plan: &Plan,
        journal: Option<&Journal>,
        takers: &mut Vec<Taker>,
    ) -> Option<Judge> {
        let Some(judging) = &plan.diagnosis else {
            self.parts.push(PartLine::new("diagnosis", PartState::Off, String::new()));
            return None;
        };
        let read = judging.rules.as_deref().map(rule_file::read).transpose();
        let (rules, line) = match read {
            Ok(rules) => (rules, PartLine::ready("diagnosis")),
            Err(mistakes) => (None, PartLine::new("diagnosis", PartState::Failed, mistakes)),
        };
        self.parts.push(line);
        let inbox = Inbox::default();
        takers.push(inbox.taker());
        let stage = diagnosis::Stage::new(&plan.node, rules.unwrap_or_default());
        let followed = judging.rules.clone().map(RuleFile::new);
        Some(Judge::open(stage, (inbox, followed), journal, &self.names))
    }

    fn start_desk(
        &mut self,
        (journal, judge): (Option<Journal>, Option<Judge>),
        queues: Queues,
        incarnation: u64,
    ) -> Result<(), StartError> {
        let recorder = self.recorder.clone();
        let desk = Desk {
            events: queues.events,
            journal,
            names: self.names.clone(),
            incarnation,
            recent: self.recent.clone(),
            announce: Box::new(move |bytes| {
                if let Some(recorder) = &recorder {
                    recorder.keep(bytes);
                }
                // Readers that are too slow see the gap in the events' numbers.
                let _ = queues.news.try_send(Arc::from(&bytes[..]));
            }),
            judge,
            deliver: self.road.as_ref().map(Road::deliver),
            outcomes: queues.outcomes,
            gauges: Arc::clone(&self.journal),
            stated: Arc::clone(&self.stated),
        };
        self.threads.spawn(Stage::Desk, "journal", None, move |stop| desk::run(desk, stop))
    }

    fn start_web(&mut self, plan: &Plan) {
        let Some(listen) = plan.listen else {
            self.parts.push(PartLine::new("http", PartState::Off, String::new()));
            return;
        };
        match crate::web::start(listen, self.sources(), self.exporter(plan)) {
            Ok(server) => {
                self.web = Some(server);
                self.parts.push(PartLine::ready("http"));
            }
            Err(why) => self.parts.push(PartLine::new("http", PartState::Failed, why.to_string())),
        }
    }

    fn start_overseer(&mut self, plan: &Plan) -> Result<(), StartError> {
        let watched: Vec<Watched> = self.samplers.iter().map(|s| s.watched.clone()).collect();
        let (names, events) = (self.names.clone(), self.events.clone());
        let mut names_changed = Vec::from_iter(self.road.as_ref().map(Road::names_changed));
        names_changed.extend(self.recorder.as_ref().map(BlackBox::names_changed));
        let mut details_changed = Vec::from_iter(self.road.as_ref().map(Road::details_changed));
        details_changed.extend(self.recorder.as_ref().map(BlackBox::details_changed));
        let on_change = OnChange {
            names: Box::new(move || names_changed.iter_mut().for_each(|tell| tell())),
            details: Box::new(move || details_changed.iter_mut().for_each(|tell| tell())),
        };
        let hardware = Hardware::new(names.clone(), self.readings.view(), plan.host_root.clone());
        self.threads.spawn(Stage::Samplers, "overseer", None, move |stop| {
            overseer::run(&watched, &names, &events, on_change, hardware, stop);
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
            ..Event::default()
        });
    }
}

/// Where the samplers stood when an agent last wrote this journal.
fn cursors(journal: Option<&Journal>) -> Cursors {
    let of = |entry: &&'static samplers::Entry| {
        Some((entry.name, journal?.cursor(entry.name)?.to_vec()))
    };
    Cursors::new(samplers::ALL.iter().filter_map(of).collect())
}
