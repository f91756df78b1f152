use super::*;
use std::path::{Path, PathBuf};

use crate::platform::doorbell::Doorbell;
use crate::samplers::{EventOutlet, Fact, OutletParts};
use crate::{newest, ring};

/// Of a 64-bit kernel with pages of 4 KiB.
pub(super) const HEADER_PAGE: &[u8] = include_bytes!("../../../tests/captures/ktrace/header_page");
pub(super) const FORMAT: &[u8] = include_bytes!("../../../tests/captures/ktrace/nvidia_dev_xid");

/// The files that are looked for before an instance is made.
pub(super) fn fake_tracefs(root: &Path, header_page: &[u8]) -> PathBuf {
    let tracefs = root.join("sys/kernel/tracing");
    std::fs::create_dir_all(tracefs.join("instances")).unwrap();
    std::fs::create_dir_all(tracefs.join("events")).unwrap();
    std::fs::write(tracefs.join("events/header_page"), header_page).unwrap();
    tracefs
}

fn opened(root: &Path) -> Opened {
    open(&Context::to_look(root.to_owned(), root.to_owned()), &Settings::default())
}

fn outlet() -> (Outlet, crossbeam_channel::Receiver<Fact>) {
    let (events, facts) = crossbeam_channel::bounded(16);
    let parts = OutletParts {
        steps: ring::ring(1).0,
        readings: ring::ring(64).0,
        step_table: newest::StepTable::heap(1),
        reading_table: newest::ReadingTable::heap(64),
        names: newest::Names::new("n"),
        events: EventOutlet::new(events),
        drain: Doorbell::for_this_thread().ringer(),
    };
    (Outlet::new(ENTRY.name, parts), facts)
}

#[test]
fn without_tracefs_it_is_not_here_and_says_how_to_have_it() {
    let root = tempfile::tempdir().unwrap();
    let Opened::NotHere(sentence) = opened(root.path()) else { panic!("there is nothing") };
    assert!(sentence.contains("mount -t tracefs nodev"), "{sentence}");
    fake_tracefs(root.path(), b"no page");
    assert!(matches!(opened(root.path()), Opened::NotHere(_)));
}

#[test]
fn debugfs_s_own_place_is_looked_at_too() {
    let root = tempfile::tempdir().unwrap();
    let tracefs = fake_tracefs(root.path(), HEADER_PAGE);
    std::fs::create_dir_all(root.path().join("sys/kernel/debug")).unwrap();
    std::fs::rename(tracefs, root.path().join("sys/kernel/debug/tracing")).unwrap();
    assert!(matches!(opened(root.path()), Opened::Ready(_)));
}

#[test]
fn without_an_event_it_takes_nothing_waits_for_one_and_gives_no_count() {
    let root = tempfile::tempdir().unwrap();
    let tracefs = fake_tracefs(root.path(), HEADER_PAGE);
    let Opened::Ready(mut sampler) = opened(root.path()) else { panic!("it can be used") };
    let (mut outlet, facts) = outlet();
    sampler.tick(1, &mut outlet);
    assert_eq!(std::fs::read_dir(tracefs.join("instances")).unwrap().count(), 0);
    let stop = Stop::default();
    stop.raise();
    assert_eq!(sampler.wait(u64::MAX, &stop), Woken::Due);
    assert!(facts.is_empty());
}

#[test]
fn an_event_that_cannot_be_recorded_is_a_failure_that_leaves_nothing_behind() {
    let root = tempfile::tempdir().unwrap();
    let tracefs = fake_tracefs(root.path(), HEADER_PAGE);
    let event = tracefs.join("events/nvidia/nvidia_dev_xid");
    std::fs::create_dir_all(&event).unwrap();
    std::fs::write(event.join("id"), "1731\n").unwrap();
    std::fs::write(event.join("format"), FORMAT).unwrap();
    let Opened::Failed(sentence) = opened(root.path()) else { panic!("it is no real tracefs") };
    assert!(sentence.contains("buffer_size_kb"), "{sentence}");
    assert_eq!(std::fs::read_dir(tracefs.join("instances")).unwrap().count(), 0);
}
