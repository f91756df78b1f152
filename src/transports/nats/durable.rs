//! Publishing what must not be lost: each message is acknowledged or handed
//! back, off the hot path.
//!
//! The owner keeps a message (in its journal) until [`DurableHooks::on_done`]
//! says that a stream stored it. Everything that was taken comes back exactly
//! once, either way; what comes back with an error, or was refused, is
//! offered again after the next `on_ready`. The message id travels along, so
//! that the stream drops what it has already.
//!
//! A server without JetStream cannot acknowledge. Messages are then handed to
//! core NATS and reported as [`Kept::HandedOver`], which is *not* an
//! acknowledgement: the owner keeps them. The link's warning says so. And an
//! acknowledgement is only as durable as the server: unless it runs with
//! `sync_interval: always`, two minutes of them may go with the power.

use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::header::NATS_MESSAGE_ID;
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::{self, Context};
use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender, bounded};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::StartError;
use super::refusal::{Said, said};
use super::session::{Departure, LOOK_AGAIN, Session};
use super::settings::NatsSettings;
use super::stream::{self, Found, StreamSettings};
use super::traffic::{Desk, End, Traffic, Wake, Worker};
use crate::platform::atomic::{AtomicU32, Ordering};
use crate::platform::clock;
use crate::transports::link::{Count, Link, LinkSnapshot, LinkState};

/// The most messages whose acknowledgement is awaited; further ones queue.
pub(super) const IN_FLIGHT_MAX: usize = 64;

/// How long one acknowledgement, or one question about the stream, may take.
const ACK_PATIENCE: Duration = Duration::from_secs(2);

/// A cluster without a leader is asked again after so long.
const STREAM_RETRY: Duration = Duration::from_millis(500);

/// What the durable end tells its owner, on its own thread.
pub struct DurableHooks {
    /// A connection of this generation takes messages: offer again what is
    /// not acknowledged.
    pub on_ready: Box<dyn FnMut(u32) + Send>,
    /// What became of the message with this id: the error is a sentence.
    pub on_done: DoneHook,
}

/// See [`DurableHooks::on_done`].
pub type DoneHook = Box<dyn FnMut(&str, Result<Kept, String>) + Send>;

/// What became of a message that left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kept {
    /// A stream stored it.
    Acknowledged {
        /// Which.
        stream: String,
        /// Its place there.
        sequence: u64,
        /// Whether it was there already.
        duplicate: bool,
    },
    /// It went to core NATS, nobody says whether anyone has it. Not an
    /// acknowledgement.
    HandedOver,
}

/// The publishing end for what must not be lost, with a thread of its own
/// (`ee-nats-durable`, cut by the kernel). Dropping it ends the thread
/// without waiting; what was taken then stays unreported.
#[derive(Debug)]
pub struct NatsDurable {
    shared: Arc<Shared>,
    worker: Worker,
}

#[derive(Debug)]
struct Shared {
    queue: Sender<Entry>,
    open: AtomicU32,
    wake: Arc<Wake>,
    link: Link,
}

#[derive(Debug)]
struct Entry {
    subject: Arc<str>,
    id: String,
    payload: Bytes,
}

impl NatsDurable {
    /// Starts the thread, pinned to `cpu` if one is given; it connects, and
    /// goes on trying, by itself.
    ///
    /// # Errors
    ///
    /// When the settings cannot be, or the system refuses a thread.
    pub fn start(
        settings: NatsSettings,
        stream: StreamSettings,
        hooks: DurableHooks,
        cpu: Option<usize>,
    ) -> Result<Self, StartError> {
        let (queue, queued) = bounded(settings.queue_batches.max(1));
        let desk = Desk::new(settings)?;
        let shared = Arc::new(Shared {
            queue,
            open: AtomicU32::new(0),
            wake: Arc::clone(&desk.wake),
            link: desk.link.clone(),
        });
        let keeping = Keeping { shared: Arc::clone(&shared), queued, stream, hooks };
        let worker = desk.start("ee-nats-durable", cpu, keeping)?;
        Ok(Self { shared, worker })
    }

    /// Offers a message under `subject` with an `id` that is unique for it.
    ///
    /// Never blocks. `true`: it was taken, and `on_done` will say what became
    /// of it. `false`: there is no connection or no room, nothing follows;
    /// counted.
    pub fn offer(&self, subject: &Arc<str>, id: &str, payload: Bytes) -> bool {
        let shared = &*self.shared;
        if shared.open.load(Ordering::Acquire) == 0 {
            shared.link.count(Count::NotConnected, 1);
            return false;
        }
        let entry = Entry { subject: Arc::clone(subject), id: id.to_owned(), payload };
        let taken = shared.queue.try_send(entry).is_ok();
        if taken {
            shared.wake.rouse();
        } else {
            shared.link.count(Count::QueueFull, 1);
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

    /// Sends what waits, awaits acknowledgements, reports on everything and
    /// leaves, within `deadline`.
    pub fn stop(self, deadline: Duration) {
        self.worker.stop(deadline);
    }
}

/// The thread's things.
struct Keeping {
    shared: Arc<Shared>,
    queued: Receiver<Entry>,
    stream: StreamSettings,
    hooks: DurableHooks,
}

/// How this connection publishes.
enum Mode {
    JetStream(Box<Context>),
    Core,
}

type Done = (String, Result<Kept, String>);
type InFlight = FuturesUnordered<Pin<Box<dyn Future<Output = Done>>>>;

impl Drop for Keeping {
    fn drop(&mut self) {
        // Also when a hook panics: nothing is taken any more.
        self.shared.open.store(0, Ordering::Release);
    }
}

impl Traffic for Keeping {
    async fn carry(&mut self, session: &Session, generation: u32) -> End {
        let end = match self.prepare(session).await {
            Ok(mode) => {
                self.shared.open.store(generation, Ordering::Release);
                (self.hooks.on_ready)(generation);
                self.publish(session, &mode).await
            }
            Err(end) => end,
        };
        self.shared.open.store(0, Ordering::Release);
        for entry in self.queued.try_iter() {
            (self.hooks.on_done)(&entry.id, Err(lost_sentence(session)));
        }
        end
    }
}

impl Keeping {
    /// Finds the stream, or makes it, or learns that there can be none.
    async fn prepare(&mut self, session: &Session) -> Result<Mode, End> {
        let mut context = Box::new(jetstream::new(session.client.clone()));
        context.set_timeout(ACK_PATIENCE);
        loop {
            let found = tokio::select! {
                () = session.lost() => return Err(End::Lost),
                () = self.shared.wake.stopped() => return Err(End::Stopped),
                found = stream::find(&context, &self.stream) => found,
                () = self.lookup_forbidden(session) => Found::Unseen(format!(
                    "{} forbids looking up the JetStream stream {}: it is taken to be there",
                    session.server, self.stream.name
                )),
            };
            match found {
                Found::Ready => {
                    self.shared.link.warn(session.warning.clone());
                    return Ok(Mode::JetStream(context));
                }
                Found::Unseen(sentence) => {
                    self.shared.link.warn(sentence);
                    return Ok(Mode::JetStream(context));
                }
                Found::NoJetStream => {
                    self.shared.link.warn(format!(
                        "{} has no JetStream: events and verdicts are sent but never acknowledged, \
                         enable JetStream there",
                        session.server
                    ));
                    return Ok(Mode::Core);
                }
                Found::NotYet(sentence) => self.shared.link.warn(sentence),
            }
            tokio::select! {
                () = session.lost() => return Err(End::Lost),
                () = self.shared.wake.stopped() => return Err(End::Stopped),
                () = tokio::time::sleep(STREAM_RETRY) => {}
            }
        }
    }

    /// Returns when the server said that we may not ask about streams.
    async fn lookup_forbidden(&self, session: &Session) {
        loop {
            if self.heed(session) {
                return;
            }
            session.changed().await;
        }
    }

    /// Publishes until the session ends; everything taken is reported.
    async fn publish(&mut self, session: &Session, mode: &Mode) -> End {
        let mut flying = InFlight::new();
        let mut ids: Vec<String> = Vec::new();
        let end = self.rounds(session, mode, &mut flying, &mut ids).await;
        drop(flying);
        self.shared.link.count(Count::Unconfirmed, ids.len() as u64);
        for id in ids {
            (self.hooks.on_done)(&id, Err(lost_sentence(session)));
        }
        end
    }

    async fn rounds(
        &mut self,
        session: &Session,
        mode: &Mode,
        flying: &mut InFlight,
        ids: &mut Vec<String>,
    ) -> End {
        let mut departure = Departure::default();
        let mut tick = interval(LOOK_AGAIN);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            if session.is_lost() {
                return End::Lost;
            }
            if self.shared.wake.is_stopped() {
                self.finish(session, mode, flying, ids).await;
                return End::Stopped;
            }
            self.heed(session);
            departure.consider(session);
            if let Err(end) = self.send_queued(session, mode, flying, ids).await {
                return end;
            }
            tokio::select! {
                biased;
                Some(done) = flying.next() => self.report(done, ids),
                _ = tick.tick() => {}
                () = session.changed() => {}
                () = self.shared.wake.roused() => {}
                () = departure.due() => {
                    self.finish(session, mode, flying, ids).await;
                    return End::Left;
                }
            }
        }
    }

    async fn send_queued(
        &mut self,
        session: &Session,
        mode: &Mode,
        flying: &InFlight,
        ids: &mut Vec<String>,
    ) -> Result<(), End> {
        while flying.len() < IN_FLIGHT_MAX {
            let Ok(entry) = self.queued.try_recv() else { break };
            ids.push(entry.id.clone());
            let bytes = entry.payload.len() as u64;
            let sending = send(session, mode, entry);
            let outcome = tokio::select! {
                biased;
                outcome = sending => outcome,
                () = session.lost() => return Err(End::Lost),
            };
            match outcome {
                Outcome::Flying(future) => {
                    self.shared.link.count(Count::Sent, 1);
                    self.shared.link.count(Count::SentBytes, bytes);
                    flying.push(future);
                }
                Outcome::Settled(done) => {
                    if done.1.is_ok() {
                        self.shared.link.count(Count::Sent, 1);
                        self.shared.link.count(Count::SentBytes, bytes);
                    } else {
                        self.shared.link.count(Count::Oversize, 1);
                    }
                    self.report(done, ids);
                }
            }
        }
        Ok(())
    }

    fn report(&mut self, (id, result): Done, ids: &mut Vec<String>) {
        if let Some(at) = ids.iter().position(|flying| *flying == id) {
            ids.swap_remove(at);
        }
        (self.hooks.on_done)(&id, result);
    }

    /// Sends what waits and awaits what flies, in the time that is left.
    async fn finish(
        &mut self,
        session: &Session,
        mode: &Mode,
        flying: &mut InFlight,
        ids: &mut Vec<String>,
    ) {
        self.shared.open.store(0, Ordering::Release);
        let stopped = self.shared.wake.is_stopped();
        let patience = if stopped { self.shared.wake.time_left() } else { ACK_PATIENCE };
        let _ = timeout(patience, async {
            loop {
                self.send_queued(session, mode, flying, ids).await?;
                tokio::select! {
                    done = flying.next() => match done {
                        Some(done) => self.report(done, ids),
                        None => break,
                    },
                    () = session.lost() => return Err(End::Lost),
                }
            }
            tokio::select! {
                flushed = session.client.flush() => flushed.map_err(|_| End::Lost),
                () = session.lost() => Err(End::Lost),
            }
        })
        .await;
    }

    /// Reads what the server complains of; whether it forbade asking about
    /// streams, which alone does not hinder publishing.
    fn heed(&self, session: &Session) -> bool {
        let mut lookup_forbidden = false;
        for text in session.errors() {
            let server = &session.server;
            let since_ns = clock::monotonic_ns();
            let refuse =
                |sentence| self.shared.link.turn(LinkState::Refused { since_ns, sentence });
            match said(&text) {
                Said::PublishForbidden(subject) if subject.starts_with("$JS.") => {
                    lookup_forbidden = true;
                }
                Said::PublishForbidden(subject) => {
                    self.shared.link.count(Count::ForbiddenReported, 1);
                    refuse(format!(
                        "{server} forbids publishing to {subject:?}: give this user the permission"
                    ));
                }
                Said::SubscribeForbidden(subject) => refuse(format!(
                    "{server} forbids subscribing to {subject:?}: give this user the permission"
                )),
                Said::LoginRefused => refuse(format!("{server} refuses our login: {text}")),
                Said::Other => self.shared.link.warn(format!("{server} complains: {text}")),
            }
        }
        lookup_forbidden
    }
}

enum Outcome {
    Flying(Pin<Box<dyn Future<Output = Done>>>),
    Settled(Done),
}

async fn send(session: &Session, mode: &Mode, entry: Entry) -> Outcome {
    let Entry { subject, id, payload } = entry;
    match mode {
        Mode::JetStream(context) => {
            let message = PublishMessage::build().message_id(&id).payload(payload);
            match context.send_publish(subject.to_string(), message).await {
                Ok(ack) => Outcome::Flying(Box::pin(async move {
                    let result = ack.into_future().await;
                    let result = result.map(|ack| Kept::Acknowledged {
                        stream: ack.stream,
                        sequence: ack.sequence,
                        duplicate: ack.duplicate,
                    });
                    let result = result.map_err(|error| {
                        format!("no acknowledgement for a message under {subject}: {error}")
                    });
                    (id, result)
                })),
                Err(error) => {
                    let sentence = format!("cannot send a message under {subject}: {error}");
                    Outcome::Settled((id, Err(sentence)))
                }
            }
        }
        Mode::Core => {
            let mut headers = HeaderMap::new();
            headers.insert(NATS_MESSAGE_ID, id.as_str());
            let client = &session.client;
            let result = client
                .publish_with_headers(subject.to_string(), headers, payload)
                .await
                .map(|()| Kept::HandedOver)
                .map_err(|error| format!("cannot send a message under {subject}: {error}"));
            Outcome::Settled((id, result))
        }
    }
}

fn lost_sentence(session: &Session) -> String {
    format!("the connection to {} ended before it was acknowledged", session.server)
}
