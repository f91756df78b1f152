//! Ascend's own ways of saying that something is wrong.

use eagle_eye::schema::{Action, DeviceState, FaultPhase, Severity};

use super::Family;
use crate::trace::Resolve;
use crate::world::World;
use crate::world::models::ASCEND;

pub(super) const ALL: &[Family] = &[
    Family::new("ascend/fault_raised_and_cleared", ASCEND, 4, raised_cleared),
    Family::new("ascend/memory_lost_data", ASCEND, 4, memory),
    Family::new("ascend/heartbeat_lost_old_text", ASCEND, 4, |world| heartbeat(world, 0)),
    Family::new("ascend/heartbeat_lost_new_text", ASCEND, 4, |world| heartbeat(world, 1)),
    Family::new("ascend/heartbeat_lost_other_facility", ASCEND, 4, |world| heartbeat(world, 2)),
    Family::new("ascend/port_down", &[4], 4, port_down),
    Family::new("ascend/port_starts_is_fine", &[4], 4, port_starts),
    Family::new("ascend/port_unreachable", &[4], 4, port_unreachable),
    Family::new("ascend/code_of_no_table", ASCEND, 4, unknown_code),
    Family::new("ascend/not_to_be_handled", ASCEND, 4, not_handled),
    Family::new("ascend/profiler_is_fine", ASCEND, 2, profiler).engine(),
    Family::new("ascend/kernel_log_fault", ASCEND, 4, logged),
];

const NEW_CHIP: [Action; 5] = [
    Action::ResetDevice,
    Action::RebootNode,
    Action::ContactVendor,
    Action::ReplacePart,
    Action::Investigate,
];

fn raise(world: &mut World<'_, '_>, at: usize, code: u64) {
    world.cards[at].open_codes += 1;
    world.cards[at].health_level = 2;
    world.fault(at, FaultPhase::Raised, code);
}

/// Codes whose handling is to reset the chip.
const RESET_CODES: [u64; 5] = [0x80E2_1008, 0x80F7_8C04, 0x80FB_8005, 0x8147_8008, 0x813B_8002];

fn raised_cleared(world: &mut World<'_, '_>) {
    world.run(60);
    let at = world.dice.below(4);
    let name = world.name(at);
    let code = world.dice.pick(&RESET_CODES);
    let expected = world.expect("device.fault|power.supply|memory.uncorrected", &name, 10);
    expected.severities = vec![Severity::Error, Severity::Critical];
    expected.actions = NEW_CHIP.to_vec();
    expected.resolve = Resolve::Must;
    raise(world, at, code);
    world.run(120 + world.dice.clone().below(200) as u64);
    world.cards[at].open_codes = 0;
    world.cards[at].health_level = 0;
    world.fault(at, FaultPhase::Cleared, code);
    world.run(900);
}

fn memory(world: &mut World<'_, '_>) {
    world.run(60);
    let at = world.dice.below(4);
    let name = world.name(at);
    let expected = world.expect("memory.uncorrected|device.fault", &name, 10);
    expected.severities = vec![Severity::Warning, Severity::Error, Severity::Critical];
    expected.actions = NEW_CHIP.to_vec();
    expected.actions.push(Action::RestartApplication);
    raise(world, at, 0x80E0_1801);
    world.cards[at].ecc.1 += 1;
    world.run(240);
}

/// The chip dropped off: the host lost its heartbeat.
fn heartbeat(world: &mut World<'_, '_>, text: u32) {
    world.run(60);
    let at = world.dice.below(4);
    let name = world.name(at);
    let expected = world.expect("bus.fallen_off|device.gone|device.fault", &name, 10);
    expected.severities = vec![Severity::Error, Severity::Critical];
    expected.actions = NEW_CHIP.to_vec();
    expected.resolve = Resolve::MustNot;
    let (prio, line) = match text {
        0 => (
            5,
            format!(
                "[ascend] [ERROR] [drv_soft_fault] [heart_beat_judge 318] <kworker/5:1H:39365> Heartbeat lost! (device={at}; old_count=1104; new_count=1104; lost_count=4; total_lost_count=4)"
            ),
        ),
        1 => (
            5,
            format!(
                "[ascend] [ERROR] [drv_soft_fault] [hb_read_item_work 205] <kworker/5:1H:39365> Heartbeat lost! (device_id={at}; old_count=1104; current_count=1104; lost_count=4; total_lost_count=4; miss_read_count=0; hb_read_fail_count=0)."
            ),
        ),
        _ => (
            691,
            format!(
                "[ascend] [drv_soft_fault] [heart_beat_judge 318] <kworker/5:1H:39365> Heartbeat lost! (device_id={at}; old_count=1104; current_count=1104; lost_count=4; total_lost_count=4; miss_read_count=0; hb_read_fail_count=0)."
            ),
        ),
    };
    world.kernel_as(prio, &line);
    if world.dice.chance(0.5) {
        world.wait_ms(800);
        world.state(at, DeviceState::Gone, "");
    }
    world.cards[at].state = DeviceState::Gone;
    world.run(180);
}

fn port_down(world: &mut World<'_, '_>) {
    world.run(60);
    let at = world.dice.below(4);
    let name = world.name(at);
    let expected = world.expect("link.npu_network", &name, 120);
    expected.severities = vec![Severity::Warning, Severity::Error, Severity::Critical];
    raise(world, at, 0x8107_8603);
    world.cards[at].network_health = 5;
    world.run(300);
}

fn port_starts(world: &mut World<'_, '_>) {
    world.run(60);
    world.may("*", Severity::Info);
    world.never(Severity::Warning);
    world.cards[0].network_health = world.dice.pick(&[6, 8]);
    world.run(40);
    world.cards[0].network_health = 0;
    world.run(200);
}

fn port_unreachable(world: &mut World<'_, '_>) {
    world.run(60);
    let at = world.dice.below(4);
    let name = world.name(at);
    world.cards[at].network_health = world.dice.pick(&[2, 3, 5]);
    world.expect("link.npu_network", &name, 120);
    world.run(300);
}

/// Its bits say what it is, whatever the tables know.
fn unknown_code(world: &mut World<'_, '_>) {
    world.run(60);
    let at = world.dice.below(4);
    let name = world.name(at);
    // Heartbeat of a node that no table lists.
    let code = 0x8000_0000 | (0x633 << 17) | (0x27 << 9);
    let expected = world.expect("device.fault|device.sub_health|observation.note", &name, 10);
    expected.severities = vec![Severity::Info, Severity::Warning, Severity::Error];
    raise(world, at, code);
    world.run(180);
}

fn not_handled(world: &mut World<'_, '_>) {
    world.run(60);
    world.may("*", Severity::Warning);
    world.never(Severity::Error);
    let at = world.dice.below(4);
    let code = world.dice.pick(&[0x80F7_8006, 0x8133_8006, 0x8193_8006, 0x815F_8004]);
    world.fault(at, FaultPhase::Occurred, code);
    world.run(180);
}

fn profiler(world: &mut World<'_, '_>) {
    world.run(120);
    for card in &mut world.cards {
        card.profiled = true;
    }
    world.may("*", Severity::Info);
    world.never(Severity::Warning);
    world.run(240);
    for card in &mut world.cards {
        card.profiled = false;
    }
    world.run(120);
}

/// Nothing but the kernel's log tells of it.
fn logged(world: &mut World<'_, '_>) {
    world.run(60);
    let at = world.dice.below(4);
    let name = world.name(at);
    let expected = world.expect("memory.uncorrected|device.fault", &name, 10);
    expected.severities = vec![Severity::Warning, Severity::Error, Severity::Critical];
    expected.resolve = Resolve::Must;
    let line = |assertion: &str, serial: u32| {
        format!(
            "[ascend] [ERROR] [fault_manager] [dms_fault_event_print 1411] event_id=0x80e01801; device_id={at}; node_type=0x70[HBM]; node_id=0; sub_node_id=0; event_type=0xc[Memory]; severity=3[Critical]; assertion={assertion}; description=[Uncorrectable ECC]; os_id=0; event_serial_num=12; notify_serial_num={serial}; event_raised_time=1752000000123 ms."
        )
    };
    let prio = world.dice.pick(&[5, 693]);
    world.kernel_as(prio, &line("1[Event occur]", 15));
    world.run(120);
    world.kernel_as(prio, &line("0[Event recover]", 16));
    world.run(900);
}
