//! What the samplers of GPUs and NPUs share: a vendor's library in a child
//! process, and a parent that survives whatever becomes of it.
//!
//! Drivers of accelerators are known to hang for ever, beyond SIGKILL. So the
//! library is loaded by a child, one thread per device, and what the child
//! finds crosses a bounded pipe in fixed records ([`record`]). A vendor writes
//! a [`Library`] with its [`Reader`] and nothing else; which call runs, since
//! when, at which period, what is absent and what it costs is the frame's.

pub mod calls;
pub mod library;
pub mod record;
pub mod sheet;

pub mod settings;
pub mod stand_in;

mod facts;
mod fleet;
mod hung;
mod inventory;
mod known;
mod open_faults;
mod parent;
mod round;
mod serve;
mod serving;

pub use calls::{Calls, Tally};
pub use facts::Facts;
pub use library::{
    Failure, Found, Group, Identity, Kind, Library, Notice, NoticeKind, Reader, Wanted,
};
pub use parent::{Accelerators, ParentPlan, STUCK_MAX};
pub use serve::{Periods, ServePlan, serve};
pub use sheet::{Absences, Sheet};

/// Whether a library is a stand-in, which has its scenario beside it.
#[must_use]
pub fn is_stand_in(library: &std::path::Path) -> bool {
    let mut scenario = library.as_os_str().to_owned();
    scenario.push(SCENARIO);
    library.is_absolute() && std::path::Path::new(&scenario).is_file()
}

/// What the scenario of a stand-in is called, behind the library's own name.
pub const SCENARIO: &str = ".scenario";
