//! Everything that was lost in this agent, by place and reason: one list for
//! the status, the readings and the measurements.

use std::sync::Arc;

use super::compat::Compat;
use super::sampling::SamplerGauges;
use crate::journal;
use crate::newest::Names;
use crate::pipeline::{self, TakerCounts};
use crate::platform::atomic::{AtomicU64, Ordering};
use crate::recorder;
use crate::samplers::EventOutlet;
use crate::samplers::engine_push::DoorCounts;
use crate::schema::Severity;
use crate::transports::Link;

/// Where losses are counted; clones share the counts with the running agent.
#[derive(Debug, Clone)]
pub(super) struct Losses {
    pub(super) samplers: Vec<SamplerGauges>,
    pub(super) takers: Vec<(&'static str, Arc<TakerCounts>)>,
    pub(super) pipeline: Arc<pipeline::Counts>,
    pub(super) door: Arc<DoorCounts>,
    pub(super) events: EventOutlet,
    pub(super) names: Names,
    pub(super) journal: Arc<JournalGauges>,
    pub(super) recorder: Option<Arc<recorder::Counts>>,
    pub(super) link: Option<Link>,
    pub(super) compat: Option<Compat>,
}

/// One count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Loss<'a> {
    /// Where: a ring, a taker, a door.
    pub(super) place: &'a str,
    /// Why.
    pub(super) reason: &'a str,
    pub(super) count: u64,
    /// Whether steps or readings are counted, and not callers, names, events.
    pub(super) records: bool,
}

impl Losses {
    /// Every count, also those that are zero.
    pub(super) fn each(&self, mut tell: impl FnMut(Loss<'_>)) {
        for sampler in &self.samplers {
            of_sampler(sampler, &mut tell);
        }
        let mut records = |place: &str, reason: &str, count| {
            tell(Loss { place, reason, count, records: true });
        };
        records("pipeline", "all slabs held", self.pipeline.dropped());
        for (name, counts) in &self.takers {
            records(&format!("taker {name}"), "full or away", counts.dropped());
        }
        if let Some(link) = &self.link {
            let counts = link.counts();
            records("nats", "queue full", counts.dropped_queue_full);
            records("nats", "oversize", counts.dropped_oversize);
            records("nats", "not connected", counts.dropped_not_connected);
            records("nats", "forbidden", counts.dropped_forbidden);
            records("nats", "replaced by newer state", counts.replaced);
            records("nats", "on the way when a connection died", counts.unconfirmed);
        }
        self.door.each(|name, count| {
            // What an earlier agent told, and what came twice, is not missing.
            let records =
                DoorCounts::NOT_STEPS.contains(&name) && !["history", "duplicate"].contains(&name);
            if records || DoorCounts::REFUSED.contains(&name) {
                tell(Loss { place: "door", reason: &name.replace('_', " "), count, records });
            }
        });
        let mut other = |place: &str, reason: &str, count| {
            tell(Loss { place, reason, count, records: false });
        };
        let aside = self.link.as_ref().map_or(0, |link| link.counts().aside_dropped);
        let waited = self.compat.as_ref().map_or(0, Compat::lost);
        other("nats", "compatibility messages forbidden or cut off", aside + waited);
        other("events", "channel full", self.events.dropped());
        other("names", "list full", self.names.refused() + self.names.details().refused());
        other("verdicts", "list full", self.names.judged().refused());
        if let Some((full, disk)) = self.recorder.as_ref().map(|recorder| recorder.lost()) {
            other("recorder", "batches, queue full", full);
            other("recorder", "batches, disk takes nothing", disk);
        }
        self.journal.each_loss(|reason, count| other("journal", reason, count));
    }
}

fn of_sampler(sampler: &SamplerGauges, tell: &mut impl FnMut(Loss<'_>)) {
    let name = sampler.watched.name;
    for (kind, ring) in ["steps", "readings"].iter().zip(&sampler.rings) {
        let place = format!("ring {name} {kind}");
        tell(Loss { place: &place, reason: "full", count: ring.dropped(), records: true });
    }
    let place = format!("newest {name}");
    for (reason, count) in [
        ("no cell for a rank", &sampler.losses.ranks_refused),
        ("no cell for a reading", &sampler.losses.readings_refused),
    ] {
        let count = count.load(Ordering::Relaxed);
        // The record itself went into the ring.
        tell(Loss { place: &place, reason, count, records: false });
    }
}

/// What the journal says of itself. The desk writes, anyone may look.
#[derive(Debug, Default)]
pub(super) struct JournalGauges {
    held: AtomicU64,
    dropped: [AtomicU64; 4],
    refused: AtomicU64,
}

impl JournalGauges {
    /// Events that wait to be acknowledged.
    pub(super) fn held(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }

    pub(super) fn take(&self, counts: &journal::Counts) {
        self.held.store(counts.held, Ordering::Relaxed);
        for (cell, count) in self.dropped.iter().zip(counts.dropped) {
            cell.store(count, Ordering::Relaxed);
        }
        self.refused.store(counts.refused_full + counts.refused_size, Ordering::Relaxed);
    }

    fn each_loss(&self, mut tell: impl FnMut(&str, u64)) {
        for (number, count) in self.dropped.iter().enumerate() {
            let severity = Severity::from_number(number as u8).name();
            let reason = format!("{severity} gave way to what matters more");
            tell(&reason, count.load(Ordering::Relaxed));
        }
        tell("refused", self.refused.load(Ordering::Relaxed));
    }
}
