//! How the agent is, put together for its faces.

use std::collections::HashMap;
use std::sync::Arc;

use super::part::{PartLine, PartState};
use super::sampling::SamplerGauges;
use crate::config::Plan;
use crate::newest::{Names, StepTableView};
use crate::pipeline::{self, TakerCounts};
use crate::platform::atomic::Ordering;
use crate::platform::clock::{self, MILLISECOND_NS};
use crate::samplers::EventOutlet;
use crate::samplers::engine_push::{DoorContext, DoorCounts};
use crate::schema::Flag;
use crate::transports::{Link, LinkState};
use crate::web::{LossCount, NatsState, NatsStatus, SamplerState, SamplerStatus, Status};

/// Everything a status is made of; clones share it with the running agent.
#[derive(Debug, Clone)]
pub(super) struct StatusParts {
    pub(super) names: Names,
    pub(super) steps: StepTableView,
    pub(super) parts: Vec<PartLine>,
    pub(super) periods_ms: HashMap<&'static str, u64>,
    pub(super) samplers: Vec<SamplerGauges>,
    pub(super) takers: Vec<(&'static str, Arc<TakerCounts>)>,
    pub(super) pipeline: Arc<pipeline::Counts>,
    pub(super) door: DoorContext,
    pub(super) events: EventOutlet,
    pub(super) link: Option<Link>,
    pub(super) begun_ns: u64,
}

/// The periods of a plan's samplers, ms.
pub(super) fn periods_ms(plan: &Plan) -> HashMap<&'static str, u64> {
    let of = |s: &crate::config::SamplerPlan| (s.entry.name, s.period_ns / MILLISECOND_NS);
    plan.samplers.iter().map(of).collect()
}

impl StatusParts {
    /// The status now.
    pub(super) fn status(&self) -> Status {
        let now_ns = clock::monotonic_ns();
        let samplers: Vec<SamplerStatus> =
            self.parts.iter().filter_map(|part| self.sampler(part, now_ns)).collect();
        let nats = self.link.as_ref().map(nats);
        Status {
            node: self.names.node().to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            up_ms: now_ns.saturating_sub(self.begun_ns) / MILLISECOND_NS,
            ready: self.ready(),
            samplers,
            nats,
            simulated: self.steps.iter().any(|newest| newest.step.has(Flag::Simulated)),
            losses: self.losses(),
        }
    }

    /// Whether everything that was asked for works. A server that is away
    /// heals by itself and everything local goes on; one that refuses us, or a
    /// part that failed, waits for a person.
    fn ready(&self) -> Result<(), String> {
        if let Some(LinkState::Refused { sentence, .. }) =
            self.link.as_ref().map(|link| link.snapshot().state)
        {
            return Err(sentence);
        }
        match self.parts.iter().find(|part| part.state == PartState::Failed) {
            Some(part) => Err(part.to_string()),
            None => Ok(()),
        }
    }

    fn sampler(&self, part: &PartLine, now_ns: u64) -> Option<SamplerStatus> {
        let period_ms = *self.periods_ms.get(part.name)?;
        let running = self.samplers.iter().find(|sampler| sampler.watched.name == part.name);
        let progress = running.map(|sampler| &sampler.watched.progress);
        let stalled = progress.is_some_and(|progress| progress.stalled(now_ns));
        let state = match part.state {
            PartState::Ready if stalled => SamplerState::Stalled,
            PartState::Ready => SamplerState::Ready,
            PartState::NotHere => SamplerState::NotHere,
            PartState::Failed => SamplerState::Failed,
            PartState::Off => SamplerState::Off,
        };
        Some(SamplerStatus {
            name: part.name.to_owned(),
            state,
            sentence: part.sentence.clone(),
            period_ms,
            tick_age_ms: progress.map(|progress| progress.silent_ns(now_ns) / MILLISECOND_NS),
        })
    }

    fn losses(&self) -> Vec<LossCount> {
        let mut losses = Losses::default();
        for sampler in &self.samplers {
            let name = sampler.watched.name;
            for (kind, ring) in ["steps", "readings"].iter().zip(&sampler.rings) {
                losses.add(&format!("ring {name} {kind}"), "full", ring.dropped());
            }
            let refused = &sampler.losses;
            let ranks = refused.ranks_refused.load(Ordering::Relaxed);
            losses.add(&format!("newest {name}"), "no cell for a rank", ranks);
            let readings = refused.readings_refused.load(Ordering::Relaxed);
            losses.add(&format!("newest {name}"), "no cell for a reading", readings);
        }
        losses.add("pipeline", "all slabs held", self.pipeline.dropped());
        for (name, counts) in &self.takers {
            losses.add(&format!("taker {name}"), "full or away", counts.dropped());
        }
        losses.add("events", "channel full", self.events.dropped());
        losses.add("names", "list full", self.names.refused());
        self.door.counts.each(|name, count| {
            let lost = DoorCounts::NOT_STEPS.contains(&name) && name != "history";
            if lost || DoorCounts::REFUSED.contains(&name) {
                losses.add("door", &name.replace('_', " "), count);
            }
        });
        if let Some(link) = &self.link {
            let counts = link.counts();
            losses.add("nats", "queue full", counts.dropped_queue_full);
            losses.add("nats", "oversize", counts.dropped_oversize);
            losses.add("nats", "not connected", counts.dropped_not_connected);
            losses.add("nats", "forbidden", counts.dropped_forbidden);
            losses.add("nats", "replaced by newer state", counts.replaced);
        }
        losses.0
    }
}

#[derive(Debug, Default)]
struct Losses(Vec<LossCount>);

impl Losses {
    fn add(&mut self, place: &str, reason: &str, count: u64) {
        if count > 0 {
            self.0.push(LossCount { place: place.to_owned(), reason: reason.to_owned(), count });
        }
    }
}

fn nats(link: &Link) -> NatsStatus {
    let snapshot = link.snapshot();
    let warning = snapshot.warning.unwrap_or_default();
    let (state, url, sentence) = match snapshot.state {
        LinkState::Connecting => (NatsState::Connecting, String::new(), String::new()),
        LinkState::Connected { server, .. } => (NatsState::Connected, server, warning),
        LinkState::Down { sentence, .. } => (NatsState::Down, String::new(), sentence),
        LinkState::Refused { sentence, .. } => (NatsState::Down, String::new(), sentence),
    };
    NatsStatus { url, state, sentence }
}
