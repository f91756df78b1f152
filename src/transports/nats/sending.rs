//! What the publisher's thread does while a connection stands.

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use async_nats::{Message, PublishErrorKind, Subject};
use bytes::Bytes;
use crossbeam_channel::Receiver;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::confirm::Confirmed;
use super::publisher::{FullStateReason, PublisherHooks, Queued, Shared};
use super::refusal::{Refusals, Said, said};
use super::servers::Chance;
use super::session::{Departure, Session, Streams, until};
use super::settings::NatsSettings;
use super::traffic::{End, Traffic};
use crate::platform::atomic::Ordering;
use crate::platform::clock::{self, MILLISECOND_NS};
use crate::transports::Outgoing;
use crate::transports::link::{Count, LinkState};

/// The most requests held until they are answered. When it is full, further
/// ones are left unanswered and counted; who asked will ask again.
const REQUESTS_WAITING_MAX: usize = 64;

/// The most subjects whose wire form is remembered; beyond, all are forgotten.
const SUBJECTS_MAX: usize = 4096;

/// Batches sent before the connection's own work gets its turn.
const ROUND_BATCHES: usize = 64;

/// A send that had to wait so long makes what waits behind it old: full state
/// takes its place.
const SLOW_SEND_NS: u64 = 50 * MILLISECOND_NS;

/// The sending thread's things.
pub(super) struct Sending {
    shared: Arc<Shared>,
    queued: Receiver<Queued>,
    hooks: PublisherHooks,
    subjects: HashMap<Arc<str>, Subject>,
    refusals: Refusals,
    waiting: VecDeque<Request>,
    /// When the side stream wants to be asked again.
    aside_due_ns: Option<u64>,
    /// Its messages on their way, kept for its memory.
    aside: Vec<Bytes>,
    chance: Chance,
    confirmed: Confirmed,
    ping_interval: Duration,
    answer_hold_max: Duration,
}

/// A request that is held for a moment.
struct Request {
    due_ns: u64,
    received_ns: u64,
    answer: usize,
    message: Message,
}

enum Handed {
    Sent,
    Oversize,
    Forbidden,
}

impl Drop for Sending {
    fn drop(&mut self) {
        // Also when a hook panics: nothing is taken any more.
        self.shared.open.store(0, Ordering::Release);
        self.drop_queue(Count::NotConnected);
    }
}

impl Traffic for Sending {
    async fn carry(&mut self, session: &Session, generation: u32) -> End {
        self.refusals = Refusals::default();
        self.confirmed = Confirmed::starting_at(self.sent());
        let end = match self.listen(session).await {
            Ok(requests) => self.converse(session, generation, requests).await,
            Err(end) => end,
        };
        self.shared.open.store(0, Ordering::Release);
        self.waiting.clear();
        self.drop_queue(Count::NotConnected);
        if end == End::Lost {
            self.shared.link.count(Count::Unconfirmed, self.confirmed.missing(self.sent()));
        }
        end
    }
}

impl Sending {
    pub(super) fn new(
        shared: Arc<Shared>,
        queued: Receiver<Queued>,
        hooks: PublisherHooks,
        settings: &NatsSettings,
    ) -> Self {
        Self {
            shared,
            queued,
            hooks,
            subjects: HashMap::new(),
            refusals: Refusals::default(),
            waiting: VecDeque::new(),
            aside_due_ns: None,
            aside: Vec::new(),
            chance: Chance::new(),
            confirmed: Confirmed::default(),
            ping_interval: settings.ping_interval,
            answer_hold_max: settings.answer_hold_max,
        }
    }

    /// Subscribes to what is answered.
    async fn listen(&self, session: &Session) -> Result<Streams, End> {
        let mut streams = Vec::with_capacity(self.hooks.answers.len());
        for answer in &self.hooks.answers {
            let subscribing = session.client.subscribe(answer.subject.clone());
            tokio::select! {
                biased;
                stream = subscribing => match stream {
                    Ok(stream) => streams.push(stream),
                    Err(_) => self.refuse(format!("cannot subscribe to {:?}: it is no subject", answer.subject)),
                },
                () = session.lost() => return Err(End::Lost),
            }
        }
        Ok(Streams::new(streams))
    }

    async fn converse(&mut self, session: &Session, generation: u32, requests: Streams) -> End {
        // Open before the state is read: what changes meanwhile is queued
        // behind it, so nothing falls between the two.
        self.shared.behind.store(false, Ordering::Relaxed);
        self.shared.open.store(generation, Ordering::Release);
        let end = match self.send_state(session, FullStateReason::Connected, generation).await {
            Ok(()) => self.rounds(session, generation, requests).await,
            Err(end) => Err(end),
        };
        let Err(end) = end;
        end
    }

    async fn rounds(
        &mut self,
        session: &Session,
        generation: u32,
        mut requests: Streams,
    ) -> Result<Infallible, End> {
        let mut tick = interval(Confirmed::tick(self.ping_interval));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut departure = Departure::default();
        loop {
            if session.is_lost() {
                return Err(End::Lost);
            }
            if self.shared.wake.is_stopped() {
                self.finish(session, generation).await;
                return Err(End::Stopped);
            }
            self.heed(session);
            departure.consider(session);
            self.send_queued(session, generation).await?;
            self.send_answers(session).await?;
            self.send_aside(session, false).await?;
            let due = self.next_due();
            tokio::select! {
                biased;
                _ = tick.tick() => self.look(session),
                () = session.changed() => {}
                () = departure.due() => {
                    self.finish(session, generation).await;
                    return Err(End::Left);
                }
                () = until(due) => {}
                (answer, message) = requests.next() => self.hold(answer, message),
                () = self.shared.wake.roused() => {}
            }
        }
    }

    /// Sends a round of what waits, or full state in its place.
    async fn send_queued(&mut self, session: &Session, generation: u32) -> Result<(), End> {
        for _ in 0..ROUND_BATCHES {
            if self.shared.behind.load(Ordering::Relaxed)
                && self.shared.behind.swap(false, Ordering::AcqRel)
            {
                self.drop_queue(Count::Replaced);
                self.send_state(session, FullStateReason::Behind, generation).await?;
            }
            let Ok(Queued { batch, generation: taken, offered_ns }) = self.queued.try_recv() else {
                return Ok(());
            };
            if taken == generation {
                self.send(session, batch, Count::Sent).await?;
                let waited_ns = clock::monotonic_ns().saturating_sub(offered_ns);
                self.shared.link.published(waited_ns);
            } else {
                self.shared.link.count(Count::NotConnected, batch.records.into());
            }
        }
        // More waits: let the connection read and write first.
        self.shared.wake.rouse();
        tokio::task::yield_now().await;
        Ok(())
    }

    /// Sends of the side stream while nothing else waits.
    async fn send_aside(&mut self, session: &Session, all: bool) -> Result<(), End> {
        let Some(of) = &mut self.hooks.aside else { return Ok(()) };
        if !self.queued.is_empty() && !all {
            return Ok(());
        }
        let mut messages = std::mem::take(&mut self.aside);
        self.aside_due_ns = (of.next)(&mut messages, all);
        if !messages.is_empty() {
            let name = Arc::clone(&of.subject);
            let subject = self.subject(&name);
            let mut left = messages.len() as u64;
            for payload in messages.drain(..) {
                let bytes = payload.len() as u64;
                match self.hand_over(session, subject.clone(), payload).await {
                    Ok(Handed::Sent) => {
                        self.shared.link.count(Count::AsideSent, 1);
                        self.shared.link.count(Count::SentBytes, bytes);
                    }
                    Ok(Handed::Oversize | Handed::Forbidden) => {
                        self.shared.link.count(Count::AsideDropped, 1);
                    }
                    Err(end) => {
                        self.shared.link.count(Count::AsideDropped, left);
                        return Err(end);
                    }
                }
                left -= 1;
            }
        }
        self.aside = messages;
        Ok(())
    }

    async fn send_state(
        &mut self,
        session: &Session,
        reason: FullStateReason,
        generation: u32,
    ) -> Result<(), End> {
        for batch in (self.hooks.full_state)(reason, generation) {
            self.send(session, batch, Count::StateSent).await?;
        }
        Ok(())
    }

    /// Sends one batch and counts its records as `sent`, or by the reason
    /// for which it was not.
    async fn send(&mut self, session: &Session, batch: Outgoing, sent: Count) -> Result<(), End> {
        let subject = self.subject(&batch.subject);
        let bytes = batch.payload.len() as u64;
        let records = u64::from(batch.records);
        let link = self.shared.link.clone();
        match self.hand_over(session, subject, batch.payload).await {
            Ok(Handed::Sent) => {
                link.count(sent, records);
                link.count(Count::SentBytes, bytes);
            }
            Ok(Handed::Oversize) => link.count(Count::Oversize, records),
            Ok(Handed::Forbidden) => link.count(Count::Forbidden, records),
            Err(end) => {
                link.count(Count::NotConnected, records);
                return Err(end);
            }
        }
        Ok(())
    }

    async fn hand_over(
        &mut self,
        session: &Session,
        subject: Subject,
        payload: Bytes,
    ) -> Result<Handed, End> {
        if self.refusals.any() && self.refusals.holds_back(&subject, clock::monotonic_ns()) {
            return Ok(Handed::Forbidden);
        }
        let mut sending = pin!(session.client.publish(subject, payload));
        let at_once = poll_fn(|cx| Poll::Ready(sending.as_mut().poll(cx))).await;
        let result = if let Poll::Ready(result) = at_once {
            result
        } else {
            let began_ns = clock::monotonic_ns();
            let result = tokio::select! {
                biased;
                result = sending => result,
                () = session.lost() => return Err(End::Lost),
                () = self.shared.wake.overdue() => return Err(End::Stopped),
            };
            if clock::monotonic_ns().saturating_sub(began_ns) > SLOW_SEND_NS {
                self.shared.behind.store(true, Ordering::Release);
            }
            result
        };
        match result.map_err(|error| error.kind()) {
            Ok(()) => Ok(Handed::Sent),
            Err(PublishErrorKind::MaxPayloadExceeded) => Ok(Handed::Oversize),
            Err(PublishErrorKind::InvalidSubject) => Ok(Handed::Forbidden),
            Err(PublishErrorKind::Send) => Err(End::Lost),
        }
    }

    /// Keeps a request for a random moment.
    fn hold(&mut self, answer: usize, message: Message) {
        if message.reply.is_none() || self.waiting.len() >= REQUESTS_WAITING_MAX {
            self.shared.link.count(Count::RequestsDropped, 1);
            return;
        }
        let received_ns = clock::monotonic_ns();
        let hold_ns = u64::try_from(self.answer_hold_max.as_nanos()).unwrap_or(u64::MAX);
        let due_ns = received_ns.saturating_add(self.chance.below(hold_ns.saturating_add(1)));
        self.waiting.push_back(Request { due_ns, received_ns, answer, message });
    }

    async fn send_answers(&mut self, session: &Session) -> Result<(), End> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let now_ns = clock::monotonic_ns();
        while let Some(at) = self.waiting.iter().position(|request| request.due_ns <= now_ns) {
            let Some(request) = self.waiting.remove(at) else { break };
            let Some(to) = request.message.reply else { continue };
            let reply = &mut self.hooks.answers[request.answer].reply;
            let held_ns = clock::monotonic_ns().saturating_sub(request.received_ns);
            for payload in reply(&request.message.payload, held_ns) {
                let bytes = payload.len() as u64;
                if let Handed::Sent = self.hand_over(session, to.clone(), payload).await? {
                    self.shared.link.count(Count::AnswersSent, 1);
                    self.shared.link.count(Count::SentBytes, bytes);
                }
            }
        }
        Ok(())
    }

    /// Reads what the server complains of.
    fn heed(&mut self, session: &Session) {
        for text in session.errors() {
            let server = &session.server;
            let now_ns = clock::monotonic_ns();
            match said(&text) {
                Said::PublishForbidden(subject) => {
                    self.shared.link.count(Count::ForbiddenReported, 1);
                    let is_aside =
                        self.hooks.aside.as_ref().is_some_and(|of| *of.subject == *subject);
                    self.refusals.publish_forbidden(subject, now_ns);
                    let sentence = format!(
                        "{server} forbids publishing to {subject:?}: give this user the permission"
                    );
                    if is_aside {
                        self.shared.link.warn(sentence);
                    } else {
                        self.refuse(sentence);
                    }
                }
                Said::SubscribeForbidden(subject) => {
                    self.refusals.subscribe_forbidden();
                    self.refuse(format!(
                        "{server} forbids subscribing to {subject:?}: give this user the permission"
                    ));
                }
                Said::LoginRefused => self.refuse(format!("{server} refuses our login: {text}")),
                Said::Other => self.shared.link.warn(format!("{server} complains: {text}")),
            }
        }
    }

    /// The regular look at the connection.
    fn look(&mut self, session: &Session) {
        let statistics = session.client.statistics();
        self.confirmed.look(
            self.sent(),
            statistics.in_bytes.load(Ordering::Relaxed),
            statistics.in_messages.load(Ordering::Relaxed),
        );
        let now_ns = clock::monotonic_ns();
        if self.refusals.any() && self.refusals.healed(now_ns) {
            let server = session.server.clone();
            self.shared.link.turn(LinkState::Connected { server, since_ns: now_ns });
        }
    }

    /// Sends what waits and flushes, in the time that is left to stop.
    async fn finish(&mut self, session: &Session, generation: u32) {
        self.shared.open.store(0, Ordering::Release);
        let patience = if self.shared.wake.is_stopped() {
            self.shared.wake.time_left()
        } else {
            self.ping_interval
        };
        let _ = timeout(patience, async {
            while !self.queued.is_empty() {
                self.send_queued(session, generation).await?;
            }
            self.send_aside(session, true).await?;
            tokio::select! {
                flushed = session.client.flush() => flushed.map_err(|_| End::Lost),
                () = session.lost() => Err(End::Lost),
            }
        })
        .await;
    }

    fn drop_queue(&self, reason: Count) {
        let records: u64 =
            self.queued.try_iter().map(|queued| u64::from(queued.batch.records)).sum();
        self.shared.link.count(reason, records);
    }

    fn subject(&mut self, name: &Arc<str>) -> Subject {
        if let Some(subject) = self.subjects.get(name) {
            return subject.clone();
        }
        if self.subjects.len() >= SUBJECTS_MAX {
            self.subjects.clear();
        }
        let subject = Subject::from(name.to_string());
        self.subjects.insert(Arc::clone(name), subject.clone());
        subject
    }

    fn next_due(&self) -> Option<Instant> {
        let answers = self.waiting.iter().map(|request| request.due_ns);
        let due_ns = answers.chain(self.aside_due_ns).min()?;
        let wait_ns = due_ns.saturating_sub(clock::monotonic_ns());
        Some(Instant::now() + Duration::from_nanos(wait_ns))
    }

    fn refuse(&self, sentence: String) {
        let since_ns = clock::monotonic_ns();
        self.shared.link.turn(LinkState::Refused { since_ns, sentence });
    }

    fn sent(&self) -> u64 {
        self.shared.link.counted(Count::Sent)
    }
}
