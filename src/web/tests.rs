//! The server over real connections.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use bytemuck::Zeroable;
use serde_json::Value;

use super::limits::{BUFFER_BYTES_MAX, HEADER_BYTES_MAX};
use super::*;
use crate::newest::{NewestStep, ReadingTable, StepTable, StepWriter};
use crate::platform::atomic::{AtomicBool, Ordering};
use crate::platform::clock;
use crate::schema::{Engine, EventKind, Field, Flag, MetricId, Reading, name_hash};

const TIME: Duration = Duration::from_secs(20);
const HOSTILE: &str = "</script><script>alert(1)</script>\r\n\r\ndata: x\u{202e}";

pub(super) fn status() -> Status {
    Status {
        node: "n".to_owned(),
        version: "0".to_owned(),
        up_ms: 7,
        ready: Ok(()),
        samplers: Vec::new(),
        nats: None,
        simulated: false,
        losses: Vec::new(),
    }
}

pub(super) fn sources(steps: &StepTable) -> Sources {
    Sources {
        steps: steps.view(),
        readings: ReadingTable::heap(1).view(),
        names: Names::new("n"),
        status: Box::new(status),
        events: Box::new(Vec::new),
    }
}

fn serve(sources: Sources) -> Server {
    start(([127, 0, 0, 1], 0).into(), sources).expect("a free port of loopback")
}

fn newest(name: &str, running: u32) -> NewestStep {
    let mut newest = NewestStep { alive_ns: clock::monotonic_ns(), ..NewestStep::zeroed() };
    newest.step.instance = name_hash(name);
    newest.step.running = running;
    newest.step.mark(Field::Running);
    newest
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("the server accepts");
    stream.set_read_timeout(Some(TIME)).expect("a time-out may be set");
    stream
}

fn exchange(address: SocketAddr, request: &str) -> String {
    let mut stream = connect(address);
    stream.write_all(request.as_bytes()).expect("the server reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("the server answers and closes");
    answer
}

fn ask(address: SocketAddr, method: &str, path: &str) -> String {
    exchange(address, &format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"))
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").expect("an answer has a head").1
}

fn json(address: SocketAddr, path: &str) -> Value {
    let answer = ask(address, "GET", path);
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    serde_json::from_str(body(&answer)).expect("the body is JSON")
}

/// A stream's events: name and data.
struct Events(BufReader<TcpStream>);

impl Events {
    fn open(address: SocketAddr, path: &str) -> Self {
        let mut stream = connect(address);
        // HTTP/1.0: the body comes without chunk lengths between its lines.
        write!(stream, "GET {path} HTTP/1.0\r\n\r\n").expect("the server reads");
        Self(BufReader::new(stream))
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let bytes = self.0.read_line(&mut line).expect("a line within the time-out");
        (bytes > 0).then(|| line.trim_end().to_owned())
    }

    fn next(&mut self) -> Option<(String, Value)> {
        let mut name = String::new();
        loop {
            let line = self.line()?;
            if let Some(said) = line.strip_prefix("event: ") {
                said.clone_into(&mut name);
            } else if let Some(data) = line.strip_prefix("data: ") {
                return Some((name, serde_json::from_str(data).expect("data is JSON")));
            }
        }
    }

    fn expect(&mut self, wanted: &str) -> Value {
        loop {
            let (name, data) = self.next().expect("the stream goes on");
            if name == wanted {
                return data;
            }
        }
    }
}

#[test]
fn every_route_answers_get_and_head_with_its_kind_and_its_safety_headers() {
    let server = serve(sources(&StepTable::heap(1)));
    for (path, kind, part) in [
        ("/", "text/html; charset=utf-8", "<title>Eagle Eye</title>"),
        ("/page.css", "text/css; charset=utf-8", "color-scheme"),
        ("/page.js", "text/javascript; charset=utf-8", "EventSource"),
        ("/healthz", "text/plain; charset=utf-8", "ok\n"),
        ("/readyz", "text/plain; charset=utf-8", "ready\n"),
        ("/v1/status", "application/json", "\"ready\":true"),
        ("/v1/routing", "application/json", "\"ranks\":[]"),
        ("/v1/host", "application/json", "\"devices\":[]"),
        ("/v1/devices", "application/json", "\"devices\":[]"),
        ("/v1/events", "application/json", "\"events\":[]"),
    ] {
        let answer = ask(server.address(), "GET", path);
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{path}: {answer}");
        assert!(answer.contains(&format!("content-type: {kind}\r\n")), "{path}: {answer}");
        assert!(body(&answer).contains(part), "{path}: {answer}");
        for header in ["content-security-policy: default-src 'none';", "nosniff", "DENY"] {
            assert!(answer.contains(header), "{path} lacks {header}: {answer}");
        }
        assert!(!answer.contains("access-control-allow-origin"), "{path}");
        let head = ask(server.address(), "HEAD", path);
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && body(&head).is_empty(), "{head}");
    }
}

#[test]
fn what_is_not_served_is_refused_with_a_sentence() {
    let server = serve(sources(&StepTable::heap(1)));
    let close = "host: x\r\nconnection: close";
    for (request, status, sentence) in [
        (format!("GET /nothing HTTP/1.1\r\n{close}\r\n\r\n"), 404, "nothing at this path"),
        (format!("GET /../etc/passwd HTTP/1.1\r\n{close}\r\n\r\n"), 404, "nothing at this path"),
        (format!("POST /v1/routing HTTP/1.1\r\n{close}\r\n\r\n"), 405, "Only GET and HEAD"),
        (format!("DELETE / HTTP/1.1\r\n{close}\r\n\r\n"), 405, "allow: GET, HEAD"),
        (format!("BREW /none HTTP/1.1\r\n{close}\r\n\r\n"), 405, "Only GET and HEAD"),
        (
            format!("GET /v1/status HTTP/1.1\r\n{close}\r\ncontent-length: 3\r\n\r\nabc"),
            413,
            "no request body",
        ),
        (
            format!("GET / HTTP/1.1\r\n{close}\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
            413,
            "no request body",
        ),
        (
            format!("GET / HTTP/1.1\r\n{close}\r\nx: {}\r\n\r\n", "y".repeat(HEADER_BYTES_MAX)),
            431,
            "",
        ),
        (format!("GET / HTTP/1.1\r\n{close}\r\n{}\r\n", "a: b\r\n".repeat(200)), 431, ""),
        (format!("GET /{} HTTP/1.1\r\n{close}\r\n\r\n", "p".repeat(HEADER_BYTES_MAX)), 431, ""),
        ("\0\u{1}nonsense\r\n\r\n".to_owned(), 400, ""),
        (format!("GET /v1/routing/stream?hz=0 HTTP/1.1\r\n{close}\r\n\r\n"), 400, "1 to 50"),
        (format!("GET /v1/routing/stream?hz=51 HTTP/1.1\r\n{close}\r\n\r\n"), 400, "1 to 50"),
        (format!("GET /v1/routing/stream?hz=%ff HTTP/1.1\r\n{close}\r\n\r\n"), 400, "1 to 50"),
        (
            format!("GET /v1/routing/stream?host=2 HTTP/1.1\r\n{close}\r\n\r\n"),
            400,
            "true or false",
        ),
    ] {
        let answer = exchange(server.address(), &request);
        let shown = &request[..request.len().min(60)];
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{shown}: {answer}");
        assert!(answer.contains(sentence), "{shown}: {answer}");
    }
    assert!(ask(server.address(), "GET", "/healthz").ends_with("ok\n"));
}

#[test]
fn not_ready_is_said_with_its_sentence_and_leaves_health_alone() {
    let mut sources = sources(&StepTable::heap(1));
    sources.status = Box::new(|| Status { ready: Err("NATS refuses us.".to_owned()), ..status() });
    let server = serve(sources);
    let answer = ask(server.address(), "GET", "/readyz");
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.ends_with("NATS refuses us.\n"));
    assert!(ask(server.address(), "GET", "/healthz").starts_with("HTTP/1.1 200 "));
    assert_eq!(json(server.address(), "/v1/status")["why_not"], "NATS refuses us.");
}

#[test]
fn ranks_devices_and_events_are_told_as_they_are() {
    let (steps, readings) = (StepTable::heap(4), ReadingTable::heap(4));
    let mut sources = sources(&steps);
    sources.readings = readings.view();
    let load = sources.names.device("node", "node").unwrap();
    let mut cell = readings.cell().unwrap();
    cell.write(&Reading::new(load, MetricId::LoadOne, clock::monotonic_ns(), 0.5));
    let engine = Engine { endpoint: "http://h:8000".to_owned(), ..Engine::named("b", "m") };
    sources.names.put_engine(engine);
    sources.events = Box::new(|| {
        let (kind, text) = (EventKind::EngineGone, HOSTILE.to_owned());
        vec![Event { id: u64::MAX, kind, text, wall_ns: 1_000_000, ..Event::default() }]
    });
    let mut writer = steps.writer();
    let mut simulated = newest("b", 3);
    simulated.step.raise(Flag::Simulated);
    writer.write(&simulated);
    writer.write(&newest(HOSTILE, 0));
    sources.names.put_engine(Engine::named(HOSTILE, HOSTILE));
    let server = serve(sources);

    let routing = json(server.address(), "/v1/routing");
    assert_eq!((&routing["node"], &routing["ranks"][0]["engine"]), (&"n".into(), &HOSTILE.into()));
    let told = &routing["ranks"][1];
    assert_eq!(told["endpoint"], "http://h:8000");
    assert_eq!((&told["running"], &told["simulated"]), (&3.into(), &true.into()));
    assert_eq!((told.get("waiting"), told.get("kv_usage")), (None, None));
    assert!(told["age_ms"].as_f64().unwrap() < 20_000.0);

    let host = json(server.address(), "/v1/host");
    let reading = &host["devices"][0]["readings"]["load_one_minute"];
    assert_eq!((&reading["value"], &reading["unit"]), (&0.5.into(), &"count".into()));
    let event = &json(server.address(), "/v1/events")["events"][0];
    assert_eq!(
        (&event["id"], &event["kind"]),
        (&u64::MAX.to_string().into(), &"engine_gone".into())
    );
    assert_eq!(
        (&event["time"], &event["text"]),
        (&"1970-01-01T00:00:00.001Z".into(), &HOSTILE.into())
    );
}

#[test]
fn a_stream_tells_all_then_what_changed_and_no_name_breaks_out_of_its_line() {
    let steps = StepTable::heap(4);
    let sources = sources(&steps);
    let names = sources.names.clone();
    let mut writer = steps.writer();
    writer.write(&newest("a", 1));
    writer.write(&newest("b", 2));
    let server = serve(sources);
    let mut events = Events::open(server.address(), "/v1/routing/stream?hz=50");
    let first = events.next().unwrap();
    assert_eq!((first.0.as_str(), first.1["ranks"].as_array().unwrap().len()), ("state", 2));
    let written_ns = clock::monotonic_ns();
    writer.write(&newest("b", 7));
    let change = events.expect("change");
    let waited_ns = clock::monotonic_ns() - written_ns;
    // Before any heartbeat, on a busy machine too; idle, it takes 20 ms.
    assert!(waited_ns < 4 * clock::SECOND_NS, "{waited_ns} ns were needed");
    assert_eq!(change["ranks"].as_array().unwrap().len(), 1, "{change}");
    assert_eq!(
        (&change["ranks"][0]["slot"], &change["ranks"][0]["running"]),
        (&1.into(), &7.into())
    );
    names.put_engine(Engine::named(HOSTILE, HOSTILE));
    writer.write(&newest(HOSTILE, 1));
    let hostile = |change: &Value| {
        let ranks = change["ranks"].as_array().unwrap().clone();
        ranks.iter().any(|rank| rank["engine"] == HOSTILE)
    };
    while !hostile(&events.expect("change")) {}
    drop(writer);
    let mut gone = Vec::new();
    while gone.len() < 3 {
        gone.extend(events.expect("change")["gone"].as_array().unwrap().clone());
    }
    server.stop(Duration::from_secs(2));
    assert_eq!(events.next().map(|event| event.0), None, "the stream ends with the server");
}

#[test]
fn host_readings_come_with_the_stream_only_where_asked_for() {
    let server = serve(sources(&StepTable::heap(1)));
    let mut events = Events::open(server.address(), "/v1/routing/stream?host=true");
    assert_eq!(events.next().unwrap().0, "state");
    assert_eq!(events.next().unwrap().1["devices"], serde_json::json!([]));
}

#[test]
fn a_stream_with_nothing_to_say_still_shows_that_it_lives() {
    let server = serve(sources(&StepTable::heap(1)));
    let mut events = Events::open(server.address(), "/v1/routing/stream");
    while events.line().expect("the stream goes on") != ": still here" {}
}

#[test]
fn a_65th_stream_is_refused_and_its_place_is_free_when_another_leaves() {
    let server = serve(sources(&StepTable::heap(1)));
    let open = || {
        let mut events = Events::open(server.address(), "/v1/routing/stream");
        (events.line().unwrap(), events)
    };
    let mut streams: Vec<_> = (0..STREAMS_MAX).map(|_| open()).collect();
    assert!(streams.iter().all(|(line, _)| line.ends_with("200 OK")));
    let answer = ask(server.address(), "GET", "/v1/routing/stream");
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("retry-after: 5"), "{answer}");
    assert!(ask(server.address(), "GET", "/healthz").ends_with("ok\n"), "probes get in");
    streams.pop();
    let deadline_ns = clock::monotonic_ns() + 10 * clock::SECOND_NS;
    while !open().0.ends_with("200 OK") {
        assert!(clock::monotonic_ns() < deadline_ns, "the place was never given back");
    }
}

#[test]
fn one_connection_too_many_is_told_so() {
    let server = serve(sources(&StepTable::heap(1)));
    let mut held: Vec<_> = (0..CONNECTIONS_MAX).map(|_| connect(server.address())).collect();
    let answer = ask(server.address(), "GET", "/healthz");
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.ends_with("try again in a moment.\n"), "{answer}");
    held.clear();
    let deadline_ns = clock::monotonic_ns() + 10 * clock::SECOND_NS;
    while !ask(server.address(), "GET", "/healthz").starts_with("HTTP/1.1 200 ") {
        assert!(clock::monotonic_ns() < deadline_ns, "the places were never given back");
    }
}

/// Rewrites every rank until told to stop.
#[expect(clippy::disallowed_methods, reason = "a test's thread needs no pin")]
fn churn(
    mut writer: StepWriter,
    ranks: u32,
    stop: &Arc<AtomicBool>,
) -> std::thread::JoinHandle<StepWriter> {
    let stop = Arc::clone(stop);
    std::thread::spawn(move || {
        let mut round = 0;
        while !stop.load(Ordering::Acquire) {
            round += 1;
            for rank in 0..ranks {
                writer.write(&newest(&format!("engine {rank}"), round));
            }
            clock::sleep_until(clock::monotonic_ns() + 2 * clock::MILLISECOND_NS);
        }
        writer
    })
}

#[test]
fn a_reader_that_pauses_delays_nobody_and_then_gets_the_newest() {
    const RANKS: u32 = 256;
    let steps = StepTable::heap(512);
    let server = serve(sources(&steps));
    let stop = Arc::new(AtomicBool::new(false));
    let writing = churn(steps.writer(), RANKS, &stop);
    let mut slow = Events::open(server.address(), "/v1/routing/stream?hz=50");
    let mut quick = Events::open(server.address(), "/v1/routing/stream?hz=50");
    for _ in 0..40 {
        quick.next().expect("the quick reader hears on");
    }
    assert!(ask(server.address(), "GET", "/healthz").ends_with("ok\n"));
    stop.store(true, Ordering::Release);
    let mut writer = writing.join().unwrap();
    writer.write(&newest("engine 0", u32::MAX));
    let mut bytes = 0;
    loop {
        let (_, data) = slow.next().expect("the slow reader is still served");
        bytes += data.to_string().len();
        let ranks = data["ranks"].as_array().unwrap();
        if ranks.iter().any(|rank| rank["running"] == u32::MAX) {
            break;
        }
    }
    // What waited was what the two kernels' and our own buffers hold, not the
    // frames of the time in between.
    assert!(bytes < 8 << 20 && bytes > BUFFER_BYTES_MAX, "{bytes} bytes waited");
}

#[test]
fn headers_that_never_end_close_the_connection() {
    let server = serve(sources(&StepTable::heap(1)));
    let mut stream = connect(server.address());
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n").unwrap();
    let began_ns = clock::monotonic_ns();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("closed before the client's own time-out");
    let waited_s = (clock::monotonic_ns() - began_ns) / clock::SECOND_NS;
    assert!(waited_s >= 9, "closed after {waited_s} s");
}

#[test]
fn a_port_in_use_is_a_sentence_and_stopping_gives_it_back() {
    let server = serve(sources(&StepTable::heap(1)));
    let address = server.address();
    let error = start(address, sources(&StepTable::heap(1))).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
    assert!(error.to_string().contains("listens there already"), "{error}");
    let idle = connect(address);
    let began_ns = clock::monotonic_ns();
    server.stop(Duration::from_secs(60));
    assert!(clock::monotonic_ns() - began_ns < 30 * clock::SECOND_NS, "an idle peer holds nothing");
    drop(idle);
    start(address, sources(&StepTable::heap(1))).expect("the port is free").stop(Duration::ZERO);
}
