//! The journal at its door: against a plain model, against damage, and
//! against disks that do not work.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use proptest::prelude::*;
use tempfile::TempDir;

use super::disk::{ASIDE, FILE, REPLACEMENT};
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

/// The plain model: a list of entries and a list of names.
#[derive(Debug, Clone, PartialEq, Default)]
struct Model {
    entries: Vec<(u64, Severity, Vec<u8>)>,
    cursors: Vec<(&'static str, Vec<u8>)>,
}

/// The model, and every state it went through since the last sync.
#[derive(Default)]
struct Twin {
    now: Model,
    since_sync: Vec<Model>,
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

    fn of(journal: &Journal) -> Self {
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
        assert!(before.entries.iter().all(|(earlier, ..)| *earlier < sequence));
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
        self.since_sync = vec![self.now.clone()];
    }

    fn crash(&mut self, journal: Journal, directory: &Path, part: usize, junk: bool) -> Journal {
        let pending = journal.pending().to_vec();
        drop(journal);
        let cut = part % (pending.len() + 1);
        let mut file = File::options().append(true).open(directory.join(FILE)).unwrap();
        file.write_all(&pending[..cut]).unwrap();
        if junk {
            file.write_all(b"what stood on the disk before").unwrap();
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

/// The bytes of a journal with three entries, one acknowledged, and a name.
fn small_journal() -> Vec<u8> {
    let directory = scratch();
    let (mut journal, _) = open(directory.path());
    let first = append(&mut journal, "one");
    append(&mut journal, "two");
    append(&mut journal, "three");
    journal.acknowledge(first);
    journal.set_cursor("kmsg", b"41").unwrap();
    journal.sync().unwrap();
    fs::read(directory.path().join(FILE)).unwrap()
}

#[test]
fn a_file_cut_at_any_byte_opens_with_what_is_whole() {
    let bytes = small_journal();
    let states: [&[&str]; 6] = [
        &[],
        &["one"],
        &["one", "two"],
        &["one", "two", "three"],
        &["two", "three"],
        &["two", "three"],
    ];
    for cut in 0..=bytes.len() {
        let directory = scratch();
        fs::write(directory.path().join(FILE), &bytes[..cut]).unwrap();
        let (mut journal, recovered) = open(directory.path());
        let whole = parse(&bytes[..cut]).map_or(0, |parsed| parsed.records.len());
        assert_eq!(payloads(&journal), states[whole], "cut at {cut}");
        assert_eq!(journal.cursor("kmsg").is_some(), whole == 5, "cut at {cut}");
        assert_eq!(recovered.counts.set_aside, u64::from(cut < SegmentHeader::BYTES));
        append(&mut journal, "later");
        journal.sync().unwrap();
        let expected = payloads(&journal);
        drop(journal);
        let (journal, recovered) = open(directory.path());
        assert_eq!(payloads(&journal), expected, "cut at {cut}");
        assert_eq!(recovered.counts.torn_bytes, 0, "the tear at {cut} was cut off");
    }
}

#[test]
fn no_flipped_bit_harms_more_than_one_statement() {
    let bytes = small_journal();
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let directory = scratch();
        fs::write(directory.path().join(FILE), &flipped).unwrap();
        let (journal, recovered) = open(directory.path());
        let found = payloads(&journal);
        let cursor = journal.cursor("kmsg");
        assert!(matches!(cursor, None | Some(b"41")), "bit {bit}");
        let found: Vec<&str> = found.iter().map(String::as_str).collect();
        let outcome = (found.as_slice(), cursor.is_some());
        // Nothing, an entry, its acknowledgement or the name is lost.
        let expected: [(&[&str], bool); 5] = [
            (&["two", "three"], true),
            (&["three"], true),
            (&["two"], true),
            (&["one", "two", "three"], true),
            (&["two", "three"], false),
        ];
        assert!(expected.contains(&outcome), "bit {bit}: {outcome:?}");
        let counts = recovered.counts;
        let harmed = counts.torn_bytes + counts.corrupt_bytes > 0;
        assert_eq!(harmed, bit / 8 >= SegmentHeader::BYTES, "bit {bit}");
        assert!(counts.conserve());
    }
}

#[test]
fn one_agent_at_a_time_and_for_its_eyes_only() {
    let directory = scratch();
    let path = directory.path().join("made/as/needed");
    let (journal, _) = open(&path);
    let second = Journal::open(&path, LIMITS);
    assert!(matches!(second, Err(JournalError::Busy { .. })), "{second:?}");
    for file in fs::read_dir(&path).unwrap() {
        assert_eq!(file.unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
    drop(journal);
    open(&path);
}

#[test]
fn limits_that_leave_no_room_are_refused() {
    let directory = scratch();
    for limits in [
        Limits { segment_bytes: 0, ..LIMITS },
        Limits { segment_bytes: u32::MAX, ..LIMITS },
        Limits { named_bytes_max: 1500, ..LIMITS },
        Limits { payload_bytes_max: 1 << 21, segment_bytes: 64 << 20, named_bytes_max: 0 },
    ] {
        let outcome = Journal::open(directory.path(), limits);
        assert!(matches!(outcome, Err(JournalError::Limits { .. })), "{limits:?}");
    }
    assert!(Journal::open(directory.path(), Limits::default()).is_ok());
}

#[test]
fn a_later_versions_file_is_left_alone() {
    let directory = scratch();
    let file = directory.path().join(FILE);
    let mut bytes = small_journal();
    bytes[8] = 2;
    let crc = crc32fast::hash(&bytes[..28]);
    bytes[28..32].copy_from_slice(&crc.to_le_bytes());
    bytes.copy_within(0..32, 32);
    fs::write(&file, &bytes).unwrap();
    let outcome = Journal::open(directory.path(), LIMITS);
    assert!(matches!(outcome, Err(JournalError::Layout { layout: 2, .. })), "{outcome:?}");
    assert_eq!(fs::read(&file).unwrap(), bytes);
}

#[test]
fn what_no_longer_fits_smaller_limits_gives_way_and_is_counted() {
    let directory = scratch();
    let (mut journal, _) = Journal::open(directory.path(), Limits::default()).unwrap();
    for priority in [Severity::Info, Severity::Critical, Severity::Warning] {
        for _ in 0..4 {
            journal.append(entry(priority, &[7; 200])).unwrap();
        }
    }
    journal.append(entry(Severity::Critical, &[7; 300])).unwrap();
    journal.sync().unwrap();
    drop(journal);
    let (journal, recovered) = open(directory.path());
    assert_eq!(
        journal.unacknowledged().map(|entry| entry.sequence.0).collect::<Vec<_>>(),
        [5, 6, 7, 8]
    );
    assert_eq!(recovered.counts.recovered, 13);
    assert_eq!(recovered.counts.dropped, [4, 4, 0, 1]);
    assert!(recovered.counts.conserve());
}

/// Opens a journal where `obstacle` was put, sees it work in memory, and sees
/// it reach the disk after `remedy`.
fn check_obstacle(obstacle: impl FnOnce(&Path), remedy: impl FnOnce(&Path)) {
    let parent = scratch();
    let path = parent.path().join("state");
    obstacle(&path);
    let (mut journal, recovered) = open(&path);
    let trouble = recovered.trouble.expect("an obstacle").to_string();
    assert!(trouble.contains("state"), "{trouble}");
    append(&mut journal, "kept");
    assert!(matches!(journal.sync(), Err(JournalError::Disk { .. })));
    assert_eq!(payloads(&journal), ["kept"]);
    assert_eq!(journal.counts().sync_failures, 2);
    remedy(&path);
    journal.sync().unwrap();
    drop(journal);
    assert!(payloads(&open(&path).0).contains(&"kept".to_owned()));
}

#[test]
fn a_file_in_place_of_the_directory_is_waited_for() {
    check_obstacle(|path| fs::write(path, "").unwrap(), |path| fs::remove_file(path).unwrap());
}

#[test]
fn a_planted_link_is_not_followed() {
    check_obstacle(
        |path| {
            fs::create_dir(path).unwrap();
            fs::write(path.join("precious"), "precious").unwrap();
            symlink("precious", path.join(FILE)).unwrap();
        },
        |path| {
            assert_eq!(fs::read_to_string(path.join("precious")).unwrap(), "precious");
            fs::remove_file(path.join(FILE)).unwrap();
        },
    );
}

#[test]
fn a_planted_pipe_does_not_hold_the_agent() {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    check_obstacle(
        |path| {
            fs::create_dir(path).unwrap();
            mknodat(CWD, path.join(FILE), FileType::Fifo, Mode::RWXU, 0).unwrap();
        },
        |path| fs::remove_file(path.join(FILE)).unwrap(),
    );
}

#[test]
fn what_was_taken_before_the_disk_came_joins_what_is_on_it() {
    let before = scratch();
    let (mut journal, _) = open(before.path());
    append(&mut journal, "old one");
    append(&mut journal, "old two");
    journal.set_cursor("kmsg", b"old").unwrap();
    journal.set_cursor("stream", b"old").unwrap();
    journal.sync().unwrap();
    drop(journal);
    check_obstacle(
        |path| fs::write(path, "").unwrap(),
        |path| {
            fs::remove_file(path).unwrap();
            fs::create_dir(path).unwrap();
            fs::copy(before.path().join(FILE), path.join(FILE)).unwrap();
        },
    );
    let parent = scratch();
    let path = parent.path().join("state");
    fs::write(&path, "").unwrap();
    let (mut journal, _) = open(&path);
    let early = append(&mut journal, "new");
    journal.set_cursor("kmsg", b"new").unwrap();
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    fs::copy(before.path().join(FILE), path.join(FILE)).unwrap();
    for _ in 0..2 {
        journal.sync().unwrap();
        assert_eq!(payloads(&journal), ["new", "old one", "old two"]);
        assert_eq!(journal.cursor("kmsg"), Some(&b"new"[..]));
        assert_eq!(journal.cursor("stream"), Some(&b"old"[..]));
        assert!(journal.counts().conserve());
        drop(journal);
        (journal, _) = open(&path);
    }
    assert!(journal.acknowledge(early));
}

#[test]
fn a_lost_directory_is_made_again_from_memory() {
    let parent = scratch();
    let path = parent.path().join("state");
    let (mut journal, _) = open(&path);
    append(&mut journal, "accepted");
    journal.sync().unwrap();
    fs::remove_dir_all(&path).unwrap();
    journal.sync().expect("even with nothing to add");
    assert_eq!(parse(&fs::read(path.join(FILE)).unwrap()).unwrap().records.len(), 1);
    fs::rename(&path, parent.path().join("moved")).unwrap();
    append(&mut journal, "later");
    journal.sync().unwrap();
    drop(journal);
    assert_eq!(payloads(&open(&path).0), ["accepted", "later"]);
}

#[test]
fn a_foreign_file_under_the_name_is_set_aside() {
    let directory = scratch();
    let (mut journal, _) = open(directory.path());
    append(&mut journal, "ours");
    journal.sync().unwrap();
    fs::remove_file(directory.path().join(FILE)).unwrap();
    fs::write(directory.path().join(FILE), "theirs").unwrap();
    journal.sync().unwrap();
    assert_eq!(journal.counts().set_aside, 1);
    assert_eq!(fs::read_to_string(directory.path().join(ASIDE)).unwrap(), "theirs");
    drop(journal);
    assert_eq!(payloads(&open(directory.path()).0), ["ours"]);
}

#[test]
fn forged_sequences_do_not_end_the_numbers() {
    let directory = scratch();
    let mut bytes = Vec::new();
    SegmentHeader { salt: 1, sequence_next: 1 }.encode(&mut bytes);
    for sequence in [(1 << 62) - 1, 1 << 62, u64::MAX, 0] {
        let kind = RecordKind::Event;
        let payload = &u64::to_be_bytes(sequence)[..];
        let record = Record { kind, priority: Severity::Info, sequence, name: "", payload };
        record.encode(1, bytes.len() as u64, &mut bytes);
    }
    fs::write(directory.path().join(FILE), &bytes).unwrap();
    let (mut journal, recovered) = open(directory.path());
    assert_eq!(recovered.counts.recovered, 2);
    assert!(append(&mut journal, "next") < Sequence(10));
    journal.sync().unwrap();
    let expected = Model::of(&journal);
    drop(journal);
    assert_eq!(Model::of(&open(directory.path()).0), expected);
}

/// Runs itself again in a child whose files may not grow past a limit: the
/// kernel then takes a part of a write and refuses the rest, as a full disk
/// does. The shell makes the child ignore the signal that comes with it.
#[test]
fn a_full_disk_loses_nothing_and_is_tried_again() {
    const NAME: &str = "journal::tests::a_full_disk_loses_nothing_and_is_tried_again";
    const ROLE: &str = "EAGLE_EYE_TEST_FULL_DISK";
    if std::env::var_os(ROLE).is_some() {
        fill_the_disk();
        return;
    }
    let output = Command::new("sh")
        .args(["-c", "trap '' XFSZ; exec \"$0\" --exact \"$1\" --nocapture"])
        .arg(std::env::current_exe().unwrap())
        .arg(NAME)
        .env(ROLE, "child")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("1 passed"), "the child ran no test: {said}");
}

fn fill_the_disk() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let limits = Limits { segment_bytes: 65536, payload_bytes_max: 1024, named_bytes_max: 1024 };
    let directory = scratch();
    let (mut journal, _) = Journal::open(directory.path(), limits).unwrap();
    append(&mut journal, "accepted");
    journal.sync().unwrap();
    let before = getrlimit(Resource::Fsize);
    let mut small = before;
    small.current = Some(8192);
    setrlimit(Resource::Fsize, small).unwrap();
    for round in 0..20 {
        // Past 16 KiB pending the journal turns from appending to rewriting.
        journal.append(entry(Severity::Error, &[round; 1000])).unwrap();
        let outcome = journal.sync();
        assert_eq!(outcome.is_ok(), round < 7, "round {round}: {outcome:?}");
        if let Err(JournalError::Disk { source, .. }) = outcome {
            assert_eq!(source.kind(), ErrorKind::FileTooLarge);
        }
        assert!(!directory.path().join(REPLACEMENT).exists(), "its bytes are given back");
        let copy = scratch();
        let bytes = fs::read(directory.path().join(FILE)).unwrap();
        fs::write(copy.path().join(FILE), bytes).unwrap();
        let (crashed, _) = Journal::open(copy.path(), limits).unwrap();
        assert_eq!(crashed.counts().held, 1 + u64::from(round.min(6) + 1));
    }
    assert_eq!(journal.counts().sync_failures, 13);
    assert_eq!(journal.counts().held, 21);
    setrlimit(Resource::Fsize, before).unwrap();
    journal.sync().unwrap();
    let expected = Model::of(&journal);
    drop(journal);
    let (journal, _) = Journal::open(directory.path(), limits).unwrap();
    assert_eq!(Model::of(&journal), expected);
}
