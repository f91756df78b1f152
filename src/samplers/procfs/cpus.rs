//! Shares of time by CPU, blocked tasks and context switches, from `/proc/stat`.

use std::path::Path;

use crate::schema::MetricId;

use super::file::{KeptFile, Shape};
use super::report::Absence;
use super::stat::{self, Between, Cpu, CpuShares, CpuTimes};
use super::window::Window;

/// A core of this number or above is refused as [`Absence::DeviceRefused`].
pub const CORES_MAX: usize = 1024;

/// Follows `/proc/stat`.
#[derive(Debug)]
pub(crate) struct Cpus {
    file: KeptFile,
    rows: Rows,
}

/// The rows of the file, each beside its last times.
#[derive(Debug, Default)]
struct Rows {
    all: Option<Row>,
    cores: Vec<Option<Row>>,
    round: u64,
}

#[derive(Debug)]
struct Row {
    device: u32,
    before: CpuTimes,
    round: u64,
}

impl Cpus {
    /// The CPUs in the folder `proc`.
    pub(crate) fn new(proc: &Path) -> Self {
        Self { file: KeptFile::new(&proc.join("stat"), Shape::Whole), rows: Rows::default() }
    }

    /// Whether the file opens before the first tick.
    pub(crate) fn is_here(&mut self) -> bool {
        self.file.descriptor(0).is_ok()
    }

    /// Reads the file once.
    pub(crate) fn tick(
        &mut self,
        tick: u64,
        node: u32,
        buffer: &mut Vec<u8>,
        window: &mut Window<'_>,
    ) {
        let Some(text) = window.text(self.file.read(tick, buffer)) else { return };
        self.rows.round += 1;
        let stat = stat::parse(text, |cpu, times| {
            if let Err(why) = self.rows.take(cpu, times, window) {
                window.absent(why);
            }
        });
        window.put_reported(node, MetricId::TasksBlocked, stat.tasks_blocked, 1.0);
        window.put_reported(node, MetricId::ContextSwitches, stat.context_switches, 1.0);
        window.rows_refused(stat.rows_refused);
        // A row that made no sense may be the one that seems to be missing.
        if stat.rows_refused == 0 {
            self.rows.forget_missing(window);
        }
    }
}

impl Rows {
    fn take(&mut self, cpu: Cpu, times: CpuTimes, window: &mut Window<'_>) -> Result<(), Absence> {
        let round = self.round;
        let place = self.place(cpu)?;
        let Some(row) = place else {
            let device = match cpu {
                Cpu::All => window.device("cpu", "cpu")?,
                Cpu::Core(number) => window.device("cpu", &format!("cpu{number}"))?,
            };
            *place = Some(Row { device, before: times, round });
            return Ok(());
        };
        if row.round == round {
            return Err(Absence::DeviceRefused);
        }
        row.round = round;
        match times.since(&row.before) {
            Between::Shares(shares) => put(row.device, &shares, window),
            Between::Nothing => return Ok(()),
            Between::WentBack => window.absent(Absence::WentBack),
        }
        row.before = times;
        Ok(())
    }

    fn place(&mut self, cpu: Cpu) -> Result<&mut Option<Row>, Absence> {
        let number = match cpu {
            Cpu::All => return Ok(&mut self.all),
            Cpu::Core(number) => number as usize,
        };
        if number >= CORES_MAX {
            return Err(Absence::DeviceRefused);
        }
        if number >= self.cores.len() {
            self.cores.resize_with(number + 1, || None);
        }
        Ok(&mut self.cores[number])
    }

    fn forget_missing(&mut self, window: &mut Window<'_>) {
        let round = self.round;
        for place in self.cores.iter_mut().chain([&mut self.all]) {
            if let Some(row) = place.take_if(|row| row.round != round) {
                window.gone(row.device);
            }
        }
    }
}

fn put(device: u32, shares: &CpuShares, window: &mut Window<'_>) {
    window.put(device, MetricId::CpuBusy, shares.busy);
    window.put(device, MetricId::CpuUser, shares.user);
    window.put(device, MetricId::CpuSystem, shares.system);
    window.put(device, MetricId::CpuIoWait, shares.iowait);
    window.put(device, MetricId::CpuSteal, shares.steal);
}
