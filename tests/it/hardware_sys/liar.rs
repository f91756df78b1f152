//! Children that speak our records and mean no good.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use eagle_eye::platform::clock::SECOND_NS;
use eagle_eye::samplers::hardware_sys::record::{Message, encode};
use eagle_eye::samplers::hardware_sys::{HardwareSys, Kind, Limits};
use eagle_eye::schema::{EventKind, MetricId};
use tempfile::TempDir;

use super::scene::Heard;

/// Enough at once that a flood reaches the limit of a round soon.
const AT_ONCE: usize = 8192;

/// A program that says `first` once and `then` for ever: with a `pause` one by
/// one, else many at once.
fn liar(folder: &Path, first: &[Message<'_>], then: &Message<'_>, pause: &str) -> PathBuf {
    let words: Vec<u8> = first.iter().flat_map(encode).collect();
    std::fs::write(folder.join("first"), words).expect("the folder is ours");
    let times = if pause == ":" { AT_ONCE } else { 1 };
    let words = encode(then).repeat(times);
    std::fs::write(folder.join("then"), words).expect("the folder is ours");
    let program = folder.join("liar");
    let at = folder.display();
    let script = format!(
        "#!/bin/sh\nexec 2>/dev/null\ncat {at}/first\nwhile cat {at}/then; do {pause}; done\n"
    );
    // Written by another process: a program that this one has open for writing,
    // be it in a copy of its descriptors, cannot be started.
    let written = Command::new("/bin/sh")
        .args(["-c", "printf %s \"$1\" > \"$0\" && chmod +x \"$0\""])
        .args([program.as_os_str(), script.as_ref()])
        .stdin(Stdio::null())
        .status();
    assert!(written.expect("every system has a shell").success());
    program
}

fn sampler(folder: &TempDir, program: &Path) -> HardwareSys {
    HardwareSys::new(program, folder.path(), Limits::new(3000, 60))
}

#[test]
fn a_child_that_says_what_cannot_be_is_not_believed() {
    const HELLO: Message<'_> = Message::Hello;
    const DEVICE: Message<'_> = Message::Device(0, Kind::Sensor, "a");
    let foreign = Message::Value(0, MetricId::CpuBusy, 1.0);
    let twice = Message::Value(0, MetricId::Sensor, 1.0);
    for (first, then) in [
        (&[DEVICE][..], DEVICE),
        (&[HELLO], Message::Value(0, MetricId::Sensor, 1.0)),
        (&[HELLO, DEVICE], foreign),
        (&[HELLO, DEVICE], twice),
        (&[HELLO], Message::Done(77)),
        (&[HELLO], Message::Round(1, true)),
        (&[HELLO], Message::At("flood")),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let mut sampler = sampler(&folder, &liar(folder.path(), first, &then, ":"));
        let mut heard = Heard::default();
        for _ in 0..10 {
            if sampler.reader_id().is_some() || heard.events.is_empty() {
                sampler.tick(SECOND_NS, &mut heard);
            }
        }
        let subjects = heard.subjects(EventKind::SourceHangs);
        assert_eq!(subjects.first(), Some(&"hardware_sys child"), "{then:?}");
        assert_eq!(sampler.reader_id(), None, "{then:?}");
        assert!(heard.values(MetricId::Sensor).is_empty(), "what it said is forgotten");
    }
}

#[test]
fn a_child_that_drips_does_not_hold_its_round_for_ever() {
    let folder = tempfile::tempdir().expect("a folder");
    let first = [Message::Hello, Message::At("class/slow")];
    let program = liar(folder.path(), &first, &Message::At("class/slow"), "sleep 0.1");
    let mut sampler = HardwareSys::new(&program, folder.path(), Limits::new(2000, 60));
    let mut heard = Heard::default();
    sampler.tick(SECOND_NS, &mut heard);
    assert_eq!(heard.events, [], "it still speaks");
    sampler.tick(62 * SECOND_NS, &mut heard);
    assert_eq!(heard.subjects(EventKind::SourceHangs), ["/sys/class/slow"]);
}
