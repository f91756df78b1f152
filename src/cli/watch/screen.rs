//! All that there is to show at one instant.

use std::sync::Arc;

use super::accelerator::{self, Accelerator};
use super::container::{self, Container};
use super::gauges::{self, Gauge};
use super::hardware::{self, DeviceKind};
use super::history::History;
use crate::schema::{Assessment, Event, Health, Verdict};
use crate::web::{HostState, LatencyState, RankState, Sources, Status};

/// All that there is to show at one instant.
#[derive(Debug, Clone, PartialEq)]
pub struct Screen {
    /// `CLOCK_REALTIME` of the instant, ns since 1970.
    pub wall_ns: u64,
    /// How the agent is; its node, version, samplers, NATS and losses.
    pub status: Status,
    /// Every rank, by engine, rank and front end.
    pub engines: Vec<RankState>,
    /// How long requests took, of every engine that tells it.
    pub latencies: Vec<LatencyState>,
    /// The node's accelerators, the worst first.
    pub devices: Vec<Accelerator>,
    /// Verdicts that stand, the gravest first.
    pub verdicts: Vec<Arc<Verdict>>,
    /// Verdicts that are over, the latest first.
    pub verdicts_resolved: Vec<Arc<Verdict>>,
    /// How well each thing is.
    pub assessments: Arc<[Assessment]>,
    /// The node's readings.
    pub host: HostState,
    /// The node's load, of what was read.
    pub gauges: Vec<Gauge>,
    /// The busy share of every core, 0 to 1, in the order of their numbers.
    pub cores: Vec<f64>,
    /// The node's containers, by name.
    pub containers: Vec<Container>,
    /// The node's devices that are neither processors nor disks, by kind.
    pub hardware: Vec<DeviceKind>,
    /// This process' own cost.
    pub own: Vec<Gauge>,
    /// Recent events in the order of their times, oldest first.
    pub events: Vec<Event>,
}

impl Screen {
    /// What `sources` say at `now_ns` of `CLOCK_MONOTONIC` and `wall_ns` of
    /// `CLOCK_REALTIME`. `history` remembers the load from call to call;
    /// rates of counters are known from the second call on.
    #[must_use]
    pub fn collect(sources: &Sources, now_ns: u64, wall_ns: u64, history: &mut History) -> Self {
        let host = HostState::of(&sources.readings, &sources.names, now_ns);
        Self::with_host(sources, host, (now_ns, wall_ns), history)
    }

    /// The same where the readings are these.
    pub(super) fn with_host(
        sources: &Sources,
        host: HostState,
        (now_ns, wall_ns): (u64, u64),
        history: &mut History,
    ) -> Self {
        let mut engines: Vec<RankState> = sources
            .steps
            .iter()
            .map(|newest| {
                let engine = sources.names.engine(newest.step.instance);
                RankState::of(&newest, engine.as_ref(), now_ns)
            })
            .collect();
        // What was logged before the agent looked is heard of late.
        let mut events = (sources.events)();
        events.sort_by_key(|event| event.wall_ns);
        engines.sort_by(|a, b| a.place().cmp(&b.place()));
        history.take(&host, now_ns);
        let judged = sources.names.judged();
        Self {
            wall_ns,
            devices: accelerator::all(sources, now_ns),
            verdicts: judged.open(),
            verdicts_resolved: judged.resolved(),
            assessments: judged.assessments(),
            status: (sources.status)(),
            containers: container::all(&host, history, &engines),
            hardware: hardware::all(&host, history),
            engines,
            latencies: LatencyState::all(&sources.names, &sources.steps),
            gauges: gauges::host(&host, history),
            cores: gauges::cores(&host),
            own: gauges::own(&host, history),
            host,
            events,
        }
    }

    /// Whether anything shown is made up.
    #[must_use]
    pub fn simulated(&self) -> bool {
        self.status.simulated
            || self.engines.iter().any(|rank| rank.simulated)
            || self.devices.iter().any(|device| device.said.simulated)
    }

    /// How well an engine is, where a judge says it.
    #[must_use]
    pub fn engine_health(&self, engine: &str) -> Option<Health> {
        let mut of_engines = self.assessments.iter().filter(|of| of.subject_kind == "engine");
        of_engines.find(|of| of.subject == engine).map(|of| of.health)
    }

    /// How long this engine's requests took, where it tells.
    #[must_use]
    pub fn latency(&self, engine: &str) -> Option<&LatencyState> {
        self.latencies.iter().find(|of| of.engine == engine)
    }

    /// The gauge with this label.
    #[must_use]
    pub fn gauge(&self, label: &str) -> Option<&Gauge> {
        self.gauges.iter().find(|gauge| gauge.label == label)
    }
}
