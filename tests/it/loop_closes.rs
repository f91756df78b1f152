//! The loop closes: a GPU that is lost becomes a verdict, a line of the report
//! and an engine that gets no new requests, and its return undoes all three.

use std::os::unix::process::CommandExt as _;
use std::process::{Child, Stdio};

use eagle_eye::client::{Ask, Options, Policy, Score, View};
use eagle_eye::samplers::accelerator::stand_in::{self, StandIn};
use eagle_eye::schema::{Health, VerdictState, name_hash};
use rustix::process::Signal;
use serde_json::Value;

use crate::binary::{Running, program, said, text};
use crate::server::{NatsServer, eventually, free_port};

/// A simulated engine in a process of its own, which a GPU can belong to.
struct Engine(Child);

impl Engine {
    fn start(agent: &Running, name: &str) -> Self {
        let socket = agent.socket();
        let child = program()
            .args(["simulate", "--engines", "1", "--name", name, "--hz", "20", "--socket"])
            .arg(socket)
            .process_group(0)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        Self(child)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn health(view: &View, name: &str) -> Option<Health> {
    let ranks = view.ranks();
    let mut of = ranks.iter().filter(|rank| rank.id.instance == name_hash(name));
    of.next().map(|rank| rank.health)
}

/// How many of 200 requests go to this engine where load makes no difference.
fn share(view: &View, name: &str) -> usize {
    let alike = |_: &eagle_eye::client::RankState| Some(0.0);
    (0..200)
        .filter_map(|_| view.pick(&Ask::default(), &Policy::strict(), &Score::Own(&alike)).ok())
        .filter(|pick| pick.state.id.instance == name_hash(name))
        .count()
}

fn verdicts(port: u16) -> Value {
    let address = format!("127.0.0.1:{port}");
    let report = said(&["report", "--json", "--listen", &address]);
    serde_json::from_slice(&report.stdout).unwrap_or(Value::Null)
}

fn is_open(judged: &Value, subject: &str) -> bool {
    let mut open = judged["open"].as_array().into_iter().flatten();
    open.any(|verdict| verdict["subject"] == subject)
}

#[test]
fn a_lost_gpu_takes_its_engine_s_requests_away_and_its_return_gives_them_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let library = stand_in::plant(StandIn::Nvml, folder.path(), "devices 2\n").expect("a library");
    let port = free_port();
    let library_setting = format!("samplers.nvml.library={}", library.display());
    let mut agent = Running::serving(
        port,
        &[
            "--set",
            &library_setting,
            "--set",
            "samplers.kmsg.enabled=false",
            "--set",
            "samplers.nvml.period_ms=250",
        ],
    );
    let (one, two) = (Engine::start(&agent, "one"), Engine::start(&agent, "two"));
    let devices = format!(
        "devices 2\nprocess gpu0 {} 1073741824\nprocess gpu1 {} 1073741824\n",
        one.0.id(),
        two.0.id()
    );
    stand_in::play(&library, &devices).expect("a scenario");
    let view = agent.view();
    let (a, b) = ("one-0", "two-0");
    let on = |name: &str| {
        let details = view.details(name_hash(name))?;
        let names: Vec<String> = details.devices().iter().map(|of| of.device.clone()).collect();
        (names.len() == 1).then(|| names[0].clone())
    };
    eventually("each engine has its own GPU", || {
        on(a).as_deref() == Some("gpu0") && on(b).as_deref() == Some("gpu1")
    });
    eventually("both are well and chosen", || {
        health(&view, a) == Some(Health::Healthy)
            && health(&view, b) == Some(Health::Healthy)
            && (1..200).contains(&share(&view, a))
    });

    stand_in::play(&library, &format!("{devices}gone gpu0\n")).expect("a scenario");
    eventually("its engine is ill and gets nothing", || {
        health(&view, a).is_some_and(|of| !matches!(of, Health::Healthy | Health::Unknown))
            && share(&view, a) == 0
            && share(&view, b) == 200
    });
    eventually("the verdict is in the report", || is_open(&verdicts(port), "gpu0"));
    let address = format!("127.0.0.1:{port}");
    let report = said(&["report", "--listen", &address]);
    assert_eq!(report.status.code(), Some(1), "{}", text(&report));
    assert!(text(&report).contains("device gpu0"), "{}", text(&report));
    assert!(text(&report).contains("engine one-0"), "{}", text(&report));

    stand_in::play(&library, &devices).expect("a scenario");
    eventually("it is well again and chosen", || {
        health(&view, a) == Some(Health::Healthy) && (1..200).contains(&share(&view, a))
    });
    eventually("nothing stands against the GPU", || !is_open(&verdicts(port), "gpu0"));
    let judged = verdicts(port);
    let mut over = judged["resolved"].as_array().into_iter().flatten();
    assert!(over.any(|verdict| verdict["subject"] == "gpu0"), "{judged:#}");

    drop((one, two));
    agent.end(Signal::TERM);
    let state = agent.folder().join("state");
    let again = || said(&["diagnose", "--json", "--recording", &state.display().to_string()]);
    let (first, second) = (again(), again());
    assert_eq!(first.status.code(), Some(1), "{}", text(&first));
    assert!(text(&first).contains("\"gpu0\""), "{}", text(&first));
    assert_eq!(first.stdout, second.stdout, "the same recording says the same, to the byte");
}

#[test]
fn a_router_anywhere_hears_of_it_and_a_restarted_judge_tells_nothing_twice() {
    let folder = tempfile::tempdir().expect("a folder");
    let broker = NatsServer::with("jetstream { store_dir: \"FOLDER/js\" }");
    let lost = "devices 2\ngone gpu0\n";
    let library = stand_in::plant(StandIn::Nvml, folder.path(), "devices 2\n").expect("a library");
    let settings = [
        format!("samplers.nvml.library={}", library.display()),
        "samplers.kmsg.enabled=false".to_owned(),
        format!("state_dir={}/state", folder.path().display()),
        "samplers.nvml.inventory_ms=500".to_owned(),
        "node=n".to_owned(),
    ];
    let url = broker.url();
    let mut arguments = vec!["--nats", url.as_str()];
    settings.iter().for_each(|setting| arguments.extend(["--set", setting]));

    let view = View::connect(Options::over_nats([url.as_str()])).expect("a view");
    let verdicts = view.verdicts();
    let mut agent = Running::start(&arguments);
    let node = name_hash("n");
    let device = || view.assessment(node, "device", "gpu0").map(|of| of.health);
    eventually("it is well", || device() == Some(Health::Healthy));
    stand_in::play(&library, lost).expect("a scenario");
    eventually("its loss is heard of", || device() == Some(Health::Gone));
    let mut told = Vec::new();
    eventually("with a verdict", || {
        told.extend(verdicts.try_iter());
        told.iter().any(|told| told.what.subject == "gpu0")
    });
    let loss = told.iter().find(|told| told.what.subject == "gpu0").expect("just heard");
    let (id, node_of) = (loss.what.id, loss.node);
    assert_eq!(node_of, node);

    agent.end(Signal::TERM);
    let mut agent = Running::start(&arguments);
    stand_in::play(&library, "devices 2\n").expect("a scenario");
    eventually("its return is heard of", || device() == Some(Health::Healthy));
    eventually("the same verdict is over", || {
        told.extend(verdicts.try_iter());
        told.iter().any(|told| told.what.id == id && told.what.state == VerdictState::Resolved)
    });
    let opened = told
        .iter()
        .filter(|told| told.what.subject == "gpu0" && told.what.state == VerdictState::Open);
    assert_eq!(opened.count(), 1, "{told:#?}");
    agent.end(Signal::TERM);
}
