use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use bytes::Bytes;
use eagle_eye::transports::LinkState;
use eagle_eye::transports::nats::{DurableHooks, Kept, NatsDurable, NatsSettings, StreamSettings};

use super::settings;
use crate::server::{NatsServer, PATIENCE, eventually, free_port};

struct Keeping {
    durable: NatsDurable,
    ready: Receiver<u32>,
    done: Receiver<(String, Result<Kept, String>)>,
}

const JETSTREAM: &str = "jetstream { store_dir: \"FOLDER/js\", sync_interval: always }";

fn start(settings: NatsSettings, stream: StreamSettings) -> Keeping {
    let (tell_ready, ready) = channel();
    let (tell_done, done) = channel();
    let hooks = DurableHooks {
        on_ready: Box::new(move |generation| {
            let _ = tell_ready.send(generation);
        }),
        on_done: Box::new(move |id, result| {
            let _ = tell_done.send((id.to_owned(), result));
        }),
    };
    let durable = NatsDurable::start(settings, stream, hooks, None).expect("a durable end");
    Keeping { durable, ready, done }
}

fn events() -> StreamSettings {
    StreamSettings {
        subjects: vec!["events.>".into()],
        bytes_max: 1 << 20,
        age_max: Duration::from_secs(3600),
        ..StreamSettings::default()
    }
}

impl Keeping {
    fn offer(&self, id: &str) -> bool {
        self.durable.offer(&Arc::from("events.a"), id, Bytes::from_static(b"fact"))
    }

    fn next(&self) -> (String, Result<Kept, String>) {
        self.done.recv_timeout(PATIENCE).expect("a report")
    }

    fn ready(&self) -> u32 {
        self.ready.recv_timeout(PATIENCE).expect("readiness")
    }
}

#[test]
fn a_message_is_stored_once_however_often_it_is_offered() {
    let server = NatsServer::with(JETSTREAM);
    let keeping = start(settings(server.url()), events());
    assert_eq!(keeping.ready(), 1);
    for id in ["one", "one", "two"] {
        assert!(keeping.offer(id));
    }
    let mut kept: Vec<_> = (0..3).map(|_| keeping.next()).collect();
    kept.sort_by_key(|(id, result)| (id.clone(), format!("{result:?}")));
    let stored = |sequence, duplicate| {
        Ok(Kept::Acknowledged { stream: "EAGLE_EYE".into(), sequence, duplicate })
    };
    assert_eq!(
        kept,
        [
            ("one".to_owned(), stored(1, false)),
            ("one".to_owned(), stored(1, true)),
            ("two".to_owned(), stored(2, false)),
        ]
    );
    assert_eq!(keeping.durable.snapshot().warning, None);
}

#[test]
fn what_an_outage_interrupts_comes_back_and_is_stored_later() {
    let mut server = NatsServer::with(JETSTREAM);
    let keeping = start(settings(server.url()), events());
    keeping.ready();
    server.signal(rustix::process::Signal::STOP);
    assert!(keeping.offer("one"));
    let (id, result) = keeping.next();
    assert_eq!(id, "one");
    let sentence = result.expect_err("no acknowledgement");
    assert!(sentence.contains("acknowledge"), "{sentence}");
    server.restart();
    assert!(keeping.ready() >= 2);
    assert!(keeping.offer("one"));
    let (_, result) = keeping.next();
    assert!(matches!(result, Ok(Kept::Acknowledged { .. })), "{result:?}");
}

#[test]
fn without_jetstream_nothing_counts_as_acknowledged() {
    let server = NatsServer::open();
    let keeping = start(settings(server.url()), events());
    keeping.ready();
    assert!(keeping.offer("one"));
    assert_eq!(keeping.next(), ("one".to_owned(), Ok(Kept::HandedOver)));
    let warning = keeping.durable.snapshot().warning.expect("a warning");
    assert!(warning.contains("JetStream"), "{warning}");
}

#[test]
fn a_stream_that_may_not_be_created_is_told() {
    let server = NatsServer::with(JETSTREAM);
    let keeping = start(settings(server.url()), StreamSettings { create: false, ..events() });
    keeping.ready();
    assert!(keeping.offer("one"));
    let sentence = keeping.next().1.expect_err("nowhere to store it");
    assert!(sentence.contains("events.a"), "{sentence}");
    let warning = keeping.durable.snapshot().warning.expect("a warning");
    assert!(warning.contains("create"), "{warning}");
}

#[test]
fn a_user_who_may_only_publish_is_acknowledged() {
    let server = NatsServer::with(&format!(
        "{JETSTREAM}\nauthorization {{ users: [ {{ user: admin, password: p }}, \
         {{ user: agent, password: p, permissions: {{ publish: \"events.>\", \
         subscribe: \"_INBOX.>\" }} }} ] }}"
    ));
    let with = |user: &str| NatsSettings {
        user: Some(user.into()),
        password: Some("p".into()),
        ..settings(server.url())
    };
    start(with("admin"), events()).ready();
    let keeping = start(with("agent"), events());
    keeping.ready();
    assert!(keeping.offer("one"));
    let (_, result) = keeping.next();
    assert!(matches!(result, Ok(Kept::Acknowledged { .. })), "{result:?}");
    let snapshot = keeping.durable.snapshot();
    assert!(snapshot.is_connected(), "{snapshot:?}");
    assert!(snapshot.warning.is_some_and(|warning| warning.contains("forbids looking up")));
}

#[test]
fn a_message_larger_than_the_server_takes_comes_back() {
    for config in [JETSTREAM, ""] {
        let server = NatsServer::with(&format!("max_payload: 2000\n{config}"));
        let keeping = start(settings(server.url()), events());
        keeping.ready();
        assert!(keeping.durable.offer(&Arc::from("events.a"), "big", Bytes::from(vec![0; 2001])));
        let (id, result) = keeping.next();
        assert_eq!(id, "big");
        assert!(result.expect_err("too large").contains("events.a"));
        let counts = keeping.durable.snapshot().counts;
        assert_eq!((counts.dropped_oversize, counts.sent), (1, 0));
    }
}

#[test]
fn without_a_connection_nothing_is_taken() {
    let keeping = start(settings("nats://127.0.0.1:1"), events());
    eventually("a sentence", || matches!(keeping.durable.snapshot().state, LinkState::Down { .. }));
    assert!(!keeping.offer("one"));
    assert_eq!(keeping.durable.snapshot().counts.dropped_not_connected, 1);
    keeping.durable.stop(Duration::from_secs(1));
    assert!(keeping.done.try_recv().is_err());
}

#[test]
fn stopping_awaits_what_is_under_way() {
    let server = NatsServer::with(JETSTREAM);
    let keeping = start(settings(server.url()), events());
    keeping.ready();
    for at in 0..40 {
        assert!(keeping.offer(&at.to_string()));
    }
    keeping.durable.stop(Duration::from_secs(5));
    let reports: Vec<_> = keeping.done.try_iter().collect();
    assert_eq!(reports.len(), 40);
    assert!(reports.iter().all(|(_, result)| result.is_ok()), "{reports:?}");
}

#[test]
fn a_replicated_stream_outlives_one_of_three_servers() {
    let ports = [free_port(), free_port(), free_port()];
    let routes = [free_port(), free_port(), free_port()];
    let peers = routes.map(|port| format!("\"nats://127.0.0.1:{port}\"")).join(",");
    // Started at once: none is ready before it has met another.
    let mut servers: Vec<_> = (0..3)
        .map(|at| {
            let config = format!(
                "server_name: n{at}\n{JETSTREAM}\ncluster {{ name: c, listen: \
                 \"127.0.0.1:{}\", routes: [{peers}] }}",
                routes[at]
            );
            NatsServer::on(ports[at], &config, |_| {})
        })
        .collect();
    let all = NatsSettings::with_urls(servers.iter().map(NatsServer::url));
    let keeping = start(all, StreamSettings { replicas: 3, ..events() });
    keeping.ready();
    let stored = |id: &str| {
        eventually(id, || {
            keeping.offer(id) && matches!(keeping.next().1, Ok(Kept::Acknowledged { .. }))
        });
    };
    stored("before");
    assert_eq!(keeping.durable.snapshot().warning, None, "it was not ready at first");
    let LinkState::Connected { server, .. } = keeping.durable.snapshot().state else {
        panic!("connected")
    };
    let at = ports.iter().position(|port| server.contains(&format!(":{port} "))).unwrap();
    servers[at].kill();
    stored("after");
    assert!(keeping.durable.snapshot().generation >= 2);
}
