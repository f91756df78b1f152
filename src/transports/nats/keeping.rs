//! What the durable end's thread does while a connection stands.

use std::error::Error;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_nats::header::NATS_MESSAGE_ID;
use async_nats::jetstream::context::PublishErrorKind as AckErrorKind;
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::{self, Context};
use async_nats::{HeaderMap, PublishErrorKind};
use crossbeam_channel::Receiver;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::durable::{DurableHooks, Entry, Kept, Shared};
use super::refusal::{Said, said};
use super::session::{Departure, Session};
use super::stream::{self, Found, StreamSettings};
use super::traffic::{End, Traffic};
use crate::platform::atomic::Ordering;
use crate::platform::clock;
use crate::transports::link::{Count, LinkState};

/// The most messages whose acknowledgement is awaited; further ones queue.
const IN_FLIGHT_MAX: usize = 64;

/// How long one acknowledgement, or one question about the stream, may take.
const ACK_PATIENCE: Duration = Duration::from_secs(2);

/// The longest rest between two looks at a connection on which nothing happens.
const REST: Duration = Duration::from_secs(1);

/// A cluster without a leader is asked again after so long.
const STREAM_RETRY: Duration = Duration::from_millis(500);

/// The thread's things.
pub(super) struct Keeping {
    pub(super) shared: Arc<Shared>,
    pub(super) queued: Receiver<Entry>,
    pub(super) stream: StreamSettings,
    pub(super) hooks: DurableHooks,
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
        let mut tick = interval(REST);
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
                Outcome::Unsent(done, reason) => {
                    self.shared.link.count(reason, 1);
                    self.report(done, ids);
                }
                Outcome::Settled(done) => {
                    self.shared.link.count(Count::Sent, 1);
                    self.shared.link.count(Count::SentBytes, bytes);
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
    Unsent(Done, Count),
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
                    let oversize = error.kind() == AckErrorKind::MaxPayloadExceeded;
                    unsent(id, &subject, &error, oversize)
                }
            }
        }
        Mode::Core => {
            let mut headers = HeaderMap::new();
            headers.insert(NATS_MESSAGE_ID, id.as_str());
            let client = &session.client;
            let sent = client.publish_with_headers(subject.to_string(), headers, payload).await;
            match sent {
                Ok(()) => Outcome::Settled((id, Ok(Kept::HandedOver))),
                Err(error) => {
                    let oversize = error.kind() == PublishErrorKind::MaxPayloadExceeded;
                    unsent(id, &subject, &error, oversize)
                }
            }
        }
    }
}

fn unsent(id: String, subject: &str, error: &dyn Error, oversize: bool) -> Outcome {
    let reason = if oversize { Count::Oversize } else { Count::NotConnected };
    let sentence = format!("cannot send a message under {subject}: {error}");
    Outcome::Unsent((id, Err(sentence)), reason)
}

fn lost_sentence(session: &Session) -> String {
    format!("the connection to {} ended before it was acknowledged", session.server)
}
