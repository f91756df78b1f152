//! Families about the agent itself, what it stated and what it concluded.

use std::collections::BTreeMap;

use super::families::{
    AGENT_INFO, AGENT_READY, AGENT_UP, EVENTS, NATS_CONNECTED, SAMPLER_AGE, SAMPLER_DURATION,
    SAMPLER_PERIOD, SAMPLER_SUCCESS, VERDICT_SINCE, VERDICTS,
};
use super::page::{Family, Page, label};
use super::readings::family_of;
use crate::schema::{EventKind, MetricId, Severity, Verdict, VerdictState};

/// How the agent is.
#[derive(Debug, Clone, Default)]
pub struct Health {
    /// Its version.
    pub version: &'static str,
    /// Whether everything that is configured works.
    pub ready: bool,
    /// How long it runs, ns.
    pub up_ns: u64,
    /// Whether the connection to NATS carries; none where none is configured.
    pub nats: Option<bool>,
    /// The samplers that are on and whose source is here.
    pub samplers: Vec<SamplerHealth>,
    /// What was lost, zeros too.
    pub losses: Vec<LossCount>,
    /// Events by kind and severity.
    pub events: Vec<EventCount>,
}

/// How one sampler is.
#[derive(Debug, Clone, Copy)]
pub struct SamplerHealth {
    /// Its name.
    pub name: &'static str,
    /// Whether it reads its source in time.
    pub success: bool,
    /// Its period, ns.
    pub period_ns: u64,
    /// Since its last finished round, ns; none where it could not start.
    pub age_ns: Option<u64>,
    /// How long that took, ns; none where it could not start.
    pub duration_ns: Option<u64>,
}

/// How much was lost at one place for one reason.
#[derive(Debug, Clone)]
pub struct LossCount {
    /// Where.
    pub place: String,
    /// Why.
    pub reason: String,
    /// How much since the agent began.
    pub count: u64,
}

/// How many events of a kind were stated.
#[derive(Debug, Clone, Copy)]
pub struct EventCount {
    /// The kind.
    pub kind: EventKind,
    /// How much they matter.
    pub severity: Severity,
    /// How many since the agent began.
    pub count: u64,
}

/// Writes how the agent is.
pub(super) fn write_health(page: &mut Page, health: &Health, node: &str) {
    let labels = labels(node);
    let mut one = |family: Family, more: &[(&str, &str)], value: f64| {
        page.family(family);
        page.series(&labels, more, value);
    };
    one(AGENT_INFO, &[("version", health.version)], 1.0);
    one(AGENT_READY, &[], flag(health.ready));
    one(AGENT_UP, &[], seconds(health.up_ns));
    if let Some(connected) = health.nats {
        one(NATS_CONNECTED, &[], flag(connected));
    }
    type Value = fn(&SamplerHealth) -> Option<f64>;
    let of_samplers: [(Family, Value); 4] = [
        (SAMPLER_SUCCESS, |sampler| Some(flag(sampler.success))),
        (SAMPLER_AGE, |sampler| sampler.age_ns.map(seconds)),
        (SAMPLER_DURATION, |sampler| sampler.duration_ns.map(seconds)),
        (SAMPLER_PERIOD, |sampler| Some(seconds(sampler.period_ns))),
    ];
    for (family, value) in of_samplers {
        page.family(family);
        for sampler in &health.samplers {
            if let Some(value) = value(sampler) {
                page.series(&labels, &[("sampler", sampler.name)], value);
            }
        }
    }
    page.family(family_of(MetricId::RecordsLost.row()));
    let mut losses: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for loss in &health.losses {
        *losses.entry((&loss.place, &loss.reason)).or_default() += loss.count;
    }
    for ((place, reason), count) in losses {
        page.series(&labels, &[("place", place), ("reason", reason)], count as f64);
    }
    page.family(EVENTS);
    for event in &health.events {
        let more = [("kind", event.kind.name()), ("severity", event.severity.name())];
        page.series(&labels, &more, event.count as f64);
    }
}

/// Writes what holds now. Verdicts that differ in nothing a series says are
/// one series, counted.
pub(super) fn write_verdicts(page: &mut Page, verdicts: &[Verdict], node: &str) {
    let mut open: BTreeMap<(&str, &str, &str, &str), (u64, u64)> = BTreeMap::new();
    for verdict in verdicts.iter().filter(|verdict| verdict.state != VerdictState::Resolved) {
        let severity = verdict.severity.name();
        let key = (&*verdict.rule, severity, &*verdict.subject_kind, &*verdict.subject);
        let of = open.entry(key).or_insert((0, u64::MAX));
        *of = (of.0 + 1, of.1.min(verdict.since_wall_ns));
    }
    let labels = labels(node);
    for (family, since) in [(VERDICTS, false), (VERDICT_SINCE, true)] {
        page.family(family);
        for ((rule, severity, kind, subject), (count, since_ns)) in &open {
            let more = [
                ("rule", *rule),
                ("severity", *severity),
                ("subject_kind", *kind),
                ("subject", *subject),
            ];
            let value = if since { seconds(*since_ns) } else { *count as f64 };
            page.series(&labels, &more, value);
        }
    }
}

fn labels(node: &str) -> String {
    let mut labels = String::new();
    label(&mut labels, "node", node);
    labels
}

const fn flag(is: bool) -> f64 {
    if is { 1.0 } else { 0.0 }
}

const fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}
