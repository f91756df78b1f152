//! The journal at its door: against a plain model, against damage, and
//! against disks that do not work.

mod damage;
mod disks;
mod model;

use std::path::Path;

use tempfile::TempDir;

use super::*;

const LIMITS: Limits = Limits { segment_bytes: 4096, payload_bytes_max: 224, named_bytes_max: 984 };

/// A directory in memory where there is one: these tests are about what is
/// written, not about how fast a disk syncs.
fn scratch() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

fn open(directory: &Path) -> (Journal, Recovered) {
    Journal::open(directory, LIMITS).expect("nobody else has the journal")
}

fn entry(priority: Severity, payload: &[u8]) -> Entry<'_> {
    Entry { kind: EntryKind::Event, priority, payload }
}

fn payloads(journal: &Journal) -> Vec<String> {
    let text = |entry: Unacknowledged<'_>| String::from_utf8_lossy(entry.payload).into_owned();
    journal.unacknowledged().map(text).collect()
}

fn append(journal: &mut Journal, text: &str) -> Sequence {
    journal.append(entry(Severity::Warning, text.as_bytes())).expect("there is room")
}
