//! Memory and disk together.

use std::path::{Path, PathBuf};

use super::counts::{Counts, Recovered};
use super::disk::{AppendError, Disk, FILE};
use super::held::{Held, NamedKind};
use super::limits::SEGMENT_BYTES_MAX;
use super::record::{Record, RecordKind, SEQUENCE_END};
use super::replay::Replayed;
use super::segment::{Parsed, SegmentHeader, Unreadable, parse};
use super::{Entry, JournalError, Limits, Refused, Sequence, Unacknowledged};

/// Entries until acknowledged, and named values until superseded.
///
/// Memory is the truth, the file its copy. While the file can't be written,
/// everything goes on within the limits and each [`Journal::sync`] tries
/// again. Dropping a journal syncs nothing.
#[derive(Debug)]
pub struct Journal {
    directory: PathBuf,
    limits: Limits,
    held: Held,
    counts: Counts,
    disk: Option<Disk>,
    /// Whether the file was ever read. From then on memory is the truth, and
    /// another file under the same name is set aside.
    was_read: bool,
    next: NextSync,
    salt: u64,
    /// Where the file's records end.
    end: u64,
    /// Records for behind `end`, encoded for that place.
    pending: Vec<u8>,
}

/// What the next sync does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NextSync {
    /// Appends what is pending.
    Append,
    /// Writes everything that is alive to a new file.
    Rewrite,
}

impl Journal {
    /// Opens the journal in a directory, which is made if need be.
    ///
    /// # Errors
    /// When another process has it open, when a later version wrote it, or
    /// when the limits contradict each other. A disk that does not work is no
    /// error here; see [`Recovered::trouble`].
    pub fn open(
        directory: impl AsRef<Path>,
        limits: Limits,
    ) -> Result<(Self, Recovered), JournalError> {
        let limits = limits.checked()?;
        let mut journal = Self {
            directory: directory.as_ref().into(),
            limits,
            held: Held::new(limits),
            counts: Counts::default(),
            disk: None,
            was_read: false,
            next: NextSync::Rewrite,
            salt: 0,
            end: 0,
            pending: Vec::new(),
        };
        let trouble = match journal.sync() {
            Ok(()) => None,
            Err(error @ JournalError::Disk { .. }) => Some(error),
            Err(error) => return Err(error),
        };
        let recovered = Recovered { counts: journal.counts(), trouble };
        Ok((journal, recovered))
    }

    /// Takes an entry. It is accepted once [`Self::sync`] has returned.
    ///
    /// # Errors
    /// When it is too long, or when the journal is full of what matters more.
    pub fn append(&mut self, entry: Entry<'_>) -> Result<Sequence, Refused> {
        let mut dropped = Vec::new();
        let outcome = self.held.append(entry, |sequence, priority| {
            dropped.push((sequence.0, priority));
        });
        for (sequence, priority) in dropped {
            self.counts.dropped[priority as usize] += 1;
            self.note(&Record::about(RecordKind::Drop, sequence));
        }
        let sequence = self.counted(outcome)?;
        self.counts.appended += 1;
        let Entry { kind, priority, payload } = entry;
        let kind = kind.record_kind();
        self.note(&Record { kind, priority, sequence: sequence.0, name: "", payload });
        Ok(sequence)
    }

    /// Lets go of an entry that arrived where it should; false when it is not
    /// held, since it was acknowledged before or gave way.
    pub fn acknowledge(&mut self, sequence: Sequence) -> bool {
        let was_held = self.held.remove(sequence.0);
        if was_held {
            self.counts.acknowledged += 1;
            self.note(&Record::about(RecordKind::Acknowledgement, sequence.0));
        }
        was_held
    }

    /// Remembers where a named reader stands. An empty value forgets it.
    ///
    /// # Errors
    /// When the name or value is too long or all of them together are.
    pub fn set_cursor(&mut self, name: &str, value: &[u8]) -> Result<(), Refused> {
        self.set(NamedKind::Cursor, name, value)
    }

    /// Remembers a named description. An empty value forgets it.
    ///
    /// # Errors
    /// When the name or value is too long or all of them together are.
    pub fn set_inventory(&mut self, name: &str, value: &[u8]) -> Result<(), Refused> {
        self.set(NamedKind::Inventory, name, value)
    }

    /// Makes everything taken so far durable: one write and one fsync however
    /// much it is, or a rewrite of the file when it is full.
    ///
    /// # Errors
    /// When the disk does not work. Nothing is forgotten; call again later.
    pub fn sync(&mut self) -> Result<(), JournalError> {
        let outcome = self.attach().and_then(|mut disk| {
            let outcome = match self.next {
                NextSync::Append => self.write_pending(&mut disk),
                NextSync::Rewrite => self.rewrite(&mut disk),
            };
            self.disk = Some(disk);
            outcome
        });
        self.counts.sync_failures += u64::from(outcome.is_err());
        outcome
    }

    /// Where a named reader stands.
    #[must_use]
    pub fn cursor(&self, name: &str) -> Option<&[u8]> {
        self.held.named(NamedKind::Cursor, name)
    }

    /// A named description.
    #[must_use]
    pub fn inventory(&self, name: &str) -> Option<&[u8]> {
        self.held.named(NamedKind::Inventory, name)
    }

    /// All named descriptions, by name.
    pub fn inventories(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.held.all_named(NamedKind::Inventory)
    }

    /// The entries that wait, in order.
    pub fn unacknowledged(&self) -> impl Iterator<Item = Unacknowledged<'_>> {
        self.unacknowledged_from(Sequence(0))
    }

    /// The entries that wait, in order, from this sequence on.
    pub fn unacknowledged_from(
        &self,
        sequence: Sequence,
    ) -> impl Iterator<Item = Unacknowledged<'_>> {
        self.held.entries_from(sequence.0).map(|(sequence, kept)| Unacknowledged {
            sequence,
            kind: kept.kind,
            priority: kept.priority,
            payload: &kept.payload,
        })
    }

    /// What went in and where it went.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts {
            held: self.held.count(),
            live_bytes: self.held.bytes(),
            file_bytes: self.end,
            ..self.counts
        }
    }

    fn set(&mut self, kind: NamedKind, name: &str, value: &[u8]) -> Result<(), Refused> {
        let outcome = self.held.set(kind, name, value);
        if self.counted(outcome)? {
            self.note(&Record::named(kind.record_kind(), name, value));
        }
        Ok(())
    }

    fn counted<T>(&mut self, outcome: Result<T, Refused>) -> Result<T, Refused> {
        match outcome {
            Err(Refused::Full { .. } | Refused::Names { .. }) => self.counts.refused_full += 1,
            Err(Refused::Oversize { .. } | Refused::Name { .. }) => self.counts.refused_size += 1,
            Ok(_) => {}
        }
        outcome
    }

    /// Prepares a record for the next sync. Where it does not fit behind the
    /// others, the next sync writes all that is alive instead.
    fn note(&mut self, record: &Record<'_>) {
        if self.next == NextSync::Rewrite {
            return;
        }
        let bytes = self.pending.len() + record.bytes();
        let place = self.end + self.pending.len() as u64;
        if bytes > self.limits.pending_bytes_max()
            || self.end + bytes as u64 > u64::from(self.limits.segment_bytes)
        {
            self.rewrite_next();
        } else {
            record.encode(self.salt, place, &mut self.pending);
        }
    }

    fn rewrite_next(&mut self) {
        self.next = NextSync::Rewrite;
        self.pending.clear();
    }

    /// The disk that the journal has, or a newly opened one.
    fn attach(&mut self) -> Result<Disk, JournalError> {
        if let Some(disk) = self.disk.take_if(|disk| disk.is_in_place()) {
            return Ok(disk);
        }
        // The old lock goes first: two of one process exclude each other.
        self.disk = None;
        self.rewrite_next();
        self.end = 0;
        let mut disk = Disk::open(&self.directory)?;
        if self.was_read {
            self.counts.set_aside += u64::from(disk.set_aside()?);
            return Ok(disk);
        }
        let Some(bytes) = disk.read()? else {
            self.was_read = true;
            return Ok(disk);
        };
        let overlong = bytes.len() > SEGMENT_BYTES_MAX as usize;
        let parsed = if overlong { Err(Unreadable::Header) } else { parse(&bytes) };
        match parsed {
            Ok(parsed) => self.absorb(&parsed),
            Err(Unreadable::Layout(layout)) => {
                return Err(JournalError::Layout { path: self.directory.join(FILE), layout });
            }
            Err(Unreadable::Header) => self.counts.set_aside += u64::from(disk.set_aside()?),
        }
        self.was_read = true;
        Ok(disk)
    }

    /// Takes over what a file says. Entries taken while it could not be read
    /// keep their sequences; the file's entries then get new ones.
    fn absorb(&mut self, parsed: &Parsed<'_>) {
        let Replayed { entries, named, sequence_next } = Replayed::of(parsed);
        // A forged sequence near the end of all numbers is not carried on.
        let plausible = sequence_next <= SEQUENCE_END / 2;
        let untouched = plausible && self.held.is_empty() && self.held.next() == 1;
        for ((kind, name), value) in named {
            if self.held.named(kind, name).is_none() {
                let outcome = self.held.set(kind, name, value);
                // Counted; the limits have shrunk since it was written.
                let _ = self.counted(outcome);
            }
        }
        if plausible && !untouched {
            self.held.skip_to(sequence_next);
        }
        let dropped_before: u64 = self.counts.dropped.iter().sum();
        for (sequence, entry) in entries {
            self.counts.recovered += 1;
            let sequence = if untouched { sequence } else { self.held.next() };
            let counts = &mut self.counts.dropped;
            let outcome =
                self.held.admit(sequence, entry, |_, priority| counts[priority as usize] += 1);
            counts[entry.priority as usize] += u64::from(outcome.is_err());
        }
        if plausible {
            self.held.skip_to(sequence_next);
        }
        self.counts.torn_bytes += parsed.torn_bytes as u64;
        self.counts.corrupt_gaps += parsed.corrupt_gaps as u64;
        self.counts.corrupt_bytes += parsed.corrupt_bytes as u64;
        let dropped: u64 = self.counts.dropped.iter().sum();
        let whole = parsed.torn_bytes == 0 && parsed.corrupt_gaps == 0;
        if untouched && whole && dropped == dropped_before {
            self.next = NextSync::Append;
            self.salt = parsed.header.salt;
            self.end = parsed.end as u64;
        }
    }

    fn write_pending(&mut self, disk: &mut Disk) -> Result<(), JournalError> {
        if self.pending.is_empty() {
            return Ok(());
        }
        match disk.append(self.end, &self.pending) {
            Ok(()) => {
                self.end += self.pending.len() as u64;
                self.pending.clear();
                Ok(())
            }
            Err(AppendError::Retry(error)) => Err(error),
            Err(AppendError::Unsound(error)) => {
                self.rewrite_next();
                Err(error)
            }
        }
    }

    fn rewrite(&mut self, disk: &mut Disk) -> Result<(), JournalError> {
        let salt = random_salt().map_err(|source| JournalError::Disk {
            act: "draw random bytes for",
            path: self.directory.join(FILE),
            source,
        })?;
        let header = SegmentHeader { salt, sequence_next: self.held.next() };
        let mut bytes = Vec::with_capacity(
            SegmentHeader::BYTES + usize::try_from(self.held.bytes()).unwrap_or(0),
        );
        header.encode(&mut bytes);
        for record in self.held.records() {
            record.encode(salt, bytes.len() as u64, &mut bytes);
        }
        debug_assert!(bytes.len() <= self.limits.segment_bytes as usize / 2, "half stays free");
        disk.replace(&bytes)?;
        self.next = NextSync::Append;
        self.salt = salt;
        self.end = bytes.len() as u64;
        self.counts.rewrites += 1;
        Ok(())
    }

    /// What the next sync would append, for tests that tear it.
    #[cfg(test)]
    pub(super) fn pending(&self) -> &[u8] {
        &self.pending
    }
}

fn random_salt() -> Result<u64, std::io::Error> {
    let mut bytes = [0; 8];
    let drawn = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::NONBLOCK)?;
    if drawn != bytes.len() {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    Ok(u64::from_le_bytes(bytes))
}
