//! Registers what the rooms count, so that we watch ourselves through the same
//! door as everything else.

use std::sync::Arc;

use super::sampling::SamplerGauges;
use crate::pipeline::TakerCounts;
use crate::platform::atomic::Ordering;
use crate::samplers::own::Gauges;
use crate::schema::MetricId;

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

fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}
