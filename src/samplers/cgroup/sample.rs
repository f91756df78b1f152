//! What one look at a container came to, from file texts to readings.

use crate::samplers::procfs::pressure;
use crate::schema::MetricId;

use super::layout::FileKind;
use super::text::{self, Limit};

/// Values of one container at one tick; what was not read or not said is
/// absent.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sample {
    usage_s: Option<f64>,
    user_s: Option<f64>,
    system_s: Option<f64>,
    periods: Option<u64>,
    throttled_periods: Option<u64>,
    throttled_s: Option<f64>,
    quota: Limit,
    period_us: Option<u64>,
    memory: Option<u64>,
    inactive_file: Option<u64>,
    memory_limit: Limit,
    swap: Option<u64>,
    swap_limit: Limit,
    pub(super) oom_kills: Option<u64>,
    /// Some and full, of CPU, memory, input and output; µs.
    pressure_us: [Option<u64>; 6],
    tasks: Option<u64>,
    tasks_limit: Limit,
    io_bytes: [Option<u64>; 2],
    populated: Option<bool>,
    frozen: Option<bool>,
}

/// A value, or its absence, of a metric.
pub(super) type Value = (MetricId, Option<f64>);

/// Metrics that are put at every tick.
pub(super) const FAST: usize = 22;
/// Metrics that are put when limits are read.
pub(super) const SLOW: usize = 4;

impl Sample {
    /// Takes what a file says. Returns how many of its values were absent.
    pub(super) fn take(&mut self, kind: FileKind, text: &[u8]) -> u32 {
        match kind {
            FileKind::CpuStat => return self.take_cpu_stat(&text::cpu_stat(text)),
            FileKind::Throttling => return self.take_throttling(&text::cpu_stat(text)),
            FileKind::CpuacctStat => {
                let second = 1.0 / rustix::param::clock_ticks_per_second() as f64;
                let [user, system] =
                    text::cpuacct_stat(text).map(|ticks| ticks.map(|t| t as f64 * second));
                (self.user_s, self.system_s) = (user, system);
                return absent([user.is_some(), system.is_some()]);
            }
            FileKind::CpuacctUsage => self.usage_s = text::one(text).map(|ns| ns as f64 * 1e-9),
            FileKind::CpuMax => {
                let (quota, period) = text::cpu_max(text).unzip();
                (self.quota, self.period_us) = (quota, period);
            }
            FileKind::CfsQuota => self.quota = text::limit(text),
            FileKind::CfsPeriod => self.period_us = text::one(text).filter(|&us| us > 0),
            FileKind::Memory => self.memory = text::one(text),
            FileKind::MemoryStat => {
                let stat = text::memory_stat(text);
                self.inactive_file = stat.inactive_file;
                self.swap = self.swap.or(stat.swap);
            }
            FileKind::MemoryLimit => self.memory_limit = text::limit(text),
            FileKind::Swap => self.swap = text::one(text),
            FileKind::SwapLimit => self.swap_limit = text::limit(text),
            FileKind::OomKills => self.oom_kills = text::oom_kills(text),
            FileKind::Tasks => self.tasks = text::one(text),
            FileKind::TasksLimit => self.tasks_limit = text::limit(text),
            FileKind::IoStat => self.io_bytes = text::io_stat(text),
            FileKind::Blkio => self.io_bytes = text::blkio(text),
            FileKind::Pressure(at) => {
                let pressure = pressure::parse(text);
                let at = 2 * usize::from(at);
                self.pressure_us[at] = pressure.some_us;
                self.pressure_us[at + 1] = pressure.full_us;
            }
            FileKind::Events => [self.populated, self.frozen] = text::events(text),
            FileKind::Freezer => {
                // In a hybrid tree either version may have frozen it.
                self.frozen = either(self.frozen, text::frozen(text));
            }
        }
        u32::from(!self.has(kind))
    }

    fn take_cpu_stat(&mut self, stat: &text::CpuStat) -> u32 {
        let seconds = |us: Option<u64>| us.map(|us| us as f64 * 1e-6);
        self.usage_s = seconds(stat.usage_us);
        self.user_s = seconds(stat.user_us);
        self.system_s = seconds(stat.system_us);
        let said = [stat.usage_us, stat.user_us, stat.system_us].map(|value| value.is_some());
        absent(said) + self.take_throttling(stat)
    }

    fn take_throttling(&mut self, stat: &text::CpuStat) -> u32 {
        self.periods = stat.periods;
        self.throttled_periods = stat.throttled_periods;
        self.throttled_s = stat.throttled_ns.map(|ns| ns as f64 * 1e-9);
        let said = [stat.periods, stat.throttled_periods, stat.throttled_ns];
        absent(said.map(|value| value.is_some()))
    }

    /// Whether a file of one value, or of values that come together, said it.
    fn has(&self, kind: FileKind) -> bool {
        match kind {
            FileKind::CpuStat | FileKind::Throttling | FileKind::CpuacctStat => true,
            FileKind::CpuacctUsage => self.usage_s.is_some(),
            FileKind::CpuMax => self.quota.is_some(),
            FileKind::CfsQuota => self.quota.is_some(),
            FileKind::CfsPeriod => self.period_us.is_some(),
            FileKind::Memory => self.memory.is_some(),
            FileKind::MemoryStat => self.inactive_file.is_some(),
            FileKind::MemoryLimit => self.memory_limit.is_some(),
            FileKind::Swap => self.swap.is_some(),
            FileKind::SwapLimit => self.swap_limit.is_some(),
            FileKind::OomKills => self.oom_kills.is_some(),
            FileKind::Tasks => self.tasks.is_some(),
            FileKind::TasksLimit => self.tasks_limit.is_some(),
            FileKind::IoStat | FileKind::Blkio => self.io_bytes.iter().all(Option::is_some),
            FileKind::Pressure(at) => self.pressure_us[2 * usize::from(at)].is_some(),
            FileKind::Events => self.populated.is_some(),
            FileKind::Freezer => self.frozen.is_some(),
        }
    }

    /// What is put at every tick.
    pub(super) fn fast(&self) -> [Value; FAST] {
        use MetricId as M;
        let [running, frozen, empty] = self.state().map(|is| is.map(f64::from));
        let [cpu_some, cpu_full, memory_some, memory_full, io_some, io_full] =
            self.pressure_us.map(|us| us.map(|us| us as f64 * 1e-6));
        let working_set = self
            .memory
            .zip(self.inactive_file)
            .map(|(all, inactive)| all.saturating_sub(inactive) as f64);
        [
            (M::ContainerCpu, self.usage_s),
            (M::ContainerCpuUser, self.user_s),
            (M::ContainerCpuSystem, self.system_s),
            (M::ContainerCpuPeriods, count(self.periods)),
            (M::ContainerThrottledPeriods, count(self.throttled_periods)),
            (M::ContainerThrottled, self.throttled_s),
            (M::ContainerMemory, count(self.memory)),
            (M::ContainerWorkingSet, working_set),
            (M::ContainerSwap, count(self.swap)),
            (M::ContainerOomKills, count(self.oom_kills)),
            (M::ContainerPressureCpuSome, cpu_some),
            (M::ContainerPressureCpuFull, cpu_full),
            (M::ContainerPressureMemorySome, memory_some),
            (M::ContainerPressureMemoryFull, memory_full),
            (M::ContainerPressureIoSome, io_some),
            (M::ContainerPressureIoFull, io_full),
            (M::ContainerTasks, count(self.tasks)),
            (M::ContainerRead, count(self.io_bytes[0])),
            (M::ContainerWritten, count(self.io_bytes[1])),
            (M::ContainerRunning, running),
            (M::ContainerFrozen, frozen),
            (M::ContainerEmpty, empty),
        ]
    }

    /// What is put when limits were read.
    pub(super) fn slow(&self) -> [Value; SLOW] {
        let quota = self.quota.flatten().zip(self.period_us);
        [
            (MetricId::ContainerCpuQuota, quota.map(|(us, period)| us as f64 / period as f64)),
            (MetricId::ContainerMemoryLimit, count(self.memory_limit.flatten())),
            (MetricId::ContainerSwapLimit, count(self.swap_limit.flatten())),
            (MetricId::ContainerTasksLimit, count(self.tasks_limit.flatten())),
        ]
    }

    /// Running, frozen, empty.
    ///
    /// In a hybrid tree a process may be in either version's cgroup only.
    fn state(&self) -> [Option<bool>; 3] {
        let Some(populated) = either(self.populated, self.tasks.map(|tasks| tasks > 0)) else {
            return [None; 3];
        };
        let is_frozen = self.frozen.unwrap_or(false);
        let frozen = self.frozen.map(|frozen| frozen && populated);
        [Some(populated && !is_frozen), frozen, Some(!populated)]
    }
}

fn either(one: Option<bool>, other: Option<bool>) -> Option<bool> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one || other),
        (one, other) => one.or(other),
    }
}

fn count(value: Option<u64>) -> Option<f64> {
    value.map(|value| value as f64)
}

fn absent<const N: usize>(said: [bool; N]) -> u32 {
    said.into_iter().map(|said| u32::from(!said)).sum()
}
