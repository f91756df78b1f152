//! Registers what the rooms count, so that we watch ourselves through the same
//! door as everything else.

use std::sync::Arc;

use super::losses::{JournalGauges, Losses};
use super::sampling::SamplerGauges;
use crate::pipeline::TakerCounts;
use crate::platform::atomic::Ordering;
use crate::samplers::own::{Gauges, Tell};
use crate::schema::MetricId;
use crate::transports::Link;

/// Ticks, rings and losses of one sampler.
pub(super) fn of_sampler(gauges: &Gauges, sampler: &SamplerGauges) {
    let name = sampler.watched.name;
    let progress = |metric, read: fn(&crate::samplers::Progress, u64) -> f64| {
        let progress = Arc::clone(&sampler.watched.progress);
        gauges.add("sampler", name, metric, Box::new(move |now_ns| read(&progress, now_ns)));
    };
    progress(MetricId::TickLate, |p, _| seconds(p.late_ns()));
    progress(MetricId::TickDuration, |p, _| seconds(p.tick_ns()));
    progress(MetricId::TicksOverrun, |p, _| p.overruns() as f64);
    progress(MetricId::TickAge, |p, now_ns| seconds(p.silent_ns(now_ns)));
    progress(MetricId::SamplerStalled, |p, now_ns| f64::from(u8::from(p.stalled(now_ns))));
    for (kind, counts) in ["steps", "readings"].iter().zip(&sampler.rings) {
        let ring = format!("{name}/{kind}");
        let count = |metric, read: fn(&crate::ring::Counts) -> u64| {
            let counts = Arc::clone(counts);
            gauges.add("ring", &ring, metric, Box::new(move |_| read(&counts) as f64));
        };
        count(MetricId::RecordsProduced, crate::ring::Counts::produced);
        count(MetricId::RecordsDropped, crate::ring::Counts::dropped);
        count(MetricId::RingDepth, |counts| {
            counts.produced().saturating_sub(counts.dropped() + counts.taken())
        });
    }
    for (place, of) in [("ranks", 0), ("readings", 1)] {
        let losses = Arc::clone(&sampler.losses);
        let read = move |_| {
            let count = if of == 0 { &losses.ranks_refused } else { &losses.readings_refused };
            count.load(Ordering::Relaxed) as f64
        };
        let newest = format!("{name}/newest {place}");
        gauges.add("table", &newest, MetricId::ValuesRefused, Box::new(read));
    }
}

/// Batches offered to one taker.
pub(super) fn of_taker(gauges: &Gauges, name: &str, counts: &Arc<TakerCounts>) {
    let taken = Arc::clone(counts);
    let taken = Box::new(move |_| taken.batches_queued() as f64);
    gauges.add("taker", name, MetricId::BatchesTaken, taken);
    let dropped = Arc::clone(counts);
    let dropped = Box::new(move |_| dropped.batches_dropped() as f64);
    gauges.add("taker", name, MetricId::BatchesDropped, dropped);
}

/// What was lost, by place and reason, once something was.
pub(super) fn of_losses(gauges: &Gauges, losses: Losses) {
    let tell: Tell = Box::new(move |tell| {
        losses.each(|loss| {
            if loss.count > 0 {
                tell(&format!("{}: {}", loss.place, loss.reason), loss.count as f64);
            }
        });
    });
    gauges.add_list("loss", MetricId::RecordsLost, tell);
}

/// Events that wait in the journal.
pub(super) fn of_journal(gauges: &Gauges, journal: &Arc<JournalGauges>) {
    let journal = Arc::clone(journal);
    let held = Box::new(move |_| journal.held() as f64);
    gauges.add("journal", "journal", MetricId::JournalHeld, held);
}

/// How long batches wait for the network.
pub(super) fn of_link(gauges: &Gauges, link: Link) {
    let add = |metric, read: fn(&Link) -> f64| {
        let link = link.clone();
        gauges.add("link", "nats", metric, Box::new(move |_| read(&link)));
    };
    add(MetricId::PublishTime, |link| seconds(link.counts().publish_ns));
    add(MetricId::Publishes, |link| link.counts().publishes as f64);
    add(MetricId::PublishTimeMax, |link| seconds(link.take_publish_ns_max()));
}

fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}
