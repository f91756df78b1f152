//! Links between accelerators, and NVSwitch.

use eagle_eye::schema::{Action, Severity};

use super::Family;
use crate::world::World;
use crate::world::models::{NVLINK4, NVLINKED};

pub(super) const ALL: &[Family] = &[
    Family::new("link/errors_at_both_ends", NVLINK4, 4, both_ends),
    Family::new("link/errors_of_hccs", &[4], 4, both_ends_quiet),
    Family::new("link/down", NVLINKED, 4, down),
    Family::new("link/xid74_hardware_bits", NVLINK4, 2, xid74_hardware),
    Family::new("link/xid74_by_product_bits", NVLINK4, 2, xid74_by_product),
    Family::new("link/xid149_link_down", &[2], 2, xid149),
    Family::new("link/xid145_nonfatal", &[2], 2, xid145),
    Family::new("link/peer_access_by_application", NVLINKED, 2, xid137),
    Family::new("link/switch_fatal", NVLINK4, 2, switch_fatal),
    Family::new("link/switch_nonfatal", NVLINK4, 2, switch_nonfatal),
    Family::new("link/fabric_unhealthy", NVLINKED, 2, fabric),
];

const REPAIR: [Action; 4] =
    [Action::RepairLink, Action::Investigate, Action::ResetDevice, Action::ContactVendor];

fn grow(world: &mut World<'_, '_>) -> String {
    world.run(120);
    let (first, second) = (world.dice.below(2), 2 + world.dice.below(2));
    let hour = world.dice.between(2000.0, 40_000.0);
    world.cards[first].link_errors_hour = hour;
    world.cards[second].link_errors_hour = hour * world.dice.between(0.3, 1.0);
    format!("{}|{}", world.name(first), world.name(second))
}

fn both_ends(world: &mut World<'_, '_>) {
    let subjects = grow(world);
    let expected = world.expect("link.accelerator_degraded", &subjects, 600);
    expected.actions = REPAIR.to_vec();
    // One for the pair, or one for each end.
    world.may("link.accelerator_degraded", Severity::Error);
    world.run(900);
}

fn both_ends_quiet(world: &mut World<'_, '_>) {
    both_ends(world);
}

fn down(world: &mut World<'_, '_>) {
    world.run(120);
    let at = world.dice.below(4);
    let name = world.name(at);
    world.cards[at].links_active -= 1 + world.dice.below(2) as u32;
    let expected = world.expect("link.accelerator_down|link.accelerator_degraded", &name, 60);
    expected.severities = vec![Severity::Warning, Severity::Error, Severity::Critical];
    expected.actions = REPAIR.to_vec();
    world.run(300);
}

fn xid74(world: &mut World<'_, '_>, at: usize, link: usize, first: u32) {
    let text = format!(
        "pid='<unknown>', name=<unknown>, NVLink: fatal error detected on link {link}(0x{first:x}, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0)"
    );
    world.xid(at, 74, &text);
}

fn xid74_hardware(world: &mut World<'_, '_>) {
    world.run(60);
    let at = world.dice.below(2);
    let name = world.name(at);
    let bit = world.dice.pick(&[8, 9, 12, 16, 17, 24, 28]);
    let class = "link.accelerator_degraded|link.accelerator_down";
    let expected = world.expect(class, &name, 10);
    expected.severities = vec![Severity::Error, Severity::Critical];
    expected.actions = REPAIR.to_vec();
    xid74(world, at, 4, 1 << bit);
    world.wait_ms(10);
    world.xid(at, 45, "pid=4000, name=VLLM::Worker_TP, Ch 00000008");
    world.run(120);
}

/// Bits that only say that something else went wrong.
fn xid74_by_product(world: &mut World<'_, '_>) {
    world.run(60);
    let bit = world.dice.pick(&[0, 1, 20, 23, 30]);
    world.may("*", Severity::Warning);
    world.never(Severity::Error);
    xid74(world, 0, 7, 1 << bit);
    world.run(120);
}

fn xid149(world: &mut World<'_, '_>) {
    world.run(60);
    let at = world.dice.below(2);
    let name = world.name(at);
    let link = world.dice.below(18);
    let class = "link.accelerator_down|link.accelerator_degraded";
    let expected = world.expect(class, &name, 10);
    expected.severities = vec![Severity::Error, Severity::Critical];
    let text = format!(
        "NETIR_LINK_EVT Fatal XC0 i0 Link {link:02} (0x004505c6 0x00000000 0x00000000 0x00000000 0x00000000 0x00000000)"
    );
    world.xid(at, 149, &text);
    world.cards[at].links_active -= 1;
    for channel in 0..4 {
        world.wait_ms(2);
        let text =
            format!("pid=4000, name=VLLM::Worker_TP, Ch {channel:08x} caused by previous Xid 149");
        world.xid(at, 45, &text);
    }
    world.run(120);
}

fn xid145(world: &mut World<'_, '_>) {
    world.run(60);
    let at = world.dice.below(2);
    world.may("*", Severity::Error);
    world.never(Severity::Critical);
    world.xid(at, 145, "RLW_REMAP Nonfatal XC1 i0 Link 10 (0x00000004 0x00000100 0x00000000 0x00000000 0x00000000 0x00000000)");
    world.run(120);
}

fn xid137(world: &mut World<'_, '_>) {
    world.run(60);
    let at = world.dice.below(2);
    world.may("application.fault", Severity::Warning);
    world.may("*", Severity::Info);
    world.never(Severity::Error);
    world.xid(at, 137, "pid=4000, name=python3, NVLink: peer access error on link 3");
    world.run(120);
}

fn switch_fatal(world: &mut World<'_, '_>) {
    world.run(60);
    let (code, text) = world.dice.pick(&[
        (20034, "Fatal, Link 30 LTSSM Fault Up"),
        (24007, "Fatal, Link 28 sourcetrack timeout error (First)"),
    ]);
    let expected = world.expect("link.switch", "", 10);
    expected.severities = vec![Severity::Error, Severity::Critical];
    world.kernel_as(3, &format!("nvidia-nvswitch0: SXid (PCI:0000:c3:00.0): {code}, {text}"));
    world.kernel_as(3, &format!("nvidia-nvswitch0: SXid (PCI:0000:c3:00.0): {code}, Severity 1 Engine instance 30 Sub-engine instance 00"));
    world.kernel_as(
        3,
        &format!(
            "nvidia-nvswitch0: SXid (PCI:0000:c3:00.0): {code}, Data {{0x50610002, 0x10100030}}"
        ),
    );
    world.run(120);
}

fn switch_nonfatal(world: &mut World<'_, '_>) {
    world.run(60);
    world.may("link.switch", Severity::Warning);
    world.never(Severity::Error);
    let text = world.dice.pick(&[
        "12028, Non-fatal, Link 32 egress non-posted PRIV error (First)",
        "28006, Non-fatal, Link 29 MC TS crumbstore MCTO",
        "22013, Non-fatal, Link 57 Minion Link DLREQ interrupt",
    ]);
    world.kernel(&format!("nvidia-nvswitch1: SXid (PCI:0000:0a:00.0): {text}"));
    world.run(120);
}

fn fabric(world: &mut World<'_, '_>) {
    world.run(60);
    let at = world.dice.below(2);
    let name = world.name(at);
    world.cards[at].fabric_healthy = false;
    world.expect("link.fabric", &name, 120);
    world.run(300);
}
