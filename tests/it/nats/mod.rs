//! The NATS transport against real servers.

mod durable;
mod entry;
mod outage;
mod publishing;
mod receiving;

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use eagle_eye::platform::clock;
use eagle_eye::transports::nats::{
    Answer, FullStateReason, MessageHook, NatsPublisher, NatsSettings, NatsSubscriber,
    PublisherHooks, SubscriberHooks,
};
use eagle_eye::transports::{LinkSnapshot, Outgoing};

use crate::server::{PATIENCE, eventually};

/// A message as a subscriber heard it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Heard {
    pub(crate) subject: String,
    pub(crate) payload: Bytes,
}

impl Heard {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.payload).expect("text")
    }
}

/// A publisher whose full state is one message a subject, `state GENERATION`.
pub(crate) struct Publishing {
    pub(crate) publisher: NatsPublisher,
    /// Why and for which generation full state was asked for.
    pub(crate) asked: Arc<Mutex<Vec<(FullStateReason, u32)>>>,
}

/// A subscriber that passes on what it hears.
pub(crate) struct Listening {
    pub(crate) subscriber: NatsSubscriber,
    pub(crate) heard: Receiver<Heard>,
    /// Replies with their round trip in ns.
    pub(crate) replies: Receiver<(Bytes, u64)>,
}

/// Settings for one server.
pub(crate) fn settings(url: impl Into<String>) -> NatsSettings {
    NatsSettings::with_urls([url.into()])
}

/// Settings for which a server on a busy machine is no dead one, where every
/// message counts.
#[cfg(feature = "agent")]
pub(crate) fn patient_settings(url: impl Into<String>) -> NatsSettings {
    NatsSettings { ping_interval: Duration::from_secs(30), ..settings(url) }
}

impl Publishing {
    pub(crate) fn start(settings: NatsSettings, subjects: &[&str]) -> Self {
        Self::answering(settings, subjects, Vec::new())
    }

    pub(crate) fn answering(
        settings: NatsSettings,
        subjects: &[&str],
        answers: Vec<Answer>,
    ) -> Self {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let asking = Arc::clone(&asked);
        let subjects: Vec<Arc<str>> = subjects.iter().map(|subject| Arc::from(*subject)).collect();
        let full_state = Box::new(move |reason, generation| {
            asking.lock().expect("the list of questions").push((reason, generation));
            let message = |subject: &Arc<str>| Outgoing {
                subject: Arc::clone(subject),
                payload: Bytes::from(format!("state {generation}")),
                records: 1,
            };
            subjects.iter().map(message).collect()
        });
        let hooks = PublisherHooks { full_state, answers, aside: None };
        let publisher = NatsPublisher::start(settings, hooks, None).expect("a publisher");
        Self { publisher, asked }
    }

    pub(crate) fn connected(self) -> Self {
        self.wait("a connection", LinkSnapshot::is_connected);
        self
    }

    pub(crate) fn wait(&self, what: &str, done: impl Fn(&LinkSnapshot) -> bool) -> LinkSnapshot {
        wait(what, || self.publisher.snapshot(), done)
    }
}

impl Listening {
    pub(crate) fn start(settings: NatsSettings, subjects: &[&str]) -> Self {
        let (tell, heard) = channel();
        Self::with(settings, subjects, |hooks| hooks.on_message = passing_on(tell), heard)
    }

    pub(crate) fn with(
        settings: NatsSettings,
        subjects: &[&str],
        change: impl FnOnce(&mut SubscriberHooks),
        heard: Receiver<Heard>,
    ) -> Self {
        let (tell_reply, replies) = channel();
        let mut hooks = SubscriberHooks {
            on_message: Box::new(|_, _, _| {}),
            on_reply: Box::new(move |payload, received_ns, asked_ns| {
                let _ = tell_reply.send((payload, received_ns - asked_ns));
            }),
            on_connected: Box::new(|_, _| {}),
            on_disconnected: Box::new(|| {}),
            on_lost: Box::new(|_, _| {}),
        };
        change(&mut hooks);
        let subjects = subjects.iter().map(|subject| (*subject).to_owned()).collect();
        let subscriber =
            NatsSubscriber::start(settings, subjects, hooks, None).expect("a subscriber");
        Self { subscriber, heard, replies }
    }

    pub(crate) fn connected(self) -> Self {
        self.wait("a connection", LinkSnapshot::is_connected);
        self
    }

    pub(crate) fn wait(&self, what: &str, done: impl Fn(&LinkSnapshot) -> bool) -> LinkSnapshot {
        wait(what, || self.subscriber.snapshot(), done)
    }

    /// The next message.
    pub(crate) fn next(&self) -> Heard {
        self.heard.recv_timeout(PATIENCE).expect("a message")
    }

    /// Messages until one has this text; gives all of them.
    pub(crate) fn until(&self, text: &str) -> Vec<Heard> {
        let mut all = Vec::new();
        loop {
            all.push(self.next());
            if all.last().is_some_and(|last| last.text() == text) {
                return all;
            }
        }
    }

    /// Proves that the subscriptions stand: what `probe` sends comes back.
    pub(crate) fn sure(self, probe: &NatsPublisher, subject: &str) -> Self {
        let subject: Arc<str> = Arc::from(subject);
        eventually("a first message", || {
            probe.offer(&subject, Bytes::from_static(b"probe"), 0);
            self.heard.recv_timeout(Duration::from_millis(50)).is_ok()
        });
        while self.heard.recv_timeout(Duration::from_millis(100)).is_ok() {}
        self
    }
}

pub(crate) fn passing_on(tell: Sender<Heard>) -> MessageHook {
    Box::new(move |subject, payload, _| {
        let _ = tell.send(Heard { subject: subject.to_owned(), payload });
    })
}

fn wait(
    what: &str,
    snapshot: impl Fn() -> LinkSnapshot,
    done: impl Fn(&LinkSnapshot) -> bool,
) -> LinkSnapshot {
    let mut last = snapshot();
    let deadline_ns = clock::monotonic_ns() + PATIENCE.as_nanos() as u64;
    while !done(&last) {
        assert!(clock::monotonic_ns() < deadline_ns, "in vain waited for {what}: {last:#?}");
        std::thread::sleep(Duration::from_millis(2));
        last = snapshot();
    }
    last
}
