//! The node's load, from `/proc`.
//!
//! Every file stays open and is read with one positioned read into a buffer
//! that all share; nothing is allocated once each device has been seen. What
//! cannot be read is absent, with its reason counted, and never zero. This
//! sampler says what the kernel says; it smooths and judges nothing.

use std::num::NonZeroU64;
use std::path::{Path, PathBuf};

use crate::samplers::Opening;
use crate::samplers::{Context, Entry, Need, Opened, Outlet, Readings, Sampler, Setting, Settings};
use crate::schema::MetricId;

mod bytes;
mod cpus;
mod devices;
mod disks;
mod file;
mod interfaces;
mod node;
mod report;
mod window;

pub mod diskstats;
pub mod file_nr;
pub mod loadavg;
pub mod meminfo;
pub mod netdev;
pub mod pressure;
pub mod stat;
pub mod vmstat;

use cpus::Cpus;
use disks::Disks;
use interfaces::Interfaces;
use node::Node;

pub use cpus::CORES_MAX;
pub use devices::{DEVICE_NAME_BYTES_MAX, NAMES_MAX};
pub use file::{FILE_BYTES_MAX, RETRY_TICKS};
pub use report::{Absence, TickReport};

pub(crate) use bytes::{fields, lines, number};
pub(crate) use file::{BUFFER_BYTES, KeptFile, Shape};
pub(crate) use window::Window;

/// Devices of all kinds that are followed at once; a further one is refused as
/// [`Absence::DeviceRefused`].
pub const DEVICES_MAX: u32 = 1024;

/// The dear files are read at every tick of this number, unless told otherwise.
///
/// With ten ticks a second that is once a second: making the text of these
/// files costs the kernel more than that of all others together.
pub const SLOW_EVERY_TICKS: NonZeroU64 = NonZeroU64::new(10).expect("ten is not zero");

/// What the family knows of this sampler.
pub static ENTRY: Entry = Entry {
    name: "procfs",
    summary: "The node's load: processors, memory, pressure, tasks, network, disks, descriptors.",
    source: "/proc/{stat,meminfo,vmstat,pressure/*,loadavg,net/dev,diskstats,sys/fs/file-nr}",
    period_ms: 1000,
    steps: false,
    metrics: METRICS,
    settings: &[Setting {
        key: "slow_every",
        default: "1",
        help: "The dear files (vmstat, diskstats, net/dev) are read at every tick of this number, 1 to 1000; raise it with a short period.",
        check: |value| match value.parse::<u64>() {
            Ok(1..=1000) => Ok(()),
            _ => Err("allowed is a whole number from 1 to 1000".to_owned()),
        },
    }],
    open,
    needs,
};

const METRICS: &[MetricId] = &[
    MetricId::CpuBusy,
    MetricId::CpuUser,
    MetricId::CpuSystem,
    MetricId::CpuIoWait,
    MetricId::CpuSteal,
    MetricId::MemoryTotal,
    MetricId::MemoryAvailable,
    MetricId::MemoryCached,
    MetricId::MemoryDirty,
    MetricId::SwapTotal,
    MetricId::SwapFree,
    MetricId::SwapIn,
    MetricId::SwapOut,
    MetricId::MajorFaults,
    MetricId::OutOfMemoryKills,
    MetricId::PressureCpuSome,
    MetricId::PressureMemorySome,
    MetricId::PressureMemoryFull,
    MetricId::PressureIoSome,
    MetricId::PressureIoFull,
    MetricId::LoadOne,
    MetricId::LoadFive,
    MetricId::LoadFifteen,
    MetricId::TasksRunnable,
    MetricId::Tasks,
    MetricId::TasksBlocked,
    MetricId::ContextSwitches,
    MetricId::DescriptorsUsed,
    MetricId::DescriptorsLimit,
    MetricId::InterfaceReceived,
    MetricId::InterfaceSent,
    MetricId::InterfaceReceivedPackets,
    MetricId::InterfaceSentPackets,
    MetricId::InterfaceReceiveErrors,
    MetricId::InterfaceSendErrors,
    MetricId::InterfaceReceiveDrops,
    MetricId::InterfaceSendDrops,
    MetricId::DiskRead,
    MetricId::DiskWritten,
    MetricId::DiskReads,
    MetricId::DiskWrites,
    MetricId::DiskBusy,
    MetricId::DiskInFlight,
];

fn open(context: &Context, settings: &Settings) -> Opened {
    match Procfs::open(&context.host_root, &mut Opening(&context.names)) {
        Ok(procfs) => {
            let slow_every =
                NonZeroU64::new(settings.number("slow_every")).unwrap_or(NonZeroU64::MIN);
            Opened::Ready(Box::new(Ready(procfs.with_slow_every(slow_every))))
        }
        Err(error) => Opened::NotHere(error.to_string()),
    }
}

fn needs(context: &Context, _: &Settings) -> Vec<Need> {
    let proc = context.host_root.join("proc");
    let found = |name: &str| {
        let path = proc.join(name);
        match std::fs::File::open(&path) {
            Ok(_) => Need::fine(path.display().to_string(), "can be read"),
            Err(error) if name.starts_with("pressure") => Need::limited(
                path.display().to_string(),
                format!("cannot be read: {error}"),
                "boot with psi=1, or a kernel built with CONFIG_PSI, for pressure readings",
            ),
            Err(error) => Need::trouble(
                path.display().to_string(),
                format!("cannot be read: {error}"),
                "mount the node's /proc there, or set host_root to where it is mounted",
            ),
        }
    };
    ["stat", "meminfo", "vmstat", "loadavg", "diskstats", "pressure/cpu"].map(found).into()
}

struct Ready(Procfs);

impl Sampler for Ready {
    fn tick(&mut self, now_ns: u64, outlet: &mut Outlet) {
        self.0.tick(now_ns, outlet);
    }
}

/// Why a sampler could not start.
#[derive(Debug, thiserror::Error)]
pub enum ProcfsError {
    /// None of the files is there.
    #[error(
        "cannot open any file of {}; mount the node's /proc there, or set `host_root` \
         to the folder under which it is mounted",
        proc.display()
    )]
    OpenFiles {
        /// Where the files were expected.
        proc: PathBuf,
    },
}

/// Samples the node's load.
#[derive(Debug)]
pub struct Procfs {
    tick: u64,
    slow_every: NonZeroU64,
    devices_left: u32,
    buffer: Vec<u8>,
    cpus: Cpus,
    node: Node,
    disks: Disks,
    interfaces: Interfaces,
}

impl Procfs {
    /// Opens the files of the node whose root is at `host_root`, `/` outside containers.
    ///
    /// # Errors
    ///
    /// [`ProcfsError::OpenFiles`] if not one of the files is there. A file
    /// that is missing while others are not is absent from the ticks.
    pub fn open(host_root: &Path, readings: &mut dyn Readings) -> Result<Self, ProcfsError> {
        let proc = host_root.join("proc");
        // `net` means the reader's own network; under another root the node's
        // is that of its first process.
        let own_root = host_root.parent().is_none();
        let net_dev = proc.join(if own_root { "net/dev" } else { "1/net/dev" });
        let mut cpus = Cpus::new(&proc);
        let mut node = Node::new(&proc);
        if !cpus.is_here() && !node.is_here() {
            return Err(ProcfsError::OpenFiles { proc });
        }
        node.device = readings.device("node", "node");
        Ok(Self {
            tick: 0,
            slow_every: SLOW_EVERY_TICKS,
            devices_left: DEVICES_MAX - 1,
            buffer: vec![0; BUFFER_BYTES],
            cpus,
            node,
            disks: Disks::new(&proc, &host_root.join("sys/block")),
            interfaces: Interfaces::new(&net_dev),
        })
    }

    /// Reads the dear files at every tick of this number; one is every tick.
    #[must_use]
    pub const fn with_slow_every(mut self, ticks: NonZeroU64) -> Self {
        self.slow_every = ticks;
        self
    }

    /// Reads each file once, the dear ones only when it is their turn.
    ///
    /// The readings bear the time `now_ns`, on the node's monotonic clock.
    pub fn tick(&mut self, now_ns: u64, readings: &mut dyn Readings) -> TickReport {
        let tick = self.tick;
        self.tick += 1;
        let buffer = &mut self.buffer;
        let mut window = Window::new(readings, now_ns, &mut self.devices_left);
        self.cpus.tick(tick, self.node.device, buffer, &mut window);
        self.node.tick(tick, buffer, &mut window);
        if tick.is_multiple_of(self.slow_every.get()) {
            self.node.tick_slow(tick, buffer, &mut window);
            // Disks first: interfaces are what a busy node has hundreds of.
            self.disks.tick(tick, buffer, &mut window);
            self.interfaces.tick(tick, buffer, &mut window);
        }
        window.close()
    }
}

/// Real files of a node, byte for byte.
#[cfg(test)]
pub(crate) mod captures {
    macro_rules! capture {
        ($name:literal) => {
            include_bytes!(concat!("../../../tests/captures/proc/", $name))
        };
    }

    pub(crate) const STAT: &[u8] = capture!("stat");
    pub(crate) const MEMINFO: &[u8] = capture!("meminfo");
    pub(crate) const VMSTAT: &[u8] = capture!("vmstat");
    pub(crate) const LOADAVG: &[u8] = capture!("loadavg");
    pub(crate) const NET_DEV: &[u8] = capture!("net/dev");
    pub(crate) const DISKSTATS: &[u8] = capture!("diskstats");
    pub(crate) const FILE_NR: &[u8] = capture!("file-nr");
    pub(crate) const PRESSURE: [&[u8]; 3] =
        [capture!("pressure/cpu"), capture!("pressure/memory"), capture!("pressure/io")];
    pub(crate) const SELF_STAT: &[u8] = capture!("self/stat");
    pub(crate) const SELF_STATM: &[u8] = capture!("self/statm");
}

#[cfg(test)]
mod tests;
