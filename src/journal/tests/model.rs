//! What the journal does and what a plain model of it does, crash by crash.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use proptest::prelude::*;

use super::super::disk::{FILE, REPLACEMENT};
use super::super::*;
use super::{entry, open, scratch};

/// The plain model: a list of entries and a list of names.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Model {
    entries: Vec<(u64, Severity, Vec<u8>)>,
    cursors: Vec<(&'static str, Vec<u8>)>,
}

/// The model, and every state it went through since the last sync.
#[derive(Default)]
struct Twin {
    now: Model,
    since_sync: Vec<Model>,
    /// Numbers up to this were accepted, and no crash may bring them back.
    used: u64,
    /// The number handed out last.
    last: u64,
}

#[derive(Debug, Clone)]
enum Act {
    Append(u8, usize),
    Acknowledge(prop::sample::Index),
    Cursor(usize, u8),
    Sync,
    /// Crash while the next sync has written this part of its bytes.
    Crash(prop::sample::Index, bool),
}

const NAMES: [&str; 3] = ["kmsg", "stream", "ktrace"];

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        8 => (0..4_u8, 0..=224_usize).prop_map(|(priority, length)| Act::Append(priority, length)),
        4 => any::<prop::sample::Index>().prop_map(Act::Acknowledge),
        1 => (0..NAMES.len(), 0..4_u8).prop_map(|(name, value)| Act::Cursor(name, value)),
        3 => Just(Act::Sync),
        1 => (any::<prop::sample::Index>(), any::<bool>())
            .prop_map(|(part, junk)| Act::Crash(part, junk)),
    ]
}

impl Model {
    fn entry_bytes(&self) -> usize {
        self.entries.iter().map(|(.., payload)| 24 + payload.len().div_ceil(8) * 8).sum()
    }

    /// The place of the entry that gives way to this priority.
    fn victim(&self, priority: Severity) -> Option<usize> {
        let lowest = self.entries.iter().map(|(_, priority, _)| *priority).min()?;
        let yields = lowest <= priority && lowest != Severity::Critical;
        yields.then(|| self.entries.iter().position(|(_, of, _)| *of == lowest))?
    }

    pub(super) fn of(journal: &Journal) -> Self {
        let entry =
            |entry: Unacknowledged<'_>| (entry.sequence.0, entry.priority, entry.payload.to_vec());
        let cursor = |name: &&'static str| Some((*name, journal.cursor(name)?.to_vec()));
        Self {
            entries: journal.unacknowledged().map(entry).collect(),
            cursors: NAMES.iter().filter_map(cursor).collect(),
        }
    }
}

impl Twin {
    fn change(&mut self, change: impl FnOnce(&mut Model)) {
        change(&mut self.now);
        self.since_sync.push(self.now.clone());
    }

    fn append(&mut self, journal: &mut Journal, priority: Severity, payload: Vec<u8>) {
        let taken = journal.append(entry(priority, &payload));
        let before = self.now.clone();
        let bytes = 24 + payload.len().div_ceil(8) * 8;
        let states = self.since_sync.len();
        while self.now.entry_bytes() + bytes > 1000 {
            let Some(victim) = self.now.victim(priority) else {
                assert_eq!(taken, Err(Refused::Full { priority }));
                self.now = before;
                self.since_sync.truncate(states);
                return;
            };
            self.change(|model| drop(model.entries.remove(victim)));
        }
        let sequence = taken.expect("the model has room").0;
        assert!(sequence > self.used, "{sequence} was handed out before");
        assert!(before.entries.iter().all(|(earlier, ..)| *earlier < sequence));
        self.last = sequence;
        self.change(|model| model.entries.push((sequence, priority, payload)));
    }

    fn acknowledge(&mut self, journal: &mut Journal, which: prop::sample::Index) {
        if self.now.entries.is_empty() {
            assert!(!journal.acknowledge(Sequence(which.index(9) as u64 + 1_000_000)));
            return;
        }
        let place = which.index(self.now.entries.len());
        let sequence = Sequence(self.now.entries[place].0);
        assert!(journal.acknowledge(sequence));
        assert!(!journal.acknowledge(sequence), "once is enough");
        self.change(|model| drop(model.entries.remove(place)));
    }

    fn set_cursor(&mut self, journal: &mut Journal, name: &'static str, value: u8) {
        // Zero forgets the name.
        let value = vec![value; usize::from(value)];
        journal.set_cursor(name, &value).unwrap();
        self.change(|model| {
            model.cursors.retain(|(of, _)| *of != name);
            if !value.is_empty() {
                model.cursors.push((name, value));
            }
            let place = |name: &str| NAMES.iter().position(|of| *of == name);
            model.cursors.sort_by_key(|(name, _)| place(name));
        });
    }

    fn sync(&mut self, journal: &mut Journal) {
        journal.sync().unwrap();
        self.used = self.used.max(self.last);
        self.since_sync = vec![self.now.clone()];
    }

    fn crash(&mut self, journal: Journal, directory: &Path, part: usize, junk: bool) -> Journal {
        let pending = journal.pending().to_vec();
        drop(journal);
        let cut = part % (pending.len() + 1);
        let mut file = File::options().append(true).open(directory.join(FILE)).unwrap();
        file.write_all(&pending[..cut]).unwrap();
        if junk {
            let mut junk = *b"what stood on the disk before";
            // Never the very byte that was to come: one byte of luck in 256
            // would make the torn record whole.
            junk[0] = pending.get(cut).map_or(junk[0], |next| !next);
            file.write_all(&junk).unwrap();
            fs::write(directory.join(REPLACEMENT), &pending[cut..]).unwrap();
        }
        let (journal, recovered) = open(directory);
        let found = Model::of(&journal);
        if cut == 0 {
            assert_eq!(found, self.since_sync[0], "what was synced, and that only");
        } else if cut == pending.len() {
            assert_eq!(&found, self.since_sync.last().unwrap());
        }
        assert!(self.since_sync.contains(&found), "{found:?} is no state of the model");
        assert_eq!(recovered.counts.recovered, found.entries.len() as u64);
        assert_eq!(recovered.counts.corrupt_gaps, 0);
        assert!(!junk || recovered.counts.torn_bytes >= 29);
        let highest = found.entries.last().map_or(0, |(sequence, ..)| *sequence);
        self.used = self.used.max(highest);
        self.last = self.used;
        self.now = found;
        self.since_sync = vec![self.now.clone()];
        journal
    }
}

proptest! {
    #[test]
    fn what_was_accepted_is_there_exactly_once_and_in_order(
        acts in prop::collection::vec(act(), 1..120),
    ) {
        let directory = scratch();
        let (mut journal, _) = open(directory.path());
        let mut twin = Twin { since_sync: vec![Model::default()], ..Twin::default() };
        for (count, act) in acts.into_iter().enumerate() {
            match act {
                Act::Append(priority, length) => {
                    let mut payload = vec![count as u8; length];
                    payload.iter_mut().zip(count.to_be_bytes()).for_each(|(to, from)| *to = from);
                    twin.append(&mut journal, Severity::from_number(priority), payload);
                }
                Act::Acknowledge(which) => twin.acknowledge(&mut journal, which),
                Act::Cursor(name, value) => twin.set_cursor(&mut journal, NAMES[name], value),
                Act::Sync => twin.sync(&mut journal),
                Act::Crash(part, junk) => {
                    let part = part.index(4096);
                    journal = twin.crash(journal, directory.path(), part, junk);
                }
            }
            prop_assert_eq!(&Model::of(&journal), &twin.now);
            prop_assert!(journal.counts().conserve(), "{:?}", journal.counts());
            let bytes = fs::metadata(directory.path().join(FILE)).unwrap().len();
            prop_assert!(bytes <= 4096, "the file has {} bytes", bytes);
        }
    }
}
