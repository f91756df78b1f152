//! `eagle-eye doctor` against real servers, agents and folders.

use std::io::Read as _;
use std::path::Path;
use std::process::Output;

use eagle_eye::samplers;
use serde_json::Value;

use crate::binary::{Running, program, settings, text};
use crate::engines::Engines;
use crate::road::{remote, until};
use crate::server::{NatsServer, eventually, free_port};

/// What the doctor says as JSON, and its exit code; it keeps to `folder`.
fn doctor(folder: &Path, arguments: &[&str]) -> (Value, i32) {
    let output = output(folder, &[&["--json"], arguments].concat());
    let report = serde_json::from_slice(&output.stdout);
    let report = report.unwrap_or_else(|error| panic!("{error}: {}", text(&output)));
    (report, output.status.code().expect("it ends by itself"))
}

fn output(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = program();
    command.args(["doctor", "--listen", "off"]).args(settings(folder)).args(arguments);
    command.output().expect("the program starts")
}

/// What was looked at in a section.
fn section<'a>(report: &'a Value, name: &str) -> &'a [Value] {
    let sections = report["sections"].as_array().expect("a list");
    let found = sections.iter().find(|section| section["name"] == name);
    let found = found.unwrap_or_else(|| panic!("no section {name}: {report:#}"));
    found["looked_at"].as_array().expect("a list")
}

/// One thing of a section, by the beginning of its name.
fn thing<'a>(report: &'a Value, of: &str, what: &str) -> &'a Value {
    let mut things = section(report, of).iter();
    let found = things.find(|thing| thing["what"].as_str().is_some_and(|w| w.starts_with(what)));
    found.unwrap_or_else(|| panic!("no {what} in {of}: {report:#}"))
}

/// Whether this thing is in this state, and tells of it with a remedy.
fn is(report: &Value, of: &str, what: &str, state: &str, says: &str) {
    let thing = thing(report, of, what);
    assert_eq!(thing["state"], state, "{thing:#}");
    assert!(thing["says"].as_str().is_some_and(|text| text.contains(says)), "{thing:#}");
    let remedy = thing["remedy"].as_str().expect("text");
    let needs_one = ["limited", "trouble"].contains(&state);
    assert!(!needs_one || !remedy.is_empty(), "{thing:#}");
}

/// The exit code says whether there was trouble.
fn agrees((report, code): &(Value, i32)) {
    let trouble = report["counts"]["trouble"].as_u64().expect("a number");
    assert_eq!(*code, i32::from(trouble > 0), "{report:#}");
}

/// A server whose users may do different things.
fn server_with_users() -> NatsServer {
    NatsServer::with(
        "jetstream { store_dir: \"FOLDER/js\" }
         authorization { users: [
           { user: all, password: all1 }
           { user: some, password: some1, permissions: {
               publish: [\"eagle_eye.v1.routing.>\", \"eagle_eye.v1.events.>\"]
               subscribe: [\"_INBOX.>\"] } }
           { user: mute, password: mute1, permissions: {
               publish: { deny: [\"_INBOX.>\"] }, subscribe: [\"eagle_eye.v1.>\"] } }
         ] }",
    )
}

fn url(server: &NatsServer, login: &str) -> String {
    format!("nats://{login}@127.0.0.1:{}", server.port)
}

#[test]
fn an_agent_with_its_engines_and_its_server_is_fine() {
    let server = server_with_users();
    let nats = url(&server, "all:all1");
    let listen = format!("listen=127.0.0.1:{}", free_port());
    let agent = Running::start(&["--set", &listen, "--nats", &nats]);
    let engines = Engines::start(&agent.socket(), "looked-at", 2, 50).welcome();
    engines.write_more(20);
    eventually("it found NATS", || agent.log().contains("nats: ready"));
    let seen = doctor(agent.folder(), &["--set", &listen, "--nats", &nats]);
    agrees(&seen);
    let report = &seen.0;
    is(report, "agent", "local door", "fine", "an agent answers");
    is(report, "agent", "HTTP", "fine", "alive");
    // Whether all that it was asked for works depends on this machine.
    assert!(thing(report, "agent", "readiness")["says"].is_string());
    is(report, "nats", &server.url(), "fine", "nats-server 2.");
    is(report, "nats", "rights", "fine", "all 7");
    is(report, "nats", "stream EAGLE_EYE_V1_EVENTS", "fine", "JetStream");
    is(report, "folders", "run_dir", "fine", "free");
    is(report, "configuration", "settings", "fine", "right");
    assert_eq!(section(report, "engines").len(), 2, "{report:#}");
    is(report, "engines", "looked-at", "fine", "fresh");
}

#[test]
fn every_sampler_is_looked_at_and_the_form_is_as_it_was() {
    let folder = tempfile::tempdir().expect("a folder");
    let seen = doctor(folder.path(), &["--set", "samplers.procfs.enabled=false"]);
    agrees(&seen);
    let report = &seen.0;
    let keys: Vec<&str> = report.as_object().expect("an object").keys().map(|k| &**k).collect();
    let form = ["counts", "form", "node", "sections", "state", "time", "took_ms", "version"];
    assert_eq!((keys, &report["form"]), (form.to_vec(), &Value::from(1)));
    let names: Vec<&str> = report["sections"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|section| section["name"].as_str().expect("text"))
        .collect();
    let before =
        ["configuration", "folders", "host", "processors", "limits", "clocks", "processes"];
    let samplers: Vec<String> =
        samplers::ALL.iter().map(|entry| format!("samplers.{}", entry.name)).collect();
    let expected: Vec<&str> = before
        .into_iter()
        .chain(samplers.iter().map(|name| &**name))
        .chain(["agent", "engines", "nats"])
        .collect();
    assert_eq!(names, expected);
    for name in names {
        for thing in section(report, name) {
            let keys: Vec<&str> =
                thing.as_object().expect("an object").keys().map(|k| &**k).collect();
            assert_eq!(keys, ["remedy", "says", "state", "what"], "{name}");
        }
    }
    is(report, "samplers.procfs", "samplers.procfs.enabled", "not_here", "off");
    is(report, "agent", "local door", "not_here", "no agent runs");
    is(report, "nats", "servers", "not_here", "none is configured");
}

#[test]
fn a_server_that_is_not_there_is_trouble_unless_another_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let nowhere = format!("nats://127.0.0.1:{}", free_port());
    let (report, code) = doctor(folder.path(), &["--nats", &nowhere]);
    assert_eq!(code, 1);
    is(&report, "nats", &nowhere, "trouble", "cannot reach");
    let server = NatsServer::open();
    let both = format!("{nowhere},{}", server.url());
    let (report, _) = doctor(folder.path(), &["--nats", &both]);
    is(&report, "nats", &nowhere, "limited", "another one answers");
    is(&report, "nats", &server.url(), "fine", "answers in");
    is(&report, "nats", "stream", "limited", "no JetStream");
}

#[test]
fn who_accepts_and_says_nothing_is_trouble_within_the_deadline() {
    let folder = tempfile::tempdir().expect("a folder");
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = silent.local_addr().expect("its address");
    let (nats, listen) = (format!("nats://{address}"), format!("listen={address}"));
    let (report, code) = doctor(folder.path(), &["--nats", &nats, "--set", &listen]);
    assert_eq!(code, 1);
    is(&report, "nats", &nats, "trouble", "did not answer");
    is(&report, "agent", "HTTP", "not_here", "nobody answers");
    let took_ms = report["took_ms"].as_u64().expect("a number");
    assert!(took_ms <= 8000, "{took_ms}");
}

#[test]
fn an_agent_that_hangs_is_told_from_one_that_is_not_there() {
    let agent = Running::start(&[]);
    let pid = rustix::process::Pid::from_raw(agent.id().cast_signed()).expect("a process");
    let signal = |signal| rustix::process::kill_process(pid, signal).expect("it takes a signal");
    signal(rustix::process::Signal::STOP);
    let (report, _) = doctor(agent.folder(), &[]);
    signal(rustix::process::Signal::CONT);
    is(&report, "agent", "local door", "limited", "no agent answers");
}

#[test]
fn a_login_that_a_server_refuses_is_trouble_and_not_shown() {
    let server = server_with_users();
    let folder = tempfile::tempdir().expect("a folder");
    let (report, code) = doctor(folder.path(), &["--nats", &url(&server, "all:geheim-x7Q")]);
    assert_eq!(code, 1);
    is(&report, "nats", &server.url(), "trouble", "check user and password");
    assert!(!report.to_string().contains("geheim"), "{report:#}");
    let (report, _) = doctor(folder.path(), &["--nats", &server.url()]);
    is(&report, "nats", &server.url(), "trouble", "wants a login");
}

#[test]
fn what_a_server_forbids_is_told_by_subject() {
    let server = server_with_users();
    let folder = tempfile::tempdir().expect("a folder");
    let node = ["--node", "n.1", "--nats"];
    let (report, code) =
        doctor(folder.path(), &[&node[..], &[&url(&server, "some:some1")]].concat());
    assert_eq!(code, 1);
    is(&report, "nats", "publish eagle_eye.v1.health.n_1", "trouble", "forbids");
    is(&report, "nats", "publish eagle_eye.routing_metrics", "trouble", "forbids");
    is(&report, "nats", "subscribe eagle_eye.v1.snapshot", "trouble", "forbids");
    is(&report, "nats", "publish eagle_eye.v1.snapshot", "limited", "forbids");
    is(&report, "nats", "stream", "limited", "may not ask");
    let forbidden = section(&report, "nats").iter();
    let forbidden: Vec<&str> = forbidden.filter_map(|thing| thing["what"].as_str()).collect();
    assert!(!forbidden.iter().any(|what| what.contains("events.n_1")), "{forbidden:?}");
    // One whose own messages do not come back is judged all the same.
    let (report, _) = doctor(folder.path(), &[&node[..], &[&url(&server, "mute:mute1")]].concat());
    is(&report, "nats", "rights", "fine", "all 7");
}

#[test]
fn asking_for_rights_leaves_nothing_behind() {
    let server = NatsServer::with("jetstream { store_dir: \"FOLDER/js\" }");
    let nats = server.url();
    let agent = Running::start(&["--nats", &nats]);
    let engines = Engines::start(&agent.socket(), "beside", 1, 50).welcome();
    engines.write_more(5);
    let view = remote(&nats);
    until("a router sees it", &view, |ranks| ranks.len() == 1);
    // No subject that is tried is one of the running agent's.
    let tried = ["--node", "tried", "--nats", &nats];
    let (report, _) = doctor(agent.folder(), &tried);
    is(&report, "nats", "rights", "fine", "all 7");
    is(&report, "nats", "stream EAGLE_EYE_V1_EVENTS", "fine", "JetStream");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let stored = runtime.expect("a runtime").block_on(async {
        let client = async_nats::connect(&nats).await.expect("it lets us in");
        let stream = async_nats::jetstream::new(client).get_stream("EAGLE_EYE_V1_EVENTS").await;
        let stream = stream.expect("the agent made it");
        stream.get_last_raw_message_by_subject("eagle_eye.v1.events.tried").await.is_ok()
    });
    assert!(!stored, "what was tried is in the stream");
    let seen = view.ranks()[0].step.sequence;
    until("it goes on", &view, |ranks| ranks.iter().any(|rank| rank.step.sequence > seen));
    let counts = view.counts();
    assert_eq!((counts.batches_malformed, counts.steps_malformed), (0, 0), "{counts:?}");
}

#[test]
fn all_mistakes_of_a_configuration_are_told_and_the_rest_is_looked_at() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("ee.toml");
    let toml = "nodee = 1\nlisten = \"nowhere\"\n[pipeline]\nlinger_us = -1\n";
    std::fs::write(&file, toml).expect("the folder is ours");
    let file = file.to_str().expect("a plain name");
    let output = program().args(["doctor", "--json", "--config", file]).output();
    let output = output.expect("the program starts");
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    is(&report, "configuration", "nodee", "trouble", "did you mean node?");
    is(&report, "configuration", "listen", "trouble", "nowhere");
    is(&report, "configuration", "pipeline.linger_us", "trouble", "-1");
    assert_eq!(section(&report, "configuration").len(), 3);
    assert!(!section(&report, "samplers.own").is_empty());
}

#[test]
fn a_host_root_without_a_proc_is_trouble_for_those_who_need_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = format!("host_root={}", folder.path().display());
    let (report, code) = doctor(folder.path(), &["--set", &root]);
    assert_eq!(code, 1);
    is(&report, "host", "host_root", "trouble", "proc/stat");
    let stat = folder.path().join("proc/stat");
    is(&report, "samplers.procfs", &stat.display().to_string(), "trouble", "cannot be read");
}

#[test]
fn a_folder_that_cannot_be_is_trouble() {
    let folder = tempfile::tempdir().expect("a folder");
    let (report, code) = doctor(folder.path(), &["--set", "state_dir=/dev/null/state"]);
    assert_eq!(code, 1);
    is(&report, "folders", "state_dir", "trouble", "/dev/null is no folder");
}

#[test]
fn people_get_text_without_colours_where_there_is_no_terminal() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = output(folder.path(), &["--all"]);
    let text = String::from_utf8_lossy(&output.stdout);
    for part in ["Configuration\n", "Samplers\n", "✓ procfs", "/proc/stat: can be read", "NATS\n"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains('\x1b') && output.stderr.is_empty(), "{text}");
}

#[test]
fn wrong_usage_ends_with_2_and_a_bundle_never_replaces_a_file() {
    let folder = tempfile::tempdir().expect("a folder");
    assert_eq!(output(folder.path(), &["--everything"]).status.code(), Some(2));
    let file = folder.path().join("mine.tar.gz");
    std::fs::write(&file, "mine").expect("the folder is ours");
    let path = file.to_str().expect("a plain name");
    let output = output(folder.path(), &["--bundle", path]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    assert!(text(&output).contains(path), "{}", text(&output));
    assert_eq!(std::fs::read_to_string(&file).expect("it is there"), "mine");
}

/// Every file of a bundle: its name and its bytes.
fn unpacked(path: &Path) -> Vec<(String, Vec<u8>)> {
    let file = std::fs::File::open(path).expect("the bundle");
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(file));
    let entries = archive.entries().expect("an archive");
    let file = |entry: std::io::Result<tar::Entry<'_, _>>| {
        let mut entry: tar::Entry<'_, flate2::read::GzDecoder<std::fs::File>> =
            entry.expect("a file of it");
        let name = entry.path().expect("its name").display().to_string();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).expect("its bytes");
        (name, bytes)
    };
    entries.map(file).collect()
}

#[test]
fn a_bundle_holds_what_helps_and_no_secret() {
    // In a file, a URL, a variable and a credentials file; with characters
    // that JSON, TOML and URLs spell in their own ways.
    let secrets = ["pass-geheim", "url%2Fgeheim", "url/geheim", "token\\\"geheim", "seed-geheim"];
    let folder = tempfile::tempdir().expect("a folder");
    let credentials = folder.path().join("user.creds");
    std::fs::write(&credentials, "seed-geheim").expect("the folder is ours");
    let port = free_port();
    let listen = format!("listen=127.0.0.1:{}", free_port());
    let nats = format!("nats://me:url%2Fgeheim@127.0.0.1:{port}");
    let config = folder.path().join("ee.toml");
    let toml = format!(
        "[nats]\npassword = \"pass-geheim\"\ncredentials_file = \"{}\"\n",
        credentials.display()
    );
    std::fs::write(&config, toml).expect("the folder is ours");
    let agent = Running::start(&["--set", &listen, "--nats", &nats]);
    let path = folder.path().join("b.tar.gz");
    let output = program()
        .args(["doctor", "--set", &listen, "--nats", &nats, "--config"])
        .arg(&config)
        .args(settings(agent.folder()))
        .args(["--bundle"])
        .arg(&path)
        .env("EAGLE_EYE_NATS_TOKEN", "token\"geheim")
        .output()
        .expect("the program starts");
    assert!(text(&output).contains(&path.display().to_string()), "{}", text(&output));
    let files = unpacked(&path);
    for name in [
        "README.txt",
        "report.txt",
        "report.json",
        "configuration.toml",
        "variables.txt",
        "system.txt",
        "agent/status.json",
        "agent/events.json",
    ] {
        let name = format!("eagle-eye-doctor/{name}");
        let found = files.iter().find(|(of, _)| *of == name);
        assert!(found.is_some_and(|(_, bytes)| !bytes.is_empty()), "{name}");
    }
    for (name, bytes) in &files {
        let text = String::from_utf8_lossy(bytes);
        for secret in secrets {
            assert!(!text.contains(secret), "{secret} in {name}: {text}");
        }
        assert!(!text.contains("geheim"), "{name}: {text}");
    }
    let text = String::from_utf8_lossy(&files.iter().find(|f| f.0.ends_with("toml")).unwrap().1)
        .into_owned();
    assert!(text.contains("nats.password = \"[hidden]\""), "{text}");
    assert!(text.contains(&credentials.display().to_string()), "a file is named, not read: {text}");
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &std::fs::metadata(&path).expect("it is there").permissions(),
    );
    assert_eq!(mode & 0o777, 0o600);
}
