//! The words for what lines say.

use super::{AscendReport, Instance, Pci, Xid};

/// What a line is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum What {
    /// An Xid of a GPU; its number is the code.
    Xid,
    /// An Xid whose number cannot be read.
    XidMalformed,
    /// An SXid of an NVSwitch; its number is the code.
    Sxid,
    /// More about the SXid before.
    SxidDetail,
    /// A GPU fell off the bus.
    GpuLost,
    /// The first line of three that say so; the address is in it.
    GpuLostBegins,
    /// The second line.
    GpuLostGoesOn,
    /// The third line, which says what happened.
    GpuLostEnds,
    /// A GPU's firmware gives no heartbeat; the unit is the driver's own count.
    GpuFirmware,
    /// Which GPU is at an address, or its serial number.
    GpuIdentity,
    /// The links between GPUs could not be found out.
    NvlinkDiscovery,
    /// Memory shared with a network adapter became invalid.
    PeerMemory,
    /// A fault code of an Ascend chip; the code is its event id.
    AscendFault,
    /// More about the fault before.
    AscendFaultDetail,
    /// An Ascend chip does not answer its host.
    AscendHeartbeatLost,
    /// An exception of the task scheduler, with its code.
    AscendTaskScheduler,
    /// A transfer of the Ascend driver failed.
    AscendTransfer,
    /// The Ascend driver gave up waiting for a chip.
    AscendNotReady,
    /// The Ascend driver overwrote a report before anyone read it.
    AscendReportLost,
    /// Another error of the Ascend driver.
    AscendError,
    /// A fault of an Ascend node's bus switch.
    AscendSwitchFault,
    /// An error that PCIe reported or corrected.
    PcieError,
    /// More about the error before.
    PcieErrorDetail,
    /// A driver cannot recover from a PCIe error.
    PcieNotRecovered,
    /// A port was shut to contain an error.
    PcieContained,
    /// A slot lost its link.
    PcieLinkDown,
    /// Main memory corrected errors.
    MemoryCorrected,
    /// Main memory lost data.
    MemoryUncorrected,
    /// The processor reported a machine check.
    MachineCheck,
    /// Machine checks were logged elsewhere, without saying which.
    MachineCheckLogged,
    /// A machine check that cannot be survived.
    MachineCheckFatal,
    /// A part of a report of the firmware.
    FirmwareReport,
    /// The firmware reports a corrected error.
    FirmwareCorrected,
    /// The firmware reports one that can be recovered from.
    FirmwareRecoverable,
    /// The firmware reports a fatal error.
    FirmwareFatal,
    /// A page of memory was taken out of use.
    PagePoisoned,
    /// The kernel killed a process because the node has no memory left.
    OutOfMemory,
    /// The kernel killed a process because its group has no memory left.
    GroupOutOfMemory,
    /// A task has waited for long.
    HungTask,
    /// A processor was stuck in the kernel.
    SoftLockup,
    /// A processor did not even take interrupts.
    HardLockup,
    /// A processor held up the kernel's housekeeping.
    RcuStall,
    /// The kernel gave up.
    Panic,
    /// The kernel began.
    Booted,
    /// A process crashed.
    Segfault,
    /// A drive did not answer and is reset.
    NvmeTimeout,
    /// A drive is not used any more.
    NvmeLost,
    /// A block of a drive could not be read or written.
    IoError,
    /// A file system found itself damaged.
    FilesystemError,
    /// A file system is read-only from here on.
    FilesystemReadOnly,
    /// A file system stopped.
    FilesystemDown,
    /// A disk left its RAID.
    RaidDegraded,
    /// A processor got too hot and slows down.
    Throttled,
    /// It is cool again.
    ThrottledNoMore,
    /// A network adapter gets too little power.
    NicPower,
    /// The module of a network port is faulty or hot.
    NicModule,
    /// The cable of a network port was pulled.
    NicUnplugged,
    /// A network adapter's firmware does not answer.
    NicFirmware,
    /// A command to a network adapter failed.
    NicCommand,
    /// A network interface lost its link.
    LinkDown,
    /// It has it again.
    LinkUp,
    /// The table of tracked connections is full.
    ConnectionsFull,
}

/// What a line says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sighting<'a> {
    /// What it is about.
    pub what: What,
    /// The number of the fault; 0 where there is none.
    pub code: u64,
    /// The device's address.
    pub pci: Option<Pci>,
    /// Which part of a partitioned GPU.
    pub instance: Option<Instance>,
    /// The number of a chip, processor, drive or controller.
    pub unit: Option<u32>,
    /// Its name, as the line has it; may be empty.
    pub name: &'a str,
    /// The process that was hit.
    pub process: Option<u32>,
    /// Its name; may be empty.
    pub process_name: &'a str,
    /// How many errors or seconds, where the line counts.
    pub amount: Option<u64>,
    /// What only this kind of line says.
    pub detail: Detail<'a>,
}

/// What only one kind of line says.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Detail<'a> {
    /// Nothing.
    #[default]
    None,
    /// Of an Xid.
    Xid(Xid<'a>),
    /// Of an SXid: whether it is fatal, and its link.
    Sxid {
        /// Whether the driver calls it fatal.
        fatal: Option<bool>,
        /// The link.
        link: Option<i32>,
        /// The rest of the line.
        said: &'a str,
    },
    /// Of an Ascend driver's report.
    Ascend(AscendReport<'a>),
    /// Of PCIe: whether it was corrected, or fatal.
    Pcie {
        /// It was corrected.
        corrected: bool,
        /// It is fatal.
        fatal: bool,
        /// Which layer; may be empty.
        layer: &'a str,
    },
    /// Some words of the line that matter.
    Said(&'a str),
}

impl<'a> Sighting<'a> {
    /// A line about this and nothing else yet.
    #[must_use]
    pub const fn of(what: What) -> Self {
        Self {
            what,
            code: 0,
            pci: None,
            instance: None,
            unit: None,
            name: "",
            process: None,
            process_name: "",
            amount: None,
            detail: Detail::None,
        }
    }

    /// What the line says of an Xid.
    #[must_use]
    pub const fn xid(&self) -> Option<&Xid<'a>> {
        match &self.detail {
            Detail::Xid(xid) => Some(xid),
            _ => None,
        }
    }
}

/// Whose word a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Speaker {
    /// The kernel, by its facility, or by what the log says.
    Kernel,
    /// Under the facility of some builds of the Ascend driver, which user
    /// space may write as well.
    AscendFacility,
    /// Somebody in user space.
    Somebody,
}

/// The facility under which some builds of the Ascend driver log.
const ASCEND_FACILITY: u16 = 86;

impl Speaker {
    /// Whose word a line of this facility is; one that does not say its
    /// facility is taken for the kernel's.
    #[must_use]
    pub const fn of(facility: Option<u16>) -> Self {
        match facility {
            None | Some(0) => Self::Kernel,
            Some(ASCEND_FACILITY) => Self::AscendFacility,
            Some(_) => Self::Somebody,
        }
    }

    /// Whether this speaker's word counts for what a line says.
    #[must_use]
    pub const fn may_say(self, what: What) -> bool {
        let of_ascend = matches!(
            what,
            What::AscendFault
                | What::AscendFaultDetail
                | What::AscendHeartbeatLost
                | What::AscendTaskScheduler
                | What::AscendTransfer
                | What::AscendNotReady
                | What::AscendReportLost
                | What::AscendError
                | What::AscendSwitchFault
        );
        match self {
            Self::Kernel => true,
            Self::AscendFacility => of_ascend,
            Self::Somebody => false,
        }
    }
}
