//! The node under the accelerators.

use eagle_eye::schema::{Action, EventKind, Severity};

use super::Family;
use crate::trace::Resolve;
use crate::world::models::NVIDIA;
use crate::world::{CONTAINER, Host, World};

const fn family(name: &'static str, play: fn(&mut World<'_, '_>)) -> Family {
    Family::new(name, NVIDIA, 1, play).host()
}

pub(super) const ALL: &[Family] = &[
    family("host/out_of_memory", out_of_memory),
    family("host/container_out_of_memory", container_out_of_memory),
    family("host/container_near_its_limit", container_limit),
    family("host/container_throttled", container_throttled),
    family("host/swaps", swaps).engine(),
    family("host/processors_starved", starved).engine(),
    family("host/neighbour", neighbour).engine(),
    family("host/busy_build_is_fine", busy_build),
    family("host/disk_dies", disk_dies),
    family("host/disk_resets_once", disk_once),
    family("host/file_system_read_only", read_only),
    family("host/task_hangs", hung),
    family("host/processor_locks_up", lockup),
    family("host/machine_check", machine_check),
    family("host/panic", panic),
    family("host/memory_corrected_burst", corrected_burst),
    family("host/memory_corrected_once_is_fine", corrected_once),
    family("host/memory_uncorrected", memory_uncorrected),
    family("host/descriptors_run_out", descriptors),
    family("host/interface_flaps", flaps),
    family("host/interface_damaged_frames", damaged),
    family("host/interface_saturated", saturated),
    family("host/interface_card", card),
    family("host/infiniband_down", infiniband),
    family("host/heat", heat),
    family("host/connections_full", connections),
    family("host/thread_crashes_in_library", crash),
];

fn host<'a>(world: &'a mut World<'_, '_>) -> &'a mut Host {
    world.host.as_mut().expect("built with one")
}

/// From now on a line of the log says so.
fn said(
    world: &mut World<'_, '_>,
    class: &str,
    subject: &str,
    severity: &[Severity],
    prio: u16,
    line: &str,
) {
    world.run(30);
    let expected = world.expect(class, subject, 10);
    expected.severities = severity.to_vec();
    world.kernel_as(prio, line);
    world.run(120);
}

const WARN: &[Severity] = &[Severity::Warning, Severity::Error];
const BAD: &[Severity] = &[Severity::Error, Severity::Critical];
const ANY: &[Severity] = &[Severity::Warning, Severity::Error, Severity::Critical];

fn out_of_memory(world: &mut World<'_, '_>) {
    world.run_with(60, |world, share| host(world).available = 0.3 - 0.29 * share);
    world.may("host.memory_low", Severity::Critical);
    world.may("host.swapping", Severity::Error);
    host(world).oom_kills += 1.0;
    let line = "Out of memory: Killed process 12345 (python3) total-vm:123456kB, anon-rss:7890kB, file-rss:0kB, shmem-rss:0kB, UID:0 pgtables:200kB oom_score_adj:0";
    said(world, "host.oom", "", ANY, 3, line);
}

fn container_out_of_memory(world: &mut World<'_, '_>) {
    world.run_with(60, |world, share| host(world).container_memory = 0.6 + 0.39 * share);
    world.may("host.container_limit", Severity::Error);
    world.may("host.oom", Severity::Critical);
    let line = "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/kubepods,task_memcg=/kubepods/pod1,task=python3,pid=12345,uid=1000";
    world.expect("host.container_oom|host.oom", "", 10).severities = ANY.to_vec();
    world.kernel_as(6, line);
    world.kernel_as(3, "Memory cgroup out of memory: Killed process 12345 (python3) total-vm:123456kB, anon-rss:7890kB, file-rss:0kB, shmem-rss:0kB, UID:0 pgtables:200kB oom_score_adj:984");
    world.event(
        EventKind::ContainerOomKill,
        CONTAINER,
        "the kernel killed a process for want of memory",
    );
    host(world).container_memory = 0.5;
    world.run(180);
}

fn container_limit(world: &mut World<'_, '_>) {
    world.run(60);
    host(world).container_memory = 0.985;
    host(world).container_pressure[1] = 0.3;
    let expected = world.expect("host.container_limit", CONTAINER, 300);
    expected.severities = WARN.to_vec();
    expected.actions = vec![Action::ChangeSetting, Action::Investigate, Action::RestartApplication];
    world.may("host.neighbour", Severity::Warning);
    world.run(600);
}

fn container_throttled(world: &mut World<'_, '_>) {
    world.run(60);
    host(world).container_throttled = world.dice.between(0.5, 0.9);
    let expected = world.expect("host.container_throttled|engine.slowed_by_host", "", 300);
    expected.severities = WARN.to_vec();
    expected.actions = vec![Action::ChangeSetting];
    host(world).container_pressure[0] = 0.6;
    world.may("host.neighbour", Severity::Warning);
    world.run(600);
}

fn swaps(world: &mut World<'_, '_>) {
    world.run(60);
    let rate = world.dice.between(50e6, 400e6);
    let host = host(world);
    (host.available, host.swap_rate) = (0.02, rate);
    (host.pressure[1], host.container_pressure[1]) = (0.5, 0.5);
    world.engine.as_mut().expect("built with one").host_speed = 0.4;
    world.may("host.memory_low", Severity::Error);
    world.may("engine.slowed_by_host", Severity::Error);
    world.may("host.neighbour", Severity::Warning);
    world.expect("host.swapping", "", 300).severities = WARN.to_vec();
    world.run_with(600, |world, share| {
        world.host.as_mut().expect("built with one").swap_free = 1.0 - 0.6 * share;
    });
}

fn starved(world: &mut World<'_, '_>) {
    world.run(60);
    let host = host(world);
    (host.cpu_busy, host.runnable) = (0.99, 400.0);
    host.pressure[0] = 0.85;
    host.container_pressure[0] = 0.8;
    host.neighbour_cores = 100.0;
    world.engine.as_mut().expect("built with one").host_speed = 0.35;
    let class = "host.cpu_starved|engine.slowed_by_host|host.neighbour";
    world.expect(class, "", 300).severities = WARN.to_vec();
    world.run(600);
}

fn neighbour(world: &mut World<'_, '_>) {
    world.run(60);
    let host = host(world);
    host.cpu_busy = 0.9;
    host.pressure[0] = 0.6;
    host.container_pressure[0] = 0.65;
    host.neighbour_cores = 90.0;
    world.engine.as_mut().expect("built with one").host_speed = 0.5;
    let class = "host.neighbour|host.cpu_starved|engine.slowed_by_host";
    world.expect(class, "", 300).severities = WARN.to_vec();
    world.run(600);
}

/// Someone compiles: processors are busy, nobody waits long.
fn busy_build(world: &mut World<'_, '_>) {
    world.run(60);
    let host = host(world);
    (host.cpu_busy, host.runnable, host.neighbour_cores) = (0.75, 60.0, 50.0);
    host.pressure[0] = 0.08;
    host.pressure[2] = 0.05;
    world.may("*", Severity::Info);
    world.never(Severity::Warning);
    world.run(900);
}

fn disk_dies(world: &mut World<'_, '_>) {
    world.run(30);
    world.expect("host.disk_fault", "", 10).severities = BAD.to_vec();
    world.kernel(
        "nvme nvme0: I/O tag 22 (2016) opcode 0x2 (Admin Cmd) QID 0 timeout, reset controller",
    );
    host(world).nvme_live = false;
    world.run(20);
    world.kernel_as(3, "nvme nvme0: Disabling device after reset failure: -19");
    world.kernel_as(
        3,
        "Buffer I/O error on dev nvme0n1p1, logical block 789012, lost sync page read",
    );
    world.may("host.filesystem", Severity::Critical);
    world.run(180);
}

fn disk_once(world: &mut World<'_, '_>) {
    let line =
        "nvme nvme0: I/O tag 22 (2016) opcode 0x2 (Admin Cmd) QID 0 timeout, reset controller";
    said(world, "host.disk_fault", "", ANY, 4, line);
}

fn read_only(world: &mut World<'_, '_>) {
    world.run(30);
    world.may("host.disk_fault", Severity::Critical);
    world.expect("host.filesystem", "", 10).severities = BAD.to_vec();
    world.kernel_as(2, "EXT4-fs error (device sda1): ext4_find_entry:1455: inode #2: comm kubelet: reading directory lblock 0");
    world.kernel_as(2, "EXT4-fs (sda1): Remounting filesystem read-only");
    world.run(120);
}

fn hung(world: &mut World<'_, '_>) {
    said(
        world,
        "host.hung_task",
        "",
        ANY,
        3,
        "INFO: task kworker/u256:3:136986 blocked for more than 120 seconds.",
    );
}

fn lockup(world: &mut World<'_, '_>) {
    let line = world.dice.pick(&[
        "watchdog: BUG: soft lockup - CPU#0 stuck for 27s! [cuda-EvtHandlr:2255424]",
        "NMI watchdog: Watchdog detected hard LOCKUP on cpu 34",
        "rcu: INFO: rcu_sched self-detected stall on CPU",
    ]);
    said(world, "host.lockup", "", ANY, 0, line);
}

fn machine_check(world: &mut World<'_, '_>) {
    let line = world.dice.pick(&[
        "mce: [Hardware Error]: CPU 12: Machine Check: 0 Bank 8: be00000000800400",
        "{1}[Hardware Error]: event severity: fatal",
    ]);
    said(world, "host.machine_check|memory.host_uncorrected", "", ANY, 0, line);
}

fn panic(world: &mut World<'_, '_>) {
    said(world, "host.panic", "", BAD, 0, "Kernel panic - not syncing: Fatal machine check");
    world.may("host.machine_check", Severity::Critical);
}

fn corrected_burst(world: &mut World<'_, '_>) {
    world.run(60);
    host(world).corrected_hour = 5000.0;
    world.expect("memory.host_corrected", "", 300).severities =
        vec![Severity::Info, Severity::Warning, Severity::Error];
    for _ in 0..60 {
        world.kernel("EDAC MC0: 4 CE memory read error on CPU_SrcID#0_Ha#0_Chan#1_DIMM#0 (channel:1 slot:0 page:0x1f3b9a offset:0x0 grain:32 syndrome:0x0 - area:DRAM err_code:0001:0091 socket:0 ha:0 channel_mask:2 rank:0)");
        world.run(5);
    }
}

fn corrected_once(world: &mut World<'_, '_>) {
    world.run(60);
    world.may("*", Severity::Info);
    world.never(Severity::Warning);
    world.kernel("mce: [Hardware Error]: Machine check events logged");
    world.kernel("EDAC MC0: 1 CE memory scrubbing error on CPU_SrcID#0_Ha#0_Chan#1_DIMM#0 (channel:1 slot:0 page:0x1f3b9a offset:0x0 grain:32 syndrome:0x0 - area:DRAM err_code:0008:00c2 socket:0 ha:0 channel_mask:2 rank:0)");
    world.run(600);
}

fn memory_uncorrected(world: &mut World<'_, '_>) {
    host(world).uncorrected = 1.0;
    let line = "EDAC MC1: 1 UE memory read error on CPU_SrcID#1_MC#0_Chan#0_DIMM#0 (channel:0 slot:0 page:0x0 offset:0x0 grain:32 - err_code:0x0008:0x00c0 SystemAddress:0x0 ProcessorSocketId:0x1)";
    host(world).uncorrected = 0.0;
    world.run(30);
    world.expect("memory.host_uncorrected", "", 30).severities = BAD.to_vec();
    world.kernel_as(0, line);
    host(world).uncorrected = 1.0;
    world.run(180);
}

fn descriptors(world: &mut World<'_, '_>) {
    world.run(60);
    world.run_with(300, |world, share| host(world).descriptors = 0.1 + 0.87 * share);
    let expected = world.expect("host.descriptors", "", 120);
    // From four fifths on it may be said.
    expected.at_ns -= 75_000_000_000;
    expected.within_ns += 75_000_000_000;
    expected.severities = ANY.to_vec();
    world.run(300);
}

fn flaps(world: &mut World<'_, '_>) {
    world.run(60);
    let expected = world.expect("link.interface_flaps|link.interface_down", "eth0", 300);
    expected.severities = ANY.to_vec();
    expected.actions = vec![Action::RepairLink, Action::Investigate];
    for _ in 0..8 {
        host(world).carrier = false;
        host(world).carrier_changes += 1.0;
        world.run(10);
        host(world).carrier = true;
        host(world).carrier_changes += 1.0;
        world.run(20);
    }
    world.may("link.interface_down", Severity::Critical);
    world.run(120);
}

fn damaged(world: &mut World<'_, '_>) {
    world.run(60);
    host(world).crc_rate = world.dice.between(2.0, 200.0);
    let expected = world.expect("link.interface_errors", "eth0", 300);
    expected.severities = WARN.to_vec();
    expected.actions = vec![Action::RepairLink, Action::Investigate];
    world.run(600);
}

fn saturated(world: &mut World<'_, '_>) {
    world.run(60);
    host(world).network = world.dice.between(0.96, 0.99);
    host(world).drops_rate = 100.0;
    world.expect("link.interface_saturated", "eth0", 300).severities =
        vec![Severity::Info, Severity::Warning, Severity::Error];
    world.run(600);
}

fn card(world: &mut World<'_, '_>) {
    let line = world.dice.pick(&[
        "mlx5_core 0000:5c:00.0: mlx5_pcie_event:299:(pid 123123): Detected insufficient power on the PCIe slot (27W).",
        "mlx5_core 0000:5c:00.0: Port module event[error]: module 0, Cable error, High Temperature",
        "mlx5_core 0000:d2:00.0: poll_health:825: device's health compromised - reached miss count.",
    ]);
    let classes = "link.interface_card|link.interface_down|link.infiniband|power.supply";
    said(world, classes, "", ANY, 4, line);
}

fn infiniband(world: &mut World<'_, '_>) {
    world.run(60);
    host(world).port_active = false;
    let expected = world.expect("link.infiniband|link.interface_down", "mlx5_0/1", 120);
    expected.severities = ANY.to_vec();
    world.run(200);
}

fn heat(world: &mut World<'_, '_>) {
    world.run(60);
    host(world).core_throttles_hour = 20_000.0;
    let expected = world.expect("thermal.host", "", 180);
    expected.severities = vec![Severity::Info, Severity::Warning, Severity::Error];
    expected.resolve = Resolve::May;
    for _ in 0..6 {
        world.kernel_as(
            2,
            "CPU2: Package temperature above threshold, cpu clock throttled (total events = 14)",
        );
        world.run(60);
    }
}

fn connections(world: &mut World<'_, '_>) {
    said(
        world,
        "host.connection_table",
        "",
        ANY,
        4,
        "nf_conntrack: nf_conntrack: table full, dropping packet",
    );
}

fn crash(world: &mut World<'_, '_>) {
    let line = "python[2254956]: segfault at 7f797fe00000 ip 00007f7c7ac69996 sp 00007f7c12fd7c30 error 4 in libnccl.so.2[7f7c7ac00000+1000000]";
    said(world, "host.process_crash|application.fault", "", WARN, 6, line);
}
