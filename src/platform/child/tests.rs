//! Children that are programs every system has.

use super::*;
use crate::platform::clock::SECOND_NS;

const BYTES: usize = 8;

/// Far more than a machine under load takes.
const GENEROUS: Patience = Patience { silence_ns: 60 * SECOND_NS, until_ns: u64::MAX };

/// Short enough for a test that waits it out.
fn short() -> Patience {
    Patience { silence_ns: 50 * MILLISECOND_NS, until_ns: u64::MAX }
}

fn shell(script: &str) -> Child<BYTES> {
    Child::spawn(Path::new("/bin/sh"), &["-c", script]).expect("every system has a shell")
}

fn reaped(leaving: &mut Leaving) {
    let deadline_ns = clock::monotonic_ns() + 60 * SECOND_NS;
    while leaving.reap() > 0 {
        assert!(clock::monotonic_ns() < deadline_ns, "killed children end");
        clock::sleep_until(clock::monotonic_ns() + MILLISECOND_NS);
    }
}

#[test]
fn a_record_sent_comes_back_whole_and_in_order() {
    let mut child = shell("exec cat");
    for number in 0..200_u64 {
        child.send(&number.to_ne_bytes()).unwrap();
    }
    let mut next = 0;
    let heard = child.listen(GENEROUS, |record| {
        assert_eq!(u64::from_ne_bytes(*record), next);
        next += 1;
        next < 200
    });
    assert_eq!((heard, next), (Heard::Enough, 200));
}

#[test]
fn what_is_said_after_enough_waits_for_the_next_time() {
    let mut child = shell("printf aaaaaaaabbbbbbbbcccc; printf cccc; exec cat");
    let mut said = Vec::new();
    for _ in 0..3 {
        let heard = child.listen(GENEROUS, |record| {
            said.push(record[0]);
            false
        });
        assert_eq!(heard, Heard::Enough);
    }
    assert_eq!(said, b"abc");
}

#[test]
fn a_child_that_says_nothing_is_silent_and_one_that_speaks_is_only_late() {
    let mut mute = shell("exec sleep 600");
    assert_eq!(mute.listen(short(), |_| true), Heard::Silence);
    let mut slow = shell("exec cat");
    let until_ns = clock::monotonic_ns();
    assert_eq!(slow.listen(Patience { until_ns, ..GENEROUS }, |_| true), Heard::Later);
}

#[test]
fn a_child_that_is_frozen_is_silent_and_can_still_be_killed() {
    let mut child = shell("kill -STOP $$");
    assert_eq!(child.listen(short(), |_| true), Heard::Silence);
    let mut leaving = Leaving::default();
    leaving.kill(child);
    reaped(&mut leaving);
}

#[test]
fn a_child_that_ends_or_is_killed_has_ended_and_half_a_record_is_none() {
    for script in ["exit 3", "kill -KILL $$", "printf half"] {
        assert_eq!(shell(script).listen(GENEROUS, |_| panic!("no record")), Heard::Ended);
    }
}

#[test]
fn a_child_that_reads_nothing_fills_its_pipe_and_never_blocks_its_parent() {
    let mut child = shell("exec sleep 600");
    let refused = (0..1_000_000).find_map(|_| child.send(&[0; BYTES]).err());
    assert_eq!(refused.unwrap().kind(), io::ErrorKind::WouldBlock);
}

#[test]
fn a_program_that_is_not_there_is_an_error_at_once() {
    let nowhere = Child::<BYTES>::spawn(Path::new("/nowhere"), &[""; 0]);
    assert_eq!(nowhere.unwrap_err().kind(), io::ErrorKind::NotFound);
}

#[test]
fn a_dropped_child_is_killed() {
    let child = shell("exec sleep 600");
    let stat = format!("/proc/{}/stat", child.id());
    drop(child);
    let deadline_ns = clock::monotonic_ns() + 60 * SECOND_NS;
    // Nobody waited for it, so that its number stays taken.
    while !std::fs::read_to_string(&stat).is_ok_and(|stat| stat.contains(") Z ")) {
        assert!(clock::monotonic_ns() < deadline_ns, "it ends");
        clock::sleep_until(clock::monotonic_ns() + MILLISECOND_NS);
    }
}
