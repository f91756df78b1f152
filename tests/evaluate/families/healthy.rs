//! Nodes that are well. Nothing may be said of them.

use eagle_eye::schema::Severity;

use super::Family;
use crate::world::World;
use crate::world::models::ANY;

pub(super) const ALL: &[Family] = &[
    Family::new("healthy/hour", ANY, 8, hour).engine().host().period(2).weight(15),
    Family::new("healthy/busy_day", ANY, 4, busy_day).engine().host().period(20).weight(15),
    Family::new("healthy/noisy_day", ANY, 4, noisy_day).engine().host().period(20).weight(15),
];

fn hour(world: &mut World<'_, '_>) {
    world.never(Severity::Info);
    world.run(3600);
}

/// Work comes and goes with the hours, with minutes of full load.
fn day(world: &mut World<'_, '_>, quarter: impl Fn(&mut World<'_, '_>, u64)) {
    world.never(Severity::Info);
    let limit = world.engine.as_ref().map_or(0.0, |engine| engine.arrivals);
    for at in 0..96_u64 {
        // A day's curve without a library's sine.
        let noon = 1.0 - ((at as f64 - 56.0) / 48.0).powi(2);
        let load = (0.15 + 0.6 * noon.max(0.0) + 0.08 * world.dice.noise()).clamp(0.0, 1.0);
        let full = world.dice.chance(0.06);
        for card in &mut world.cards {
            card.load = if full { 1.0 } else { load };
            card.air_c = 24.0 + 3.0 * noon.max(0.0);
        }
        if let Some(engine) = &mut world.engine {
            engine.arrivals = limit * (0.2 + load);
        }
        quarter(world, at);
        world.run(900);
    }
}

fn busy_day(world: &mut World<'_, '_>) {
    day(world, |_, _| {});
}

/// The same with all the noise of a real machine: harmless lines, single
/// corrected errors, readings that fail.
fn noisy_day(world: &mut World<'_, '_>) {
    for card in &mut world.cards {
        card.dropout = 0.03;
        card.ecc_hour.0 = 0.05;
    }
    day(world, |world, at| {
        let lines = [
            "nvidia-nvlink: Nvlink Core is being initialized, major device number 234",
            "workqueue: drm_fb_helper_damage_work hogged CPU for >10000us 8 times, consider switching to WQ_UNBOUND",
            "perf: interrupt took too long (2503 > 2500), lowering kernel.perf_event_max_sample_rate to 79750",
            "TCP: request_sock_TCP: Possible SYN flooding on port 8000. Sending cookies.",
            "systemd[1]: Starting systemd-tmpfiles-clean.service - Cleanup of Temporary Directories...",
            "eth0: renamed from veth1a2b3c4",
            "cni0: port 7(veth5f6e) entered forwarding state",
            "EXT4-fs (nvme0n1p2): mounted filesystem fc7a1f9e-4967-4f41-a1f5-1b5927e6c5f9 r/w with ordered data mode. Quota mode: none.",
            "nvidia-uvm: Loaded the UVM driver, major device number 511.",
            "NVRM: GPU at PCI:0000:00:05: GPU-b850f46d-d5ea-c752-ddf3-c4453e44d3f7",
            "[ascend] [drv_pcie] [INFO] [devdrv_init_dev_num 2248] <systemd-udevd:4853:4853> Findout device. (index=7; device=d105; dev_num=0)",
        ];
        for _ in 0..world.dice.below(4) {
            let line = world.dice.pick(&lines);
            world.kernel_as(6, line);
        }
        if let Some(host) = &mut world.host {
            host.cpu_busy = 0.15 + 0.05 * (at % 9) as f64;
            host.pressure[2] = if at % 11 == 0 { 0.1 } else { 0.01 };
            host.available = 0.4 + 0.03 * (at % 10) as f64;
            host.network = 0.1 + 0.05 * (at % 7) as f64;
        }
    });
}
