use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use bytes::Bytes;
use eagle_eye::transports::nats::NatsSettings;

use super::{Heard, Listening, Publishing, settings};
use crate::server::NatsServer;

#[test]
fn a_slow_subscriber_loses_counted_messages_and_goes_on() {
    let server = NatsServer::open();
    let roomy = NatsSettings { queue_batches: 4096, ..settings(server.url()) };
    let sender = Publishing::start(roomy, &[]).connected();
    let (tell, heard) = channel();
    let (tell_lost, lost) = channel();
    let small = NatsSettings { subscription_capacity: 8, ..settings(server.url()) };
    let listener = Listening::with(
        small,
        &["a"],
        |hooks| {
            hooks.on_message = Box::new(move |subject, payload, _| {
                if &payload[..] == b"slow" {
                    std::thread::sleep(Duration::from_millis(1));
                }
                let _ = tell.send(Heard { subject: subject.to_owned(), payload });
            });
            hooks.on_lost = Box::new(move |count, _| {
                let _ = tell_lost.send(count);
            });
        },
        heard,
    )
    .sure(&sender.publisher, "a");
    let subject: Arc<str> = Arc::from("a");
    let before = listener.subscriber.snapshot().counts.received;
    for _ in 0..2_000 {
        assert!(sender.publisher.offer(&subject, Bytes::from_static(b"slow"), 1));
    }
    let told = lost.recv_timeout(crate::server::PATIENCE).expect("a loss");
    assert!(told > 0);
    let done = listener.wait("every message, heard or lost", |snapshot| {
        snapshot.counts.received - before + snapshot.counts.lost_slow >= 2_000
    });
    assert_eq!(done.counts.received - before + done.counts.lost_slow, 2_000);
    assert!(sender.publisher.offer(&subject, Bytes::from_static(b"after"), 1));
    listener.until("after");
    assert_eq!(listener.subscriber.snapshot().generation, 1);
}

#[test]
fn an_outdated_server_is_warned_about() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("nats://{}", listener.local_addr().unwrap());
    let server = eagle_eye::platform::thread::spawn("old-server", None, move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream
            .write_all(
                b"INFO {\"server_id\":\"x\",\"version\":\"2.11.3\",\"max_payload\":1000}\r\n",
            )
            .unwrap();
        let mut heard = Vec::new();
        let mut piece = [0; 1024];
        while !heard.windows(6).any(|part| part == b"PING\r\n") {
            let count = stream.read(&mut piece).unwrap();
            assert!(count > 0, "the client left");
            heard.extend_from_slice(&piece[..count]);
        }
        stream.write_all(b"PONG\r\n").unwrap();
        let _ = stream.read_to_end(&mut heard);
    });
    let listener = Listening::start(settings(url), &[]).connected();
    let warning = listener.subscriber.snapshot().warning.expect("a warning");
    assert!(warning.contains("2.11.3") && warning.contains("2.11.14"), "{warning}");
    listener.subscriber.stop(Duration::from_secs(1));
    server.unwrap().join().unwrap();
}
