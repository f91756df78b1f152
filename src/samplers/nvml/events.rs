//! What the driver reports by itself.

use nvml_wrapper::EventSet;
use nvml_wrapper::error::NvmlError;

use super::failure::reason;
use super::library::NvmlLibrary;
use super::raw;
use crate::samplers::accelerator::{Calls, Failure, Notice, NoticeKind};
use crate::schema::{FaultPhase, FaultRecord, Severity};

/// A kind of event: its bit, its severity and what it is.
struct EventRow(u64, Severity, &'static str);

const XID: u64 = 8;

/// Kinds that matter; performance states and clocks are read instead.
static EVENTS: &[EventRow] = &[
    EventRow(0x2, Severity::Error, "an error of device memory could not be corrected"),
    EventRow(XID, Severity::Error, "Xid"),
    EventRow(0x100, Severity::Info, "the layout of instances is another"),
    EventRow(0x200, Severity::Warning, "many errors of device memory were corrected"),
    EventRow(0x400, Severity::Warning, "a part of device memory was taken out of use"),
    EventRow(0x800, Severity::Error, "a part of device memory could not be taken out of use"),
    EventRow(0x1000, Severity::Warning, "a process met poisoned memory and was ended"),
    EventRow(0x2000, Severity::Critical, "poisoned memory reached the whole device"),
    EventRow(0x4000, Severity::Critical, "the device is unavailable"),
    EventRow(0x8000, Severity::Warning, "the driver wants something done for recovery"),
];

/// Bits that every driver knows.
const BASIC: u64 = 0x2 | XID;

/// A set of events that the driver fills.
pub(super) struct Events {
    set: EventSet<'static>,
    covered: Vec<u32>,
}

impl Events {
    /// Has the driver fill a set with what happens to every GPU; none where it
    /// does not do that.
    pub(super) fn open(library: &NvmlLibrary, calls: &Calls) -> Option<Self> {
        let set = calls.call("nvmlEventSetCreate", || library.nvml.create_event_set()).ok()?;
        let mut events = Self { set, covered: Vec::new() };
        events.covered = library.gpus();
        for index in &events.covered {
            events.register(library, calls, *index);
        }
        Some(events)
    }

    /// Whether every GPU that is known is covered.
    pub(super) fn covers(&self, library: &NvmlLibrary) -> bool {
        self.covered == library.gpus()
    }

    fn register(&self, library: &NvmlLibrary, calls: &Calls, index: u32) {
        let all = EVENTS.iter().fold(0, |bits, row| bits | row.0);
        let name = format!("gpu{index}");
        let handle = "nvmlDeviceGetHandleByIndex_v2";
        let device = calls.call_about(&name, handle, || library.nvml.device_by_index(index));
        let Ok(device) = device else { return };
        // A driver that does not know a bit refuses them all.
        for bits in [all, 0x100 | BASIC, BASIC, XID] {
            let call = "nvmlDeviceRegisterEvents";
            let register = || raw::register(&device, bits, &self.set);
            if calls.call_about(&name, call, register).is_ok() {
                break;
            }
        }
    }

    /// Waits for one event and tells it.
    pub(super) fn wait(
        &self,
        library: &NvmlLibrary,
        calls: &Calls,
        limit_ms: u32,
        tell: &mut dyn FnMut(Notice),
    ) -> Result<(), Failure> {
        let waited = calls.wait("nvmlEventSetWait_v2", limit_ms, || {
            raw::wait_event(library.nvml, &self.set, limit_ms)
        });
        let event = match waited {
            Ok(Some(event)) => event,
            Ok(None) => return Ok(()),
            Err(NvmlError::GpuLost) => return Ok(()),
            Err(error) => return reason(&error).map(drop),
        };
        let device = library.name_of(event.device).unwrap_or_default();
        if let Some(index) = device.strip_prefix("gpu").and_then(|index| index.parse().ok()) {
            library.ask_recovery(index);
        }
        tell(notice(&event, device));
        Ok(())
    }
}

fn notice(event: &raw::Event, device: String) -> Notice {
    let row = EVENTS.iter().find(|row| event.kind & row.0 != 0);
    let Some(EventRow(bit, severity, what)) = row else {
        let text =
            format!("the driver reports {:#x}, which this build has no name for", event.kind);
        return Notice { device, code: event.kind, text, ..Notice::default() };
    };
    let severity = *severity;
    match (*bit, severity) {
        (XID, _) => Notice {
            kind: NoticeKind::Xid,
            text: format!("Xid {} by NVML", event.data),
            code: event.data,
            device,
            severity,
            fault: None,
        },
        (_, Severity::Info) => {
            Notice { device, severity, code: *bit, text: (*what).to_owned(), ..Notice::default() }
        }
        (bit, _) => Notice {
            kind: NoticeKind::Fault,
            text: (*what).to_owned(),
            code: bit,
            device,
            severity,
            fault: Some(FaultRecord {
                phase: FaultPhase::Occurred,
                severity: FaultRecord::SEVERITY_UNKNOWN,
                ..FaultRecord::default()
            }),
        },
    }
}
