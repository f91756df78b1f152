//! A look at every configured server: whether it lets us in, how far away it
//! is, what it allows, and whether it keeps what must not be lost.
//!
//! Rights can only be tried: a server says nothing of what it allows, and
//! tells of a forbidden message later, as text. So one message that says nothing
//! goes to each subject, with a header that keeps it out of every stream, and after
//! them a message to ourselves: a server works in order, so that once it comes
//! back (or is itself forbidden) everything before it was judged.

use std::time::Duration;

use async_nats::jetstream;
use async_nats::{HeaderMap, Subscriber};
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::future::join_all;
use tokio::time::timeout;

use super::StartError;
use super::refusal::{Said, said};
use super::servers::Target;
use super::session::{DialFault, Session, dial};
use super::settings::{NatsSettings, label};
use super::stream::{Found, Looked, look};
use crate::platform::clock;

/// How long all of the looking at one server may take after it let us in.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long a server may take to send our own message back, or to answer about
/// a stream.
const ANSWER_PATIENCE: Duration = Duration::from_millis(800);

/// Messages to ourselves; the fastest is the round trip.
const ECHOES: usize = 5;

/// Makes every stream refuse a message that carries it.
const NO_STREAM: (&str, &str) = ("Nats-Expected-Stream", "none");

/// What to try on each server.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Subjects to publish to.
    pub publish: Vec<String>,
    /// Subjects to subscribe to.
    pub subscribe: Vec<String>,
    /// What to publish: something that receivers pass over.
    pub message: Bytes,
    /// What to publish instead on some subjects, by those.
    pub messages: Vec<(String, Bytes)>,
    /// The stream to look for.
    pub stream: String,
}

/// One configured server.
#[derive(Debug)]
pub struct Server {
    /// Its address, without secrets.
    pub label: String,
    /// What was seen, or why nothing was.
    pub seen: Result<Seen, Unseen>,
}

/// Why a server could not be looked at; the sentences hold no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unseen {
    /// It, or our own login, forbids it.
    Refused(String),
    /// Nobody is there, or not in time.
    Unreachable(String),
}

/// What was seen of a server.
#[derive(Debug, Default)]
pub struct Seen {
    /// The server's own name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What its version is warned of.
    pub warning: Option<String>,
    /// The fastest of a few round trips, ns; nothing where our own messages
    /// did not come back.
    pub round_trip_ns: Option<u64>,
    /// Whether the server judged everything that was tried.
    pub judged: bool,
    /// Of the wanted subjects, those that we may not publish to.
    pub publish_forbidden: Vec<String>,
    /// Of the wanted subjects, those that we may not subscribe to.
    pub subscribe_forbidden: Vec<String>,
    /// How the stream is.
    pub jetstream: JetStream,
}

/// How the stream is that keeps what must not be lost.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum JetStream {
    /// It is there.
    Ready,
    /// JetStream works, the stream is yet to be made, and we may make it.
    Absent,
    /// It is yet to be made and we may not make it.
    CreationForbidden,
    /// We may not ask.
    LookForbidden,
    /// This server or account has no JetStream.
    Off,
    /// Nobody knows: why.
    #[default]
    Unasked,
    /// Nobody knows: a sentence.
    Unknown(String),
}

/// Looks at all servers of `settings` at once; within about four seconds.
///
/// # Errors
///
/// When the settings cannot be, or the system gives no runtime.
pub fn look_at_servers(
    settings: &NatsSettings,
    wanted: &Wanted,
) -> Result<Vec<Server>, StartError> {
    let named = settings.servers().map_err(StartError::Settings)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let looks = named.into_iter().map(|server| async move {
        let label = label(&server.address);
        let target = Target { address: server.address, login: server.login, label };
        let seen = look_at(&target, settings, wanted).await;
        Server { label: target.label, seen }
    });
    Ok(runtime.block_on(join_all(looks)))
}

async fn look_at(
    target: &Target,
    settings: &NatsSettings,
    wanted: &Wanted,
) -> Result<Seen, Unseen> {
    let session = match dial(target, settings).await {
        Ok(session) => session,
        Err(DialFault::Refused(why)) => return Err(Unseen::Refused(why)),
        Err(DialFault::Unreachable(why)) => return Err(Unseen::Unreachable(why)),
    };
    let info = session.client.server_info();
    let mut seen = Seen {
        name: info.server_name,
        version: info.version,
        warning: session.warning.clone(),
        round_trip_ns: session.round_trip_ns,
        ..Seen::default()
    };
    let trial = Trial { session, errors: Vec::new() };
    // What was seen until then is told too.
    let _ = timeout(PATIENCE, trial.run(wanted, &mut seen)).await;
    Ok(seen)
}

/// Trying what a connection may do.
struct Trial {
    session: Session,
    errors: Vec<String>,
}

impl Trial {
    async fn run(mut self, wanted: &Wanted, seen: &mut Seen) {
        let mut subscriptions = Vec::new();
        for subject in &wanted.subscribe {
            subscriptions.extend(self.session.client.subscribe(subject.clone()).await.ok());
        }
        self.publish(&wanted.publish, |subject| {
            let own = wanted.messages.iter().find(|(of, _)| of == subject);
            own.map_or(&wanted.message, |(_, message)| message).clone()
        })
        .await;
        if let Some(round_trip_ns) = self.judged(seen).await {
            seen.round_trip_ns = Some(round_trip_ns);
        }
        seen.publish_forbidden = self.forbidden(&wanted.publish, true);
        seen.subscribe_forbidden = self.forbidden(&wanted.subscribe, false);
        seen.jetstream = self.stream(&wanted.stream).await;
    }

    async fn publish(&self, subjects: &[String], message: impl Fn(&String) -> Bytes) {
        for subject in subjects {
            let mut headers = HeaderMap::new();
            headers.insert(NO_STREAM.0, NO_STREAM.1);
            let client = &self.session.client;
            let _ = client.publish_with_headers(subject.clone(), headers, message(subject)).await;
        }
    }

    /// Waits until the server judged everything so far; returns the fastest
    /// round trip, where our own messages may come back.
    async fn judged(&mut self, seen: &mut Seen) -> Option<u64> {
        let inbox = self.session.client.new_inbox();
        let mut echoes = self.session.client.subscribe(inbox.clone()).await.ok()?;
        let mut fastest = None;
        for _ in 0..ECHOES {
            let sent_ns = clock::monotonic_ns();
            self.session.client.publish(inbox.clone(), Bytes::new()).await.ok()?;
            self.session.client.flush().await.ok()?;
            let back = timeout(ANSWER_PATIENCE, self.echo(&mut echoes, &inbox)).await;
            let Ok(back) = back else { return fastest };
            seen.judged = true;
            if !back {
                return fastest;
            }
            let took_ns = clock::monotonic_ns() - sent_ns;
            fastest = Some(fastest.map_or(took_ns, |least: u64| least.min(took_ns)));
        }
        self.errors.extend(self.session.errors());
        fastest
    }

    /// Returns whether our message came back; it does not where the server
    /// forbids it.
    async fn echo(&mut self, echoes: &mut Subscriber, inbox: &str) -> bool {
        loop {
            tokio::select! {
                message = echoes.next() => return message.is_some(),
                () = self.session.changed() => {}
                () = self.session.lost() => return false,
            }
            self.errors.extend(self.session.errors());
            if self.errors.iter().any(|error| error.contains(inbox)) {
                return false;
            }
        }
    }

    fn forbidden(&self, wanted: &[String], publishing: bool) -> Vec<String> {
        let named = |subject: &&String| {
            self.errors.iter().any(|error| match said(error) {
                Said::PublishForbidden(of) => publishing && of == subject.as_str(),
                Said::SubscribeForbidden(of) => !publishing && of == subject.as_str(),
                _ => false,
            })
        };
        wanted.iter().filter(named).cloned().collect()
    }

    async fn stream(&mut self, name: &str) -> JetStream {
        let mut context = jetstream::new(self.session.client.clone());
        context.set_timeout(ANSWER_PATIENCE);
        let asking = format!("$JS.API.STREAM.INFO.{name}");
        let looked = tokio::select! {
            looked = look(&context, name) => looked,
            () = self.told_of(&asking) => return JetStream::LookForbidden,
        };
        match looked {
            Looked::Absent => self.creation(name).await,
            Looked::Otherwise(Found::Ready) => JetStream::Ready,
            Looked::Otherwise(Found::NoJetStream) => JetStream::Off,
            Looked::Otherwise(Found::NotYet(why) | Found::Unseen(why)) => JetStream::Unknown(why),
        }
    }

    /// Whether we may make the stream: asked with nothing in the request,
    /// which makes nothing.
    async fn creation(&mut self, name: &str) -> JetStream {
        let subjects = [format!("$JS.API.STREAM.CREATE.{name}")];
        self.publish(&subjects, |_| Bytes::new()).await;
        self.judged(&mut Seen::default()).await;
        if self.forbidden(&subjects, true).is_empty() {
            JetStream::Absent
        } else {
            JetStream::CreationForbidden
        }
    }

    /// Returns when the server forbade this subject.
    async fn told_of(&mut self, subject: &str) {
        while !self.errors.iter().any(|error| error.contains(subject)) {
            self.session.changed().await;
            self.errors.extend(self.session.errors());
        }
    }
}
