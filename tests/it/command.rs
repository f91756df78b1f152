//! The real program, as a shell meets it.

use std::path::Path;

use eagle_eye::schema::{Freshness, name_hash};
use rustix::process::Signal;

use crate::binary::{Running, program, said, settings, text};
use crate::engines::Engines;
use crate::road::{remote, until};
use crate::server::{NatsServer, eventually, free_port};

/// How long an agent may take to leave, ns.
const LEAVE_NS_MAX: u64 = 2_000_000_000;

/// Every verb, and those of its flags that have a unit, with the unit.
const VERBS: [(&str, &[(&str, &str)]); 7] = [
    ("run", &[("--set", "linger_us")]),
    ("simulate", &[("--hz", "a second"), ("--seconds", "second"), ("--engines", "engines")]),
    ("bench", &[("--hz", "a second"), ("--seconds", "second"), ("--engines", "engines")]),
    ("doctor", &[("--set", "linger_us")]),
    ("list", &[]),
    ("diagnose", &[]),
    ("check", &[("--set", "linger_us")]),
];

/// What the help says of a flag: its line and those that go on with it.
fn of_flag<'a>(help: &'a str, flag: &str) -> &'a str {
    let from = help.find(&format!("{flag} ")).unwrap_or_else(|| panic!("no {flag} in {help}"));
    let rest = &help[from..];
    let to = rest[2..].find(" --").map_or(rest.len(), |at| at + 2);
    &rest[..to]
}

#[test]
fn every_verb_explains_itself_with_units() {
    let help = said(&["--help"]);
    assert!(help.status.success(), "{}", text(&help));
    for (verb, flags) in VERBS {
        assert!(text(&help).contains(verb), "{verb}: {}", text(&help));
        let help = said(&[verb, "--help"]);
        assert!(help.status.success(), "{verb}: {}", text(&help));
        for (flag, unit) in flags {
            let text = text(&help);
            let said = of_flag(&text, flag);
            assert!(said.contains(unit), "{verb} {flag} names no {unit}: {said}");
        }
    }
}

#[test]
fn wrong_usage_ends_with_2_and_names_what_is_wrong() {
    for (arguments, named) in [
        (&["check", "--set", "nodee=x"][..], "nodee"),
        (&["run", "--set", "pipeline.linger=1"], "pipeline.linger"),
        (&["check", "--set", "pipeline.linger_us=soon"], "pipeline.linger_us"),
        (&["check", "--config", "/nowhere/ee.toml"], "/nowhere/ee.toml"),
        (&["run", "--listen", "nowhere"], "listen"),
        (&["bench", "--nats", "nats://127.0.0.1:1", "--set", "linger"], "KEY=VALUE"),
        (&["simulate", "--engines", "many"], "--engines"),
        (&["dance"], "dance"),
    ] {
        let output = said(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", text(&output));
        assert!(text(&output).contains(named), "{arguments:?}: {}", text(&output));
    }
    let output = program().arg("check").env("EAGLE_EYE_LINGER", "1").output().expect("it starts");
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output).contains("EAGLE_EYE_LINGER"), "{}", text(&output));
}

#[test]
fn the_default_configuration_is_read_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("ee.toml");
    let default = said(&["check", "--print-default"]);
    assert!(default.status.success());
    std::fs::write(&file, &default.stdout).expect("the folder is ours");
    let path = file.to_str().expect("a plain name");
    let output = said(&["check", "--config", path]);
    assert!(output.status.success(), "{}", text(&output));
    // Each setting stands in it, and can be uncommented.
    let line = "# linger_us = ";
    let text_of_file = String::from_utf8(default.stdout).expect("text");
    assert!(text_of_file.contains(line), "{text_of_file}");
    let open = text_of_file.replace(line, "linger_us = ");
    std::fs::write(&file, open).expect("the folder is ours");
    assert!(said(&["check", "--config", path]).status.success());
}

#[test]
fn lists_are_json_where_json_is_asked_for() {
    for (what, key) in [("samplers", "engine_push"), ("metrics", "unit"), ("settings", "nats.urls")]
    {
        let output = said(&["list", what, "--json"]);
        assert!(output.status.success());
        let list: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert!(list.as_array().is_some_and(|rows| rows.len() > 2), "{list}");
        assert!(list.to_string().contains(key), "{list}");
    }
}

#[test]
fn an_agent_leaves_within_two_seconds_and_takes_its_socket_along() {
    let nats = NatsServer::open();
    for signal in [Signal::INT, Signal::TERM] {
        let mut agent = Running::start(&["--nats", &nats.url()]);
        eventually("it found NATS", || agent.log().contains("nats: ready"));
        let (status, took_ns) = agent.end(signal);
        assert_eq!(status.code(), Some(0), "{}", agent.log());
        assert!(took_ns < LEAVE_NS_MAX, "{signal:?}: {took_ns} ns");
        assert!(!agent.socket().exists());
    }
}

#[test]
fn an_agent_without_its_broker_leaves_within_two_seconds_too() {
    let url = format!("nats://127.0.0.1:{}", free_port());
    let mut agent = Running::start(&["--nats", &url]);
    let (status, took_ns) = agent.end(Signal::TERM);
    assert_eq!(status.code(), Some(0), "{}", agent.log());
    assert!(took_ns < LEAVE_NS_MAX, "{took_ns} ns");
}

#[test]
fn an_agent_whose_broker_hangs_leaves_within_two_seconds_too() {
    let nats = NatsServer::open();
    let mut agent = Running::start(&["--nats", &nats.url(), "--set", "nats.ping_ms=60000"]);
    let engines = Engines::start(&agent.socket(), "leaving", 4, 100).welcome();
    let view = remote(&nats.url());
    until("a router sees them", &view, |ranks| ranks.len() == 4);
    nats.signal(Signal::STOP);
    engines.write_more(50);
    let (status, took_ns) = agent.end(Signal::TERM);
    assert_eq!(status.code(), Some(0), "{}", agent.log());
    assert!(took_ns < LEAVE_NS_MAX, "{took_ns} ns");
}

#[test]
fn a_second_agent_says_what_the_first_one_has_and_runs_on() {
    let first = Running::start(&[]);
    eventually("it has its journal", || first.log().contains("journal: ready"));
    let mut second = Running::launch(program(), &settings(first.folder()).each_ref().map(|s| &**s));
    eventually("it tells of the socket", || second.log().contains("engine_push: failed, "));
    eventually("it tells of the journal", || second.log().contains("journal: failed, "));
    for (part, named) in [("engine_push", "agent.sock"), ("journal", "state")] {
        let log = second.log();
        let line = log.lines().find(|line| line.contains(&format!("{part}: failed")));
        assert!(line.is_some_and(|line| line.contains(named)), "{part}: {log}");
    }
    assert!(second.log().contains("procfs: ready"), "{}", second.log());
    assert_eq!(second.end(Signal::TERM).0.code(), Some(0), "{}", second.log());
    assert!(first.socket().exists(), "the first one's socket stays");
    until("the first one goes on", &first.view(), |_| true);
}

#[test]
fn a_run_folder_that_cannot_be_made_costs_the_door_and_nothing_else() {
    let mut agent = Running::launch(program(), &["--set", "run_dir=/dev/null/run"]);
    eventually("it tells", || agent.log().contains("engine_push: failed, "));
    let log = agent.log();
    let line = log.lines().find(|line| line.contains("engine_push: failed")).expect("it was there");
    assert!(line.contains("/dev/null/run"), "{line}");
    eventually("the rest runs", || agent.log().contains("procfs: ready"));
    assert!(agent.is_running());
    assert_eq!(agent.end(Signal::TERM).0.code(), Some(0), "{}", agent.log());
}

#[test]
fn simulated_engines_show_as_simulated() {
    let agent = Running::start(&[]);
    let view = agent.view();
    let socket = agent.socket();
    let mut simulation = program();
    simulation.args(["simulate", "--engines", "3", "--seconds", "1", "--json", "--socket"]);
    let output = simulation.arg(socket).output().expect("the program starts");
    assert!(output.status.success(), "{}", text(&output));
    let counts: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(counts["simulated"], true);
    assert!(counts["steps"].as_u64() > Some(3), "{counts}");
    until("they came and went", &view, |ranks| {
        ["sim-0", "sim-1", "sim-2"].iter().all(|name| {
            ranks.iter().any(|rank| {
                let simulated = rank.step.has(eagle_eye::schema::Flag::Simulated);
                rank.id.instance == name_hash(name)
                    && simulated
                    && rank.freshness == Freshness::Gone
            })
        })
    });
}

#[test]
fn the_measurement_over_a_server_prints_every_stage() {
    let nats = NatsServer::open();
    let few = ["bench", "--engines", "3", "--hz", "50", "--seconds", "1", "--nats"];
    let url = nats.url();
    let output = said(&[&few[..], &[&url]].concat());
    assert!(output.status.success(), "{}", text(&output));
    let table = text(&output);
    for part in ["p50", "p99", "p99.9", "engine → view", "0 uncounted"] {
        assert!(table.contains(part), "{part}: {table}");
    }
    let output = said(&[&few[..], &[&url, "--json"]].concat());
    let measured: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&measured["simulated"], &measured["uncounted"]), (&true.into(), &0.into()));
}

/// Ways in which a secret is given and something goes wrong.
fn with_secrets(folder: &Path, secret: &str) -> Vec<Vec<String>> {
    let file = folder.join("ee.toml");
    let toml = format!("[nats]\nurls = \"nats://me:{secret}@\\u0020\"\ntoken = \"{secret}\"\n");
    std::fs::write(&file, toml).expect("the folder is ours");
    let no_toml = folder.join("no.toml");
    let toml = format!("[nats]\npassword = {secret}\n");
    std::fs::write(&no_toml, toml).expect("the folder is ours");
    [
        format!("check --nats http://me:{secret}@127.0.0.1:1"),
        format!("check --nats nats://me:{secret}@127.0.0.1:1"),
        format!("check --set nats.urls=nats://ok:4222,me:{secret}@h"),
        format!("check --set nats.passwort={secret}"),
        format!("check --config {}", file.display()),
        format!("check --config {}", no_toml.display()),
        format!("run --nats me:{secret}@127.0.0.1"),
        format!("doctor --nats nats://me:{secret}@127.0.0.1:1"),
        format!("doctor --json --nats http://me:{secret}@127.0.0.1:1"),
        format!("doctor --config {}", no_toml.display()),
        format!("bench --engines 1 --seconds 1 --nats http://me:{secret}@127.0.0.1:1"),
    ]
    .iter()
    .map(|line| line.split(' ').map(str::to_owned).collect())
    .collect()
}

#[test]
fn no_output_shows_a_secret() {
    const SECRET: &str = "geheim-x7Q";
    let folder = tempfile::tempdir().expect("a folder");
    for arguments in with_secrets(folder.path(), SECRET) {
        let output = program().args(&arguments).output().expect("the program starts");
        assert!(!text(&output).contains(SECRET), "{arguments:?}: {}", text(&output));
    }
    let url = format!("nats://me:{SECRET}@127.0.0.1:1");
    for verb in ["run", "bench", "check", "watch", "doctor"] {
        let help = program().args([verb, "--help"]).env("EAGLE_EYE_NATS", &url).output();
        let help = text(&help.expect("the program starts"));
        assert!(help.contains("EAGLE_EYE_NATS") && !help.contains(SECRET), "{help}");
    }
}

#[test]
fn no_log_shows_a_secret() {
    const SECRET: &str = "geheim-x7Q";
    // One server refuses it, one knows it, and one is not there.
    let refusing = NatsServer::with("authorization { user: me, password: other }");
    let taking = NatsServer::with(&format!("authorization {{ user: me, password: \"{SECRET}\" }}"));
    for port in [refusing.port, taking.port, free_port()] {
        let url = format!("nats://me:{SECRET}@127.0.0.1:{port}");
        let mut agent = Running::start(&["--nats", &url, "--set", "log.level=trace"]);
        let engines = Engines::start(&agent.socket(), "secret", 1, 50).welcome();
        engines.write_more(50);
        agent.end(Signal::TERM);
        assert!(!agent.log().contains(SECRET), "{}", agent.log());
    }
}

#[test]
fn a_port_in_use_is_a_sentence_and_the_rest_runs_on() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("its address");
    let mut agent = Running::start(&["--set", &format!("listen={address}")]);
    let engines = Engines::start(&agent.socket(), "beside", 1, 50).welcome();
    engines.write_more(10);
    agent.end(Signal::TERM);
    let log = agent.log();
    let line = log.lines().find(|line| line.contains("http: failed"));
    assert!(line.is_some_and(|line| line.contains(&address.to_string())), "{log}");
}
