use std::collections::{HashMap, HashSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use eagle_eye::platform::clock::{self, MILLISECOND_NS};
use eagle_eye::platform::thread::Stop;
use eagle_eye::transports::LinkState;
use eagle_eye::transports::nats::{NatsSettings, Outlet};
use rustix::process::Signal;

use super::{Heard, Listening, Publishing, settings};
use crate::server::{NatsServer, eventually, free_port};

const SUBJECTS: [&str; 2] = ["s.one", "s.two"];

/// Offers a message a millisecond on each subject, each with the generation
/// for which it was offered, as a pipeline would.
struct Stream {
    stop: Stop,
    thread: Option<std::thread::JoinHandle<u64>>,
}

impl Stream {
    fn start(outlet: Outlet) -> Self {
        let stop = Stop::default();
        let stopped = stop.clone();
        let thread = eagle_eye::platform::thread::spawn("stream", None, move || {
            let subjects = SUBJECTS.map(Arc::<str>::from);
            let mut offered = 0;
            while !stopped.is_raised() {
                let generation = outlet.generation().unwrap_or(0);
                for subject in &subjects {
                    outlet.offer(subject, Bytes::from(format!("stream {generation}")), 1);
                    offered += 1;
                }
                clock::sleep_until(clock::monotonic_ns() + MILLISECOND_NS);
            }
            offered
        })
        .expect("a thread");
        Self { stop, thread: Some(thread) }
    }

    fn end(mut self) -> u64 {
        self.stop.raise();
        self.thread.take().expect("once").join().expect("no panic")
    }
}

fn generation(heard: &Heard) -> u32 {
    heard.text().split(' ').nth(1).expect("a number").parse().expect("a number")
}

/// What a fresh listener hears first on each subject.
fn first_heard(url: &str) -> HashMap<String, Heard> {
    let listener = Listening::start(settings(url), &["s.*"]);
    let mut first = HashMap::new();
    while first.len() < SUBJECTS.len() {
        let heard = listener.next();
        first.entry(heard.subject.clone()).or_insert(heard);
    }
    first
}

#[test]
fn a_server_that_comes_late_is_found() {
    let port = free_port();
    let sender = Publishing::start(settings(format!("nats://127.0.0.1:{port}")), &SUBJECTS);
    let down = sender.wait("a sentence", |snapshot| {
        matches!(&snapshot.state, LinkState::Down { sentence, .. }
            if sentence.contains(&format!("nats://127.0.0.1:{port}")))
    });
    assert_eq!(down.generation, 0);
    let subject = Arc::from("s.one");
    assert!(!sender.publisher.offer(&subject, Bytes::from_static(b"early"), 5));
    assert_eq!(sender.publisher.snapshot().counts.dropped_not_connected, 5);
    let _server = NatsServer::on(port, "", |_| {});
    assert_eq!(sender.connected().publisher.snapshot().generation, 1);
}

#[test]
fn after_a_restart_nothing_old_is_heard_and_memory_stays_bounded() {
    let mut server = NatsServer::open();
    let sender = Publishing::start(settings(server.url()), &SUBJECTS).connected();
    let stream = Stream::start(sender.publisher.outlet());
    let lasting = Listening::start(settings(server.url()), &["s.*"]);
    lasting.until("stream 1");
    server.kill();
    sender.wait("the loss", |snapshot| matches!(snapshot.state, LinkState::Down { .. }));
    let counts = sender.publisher.snapshot().counts;
    sender.wait("drops", |snapshot| {
        snapshot.counts.dropped_not_connected > counts.dropped_not_connected + 500
    });
    server.restart();
    for (subject, heard) in first_heard(&server.url()) {
        assert!(generation(&heard) >= 2, "{subject}: {heard:?}");
    }
    sender.wait("a connection", |snapshot| snapshot.generation >= 2);
    // Who stayed heard the old generation before, and the new one after.
    let mut newest = 1;
    while newest < 2 || lasting.heard.try_recv().is_ok() {
        let heard = lasting.next();
        assert!(generation(&heard) >= newest, "{heard:?} after {newest}");
        newest = newest.max(generation(&heard));
    }
    let offered = stream.end();
    let link = sender.publisher.link();
    sender.publisher.stop(Duration::from_secs(2));
    let counts = link.counts();
    assert_eq!(counts.sent + counts.replaced + counts.dropped(), offered, "{counts:?}");
    assert!(counts.unconfirmed > 0 && counts.unconfirmed < 2_000, "{counts:?}");
}

/// A server of few words, to see exactly what is sent on each connection.
struct Scribe {
    listener: TcpListener,
}

impl Scribe {
    fn open() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").expect("a free port") }
    }

    fn url(&self) -> String {
        format!("nats://{}", self.listener.local_addr().expect("its address"))
    }

    /// Lets a client in; one that leaves at the door comes again.
    fn admit(&self) -> BufReader<TcpStream> {
        loop {
            let (stream, _) = self.listener.accept().expect("a client");
            if let Some(stream) = Self::greet(stream) {
                return stream;
            }
        }
    }

    fn greet(mut stream: TcpStream) -> Option<BufReader<TcpStream>> {
        const GREETING: &[u8] =
            b"INFO {\"server_id\":\"x\",\"version\":\"2.15.1\",\"max_payload\":1000000}\r\n";
        stream.write_all(GREETING).ok()?;
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        while line != "PING\r\n" {
            line.clear();
            if stream.read_line(&mut line).ok()? == 0 {
                return None;
            }
        }
        stream.get_mut().write_all(b"PONG\r\n").ok()?;
        Some(stream)
    }

    /// The next message that a client publishes; none once it left.
    fn hear(stream: &mut BufReader<TcpStream>) -> Option<Heard> {
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).ok()? == 0 {
                return None;
            }
            if line == "PING\r\n" {
                stream.get_mut().write_all(b"PONG\r\n").ok()?;
            }
            let words: Vec<_> = line.split_whitespace().collect();
            if let ["PUB", subject, length] = words[..] {
                let mut payload = vec![0; length.parse::<usize>().expect("a length") + 2];
                stream.read_exact(&mut payload).ok()?;
                payload.truncate(payload.len() - 2);
                return Some(Heard { subject: subject.to_owned(), payload: Bytes::from(payload) });
            }
        }
    }
}

#[test]
fn what_waited_for_a_dead_connection_is_never_sent() {
    let scribe = Scribe::open();
    let sender = Publishing::start(settings(scribe.url()), &SUBJECTS);
    let deaf = scribe.admit();
    sender.wait("a connection", |snapshot| snapshot.generation == 1);
    // Large batches into a connection that nobody reads: every buffer on the
    // way fills, the queue too.
    let outlet = sender.publisher.outlet();
    let stop = Stop::default();
    let stopped = stop.clone();
    let stream = eagle_eye::platform::thread::spawn("stream", None, move || {
        let subjects = SUBJECTS.map(Arc::<str>::from);
        // Those that were offered while the connection became another.
        let (mut offered, mut torn) = (0_u64, HashSet::new());
        while !stopped.is_raised() {
            let current = outlet.generation();
            let mut text = format!("stream {} {offered} ", current.unwrap_or(0));
            text.push_str(&"x".repeat(100_000));
            let number = offered;
            for subject in &subjects {
                outlet.offer(subject, Bytes::from(text.clone()), 1);
                offered += 1;
            }
            if outlet.generation() != current {
                torn.insert(number);
            }
            clock::sleep_until(clock::monotonic_ns() + MILLISECOND_NS);
        }
        (offered, torn)
    })
    .unwrap();
    sender.wait("a full queue", |snapshot| snapshot.counts.dropped_queue_full > 0);
    sender.wait("the loss", |snapshot| matches!(snapshot.state, LinkState::Down { .. }));
    // A machine at its limit may take this server for dead as well: then the
    // same is true of the next connection.
    let mut connections = Vec::new();
    for _ in 0..20 {
        let mut hearing = scribe.admit();
        let heard: Vec<_> = (0..200).map_while(|_| Scribe::hear(&mut hearing)).collect();
        let whole = heard.len() == 200;
        connections.push(heard);
        if whole {
            break;
        }
    }
    stop.raise();
    let (offered, torn): (u64, HashSet<u64>) = stream.join().unwrap();
    let mut before = 1;
    for heard in connections.iter().filter(|heard| !heard.is_empty()) {
        let current = generation(&heard[0]);
        assert!(current > before, "generation {current} after {before}");
        assert!(heard.iter().take(2).all(|heard| heard.text() == format!("state {current}")));
        let is_torn = |heard: &Heard| {
            let number = heard.text().split(' ').nth(2).and_then(|word| word.parse().ok());
            number.is_some_and(|number| torn.contains(&number))
        };
        let whole = heard.iter().filter(|heard| !is_torn(heard));
        assert!(whole.into_iter().all(|heard| generation(heard) == current));
        before = current;
    }
    assert_eq!(connections.last().map(Vec::len), Some(200), "no connection lasted");
    let link = sender.publisher.link();
    drop(deaf);
    sender.publisher.stop(Duration::from_secs(2));
    let counts = link.counts();
    assert_eq!(counts.sent + counts.replaced + counts.dropped(), offered, "{counts:?}");
    assert!(counts.replaced + counts.dropped_not_connected > 0, "{counts:?}");
}

#[test]
fn a_half_open_link_is_noticed_and_the_newest_truth_comes_first() {
    let server = NatsServer::open();
    let sender = Publishing::start(settings(server.url()), &SUBJECTS).connected();
    let stream = Stream::start(sender.publisher.outlet());
    Listening::start(settings(server.url()), &["s.*"]).until("stream 1");
    server.signal(Signal::STOP);
    let stopped_ns = clock::monotonic_ns();
    sender.wait("the loss", |snapshot| matches!(snapshot.state, LinkState::Down { .. }));
    let noticed_ns = clock::monotonic_ns() - stopped_ns;
    eprintln!("a silent server was noticed after {} ms", noticed_ns / MILLISECOND_NS);
    assert!(noticed_ns < 2_000 * MILLISECOND_NS, "noticed after {noticed_ns} ns");
    clock::sleep_until(stopped_ns + 3_000 * MILLISECOND_NS);
    server.signal(Signal::CONT);
    for (subject, heard) in first_heard(&server.url()) {
        assert!(generation(&heard) >= 2, "{subject}: {heard:?}");
    }
    stream.end();
}

#[test]
fn of_three_servers_one_may_die() {
    let ports = [free_port(), free_port(), free_port()];
    let routes = [free_port(), free_port(), free_port()];
    let peers = routes.map(|port| format!("\"nats://127.0.0.1:{port}\"")).join(",");
    let mut servers: Vec<_> = (0..3)
        .map(|at| {
            let config = format!(
                "server_name: n{at}\ncluster {{ name: c, listen: \"127.0.0.1:{}\", routes: [{peers}] }}",
                routes[at]
            );
            NatsServer::on(ports[at], &config, |_| {})
        })
        .collect();
    let all = NatsSettings::with_urls(servers.iter().map(NatsServer::url));
    let sender = Publishing::start(all.clone(), &SUBJECTS).connected();
    let stream = Stream::start(sender.publisher.outlet());
    let LinkState::Connected { server, .. } = sender.publisher.snapshot().state else {
        panic!("connected")
    };
    let at = ports.iter().position(|port| server.contains(&format!(":{port} "))).unwrap();
    let other = servers[(at + 1) % 3].url();
    let listener = Listening::start(settings(other), &["s.*"]);
    listener.until("stream 1");
    let killed_ns = clock::monotonic_ns();
    servers[at].kill();
    let heard = listener.until("state 2");
    eprintln!("full state after {} ms", (clock::monotonic_ns() - killed_ns) / MILLISECOND_NS);
    assert!(
        heard.iter().rev().skip(1).all(|heard| generation(heard) <= 1 || heard.text() == "state 2")
    );
    stream.end();
}

#[test]
fn a_server_that_announces_to_go_is_left_before_it_closes() {
    let servers = [
        NatsServer::with(
            "server_name: a\nlame_duck_duration: \"60s\"\nlame_duck_grace_period: \"30s\"",
        ),
        NatsServer::with(
            "server_name: b\nlame_duck_duration: \"60s\"\nlame_duck_grace_period: \"30s\"",
        ),
    ];
    let both = NatsSettings::with_urls(servers.iter().map(NatsServer::url));
    let sender = Publishing::start(both.clone(), &SUBJECTS).connected();
    let listener = Listening::start(both, &["s.*"]).connected();
    let on = |state: &LinkState, at: usize| {
        matches!(state, LinkState::Connected { server, .. }
            if server.contains(&format!(":{} ", servers[at].port)))
    };
    let at = usize::from(on(&sender.publisher.snapshot().state, 1));
    servers[at].signal(Signal::USR2);
    sender.wait("the other server", |snapshot| on(&snapshot.state, 1 - at));
    listener.wait("the other server", |snapshot| on(&snapshot.state, 1 - at));
    assert!(sender.publisher.snapshot().counts.unconfirmed == 0, "it left, it was not thrown out");
}

#[test]
fn a_server_that_announces_to_go_is_kept_when_there_is_no_other() {
    let server = NatsServer::with("lame_duck_duration: \"60s\"\nlame_duck_grace_period: \"30s\"");
    let sender = Publishing::start(settings(server.url()), &[]).connected();
    let listener = Listening::start(settings(server.url()), &["a"]).sure(&sender.publisher, "a");
    server.signal(Signal::USR2);
    clock::sleep_until(clock::monotonic_ns() + 1_500 * MILLISECOND_NS);
    let subject: Arc<str> = Arc::from("a");
    assert!(sender.publisher.offer(&subject, Bytes::from_static(b"still"), 1));
    listener.until("still");
    assert_eq!(sender.publisher.snapshot().generation, 1);
}

#[test]
fn servers_that_tell_of_each_other_are_used_only_when_asked_for() {
    let (ports, routes) = ([free_port(), free_port()], [free_port(), free_port()]);
    let mut servers: Vec<_> = (0..2)
        .map(|at| {
            let config = format!(
                "server_name: n{at}\ncluster {{ name: c, listen: \"127.0.0.1:{}\", routes: [\"nats://127.0.0.1:{}\"] }}",
                routes[at],
                routes[1 - at]
            );
            NatsServer::on(ports[at], &config, |_| {})
        })
        .collect();
    eventually("a cluster", || {
        let probe = Publishing::start(settings(servers[0].url()), &[]).connected();
        drop(probe);
        std::fs::read_to_string(servers[0].file("nats.log"))
            .unwrap()
            .contains("Route connection created")
    });
    let seed = settings(servers[0].url());
    let obedient = Publishing::start(seed.clone(), &[]).connected();
    let curious =
        Publishing::start(NatsSettings { servers_discovered: true, ..seed }, &[]).connected();
    servers[0].kill();
    curious.wait("the told server", |snapshot| {
        matches!(&snapshot.state, LinkState::Connected { server, .. }
            if server.contains(&format!(":{} ", ports[1])))
    });
    assert!(!obedient.publisher.snapshot().is_connected());
}

#[test]
fn leaving_takes_no_longer_than_allowed_whatever_the_server_does() {
    let server = NatsServer::open();
    let sender = Publishing::start(settings(server.url()), &[]).connected();
    server.signal(Signal::STOP);
    let subject: Arc<str> = Arc::from("a");
    for _ in 0..64 {
        sender.publisher.offer(&subject, Bytes::from(vec![0; 500_000]), 1);
    }
    let began_ns = clock::monotonic_ns();
    sender.publisher.stop(Duration::from_millis(300));
    let took_ns = clock::monotonic_ns() - began_ns;
    server.signal(Signal::CONT);
    assert!(took_ns < 1_500 * MILLISECOND_NS, "{took_ns} ns");
}
