//! What happens to the observer: restarts, stepped clocks, sources that stop.

use eagle_eye::schema::{DeviceState, EventKind, LogRecord, Severity};

use super::Family;
use crate::trace::{Fact, Resolve};
use crate::world::World;
use crate::world::models::{ANY, NVIDIA};

pub(super) const ALL: &[Family] = &[
    Family::new("agent/fault_while_away", NVIDIA, 2, fault_while_away),
    Family::new("agent/restart_keeps_verdicts", NVIDIA, 2, keeps),
    Family::new("agent/restart_is_fine", ANY, 2, quiet_restart),
    Family::new("agent/clock_steps_are_fine", ANY, 2, clock).engine(),
    Family::new("agent/clock_steps_during_a_fault", NVIDIA, 2, clock_fault),
    Family::new("agent/lines_lost", NVIDIA, 2, lines_lost),
    Family::new("agent/sampler_stalls", ANY, 2, stalls),
    Family::new("agent/log_alone", NVIDIA, 2, log_alone),
    Family::new("agent/dropouts_are_fine", ANY, 4, dropouts),
];

const LOST: &str = "pid='<unknown>', name=<unknown>, GPU has fallen off the bus.";

/// The kernel's buffer still has the line when the agent is back.
fn fault_while_away(world: &mut World<'_, '_>) {
    world.run(60);
    world.tell(Fact::Restart);
    world.wait_ms(20_000);
    let at = world.dice.below(2);
    let name = world.name(at);
    let expected = world.expect("bus.fallen_off|device.gone", &name, 10);
    expected.severities = vec![Severity::Critical];
    world.cards[at].state = DeviceState::Gone;
    let pci = world.cards[at].pci.trim_end_matches(".0").to_owned();
    let line = format!("NVRM: Xid (PCI:{pci}): 79, {LOST}");
    let Fact::Event(mut event) =
        crate::lines::kernel_line(4, eagle_eye::schema::Trust::Attested, &line)
    else {
        unreachable!("a line is an event")
    };
    event.log = event.log.map(|log| LogRecord { before_start: true, ..log });
    world.tell(Fact::Event(event));
    world.declare();
    world.run(120);
}

fn keeps(world: &mut World<'_, '_>) {
    world.run(60);
    let at = world.dice.below(2);
    let name = world.name(at);
    let expected = world.expect("bus.fallen_off|device.gone", &name, 10);
    expected.severities = vec![Severity::Critical];
    expected.resolve = Resolve::MustNot;
    world.xid(at, 79, LOST);
    world.cards[at].state = DeviceState::Gone;
    world.run(60);
    world.tell(Fact::Restart);
    world.wait_ms(5_000);
    world.declare();
    world.run(180);
}

fn quiet_restart(world: &mut World<'_, '_>) {
    world.never(Severity::Warning);
    for _ in 0..3 {
        world.run(120);
        world.tell(Fact::Restart);
        let away_ms = 1000 + 1000 * world.dice.below(60) as u64;
        world.wait_ms(away_ms);
        world.declare();
    }
    world.run(120);
}

fn clock(world: &mut World<'_, '_>) {
    world.may("*", Severity::Info);
    world.never(Severity::Warning);
    world.run(120);
    for seconds in [3600, -7200, 30, -86_400] {
        world.step_clock(seconds);
        world.run(90);
    }
}

fn clock_fault(world: &mut World<'_, '_>) {
    world.run(60);
    let at = world.dice.below(2);
    let name = world.name(at);
    world.step_clock(-3600);
    let expected = world.expect("bus.fallen_off|device.gone", &name, 10);
    expected.severities = vec![Severity::Critical];
    expected.resolve = Resolve::MustNot;
    world.xid(at, 79, LOST);
    world.wait_ms(200);
    world.step_clock(7200);
    world.state(at, DeviceState::Gone, "");
    world.run(120);
}

fn lines_lost(world: &mut World<'_, '_>) {
    world.run(60);
    world.expect("observation.log_lost", "", 60).severities =
        vec![Severity::Info, Severity::Warning];
    let lost = 1000 + world.dice.below(50_000) as u64;
    let Fact::Event(mut event) = crate::lines::event(
        EventKind::KernelLinesLost,
        Severity::Warning,
        "kmsg",
        "kernel",
        "lines of the kernel log were overwritten before they were read.",
        0,
    ) else {
        unreachable!("an event is an event")
    };
    event.lost = lost;
    world.tell(Fact::Event(event));
    world.run(180);
}

fn stalls(world: &mut World<'_, '_>) {
    world.run(60);
    let kind = world.cards[0].model.kind;
    let sampler = if kind == "gpu" { "nvml" } else { "dcmi" };
    let class = "observation.sampler_stalled|observation.missing|observation.source_hangs";
    let expected = world.expect(class, "", 120);
    expected.severities = vec![Severity::Info, Severity::Warning, Severity::Error];
    expected.resolve = Resolve::Must;
    // One thing stalls, and all its devices with it.
    world.may("observation.missing", Severity::Warning);
    world.cards_sampled = false;
    world.event(EventKind::SamplerStalled, sampler, "the sampler missed two periods");
    world.run(180);
    world.cards_sampled = true;
    world.event(EventKind::SamplerRecovered, sampler, "the sampler ticks again");
    world.run(900);
}

/// No library, no readings: the kernel's word is enough.
fn log_alone(world: &mut World<'_, '_>) {
    world.cards_sampled = false;
    world.run(60);
    let at = world.dice.below(2);
    let (name, pci) = (world.name(at), world.cards[at].pci.clone());
    world.may("observation.missing", Severity::Warning);
    let expected = world.expect("bus.fallen_off|device.gone", &format!("{name}|{pci}"), 10);
    expected.severities = vec![Severity::Critical];
    world.xid(at, 79, LOST);
    world.run(120);
}

fn dropouts(world: &mut World<'_, '_>) {
    world.may("*", Severity::Info);
    world.never(Severity::Warning);
    for card in &mut world.cards {
        card.dropout = 0.2;
    }
    world.run(900);
}
