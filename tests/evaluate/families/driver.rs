//! Drivers, firmware and devices that do not answer.

use eagle_eye::schema::{Action, DeviceState, EventKind, Severity};

use super::Family;
use crate::trace::Resolve;
use crate::world::World;
use crate::world::models::{ANY, NVIDIA, NVLINKED};

pub(super) const ALL: &[Family] = &[
    Family::new("driver/hangs", ANY, 4, hangs),
    Family::new("driver/hangs_and_answers", ANY, 4, answers),
    Family::new("driver/firmware_timeout", NVIDIA, 2, firmware),
    Family::new("driver/hardware_xids", NVIDIA, 2, hardware),
    Family::new("driver/asks_for_reboot", NVIDIA, 2, reboot),
    Family::new("driver/reset_is_fine", ANY, 4, reset),
    Family::new("driver/mismatch", NVLINKED, 4, mismatch),
    Family::new("driver/one_hotter_than_its_sisters", NVLINKED, 4, odd_one),
];

fn hangs(world: &mut World<'_, '_>) {
    world.run(60);
    let at = world.dice.below(4);
    let name = world.name(at);
    let expected = world.expect("driver.hangs", &name, 10);
    expected.severities = vec![Severity::Error, Severity::Critical];
    expected.actions = vec![Action::RebootNode, Action::ResetDevice, Action::Investigate];
    let call = if world.cards[at].model.kind == "gpu" {
        "nvmlDeviceGetFieldValues"
    } else {
        "dcmi_get_device_health"
    };
    world.state(at, DeviceState::Silent, call);
    world.run(180);
    if world.dice.chance(0.5) {
        world.kernel("INFO: task nvidia-smi:12345 blocked for more than 120 seconds.");
    }
    world.may("host.hung_task", Severity::Error);
    world.run(120);
}

fn answers(world: &mut World<'_, '_>) {
    hangs(world);
    let at = world.cards.iter().position(|card| !card.answers()).expect("one hangs");
    world.truth.expected[0].resolve = Resolve::Must;
    world.state(at, DeviceState::Present, "");
    world.run(1200);
}

fn firmware(world: &mut World<'_, '_>) {
    world.run(60);
    let at = world.dice.below(2);
    let name = world.name(at);
    let expected = world.expect("device.firmware", &name, 10);
    expected.severities = vec![Severity::Error, Severity::Critical];
    expected.actions = vec![Action::ResetDevice, Action::RebootNode, Action::UpgradeDriver];
    for program in ["nvidia-smi", "VLLM::EngineCore", "cache_mgr_main"] {
        world.xid(at, 119, &format!("pid=4321, name={program}, Timeout after 6s of waiting for RPC response from GPU{at} GSP! Expected function 76 (GSP_RM_CONTROL) (0x20802a02 0x8)."));
        world.run(15);
    }
    if world.dice.chance(0.4) {
        world.xid(at, 120, "pid=4321, name=nvidia-smi, GSP task exception: instruction access fault (cause:0x1) @ pc:0x0, partition:4#0, task:4");
    }
    world.run(120);
}

fn hardware(world: &mut World<'_, '_>) {
    world.run(60);
    let at = world.dice.below(2);
    let name = world.name(at);
    let (code, text) = world.dice.pick(&[
        (62, "pid='<unknown>', name=<unknown>, 2023b230 20238a3a 2023e8b6 2023eac4 00000000 00000000"),
        (109, "pid=3131, name=python, Ch 00000008, errorString CTX SWITCH TIMEOUT, Info 0x58005"),
        (46, "pid=3131, name=python, GPU stopped processing"),
        (110, "pid='<unknown>', name=<unknown>, Security fault"),
        (158, "pid='<unknown>', name=<unknown>, GPU fatal timeout"),
        (143, "pid='<unknown>', name=<unknown>, GPU initialization error"),
    ]);
    let expected = world.expect("device.fault|device.firmware|device.needs_reset", &name, 10);
    expected.severities = vec![Severity::Error, Severity::Critical];
    expected.actions = vec![Action::ResetDevice, Action::RebootNode, Action::ContactVendor];
    world.xid(at, code, text);
    for channel in 0..world.dice.below(12) {
        world.wait_ms(2);
        world.xid(at, 45, &format!("pid='<unknown>', name=<unknown>, Ch {channel:08x}"));
    }
    world.run(120);
}

fn reboot(world: &mut World<'_, '_>) {
    world.run(60);
    let at = world.dice.below(2);
    let name = world.name(at);
    let (action, text, number, right) = world.dice.pick(&[
        ("0x2", "Node Reboot Required", 2, Action::RebootNode),
        ("0x1", "GPU Reset Required", 1, Action::ResetDevice),
        ("0x4", "Drain and Reset", 4, Action::ResetDevice),
    ]);
    let expected = world.expect("device.needs_reset", &name, 10);
    expected.severities = vec![Severity::Error, Severity::Critical];
    expected.actions = vec![right];
    let text = format!(
        "pid='<unknown>', name=<unknown>, GPU recovery action changed from 0x0 (None) to {action} ({text})"
    );
    world.xid(at, 154, &text);
    world.cards[at].recovery_action = number;
    world.run(180);
}

/// An operator resets or upgrades: silence is right, readings fail meanwhile.
fn reset(world: &mut World<'_, '_>) {
    world.run(60);
    world.may("*", Severity::Info);
    world.never(Severity::Warning);
    let at = world.dice.below(4);
    let state = world.dice.pick(&[DeviceState::Resetting, DeviceState::Upgrading]);
    world.state(at, state, "");
    world.run(60);
    world.cards[at].ecc = (0, 0);
    world.cards[at].link_errors = 0;
    world.cards[at].replays = 0;
    world.state(at, DeviceState::Present, "");
    world.run(300);
}

fn mismatch(world: &mut World<'_, '_>) {
    world.run(60);
    let at = world.dice.below(4);
    let name = world.name(at);
    world.cards[at].firmware = "90.00.00.00.01".into();
    world.declare_card(at);
    world.event(EventKind::DeviceChanged, &name, "firmware is another");
    let expected = world.expect("driver.mismatch", "", 120);
    expected.severities = vec![Severity::Info, Severity::Warning];
    expected.actions = vec![Action::UpgradeDriver, Action::Investigate];
    world.run(300);
}

/// The same work, far hotter, and still below its limit.
fn odd_one(world: &mut World<'_, '_>) {
    for card in &mut world.cards {
        card.load = 0.7;
    }
    world.run(300);
    let at = world.dice.below(4);
    let name = world.name(at);
    let hot = world.dice.between(1.32, 1.4);
    world.cards[at].heat = hot;
    let expected = world.expect("device.odd_one_out|thermal.hot_device", &name, 1200);
    expected.severities = vec![Severity::Info, Severity::Warning];
    world.run(1800);
}
