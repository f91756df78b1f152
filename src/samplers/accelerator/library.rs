//! A vendor's library as the child that calls it sees it.
//!
//! Each vendor implements [`Library`] and [`Reader`]; threads, deadlines,
//! records and everything in the parent are the frame's. Every call of the
//! vendor's library goes through [`Calls::call`], so that one that never
//! returns has a name.

use super::calls::Calls;
use super::sheet::Sheet;
use crate::schema::{DeviceState, FaultRecord, Severity};

/// A loaded library. Dropped never: its process ends instead.
pub trait Library: Send + Sync {
    /// Every device that is here now, each with its parts after it. Asked at
    /// the start and every few seconds, on the thread of the inventory.
    ///
    /// A device that [`Wanted::is_left_out`] must not be touched by any call.
    ///
    /// # Errors
    ///
    /// [`Failure::Library`] when the library is of no use any more.
    fn devices(&self, calls: &Calls, wanted: &Wanted) -> Result<Vec<Found>, Failure>;

    /// What reads `found`; made and used on that device's own thread.
    fn reader<'a>(&'a self, found: &Found) -> Box<dyn Reader + 'a>;

    /// Waits for reports of the driver, about `limit_ms` long at most, and
    /// tells each; on a thread of its own. The wait itself goes through
    /// [`Calls::wait`]. A library without events sleeps that long.
    ///
    /// # Errors
    ///
    /// [`Failure::Library`] when the library is of no use any more.
    fn wait_events(
        &self,
        calls: &Calls,
        limit_ms: u32,
        tell: &mut dyn FnMut(Notice),
    ) -> Result<(), Failure>;

    /// Whether the library or driver on disk is another than the one that is
    /// loaded: the process ends, and the next one loads that. Must not call
    /// the library.
    fn has_changed(&self) -> bool {
        false
    }
}

/// Reads one device.
pub trait Reader {
    /// What the device is. Asked when it is first read, after it was away, and
    /// rarely.
    ///
    /// # Errors
    ///
    /// Why the device cannot be asked.
    fn identity(&mut self, calls: &Calls) -> Result<Identity, Failure>;

    /// Reads all of `group` into `sheet`: [`Sheet::put`] what there is,
    /// [`Sheet::absent`] what there is not, and call for nothing that
    /// [`Sheet::wants`] does not want.
    ///
    /// # Errors
    ///
    /// Why nothing of the group could be read; single readings that fail are
    /// no error.
    fn read(&mut self, group: Group, sheet: &mut Sheet<'_>) -> Result<(), Failure>;
}

/// What is read together, at a period of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Group {
    /// Temperature and power, where bursts are switched on.
    Burst = 0,
    /// What is cheap and changes: temperature, power, clocks, use, memory.
    Fast = 1,
    /// Counters of errors and links.
    Medium = 2,
    /// What is costly or hardly changes: limits, repairs, fabric.
    Slow = 3,
    /// Who works on the device.
    Processes = 4,
}

impl Group {
    /// Every group.
    pub const ALL: [Self; 5] = [Self::Burst, Self::Fast, Self::Medium, Self::Slow, Self::Processes];
}

/// Why a library or a device is not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// This device is gone, resetting or upgrading; it is tried again at its
    /// period, by [`Reader::identity`] first.
    Device(DeviceState),
    /// The library as a whole is of no use, as a sentence that says why; the
    /// process ends and another one tries after a pause.
    Library(String),
}

/// The two kinds of accelerators.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(u8)]
pub enum Kind {
    /// Of NVIDIA.
    #[default]
    Gpu = 0,
    /// Of Ascend.
    Npu = 1,
}

impl Kind {
    /// The kind of device, as [`crate::schema::Device::kind`] has it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gpu => "gpu",
            Self::Npu => "npu",
        }
    }

    /// Who makes them.
    #[must_use]
    pub const fn vendor(self) -> &'static str {
        match self {
            Self::Gpu => "NVIDIA",
            Self::Npu => "Huawei",
        }
    }
}

/// A device that the library knows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Found {
    /// `gpu0`, `npu3`, or `gpu0/mig1` for a part; by the driver's index.
    pub name: String,
    /// Which kind.
    pub kind: Kind,
    /// The device that it is a part of; else empty.
    pub parent: String,
    /// A name that survives renumbering; empty where there is none.
    pub uuid: String,
    /// Canonical, `0000:5c:00.0`; empty where unknown.
    pub pci: String,
    /// Whatever the library needs to find it again; means nothing to others.
    pub handle: u64,
}

/// What a device is. Empty strings are unknown.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Identity {
    /// As its driver names it.
    pub device_model: String,
    /// The serial number of the board.
    pub serial: String,
    /// Version of the driver.
    pub driver: String,
    /// VBIOS or firmware version.
    pub firmware: String,
    /// InfoROM image version.
    pub inforom: String,
    /// Version of the library through which it is read.
    pub library: String,
}

/// What kind of report a driver made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum NoticeKind {
    /// Something that is no fault.
    #[default]
    Notice = 0,
    /// A fault by code, with [`Notice::fault`].
    Fault = 1,
    /// An Xid, with its number in [`Notice::code`].
    Xid = 2,
    /// Reports were lost, with their number in [`Notice::code`].
    Lost = 3,
    /// Every fault of the device that is open was told: what another child told
    /// before and this one did not is over.
    Looked = 4,
}

impl NoticeKind {
    pub(super) const ALL: [Self; 5] =
        [Self::Notice, Self::Fault, Self::Xid, Self::Lost, Self::Looked];
}

/// A report of the driver.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Notice {
    /// What kind.
    pub kind: NoticeKind,
    /// Name of the device; empty where it is about the library.
    pub device: String,
    /// How much it matters by itself.
    pub severity: Severity,
    /// The driver's number; 0 where it gives none.
    pub code: u64,
    /// The report in parts, of a fault.
    pub fault: Option<FaultRecord>,
    /// A short sentence; at most [`super::record::NOTICE_BYTES_MAX`] bytes.
    pub text: String,
}

/// Which devices a child reads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Never touched, by name.
    pub left_out: Vec<String>,
    /// If not empty, only this one is touched.
    pub only: String,
}

impl Wanted {
    /// Whether the device of this name must not be touched by any call.
    #[must_use]
    pub fn is_left_out(&self, name: &str) -> bool {
        (!self.only.is_empty() && self.only != name)
            || self.left_out.iter().any(|left| left == name)
    }
}
