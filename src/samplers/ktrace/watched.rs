//! Which trace events are watched, by the names that NVIDIA's open kernel
//! modules give them (`kernel-open/nvidia/nv-tracepoint.h` and its sibling of
//! NVSwitch).

use crate::schema::EventKind;

/// A trace event, and which of its fields says what.
#[derive(Debug, PartialEq, Eq)]
pub struct Watched {
    /// The group in `events/`.
    pub group: &'static str,
    /// The event in its group.
    pub name: &'static str,
    /// What it is to us.
    pub kind: EventKind,
    /// What people call its number.
    pub number: &'static str,
    /// The field with the device's PCI address.
    pub device: &'static str,
    /// The field with the number.
    pub code: &'static str,
    /// The field with the text.
    pub text: &'static str,
}

/// Every trace event that is watched.
pub static WATCHED: [Watched; 2] = [
    Watched {
        group: "nvidia",
        name: "nvidia_dev_xid",
        kind: EventKind::Xid,
        number: "Xid",
        device: "dev",
        code: "error_code",
        text: "msg",
    },
    Watched {
        group: "nvswitch",
        name: "nvswitch_dev_sxid",
        kind: EventKind::Sxid,
        number: "SXid",
        device: "dev",
        code: "error_code",
        text: "msg",
    },
];
