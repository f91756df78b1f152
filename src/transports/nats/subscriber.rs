//! The receiving end: hands messages on from its own thread, and asks.
//!
//! The hooks run on the thread that reads the connection. One that is slow
//! makes messages wait in the kernel, then in the bounded subscription; what
//! no longer fits there is lost, counted and told to `on_lost`, and the rest
//! flows on.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use async_nats::{Message, StatusCode};
use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender, bounded};
use tokio::time::{MissedTickBehavior, interval};

use super::StartError;
use super::refusal::{Said, said};
use super::session::{Departure, LOOK_AGAIN, Session, Streams};
use super::settings::NatsSettings;
use super::traffic::{Desk, End, Traffic, Wake, Worker};
use crate::platform::atomic::{AtomicU32, Ordering};
use crate::platform::clock;
use crate::transports::link::{Count, Link, LinkSnapshot, LinkState};

/// The most requests that wait to be sent; further ones are refused.
pub(super) const REQUESTS_MAX: usize = 64;

/// Of so many requests the time of sending is remembered; replies to older
/// ones are dropped and counted.
const ASKED_MAX: usize = 64;

/// Messages handed on before the connection's own work gets its turn.
const ROUND_MESSAGES: usize = 256;

/// What the subscriber tells its owner, on the subscriber's thread.
pub struct SubscriberHooks {
    /// A message: subject, payload, and when it was received, on the
    /// monotonic clock, in ns. The payload is a part of the reading buffer:
    /// copy out what you keep.
    pub on_message: MessageHook,
    /// A reply to a request: payload, when it was received and when the
    /// request was sent, both on the monotonic clock, in ns.
    pub on_reply: Box<dyn FnMut(Bytes, u64, u64) + Send>,
    /// A connection stands and every subscription is on its way to the server
    /// before the requests made here.
    pub on_connected: ConnectedHook,
    /// The connection ended; nothing arrives until the next `on_connected`.
    pub on_disconnected: Box<dyn FnMut() + Send>,
    /// So many messages were lost here because handing on was too slow: what
    /// they said must be asked for.
    pub on_lost: LostHook,
}

/// See [`SubscriberHooks::on_message`].
pub type MessageHook = Box<dyn FnMut(&str, Bytes, u64) + Send>;

/// See [`SubscriberHooks::on_connected`].
pub type ConnectedHook = Box<dyn FnMut(u32, &mut Requests) + Send>;

/// See [`SubscriberHooks::on_lost`].
pub type LostHook = Box<dyn FnMut(u64, &mut Requests) + Send>;

/// Requests made by a hook; sent when it returns.
#[derive(Debug, Default)]
pub struct Requests(Vec<(String, Bytes)>);

/// The receiving end of a NATS link, with a thread of its own
/// (`ee-nats-view`). Dropping it ends the thread without waiting.
#[derive(Debug)]
pub struct NatsSubscriber {
    shared: Arc<Shared>,
    worker: Worker,
}

#[derive(Debug)]
struct Shared {
    requests: Sender<(String, Bytes)>,
    open: AtomicU32,
    wake: Arc<Wake>,
    link: Link,
}

impl Requests {
    /// Asks on `subject`; replies come to `on_reply`. `false` when
    /// 64 requests wait already.
    pub fn ask(&mut self, subject: impl Into<String>, payload: Bytes) -> bool {
        let room = self.0.len() < REQUESTS_MAX;
        if room {
            self.0.push((subject.into(), payload));
        }
        room
    }
}

impl NatsSubscriber {
    /// Starts the thread, pinned to `cpu` if one is given; it connects, and
    /// goes on trying, by itself.
    ///
    /// # Errors
    ///
    /// When the settings cannot be, or the system refuses a thread.
    pub fn start(
        settings: NatsSettings,
        subjects: Vec<String>,
        hooks: SubscriberHooks,
        cpu: Option<usize>,
    ) -> Result<Self, StartError> {
        let (requests, asked_for) = bounded(REQUESTS_MAX);
        let desk = Desk::new(settings)?;
        let shared = Arc::new(Shared {
            requests,
            open: AtomicU32::new(0),
            wake: Arc::clone(&desk.wake),
            link: desk.link.clone(),
        });
        let receiving = Receiving {
            shared: Arc::clone(&shared),
            requests: asked_for,
            subjects,
            hooks,
            asked: VecDeque::with_capacity(ASKED_MAX),
            asked_count: 0,
        };
        let worker = desk.start("ee-nats-view", cpu, receiving)?;
        Ok(Self { shared, worker })
    }

    /// Asks on `subject`; replies come to `on_reply`. `false` when there is
    /// no connection, or too many requests wait already.
    pub fn request(&self, subject: impl Into<String>, payload: Bytes) -> bool {
        let taken = self.shared.open.load(Ordering::Acquire) > 0
            && self.shared.requests.try_send((subject.into(), payload)).is_ok();
        if taken {
            self.shared.wake.rouse();
        }
        taken
    }

    /// What the link says of itself, to keep and read at any time.
    #[must_use]
    pub fn link(&self) -> Link {
        self.shared.link.clone()
    }

    /// The link as it stands.
    #[must_use]
    pub fn snapshot(&self) -> LinkSnapshot {
        self.shared.link.snapshot()
    }

    /// Ends the thread, waiting up to `deadline` for a hook to return.
    pub fn stop(self, deadline: Duration) {
        self.worker.stop(deadline);
    }
}

/// The receiving thread's things.
struct Receiving {
    shared: Arc<Shared>,
    requests: Receiver<(String, Bytes)>,
    subjects: Vec<String>,
    hooks: SubscriberHooks,
    /// Number and time of sending of the last requests.
    asked: VecDeque<(u64, u64)>,
    asked_count: u64,
}

/// What one session counts.
struct Tally {
    inbox: String,
    /// Messages taken out of the subscriptions.
    taken: u64,
    /// Messages known to be lost.
    lost: u64,
}

impl Drop for Receiving {
    fn drop(&mut self) {
        // Also when a hook panics: nothing is asked any more.
        self.shared.open.store(0, Ordering::Release);
    }
}

impl Traffic for Receiving {
    async fn carry(&mut self, session: &Session, generation: u32) -> End {
        let end = match self.subscribe(session).await {
            Ok((streams, tally)) => {
                let Err(end) = self.receive(session, generation, streams, tally).await;
                end
            }
            Err(end) => return end,
        };
        self.shared.open.store(0, Ordering::Release);
        self.requests.try_iter().for_each(drop);
        (self.hooks.on_disconnected)();
        end
    }
}

impl Receiving {
    /// Subscribes to everything; the inbox for replies comes last.
    async fn subscribe(&self, session: &Session) -> Result<(Streams, Tally), End> {
        let inbox = session.client.new_inbox();
        let replies = format!("{inbox}.*");
        let mut streams = Vec::with_capacity(self.subjects.len() + 1);
        for subject in self.subjects.iter().chain([&replies]) {
            let subscribing = session.client.subscribe(subject.clone());
            let stream = tokio::select! {
                biased;
                stream = subscribing => stream,
                () = session.lost() => return Err(End::Lost),
            };
            match stream {
                Ok(stream) => streams.push(stream),
                Err(_) => {
                    self.refuse(format!("cannot subscribe to {subject:?}: it is no subject"));
                }
            }
        }
        Ok((Streams::new(streams), Tally { inbox, taken: 0, lost: 0 }))
    }

    async fn receive(
        &mut self,
        session: &Session,
        generation: u32,
        mut streams: Streams,
        mut tally: Tally,
    ) -> Result<std::convert::Infallible, End> {
        let mut requests = Requests::default();
        self.shared.open.store(generation, Ordering::Release);
        (self.hooks.on_connected)(generation, &mut requests);
        let mut departure = Departure::default();
        let mut tick = interval(LOOK_AGAIN);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            if session.is_lost() {
                return Err(End::Lost);
            }
            if self.shared.wake.is_stopped() {
                return Err(End::Stopped);
            }
            self.heed(session);
            departure.consider(session);
            requests.0.extend(self.requests.try_iter());
            self.ask(session, &mut requests, &tally).await?;
            if self.hand_on(&mut streams, &mut tally).await {
                tokio::task::yield_now().await;
                continue;
            }
            if session.was_slow() {
                self.count_lost(session, &mut tally, &mut requests);
                continue;
            }
            tokio::select! {
                biased;
                () = session.changed() => {}
                (at, message) = streams.next() => self.take(at, message, &mut tally),
                () = self.shared.wake.roused() => {}
                _ = tick.tick() => {}
                () = departure.due() => return Err(End::Left),
            }
        }
    }

    /// Hands on what is there; whether there may be more.
    async fn hand_on(&mut self, streams: &mut Streams, tally: &mut Tally) -> bool {
        for _ in 0..ROUND_MESSAGES {
            let Some((at, message)) = streams.try_next().await else { return false };
            self.take(at, message, tally);
        }
        true
    }

    fn take(&mut self, at: usize, message: Message, tally: &mut Tally) {
        let received_ns = clock::monotonic_ns();
        tally.taken += 1;
        self.shared.link.count(Count::Received, 1);
        self.shared.link.count(Count::ReceivedBytes, message.payload.len() as u64);
        if at < self.subjects.len() {
            (self.hooks.on_message)(&message.subject, message.payload, received_ns);
        } else if message.status != Some(StatusCode::NO_RESPONDERS) {
            match self.asked_at(&message.subject, &tally.inbox) {
                Some(asked_ns) => (self.hooks.on_reply)(message.payload, received_ns, asked_ns),
                None => self.shared.link.count(Count::RepliesUnmatched, 1),
            }
        }
    }

    /// When the request was sent whose reply came under `subject`.
    fn asked_at(&self, subject: &str, inbox: &str) -> Option<u64> {
        let number: u64 = subject.strip_prefix(inbox)?.strip_prefix('.')?.parse().ok()?;
        self.asked.iter().find(|(asked, _)| *asked == number).map(|(_, asked_ns)| *asked_ns)
    }

    async fn ask(
        &mut self,
        session: &Session,
        requests: &mut Requests,
        tally: &Tally,
    ) -> Result<(), End> {
        for (subject, payload) in requests.0.drain(..) {
            self.asked_count += 1;
            if self.asked.len() >= ASKED_MAX {
                self.asked.pop_front();
            }
            self.asked.push_back((self.asked_count, clock::monotonic_ns()));
            let inbox = format!("{}.{}", tally.inbox, self.asked_count);
            let asking = session.client.publish_with_reply(subject, inbox, payload);
            tokio::select! {
                biased;
                asked = asking => if let Err(error) = asked {
                    self.shared.link.warn(format!("cannot ask: {error}"));
                },
                () = session.lost() => return Err(End::Lost),
            }
        }
        Ok(())
    }

    /// Counts what the client dropped: it has read more than it gave us, and
    /// nothing waits any more.
    fn count_lost(&mut self, session: &Session, tally: &mut Tally, requests: &mut Requests) {
        let read = session.client.statistics().in_messages.load(Ordering::Relaxed);
        let lost = read.saturating_sub(tally.taken + tally.lost);
        tally.lost += lost;
        if lost > 0 {
            self.shared.link.count(Count::LostSlow, lost);
            (self.hooks.on_lost)(lost, requests);
        }
    }

    /// Reads what the server complains of.
    fn heed(&self, session: &Session) {
        for text in session.errors() {
            let server = &session.server;
            match said(&text) {
                Said::PublishForbidden(subject) => self.refuse(format!(
                    "{server} forbids asking on {subject:?}: give this user the permission"
                )),
                Said::SubscribeForbidden(subject) => self.refuse(format!(
                    "{server} forbids subscribing to {subject:?}: give this user the permission"
                )),
                Said::LoginRefused => self.refuse(format!("{server} refuses our login: {text}")),
                Said::Other => self.shared.link.warn(format!("{server} complains: {text}")),
            }
        }
    }

    fn refuse(&self, sentence: String) {
        let since_ns = clock::monotonic_ns();
        self.shared.link.turn(LinkState::Refused { since_ns, sentence });
    }
}
