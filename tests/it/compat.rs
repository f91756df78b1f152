//! The stream for routers that read JSON says what the batches say.

use std::cell::Cell;
use std::collections::HashMap;
use std::time::Duration;

use bytemuck::Zeroable;
use eagle_eye::engine::Agent;
use eagle_eye::platform::clock;
use eagle_eye::platform::thread::Stop;
use eagle_eye::producer::DoorWriter;
use eagle_eye::schema::{BatchView, Engine, Field, Flag, StepCore};
use serde_json::Value;

use crate::nats::{Heard, Listening, patient_settings};
use crate::road::agent_with;
use crate::server::{NatsServer, PATIENCE, eventually};

const SUBJECT: &str = "eagle_eye.routing_metrics";

/// Both streams, as one subscriber hears them.
fn listen(nats: &NatsServer) -> Listening {
    Listening::start(patient_settings(nats.url()), &[SUBJECT, "eagle_eye.v1.routing.>"])
}

fn start(folder: &std::path::Path, nats: &NatsServer, more: &[(&str, &str)]) -> Agent {
    let url = nats.url();
    let mut settings = vec![("nats.urls", &*url), ("nats.ping_ms", "30000")];
    settings.extend(more);
    agent_with(folder, "node one", &settings, Vec::new())
}

/// An engine of one rank.
fn engine(folder: &std::path::Path) -> (DoorWriter, Stop) {
    let engine = Engine { endpoint: "http://a:1".into(), ..Engine::named("one", "org/model") };
    let writer = DoorWriter::create(&engine, 1024).expect("memory");
    let stop = Stop::default();
    writer.line(&folder.join("agent.sock")).keep(stop.clone()).expect("a thread");
    (writer, stop)
}

fn step(at: u32) -> StepCore {
    let mut step = StepCore { running: at, waiting: 2 * at, kv_usage: 0.3, ..StepCore::zeroed() };
    for field in [Field::Running, Field::Waiting, Field::KvUsage, Field::GeneratedTokens] {
        step.mark(field);
    }
    step.generated_tokens = u64::from(at) << 33;
    step
}

/// What was heard, until `done` says that it is enough.
fn hear(
    listening: &Listening,
    what: &str,
    mut act: impl FnMut(),
    mut done: impl FnMut(&[StepCore], &[Value]) -> bool,
) -> (Vec<StepCore>, Vec<Value>) {
    let (mut steps, mut objects) = (Vec::new(), Vec::new());
    let deadline_ns = clock::monotonic_ns() + PATIENCE.as_nanos() as u64;
    while !done(&steps, &objects) {
        assert!(clock::monotonic_ns() < deadline_ns, "{what}: {steps:?} {objects:?}");
        act();
        let heard = listening.heard.recv_timeout(Duration::from_millis(20));
        let Ok(Heard { subject, payload }) = heard else { continue };
        if subject == SUBJECT {
            objects.push(serde_json::from_slice(&payload).expect("an object"));
        } else {
            steps.extend(BatchView::verify(&payload).expect("a batch").steps());
        }
    }
    (steps, objects)
}

fn sequence(object: &Value) -> u64 {
    object["sequence"].as_u64().expect("a sequence")
}

#[test]
fn both_encodings_say_the_same_of_every_step() {
    let (folder, nats) = (tempfile::tempdir().expect("a folder"), NatsServer::open());
    let agent = start(folder.path(), &nats, &[("nats.compat_hz", "0")]);
    let listening = listen(&nats);
    listening.wait("a subscription", |link| link.is_connected());
    let (mut writer, stop) = engine(folder.path());
    let mut at = 0;
    let write = || {
        at += 1;
        writer.write(&step(at));
    };
    let named = |object: &Value| object["model"] == "org/model";
    let enough = |steps: &[StepCore], objects: &[Value]| {
        steps.len() > 100 && objects.iter().filter(|object| named(object)).count() > 100
    };
    let (steps, objects) = hear(&listening, "a hundred of both", write, enough);
    let steps: HashMap<u64, StepCore> = steps
        .into_iter()
        .filter(|step| !step.has(Flag::Heartbeat))
        .map(|step| (step.sequence, step))
        .collect();
    let mut compared = 0;
    for object in objects.iter().filter(|object| named(object) && object["heartbeat"] == false) {
        let Some(step) = steps.get(&sequence(object)) else { continue };
        compared += 1;
        for field in Field::ALL {
            let said = object[field.name()].as_f64().map(|value| value as f32);
            assert_eq!(said, step.value(*field).map(|value| value as f32), "{}", field.name());
        }
        assert_eq!((&object["engine"], &object["endpoint"]), (&"one".into(), &"http://a:1".into()));
        assert_eq!(object["incarnation"], step.incarnation.to_string());
        assert_eq!(object["rank"], step.rank);
        let time = object["time"].as_f64().expect("a time");
        assert!((time - step.wall_ns as f64 / 1e9).abs() < 1e-5, "{time}");
    }
    assert!(compared > 50, "{compared} of {}", objects.len());
    assert!(objects.is_sorted_by(|a, b| sequence(a) <= sequence(b)), "in order");
    stop.raise();
    agent.stop();
}

#[test]
fn a_rank_is_told_of_seldom_and_its_last_step_is_never_left_out() {
    let (folder, nats) = (tempfile::tempdir().expect("a folder"), NatsServer::open());
    let agent = start(folder.path(), &nats, &[("nats.compat_hz", "2")]);
    let listening = listen(&nats);
    listening.wait("a subscription", |link| link.is_connected());
    let (mut writer, stop) = engine(folder.path());
    let at = Cell::new(0);
    let write = || {
        at.set(at.get() + 1);
        writer.write(&step(at.get()));
    };
    // Where each was told of, there would never be ten times as many.
    let seldom = |_: &[StepCore], objects: &[Value]| {
        objects.len() > 3 && at.get() as usize > 10 * objects.len()
    };
    hear(&listening, "few of many", write, seldom);
    let at = at.get();
    let last = |_: &[StepCore], objects: &[Value]| {
        objects.iter().any(|object| object["running"] == at && sequence(object) == u64::from(at))
    };
    hear(&listening, "the last", || {}, last);
    stop.raise();
    agent.stop();
}

#[test]
fn a_new_connection_begins_with_the_newest_of_every_rank() {
    let (folder, mut nats) = (tempfile::tempdir().expect("a folder"), NatsServer::open());
    let agent = start(folder.path(), &nats, &[]);
    let (mut writer, stop) = engine(folder.path());
    eventually("the step is here", || {
        writer.write(&step(7));
        agent.steps.view().iter().next().is_some()
    });
    nats.kill();
    eventually("the link is down", || !agent.link().expect("NATS").is_connected());
    writer.write(&step(9));
    nats.restart();
    let listening = listen(&nats);
    let told = |_: &[StepCore], objects: &[Value]| objects.iter().any(|o| o["running"] == 9);
    hear(&listening, "the newest", || {}, told);
    stop.raise();
    agent.stop();
}

#[test]
fn an_empty_subject_turns_it_off() {
    let (folder, nats) = (tempfile::tempdir().expect("a folder"), NatsServer::open());
    let agent = start(folder.path(), &nats, &[("nats.compat_subject", "")]);
    let listening = listen(&nats);
    listening.wait("a subscription", |link| link.is_connected());
    let (mut writer, stop) = engine(folder.path());
    let write = || {
        writer.write(&step(1));
    };
    let (_, objects) = hear(&listening, "steps", write, |steps, _| steps.len() > 30);
    assert_eq!((objects.len(), agent.link().expect("NATS").counts.aside_sent), (0, 0));
    stop.raise();
    agent.stop();
}

#[test]
fn a_server_that_forbids_it_is_a_warning_and_batches_go_on() {
    let forbids = format!(
        "authorization {{ users: [{{ user: u, password: p, permissions: {{ publish: {{ deny: \
         [\"{SUBJECT}\"] }} }} }}] }}"
    );
    let (folder, nats) = (tempfile::tempdir().expect("a folder"), NatsServer::with(&forbids));
    let url = nats.url().replace("nats://", "nats://u:p@");
    let settings = [("nats.urls", &*url), ("nats.ping_ms", "30000")];
    let agent = agent_with(folder.path(), "n", &settings, Vec::new());
    let (mut writer, stop) = engine(folder.path());
    let link = || agent.link().expect("NATS");
    eventually("it is said", || {
        writer.write(&step(1));
        link().warning.is_some_and(|warning| warning.contains(SUBJECT))
    });
    eventually("messages are held back and counted", || {
        writer.write(&step(1));
        link().counts.aside_dropped > 0
    });
    let sent = link().counts.sent;
    eventually("batches go on", || {
        writer.write(&step(1));
        link().counts.sent > sent + 3
    });
    assert!(link().is_connected() && !link().is_refused());
    stop.raise();
    agent.stop();
}
