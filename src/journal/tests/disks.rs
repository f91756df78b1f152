//! Disks and directories that are full, lost, shared or planted.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use super::super::disk::{ASIDE, FILE, REPLACEMENT};
use super::super::*;
use super::model::Model;
use super::{LIMITS, append, entry, open, payloads, scratch};

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
        Limits { payload_bytes_max: 1 << 21, segment_bytes: 16 << 20, named_bytes_max: 0 },
    ] {
        let outcome = Journal::open(directory.path(), limits);
        assert!(matches!(outcome, Err(JournalError::Limits { .. })), "{limits:?}");
    }
    assert!(Journal::open(directory.path(), Limits::default()).is_ok());
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
    // An older copy of this very journal is no more believed than any other.
    let copy = directory.path().join("copy");
    fs::copy(directory.path().join(FILE), &copy).unwrap();
    fs::rename(&copy, directory.path().join(FILE)).unwrap();
    journal.sync().unwrap();
    assert_eq!(journal.counts().set_aside, 2);
    assert_eq!(payloads(&journal), ["ours"]);
    drop(journal);
    assert_eq!(payloads(&open(directory.path()).0), ["ours"]);
}

/// Runs itself again in a child whose files may not grow past a limit: the
/// kernel then takes a part of a write and refuses the rest, as a full disk
/// does. The shell makes the child ignore the signal that comes with it.
#[test]
fn a_full_disk_loses_nothing_and_is_tried_again() {
    const NAME: &str = "journal::tests::disks::a_full_disk_loses_nothing_and_is_tried_again";
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
    for round in 0..30 {
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
    assert_eq!(journal.counts().sync_failures, 23);
    assert_eq!(journal.counts().held, 31);
    setrlimit(Resource::Fsize, before).unwrap();
    journal.sync().unwrap();
    let expected = Model::of(&journal);
    drop(journal);
    let (journal, _) = Journal::open(directory.path(), limits).unwrap();
    assert_eq!(Model::of(&journal), expected);
}
