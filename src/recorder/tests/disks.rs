//! Bounds, and disks that are full, closed or gone.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;

fn on_disk(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).expect("a folder");
    entries.map(|entry| entry.unwrap().metadata().unwrap().len()).sum()
}

#[test]
fn the_disk_never_holds_more_than_it_may_and_the_newest_stays() {
    for backend in ways() {
        let dir = tempfile::tempdir().unwrap();
        let limits = Limits { bytes: 2 << 20, ..small() };
        let (mut writer, counts) = writer(dir.path(), limits, backend);
        for second in 0..300 {
            writer.append(at(second), FrameKind::Batch, &batch(second, 50_000));
            writer.turn(at(second));
            assert!(on_disk(dir.path()) <= limits.bytes);
            assert!(counts.snapshot().held_bytes <= limits.bytes);
        }
        writer.close(at(300));
        let (found, tally) = batches(dir.path());
        assert!(found.len() > 10 && found.ends_with(&[297, 298, 299]) && found.is_sorted());
        assert_eq!(found[0] + found.len() as u64, 300, "what stays is in one piece");
        assert_eq!((tally.damaged, tally.torn_bytes), (0, 0));
        assert_eq!(counts.snapshot().held_bytes, on_disk(dir.path()));
    }
}

#[test]
fn what_is_too_old_goes() {
    let dir = tempfile::tempdir().unwrap();
    let limits = Limits { age_ns: 800 * SECOND_NS, ..small() };
    let (mut writer, counts) = writer(dir.path(), limits, WriteBy::Pwrite);
    for second in (0..4000).step_by(10) {
        writer.append(at(second), FrameKind::Batch, &batch(second, 100));
        writer.turn(at(second));
    }
    let oldest = batches(dir.path()).0[0];
    assert!((2900..=3200).contains(&oldest), "{oldest}");
    let since_ns = counts.snapshot().since_wall_ns;
    assert_eq!(since_ns, at(oldest).wall_ns);
    writer.close(at(4000));
}

#[test]
fn a_disk_that_has_no_room_for_others_gets_nothing_and_is_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    let full = Limits { free_bytes: u64::MAX, ..small() };
    let (mut writer, counts) = writer(dir.path(), full, WriteBy::Pwrite);
    for second in 0..10 {
        writer.append(at(second), FrameKind::Batch, &batch(second, 100));
        writer.turn(at(second));
    }
    let said = counts.snapshot();
    assert!(said.trouble.as_ref().is_some_and(|why| why.contains("make room")), "{said:?}");
    assert_eq!((said.written, said.lost_disk), (0, 10));
    assert!((2..=6).contains(&said.failures), "a failed disk is left alone for a while: {said:?}");
}

#[test]
fn a_write_that_fails_costs_what_it_held_and_the_next_segment_goes_on() {
    // `/dev/full` takes nothing; it stands in for a segment's file.
    for backend in ways() {
        let dir = tempfile::tempdir().unwrap();
        let (mut writer, counts) = writer(dir.path(), small(), backend);
        writer.append(at(0), FrameKind::Batch, &batch(0, 100));
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        writer.replace_file(full);
        writer.append(at(1), FrameKind::Batch, &batch(1, 100));
        for second in 1..3 {
            writer.turn(at(second));
            writer.settle();
        }
        let said = counts.snapshot();
        assert!(said.trouble.is_some_and(|why| why.contains("make room")));
        assert_eq!((said.written, said.lost_disk), (0, 2));
        for second in 5..8 {
            writer.append(at(second), FrameKind::Batch, &batch(second, 100));
            writer.turn(at(second));
        }
        assert_eq!(counts.snapshot().trouble, None);
        writer.close(at(9));
        let (found, tally) = batches(dir.path());
        assert_eq!((found, tally.lost), (vec![5, 6, 7], 2), "{}", backend.name());
    }
}

#[test]
fn a_folder_that_disappears_is_made_anew() {
    for backend in ways() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("a/b");
        let (mut writer, counts) = writer(&folder, small(), backend);
        for second in 0..20 {
            if second == 10 {
                fs::remove_dir_all(dir.path().join("a")).unwrap();
            }
            writer.append(at(second), FrameKind::Batch, &batch(second, 100));
            writer.turn(at(second));
        }
        writer.close(at(20));
        let said = counts.snapshot();
        assert!(said.trouble.is_none() && said.failures == 1, "{said:?}");
        let (found, _) = batches(&folder);
        assert_eq!(found, (11..20).collect::<Vec<_>>());
    }
}

#[test]
fn a_folder_that_may_not_be_written_is_said_and_taken_once_it_may() {
    if rustix::process::geteuid().is_root() {
        eprintln!("a folder without rights was NOT tested: root has all of them");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o500)).unwrap();
    let (mut writer, counts) = writer(&dir.path().join("r"), small(), WriteBy::Pwrite);
    writer.append(at(1), FrameKind::Batch, &batch(1, 100));
    let said = counts.snapshot();
    assert!(said.trouble.is_some_and(|why| why.contains("let the agent write there")));
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
    writer.append(at(9), FrameKind::Batch, &batch(9, 100));
    writer.close(at(10));
    let (found, tally) = batches(&dir.path().join("r"));
    assert_eq!((found, tally.lost, counts.snapshot().trouble), (vec![9], 1, None));
}

#[test]
fn a_file_where_the_folder_should_be_is_trouble_and_no_panic() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("f");
    fs::write(&file, "").unwrap();
    let (mut writer, counts) = writer(&file, small(), WriteBy::Pwrite);
    writer.append(at(1), FrameKind::Batch, &batch(1, 100));
    writer.close(at(2));
    assert!(counts.snapshot().trouble.is_some());
}

#[test]
fn two_recorders_do_not_share_a_folder() {
    let dir = tempfile::tempdir().unwrap();
    let (mut first, _) = writer(dir.path(), small(), WriteBy::Pwrite);
    first.append(at(1), FrameKind::Batch, &batch(1, 100));
    let (mut second, counts) = writer(dir.path(), small(), WriteBy::Pwrite);
    second.append(at(1), FrameKind::Batch, &batch(2, 100));
    let said = counts.snapshot();
    assert!(said.trouble.is_some_and(|why| why.contains("another agent")));
    first.close(at(2));
    second.append(at(9), FrameKind::Batch, &batch(3, 100));
    second.close(at(10));
    assert_eq!(batches(dir.path()).0, [1, 3]);
}
