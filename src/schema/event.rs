//! Discrete facts.

use super::wire;

/// How much something matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
#[repr(u8)]
pub enum Severity {
    /// Worth knowing.
    #[default]
    Info = 0,
    /// Worth a look.
    Warning = 1,
    /// Something does not work.
    Error = 2,
    /// Something is lost or about to be.
    Critical = 3,
}

impl Severity {
    /// The severity with this number; numbers of the future are critical.
    #[must_use]
    pub const fn from_number(number: u8) -> Self {
        match number {
            0 => Self::Info,
            1 => Self::Warning,
            2 => Self::Error,
            _ => Self::Critical,
        }
    }

    /// The severity in one lower-case word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Critical => "critical",
        }
    }
}

/// What kind of fact an [`Event`] states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(u16)]
pub enum EventKind {
    /// A kind that this build does not know.
    #[default]
    Unknown = 0,
    /// An engine began to report.
    EngineAppeared = 1,
    /// An engine's connection hung up or it said goodbye.
    EngineGone = 2,
    /// An engine reports under a later incarnation.
    EngineRestarted = 3,
    /// A sampler missed two periods.
    SamplerStalled = 4,
    /// A stalled sampler ticks again.
    SamplerRecovered = 5,
    /// The agent runs.
    AgentStarted = 6,
    /// The agent leaves.
    AgentStopped = 7,
    /// Something from outside was refused for the first time.
    RecordRejected = 8,
    /// A line of the kernel log ([`Event::log`]).
    KernelLine = 9,
    /// Lines of the kernel log were overwritten before they were read.
    KernelLinesLost = 10,
    /// A container began.
    ContainerStarted = 11,
    /// A container ended.
    ContainerEnded = 12,
    /// The kernel killed a process of a container for want of memory.
    ContainerOomKill = 13,
    /// A trace event of an NVIDIA GPU's Xid.
    Xid = 14,
    /// A trace event of an NVSwitch's SXid.
    Sxid = 15,
    /// Trace events were overwritten before they were read.
    TraceEventsLost = 16,
    /// A source did not answer within its deadline and was left alone.
    SourceHangs = 17,
    /// A source that did not answer does again.
    SourceAnswers = 18,
    /// An accelerator that was not in the inventory.
    DeviceAppeared = 19,
    /// An accelerator that was there is not found any more.
    DeviceGone = 20,
    /// One that was gone, resetting or upgrading is back.
    DeviceReturned = 21,
    /// An accelerator is being reset.
    DeviceResetting = 22,
    /// The driver or firmware of an accelerator is being upgraded.
    DeviceUpgrading = 23,
    /// An accelerator's driver, firmware, serial number or layout is another.
    DeviceChanged = 24,
    /// An accelerator's driver reports a fault by code ([`Event::fault`]).
    DeviceFault = 25,
    /// An accelerator's driver reports something that is no fault.
    DeviceNotice = 26,
    /// Reports of an accelerator's driver were lost before they were read.
    DeviceEventsLost = 27,
}

impl EventKind {
    /// The kind with this number.
    #[must_use]
    pub const fn from_number(number: u16) -> Self {
        match number {
            1 => Self::EngineAppeared,
            2 => Self::EngineGone,
            3 => Self::EngineRestarted,
            4 => Self::SamplerStalled,
            5 => Self::SamplerRecovered,
            6 => Self::AgentStarted,
            7 => Self::AgentStopped,
            8 => Self::RecordRejected,
            9 => Self::KernelLine,
            10 => Self::KernelLinesLost,
            11 => Self::ContainerStarted,
            12 => Self::ContainerEnded,
            13 => Self::ContainerOomKill,
            14 => Self::Xid,
            15 => Self::Sxid,
            16 => Self::TraceEventsLost,
            17 => Self::SourceHangs,
            18 => Self::SourceAnswers,
            19 => Self::DeviceAppeared,
            20 => Self::DeviceGone,
            21 => Self::DeviceReturned,
            22 => Self::DeviceResetting,
            23 => Self::DeviceUpgrading,
            24 => Self::DeviceChanged,
            25 => Self::DeviceFault,
            26 => Self::DeviceNotice,
            27 => Self::DeviceEventsLost,
            _ => Self::Unknown,
        }
    }

    /// The kind as its name in the schema.
    #[must_use]
    pub fn name(self) -> &'static str {
        wire::EventKind(self as u16).variant_name().unwrap_or("unknown")
    }
}

/// How far a line of a log is to be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(u8)]
pub enum Trust {
    /// Nothing is known of its way here.
    #[default]
    Unknown = 0,
    /// From `/dev/kmsg` under facility 0: the kernel's own word, since user
    /// space never gets that facility, and its gaps are known exactly.
    Attested = 1,
    /// From `/dev/kmsg` under another facility, which user space may write.
    Claimed = 2,
    /// From `syslog(2)`: what was overwritten in between is unknown.
    Polled = 3,
    /// From a file or pipe: as good as whoever wrote it.
    File = 4,
}

impl Trust {
    /// The grade with this number; grades of the future are unknown.
    #[must_use]
    pub const fn from_number(number: u8) -> Self {
        match number {
            1 => Self::Attested,
            2 => Self::Claimed,
            3 => Self::Polled,
            4 => Self::File,
            _ => Self::Unknown,
        }
    }

    /// The grade in one word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Attested => "attested",
            Self::Claimed => "claimed",
            Self::Polled => "polled",
            Self::File => "file",
        }
    }
}

/// Where a line of the kernel log came from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogRecord {
    /// The facility of syslog(3); 0 is the kernel.
    pub facility: u16,
    /// The level of syslog(3), 0 (emergency) to 7 (debug), or
    /// [`Self::LEVEL_UNKNOWN`].
    pub level: u8,
    /// How far it is to be trusted.
    pub trust: Trust,
    /// Whether it was logged before the agent first looked.
    pub before_start: bool,
    /// The kernel's sequence number; 0 where unknown.
    pub sequence: u64,
    /// `DEVICE=` of the record, such as `+pci:0000:5c:00.0`; may be empty.
    pub device: String,
    /// `SUBSYSTEM=` of the record; may be empty.
    pub subsystem: String,
}

impl LogRecord {
    /// Stands for a level that the line does not say, as in a log file.
    pub const LEVEL_UNKNOWN: u8 = 255;
}

/// What a fault does, by the word of the driver that reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(u8)]
pub enum FaultPhase {
    /// The driver does not say.
    #[default]
    Unknown = 0,
    /// It happened, and is over.
    Occurred = 1,
    /// It began, and lasts until it is cleared.
    Raised = 2,
    /// It is over.
    Cleared = 3,
}

impl FaultPhase {
    /// The phase with this number; phases of the future are unknown.
    #[must_use]
    pub const fn from_number(number: u8) -> Self {
        match number {
            1 => Self::Occurred,
            2 => Self::Raised,
            3 => Self::Cleared,
            _ => Self::Unknown,
        }
    }

    /// The phase in one word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Occurred => "occurred",
            Self::Raised => "raised",
            Self::Cleared => "cleared",
        }
    }
}

/// A fault as the driver of a device reports it. Which parts the node numbers
/// name is Ascend's `dcmi_dms_fault_event`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FaultRecord {
    /// Whether it began or ended.
    pub phase: FaultPhase,
    /// By the driver's own scale, or [`Self::SEVERITY_UNKNOWN`].
    pub severity: u8,
    /// Which kind of part of the chip.
    pub node_type: u16,
    /// Which of them.
    pub node_id: u16,
    /// Which kind of part of that part.
    pub sub_node_type: u16,
    /// Which of them.
    pub sub_node_id: u16,
    /// The driver's number of this report; 0 where it gives none.
    pub serial: u64,
    /// When, by the device's clock, ns since 1970; 0 where unknown.
    pub raised_wall_ns: u64,
    /// It was already there when the agent first looked.
    pub replayed: bool,
}

impl FaultRecord {
    /// Stands for a severity that the driver does not give.
    pub const SEVERITY_UNKNOWN: u8 = 255;
}

/// A discrete fact: something began, ended or was refused.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Event {
    /// Unique with its node.
    pub id: u64,
    /// What kind of fact.
    pub kind: EventKind,
    /// How much it matters by itself.
    pub severity: Severity,
    /// `CLOCK_REALTIME`, ns since 1970.
    pub wall_ns: u64,
    /// The node's `CLOCK_MONOTONIC`, ns.
    pub monotonic_ns: u64,
    /// The sampler that saw it.
    pub source: String,
    /// What it is about: an engine, a device, a sampler.
    pub subject: String,
    /// One sentence for people; of a kernel line, the line.
    pub text: String,
    /// Where a kernel line came from.
    pub log: Option<LogRecord>,
    /// The number that the source gave, an Xid or SXid; 0 where there is none.
    pub code: u64,
    /// How many lines or trace events were lost, where that is the fact.
    pub lost: u64,
    /// The report of a device's driver.
    pub fault: Option<FaultRecord>,
}
