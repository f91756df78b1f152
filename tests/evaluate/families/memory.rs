//! Device memory.

use eagle_eye::schema::{Action, DeviceState, Severity};

use super::Family;
use crate::trace::{Resolve, SECOND};
use crate::world::World;
use crate::world::models::{ANY, ASCEND, NVIDIA, NVLINKED};

pub(super) const ALL: &[Family] = &[
    Family::new("memory/corrected_errors_grow", ANY, 2, corrected_grow).period(10),
    Family::new("memory/few_corrected_errors_are_fine", ANY, 4, corrected_few).period(10),
    Family::new("memory/pages_run_out", ASCEND, 1, pages_run_out).period(600),
    Family::new("memory/few_pages_are_fine", ASCEND, 2, pages_few).period(600),
    Family::new("memory/remap_pending", NVLINKED, 2, remap_pending),
    Family::new("memory/remap_pending_and_reset", NVLINKED, 2, remap_reset),
    Family::new("memory/remap_failed", NVLINKED, 2, remap_failed),
    Family::new("memory/double_bit_sequence", NVLINKED, 4, double_bit),
    Family::new("memory/contained", NVLINKED, 2, contained),
    Family::new("memory/uncontained_storm", NVLINKED, 2, uncontained_storm),
    Family::new("memory/sram_threshold", NVLINKED, 2, sram_threshold),
    Family::new("memory/uncorrected_escaped", NVIDIA, 2, escaped),
];

fn corrected_grow(world: &mut World<'_, '_>) {
    world.run(600);
    let at = world.dice.below(2);
    let hour = world.dice.between(120.0, 4000.0);
    world.cards[at].ecc_hour.0 = hour;
    let name = world.name(at);
    let expected = world.expect("memory.corrected_errors|memory.wearing_out", &name, 3600);
    expected.severities = vec![Severity::Info, Severity::Warning, Severity::Error];
    world.run(5400);
}

fn corrected_few(world: &mut World<'_, '_>) {
    for card in &mut world.cards {
        card.ecc_hour.0 = 0.5;
    }
    world.may("*", Severity::Info);
    world.never(Severity::Warning);
    world.run(4 * 3600);
}

/// Isolated rows grow towards the cap of 64; it must be said a day before.
fn pages_run_out(world: &mut World<'_, '_>) {
    let rows_day = world.dice.between(6.0, 14.0);
    world.cards[0].pages = (2, 0);
    let days_left = 60.0 / rows_day;
    let name = world.name(0);
    let expected = world.expect("memory.wearing_out|memory.corrected_errors", &name, 0);
    expected.within_ns = ((days_left - 1.0).max(0.5) * 86_400.0) as u64 * SECOND;
    expected.severities = vec![Severity::Warning, Severity::Error, Severity::Critical];
    let mut carry = 0.0;
    world.run_with((days_left * 86_400.0) as u64, |world, _| {
        carry += rows_day * 600.0 / 86_400.0 * world.dice.between(0.4, 1.6);
        while carry >= 1.0 {
            carry -= 1.0;
            if world.dice.chance(0.9) {
                world.cards[0].pages.0 += 1;
            } else {
                world.cards[0].pages.1 += 1;
            }
        }
    });
    world.may("memory.uncorrected", Severity::Warning);
}

fn pages_few(world: &mut World<'_, '_>) {
    world.cards[0].pages = (1, 0);
    let day = 1 + world.dice.below(4) as u64;
    world.run(day * 86_400);
    world.cards[0].pages.0 += 1;
    world.may("*", Severity::Info);
    world.never(Severity::Warning);
    world.run((6 - day) * 86_400);
}

fn remap_pending(world: &mut World<'_, '_>) {
    world.run(60);
    let at = world.dice.below(2);
    let name = world.name(at);
    let expected = world.expect("memory.remap_pending", &name, 30);
    expected.severities = vec![Severity::Warning, Severity::Error];
    expected.actions = vec![Action::ResetDevice, Action::RebootNode];
    expected.resolve = Resolve::MustNot;
    world.xid(at, 63, "pid=1896, name=nvidia-smi, Row Remapper: New row marked for remapping, reset gpu to activate.");
    world.cards[at].remap_pending = true;
    world.cards[at].ecc.0 += 1;
    world.run(300);
}

fn remap_reset(world: &mut World<'_, '_>) {
    remap_pending(world);
    let at = world.cards.iter().position(|card| card.remap_pending).expect("one is pending");
    world.truth.expected[0].resolve = Resolve::Must;
    world.state(at, DeviceState::Resetting, "");
    world.run(40);
    world.cards[at].remap_pending = false;
    world.cards[at].rows.0 += 1;
    world.state(at, DeviceState::Present, "");
    world.run(900);
}

fn remap_failed(world: &mut World<'_, '_>) {
    world.run(60);
    let at = world.dice.below(2);
    let name = world.name(at);
    let expected = world.expect("memory.remap_failed", &name, 30);
    expected.severities = vec![Severity::Error, Severity::Critical];
    expected.actions = vec![Action::ReplacePart, Action::ContactVendor, Action::ResetDevice];
    expected.resolve = Resolve::MustNot;
    world.xid(at, 64, "pid='<unknown>', name=<unknown>, Row remapping failure");
    world.cards[at].remap_failed = true;
    world.run(300);
}

fn double_bit(world: &mut World<'_, '_>) {
    world.run(60);
    let at = world.dice.below(4);
    let name = world.name(at);
    let expected = world.expect("memory.uncorrected|memory.remap_pending", &name, 10);
    expected.severities = vec![Severity::Error, Severity::Critical];
    expected.actions = vec![Action::ResetDevice, Action::RebootNode, Action::ReplacePart];
    expected.resolve = Resolve::MustNot;
    let text = "pid='<unknown>', name=<unknown>, DBE: An uncorrectable double bit error (DBE) has been detected on GPU in the framebuffer at partition 2, subpartition 0.";
    world.xid(at, 48, text);
    if world.dice.chance(0.5) {
        world.nvml_xid(at, 48);
    }
    world.cards[at].ecc.1 += 1;
    world.wait_ms(3);
    world.xid(at, 63, "pid='<unknown>', name=<unknown>, Row Remapper: New row marked for remapping, reset gpu to activate.");
    world.cards[at].remap_pending = true;
    for channel in 0..3 + world.dice.below(9) {
        world.wait_ms(1);
        world.xid(at, 45, &format!("pid=4001, name=VLLM::EngineCore, Ch {channel:08x}"));
    }
    if world.dice.chance(0.6) {
        world.wait_ms(2);
        world.xid(at, 154, "pid='<unknown>', name=<unknown>, GPU recovery action changed from 0x0 (None) to 0x1 (GPU Reset Required)");
        world.cards[at].recovery_action = 1;
    }
    world.run(300);
}

fn contained(world: &mut World<'_, '_>) {
    world.run(60);
    let at = world.dice.below(2);
    let name = world.name(at);
    let expected =
        world.expect("memory.contained|memory.remap_pending|memory.uncorrected", &name, 10);
    expected.severities = vec![Severity::Warning, Severity::Error, Severity::Critical];
    expected.actions = vec![Action::RestartApplication, Action::ResetDevice];
    world.xid(at, 94, "pid=4000, name=VLLM::EngineCore, Contained: SM (0x1). RST: No, D-RST: No");
    world.wait_ms(2);
    world.xid(at, 63, "pid='<unknown>', name=<unknown>, Row Remapper: New row marked for remapping, reset gpu to activate.");
    world.cards[at].remap_pending = true;
    world.cards[at].ecc.1 += 1;
    world.wait_ms(5);
    world.xid(at, 45, "pid=4000, name=VLLM::EngineCore, Ch 00000010 caused by previous Xid 94");
    world.run(240);
}

fn uncontained_storm(world: &mut World<'_, '_>) {
    world.run(60);
    let at = world.dice.below(2);
    let name = world.name(at);
    let expected = world.expect("memory.uncorrected", &name, 10);
    expected.severities = vec![Severity::Error, Severity::Critical];
    expected.actions = vec![Action::ResetDevice, Action::RebootNode];
    for _ in 0..300 + world.dice.below(1500) {
        world.wait_ms(7);
        world.xid(
            at,
            95,
            "pid=7194, name=train, Uncontained: LTC TAG (0x2, 0x1). RST: Yes, D-RST: No",
        );
    }
    world.cards[at].ecc.1 += 3;
    world.run(120);
}

fn sram_threshold(world: &mut World<'_, '_>) {
    world.run(60);
    let at = world.dice.below(2);
    let name = world.name(at);
    let expected = world.expect("memory.sram", &name, 60);
    expected.severities = vec![Severity::Error, Severity::Critical];
    expected.actions = vec![Action::ReplacePart, Action::ContactVendor];
    // Its counter rose with it.
    world.may("memory.uncorrected", Severity::Critical);
    world.cards[at].sram_threshold = true;
    world.run(240);
}

/// An uncorrectable error that escaped the card's own handling.
fn escaped(world: &mut World<'_, '_>) {
    world.run(60);
    let at = world.dice.below(2);
    let name = world.name(at);
    let expected = world.expect("memory.uncorrected", &name, 10);
    expected.severities = vec![Severity::Error, Severity::Critical];
    expected.actions = vec![Action::ResetDevice, Action::RebootNode];
    world.xid(at, 140, "pid='<unknown>', name=<unknown>, An uncorrectable ECC error detected (possible firmware handling failure) DRAM:1, LTC:0, MMU:0, PCIE:0");
    world.cards[at].ecc.1 += 1;
    world.run(240);
}
