//! Engines come and go in any order.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use eagle_eye::platform::clock;
use eagle_eye::platform::thread::Stop;
use eagle_eye::producer::{DoorWriter, Line, LineState};
use eagle_eye::schema::{Engine, EventKind, Flag, Severity, name_hash};

use super::agent::{Agent, allow_descriptors, run_dir, socket, step, until, welcome, writer};

#[test]
fn an_engine_that_was_there_before_its_agent_is_read_from_where_it_stands() {
    let dir = run_dir();
    let mut engine = writer("early");
    let stop = Stop::default();
    let line = engine.line(&socket(dir.path())).keep(stop.clone()).unwrap();
    (1..=10).for_each(|n| {
        engine.write(&step(n));
    });
    let agent = Agent::start(dir.path());
    until("the tenth step is seen", || agent.sequence(&engine) == 10);
    engine.write(&step(11));
    until("the next step is seen", || agent.sequence(&engine) == 11);
    assert_eq!((agent.count("history"), agent.count("steps")), (10, 1));
    assert_eq!(agent.newest(&engine).unwrap().lost, 0);
    stop.raise();
    line.join().unwrap();
    until("its hang-up is noticed", || agent.has_left(&engine));
}

#[test]
fn an_engine_that_comes_after_its_agent_is_named_and_read() {
    let dir = run_dir();
    let agent = Agent::start(dir.path());
    let mut engine = writer("late");
    let mut lines = [engine.line(&socket(dir.path()))];
    welcome(&mut lines);
    for n in 1..=100 {
        engine.write(&step(n));
    }
    until("every step is seen", || {
        agent.sequence(&engine) == 100 || agent.count("overwritten") > 0
    });
    until("its name is known", || agent.names.engine(engine.engine().instance).is_some());
    let named = agent.names.engine(engine.engine().instance).unwrap();
    assert_eq!((named.name.as_str(), named.source.as_str()), ("late", "plugin"));
    assert_eq!((named.process, named.endpoint.as_str()), (std::process::id(), "http://late:8000"));
    assert_eq!(agent.event(EventKind::EngineAppeared, "late").severity, Severity::Info);
    engine.set_info(&Engine { endpoint: "http://found:1".into(), ..engine.engine().clone() });
    until("its new endpoint is known", || {
        agent.names.engine(named.instance).is_some_and(|e| e.endpoint == "http://found:1")
    });
    agent.assert_accounts_balance();
}

#[test]
fn an_agent_may_restart_without_the_engine_noticing() {
    let dir = run_dir();
    let mut engine = writer("steady");
    let stop = Stop::default();
    let line = engine.line(&socket(dir.path())).keep(stop.clone()).unwrap();
    for round in 1..=3 {
        let agent = Agent::start(dir.path());
        engine.write(&step(round));
        until("the step of this round is seen", || agent.sequence(&engine) == u64::from(round));
        agent.assert_accounts_balance();
    }
    stop.raise();
    line.join().unwrap();
}

#[test]
fn a_clean_goodbye_is_told_from_a_death() {
    let dir = run_dir();
    let agent = Agent::start(dir.path());
    let mut engine = writer("polite");
    let mut lines = vec![engine.line(&socket(dir.path()))];
    welcome(&mut lines);
    engine.write(&step(5));
    engine.goodbye();
    until("the goodbye is seen", || agent.has_left(&engine));
    assert_eq!(agent.newest(&engine).unwrap().step.running, 5, "what it had when it left");
    lines.clear();
    let event = agent.event(EventKind::EngineGone, "polite");
    assert!(event.severity == Severity::Info && event.text.contains("goodbye"), "{event:?}");
    until("its name is forgotten", || agent.names.engines().is_empty());
}

#[test]
fn a_heartbeat_keeps_an_idle_engine_alive_and_tells_its_state() {
    let dir = run_dir();
    let mut agent = Agent::start(dir.path());
    let mut engine = writer("idle");
    let mut lines = [engine.line(&socket(dir.path()))];
    welcome(&mut lines);
    engine.write(&step(5));
    until("the step is seen", || agent.sequence(&engine) == 1);
    let before = agent.newest(&engine).unwrap();
    engine.heartbeat(Flag::Draining.bit());
    until("the heartbeat is seen", || agent.newest(&engine).unwrap().alive_ns > before.alive_ns);
    let after = agent.newest(&engine).unwrap();
    assert!(after.step.has(Flag::Heartbeat) && after.step.has(Flag::Draining));
    assert_eq!((after.step.running, after.step.monotonic_ns), (5, before.step.monotonic_ns));
    assert_eq!(after.step.heartbeat_ns, after.alive_ns);
    until("a view elsewhere hears of it too", || {
        engine.heartbeat(0);
        let run = agent.ring.borrow(1024);
        let told = run.slices().concat().iter().filter(|step| step.has(Flag::Heartbeat)).count();
        run.release();
        told > 0
    });
}

#[test]
fn a_sleeping_agent_is_rung_awake() {
    let dir = run_dir();
    let agent = Agent::start_with(dir.path(), vec![("quiet_ms", "1".into())]);
    let mut engine = writer("bell");
    let mut lines = [engine.line(&socket(dir.path()))];
    welcome(&mut lines);
    let mut written = 0;
    until("a write finds the agent asleep", || {
        written += 1;
        engine.write(&step(1))
    });
    until("the step that rang is seen", || agent.sequence(&engine) == written);
}

#[test]
fn steps_overwritten_before_they_were_read_are_counted_and_the_newest_arrives() {
    let dir = run_dir();
    let agent = Agent::start(dir.path());
    let mut engine = writer("fast");
    let mut lines = [engine.line(&socket(dir.path()))];
    welcome(&mut lines);
    const STEPS: u32 = 200_000;
    (1..=STEPS).for_each(|n| {
        engine.write(&step(n));
    });
    until("the newest is seen", || agent.sequence(&engine) == u64::from(STEPS));
    agent.assert_accounts_balance();
    let missed = agent.count("slots") - agent.count("steps");
    assert_eq!(agent.count("slots"), u64::from(STEPS));
    assert!(missed > 0, "200,000 steps through 64 slots");
    let lost = agent.newest(&engine).unwrap().lost;
    assert!(lost <= missed, "{lost} of {missed}: what was lost before the first was no gap");
}

#[test]
fn three_hundred_engines_come_and_go_at_once() {
    allow_descriptors();
    let dir = run_dir();
    let agent = Agent::start(dir.path());
    let mut engines: Vec<DoorWriter> = (0..300).map(|n| writer(&format!("e{n}"))).collect();
    let mut lines: Vec<Line> =
        engines.iter().map(|engine| engine.line(&socket(dir.path()))).collect();
    welcome(&mut lines);
    for round in 1..=20 {
        for engine in &mut engines {
            engine.write(&step(round));
        }
        until("every engine's step is seen", || {
            let seen = agent.steps.iter().filter(|newest| newest.step.running == round).count();
            seen == engines.len()
        });
    }
    assert_eq!(agent.names.engines().len(), 300);
    assert_eq!((agent.count("engines"), agent.count("overwritten")), (300, 0));
    assert_eq!(agent.count("steps"), 6000);
    lines.clear();
    until("all left", || agent.count("engines") == 0);
    assert!(agent.steps.iter().all(|newest| newest.step.has(Flag::Goodbye)));
    agent.assert_accounts_balance();
}

#[test]
fn front_ends_of_one_engine_share_it_and_a_restart_takes_over_what_it_writes() {
    let dir = run_dir();
    let agent = Agent::start(dir.path());
    let front_end = |incarnation| {
        let engine = Engine { incarnation, ..Engine::named("shared", "m") };
        DoorWriter::create(&engine, 64).unwrap()
    };
    let (mut one, mut two) = (front_end(10), front_end(20));
    let mut lines = [one.line(&socket(dir.path())), two.line(&socket(dir.path()))];
    welcome(&mut lines);
    let of = |producer: u16, running: u32| {
        let mut step = step(running);
        (step.producer, step.producers) = (producer, 2);
        step
    };
    let running = |producer: u16| {
        let mut newest = agent.steps.iter();
        newest.find(|n| n.step.producer == producer).map(|n| n.step.running)
    };
    one.write(&of(0, 1));
    two.write(&of(1, 2));
    until("both are seen", || (running(0), running(1)) == (Some(1), Some(2)));
    agent.no_event(EventKind::EngineRestarted);
    let mut three = front_end(30);
    let mut third = [three.line(&socket(dir.path()))];
    welcome(&mut third);
    three.write(&of(0, 3));
    until("the restart is seen", || running(0) == Some(3));
    agent.event(EventKind::EngineRestarted, "shared");
    one.write(&of(0, 4));
    until("the old one is refused", || agent.count("superseded") == 1);
    assert_eq!(running(0), Some(3));
    let [first, second] = lines;
    drop(first);
    until("the old one left", || agent.count("engines") == 2);
    assert!(agent.steps.iter().all(|newest| !newest.step.has(Flag::Goodbye)));
    assert_eq!(agent.names.engine(name_hash("shared")).unwrap().incarnation, 30);
    drop(third);
    until("the name is the other's", || {
        agent.names.engine(name_hash("shared")).is_some_and(|e| e.incarnation == 20)
    });
    drop(second);
    until("the name is forgotten", || agent.names.engines().is_empty());
    agent.assert_accounts_balance();
}

#[test]
fn an_engine_killed_by_a_signal_is_gone_at_once_and_its_restart_is_told() {
    let dir = run_dir();
    let agent = Agent::start(dir.path());
    let instance = name_hash("child");
    let newest = || agent.steps.iter().find(|newest| newest.step.instance == instance);
    for life in 0..2 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["door::engines::a_child_that_writes_until_it_is_killed", "--exact", "--ignored"])
            .env(CHILD_SOCKET, socket(dir.path()))
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        until("the child's steps are seen", || {
            newest().is_some_and(|n| n.step.sequence > 100 && !n.step.has(Flag::Goodbye))
        });
        assert_eq!(agent.names.engine(instance).unwrap().process, child.id());
        child.kill().unwrap();
        child.wait().unwrap();
        until("its death is seen", || newest().unwrap().step.has(Flag::Goodbye));
        until("its name is forgotten", || agent.names.engine(instance).is_none());
        let expected = [EventKind::EngineAppeared, EventKind::EngineRestarted][life.min(1)];
        agent.event(expected, "child");
        let gone = agent.event(EventKind::EngineGone, "child");
        assert_eq!(gone.severity, Severity::Warning, "{}", gone.text);
    }
    agent.assert_accounts_balance();
}

pub(super) const CHILD_SOCKET: &str = "EAGLE_EYE_TEST_CHILD_SOCKET";

#[test]
#[ignore = "a process for the test above, not a test"]
fn a_child_that_writes_until_it_is_killed() {
    let Some(path) = std::env::var_os(CHILD_SOCKET).map(PathBuf::from) else { return };
    let mut engine = writer("child");
    let mut line = engine.line(&path);
    let end_ns = clock::monotonic_ns() + 60 * clock::SECOND_NS;
    while clock::monotonic_ns() < end_ns {
        let now_ns = clock::monotonic_ns();
        if *line.maintain(now_ns) == LineState::Welcome {
            engine.write(&step(1));
        }
        clock::sleep_until(now_ns + 1_000_000);
    }
}
