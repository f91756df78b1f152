//! PCIe.

use eagle_eye::schema::{Action, DeviceState, Severity};

use super::Family;
use crate::trace::Resolve;
use crate::world::World;
use crate::world::models::{ANY, NVIDIA};

pub(super) const ALL: &[Family] = &[
    Family::new("bus/fallen_off_xid", NVIDIA, 2, |world| fallen(world, Sign::Xid)),
    Family::new("bus/fallen_off_one_line", NVIDIA, 2, |world| fallen(world, Sign::OneLine)),
    Family::new("bus/fallen_off_one_record", NVIDIA, 2, |world| fallen(world, Sign::Record)),
    Family::new("bus/fallen_off_three_lines", NVIDIA, 2, |world| fallen(world, Sign::Lines)),
    Family::new("bus/fallen_off_driver_only", ANY, 2, |world| fallen(world, Sign::Driver)),
    Family::new("bus/fallen_off_all_signs", NVIDIA, 2, |world| fallen(world, Sign::All)),
    Family::new("bus/lanes_lost", NVIDIA, 4, lanes_lost),
    Family::new("bus/idle_link_rests_is_fine", &[3], 2, idle_rest),
    Family::new("bus/corrected_storm", NVIDIA, 2, corrected_storm),
    Family::new("bus/few_corrected_are_fine", NVIDIA, 2, corrected_few),
    Family::new("bus/replays_grow", ANY, 2, replays_grow),
    Family::new("bus/uncorrected", NVIDIA, 2, uncorrected),
];

#[derive(Clone, Copy, PartialEq)]
enum Sign {
    Xid,
    OneLine,
    Record,
    Lines,
    Driver,
    All,
}

fn fallen(world: &mut World<'_, '_>, sign: Sign) {
    world.run(60);
    let at = world.dice.below(2);
    let (name, pci) = (world.name(at), world.cards[at].pci.clone());
    let expected = world.expect("bus.fallen_off|device.gone", &name, 10);
    expected.severities = vec![Severity::Critical];
    expected.actions = vec![Action::RebootNode, Action::ContactVendor, Action::RepairLink];
    expected.resolve = Resolve::MustNot;
    let all = sign == Sign::All;
    if all || sign == Sign::Xid {
        let text = if world.dice.chance(0.3) {
            ""
        } else {
            "pid='<unknown>', name=<unknown>, GPU has fallen off the bus."
        };
        world.xid(at, 79, text);
    }
    if all || sign == Sign::OneLine {
        world.kernel(&format!("NVRM: GPU {pci}: GPU has fallen off the bus."));
    }
    let lines = [
        format!("NVRM: The NVIDIA GPU {pci}"),
        "NVRM: (PCI ID: 10de:2330) installed in this system has".to_owned(),
        "NVRM: fallen off the bus and is not responding to commands.".to_owned(),
    ];
    match sign {
        Sign::Record | Sign::All => world.kernel_as(3, &lines.join("\n")),
        Sign::Lines => lines.iter().for_each(|line| world.kernel_as(3, line)),
        _ => {}
    }
    if all {
        world.wait_ms(300);
        world.nvml_xid(at, 79);
        world.wait_ms(400);
        world.xid(at, 154, "pid='<unknown>', name=<unknown>, GPU recovery action changed from 0x0 (None) to 0x2 (Node Reboot Required)");
    }
    if all || sign == Sign::Driver || world.dice.chance(0.5) {
        world.wait_ms(500);
        world.state(at, DeviceState::Gone, "");
    }
    world.cards[at].state = DeviceState::Gone;
    world.run(180);
}

fn lanes_lost(world: &mut World<'_, '_>) {
    world.run(60);
    let at = world.dice.below(4);
    let name = world.name(at);
    world.cards[at].lanes = world.dice.pick(&[1, 2, 4, 8]);
    let expected = world.expect("bus.link_degraded", &name, 180);
    expected.actions = vec![Action::RepairLink, Action::Investigate, Action::RebootNode];
    expected.severities = vec![Severity::Warning, Severity::Error];
    world.run(400);
}

fn idle_rest(world: &mut World<'_, '_>) {
    world.run(60);
    for card in &mut world.cards {
        card.load = 0.0;
    }
    world.never(Severity::Warning);
    world.run(600);
    for card in &mut world.cards {
        card.load = 0.7;
    }
    world.run(120);
}

fn corrected_lines(world: &mut World<'_, '_>, at: usize) {
    let pci = world.cards[at].pci.clone();
    let port = "0000:00:03.1";
    match world.dice.below(3) {
        0 => {
            world.kernel(&format!("pcieport {port}: AER: Multiple Corrected error received: {pci}"))
        }
        1 => {
            let text = format!(
                "nvidia {pci}: PCIe Bus Error: severity=Correctable, type=Data Link Layer, (Transmitter ID)"
            );
            world.kernel(&text);
            world.kernel(&format!(
                "nvidia {pci}:   device [10de:2330] error status/mask=00001000/0000a000"
            ));
            world.kernel(&format!("nvidia {pci}:    [12] Timeout"));
        }
        _ => world.kernel(&format!("pcieport {port}: AER: Corrected error received: {pci}")),
    }
}

fn corrected_storm(world: &mut World<'_, '_>) {
    world.run(60);
    let at = world.dice.below(2);
    let name = world.name(at);
    let pci = world.cards[at].pci.clone();
    let subjects = format!("{name}|{pci}|0000:00:03.1");
    let expected = world.expect("bus.corrected_errors", &subjects, 180);
    expected.severities = vec![Severity::Info, Severity::Warning, Severity::Error];
    expected.actions = vec![Action::RepairLink, Action::Investigate];
    world.cards[at].replays_hour = 3000.0;
    let each_s = world.dice.pick(&[1, 5]);
    for _ in 0..400 / each_s {
        for _ in 0..1 + world.dice.below(6) {
            corrected_lines(world, at);
            world.wait_ms(20);
        }
        world.run(each_s);
    }
}

fn corrected_few(world: &mut World<'_, '_>) {
    world.may("*", Severity::Info);
    world.never(Severity::Warning);
    for _ in 0..2 {
        world.run(600);
        corrected_lines(world, 0);
    }
    world.run(600);
}

fn replays_grow(world: &mut World<'_, '_>) {
    world.run(120);
    let at = world.dice.below(2);
    let name = world.name(at);
    world.cards[at].replays_hour = world.dice.between(2000.0, 50_000.0);
    let expected = world.expect("bus.corrected_errors|bus.link_degraded", &name, 600);
    expected.actions = vec![Action::RepairLink, Action::Investigate];
    expected.severities = vec![Severity::Info, Severity::Warning, Severity::Error];
    world.run(900);
}

fn uncorrected(world: &mut World<'_, '_>) {
    world.run(60);
    let at = world.dice.below(2);
    let name = world.name(at);
    let pci = world.cards[at].pci.clone();
    let port = "0000:00:01.0";
    let expected = world.expect("bus.uncorrected_errors", &format!("{name}|{pci}|{port}"), 10);
    expected.severities = vec![Severity::Error, Severity::Critical];
    world.kernel_as(
        3,
        &format!("pcieport {port}: AER: Multiple Uncorrected (Fatal) error received: {pci}"),
    );
    world.wait_ms(1);
    world.kernel_as(3, &format!("nvidia {pci}: PCIe Bus Error: severity=Uncorrected (Fatal), type=Transaction Layer, (Receiver ID)"));
    world.wait_ms(1);
    world.kernel_as(3, &format!("nvidia {pci}: AER: can't recover (no error_detected callback)"));
    world.run(120);
}
