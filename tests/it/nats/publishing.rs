use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use eagle_eye::transports::nats::{
    Answer, FullStateReason, NatsPublisher, NatsSettings, PublisherHooks,
};
use eagle_eye::transports::{LinkState, Outgoing};

use super::{Listening, Publishing, settings};
use crate::server::{NatsServer, eventually};

#[test]
fn offered_batches_arrive_whole_and_in_order() {
    let server = NatsServer::open();
    let roomy = NatsSettings { queue_batches: 256, ..settings(server.url()) };
    let sender = Publishing::start(roomy, &[]).connected();
    let listener =
        Listening::start(settings(server.url()), &["a.>"]).sure(&sender.publisher, "a.probe");
    let before = sender.publisher.snapshot().counts;
    let subject: Arc<str> = Arc::from("a.b");
    for at in 0..200_u32 {
        let payload = Bytes::from(vec![at as u8; 100 * at as usize]);
        assert!(sender.publisher.offer(&subject, payload, 3));
    }
    for at in 0..200_u32 {
        let heard = listener.next();
        assert_eq!(heard.subject, "a.b");
        assert!(heard.payload == vec![at as u8; 100 * at as usize], "batch {at} is damaged");
    }
    let counts = sender.publisher.snapshot().counts;
    assert_eq!(counts.sent - before.sent, 600);
    let snapshot = listener.subscriber.snapshot();
    assert_eq!((snapshot.counts.lost_slow, snapshot.generation), (0, 1));
    assert!(snapshot.round_trip_ns.is_some_and(|ns| ns > 0));
    assert_eq!(snapshot.warning, None);
}

#[test]
fn what_was_offered_before_stop_arrives() {
    let server = NatsServer::open();
    let sender = Publishing::start(settings(server.url()), &[]).connected();
    let listener = Listening::start(settings(server.url()), &["a"]).sure(&sender.publisher, "a");
    let subject: Arc<str> = Arc::from("a");
    for at in 0..50 {
        assert!(sender.publisher.offer(&subject, Bytes::from(format!("last {at}")), 1));
    }
    sender.publisher.stop(Duration::from_secs(2));
    assert_eq!(listener.until("last 49").len(), 50);
}

#[test]
fn a_full_queue_drops_counts_and_is_made_good_by_full_state() {
    let server = NatsServer::open();
    let settings_small = NatsSettings { queue_batches: 4, ..settings(server.url()) };
    let sender = Publishing::start(settings_small, &["a"]).connected();
    let listener = Listening::start(settings(server.url()), &["a"]).sure(&sender.publisher, "a");
    let subject: Arc<str> = Arc::from("a");
    let payload = Bytes::from(vec![b'x'; 200_000]);
    let before = sender.publisher.snapshot().counts;
    let mut offered = 0;
    eventually("a full queue", || {
        for _ in 0..64 {
            offered += 2;
            sender.publisher.offer(&subject, payload.clone(), 2);
        }
        sender.publisher.snapshot().counts.dropped_queue_full > before.dropped_queue_full
    });
    eventually("full state", || {
        let heard = listener.next();
        &heard.payload[..] == b"state 1"
    });
    let counts = || sender.publisher.snapshot().counts;
    eventually("conservation", || {
        let now = counts();
        let sum = now.sent - before.sent + now.replaced - before.replaced;
        sum + now.dropped() - before.dropped() == offered
    });
    let asked = sender.asked.lock().unwrap();
    assert_eq!(asked[0], (FullStateReason::Connected, 1));
    assert!(asked[1..].iter().all(|asked| *asked == (FullStateReason::Behind, 1)), "{asked:?}");
    assert!(asked.len() > 1);
}

#[test]
fn falling_behind_upstream_asks_for_full_state_too() {
    let server = NatsServer::open();
    let sender = Publishing::start(settings(server.url()), &["a"]).connected();
    let listener = Listening::start(settings(server.url()), &["a"]).sure(&sender.publisher, "a");
    sender.publisher.outlet().fall_behind();
    assert_eq!(listener.next().text(), "state 1");
}

#[test]
fn a_batch_larger_than_the_server_takes_is_counted_and_not_sent() {
    let server = NatsServer::with("max_payload: 1000");
    let sender = Publishing::start(settings(server.url()), &[]).connected();
    let listener = Listening::start(settings(server.url()), &["a"]).sure(&sender.publisher, "a");
    let subject: Arc<str> = Arc::from("a");
    assert!(sender.publisher.offer(&subject, Bytes::from(vec![0; 1001]), 7));
    assert!(sender.publisher.offer(&subject, Bytes::from(vec![b'y'; 1000]), 1));
    assert_eq!(listener.next().payload.len(), 1000);
    let snapshot = sender.publisher.snapshot();
    assert_eq!(snapshot.counts.dropped_oversize, 7);
    assert!(snapshot.is_connected());
    assert_eq!(snapshot.generation, 1, "the connection survived");
}

#[test]
fn a_request_is_answered_and_its_time_is_known() {
    let server = NatsServer::open();
    let answer = Answer {
        subject: "ask".into(),
        reply: Box::new(|question, held_ns| {
            assert!(held_ns < 2_000_000_000);
            let text = String::from_utf8_lossy(question).into_owned();
            vec![Bytes::from(format!("{text} one")), Bytes::from(format!("{text} two"))]
        }),
    };
    let settings_quick =
        NatsSettings { answer_hold_max: Duration::from_millis(20), ..settings(server.url()) };
    let sender = Publishing::answering(settings_quick, &[], vec![answer]).connected();
    let (_tell, heard) = std::sync::mpsc::channel();
    let listener = Listening::with(
        settings(server.url()),
        &[],
        |hooks| {
            hooks.on_connected = Box::new(|_, requests| {
                assert!(requests.ask("ask", Bytes::from_static(b"first")));
            });
        },
        heard,
    )
    .connected();
    let next = || listener.replies.recv_timeout(crate::server::PATIENCE).expect("a reply");
    // The first question may have come before the publisher listened.
    eventually("a way", || listener.subscriber.request("ask", Bytes::from_static(b"again")));
    let mut replies = vec![next(), next()];
    while !replies.iter().any(|(payload, _)| &payload[..] == b"again two") {
        replies.push(next());
    }
    assert!(replies.iter().all(|(_, round_ns)| *round_ns > 0));
    assert!(sender.publisher.snapshot().counts.answers_sent >= 2);
    assert_eq!(listener.subscriber.snapshot().counts.replies_unmatched, 0);
}

#[test]
fn nobody_answers_is_silence() {
    let server = NatsServer::open();
    let listener = Listening::start(settings(server.url()), &[]).connected();
    eventually("a way", || listener.subscriber.request("nobody", Bytes::new()));
    listener.wait("the server's notice", |snapshot| snapshot.counts.received == 1);
    assert!(listener.replies.try_recv().is_err());
}

/// A number from a file of this thread's in `/proc`.
fn own_number(file: &str, name: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/thread-self/{file}")).expect("a proc file");
    let line = text.lines().find(|line| line.starts_with(name)).expect("the line");
    line.split_whitespace().last().and_then(|word| word.parse().ok()).expect("a number")
}

#[test]
fn offering_never_waits_and_writes_at_most_one_wake_up() {
    const OFFERS: u64 = 20_000;
    let server = NatsServer::open();
    let sender = Publishing::start(settings(server.url()), &[]).connected();
    let subject: Arc<str> = Arc::from("a");
    let payload = Bytes::from(vec![0; 100_000]);
    // The server stands still, so that everything that can fill up does.
    server.signal(rustix::process::Signal::STOP);
    let (waited, written) = (own_number("status", "voluntary"), own_number("io", "syscw"));
    for _ in 0..OFFERS {
        sender.publisher.offer(&subject, payload.clone(), 1);
    }
    let waited = own_number("status", "voluntary") - waited;
    let written = own_number("io", "syscw") - written;
    server.signal(rustix::process::Signal::CONT);
    eprintln!("{OFFERS} offers: {written} writes, {waited} waits");
    assert!(waited < 20, "the offering thread gave up the processor {waited} times");
    assert!(written <= OFFERS, "{written} writes");
    assert!(sender.publisher.snapshot().counts.dropped_queue_full > 0);
}

#[test]
fn a_hook_that_panics_ends_the_link_and_nothing_else() {
    let server = NatsServer::open();
    let full_state: Box<dyn FnMut(FullStateReason, u32) -> Vec<Outgoing> + Send> =
        Box::new(|_, _| panic!("a hook of this test panics"));
    let hooks = PublisherHooks { full_state, answers: Vec::new(), aside: None };
    let publisher = NatsPublisher::start(settings(server.url()), hooks, None).unwrap();
    eventually("the end", || {
        matches!(&publisher.snapshot().state, LinkState::Down { sentence, .. }
            if sentence.contains("panicked"))
    });
    let before = publisher.snapshot().counts.dropped_not_connected;
    assert!(!publisher.offer(&Arc::from("a"), Bytes::new(), 2));
    assert_eq!(publisher.snapshot().counts.dropped_not_connected - before, 2);
    publisher.stop(Duration::from_secs(1));
}
