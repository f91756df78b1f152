//! The main road: a step leaves an engine and a router sees it.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bytemuck::Zeroable;
use eagle_eye::client::{Options, RankState, View};
use eagle_eye::config::{Layers, Plan};
use eagle_eye::engine::Agent;
use eagle_eye::pipeline::Taker;
use eagle_eye::platform::clock::{self, SECOND_NS};
use eagle_eye::platform::thread::Stop;
use eagle_eye::producer::DoorWriter;
use eagle_eye::schema::{Engine, Field, Freshness, StepCore, name_hash};

use crate::nats::patient_settings;
use crate::server::NatsServer;

/// An agent of the tests' own: everything in a folder, nothing on a port.
pub(crate) fn agent(folder: &Path, node: &str, nats: Option<&str>) -> Agent {
    agent_with(folder, node, &[("nats.urls", nats.unwrap_or_default())], Vec::new())
}

/// As [`agent`], with more settings and takers.
pub(crate) fn agent_with(
    folder: &Path,
    node: &str,
    settings: &[(&str, &str)],
    takers: Vec<Taker>,
) -> Agent {
    let mut layers = Layers::default();
    let path = folder.display().to_string();
    let own = [
        ("node", node),
        ("listen", "off"),
        ("run_dir", &path),
        ("state_dir", &format!("{path}/state")),
        // What else listens on this host is no engine of a test.
        ("samplers.engine_scrape.discover", "false"),
    ];
    for (key, value) in own.iter().chain(settings) {
        layers.set(key, (*value).to_owned(), "test");
    }
    let plan = Plan::new(layers).expect("the plan is right");
    Agent::start(&plan, takers).expect("threads and memory suffice")
}

/// A simulated engine in pure Python, killed when dropped.
pub(crate) struct PythonEngine(Child);

impl PythonEngine {
    pub(crate) fn start(socket: &Path, name: &str, hz: u32) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let child = Command::new("python3")
            .arg(root.join("python/examples/engine.py"))
            .args(["--name", name, "--model", "org/model", "--endpoint", "http://127.0.0.1:8000"])
            .args(["--hz", &hz.to_string(), "--seconds", "60", "--socket"])
            .arg(socket)
            .env("PYTHONPATH", root.join("python"))
            .stdout(Stdio::null())
            .spawn()
            .expect("python3 is here");
        Self(child)
    }
}

impl Drop for PythonEngine {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Looks at the view until it shows what is expected.
pub(crate) fn until(what: &str, view: &View, mut good: impl FnMut(&[RankState]) -> bool) {
    let deadline_ns = clock::monotonic_ns() + 20 * SECOND_NS;
    loop {
        let ranks = view.ranks();
        if good(&ranks) {
            return;
        }
        assert!(clock::monotonic_ns() < deadline_ns, "{what}: {ranks:#?}, {:?}", view.counts());
        std::thread::sleep(Duration::from_millis(10));
    }
}

pub(crate) fn local(folder: &Path) -> View {
    let options = Options { socket: Some(folder.join("agent.sock")), ..Options::default() };
    View::connect(options).expect("a thread")
}

pub(crate) fn remote(url: &str) -> View {
    View::connect(Options::over_nats([url])).expect("a thread")
}

/// A view that a busy machine does not make reconnect.
pub(crate) fn patient_view(nats: &NatsServer) -> View {
    let nats = Some(patient_settings(nats.url()));
    View::connect(Options { nats, ..Options::default() }).expect("a thread")
}

fn fresh(name: &str) -> impl Fn(&[RankState]) -> bool + '_ {
    move |ranks| {
        ranks.iter().any(|rank| {
            rank.id.instance == name_hash(name)
                && rank.freshness == Freshness::Fresh
                && rank.value(Field::Running).is_some()
        })
    }
}

#[test]
fn a_python_engine_shows_in_a_local_and_a_remote_view_whoever_started_first() {
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("agent.sock");
    let nats = NatsServer::open();
    // The engine is there before the agent, the views before both.
    let views = [local(folder.path()), remote(&nats.url())];
    let _early = PythonEngine::start(&socket, "early", 100);
    let agent = agent(folder.path(), "node one", Some(&nats.url()));
    let _late = PythonEngine::start(&socket, "late", 100);
    for (view, kind) in views.iter().zip(["local", "remote"]) {
        until(&format!("{kind}: early"), view, fresh("early"));
        until(&format!("{kind}: late"), view, fresh("late"));
        until(&format!("{kind}: named"), view, |_| {
            view.engine(name_hash("late")).is_some_and(|engine| {
                engine.endpoint == "http://127.0.0.1:8000" && engine.model == "org/model"
            })
        });
    }
    // Age: on one host the truth is known; the remote view must contain it.
    let ranks = views[1].ranks();
    assert!(ranks.iter().all(|rank| rank.age_ns < SECOND_NS), "{ranks:#?}");
    agent.stop();
}

#[test]
fn an_engine_that_is_killed_is_gone_at_once_and_comes_back_under_a_new_incarnation() {
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("agent.sock");
    let nats = NatsServer::open();
    let agent = agent(folder.path(), "n", Some(&nats.url()));
    let views = [local(folder.path()), remote(&nats.url())];
    let engine = PythonEngine::start(&socket, "one", 100);
    views.iter().for_each(|view| until("alive", view, fresh("one")));
    let first = views[1].ranks().iter().next().expect("a rank").step.incarnation;
    drop(engine);
    for view in &views {
        until("gone", view, |ranks| ranks.iter().all(|r| r.freshness == Freshness::Gone));
    }
    let _again = PythonEngine::start(&socket, "one", 100);
    for view in &views {
        until("back", view, fresh("one"));
        until("new", view, |ranks| ranks.iter().any(|r| r.step.incarnation > first));
    }
    agent.stop();
}

#[test]
fn an_engine_that_restarts_after_its_clock_was_set_back_shows_everywhere() {
    let folder = tempfile::tempdir().expect("a folder");
    let nats = NatsServer::open();
    let agent = agent(folder.path(), "n", Some(&nats.url()));
    let views = [local(folder.path()), remote(&nats.url())];
    // An incarnation is the wall clock at the start, unless it is given.
    for incarnation in [10, 5] {
        let engine = Engine { incarnation, ..Engine::named("set-back", "org/model") };
        let mut writer = DoorWriter::create(&engine, 64).expect("memory");
        let line = writer.line(&folder.path().join("agent.sock"));
        let stop = Stop::default();
        let line = line.keep(stop.clone()).expect("a thread");
        for view in &views {
            until("the incarnation of now", view, |ranks| {
                writer.write(&StepCore::zeroed());
                ranks.iter().any(|rank| {
                    rank.step.incarnation == incarnation && rank.freshness == Freshness::Fresh
                })
            });
        }
        stop.raise();
        line.join().expect("no panic");
    }
    agent.stop();
}

#[test]
fn agent_and_broker_may_die_and_return_and_everything_heals_by_itself() {
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("agent.sock");
    let mut nats = NatsServer::open();
    let views = [local(folder.path()), remote(&nats.url())];
    let _engine = PythonEngine::start(&socket, "one", 100);
    let first = agent(folder.path(), "n", Some(&nats.url()));
    views.iter().for_each(|view| until("alive", view, fresh("one")));
    nats.kill();
    until("local goes on without a broker", &views[0], fresh("one"));
    until("remote knows that it hears nothing", &views[1], |ranks| {
        ranks.iter().all(|rank| rank.freshness != Freshness::Fresh)
    });
    nats.restart();
    until("remote is back", &views[1], fresh("one"));
    first.stop();
    for view in &views {
        until("no agent", view, |ranks| ranks.iter().all(|r| r.freshness != Freshness::Fresh));
    }
    let second = agent(folder.path(), "n", Some(&nats.url()));
    views.iter().for_each(|view| until("alive again", view, fresh("one")));
    second.stop();
}
