//! Heat.

use eagle_eye::schema::{Action, Severity};

use super::Family;
use crate::trace::Resolve;
use crate::world::World;
use crate::world::models::{ANY, NVLINKED};

pub(super) const ALL: &[Family] = &[
    Family::new("thermal/airflow_lost", ANY, 4, airflow_lost),
    Family::new("thermal/airflow_lost_and_back", ANY, 4, airflow_back),
    Family::new("thermal/one_cooler", ANY, 4, one_cooler),
    Family::new("thermal/memory_hot", NVLINKED, 4, memory_hot),
    Family::new("thermal/engine_slowed", NVLINKED, 2, engine_slowed).engine(),
    Family::new("thermal/warm_room_is_fine", ANY, 4, warm_room),
    Family::new("thermal/cold_start_is_fine", ANY, 4, cold_start),
];

/// Heat at which a card cannot but slow down.
fn too_much(world: &World<'_, '_>, at: usize) -> f64 {
    let model = world.cards[at].model;
    let rise = model.full_c - 25.0;
    // At this load the final heat lies above the limit by a tenth.
    1.1 * (model.limits_c.0 - 25.0) / rise
}

/// Runs until a card slows down against heat, and says so.
fn until_hot(world: &mut World<'_, '_>, most_s: u64) -> bool {
    for _ in 0..most_s / 5 {
        world.run(5);
        if world.cards.iter().any(|card| card.reasons.software_heat) {
            return true;
        }
    }
    false
}

fn heat_up(world: &mut World<'_, '_>) {
    world.run(120);
    let ramp_s = 30 + world.dice.below(240) as u64;
    let from: Vec<f64> = world.cards.iter().map(|card| card.heat).collect();
    let to: Vec<f64> = (0..world.cards.len())
        .map(|at| too_much(world, at) * world.dice.between(1.15, 1.4))
        .collect();
    for card in &mut world.cards {
        card.load = card.load.max(0.85);
    }
    world.run_with(ramp_s, |world, share| {
        for (at, card) in world.cards.iter_mut().enumerate() {
            card.heat = from[at] + (to[at] - from[at]) * share;
        }
    });
    assert!(until_hot(world, 600), "cards without air become hot");
}

fn airflow_lost(world: &mut World<'_, '_>) {
    heat_up(world);
    world.may("engine.slowed_by_device", Severity::Error);
    let cooling = [Action::RepairCooling, Action::Investigate];
    let expected = world.expect("thermal.airflow", "", 180);
    expected.actions = cooling.to_vec();
    expected.at_ns = expected.at_ns.saturating_sub(120_000_000_000);
    expected.within_ns = 300_000_000_000;
    world.run(420);
}

fn airflow_back(world: &mut World<'_, '_>) {
    airflow_lost(world);
    for card in &mut world.cards {
        card.heat = 1.0;
    }
    world.truth.expected[0].resolve = Resolve::Must;
    world.run(1200);
}

fn one_cooler(world: &mut World<'_, '_>) {
    let at = world.dice.below(4);
    for card in &mut world.cards {
        card.load = 0.85;
    }
    world.run(180);
    world.cards[at].heat = too_much(world, at) * world.dice.between(1.2, 1.5);
    let begun_ns = world.now_ns();
    assert!(until_hot(world, 900), "a card without a cooler becomes hot");
    let name = world.name(at);
    let expected = world.expect("thermal.hot_device|thermal.throttling|thermal.memory", &name, 180);
    expected.actions = vec![Action::RepairCooling, Action::Investigate];
    let took_ns = expected.at_ns - begun_ns;
    (expected.at_ns, expected.within_ns) = (begun_ns, expected.within_ns + took_ns);
    world.run(400);
}

fn memory_hot(world: &mut World<'_, '_>) {
    world.run(120);
    let at = world.dice.below(4);
    world.cards[at].load = 0.9;
    let limit = world.cards[at].model.memory_limit_c.expect("these cards have one");
    world.cards[at].memory_heat = world.dice.between(1.8, 2.0);
    let begun_ns = world.now_ns();
    for _ in 0..60 {
        world.run(5);
        if world.cards[at].memory_c >= limit {
            break;
        }
    }
    let name = world.name(at);
    let expected = world.expect("thermal.memory|thermal.hot_device", &name, 180);
    let took_ns = expected.at_ns - begun_ns;
    (expected.at_ns, expected.within_ns) = (begun_ns, expected.within_ns + took_ns);
    world.run(400);
}

fn engine_slowed(world: &mut World<'_, '_>) {
    world.engine.as_mut().expect("built with one").arrivals = 9.0;
    world.run(180);
    let at = world.dice.below(2);
    world.cards[at].load = 0.95;
    world.cards[at].heat = too_much(world, at) * 1.5;
    let begun_ns = world.now_ns();
    assert!(until_hot(world, 900), "a card without a cooler becomes hot");
    let name = world.name(at);
    let subjects = format!("{name}|vllm-0:8000");
    let class = "thermal.hot_device|thermal.throttling|thermal.memory|engine.slowed_by_device";
    let expected = world.expect(class, &subjects, 180);
    let took_ns = expected.at_ns - begun_ns;
    (expected.at_ns, expected.within_ns) = (begun_ns, expected.within_ns + took_ns);
    world.run(600);
}

fn warm_room(world: &mut World<'_, '_>) {
    world.run(120);
    for card in &mut world.cards {
        card.load = 0.8;
    }
    world.run_with(600, |world, share| {
        for card in &mut world.cards {
            card.air_c = 25.0 + 7.0 * share;
        }
    });
    world.never(Severity::Warning);
    world.run(600);
}

fn cold_start(world: &mut World<'_, '_>) {
    for card in &mut world.cards {
        (card.load, card.chip_c) = (0.0, 28.0);
    }
    world.run(300);
    // From nothing to everything, all at once.
    for card in &mut world.cards {
        card.load = 0.97;
    }
    world.never(Severity::Warning);
    world.run(600);
}
