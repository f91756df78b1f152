//! Engines read by their pages: real sockets, other people's servers, and
//! servers that do what none should.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, bounded};
use eagle_eye::newest::{Names, NewestStep, ReadingTable, StepTable, StepTableView};
use eagle_eye::platform::clock::{self, MILLISECOND_NS, SECOND_NS};
use eagle_eye::platform::doorbell::Doorbell;
use eagle_eye::platform::thread::{self, Stop};
use eagle_eye::ring;
use eagle_eye::samplers::engine_scrape::{ENTRY, Goes, Page, PageRank, Unread};
use eagle_eye::samplers::own::Gauges;
use eagle_eye::samplers::{
    Context, Cursors, EventOutlet, Fact, Opened, Outlet, OutletParts, Progress, Settings, start,
};
use eagle_eye::schema::{Engine, Event, EventKind, Field, Flag, MetricId, StepCore, name_hash};
use serde_json::Value;

use crate::counting::allocations;
use crate::server::eventually;

const VLLM: &str = include_str!("../captures/pages/vllm_0_32.txt");
const RANKS: &str = include_str!("../captures/pages/vllm_four_ranks.txt");

/// The scraper on a thread of its own, and all that it says.
struct Scraper {
    names: Names,
    steps: StepTableView,
    readings: ReadingTable,
    ring: ring::Reader<StepCore>,
    events: Receiver<Fact>,
    heard: Vec<Event>,
    stop: Stop,
    thread: Option<JoinHandle<()>>,
}

const PERIOD_NS: u64 = 20 * MILLISECOND_NS;

impl Scraper {
    fn start(settings: &[(&'static str, String)]) -> Self {
        Self::start_under(Path::new("/"), settings)
    }

    /// Of these endpoints and no others.
    fn of(endpoints: &str) -> Self {
        let endpoints = ("endpoints", endpoints.to_owned());
        Self::start(&[endpoints, ("discover", "false".to_owned())])
    }

    fn start_under(host_root: &Path, settings: &[(&'static str, String)]) -> Self {
        let names = Names::new("n1");
        let steps = StepTable::heap(512);
        let readings = ReadingTable::heap(512);
        let context = Context {
            host_root: host_root.to_owned(),
            run_dir: PathBuf::new(),
            names: names.clone(),
            steps: steps.clone(),
            readings: readings.clone(),
            cursors: Cursors::default(),
            gauges: Gauges::default(),
            door: eagle_eye::samplers::engine_push::DoorContext::default(),
        };
        let sampler = match (ENTRY.open)(&context, &Settings::new(settings.to_vec())) {
            Opened::Ready(sampler) => sampler,
            Opened::NotHere(why) | Opened::Failed(why) => panic!("it did not open: {why}"),
        };
        let (step_writer, ring) = ring::ring(1 << 12);
        let (events, events_here) = bounded(4096);
        let parts = OutletParts {
            steps: step_writer,
            readings: ring::ring(1 << 12).0,
            step_table: steps.clone(),
            reading_table: readings.clone(),
            names: names.clone(),
            events: EventOutlet::new(events),
            drain: Doorbell::for_this_thread().ringer(),
        };
        let outlet = Outlet::new(ENTRY.name, parts);
        let progress = Arc::new(Progress::new(PERIOD_NS, clock::monotonic_ns()));
        let stop = Stop::default();
        let thread = start(ENTRY.name, None, sampler, outlet, progress, stop.clone())
            .expect("a thread for the scraper");
        Self {
            names,
            steps: steps.view(),
            readings,
            ring,
            events: events_here,
            heard: Vec::new(),
            stop,
            thread: Some(thread),
        }
    }

    fn newest(&self, engine: &str) -> Vec<NewestStep> {
        let instance = name_hash(engine);
        let mut all: Vec<_> =
            self.steps.iter().filter(|newest| newest.step.instance == instance).collect();
        all.sort_by_key(|newest| newest.step.rank);
        all
    }

    /// Waits for a step of `engine` that `is_it`.
    fn step(&self, engine: &str, is_it: impl Fn(&StepCore) -> bool) -> NewestStep {
        let mut found = None;
        eventually(&format!("a step of {engine}"), || {
            found = self.newest(engine).into_iter().find(|newest| is_it(&newest.step));
            found.is_some()
        });
        found.expect("it was found")
    }

    /// Waits for an event of this kind whose text has `part`.
    fn event(&mut self, kind: EventKind, part: &str) -> Event {
        let mut found = None;
        eventually(&format!("{} with \"{part}\"", kind.name()), || {
            self.heard.extend(self.events.try_iter().filter_map(|fact| fact.event));
            found = self.heard.iter().position(|e| e.kind == kind && e.text.contains(part));
            found.is_some()
        });
        self.heard.remove(found.expect("it was found"))
    }

    /// Waits until a reading of the page is as `is_it` says.
    fn reads(&self, page: &str, metric: MetricId, is_it: impl Fn(f64) -> bool) {
        let name = metric.row().name;
        eventually(name, || self.reading(page, metric).is_some_and(&is_it));
    }

    /// Every step since the last look, none left out.
    fn steps_since(&mut self) -> Vec<StepCore> {
        let run = self.ring.borrow(usize::MAX);
        let steps = run.slices().concat();
        run.release();
        steps
    }

    fn reading(&self, page: &str, metric: MetricId) -> Option<f64> {
        let devices = self.names.devices();
        let device = devices.iter().find(|d| d.kind == "scrape" && d.name == page)?.index;
        let view = self.readings.view();
        let of = |r: &eagle_eye::schema::Reading| (r.device, r.metric) == (device, metric as u16);
        view.iter().find(of).map(|reading| reading.value)
    }
}

impl Drop for Scraper {
    fn drop(&mut self) {
        self.stop.raise();
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || std::thread::panicking(), "the scraper panicked");
        }
    }
}

/// What a server of ours does with whoever asks.
#[derive(Clone)]
enum Does {
    /// Serves this, with its length.
    Page(String),
    /// In batches of so many bytes, with a trailer behind.
    Batches(String, usize),
    /// Ends with the connection.
    UntilClose(String),
    /// Says these bytes and closes.
    Says(Vec<u8>),
    /// One byte every 5 ms.
    Dribbles,
    /// Never ends, as fast as it can.
    Endless,
    /// Says nothing at all.
    Nothing,
    /// Resets the connection in the middle of a page.
    Resets,
    /// Closes in the middle of a page.
    Closes,
}

/// A server on a port of its own.
struct Server {
    port: u16,
    does: Arc<Mutex<Does>>,
    asked: Arc<Mutex<Vec<String>>>,
    stop: Stop,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    fn start(does: Does) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        Self::on(listener, does)
    }

    fn on(listener: TcpListener, does: Does) -> Self {
        let port = listener.local_addr().expect("a port").port();
        listener.set_nonblocking(true).expect("a socket that does not wait");
        let does = Arc::new(Mutex::new(does));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let stop = Stop::default();
        let (does_here, asked_here, stopped) = (does.clone(), asked.clone(), stop.clone());
        let thread = thread::spawn("server", None, move || {
            while !stopped.is_raised() {
                match listener.accept() {
                    Ok((socket, _)) => {
                        let does = does_here.lock().expect("no test panicked").clone();
                        let (asked, stopped) = (asked_here.clone(), stopped.clone());
                        thread::spawn("caller", None, move || {
                            serve(socket, &does, &asked, &stopped);
                        })
                        .expect("a thread for the caller");
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => pause(1),
                    Err(error) => panic!("{error}"),
                }
            }
        })
        .expect("a thread for the server");
        Self { port, does, asked, stop, thread: Some(thread) }
    }

    fn now(&self, does: Does) {
        *self.does.lock().expect("no test panicked") = does;
    }

    fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// What the engine there is called, unless told otherwise.
    fn name(&self) -> String {
        format!("n1:{}", self.port)
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("no test panicked").clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.raise();
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn pause(milliseconds: u64) {
    clock::sleep_until(clock::monotonic_ns() + milliseconds * MILLISECOND_NS);
}

fn serve(mut socket: TcpStream, does: &Does, asked: &Mutex<Vec<String>>, stop: &Stop) {
    socket.set_nonblocking(false).expect("a socket that waits");
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") {
        match socket.read(&mut byte) {
            Ok(1) => request.push(byte[0]),
            _ => return,
        }
    }
    asked
        .lock()
        .expect("no test panicked")
        .push(String::from_utf8(request).expect("a request is text"));
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/plain; version=0.0.4\r\n";
    // Whoever leaves early is who was served.
    let _ = match does {
        Does::Page(page) => {
            let length = page.len();
            socket.write_all(format!("{head}content-length: {length}\r\n\r\n{page}").as_bytes())
        }
        Does::Batches(page, bytes) => {
            let mut body = format!("{head}transfer-encoding: chunked\r\n\r\n").into_bytes();
            for batch in page.as_bytes().chunks(*bytes) {
                body.extend_from_slice(format!("{:x};x=y\r\n", batch.len()).as_bytes());
                body.extend_from_slice(batch);
                body.extend_from_slice(b"\r\n");
            }
            body.extend_from_slice(b"0\r\ntrailer: x\r\n\r\n");
            socket.write_all(&body)
        }
        Does::UntilClose(page) => socket.write_all(format!("{head}\r\n{page}").as_bytes()),
        Does::Says(bytes) => socket.write_all(bytes),
        Does::Dribbles => dribble(&mut socket, format!("{head}\r\n{VLLM}").as_bytes(), stop),
        Does::Endless => {
            let line = "vllm:num_requests_running{engine=\"0\"} 1\n".repeat(1000);
            let _ = socket.write_all(format!("{head}\r\n").as_bytes());
            while !stop.is_raised() && socket.write_all(line.as_bytes()).is_ok() {}
            Ok(())
        }
        Does::Nothing => {
            while !stop.is_raised() {
                pause(5);
            }
            Ok(())
        }
        Does::Resets => {
            let _ = socket.write_all(format!("{head}content-length: 9999\r\n\r\n").as_bytes());
            rustix::net::sockopt::set_socket_linger(&socket, Some(std::time::Duration::ZERO))
                .map_err(Into::into)
        }
        Does::Closes => socket.write_all(
            format!("{head}content-length: 9999\r\n\r\nvllm:num_requests_running 1\n").as_bytes(),
        ),
    };
}

fn dribble(socket: &mut TcpStream, bytes: &[u8], stop: &Stop) -> std::io::Result<()> {
    for byte in bytes {
        if stop.is_raised() {
            break;
        }
        socket.write_all(&[*byte])?;
        pause(5);
    }
    Ok(())
}

fn running(count: u32, more: &str) -> String {
    format!("vllm:num_requests_running{{engine=\"0\",model_name=\"m\"}} {count}\n{more}")
}

#[test]
fn a_page_becomes_steps_however_it_is_sent() {
    for does in [
        Does::Page(RANKS.to_owned()),
        Does::Batches(RANKS.to_owned(), 100),
        Does::Batches(RANKS.to_owned(), 3),
        Does::UntilClose(RANKS.to_owned()),
    ] {
        let server = Server::start(does);
        let mut scraper = Scraper::of(&server.address());
        let before_ns = clock::monotonic_ns();
        let step = scraper.step(&server.name(), |step| {
            step.rank == 3 && step.value(Field::DecodeRate) == Some(0.0)
        });
        let ranks = scraper.newest(&server.name());
        let running: Vec<_> = ranks.iter().map(|r| r.step.value(Field::Running)).collect();
        assert_eq!(running, [1.0, 2.0, 3.0, 4.0].map(Some));
        assert!(step.step.has(Flag::Scraped) && step.step.has(Flag::Asleep));
        assert!(!ranks[0].step.has(Flag::Asleep));
        assert_eq!(step.step.value(Field::PromptTokens), None, "the page does not say it");
        assert!(step.step.monotonic_ns > before_ns && step.alive_ns == step.step.monotonic_ns);
        assert!(step.error_ns > 0 && step.error_ns < 10 * SECOND_NS && step.step.ttl_ms > 0);
        let engine = scraper.names.engine(step.step.instance).expect("it has a name");
        assert_eq!((engine.model.as_str(), engine.engine.as_str()), ("own/moe", "vllm"));
        assert_eq!((engine.source.as_str(), engine.ranks), ("scrape", 4));
        assert_eq!(engine.endpoint, format!("http://{}", server.name()));
        assert_eq!(engine.incarnation, 1_795_504_079_960_000_000, "when its process started");
        scraper.event(EventKind::EngineAppeared, &server.name());
        assert!(!scraper.ring.is_empty());
        let read = |metric| scraper.reading(&server.name(), metric);
        assert_eq!(read(MetricId::ScrapeBytes), Some(RANKS.len() as f64));
        assert!(read(MetricId::ScrapePages) >= Some(1.0));
        assert_eq!(read(MetricId::ScrapeSamplesRefused), Some(0.0));
    }
}

#[test]
fn the_request_says_what_is_wanted_and_the_token_goes_only_where_it_may() {
    let folder = tempfile::tempdir().expect("a folder");
    let token = folder.path().join("token");
    std::fs::write(&token, "open-sesame\n").expect("the folder is ours");
    let server = Server::start(Does::Page(running(1, "")));
    let found = Server::start(Does::Page(running(2, "")));
    let root = root_that_listens(&[server.port, found.port]);
    let scraper = Scraper::start_under(
        root.path(),
        &[
            ("endpoints", format!("http://{}/x/metrics?y=1=engine-a", server.address())),
            ("token_file", token.display().to_string()),
        ],
    );
    scraper.step("engine-a", |step| step.running == 1);
    scraper.step(&found.name(), |step| step.running == 2);
    let asked = server.asked().remove(0);
    assert!(asked.starts_with("GET /x/metrics?y=1 HTTP/1.1\r\n"), "{asked}");
    for line in [
        &format!("host: {}", server.address()),
        "authorization: Bearer open-sesame",
        "accept-encoding: identity",
        "connection: close",
    ] {
        assert!(asked.contains(&format!("{line}\r\n")), "{line} in {asked}");
    }
    for asked in found.asked() {
        assert!(asked.starts_with("GET /metrics HTTP/1.1\r\n") && !asked.contains("sesame"));
    }
}

/// A `/proc/net/tcp` in which nothing but these ports listens.
fn root_that_listens(ports: &[u16]) -> tempfile::TempDir {
    // The sockets are this process's own, which are left alone: others' now.
    root_with(ports, |inode| (u64::MAX - inode.parse::<u64>().expect("a number")).to_string())
}

fn root_with(ports: &[u16], inode: impl Fn(&str) -> String) -> tempfile::TempDir {
    let root = tempfile::tempdir().expect("a folder");
    let net = root.path().join("proc/net");
    std::fs::create_dir_all(&net).expect("the folder is ours");
    let real = std::fs::read_to_string("/proc/net/tcp").expect("these tests run where /proc is");
    let listens = |line: &&str| {
        ports.iter().any(|port| line.contains(&format!("0100007F:{port:04X} 00000000:0000 0A")))
    };
    let lines = real.lines().filter(listens).map(|line| {
        let mut fields: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        fields[9] = inode(&fields[9]);
        fields.join(" ") + "\n"
    });
    let text: String = std::iter::once("  sl  local_address\n".to_owned()).chain(lines).collect();
    assert_eq!(text.lines().count(), ports.len() + 1, "every port listens");
    std::fs::write(net.join("tcp"), text).expect("the folder is ours");
    root
}

/// What `does` is called in the events and counted as, with a deadline of 300 ms.
fn fails(does: Does, count: MetricId, kind: EventKind, says: &str) {
    let server = Server::start(does);
    let mut scraper = Scraper::start(&[
        ("endpoints", server.address()),
        ("discover", "false".to_owned()),
        ("timeout_ms", "300".to_owned()),
        ("page_bytes_max", "100000".to_owned()),
    ]);
    let event = scraper.event(kind, says);
    assert_eq!(event.subject, server.name());
    scraper.reads(&server.name(), count, |count| count >= 1.0);
    assert!(scraper.newest(&server.name()).is_empty(), "nothing is known of it");
}

#[test]
fn what_is_no_page_is_a_failure_with_a_sentence() {
    use EventKind::{RecordRejected, SourceHangs};
    let says = |text: &str| Does::Says(text.as_bytes().to_vec());
    let (refused, unread, cut) =
        (MetricId::ScrapeRefused, MetricId::ScrapeUnread, MetricId::ScrapeCut);
    let elsewhere = Server::start(Does::Page(running(1, "")));
    let redirect = format!(
        "HTTP/1.1 307 Temporary Redirect\r\nlocation: http://{}/metrics\r\ncontent-length: 0\r\n\r\n",
        elsewhere.address()
    );
    fails(says(&redirect), refused, RecordRejected, "sends elsewhere (307)");
    assert!(elsewhere.asked().is_empty(), "nobody followed");
    fails(
        says("HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n"),
        refused,
        RecordRejected,
        "answers 503",
    );
    fails(
        says("HTTP/1.1 401 No\r\ncontent-length: 0\r\n\r\n"),
        refused,
        RecordRejected,
        "token_file",
    );
    fails(says("5.7.0-mysql\0\x01\x02\n\n\n"), refused, RecordRejected, "does not speak HTTP");
    fails(
        says("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 1\r\n\r\nx"),
        refused,
        RecordRejected,
        "compressed",
    );
    let head = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "y".repeat(20_000));
    fails(says(&head), refused, RecordRejected, "does not speak HTTP");
    fails(
        says("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n"),
        refused,
        RecordRejected,
        "does not speak HTTP",
    );
    fails(Does::Page("<html></html>\n".to_owned()), unread, RecordRejected, "no name of an engine");
    fails(Does::Page(String::new()), unread, RecordRejected, "no name of an engine");
    fails(Does::Page("x".repeat(100_001)), unread, RecordRejected, "page_bytes_max");
    fails(Does::Batches("x\n".repeat(60_000), 1000), unread, RecordRejected, "page_bytes_max");
    fails(Does::Endless, unread, RecordRejected, "page_bytes_max");
    fails(Does::Closes, cut, SourceHangs, "ended before the page");
    fails(Does::Resets, cut, SourceHangs, "ended before the page");
    fails(Does::Says(Vec::new()), cut, SourceHangs, "ended before the page");
    fails(Does::Nothing, MetricId::ScrapeLate, SourceHangs, "did not come in time");
    fails(Does::Dribbles, MetricId::ScrapeLate, SourceHangs, "did not come in time");
}

#[test]
fn an_endpoint_where_nobody_listens_or_has_no_address_is_said_to() {
    let closed = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("a port");
    // No resolver need be asked to know that a label of this length is none's.
    let long = "x".repeat(70);
    let mut scraper = Scraper::of(&format!("{closed}=a,{long}:1=b"));
    scraper.event(EventKind::SourceHangs, "cannot be reached: connection refused");
    scraper.event(EventKind::RecordRejected, "its name has no address");
    scraper.reads("a", MetricId::ScrapeUnconnected, |count| count >= 1.0);
}

#[test]
fn a_slow_engine_delays_only_itself_and_not_the_stop() {
    let fast = Server::start(Does::Page(running(1, "")));
    let slow = [Does::Dribbles, Does::Nothing, Does::Endless].map(Server::start);
    let addresses: Vec<String> = slow.iter().map(Server::address).chain([fast.address()]).collect();
    let scraper = Scraper::start(&[
        ("endpoints", addresses.join(",")),
        ("discover", "false".to_owned()),
        ("timeout_ms", "60000".to_owned()),
        ("page_bytes_max", "67108864".to_owned()),
    ]);
    // Far more pages of the fast one than the slow ones could let through.
    scraper.step(&fast.name(), |step| step.sequence >= 20);
    assert!(slow.iter().all(|slow| scraper.newest(&slow.name()).is_empty()));
    // The stop does not wait for the minute that the slow ones have.
    drop(scraper);
}

#[test]
fn rates_are_made_of_what_was_done_between_two_pages() {
    let page = |generated, computed| {
        let source = "vllm:prompt_tokens_by_source_total{engine=\"0\",model_name=\"m\",source=\"local_compute\"}";
        let tokens = "vllm:generation_tokens_total{engine=\"0\",model_name=\"m\"}";
        Does::Page(running(1, &format!("{tokens} {generated}\n{source} {computed}\n")))
    };
    let server = Server::start(page(1000, 500));
    let mut scraper = Scraper::of(&server.address());
    scraper.step(&server.name(), |step| step.sequence >= 2);
    let first = scraper.steps_since()[0];
    assert!(!first.known(Field::DecodeRate) && !first.known(Field::PrefillRate));
    server.now(page(1_001_000, 300_500));
    let mut rates = None;
    eventually("a step with rates", || {
        rates = scraper.steps_since().iter().find_map(|step| {
            let decode = step.value(Field::DecodeRate).filter(|rate| *rate > 0.0)?;
            Some((decode, step.value(Field::PrefillRate)?))
        });
        rates.is_some()
    });
    let (decode, prefill) = rates.expect("it was found");
    assert!((decode / prefill - 10.0 / 3.0).abs() < 1e-3, "{decode} {prefill}");
}

#[test]
fn an_engine_that_begins_anew_is_another_incarnation() {
    let page = |generated: u64, started: &str| {
        Does::Page(running(
            1,
            &format!(
                "vllm:generation_tokens_total{{engine=\"0\",model_name=\"m\"}} {generated}\n{started}"
            ),
        ))
    };
    let server = Server::start(page(500, ""));
    let mut scraper = Scraper::of(&server.address());
    let first = scraper.step(&server.name(), |step| step.sequence >= 3);
    server.now(page(10, ""));
    scraper.event(EventKind::EngineRestarted, &server.name());
    let second = scraper.step(&server.name(), |step| step.generated_tokens == 10);
    assert!(second.step.incarnation > first.step.incarnation);
    scraper.reads(&server.name(), MetricId::ScrapeRestarts, |count| count >= 1.0);
    // A later start says it too, though no counter fell.
    server.now(page(20, "process_start_time_seconds 4e9\n"));
    let third = scraper.step(&server.name(), |step| step.generated_tokens == 20);
    assert_eq!(third.step.incarnation, second.step.incarnation, "it said no start before");
    server.now(page(30, "process_start_time_seconds 4000000005\n"));
    scraper.event(EventKind::EngineRestarted, &server.name());
    let fourth = scraper.step(&server.name(), |step| step.generated_tokens == 30);
    assert_eq!(fourth.step.incarnation, 4_000_000_005_000_000_000);
    let engine = scraper.names.engine(fourth.step.instance).expect("it has a name");
    assert_eq!(engine.incarnation, fourth.step.incarnation);
}

#[test]
fn an_engine_that_answers_no_more_is_gone_and_its_last_step_stays_as_it_was() {
    let server = Server::start(Does::Page(running(7, "")));
    let mut scraper = Scraper::of(&server.address());
    scraper.step(&server.name(), |step| step.sequence >= 2);
    server.now(Does::Says(b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n".to_vec()));
    let gone = scraper.event(EventKind::EngineGone, "answers 503");
    assert_eq!(gone.subject, server.name());
    let last = scraper.step(&server.name(), |_| true).step;
    assert!(last.running == 7 && !last.has(Flag::Goodbye), "nobody said that it left");
    scraper.reads(&server.name(), MetricId::ScrapeAge, |age_s| age_s > 0.2);
    assert_eq!(scraper.newest(&server.name())[0].step.sequence, last.sequence);
    server.now(Does::Page(running(8, "")));
    scraper.event(EventKind::EngineAppeared, "answers again");
    scraper.step(&server.name(), |step| step.running == 8 && step.sequence > last.sequence);
}

#[test]
fn several_models_of_one_page_are_several_engines() {
    let page = include_str!("../captures/pages/triton_two_models.txt");
    let server = Server::start(Does::Page(page.to_owned()));
    let scraper = Scraper::of(&server.address());
    let first = scraper.step(&server.name(), |_| true);
    let second = scraper.step(&format!("{}/b", server.name()), |_| true);
    assert_eq!((first.step.waiting, second.step.waiting), (0, 3));
    assert_eq!((first.step.model, second.step.model), (name_hash("a"), name_hash("b")));
}

#[test]
fn an_engine_that_reports_itself_beats_its_page() {
    let server = Server::start(Does::Page(running(1, "")));
    let scraper = Scraper::of(&server.address());
    scraper.step(&server.name(), |_| true);
    let pushed = Engine {
        endpoint: format!("http://10.0.0.1:{}", server.port),
        source: "plugin".to_owned(),
        incarnation: 1,
        ..Engine::named("pushed", "m")
    };
    scraper.names.put_engine(pushed.clone());
    eventually("the page's steps are forgotten", || scraper.newest(&server.name()).is_empty());
    eventually("its name is forgotten", || scraper.names.engines() == [pushed.clone()]);
    scraper.reads(&server.name(), MetricId::ScrapePaused, |paused| paused == 1.0);
    // Whoever was being served when it paused is done by now.
    eventually("nobody asks", || {
        let before = server.asked().len();
        pause(5 * PERIOD_NS / MILLISECOND_NS);
        server.asked().len() == before
    });
    scraper.names.forget_engine(pushed.instance, 1);
    scraper.step(&server.name(), |step| step.running == 1);
    scraper.reads(&server.name(), MetricId::ScrapePaused, |paused| paused == 0.0);
}

#[test]
fn a_port_that_answers_like_an_engine_is_found_and_no_other_is_followed() {
    let engine = Server::start(Does::Page(running(3, "")));
    let other = Server::start(Does::Page("go_goroutines 7\n".to_owned()));
    let silent = Server::start(Does::Nothing);
    let root = root_that_listens(&[engine.port, other.port, silent.port]);
    let scraper = Scraper::start_under(root.path(), &[("timeout_ms", "200".to_owned())]);
    scraper.step(&engine.name(), |step| step.sequence >= 5);
    for server in [other, silent] {
        assert!((1..=2).contains(&server.asked().len()), "it is asked, and not again and again");
    }
    assert_eq!(scraper.names.engines().len(), 1);
}

/// A process that is not ours, and so may be found.
struct PythonServer(Child, u16);

impl PythonServer {
    fn start(folder: &Path) -> Self {
        let port =
            TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").port();
        let child = Command::new("python3")
            .args(["-m", "http.server", "--bind", "127.0.0.1", &port.to_string()])
            .current_dir(folder)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("python3 is here");
        Self(child, port)
    }
}

impl Drop for PythonServer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn another_servers_page_is_found_on_this_host_with_its_process() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("metrics"), VLLM).expect("the folder is ours");
    let server = PythonServer::start(folder.path());
    let name = format!("n1:{}", server.1);
    eventually("it listens", || TcpStream::connect(("127.0.0.1", server.1)).is_ok());
    // What else listens on this host is not ours to ask in a test.
    let root = root_with(&[server.1], str::to_owned);
    let process = server.0.id().to_string();
    let link = root.path().join("proc").join(&process);
    std::os::unix::fs::symlink(Path::new("/proc").join(&process), link).expect("it is ours");
    let scraper = Scraper::start_under(root.path(), &[]);
    let step = scraper.step(&name, |_| true);
    assert_eq!(step.step.value(Field::Running), Some(10.0));
    let engine = || scraper.names.engine(step.step.instance).expect("it has a name");
    eventually("its process is known", || engine().process == server.0.id());
}

#[test]
fn reading_a_page_again_allocates_nothing() {
    let mut page = Page::default();
    let mut read = || {
        page.begin();
        for piece in VLLM.as_bytes().chunks(1460) {
            page.push(piece);
        }
        assert_eq!(page.end().expect("an engine's").ranks.len(), 1);
    };
    read();
    assert_eq!(allocations(|| (0..10).for_each(|_| read())), 0);
}

/// A folder that several projects share, beside this one or above it.
#[expect(clippy::print_stderr, reason = "a test that skips says so")]
fn shared(path: &str) -> Option<PathBuf> {
    let mut folders = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().skip(1);
    let found =
        folders.find_map(|folder| Some(folder.join("shared").join(path)).filter(|p| p.exists()));
    if found.is_none() {
        eprintln!("skipped: no ../shared/{path} here");
    }
    found
}

/// Fields by the names that the index has for them.
fn field(name: &str) -> Option<Field> {
    Some(match name {
        "running" => Field::Running,
        "waiting" => Field::Waiting,
        "kv_usage" => Field::KvUsage,
        "max" => Field::MaxSequences,
        "max_blocks" => Field::KvBlocks,
        _ => return None,
    })
}

fn agree(file: &str, name: &str, rank: &PageRank, expected: &Value) {
    let Some(field) = field(name) else { return };
    let got = rank.value(Goes::To(field));
    assert_eq!(got, expected.as_f64(), "{file}: {name}");
}

#[test]
fn every_value_of_the_pages_of_others_is_found_and_no_more() {
    let Some(index) = shared("data/pages/index.jsonl") else { return };
    let folder = index.parent().expect("a file has a folder");
    let lines = std::fs::read_to_string(&index).expect("the index is text");
    let mut pages = 0;
    for line in lines.lines() {
        let entry: Value = serde_json::from_str(line).expect("the index is JSON");
        let file = entry["file"].as_str().expect("a page has a file");
        let bytes = std::fs::read(folder.join(file)).expect("the page is there");
        let mut page = Page::default();
        page.begin();
        page.push(&bytes);
        let (said, ranks) = (page.end(), entry["ranks"].as_u64().expect("a number"));
        pages += 1;
        if ranks == 0 {
            assert_eq!(said.err(), Some(Unread::NoEngine), "{file}");
            continue;
        }
        let said = said.unwrap_or_else(|_| panic!("{file} is an engine's"));
        let expected = entry["expect"].as_object().expect("a page has expectations");
        if let Some(per_rank) = expected.get("per_rank").and_then(Value::as_array) {
            assert_eq!(said.ranks.len(), per_rank.len(), "{file}");
            for (rank, expected) in said.ranks.iter().zip(per_rank) {
                let number = expected["rank"]["dp_rank"].as_str().expect("a rank has a number");
                assert_eq!(number, rank.rank.to_string(), "{file}");
                for (name, value) in expected.as_object().expect("a rank has values") {
                    agree(file, name, rank, value);
                }
            }
            continue;
        }
        // Several models are several engines of one rank each.
        assert!(said.ranks.iter().all(|rank| rank.rank == 0), "{file}");
        for rank in said.ranks {
            for (name, value) in expected {
                agree(file, name, rank, value);
            }
            if let Some(waiting) =
                expected.get("per_model_pending").and_then(|m| m.get(said.model(rank)))
            {
                agree(file, "waiting", rank, waiting);
            }
        }
        if let Some(reasons) = expected.get("success").and_then(Value::as_object) {
            let sum: f64 = reasons.values().filter_map(Value::as_f64).sum();
            assert_eq!(said.ranks[0].value(Goes::To(Field::Finished)), Some(sum), "{file}");
        }
    }
    assert!(pages > 20, "only {pages} pages");
}

#[test]
fn the_page_agrees_with_what_the_engine_told_its_plugin() {
    const CALLS: usize = 6835;
    let Some(trace) = shared("data/vllm_trace.jsonl") else { return };
    let trace = std::fs::read_to_string(trace).expect("the trace is text");
    let (mut prompt, mut cached, mut generated, mut finished, mut preempted) = (0, 0, 0, 0, 0);
    for line in trace.lines().skip(1).take(CALLS) {
        let call: Value = serde_json::from_str(line).expect("the trace is JSON");
        let of = |path: &str| call.pointer(path).and_then(Value::as_u64).unwrap_or(0);
        prompt += of("/iteration_stats/prompt_token_stats/total");
        cached += of("/iteration_stats/prompt_token_stats/cached_tokens");
        generated += of("/iteration_stats/num_generation_tokens");
        preempted += of("/iteration_stats/num_preempted_reqs");
        let all = call.pointer("/iteration_stats/finished_requests").and_then(Value::as_array);
        finished += all.map_or(0, Vec::len) as u64;
    }
    let mut page = Page::default();
    page.begin();
    page.push(VLLM.as_bytes());
    let said = page.end().expect("an engine's");
    for (field, told) in [
        (Field::PromptTokens, prompt),
        (Field::CachedTokens, cached),
        (Field::GeneratedTokens, generated),
        (Field::Finished, finished),
        (Field::Preemptions, preempted),
    ] {
        assert_eq!(said.ranks[0].value(Goes::To(field)), Some(told as f64), "{}", field.name());
    }
}
