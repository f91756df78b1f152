//! The node beside its accelerators: processors, memory, disks, network and
//! one container.

use eagle_eye::schema::{Device, MetricId as M, MetricId};

use crate::dice::Dice;

/// Name of the container that the engine runs in.
pub(crate) const CONTAINER: &str = "vllm-0";

/// Devices of a host, by the order of their index.
const DEVICES: [(&str, &str); 9] = [
    ("node", "node"),
    ("cpu", "cpu"),
    ("interface", "eth0"),
    ("disk", "nvme0n1"),
    ("nvme", "nvme0"),
    ("container", CONTAINER),
    ("container", "batch-7"),
    ("memory_controller", "mc0"),
    ("infiniband_port", "mlx5_0/1"),
];

/// What a host does now. Faults change the fields.
#[derive(Debug, Clone)]
pub(crate) struct Host {
    pub(crate) cpu_busy: f64,
    /// Bytes of memory in all, and the share that can be had.
    pub(crate) memory: f64,
    pub(crate) available: f64,
    /// Share of swap that is free, and bytes a second in and out.
    pub(crate) swap_free: f64,
    pub(crate) swap_rate: f64,
    /// Share of time in which some task waited: CPU, memory, disks.
    pub(crate) pressure: [f64; 3],
    pub(crate) runnable: f64,
    pub(crate) descriptors: f64,
    pub(crate) carrier: bool,
    pub(crate) carrier_changes: f64,
    /// Bytes a second, each way, of 25 GB/s.
    pub(crate) network: f64,
    pub(crate) network_speed: f64,
    /// Damaged frames a second.
    pub(crate) crc_rate: f64,
    pub(crate) drops_rate: f64,
    pub(crate) nvme_live: bool,
    /// Shares of the engine's container.
    pub(crate) container_memory: f64,
    pub(crate) container_throttled: f64,
    pub(crate) container_pressure: [f64; 3],
    pub(crate) container_tasks: f64,
    /// Cores that the neighbour uses.
    pub(crate) neighbour_cores: f64,
    pub(crate) corrected_hour: f64,
    pub(crate) uncorrected: f64,
    pub(crate) core_throttles_hour: f64,
    pub(crate) symbol_hour: f64,
    pub(crate) port_active: bool,
    pub(crate) oom_kills: f64,
    sums: Sums,
}

#[derive(Debug, Clone, Default)]
struct Sums {
    swap: f64,
    pressure: [f64; 3],
    received: f64,
    crc: f64,
    drops: f64,
    periods: f64,
    throttled: f64,
    container_cpu: f64,
    container_pressure: [f64; 3],
    neighbour: f64,
    corrected: f64,
    core_throttles: f64,
    symbols: f64,
    disk_busy: f64,
    faults: f64,
}

impl Host {
    pub(crate) fn new(dice: &mut Dice) -> Self {
        Self {
            cpu_busy: dice.between(0.1, 0.3),
            memory: 1024.0 * 1024.0 * 1024.0 * 1024.0,
            available: dice.between(0.5, 0.8),
            swap_free: 1.0,
            swap_rate: 0.0,
            pressure: [0.01, 0.0, 0.005],
            runnable: 12.0,
            descriptors: 0.01,
            carrier: true,
            carrier_changes: 2.0,
            network: 0.05,
            network_speed: 25e9,
            crc_rate: 0.0,
            drops_rate: 0.0,
            nvme_live: true,
            container_memory: 0.6,
            container_throttled: 0.0,
            container_pressure: [0.01, 0.0, 0.0],
            container_tasks: 0.1,
            neighbour_cores: 2.0,
            corrected_hour: 0.0,
            uncorrected: 0.0,
            core_throttles_hour: 0.0,
            symbol_hour: 0.0,
            port_active: true,
            oom_kills: 0.0,
            sums: Sums::default(),
        }
    }

    pub(crate) fn devices(&self) -> Vec<Device> {
        let device = |(index, (kind, name)): (usize, &(&str, &str))| Device {
            index: index as u32 + 1,
            name: (*name).into(),
            kind: (*kind).into(),
            container: if *kind == "container" { format!("{name}-full-id") } else { String::new() },
            ..Device::default()
        };
        DEVICES.iter().enumerate().map(device).collect()
    }

    pub(crate) fn pass(&mut self, seconds: f64, dice: &mut Dice) {
        let hours = seconds / 3600.0;
        let sums = &mut self.sums;
        sums.swap += self.swap_rate * seconds;
        for at in 0..3 {
            sums.pressure[at] += self.pressure[at] * seconds;
            sums.container_pressure[at] += self.container_pressure[at] * seconds;
        }
        sums.received += self.network * self.network_speed * seconds;
        sums.crc += dice.count(self.crc_rate * seconds) as f64;
        sums.drops += dice.count(self.drops_rate * seconds) as f64;
        sums.periods += 10.0 * seconds;
        sums.throttled += 10.0 * self.container_throttled * seconds;
        sums.container_cpu += 8.0 * seconds;
        sums.neighbour += self.neighbour_cores * seconds;
        sums.corrected += dice.count(self.corrected_hour * hours) as f64;
        sums.core_throttles += dice.count(self.core_throttles_hour * hours) as f64;
        sums.symbols += dice.count(self.symbol_hour * hours) as f64;
        sums.disk_busy += (0.05 + self.pressure[2] * 0.9).min(1.0) * seconds;
        sums.faults += if self.swap_rate > 0.0 { 200.0 * seconds } else { 0.1 * seconds };
    }

    /// Everything that is read, with the index of its device.
    pub(crate) fn readings(&self, dice: &mut Dice) -> Vec<(u32, MetricId, f64)> {
        let Sums { pressure, container_pressure, .. } = self.sums;
        let sums = &self.sums;
        let is = |on: bool| f64::from(u8::from(on));
        let busy = (self.cpu_busy + 0.01 * dice.noise()).clamp(0.0, 1.0);
        vec![
            (1, M::MemoryTotal, self.memory),
            (1, M::MemoryAvailable, (self.memory * self.available / 4096.0).round() * 4096.0),
            (1, M::SwapTotal, 64e9),
            (1, M::SwapFree, 64e9 * self.swap_free),
            (1, M::SwapIn, sums.swap.round()),
            (1, M::SwapOut, sums.swap.round()),
            (1, M::MajorFaults, sums.faults.round()),
            (1, M::OutOfMemoryKills, self.oom_kills),
            (1, M::PressureCpuSome, pressure[0]),
            (1, M::PressureMemorySome, pressure[1]),
            (1, M::PressureMemoryFull, pressure[1] * 0.7),
            (1, M::PressureIoSome, pressure[2]),
            (1, M::PressureIoFull, pressure[2] * 0.7),
            (1, M::LoadOne, self.runnable),
            (1, M::TasksRunnable, self.runnable.round()),
            (1, M::DescriptorsUsed, (self.descriptors * 1e6).round()),
            (1, M::DescriptorsLimit, 1e6),
            (1, M::CoreThrottles, sums.core_throttles),
            (1, M::PackageThrottles, (sums.core_throttles / 8.0).floor()),
            (2, M::CpuBusy, busy),
            (2, M::CpuSystem, busy * 0.2),
            (2, M::CpuIoWait, (self.pressure[2] * 0.5).min(0.9)),
            (2, M::CpuSteal, 0.0),
            (3, M::InterfaceReceived, sums.received.round()),
            (3, M::InterfaceSent, sums.received.round()),
            (3, M::InterfaceReceiveErrors, sums.crc),
            (3, M::InterfaceReceiveCrcErrors, sums.crc),
            (3, M::InterfaceReceiveDrops, sums.drops),
            (3, M::InterfaceUp, is(self.carrier)),
            (3, M::InterfaceCarrier, is(self.carrier)),
            (3, M::InterfaceCarrierChanges, self.carrier_changes),
            (3, M::InterfaceSpeed, self.network_speed),
            (4, M::DiskBusy, sums.disk_busy),
            (5, M::NvmeLive, is(self.nvme_live)),
            (6, M::ContainerCpu, sums.container_cpu),
            (6, M::ContainerCpuPeriods, sums.periods.round()),
            (6, M::ContainerThrottledPeriods, sums.throttled.round()),
            (6, M::ContainerThrottled, sums.throttled * 0.05),
            (6, M::ContainerMemory, (self.container_memory * 256e9).round()),
            (6, M::ContainerWorkingSet, (self.container_memory * 250e9).round()),
            (6, M::ContainerMemoryLimit, 256e9),
            (6, M::ContainerPressureCpuSome, container_pressure[0]),
            (6, M::ContainerPressureMemorySome, container_pressure[1]),
            (6, M::ContainerPressureIoSome, container_pressure[2]),
            (6, M::ContainerTasks, (self.container_tasks * 4096.0).round()),
            (6, M::ContainerTasksLimit, 4096.0),
            (6, M::ContainerRunning, 1.0),
            (7, M::ContainerCpu, sums.neighbour),
            (7, M::ContainerRunning, 1.0),
            (8, M::MemoryErrorsCorrected, sums.corrected),
            (8, M::MemoryErrorsUncorrected, self.uncorrected),
            (9, M::InfinibandPortActive, is(self.port_active)),
            (9, M::InfinibandLinkUp, is(self.port_active)),
            (9, M::InfinibandSymbolErrors, sums.symbols),
        ]
    }
}
