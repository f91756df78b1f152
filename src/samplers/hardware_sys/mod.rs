//! What the node's hardware says in `/sys`: memory and PCIe errors, links of
//! network, InfiniBand and NVMe, temperatures, throttling.
//!
//! Many of these files are answered by firmware or a device, and one that is
//! ill may never answer. So a child process reads them, and tells this
//! sampler's thread in fixed records; the child says where it is before every
//! read, so that a missed deadline names the file. The child is killed, another
//! reads everything else, and the file is tried again by a child of its own
//! with a growing pause. A driver that keeps the killed child in the kernel
//! keeps it: there are at most [`STUCK_MAX`] of those.
//!
//! The SMART log of an NVMe drive is not read: it is had by an administrative
//! command only, which takes `CAP_SYS_ADMIN`. Nothing is judged here.

use crate::platform::child;
use crate::samplers::{Context, Entry, Opened, Outlet, Readings, Sampler, Setting, Settings};
use crate::schema::{EventKind, MetricId, Severity};

mod discover;
mod kind;
mod known;
mod left_out;
#[cfg(test)]
mod listening;
mod needs;
mod plan;
mod reach;
mod reader;
mod sampler;

pub mod content;
pub mod reading;
pub mod record;
pub mod rows;

pub use kind::{DEVICES_MAX, Kind};
pub use reach::Tell;
pub use reading::answer_parent;
pub use sampler::{HardwareSys, Limits, STUCK_MAX};

/// What the family knows of this sampler.
pub static ENTRY: Entry = Entry {
    name: NAME,
    summary: "Hardware: memory and PCIe errors, network, InfiniBand and NVMe links, temperatures, throttling.",
    source: "/sys/{devices/system/{edac,cpu},bus/pci/devices,class/{net,infiniband,nvme,thermal,hwmon}}",
    period_ms: 10_000,
    steps: false,
    metrics: METRICS,
    settings: SETTINGS,
    open,
    needs: needs::needs,
};

const NAME: &str = "hardware_sys";

const SETTINGS: &[Setting] = &[
    Setting {
        key: "silence_ms",
        default: "1000",
        help: "A file that does not answer within so many milliseconds is left out and tried again later, 50 to 10000.",
        check: |value| match value.parse::<u64>() {
            Ok(50..=10_000) => Ok(()),
            _ => Err("allowed is a whole number from 50 to 10000".to_owned()),
        },
    },
    Setting {
        key: "discover_s",
        default: "60",
        help: "Devices are looked for anew after so many seconds, 10 to 3600.",
        check: |value| match value.parse::<u64>() {
            Ok(10..=3600) => Ok(()),
            _ => Err("allowed is a whole number from 10 to 3600".to_owned()),
        },
    },
    Setting {
        key: "leave_out",
        default: "\"\"",
        help: "Paths below /sys that are never read, with all below them, joined by commas, such as class/hwmon/hwmon3; at most 16.",
        check: |value| match left_out(value) {
            paths if paths.len() > LEFT_OUT_MAX => Err("allowed are at most 16 paths".to_owned()),
            paths
                if paths
                    .iter()
                    .any(|path| path.starts_with('/') || path.len() > record::TEXT_BYTES_MAX) =>
            {
                Err("allowed are paths below /sys of at most 112 bytes, without /sys/ before them"
                    .to_owned())
            }
            _ => Ok(()),
        },
    },
];

/// Most paths that a person may have left out.
const LEFT_OUT_MAX: usize = 16;

fn left_out(value: &str) -> Vec<String> {
    let paths = value.split(',').map(|path| path.trim().trim_end_matches('/'));
    paths.filter(|path| !path.is_empty()).map(str::to_owned).collect()
}

/// In ascending order, which [`known`] counts on.
const METRICS: &[MetricId] = &[
    MetricId::MemoryErrorsCorrected,
    MetricId::MemoryErrorsUncorrected,
    MetricId::MemoryErrorsCorrectedUnplaced,
    MetricId::MemoryErrorsUncorrectedUnplaced,
    MetricId::DimmErrorsCorrected,
    MetricId::DimmErrorsUncorrected,
    MetricId::PcieErrorsCorrected,
    MetricId::PcieErrorsNonfatal,
    MetricId::PcieErrorsFatal,
    MetricId::PcieReceiverErrors,
    MetricId::PcieBadTlps,
    MetricId::PcieBadDllps,
    MetricId::PcieReplayRollovers,
    MetricId::PcieReplayTimeouts,
    MetricId::PcieCompletionTimeouts,
    MetricId::PciePoisonedTlps,
    MetricId::PcieSurpriseDowns,
    MetricId::PcieDataLinkErrors,
    MetricId::PcieMalformedTlps,
    MetricId::PcieLinkSpeed,
    MetricId::PcieLinkSpeedMax,
    MetricId::PcieLinkLanes,
    MetricId::PcieLinkLanesMax,
    MetricId::PcieRootErrorsCorrected,
    MetricId::PcieRootErrorsNonfatal,
    MetricId::PcieRootErrorsFatal,
    MetricId::NvmeLive,
    MetricId::InterfaceUp,
    MetricId::InterfaceCarrier,
    MetricId::InterfaceCarrierChanges,
    MetricId::InterfaceSpeed,
    MetricId::InterfaceFullDuplex,
    MetricId::InterfaceReceiveCrcErrors,
    MetricId::InterfaceReceiveMissed,
    MetricId::InterfaceReceiveOverruns,
    MetricId::InterfaceTransmitCarrierErrors,
    MetricId::InfinibandPortActive,
    MetricId::InfinibandLinkUp,
    MetricId::InfinibandRate,
    MetricId::InfinibandReceived,
    MetricId::InfinibandSent,
    MetricId::InfinibandSymbolErrors,
    MetricId::InfinibandLinkRecoveries,
    MetricId::InfinibandLinkDowns,
    MetricId::InfinibandReceiveErrors,
    MetricId::InfinibandReceiveRemoteErrors,
    MetricId::InfinibandIntegrityErrors,
    MetricId::InfinibandBufferOverruns,
    MetricId::InfinibandTransmitDiscards,
    MetricId::InfinibandTransmitWait,
    MetricId::RoceOutOfSequence,
    MetricId::RoceSequenceErrors,
    MetricId::RoceNotReadyRetries,
    MetricId::RoceAckTimeouts,
    MetricId::RoceCongestionSent,
    MetricId::RoceCongestionHandled,
    MetricId::RoceMarked,
    MetricId::RoceChecksumErrors,
    MetricId::ThermalZone,
    MetricId::ThermalZoneCritical,
    MetricId::Sensor,
    MetricId::SensorCritical,
    MetricId::CoreThrottles,
    MetricId::PackageThrottles,
    MetricId::SourcesHanging,
    MetricId::ChildrenStuck,
    MetricId::HardwareAbsent,
];

/// What this sampler needs of an outlet.
pub trait Facts: Readings {
    /// A value that can no longer be had.
    fn forget(&mut self, device: u32, metric: MetricId);
    /// A fact that happens now.
    fn say(&mut self, kind: EventKind, severity: Severity, subject: &str, text: String);
}

impl Facts for Outlet {
    fn forget(&mut self, device: u32, metric: MetricId) {
        self.forget_reading(device, metric);
    }

    fn say(&mut self, kind: EventKind, severity: Severity, subject: &str, text: String) {
        self.event(kind, severity, subject, text);
    }
}

fn open(context: &Context, settings: &Settings) -> Opened {
    let sys = context.host_root.join("sys");
    if !needs::has_anything(&sys) {
        return Opened::NotHere(format!(
            "{} tells of no hardware, as in most virtual machines; in a container, mount the node's /sys and set host_root",
            sys.display()
        ));
    }
    let Some(program) = child::offered() else {
        return Opened::NotHere("only the program eagle-eye itself can read in a child".to_owned());
    };
    let limits = Limits::new(settings.number("silence_ms"), settings.number("discover_s"));
    let sampler = HardwareSys::new(program, &context.host_root, limits)
        .without(left_out(settings.text("leave_out")));
    Opened::Ready(Box::new(Ready(sampler)))
}

struct Ready(HardwareSys);

impl Sampler for Ready {
    fn tick(&mut self, now_ns: u64, outlet: &mut Outlet) {
        self.0.tick(now_ns, outlet);
    }
}

#[cfg(test)]
mod tests;
