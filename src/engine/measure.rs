//! Measures the whole road: simulated engines, the agent, a NATS server, a
//! router's view. Everything runs in this process, so that one clock times all
//! of it; only the server is somebody else's.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use hdrhistogram::Histogram;

use super::simulation::{Simulation, SimulationCounts, SimulationPlan};
use super::{Agent, SOCKET_NAME};
use crate::client::{ViewCore, ViewSettings};
use crate::config::{Layers, Plan};
use crate::platform::clock::{self, MILLISECOND_NS, SECOND_NS};
use crate::platform::thread::{self, Stop};
use crate::schema::{BatchView, Flag, StepCore};
use crate::transports::nats::{NatsSettings, NatsSubscriber, SubscriberHooks};
use crate::web::LossCount;

/// What is sent under; apart from production's subjects, so that no router
/// takes a simulated engine for a real one.
const PREFIX: &str = "eagle_eye_bench.v1";

/// How long the first steps of all engines and the last ones may take.
const SETTLE_NS: u64 = 10 * SECOND_NS;

/// What to measure.
#[derive(Debug, Clone)]
pub struct MeasurePlan {
    /// The NATS servers, joined by commas.
    pub nats: String,
    /// Simulated engines of one rank each.
    pub engines: u32,
    /// Steps a second of each.
    pub hz: u32,
    /// How long to measure, after all engines were seen.
    pub seconds: u64,
    /// Further settings of the agent, such as `pipeline.linger_us`.
    pub settings: Vec<(String, String)>,
}

/// What was measured.
#[derive(Debug, Clone)]
pub struct Measured {
    /// Steps that engines wrote.
    pub written: u64,
    /// Steps that came into the view.
    pub received: u64,
    /// Steps that the view knows it does not have.
    pub lost: u64,
    /// What the agent counted as lost, by reason; see [`Agent::losses`].
    pub reasons: Vec<LossCount>,
    /// Messages that this end was too slow for.
    pub overrun: u64,
    /// Steps whose loss nobody counted: `written − received − lost`, and what
    /// is `lost` beyond every reason. Not 0 is a bug.
    pub uncounted: i64,
    /// Writes that the simulation left out since it was late itself.
    pub late: u64,
    /// Messages received.
    pub messages: u64,
    /// How long it took, ns.
    pub duration_ns: u64,
    /// Each stretch of the road.
    pub stages: Vec<StageTimes>,
}

/// The times of one stretch of the road, ns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StageTimes {
    /// From where to where.
    pub name: &'static str,
    /// Half of the steps took at most this.
    pub p50_ns: u64,
    /// 99 of a hundred.
    pub p99_ns: u64,
    /// 999 of a thousand.
    pub p999_ns: u64,
    /// The slowest.
    pub max_ns: u64,
}

/// The names of the stages, in the order of [`Measured::stages`].
const STAGES: [&str; 4] =
    ["engine → published", "published → received", "received → view", "engine → view"];

/// What the subscriber's thread fills.
struct Record {
    core: ViewCore,
    /// Of each rank, the last step seen.
    last: HashMap<(u64, u16), u64>,
    times: [Histogram<u64>; 4],
    measuring: bool,
    received: u64,
    messages: u64,
    overrun: u64,
}

/// Runs the measurement; `tell` says how it goes, in a few words.
///
/// # Errors
///
/// A sentence: the server cannot be reached, engines were never seen, or the
/// system refused memory or threads.
pub fn end_to_end(
    plan: &MeasurePlan,
    stop: &Stop,
    mut tell: impl FnMut(&str),
) -> Result<Measured, String> {
    let folder = tempfile::tempdir().map_err(|error| format!("no temporary folder: {error}"))?;
    let agent_plan = agent_plan(plan, folder.path())?;
    let record = Arc::new(Mutex::new(Record::new(plan.engines)?));
    let subscriber = subscribe(plan, &record)?;
    let agent = Agent::start(&agent_plan, Vec::new()).map_err(|error| error.to_string())?;
    tell("waiting for NATS and the engines");
    let simulation = start_simulation(plan, folder.path())?;

    let all_seen = wait(SETTLE_NS, stop, || lock(&record).last.len() as u32 >= plan.engines);
    if !all_seen {
        let seen = lock(&record).last.len();
        let link = agent.link().map(|link| format!("{:?}", link.state)).unwrap_or_default();
        return Err(format!("only {seen} of {} engines were seen; NATS: {link}", plan.engines));
    }
    lock(&record).measuring = true;
    let begun_ns = clock::monotonic_ns();
    let end_ns = begun_ns + plan.seconds * SECOND_NS;
    while clock::monotonic_ns() < end_ns && !stop.is_raised() {
        let left = Duration::from_nanos(end_ns.saturating_sub(clock::monotonic_ns()));
        tell(&format!("{} engines × {} Hz, {:.0?} left", plan.engines, plan.hz, left));
        stop.sleep_until(end_ns.min(clock::monotonic_ns() + SECOND_NS / 2));
    }
    let duration_ns = clock::monotonic_ns() - begun_ns;
    let counts = simulation.end();
    // The last step of every rank must arrive: the newest truth is never lost.
    wait(SETTLE_NS / 5, &Stop::default(), || {
        lock(&record).last.values().sum::<u64>() >= counts.steps
    });
    let reasons = agent.losses();
    agent.stop();
    subscriber.stop(Duration::from_millis(200));
    Ok(lock(&record).measured(counts, reasons, duration_ns))
}

impl Record {
    fn new(engines: u32) -> Result<Self, String> {
        let histogram = || Histogram::new_with_bounds(1, 600 * SECOND_NS, 3);
        let times = [histogram(), histogram(), histogram(), histogram()];
        let mut made = Vec::new();
        for histogram in times {
            made.push(histogram.map_err(|error| error.to_string())?);
        }
        let settings = ViewSettings { ranks_max: engines as usize + 16, ..ViewSettings::default() };
        Ok(Self {
            core: ViewCore::new(settings),
            last: HashMap::with_capacity(engines as usize),
            times: made.try_into().map_err(|_| "four stages".to_owned())?,
            measuring: false,
            received: 0,
            messages: 0,
            overrun: 0,
        })
    }

    fn message(&mut self, bytes: &Bytes, receipt_ns: u64) {
        let Ok(view) = BatchView::verify(bytes) else { return };
        self.messages += 1;
        let _ = self.core.feed(bytes, receipt_ns);
        let stored_ns = clock::monotonic_ns();
        let published_ns = view.head().publish_monotonic_ns;
        for step in view.steps() {
            if self.is_new(&step) && self.measuring {
                let times = [
                    published_ns.saturating_sub(step.monotonic_ns),
                    receipt_ns.saturating_sub(published_ns),
                    stored_ns.saturating_sub(receipt_ns),
                    stored_ns.saturating_sub(step.monotonic_ns),
                ];
                for (histogram, ns) in self.times.iter_mut().zip(times) {
                    histogram.saturating_record(ns.max(1));
                }
            }
        }
    }

    fn is_new(&mut self, step: &StepCore) -> bool {
        if step.has(Flag::Goodbye) {
            return false;
        }
        let last = self.last.entry((step.instance, step.rank)).or_default();
        let new = step.sequence > *last;
        if new {
            *last = step.sequence;
            self.received += 1;
        }
        new
    }

    fn measured(
        &self,
        counts: SimulationCounts,
        reasons: Vec<LossCount>,
        duration_ns: u64,
    ) -> Measured {
        let lost: u64 = self.last.values().sum::<u64>() - self.received;
        let counted: u64 = reasons.iter().map(|loss| loss.count).sum();
        // Messages that were lost here held steps that no agent can count.
        let silent = if self.overrun > 0 { 0 } else { lost.saturating_sub(counted) };
        let missing = counts.steps as i64 - self.received as i64 - lost as i64;
        let stage = |(name, times): (&&'static str, &Histogram<u64>)| StageTimes {
            name,
            p50_ns: times.value_at_quantile(0.5),
            p99_ns: times.value_at_quantile(0.99),
            p999_ns: times.value_at_quantile(0.999),
            max_ns: times.max(),
        };
        Measured {
            written: counts.steps,
            received: self.received,
            lost,
            reasons,
            overrun: self.overrun,
            uncounted: missing + silent as i64,
            late: counts.late,
            messages: self.messages,
            duration_ns,
            stages: STAGES.iter().zip(&self.times).map(stage).collect(),
        }
    }
}

/// A simulation on its own thread.
struct Running {
    stop: Stop,
    thread: std::thread::JoinHandle<SimulationCounts>,
}

impl Running {
    fn end(self) -> SimulationCounts {
        self.stop.raise();
        self.thread.join().unwrap_or_default()
    }
}

fn start_simulation(plan: &MeasurePlan, folder: &std::path::Path) -> Result<Running, String> {
    let simulation = Simulation::new(&SimulationPlan {
        socket: folder.join(SOCKET_NAME),
        name: "bench".to_owned(),
        engines: plan.engines,
        ranks: 1,
        models: vec!["bench".to_owned()],
        hz: plan.hz,
    })
    .map_err(|error| format!("simulated engines need memory and descriptors: {error}"))?;
    let stop = Stop::default();
    let theirs = stop.clone();
    let thread = thread::spawn("ee-simulation", None, move || simulation.run(&theirs, |_| {}))
        .map_err(|error| error.to_string())?;
    Ok(Running { stop, thread })
}

fn subscribe(plan: &MeasurePlan, record: &Arc<Mutex<Record>>) -> Result<NatsSubscriber, String> {
    let (messages, replies, lost) = (Arc::clone(record), Arc::clone(record), Arc::clone(record));
    let hooks = SubscriberHooks {
        on_message: Box::new(move |_, bytes, receipt_ns| {
            lock(&messages).message(&bytes, receipt_ns)
        }),
        on_reply: Box::new(move |bytes, receipt_ns, _| lock(&replies).message(&bytes, receipt_ns)),
        on_connected: Box::new(|_, _| {}),
        on_disconnected: Box::new(|| {}),
        on_lost: Box::new(move |messages, _| lock(&lost).overrun += messages),
    };
    let settings = NatsSettings::with_urls(plan.nats.split(',').map(str::trim));
    let subjects = vec![format!("{PREFIX}.routing.*.*")];
    NatsSubscriber::start(settings, subjects, hooks, None).map_err(|error| error.to_string())
}

fn agent_plan(plan: &MeasurePlan, folder: &std::path::Path) -> Result<Plan, String> {
    let mut layers = Layers::default();
    let path = folder.display().to_string();
    let ranks = (plan.engines + 16).max(64).to_string();
    let fixed = [
        ("node", "bench"),
        ("listen", "off"),
        ("run_dir", &path),
        ("state_dir", &path),
        ("newest.ranks", &ranks),
        ("nats.urls", &plan.nats),
        ("nats.prefix", PREFIX),
        ("samplers.engine_push.engines_max", "4096"),
        // What else serves on this host is not measured.
        ("samplers.engine_scrape.discover", "false"),
    ];
    for (key, value) in fixed {
        layers.set(key, value.to_owned(), "bench");
    }
    for (key, value) in &plan.settings {
        layers.set(key, value.clone(), "--set");
    }
    Plan::new(layers).map_err(|mistakes| mistakes.to_string())
}

fn wait(limit_ns: u64, stop: &Stop, done: impl Fn() -> bool) -> bool {
    let deadline_ns = clock::monotonic_ns() + limit_ns;
    while !done() {
        if clock::monotonic_ns() >= deadline_ns || stop.is_raised() {
            return false;
        }
        clock::sleep_until(clock::monotonic_ns() + 10 * MILLISECOND_NS);
    }
    true
}

fn lock(record: &Mutex<Record>) -> std::sync::MutexGuard<'_, Record> {
    record.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_without_a_reason_or_a_trace_is_uncounted() {
        // Written; the last sequence seen and how many came; what the agent
        // counted; messages lost at this end.
        let lost =
            |reason: &str, count| LossCount { place: "here".into(), reason: reason.into(), count };
        for (written, last, received, reasons, overrun, uncounted) in [
            (10, 10, 10, vec![], 0, 0),
            (10, 10, 7, vec![lost("full", 2), lost("history", 1)], 0, 0),
            (10, 10, 7, vec![lost("full", 2)], 0, 1),
            (10, 10, 7, vec![], 1, 0),
            (10, 8, 8, vec![lost("full", 2)], 0, 2),
            (10, 10, 10, vec![lost("history", 4)], 0, 0),
        ] {
            let mut record = Record::new(1).unwrap();
            record.last.insert((1, 0), last);
            (record.received, record.overrun) = (received, overrun);
            let counts = SimulationCounts { steps: written, late: 0 };
            let measured = record.measured(counts, reasons.clone(), 1);
            assert_eq!(measured.uncounted, uncounted, "{written} {last} {received} {reasons:?}");
        }
    }
}
