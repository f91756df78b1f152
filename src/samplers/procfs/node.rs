//! What the node as a whole reports: memory, pressure, load, handles, paging.

use std::path::Path;

use crate::schema::MetricId;

use super::file::{KeptFile, Shape};
use super::report::Absence;
use super::window::Window;
use super::{file_nr, loadavg, meminfo, pressure, vmstat};

/// Follows the files that are about the node as a whole.
#[derive(Debug)]
pub(crate) struct Node {
    /// What stands for the node among the readings; zero until it is registered.
    pub(crate) device: u32,
    page_bytes: f64,
    meminfo: KeptFile,
    pressure_cpu: KeptFile,
    pressure_memory: KeptFile,
    pressure_io: KeptFile,
    loadavg: KeptFile,
    file_nr: KeptFile,
    vmstat: KeptFile,
}

impl Node {
    /// The node in the folder `proc`.
    pub(crate) fn new(proc: &Path) -> Self {
        let whole = |name: &str| KeptFile::new(&proc.join(name), Shape::Whole);
        Self {
            device: 0,
            page_bytes: rustix::param::page_size() as f64,
            meminfo: whole("meminfo"),
            pressure_cpu: whole("pressure/cpu"),
            pressure_memory: whole("pressure/memory"),
            pressure_io: whole("pressure/io"),
            loadavg: whole("loadavg"),
            file_nr: KeptFile::new(&proc.join("sys/fs/file-nr"), Shape::Line),
            vmstat: KeptFile::new(&proc.join("vmstat"), Shape::Paged),
        }
    }

    /// Whether any of the files opens before the first tick.
    pub(crate) fn is_here(&mut self) -> bool {
        [&mut self.meminfo, &mut self.loadavg, &mut self.file_nr, &mut self.vmstat]
            .into_iter()
            .any(|file| file.descriptor(0).is_ok())
    }

    /// Reads the cheap files once.
    pub(crate) fn tick(&mut self, tick: u64, buffer: &mut Vec<u8>, window: &mut Window<'_>) {
        if let Some(text) = window.text(self.meminfo.read(tick, buffer)) {
            put_memory(self.device, &meminfo::parse(text), window);
        }
        self.tick_pressure(tick, buffer, window);
        if let Some(text) = window.text(self.loadavg.read(tick, buffer)) {
            put_load(self.device, &loadavg::parse(text), window);
        }
        if let Some(text) = window.text(self.file_nr.read(tick, buffer)) {
            match file_nr::parse(text) {
                Some(handles) => {
                    window.put_count(self.device, MetricId::DescriptorsUsed, handles.used);
                    window.put_count(self.device, MetricId::DescriptorsLimit, handles.limit);
                }
                None => window.absent(Absence::Malformed),
            }
        }
    }

    fn tick_pressure(&mut self, tick: u64, buffer: &mut Vec<u8>, window: &mut Window<'_>) {
        use MetricId::{
            PressureCpuSome, PressureIoFull, PressureIoSome, PressureMemoryFull, PressureMemorySome,
        };
        // The system as a whole is never out of CPU, so that file's `full` means nothing.
        for (file, some, full) in [
            (&mut self.pressure_cpu, PressureCpuSome, None),
            (&mut self.pressure_memory, PressureMemorySome, Some(PressureMemoryFull)),
            (&mut self.pressure_io, PressureIoSome, Some(PressureIoFull)),
        ] {
            let Some(text) = window.text(file.read(tick, buffer)) else { continue };
            let pressure = pressure::parse(text);
            window.put_reported(self.device, some, pressure.some_us, 1e-6);
            if let Some(full) = full {
                window.put_reported(self.device, full, pressure.full_us, 1e-6);
            }
        }
    }

    /// Reads the file that is dear to make.
    pub(crate) fn tick_slow(&mut self, tick: u64, buffer: &mut Vec<u8>, window: &mut Window<'_>) {
        let Some(text) = window.text(self.vmstat.read(tick, buffer)) else { return };
        let counts = vmstat::parse(text);
        let device = self.device;
        let pages = self.page_bytes;
        window.put_reported(device, MetricId::SwapIn, counts.swapped_in_pages, pages);
        window.put_reported(device, MetricId::SwapOut, counts.swapped_out_pages, pages);
        window.put_reported(device, MetricId::MajorFaults, counts.major_faults, 1.0);
        window.put_reported(device, MetricId::OutOfMemoryKills, counts.oom_kills, 1.0);
    }
}

fn put_memory(device: u32, memory: &meminfo::Meminfo, window: &mut Window<'_>) {
    window.put_reported(device, MetricId::MemoryTotal, memory.total, 1.0);
    window.put_reported(device, MetricId::MemoryAvailable, memory.available, 1.0);
    window.put_reported(device, MetricId::MemoryCached, memory.cached, 1.0);
    window.put_reported(device, MetricId::MemoryDirty, memory.dirty, 1.0);
    window.put_reported(device, MetricId::SwapTotal, memory.swap_total, 1.0);
    window.put_reported(device, MetricId::SwapFree, memory.swap_free, 1.0);
}

fn put_load(device: u32, load: &loadavg::Loadavg, window: &mut Window<'_>) {
    for (metric, value) in [
        (MetricId::LoadOne, load.one),
        (MetricId::LoadFive, load.five),
        (MetricId::LoadFifteen, load.fifteen),
    ] {
        match value {
            Some(value) => window.put(device, metric, value),
            None => window.absent(Absence::Unreported),
        }
    }
    window.put_reported(device, MetricId::TasksRunnable, load.runnable, 1.0);
    window.put_reported(device, MetricId::Tasks, load.tasks, 1.0);
}
