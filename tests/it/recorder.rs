//! The black box of a real agent: what it holds after the agent was killed,
//! and what the program makes of it.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use eagle_eye::client::{Options, View};
use eagle_eye::recorder::{Range, Recording, What};
use eagle_eye::schema::EventKind;
use rustix::process::Signal;
use serde_json::Value;

use crate::binary::{Running, program, said, text};
use crate::server::{NatsServer, eventually};

/// What a recording holds of an agent with simulated engines.
#[derive(Debug, Default)]
struct Held {
    engines: HashSet<String>,
    stepping: HashSet<u64>,
    steps: u64,
    readings: u64,
    ticks: u64,
    events: Vec<EventKind>,
    runs: u64,
    damaged: u64,
}

fn held(path: &Path) -> Held {
    let mut held = Held::default();
    let Ok(recording) = Recording::open(path) else { return held };
    let mut play = recording.play(Range::default());
    while let Some(moment) = play.next_moment().expect("the disk works") {
        held.ticks += u64::from(moment.what == What::Tick);
        let Some(batch) = moment.batch() else { continue };
        held.engines.extend(batch.engines().map(|engine| engine.name));
        held.stepping.extend(batch.steps().map(|step| step.instance));
        held.steps += batch.steps().len() as u64;
        held.readings += batch.readings().len() as u64;
        held.events.extend(batch.events().map(|event| event.kind));
    }
    held.runs = play.tally().runs;
    held.damaged = play.tally().damaged;
    held
}

/// A process, killed when dropped.
struct Next(std::process::Child);

impl Drop for Next {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An agent that was killed while simulated engines stepped, and what it left.
fn killed(backend: &str) -> (Running, PathBuf) {
    let setting = format!("recorder.backend={backend}");
    let mut agent = Running::start(&["--demo", "--set", &setting]);
    let state = agent.folder().join("state");
    eventually("it has recorded all kinds of facts", || {
        let held = held(&state);
        held.stepping.len() == 4 && held.engines.len() == 4 && held.readings > 0 && held.ticks > 1
    });
    agent.end(Signal::KILL);
    (agent, state)
}

fn lines(path: &Path, more: &[&str]) -> (String, Vec<Value>) {
    let output = program().arg("replay").arg(path).arg("--json").args(more).output().expect("runs");
    assert!(output.status.success(), "{}", text(&output));
    let text = String::from_utf8(output.stdout).expect("text");
    let lines = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    (text, lines)
}

fn kinds(lines: &[Value]) -> BTreeMap<&str, usize> {
    let mut kinds = BTreeMap::new();
    for line in lines {
        *kinds.entry(line["what"].as_str().expect("what it is")).or_default() += 1;
    }
    kinds
}

#[test]
fn what_was_recorded_survives_a_kill_and_the_next_agent_goes_on_behind_it() {
    for backend in ["pwrite", "io_uring"] {
        let (agent, state) = killed(backend);
        let before = held(&state);
        assert_eq!((before.engines.len(), before.runs, before.damaged), (4, 1, 0));
        assert!(before.events.contains(&EventKind::AgentStarted));

        let settings = crate::binary::settings(agent.folder());
        let mut next = program();
        next.args(["run", "--listen", "off"]).args(settings);
        next.stdout(Stdio::null()).stderr(Stdio::null());
        let mut next = Next(next.spawn().expect("it starts"));
        eventually("a second run is recorded", || held(&state).runs == 2);
        rustix::process::kill_process(rustix::process::Pid::from_child(&next.0), Signal::TERM)
            .expect("it takes a signal");
        next.0.wait().expect("it ends");
        let after = held(&state);
        assert_eq!((after.runs, after.damaged), (2, 0));
        assert!(after.steps >= before.steps && after.events.contains(&EventKind::AgentStopped));
    }
}

#[test]
fn the_program_tells_a_recording_the_same_each_time_and_cuts_pieces_out_of_it() {
    let (agent, state) = killed("auto");
    let info = said(&["replay", &state.display().to_string()]);
    let says = text(&info);
    assert!(info.status.success(), "{says}");
    for word in ["engines    4 demo", "agent_started 1", "1 of 1 runs", "steps"] {
        assert!(says.contains(word), "no {word:?} in {says}");
    }
    let (first, all) = lines(&state, &[]);
    assert_eq!(lines(&state, &[]).0, first, "twice the same, to the byte");
    let kinds = kinds(&all);
    for kind in ["run", "engine", "device", "step", "reading", "event", "tick"] {
        assert!(kinds.contains_key(kind), "no {kind} in {kinds:?}");
    }
    // The first steps come before their engine's name.
    let named = |line: &&Value| line["engine"].as_str().is_some_and(|n| n.starts_with("demo"));
    let steps = || all.iter().filter(|line| line["what"] == "step");
    assert!(steps().filter(named).count() > steps().count() / 2);

    let piece = agent.folder().join("piece.rec");
    let cut = |more: &[&str]| {
        program()
            .arg("replay")
            .arg(&state)
            .arg("--excerpt")
            .arg(&piece)
            .args(more)
            .output()
            .unwrap()
    };
    let cut_out = cut(&["--from", "-300ms"]);
    assert!(cut_out.status.success(), "{}", text(&cut_out));
    assert!(!cut(&[]).status.success(), "what is there is not written over");
    let (_, part) = lines(&piece, &[]);
    assert!(part.len() < all.len() && part.iter().any(|line| line["what"] == "engine"));
    let (_, same) = lines(&state, &["--from", "-300ms"]);
    assert_eq!(part, same, "an excerpt holds what it was cut from");

    let no = said(&["replay", "/dev/null"]);
    assert!(no.status.code() == Some(1) && text(&no).contains("is no recording"), "{}", text(&no));
    let usage = said(&["replay", "--from", "yesterday"]);
    assert_eq!(usage.status.code(), Some(2), "{}", text(&usage));
}

#[test]
fn a_recording_is_sent_again_under_a_prefix_of_its_own_and_a_view_there_sees_it() {
    let (_agent, state) = killed("auto");
    let nats = NatsServer::open();
    let there = View::connect(Options {
        prefix: Some("eagle_eye_replay.v1".to_owned()),
        ..Options::over_nats([nats.url().as_str()])
    })
    .expect("a view");
    let live = View::connect(Options::over_nats([nats.url().as_str()])).expect("a view");
    eventually("both are connected", || there.is_connected() && live.is_connected());
    let output = program()
        .arg("replay")
        .arg(&state)
        .args(["--nats", &nats.url(), "--speed", "4"])
        .output()
        .expect("it runs");
    let says = text(&output);
    assert!(output.status.success() && says.contains(" 0 of them lost"), "{says}");
    eventually("a view under that prefix sees the engines", || there.ranks().len() == 4);
    assert_eq!(live.ranks().len(), 0, "nobody else does");
    let refused = said(&["replay", "--nats", &nats.url(), "--prefix", "eagle_eye.v1"]);
    assert_eq!(refused.status.code(), Some(2), "{}", text(&refused));
}

#[test]
fn an_agent_whose_recorder_is_off_records_nothing() {
    let mut agent = Running::start(&["--set", "recorder.enabled=false"]);
    agent.end(Signal::TERM);
    assert!(agent.log().contains("recorder: off"), "{}", agent.log());
    assert!(!agent.folder().join("state/recorder").exists());
}
