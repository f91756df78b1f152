//! What a GPU, an NPU or a part of one is.

use flatbuffers::{FlatBufferBuilder, WIPOffset};

use super::tables::{list, name};
use super::wire;

/// What a GPU, an NPU or a part of one is. Empty strings are unknown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accelerator {
    /// As its driver names it.
    pub device_model: String,
    /// The serial number of the board.
    pub serial: String,
    /// Domain:bus:device.function, lower-case: `0000:5c:00.0`.
    pub pci: String,
    /// Version of the driver.
    pub driver: String,
    /// VBIOS or firmware version.
    pub firmware: String,
    /// InfoROM image version, of an NVIDIA board.
    pub inforom: String,
    /// Version of the library through which it is read.
    pub library: String,
    /// Name of the device that this one is a part of.
    pub parent: String,
    /// NUMA node; none where unknown.
    pub numa_node: Option<u16>,
    /// Whether it can be worked with.
    pub state: DeviceState,
    /// Since when, ns since 1970.
    pub state_since_wall_ns: u64,
    /// While its driver does not answer: the call that does not return.
    pub silent_call: String,
    /// Processes that work on it, at most [`PROCESSES_MAX`]; of one that is gone
    /// or does not answer, those that did last.
    pub processes: Vec<DeviceProcess>,
    /// Readings that it does not give, at most [`ABSENT_MAX`].
    pub absent: Vec<AbsentReading>,
    /// It exists in a simulation only.
    pub simulated: bool,
}

impl Default for Accelerator {
    fn default() -> Self {
        Self {
            device_model: String::new(),
            serial: String::new(),
            pci: String::new(),
            driver: String::new(),
            firmware: String::new(),
            inforom: String::new(),
            library: String::new(),
            parent: String::new(),
            numa_node: None,
            state: DeviceState::Unknown,
            state_since_wall_ns: 0,
            silent_call: String::new(),
            processes: Vec::new(),
            absent: Vec::new(),
            simulated: false,
        }
    }
}

/// A process that works on an accelerator.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeviceProcess {
    /// Process id on the node.
    pub process: u32,
    /// Device memory it holds, bytes; none where unknown.
    pub memory_bytes: Option<u64>,
    /// Full id of its container; empty where unknown or none.
    pub container: String,
    /// UID of the container's Kubernetes pod; empty where unknown or none.
    pub pod: String,
}

/// A reading that an accelerator does not give, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AbsentReading {
    /// Id of the metric.
    pub metric: u16,
    /// Why.
    pub reason: AbsentReason,
}

impl Accelerator {
    /// At least the bytes that it takes in a batch.
    pub(super) fn bytes_max(&self) -> usize {
        let texts = [
            &self.device_model,
            &self.serial,
            &self.pci,
            &self.driver,
            &self.firmware,
            &self.inforom,
            &self.library,
            &self.parent,
            &self.silent_call,
        ];
        let texts: usize = texts.iter().map(|text| text.len() + TEXT_EXTRA_BYTES).sum();
        let processes = self.processes.iter().take(PROCESSES_MAX);
        let processes: usize = processes.map(|of| 80 + of.container.len() + of.pod.len()).sum();
        160 + texts + processes + 4 * self.absent.len().min(ABSENT_MAX)
    }

    pub(super) fn to_wire<'b>(
        &self,
        builder: &mut FlatBufferBuilder<'b>,
    ) -> WIPOffset<wire::Accelerator<'b>> {
        let processes = &self.processes[..self.processes.len().min(PROCESSES_MAX)];
        let absent = &self.absent[..self.absent.len().min(ABSENT_MAX)];
        let args = wire::AcceleratorArgs {
            device_model: name(builder, &self.device_model),
            serial: name(builder, &self.serial),
            pci: name(builder, &self.pci),
            driver: name(builder, &self.driver),
            firmware: name(builder, &self.firmware),
            inforom: name(builder, &self.inforom),
            library: name(builder, &self.library),
            parent: name(builder, &self.parent),
            numa_node: self.numa_node.and_then(|node| i16::try_from(node).ok()).unwrap_or(-1),
            state: wire::DeviceState(self.state as u8),
            state_since_wall_ns: self.state_since_wall_ns,
            silent_call: name(builder, &self.silent_call),
            processes: list(builder, processes, |builder, of| {
                let args = wire::DeviceProcessArgs {
                    process: of.process,
                    memory_bytes: of.memory_bytes.unwrap_or(u64::MAX),
                    container: name(builder, &of.container),
                    pod: name(builder, &of.pod),
                };
                wire::DeviceProcess::create(builder, &args)
            }),
            absent: (!absent.is_empty()).then(|| {
                let of = |of: &AbsentReading| {
                    wire::AbsentReading::new(of.metric, wire::AbsentReason(of.reason as u8), 0)
                };
                builder.create_vector(&absent.iter().map(of).collect::<Vec<_>>())
            }),
            simulated: self.simulated,
        };
        wire::Accelerator::create(builder, &args)
    }

    pub(super) fn from_wire(of: wire::Accelerator<'_>) -> Self {
        let text = super::batch::text;
        Self {
            device_model: text(of.device_model()),
            serial: text(of.serial()),
            pci: text(of.pci()),
            driver: text(of.driver()),
            firmware: text(of.firmware()),
            inforom: text(of.inforom()),
            library: text(of.library()),
            parent: text(of.parent()),
            numa_node: u16::try_from(of.numa_node()).ok(),
            state: DeviceState::from_number(of.state().0),
            state_since_wall_ns: of.state_since_wall_ns(),
            silent_call: text(of.silent_call()),
            processes: of
                .processes()
                .into_iter()
                .flatten()
                .take(PROCESSES_MAX)
                .map(|of| DeviceProcess {
                    process: of.process(),
                    memory_bytes: Some(of.memory_bytes()).filter(|bytes| *bytes != u64::MAX),
                    container: text(of.container()),
                    pod: text(of.pod()),
                })
                .collect(),
            absent: of
                .absent()
                .into_iter()
                .flatten()
                .take(ABSENT_MAX)
                .map(|of| AbsentReading {
                    metric: of.metric(),
                    reason: AbsentReason::from_number(of.reason().0),
                })
                .collect(),
            simulated: of.simulated(),
        }
    }
}

macro_rules! words {
    ($(#[$of:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $number:literal $word:literal,)* }) => {
        $(#[$of])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
        #[repr(u8)]
        pub enum $name {
            $($(#[$doc])* $variant = $number,)*
        }

        impl $name {
            /// The value with this number; numbers of the future are unknown.
            #[must_use]
            pub const fn from_number(number: u8) -> Self {
                match number {
                    $($number => Self::$variant,)*
                    _ => Self::Unknown,
                }
            }

            /// The value in one lower-case word.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }
        }
    };
}
pub(super) use words;

words! {
    /// Whether an accelerator can be worked with.
    DeviceState {
        /// Not looked at yet.
        #[default]
        Unknown = 0 "unknown",
        /// It answers.
        Present = 1 "present",
        /// It was here and is not found any more.
        Gone = 2 "gone",
        /// It is being reset.
        Resetting = 3 "resetting",
        /// Its driver or firmware is being replaced.
        Upgrading = 4 "upgrading",
        /// Its driver does not answer.
        Silent = 5 "silent",
    }
}

words! {
    /// Why a device does not give a reading.
    AbsentReason {
        /// Nobody said.
        #[default]
        Unknown = 0 "unknown",
        /// This device has no such thing.
        NotSupported = 1 "not supported",
        /// It takes rights that we do not have.
        NoPermission = 2 "no permission",
        /// The driver answers with an error.
        Failed = 3 "failed",
        /// The driver does not answer.
        Hanging = 4 "hanging",
        /// The library that is installed has no such function.
        NotInLibrary = 5 "not in this library",
    }
}

/// What a text takes in a batch besides its own bytes: length, end, padding.
pub(super) const TEXT_EXTRA_BYTES: usize = 12;

/// Most processes of one device on the wire.
pub const PROCESSES_MAX: usize = 64;
/// Most absent readings of one device on the wire.
pub const ABSENT_MAX: usize = 256;
