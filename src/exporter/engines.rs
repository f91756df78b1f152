//! Families of engines: how loaded every rank is, and how fresh that is.

use super::families::{ACTIVITY, ENGINE_INFO, ENGINE_RANKS, FRESHNESS, OF_RANK};
use super::page::{Page, label};
use super::rank::{Placed, Ranks, engine_name};
use crate::schema::{Activity, Flag, Freshness, Role};

/// What a rank on the page can be; one that is gone is not on it.
const FRESHNESSES: [Freshness; 3] = [Freshness::Fresh, Freshness::Stale, Freshness::Silent];

const ACTIVITIES: [Activity; 6] = [
    Activity::Unknown,
    Activity::Busy,
    Activity::Idle,
    Activity::Asleep,
    Activity::Draining,
    Activity::Warming,
];

/// Writes them all.
pub(super) fn write(page: &mut Page, ranks: &Ranks, node: &str) {
    write_info(page, ranks, node);
    for of in OF_RANK {
        page.family(of.family);
        for placed in ranks.all() {
            if let Some(value) = (of.value)(&placed.rank) {
                page.series(&placed.labels, &[], value);
            }
        }
    }
    page.family(FRESHNESS);
    for placed in ranks.all() {
        for freshness in FRESHNESSES {
            let is = f64::from(u8::from(placed.rank.freshness == freshness));
            page.series(&placed.labels, &[("freshness", freshness.name())], is);
        }
    }
    page.family(ACTIVITY);
    for placed in ranks.all() {
        for activity in ACTIVITIES {
            let is = f64::from(u8::from(placed.rank.activity == activity));
            page.series(&placed.labels, &[("activity", activity.name())], is);
        }
    }
}

/// Once an engine: what does not change by the step.
fn write_info(page: &mut Page, ranks: &Ranks, node: &str) {
    let engines = || {
        let same = |a: &Placed, b: &Placed| a.rank.step.instance == b.rank.step.instance;
        ranks.all().chunk_by(same).map(|of_engine| of_engine[0].rank.step)
    };
    page.family(ENGINE_INFO);
    for step in engines() {
        let engine = ranks.engine(step.instance);
        let mut labels = String::new();
        label(&mut labels, "engine", &engine_name(engine, step.instance));
        label(&mut labels, "node", node);
        if let Some(engine) = engine {
            for (name, value) in [
                ("model", &engine.model),
                ("endpoint", &engine.endpoint),
                ("version", &engine.engine),
                ("source", &engine.source),
                ("container_id", &engine.container),
                ("pod_uid", &engine.pod),
            ] {
                label(&mut labels, name, value);
            }
        }
        let simulated = if step.has(Flag::Simulated) { "true" } else { "false" };
        let role = Role::from_number(step.role).name();
        page.series(&labels, &[("role", role), ("simulated", simulated)], 1.0);
    }
    page.family(ENGINE_RANKS);
    for step in engines() {
        if let Some(engine) = ranks.engine(step.instance) {
            let mut labels = String::new();
            label(&mut labels, "engine", &engine.name);
            label(&mut labels, "model", &engine.model);
            label(&mut labels, "node", node);
            page.series(&labels, &[], f64::from(engine.ranks));
        }
    }
}
