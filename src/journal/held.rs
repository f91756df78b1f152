//! What the journal holds in memory: the truth of which the disk has a copy.

use std::collections::{BTreeMap, BTreeSet};

use super::record::{NAME_BYTES_MAX, Record, RecordKind, record_bytes};
use super::{Entry, EntryKind, Limits, Refused, Sequence};
use crate::schema::Severity;

/// Everything alive, within the limits.
#[derive(Debug)]
pub(super) struct Held {
    limits: Limits,
    entries: BTreeMap<u64, Kept>,
    /// The sequences of each priority, so that the oldest of the lowest is
    /// found without a search.
    by_priority: [BTreeSet<u64>; PRIORITIES],
    /// Bytes of each priority's entries, as they are in a segment.
    entry_bytes: [u64; PRIORITIES],
    named: BTreeMap<(NamedKind, Box<str>), Box<[u8]>>,
    named_bytes: u64,
    /// The next entry's sequence.
    next: u64,
}

/// An entry in memory.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) kind: EntryKind,
    pub(super) priority: Severity,
    pub(super) payload: Box<[u8]>,
}

/// What has a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum NamedKind {
    Cursor,
    Inventory,
}

impl Held {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            entries: BTreeMap::new(),
            by_priority: Default::default(),
            entry_bytes: [0; PRIORITIES],
            named: BTreeMap::new(),
            named_bytes: 0,
            next: 1,
        }
    }

    /// Takes an entry under the next sequence. Entries that gave way for it
    /// are told to `dropped`, oldest first.
    pub(super) fn append(
        &mut self,
        entry: Entry<'_>,
        dropped: impl FnMut(Sequence, Severity),
    ) -> Result<Sequence, Refused> {
        let sequence = self.next;
        self.admit(sequence, entry, dropped)?;
        Ok(Sequence(sequence))
    }

    /// Takes an entry under a sequence it already has.
    pub(super) fn admit(
        &mut self,
        sequence: u64,
        entry: Entry<'_>,
        mut dropped: impl FnMut(Sequence, Severity),
    ) -> Result<(), Refused> {
        let bytes_max = self.limits.payload_bytes_max as usize;
        if entry.payload.len() > bytes_max {
            return Err(Refused::Oversize { bytes: entry.payload.len(), bytes_max });
        }
        let bytes = record_bytes(0, entry.payload.len()) as u64;
        if !self.room_can_be_made(bytes, entry.priority) {
            return Err(Refused::Full { priority: entry.priority });
        }
        while self.entry_bytes_total() + bytes > self.limits.entry_bytes_max() {
            let (victim, priority) = self.oldest_of_the_lowest().expect("room can be made");
            self.remove(victim);
            dropped(Sequence(victim), priority);
        }
        let Entry { kind, priority, payload } = entry;
        self.entries.insert(sequence, Kept { kind, priority, payload: payload.into() });
        self.by_priority[priority as usize].insert(sequence);
        self.entry_bytes[priority as usize] += bytes;
        self.skip_to(sequence.saturating_add(1));
        Ok(())
    }

    /// Lets go of an entry; false when it is not held.
    pub(super) fn remove(&mut self, sequence: u64) -> bool {
        let Some(kept) = self.entries.remove(&sequence) else { return false };
        self.by_priority[kept.priority as usize].remove(&sequence);
        self.entry_bytes[kept.priority as usize] -= kept.bytes();
        true
    }

    /// Sets a named value, or forgets it when the value is empty; false when
    /// it is already so.
    pub(super) fn set(
        &mut self,
        kind: NamedKind,
        name: &str,
        value: &[u8],
    ) -> Result<bool, Refused> {
        if name.is_empty() || name.len() > NAME_BYTES_MAX {
            return Err(Refused::Name { bytes: name.len(), bytes_max: NAME_BYTES_MAX });
        }
        let bytes_max = self.limits.payload_bytes_max as usize;
        if value.len() > bytes_max {
            return Err(Refused::Oversize { bytes: value.len(), bytes_max });
        }
        let before = self.named(kind, name);
        if before.unwrap_or_default() == value {
            return Ok(false);
        }
        let bytes_before = before.map_or(0, |value| record_bytes(name.len(), value.len()) as u64);
        let bytes = match value.len() {
            0 => 0,
            length => record_bytes(name.len(), length) as u64,
        };
        let total = self.named_bytes - bytes_before + bytes;
        if total > u64::from(self.limits.named_bytes_max) {
            return Err(Refused::Names { bytes_max: self.limits.named_bytes_max });
        }
        self.named_bytes = total;
        let key = (kind, name.into());
        if value.is_empty() {
            self.named.remove(&key);
        } else {
            self.named.insert(key, value.into());
        }
        Ok(true)
    }

    /// Hands out no sequence below this one.
    pub(super) fn skip_to(&mut self, sequence: u64) {
        self.next = self.next.max(sequence);
    }

    pub(super) const fn next(&self) -> u64 {
        self.next
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.named.is_empty()
    }

    pub(super) fn named(&self, kind: NamedKind, name: &str) -> Option<&[u8]> {
        self.named.get(&(kind, name.into())).map(|value| &**value)
    }

    pub(super) fn all_named(&self, kind: NamedKind) -> impl Iterator<Item = (&str, &[u8])> {
        let of_kind = move |of: NamedKind| of == kind;
        self.named
            .iter()
            .filter(move |((of, _), _)| of_kind(*of))
            .map(|((_, name), value)| (&**name, &**value))
    }

    pub(super) fn entries_from(&self, sequence: u64) -> impl Iterator<Item = (Sequence, &Kept)> {
        self.entries.range(sequence..).map(|(sequence, kept)| (Sequence(*sequence), kept))
    }

    pub(super) fn count(&self) -> u64 {
        self.entries.len() as u64
    }

    /// Bytes of everything held, as it is in a segment.
    pub(super) fn bytes(&self) -> u64 {
        self.entry_bytes_total() + self.named_bytes
    }

    /// Everything held, as records: names first, then entries in order.
    pub(super) fn records(&self) -> impl Iterator<Item = Record<'_>> {
        let named = self
            .named
            .iter()
            .map(|((kind, name), value)| Record::named(kind.record_kind(), name, value));
        let entries = self.entries.iter().map(|(sequence, kept)| kept.record(*sequence));
        named.chain(entries)
    }

    fn entry_bytes_total(&self) -> u64 {
        self.entry_bytes.iter().sum()
    }

    /// Whether dropping what may give way to this priority leaves room.
    /// Critical entries never give way.
    fn room_can_be_made(&self, bytes: u64, priority: Severity) -> bool {
        let yielding = usize::from(priority as u8 + 1).min(Severity::Critical as usize);
        let yielding: u64 = self.entry_bytes[..yielding].iter().sum();
        self.entry_bytes_total() - yielding + bytes <= self.limits.entry_bytes_max()
    }

    fn oldest_of_the_lowest(&self) -> Option<(u64, Severity)> {
        self.by_priority.iter().enumerate().find_map(|(priority, sequences)| {
            let priority = Severity::from_number(priority as u8);
            sequences.first().map(|sequence| (*sequence, priority))
        })
    }
}

impl Kept {
    const fn bytes(&self) -> u64 {
        record_bytes(0, self.payload.len()) as u64
    }

    /// This entry as it stands in a segment.
    pub(super) fn record(&self, sequence: u64) -> Record<'_> {
        Record {
            kind: self.kind.record_kind(),
            priority: self.priority,
            sequence,
            name: "",
            payload: &self.payload,
        }
    }
}

impl NamedKind {
    pub(super) const fn record_kind(self) -> RecordKind {
        match self {
            Self::Cursor => RecordKind::Cursor,
            Self::Inventory => RecordKind::Inventory,
        }
    }
}

/// As many as [`Severity`] has.
pub(super) const PRIORITIES: usize = 4;
const _: () = assert!(Severity::Critical as usize + 1 == PRIORITIES);

#[cfg(test)]
mod tests {
    use Severity::{Critical, Error, Info, Warning};

    use super::*;

    const LIMITS: Limits =
        Limits { segment_bytes: 4096, payload_bytes_max: 224, named_bytes_max: 984 };

    /// Fills the journal's four places with `held`, offers `offered`, and
    /// compares the places of those that gave way.
    fn check(held: [Severity; 4], offered: Severity, gave_way: Result<&[u64], ()>) {
        // An entry takes 248 bytes; 1,000 bytes hold four.
        assert_eq!(LIMITS.entry_bytes_max(), 1000);
        let mut journal = Held::new(LIMITS);
        let entry = |priority| Entry { kind: EntryKind::Event, priority, payload: &[1; 224] };
        for priority in held {
            journal.append(entry(priority), |_, _| panic!("there is room")).unwrap();
        }
        let mut dropped = Vec::new();
        let outcome = journal.append(entry(offered), |sequence, _| dropped.push(sequence.0));
        assert_eq!(outcome.is_ok(), gave_way.is_ok(), "{held:?} {offered:?}");
        assert_eq!(dropped, gave_way.unwrap_or_default(), "{held:?} {offered:?}");
        assert_eq!(journal.count(), 4);
        assert_eq!(journal.bytes(), 4 * 248);
    }

    #[test]
    fn the_oldest_of_the_lowest_gives_way_and_a_critical_one_never() {
        check([Info, Info, Info, Info], Info, Ok(&[1]));
        check([Critical, Warning, Info, Error], Error, Ok(&[3]));
        check([Critical, Error, Warning, Warning], Critical, Ok(&[3]));
        check([Critical, Error, Error, Error], Info, Err(()));
        check([Critical, Critical, Critical, Error], Critical, Ok(&[4]));
        check([Critical, Critical, Critical, Critical], Error, Err(()));
        check([Critical, Critical, Critical, Critical], Critical, Err(()));
    }

    #[test]
    fn nothing_gives_way_for_an_entry_that_is_refused_anyway() {
        let mut journal = Held::new(LIMITS);
        let entry = |priority, payload| Entry { kind: EntryKind::Verdict, priority, payload };
        for _ in 0..3 {
            journal.append(entry(Critical, &[1; 224]), |_, _| panic!("there is room")).unwrap();
        }
        journal.append(entry(Info, &[1; 8]), |_, _| panic!("there is room")).unwrap();
        let refused = journal.append(entry(Warning, &[1; 225]), |_, _| panic!("gave way"));
        assert_eq!(refused, Err(Refused::Oversize { bytes: 225, bytes_max: 224 }));
        let refused = journal.append(entry(Error, &[1; 224]), |_, _| {});
        assert!(refused.is_ok(), "an info entry of 32 bytes leaves exactly room");
        let refused = journal.append(entry(Info, &[1; 8]), |_, _| panic!("gave way"));
        assert_eq!(refused, Err(Refused::Full { priority: Info }));
    }

    #[test]
    fn names_are_bounded_replaced_and_forgotten() {
        let mut journal = Held::new(LIMITS);
        let cursor = NamedKind::Cursor;
        assert_eq!(journal.set(cursor, "kmsg", b"1"), Ok(true));
        assert_eq!(journal.set(cursor, "kmsg", b"1"), Ok(false));
        assert_eq!(journal.set(NamedKind::Inventory, "kmsg", b"2"), Ok(true));
        assert_eq!(journal.named(cursor, "kmsg"), Some(&b"1"[..]));
        for name in ["a", "b", "c"] {
            assert_eq!(journal.set(cursor, name, &[1; 224]), Ok(true));
        }
        let full = journal.set(cursor, "d", &[1; 224]);
        assert_eq!(full, Err(Refused::Names { bytes_max: 984 }));
        for (kind, name) in
            [(cursor, "kmsg"), (NamedKind::Inventory, "kmsg"), (cursor, "a"), (cursor, "b")]
        {
            assert_eq!(journal.set(kind, name, b""), Ok(true));
        }
        assert_eq!(journal.set(cursor, "c", b""), Ok(true));
        assert!(journal.is_empty());
        assert_eq!(journal.bytes(), 0);
        let long = "x".repeat(257);
        for name in ["", long.as_str()] {
            assert!(matches!(journal.set(cursor, name, b"1"), Err(Refused::Name { .. })));
        }
    }
}
