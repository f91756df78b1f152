//! Power.

use eagle_eye::schema::{Action, Severity};

use super::Family;
use crate::world::World;
use crate::world::models::NVIDIA;

pub(super) const ALL: &[Family] = &[
    Family::new("power/cap_set_low", NVIDIA, 2, cap_low).engine(),
    Family::new("power/brake", NVIDIA, 4, brake),
    Family::new("power/cable", NVIDIA, 2, cable),
    Family::new("power/own_limit_is_fine", NVIDIA, 4, own_limit),
];

fn cap_low(world: &mut World<'_, '_>) {
    for card in &mut world.cards {
        card.load = 0.9;
    }
    world.run(120);
    let at = world.dice.below(2);
    let full = world.cards[at].model.power_w.1;
    world.cards[at].cap_w = (full * world.dice.between(0.4, 0.6)).round();
    let name = world.name(at);
    let expected =
        world.expect("power.cap|engine.slowed_by_device", &format!("{name}|vllm-0:8000"), 600);
    expected.actions = vec![Action::ChangeSetting, Action::Investigate];
    expected.severities.retain(|severity| *severity <= Severity::Error);
    world.may("device.odd_one_out", Severity::Warning);
    world.run(900);
}

fn brake(world: &mut World<'_, '_>) {
    for card in &mut world.cards {
        card.load = 0.85;
    }
    world.run(120);
    let all = world.dice.chance(0.5);
    let one = world.dice.below(4);
    for (at, card) in world.cards.iter_mut().enumerate() {
        card.brake = all || at == one;
    }
    let subject = if all { String::new() } else { world.name(one) };
    world.expect("power.brake", &subject, 120).severities.retain(|of| *of >= Severity::Warning);
    if all {
        // One verdict for the node or one for each card: both can be read.
        world.may("power.brake", Severity::Critical);
    }
    world.run(400);
}

fn cable(world: &mut World<'_, '_>) {
    world.run(60);
    let at = world.dice.below(2);
    let name = world.name(at);
    let expected = world.expect("power.supply", &name, 10);
    expected.severities.retain(|severity| *severity >= Severity::Error);
    world.xid(at, 54, "pid='<unknown>', name=<unknown>, Auxiliary power is not connected");
    world.run(120);
}

/// A busy card draws all that it may: that is what the limit is for.
fn own_limit(world: &mut World<'_, '_>) {
    for card in &mut world.cards {
        card.load = 1.0;
    }
    world.never(Severity::Warning);
    world.run(1200);
}
