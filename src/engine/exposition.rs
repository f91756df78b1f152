//! What the exporter is given: the agent's tables, and its own counts put into
//! the exporter's words.

use std::sync::Arc;

use super::event_counts::EventCounts;
use super::part::PartState;
use super::status::StatusParts;
use crate::client::merge::merge;
use crate::client::{Patience, RankState};
use crate::config::Plan;
use crate::exporter::{Exporter, Health, LossCount, Rank, SamplerHealth, Settings, Sources};
use crate::newest::{NewestStep, ReadingTableView};
use crate::platform::clock;
use crate::transports::{Link, LinkState};

/// The exporter of an agent.
pub(super) fn exporter(
    plan: &Plan,
    parts: StatusParts,
    readings: ReadingTableView,
    stated: Arc<EventCounts>,
) -> Exporter {
    let settings = Settings {
        dcgm_names: plan.dcgm_names,
        period_ns_max: plan.samplers.iter().map(|of| of.period_ns).max().unwrap_or_default(),
    };
    let names = parts.names.clone();
    let verdicts = move || {
        names.judged().open().iter().map(|open| crate::schema::Verdict::clone(open)).collect()
    };
    let sources = Sources {
        steps: parts.steps.clone(),
        readings,
        names: parts.names.clone(),
        merge: Box::new(rank_of),
        health: Box::new(move || health(&parts, &stated)),
        verdicts: Box::new(verdicts),
    };
    Exporter::new(sources, settings)
}

/// One rank of its front ends, as a router sees it; silence never makes it
/// gone, since a page says how long it lasts.
fn rank_of(records: &mut [NewestStep], now_ns: u64) -> Rank {
    let patience = Patience { gone_ns: u64::MAX };
    let state: RankState = merge(records, now_ns, &patience);
    let RankState { step, age_ns, silence_ns, lost, freshness, activity, .. } = state;
    Rank { step, age_ns, silence_ns, lost, freshness, activity }
}

fn health(parts: &StatusParts, stated: &EventCounts) -> Health {
    let now_ns = clock::monotonic_ns();
    let mut losses = Vec::new();
    parts.losses.each(|loss| {
        let (place, reason) = (loss.place.to_owned(), loss.reason.to_owned());
        losses.push(LossCount { place, reason, count: loss.count });
    });
    Health {
        version: env!("CARGO_PKG_VERSION"),
        ready: parts.ready().is_ok(),
        up_ns: now_ns.saturating_sub(parts.begun_ns),
        nats: parts.link.as_ref().map(carries),
        samplers: samplers(parts, now_ns),
        losses,
        events: stated.all(),
    }
}

fn carries(link: &Link) -> bool {
    matches!(link.snapshot().state, LinkState::Connected { .. })
}

/// Those that are on and whose source is here.
fn samplers(parts: &StatusParts, now_ns: u64) -> Vec<SamplerHealth> {
    let mut samplers = Vec::new();
    for part in &parts.parts {
        let Some(period_ms) = parts.periods_ms.get(part.name) else { continue };
        let running = parts.losses.samplers.iter().find(|of| of.watched.name == part.name);
        let progress = running.map(|of| &of.watched.progress);
        let success = match part.state {
            PartState::Ready => progress.is_some_and(|progress| !progress.stalled(now_ns)),
            PartState::Failed => false,
            PartState::NotHere | PartState::Off => continue,
        };
        samplers.push(SamplerHealth {
            name: part.name,
            success,
            period_ns: period_ms * clock::MILLISECOND_NS,
            age_ns: progress.map(|progress| progress.silent_ns(now_ns)),
            duration_ns: progress.map(|progress| progress.tick_ns()),
        });
    }
    samplers
}
