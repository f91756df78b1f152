//! Whoever means harm, or is broken enough to look as if.

use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::AsFd;

use bytemuck::Zeroable;
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

use eagle_eye::platform::clock;
use eagle_eye::platform::poll::{readable, wait_readable};
use eagle_eye::platform::socket::Connection;
use eagle_eye::schema::{Door, DoorHeader, Greeting, GreetingKind, StepCore, name_hash};

use super::agent::{
    Agent, Answer, RawEngine, allow_descriptors, answer, call, greet, run_dir, socket, step, until,
    welcome, writer,
};

fn refusal(connection: &Connection) -> String {
    match answer(connection) {
        Answer::Refused(why) => why,
        other => panic!("expected a refusal, got {other:?}"),
    }
}

fn refused_memory(dir: &std::path::Path, memory: impl AsFd) -> String {
    let connection = call(dir);
    greet(&connection, GreetingKind::Engine, &[memory.as_fd()]);
    refusal(&connection)
}

#[test]
fn memory_that_could_shrink_or_is_of_a_wrong_size_is_refused() {
    let dir = run_dir();
    let agent = Agent::start(dir.path());
    let memory = |seals: SealFlags, bytes: u64| {
        let memory = memfd_create("raw", MemfdFlags::ALLOW_SEALING).unwrap();
        ftruncate(&memory, bytes).unwrap();
        fcntl_add_seals(&memory, seals).unwrap();
        memory
    };
    let both = SealFlags::SHRINK | SealFlags::GROW;
    for (seals, bytes, part) in [
        (SealFlags::empty(), 8192, "not sealed"),
        (SealFlags::SHRINK, 8192, "not sealed"),
        (SealFlags::GROW, 8192, "not sealed"),
        (both, 0, "0 bytes"),
        (both, 4096, "4096 bytes"),
        (both, 1 << 40, "1099511627776 bytes"),
        (both, 8192, "magic"),
    ] {
        let why = refused_memory(dir.path(), memory(seals, bytes));
        assert!(why.contains(part), "{why}");
    }
    let file = std::fs::File::open("/proc/self/exe").unwrap();
    assert!(refused_memory(dir.path(), file).contains("not sealed"));
    assert_eq!((agent.count("doors_refused"), agent.count("engines")), (8, 0));
}

#[test]
fn a_header_that_lies_is_refused() {
    let dir = run_dir();
    let agent = Agent::start_with(dir.path(), vec![("slots_max", "64".into())]);
    let door = Door::new(64).unwrap();
    let good = door.header(1, 1);
    for (header, part) in [
        (DoorHeader { layout: 9, ..good }, "layout is 9"),
        (DoorHeader { slot_count: 128, ..good }, "contradict"),
        (DoorHeader { slots_at: 0, ..good }, "contradict"),
        (DoorHeader { slot_bytes: 12, ..good }, "contradict"),
        (DoorHeader { total_bytes: u32::MAX, ..good }, "contradict"),
    ] {
        let raw = RawEngine::new(dir.path(), 1, 64);
        raw.store(0, bytemuck::cast_slice(&[header]));
        let Answer::Refused(why) = raw.greet() else { panic!("{header:?} is refused") };
        assert!(why.contains(part), "{why}");
    }
    let Answer::Refused(why) = RawEngine::new(dir.path(), 1, 128).greet() else {
        panic!("more slots than allowed are refused")
    };
    assert!(why.contains("slots_max"), "{why}");
    assert_eq!(agent.count("engines"), 0);
}

#[test]
fn greetings_that_are_none_are_refused_with_a_sentence() {
    let dir = run_dir();
    let agent = Agent::start(dir.path());
    let hello = bytemuck::bytes_of(&Greeting::new(GreetingKind::Engine)).to_vec();
    let mut later = hello.clone();
    later[6] = 2;
    for message in [&b"x"[..], b"GET / HTTP/1.1\r\n\r\n", &[0; 16], &later, &vec![7; 4000]] {
        let connection = call(dir.path());
        connection.send(message, &[]).unwrap();
        assert!(refusal(&connection).contains("greeting"));
    }
    let connection = call(dir.path());
    greet(&connection, GreetingKind::Engine, &[]);
    assert!(refusal(&connection).contains("one descriptor"));
    assert_eq!(agent.count("greetings_refused"), 6);
}

#[test]
fn a_greeting_with_ten_descriptors_is_refused_and_none_is_kept() {
    let dir = run_dir();
    let agent = Agent::start(dir.path());
    let (reading, writing) = rustix::pipe::pipe().unwrap();
    for _ in 0..50 {
        let connection = call(dir.path());
        let descriptors = [writing.as_fd(); 10];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(10))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        assert!(control.push(SendAncillaryMessage::ScmRights(&descriptors)));
        let greeting = [Greeting::new(GreetingKind::Engine)];
        let bytes = bytemuck::bytes_of(&greeting[0]);
        sendmsg(&connection, &[IoSlice::new(bytes)], &mut control, SendFlags::empty()).unwrap();
        assert!(refusal(&connection).contains("one descriptor"));
    }
    assert_eq!(agent.count("greetings_refused"), 50);
    drop(writing);
    until("every copy of the pipe's end is closed", || {
        let mut ends = false;
        wait_readable(&mut [readable(reading.as_fd())], 0, |_| ends = true).unwrap();
        ends
    });
}

#[test]
fn a_flood_of_callers_who_never_greet_delays_nobody() {
    allow_descriptors();
    let dir = run_dir();
    let agent = Agent::start(dir.path());
    let mut engine = writer("patient");
    let mut lines = [engine.line(&socket(dir.path()))];
    welcome(&mut lines);
    let mut mute = Vec::new();
    for n in 1..=300 {
        mute.push(Connection::connect(&socket(dir.path())));
        engine.write(&step(n));
    }
    until("steps are seen through the flood", || agent.sequence(&engine) == 300);
    let mut another = writer("another");
    let mut line = [another.line(&socket(dir.path()))];
    welcome(&mut line);
    another.write(&step(1));
    until("an engine gets in through the flood", || agent.sequence(&another) == 1);
    until("every mute caller was shown out", || {
        agent.count("guests_evicted") + agent.count("greetings_late") >= 300
    });
    assert!(agent.count("guests_evicted") > 0, "some made room for later callers");
    agent.assert_accounts_balance();
}

#[test]
fn more_engines_than_allowed_are_refused_and_counted() {
    let dir = run_dir();
    let agent = Agent::start_with(dir.path(), vec![("engines_max", "1".into())]);
    let one = RawEngine::new(dir.path(), 1, 8);
    assert!(
        matches!(one.greet(), Answer::Welcome(GreetingKind::WelcomeEngine, two) if two.len() == 2)
    );
    let two = RawEngine::new(dir.path(), 2, 8);
    assert!(matches!(two.greet(), Answer::Refused(why) if why.contains("engines_max")));
    assert_eq!(agent.count("engines_refused"), 1);
    drop(one);
    until("there is room again", || agent.count("engines") == 0);
    let three = RawEngine::new(dir.path(), 3, 8);
    assert!(matches!(three.greet(), Answer::Welcome(..)));
}

#[test]
fn a_user_who_is_not_listed_is_refused() {
    let dir = run_dir();
    let agent = Agent::start_with(dir.path(), vec![("allow_users", "4294967294".into())]);
    assert!(refusal(&call(dir.path())).contains("allow_users"));
    assert_eq!(agent.count("users_refused"), 1);
}

#[test]
fn an_engine_that_talks_out_of_turn_is_borne_with_for_a_while() {
    let dir = run_dir();
    let agent = Agent::start(dir.path());
    let raw = RawEngine::new(dir.path(), 1, 8);
    assert!(matches!(raw.greet(), Answer::Welcome(..)));
    let mut sent = 0;
    until("its connection is closed", || {
        sent += u32::from(raw.connection.send(b"and another thing", &[]).is_ok());
        agent.count("engines") == 0
    });
    assert!(sent > 60 && agent.count("chatter") > 60);
}

#[test]
fn steps_that_cannot_be_believed_are_counted_by_reason_and_the_rest_is_read() {
    let dir = run_dir();
    let agent = Agent::start(dir.path());
    let raw = RawEngine::new(dir.path(), 77, 64);
    assert!(matches!(raw.greet(), Answer::Welcome(..)));
    let good = |sequence| StepCore {
        instance: 77,
        incarnation: 1,
        producers: 1,
        sequence,
        monotonic_ns: clock::monotonic_ns(),
        ..StepCore::zeroed()
    };
    raw.write(1, &good(10));
    raw.write(2, &StepCore { instance: 78, ..good(11) });
    raw.write(3, &StepCore { rank: 5000, ..good(12) });
    raw.write(4, &StepCore { monotonic_ns: u64::MAX, ..good(13) });
    raw.write(5, &good(10));
    raw.write(6, &good(9));
    let mut torn = raw.slot(7, &good(14));
    torn[20] ^= 1;
    raw.store(raw.door.slot_at(7) / 8, &torn);
    raw.write(8, &good(15));
    until("the last step is seen", || {
        agent.steps.iter().any(|newest| newest.step.sequence == 15 && newest.lost == 4)
    });
    for reason in ["foreign", "malformed", "future", "duplicate", "reordered", "torn"] {
        assert_eq!(agent.count(reason), 1, "{reason}");
    }
    assert_eq!(agent.count("steps"), 2);
    until("it has a name", || agent.names.engine(77).is_some());
    let name = agent.names.engine(77).unwrap().name;
    assert_eq!(name, format!("engine-{}", std::process::id()));
    agent.assert_accounts_balance();
}

#[test]
fn a_name_that_is_not_the_engines_own_is_not_taken() {
    let dir = run_dir();
    let agent = Agent::start(dir.path());
    let raw = RawEngine::new(dir.path(), name_hash("mine"), 8);
    let mut info = Door::write_info(&eagle_eye::schema::Engine::named("yours", "m\u{1b}[2J"));
    let (length, crc) = (info.len() as u64, u64::from(crc32fast::hash(&info)));
    info.resize(info.len().next_multiple_of(8), 0);
    let words: Vec<u64> =
        info.as_chunks::<8>().0.iter().map(|eight| u64::from_le_bytes(*eight)).collect();
    raw.store(Door::INFO_BYTES_AT / 8, &words);
    raw.store(Door::INFO_AT / 8, &[length << 32 | 2, crc]);
    assert!(matches!(raw.greet(), Answer::Welcome(..)));
    until("it is named", || agent.names.engine(name_hash("mine")).is_some());
    let engine = agent.names.engine(name_hash("mine")).unwrap();
    assert_eq!(engine.name, format!("engine-{}", std::process::id()));
    assert_eq!(engine.model, "", "no escape sequence reaches a terminal");
    assert_eq!(agent.count("infos_refused"), 1);
}

#[test]
fn memory_that_changes_at_random_harms_nobody() {
    let dir = run_dir();
    let agent = Agent::start(dir.path());
    let mut engine = writer("sane");
    let mut lines = [engine.line(&socket(dir.path()))];
    welcome(&mut lines);
    let raw = RawEngine::new(dir.path(), 5, 16);
    assert!(matches!(raw.greet(), Answer::Welcome(..)));
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    let words = raw.memory.words().len();
    for n in 1..=2000 {
        for _ in 0..100 {
            raw.store((next() as usize) % words, &[next()]);
        }
        match n % 4 {
            0 => raw.head(next()),
            1 => raw.head(n),
            2 => raw.store(Door::HEARTBEAT_AT / 8, &[next(), next(), next(), next()]),
            _ => raw.store(Door::INFO_AT / 8, &[((next() % 3000) << 32) | (next() % 64), next()]),
        }
        engine.write(&step(n as u32));
        if n % 64 == 0 {
            until("the sane engine's steps are seen", || agent.sequence(&engine) == n);
        }
    }
    until("the last is seen", || agent.sequence(&engine) == 2000);
    drop(raw);
    until("the mad engine left", || agent.count("engines") == 1);
    agent.assert_accounts_balance();
}
