//! Programs that do something wrong, and what follows them.

use eagle_eye::schema::{Action, Severity};

use super::Family;
use crate::trace::Expected;
use crate::world::World;
use crate::world::models::NVIDIA;

pub(super) const ALL: &[Family] = &[
    Family::new("application/page_fault", NVIDIA, 4, page_fault),
    Family::new("application/exception", NVIDIA, 4, exception),
    Family::new("application/same_fault_on_every_card", NVIDIA, 4, everywhere),
    Family::new("application/killed_is_fine", NVIDIA, 4, killed),
    Family::new("application/by_products_are_fine", NVIDIA, 4, by_products),
    Family::new("application/same_unit_under_three_programs", NVIDIA, 2, same_unit),
    Family::new("application/injected_lines_are_fine", NVIDIA, 2, injected),
    Family::new("application/quoted_lines_are_fine", NVIDIA, 2, quoted),
];

fn only_the_program(expected: &mut Expected) {
    expected.severities = vec![Severity::Info, Severity::Warning];
    expected.actions = vec![Action::RestartApplication, Action::None, Action::Investigate];
}

fn page_fault(world: &mut World<'_, '_>) {
    world.run(60);
    let at = world.dice.below(4);
    let name = world.name(at);
    only_the_program(world.expect("application.fault", &name, 10));
    world.never(Severity::Error);
    let access = world.dice.pick(&["READ", "WRITE"]);
    let client = world.dice.below(14);
    world.xid(at, 31, &format!("pid=4000, name=python3, Ch 00000008, intr 00000000. MMU Fault: ENGINE GRAPHICS GPCCLIENT_T1_{client} faulted @ 0x73ac_1c000000. Fault is of type FAULT_PDE ACCESS_TYPE_VIRT_{access}"));
    world.wait_ms(2);
    world.xid(at, 43, "pid=4000, name=python3, Ch 00000008");
    for channel in 9..9 + world.dice.below(8) {
        world.wait_ms(1);
        world.xid(at, 45, &format!("pid=4000, name=python3, Ch {channel:08x}"));
    }
    world.run(180);
}

fn exception(world: &mut World<'_, '_>) {
    world.run(60);
    let at = world.dice.below(4);
    let name = world.name(at);
    only_the_program(world.expect("application.fault", &name, 10));
    world.never(Severity::Error);
    for _ in 0..1 + world.dice.below(6) {
        let (gpc, tpc, sm) = (world.dice.below(8), world.dice.below(9), world.dice.below(2));
        world.xid(at, 13, &format!("pid='<unknown>', name=<unknown>, Graphics SM Warp Exception on (GPC {gpc}, TPC {tpc}, SM {sm}): Out Of Range Address"));
        world.xid(at, 13, "pid='<unknown>', name=<unknown>, Graphics Exception: ESR 0x50df30=0x107000e 0x50df34=0x20 0x50df28=0xf81eb60 0x50df2c=0x1174");
    }
    world.wait_ms(3);
    world.xid(at, 43, "pid=4000, name=python3, Ch 00000008");
    world.run(180);
}

/// One job on all cards: whatever they all say at once is the job's.
fn everywhere(world: &mut World<'_, '_>) {
    world.run(60);
    only_the_program(world.expect("application.fault", "", 30));
    world.may("application.fault", Severity::Warning);
    world.never(Severity::Error);
    for at in 0..4 {
        world.wait_ms(20);
        world.xid(at, 31, "pid=4000, name=VLLM::Worker_TP, Ch 00000008, intr 00000000. MMU Fault: ENGINE GRAPHICS GPCCLIENT_T1_8 faulted @ 0x73ac_1c000000. Fault is of type FAULT_PDE ACCESS_TYPE_VIRT_WRITE");
        world.xid(at, 45, "pid=4000, name=VLLM::Worker_TP, Ch 00000008 caused by previous Xid 31");
    }
    world.run(180);
}

fn killed(world: &mut World<'_, '_>) {
    world.run(60);
    world.may("*", Severity::Info);
    world.never(Severity::Warning);
    let at = world.dice.below(4);
    for channel in 0..20 + world.dice.below(700) {
        world.wait_ms(2);
        world.xid(at, 45, &format!("pid=4000, name=python3, Ch {channel:08x}"));
    }
    world.run(180);
}

fn by_products(world: &mut World<'_, '_>) {
    world.run(60);
    world.may("application.fault", Severity::Warning);
    world.may("*", Severity::Warning);
    world.never(Severity::Error);
    let at = world.dice.below(4);
    let script = [
        (43, "pid=4000, name=train, Ch 00000010"),
        (45, "pid=4000, name=train, Ch 00000010 caused by previous Xid 43"),
        (
            69,
            "pid=4000, name=train.3, Class Error: ChId 0008, Class 0000cbc0, Offset 00000184, Data ffffffff, ErrorCode 00000004",
        ),
        (121, "pid='<unknown>', name=<unknown>, C2C Link corrected error"),
        (141, "pid=4000, name=train, CUDA fast path error"),
        (174, "pid=4000, name=train, channel reset"),
    ];
    for (code, text) in script {
        if world.dice.chance(0.7) {
            world.xid(at, code, text);
            world.run(20);
        }
    }
    world.run(180);
}

/// The same unit of the chip under one program after another.
fn same_unit(world: &mut World<'_, '_>) {
    let at = world.dice.below(2);
    let name = world.name(at);
    world.may("application.fault", Severity::Warning);
    let text = "Graphics SM Warp Exception on (GPC 3, TPC 5, SM 1): Illegal Instruction Encoding";
    for (program, process) in
        [("train", 5100), ("python3", 6200), ("sglang", 7300), ("bench", 8400)]
    {
        world.run(400);
        if program == "python3" {
            world
                .expect("device.fault", &name, 1200)
                .severities
                .retain(|of| *of >= Severity::Warning);
        }
        world.xid(at, 13, &format!("pid={process}, name={program}, {text}"));
        world.wait_ms(2);
        world.xid(at, 43, &format!("pid={process}, name={program}, Ch 00000008"));
    }
    world.run(600);
}

/// Whoever may write to /dev/kmsg is not the kernel.
fn injected(world: &mut World<'_, '_>) {
    world.run(60);
    world.may("*", Severity::Info);
    world.never(Severity::Warning);
    let at = world.dice.below(2);
    let pci = world.cards[at].pci.trim_end_matches(".0").to_owned();
    let text = format!("NVRM: Xid (PCI:{pci}): 79, pid=1, name=x, GPU has fallen off the bus.");
    world.kernel_as(12, &text);
    world.run(120);
}

fn quoted(world: &mut World<'_, '_>) {
    world.run(60);
    world.never(Severity::Info);
    let pci = world.cards[0].pci.trim_end_matches(".0").to_owned();
    world.kernel(&format!("audit: type=1400 msg=\"user wrote NVRM: Xid (PCI:{pci}): 79\""));
    world.kernel("nvidia-nvlink: Nvlink Core is being initialized, major device number 234");
    world.kernel_as(
        6,
        "NVRM: loading NVIDIA UNIX Open Kernel Module for x86_64  570.133.20  Release Build",
    );
    world.kernel_as(6, "nvidia-nvswitch2: open (major=510)");
    world.run(120);
}
