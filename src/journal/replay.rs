//! From a file's statements to what is alive after them.

use std::collections::BTreeMap;

use super::held::NamedKind;
use super::record::{Record, RecordKind};
use super::segment::Parsed;
use super::{Entry, EntryKind};

/// What is alive after all of a file's records.
pub(super) struct Replayed<'a> {
    pub(super) entries: BTreeMap<u64, Entry<'a>>,
    pub(super) named: BTreeMap<(NamedKind, &'a str), &'a [u8]>,
    pub(super) sequence_next: u64,
}

impl<'a> Replayed<'a> {
    pub(super) fn of(parsed: &Parsed<'a>) -> Self {
        let mut entries = BTreeMap::new();
        let mut named = BTreeMap::new();
        let mut sequence_next = parsed.header.sequence_next;
        for (_, Record { kind, priority, sequence, name, payload }) in &parsed.records {
            sequence_next = sequence_next.max(sequence.saturating_add(1));
            let (priority, payload) = (*priority, *payload);
            match kind {
                RecordKind::Event => {
                    entries.insert(*sequence, Entry { kind: EntryKind::Event, priority, payload });
                }
                RecordKind::Verdict => {
                    entries
                        .insert(*sequence, Entry { kind: EntryKind::Verdict, priority, payload });
                }
                RecordKind::Acknowledgement | RecordKind::Drop => {
                    entries.remove(sequence);
                }
                RecordKind::Cursor => {
                    named.insert((NamedKind::Cursor, *name), payload);
                }
                RecordKind::Inventory => {
                    named.insert((NamedKind::Inventory, *name), payload);
                }
            }
        }
        Self { entries, named, sequence_next }
    }
}
