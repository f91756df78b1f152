//! How the agent is, put together for its faces.

use std::collections::HashMap;

use super::black_box::BlackBox;
use super::losses::Losses;
use super::part::{PartLine, PartState};
use crate::config::Plan;
use crate::newest::{Names, StepTableView};
use crate::platform::clock::{self, MILLISECOND_NS};
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
    pub(super) losses: Losses,
    pub(super) link: Option<Link>,
    pub(super) recorder: Option<BlackBox>,
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
            recorder: self.recorder.as_ref().map(BlackBox::status),
            simulated: self.steps.iter().any(|newest| newest.step.has(Flag::Simulated)),
            losses: self.losses(),
        }
    }

    /// Whether everything that was asked for works. A server that is away
    /// heals by itself and everything local goes on; one that refuses us, or a
    /// part that failed, waits for a person.
    pub(super) fn ready(&self) -> Result<(), String> {
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
        let running = self.losses.samplers.iter().find(|sampler| sampler.watched.name == part.name);
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
        let mut losses = Vec::new();
        self.losses.each(|loss| {
            if loss.count > 0 {
                let (place, reason) = (loss.place.to_owned(), loss.reason.to_owned());
                losses.push(LossCount { place, reason, count: loss.count });
            }
        });
        losses
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
