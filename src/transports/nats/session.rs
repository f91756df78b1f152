//! One connection to one server, from dialling to its loss.

use std::error::Error;
use std::future::{pending, poll_fn, ready};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use async_nats::connection::State;
use async_nats::{
    Client, ConnectError, ConnectErrorKind, ConnectOptions, Event, Message, ServerError, Subscriber,
};
use futures_util::Stream;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout};

use super::servers::Target;
use super::settings::NatsSettings;
use super::version;
use crate::platform::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::platform::clock;

/// The client must never connect again by itself: its second attempt waits
/// for so long, and its runtime is dropped long before.
const NEVER: Duration = Duration::from_secs(365 * 24 * 3600);

/// A name may have several addresses; all of them together may take this many
/// times the time-out of one.
const ADDRESSES_PATIENCE: u32 = 4;

/// The client drops events in a burst, the end of the connection among them;
/// so often its state is looked at while a send waits.
pub(super) const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// The most error texts of a server that wait to be read.
const ERRORS_MAX: usize = 32;

/// A standing connection.
pub(super) struct Session {
    pub(super) client: Client,
    /// Address, name and version of the server, without secrets.
    pub(super) server: String,
    /// Between our login and the server's answer, in ns: at least one round
    /// trip and the server's checking of the login.
    pub(super) round_trip_ns: Option<u64>,
    pub(super) warning: Option<String>,
    /// Addresses of other servers that this one told.
    pub(super) told: Vec<String>,
    pub(super) signals: Arc<Signals>,
    /// How long after the server announced to go we leave; `None` when there
    /// is nowhere to go, so that we stay until it closes.
    pub(super) leave_after: Option<Duration>,
}

/// Why no connection came about.
pub(super) enum DialFault {
    /// The server, or our own credentials, forbid it.
    Refused(String),
    /// It may work later.
    Unreachable(String),
}

/// What the client's own task reports of a connection.
#[derive(Debug, Default)]
pub(super) struct Signals {
    lost: AtomicBool,
    lame_duck: AtomicBool,
    slow: AtomicBool,
    erred: AtomicBool,
    errors: Mutex<Vec<String>>,
    changed: Notify,
    gone: Notify,
}

/// When to leave a server that announced to go.
#[derive(Debug, Default)]
pub(super) struct Departure(Option<Instant>);

/// Connects to one server, once.
pub(super) async fn dial(target: &Target, settings: &NatsSettings) -> Result<Session, DialFault> {
    let label = &target.label;
    let proof = target.login.proof().map_err(DialFault::Refused)?;
    check_files(settings).map_err(DialFault::Refused)?;
    let signals = Arc::new(Signals::default());
    let asked_ns = Arc::new(AtomicU64::new(0));
    let asking = Arc::clone(&asked_ns);
    let options = ConnectOptions::with_auth_callback(move |nonce| {
        asking.store(clock::monotonic_ns(), Ordering::Relaxed);
        ready(proof.answer(&nonce))
    });
    let options = with_settings(options, settings, &signals);
    let patience = settings.connect_timeout * ADDRESSES_PATIENCE;
    let client = timeout(patience, options.connect(&target.address))
        .await
        .map_err(|_| DialFault::Unreachable(format!("{label} did not answer in {patience:?}")))?
        .map_err(|error| fault_of(&error, target, settings))?;
    let answered_ns = clock::monotonic_ns();
    let info = client.server_info();
    let asked_ns = asked_ns.load(Ordering::Relaxed);
    Ok(Session {
        server: format!("{label} ({}, {})", shown(&info.server_name), shown(&info.version)),
        round_trip_ns: (asked_ns > 0).then(|| answered_ns.saturating_sub(asked_ns)),
        warning: version::warning(&info.version),
        told: if settings.servers_discovered { info.connect_urls } else { Vec::new() },
        client,
        signals,
        leave_after: None,
    })
}

impl Session {
    /// Whether the connection is gone.
    pub(super) fn is_lost(&self) -> bool {
        // The event may have been dropped in a burst; the state is never.
        self.signals.lost.load(Ordering::Relaxed)
            || self.client.connection_state() == State::Disconnected
    }

    /// Whether the server announced that it goes.
    pub(super) fn is_lame_duck(&self) -> bool {
        self.signals.lame_duck.load(Ordering::Relaxed)
    }

    /// Whether messages were lost here since the last question.
    pub(super) fn was_slow(&self) -> bool {
        self.signals.slow.swap(false, Ordering::Relaxed)
    }

    /// The server's errors since the last question.
    pub(super) fn errors(&self) -> Vec<String> {
        if !self.signals.erred.swap(false, Ordering::Relaxed) {
            return Vec::new();
        }
        let mut errors = self.signals.errors.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *errors)
    }

    /// Returns when something about the connection changed.
    pub(super) async fn changed(&self) {
        self.signals.changed.notified().await;
    }

    /// Returns when the connection is lost.
    pub(super) async fn lost(&self) {
        while !self.is_lost() {
            let _ = timeout(LOOK_AGAIN, self.signals.gone.notified()).await;
        }
    }
}

impl Signals {
    fn note(&self, event: Event) {
        match event {
            Event::Disconnected | Event::Closed => {
                self.lost.store(true, Ordering::Relaxed);
                self.gone.notify_one();
            }
            Event::LameDuckMode => self.lame_duck.store(true, Ordering::Relaxed),
            Event::SlowConsumer(_) => self.slow.store(true, Ordering::Relaxed),
            Event::ServerError(error) => {
                let text = match error {
                    ServerError::Other(text) => text,
                    other => other.to_string(),
                };
                let mut errors = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
                if errors.len() < ERRORS_MAX {
                    errors.push(text);
                }
                self.erred.store(true, Ordering::Relaxed);
            }
            Event::Connected | Event::Draining | Event::ClientError(_) => return,
        }
        self.changed.notify_one();
    }
}

impl Departure {
    /// Sets the time once the server has announced and there is another.
    pub(super) fn consider(&mut self, session: &Session) {
        if let (None, true, Some(after)) = (self.0, session.is_lame_duck(), session.leave_after) {
            self.0 = Some(Instant::now() + after);
        }
    }

    /// Returns when it is time.
    pub(super) async fn due(&self) {
        until(self.0).await;
    }
}

/// Waits for an instant; for ever when there is none.
pub(super) async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => pending().await,
    }
}

/// Several subscriptions read as one, each in its turn, without allocating.
pub(super) struct Streams {
    streams: Vec<Subscriber>,
    next: usize,
}

impl Streams {
    pub(super) const fn new(streams: Vec<Subscriber>) -> Self {
        Self { streams, next: 0 }
    }

    /// The next message and the place of its subscription; waits for ever
    /// when there are no subscriptions.
    pub(super) async fn next(&mut self) -> (usize, Message) {
        poll_fn(|cx| self.poll(cx)).await
    }

    /// The next message if one is there already.
    pub(super) async fn try_next(&mut self) -> Option<(usize, Message)> {
        poll_fn(|cx| match self.poll(cx) {
            Poll::Ready(message) => Poll::Ready(Some(message)),
            Poll::Pending => Poll::Ready(None),
        })
        .await
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<(usize, Message)> {
        let count = self.streams.len();
        for turn in 0..count {
            let at = (self.next + turn) % count;
            if let Poll::Ready(Some(message)) = Pin::new(&mut self.streams[at]).poll_next(cx) {
                self.next = (at + 1) % count;
                return Poll::Ready((at, message));
            }
        }
        Poll::Pending
    }
}

fn with_settings(
    options: ConnectOptions,
    settings: &NatsSettings,
    signals: &Arc<Signals>,
) -> ConnectOptions {
    let signals = Arc::clone(signals);
    let dialled = AtomicBool::new(false);
    let mut options = options
        .name(&settings.name)
        .connection_timeout(settings.connect_timeout)
        .ping_interval(settings.ping_interval)
        .client_capacity(settings.client_capacity)
        .subscription_capacity(settings.subscription_capacity)
        .custom_inbox_prefix(&settings.inbox_prefix)
        .require_tls(settings.tls.required)
        .ignore_discovered_servers()
        .reconnect_delay_callback(move |_| {
            if dialled.swap(true, Ordering::Relaxed) { NEVER } else { Duration::ZERO }
        })
        .event_callback(move |event| {
            signals.note(event);
            ready(())
        });
    if settings.tls.handshake_first {
        options = options.tls_first();
    }
    if let Some(ca) = &settings.tls.ca {
        options = options.add_root_certificates(ca.clone());
    }
    if let (Some(cert), Some(key)) = (&settings.tls.cert, &settings.tls.key) {
        options = options.add_client_certificate(cert.clone(), key.clone());
    }
    options
}

/// The client does not say which file it missed.
fn check_files(settings: &NatsSettings) -> Result<(), String> {
    let tls = &settings.tls;
    for (name, path) in [("tls.ca", &tls.ca), ("tls.cert", &tls.cert), ("tls.key", &tls.key)] {
        if let Some(path) = path {
            std::fs::File::open(path)
                .map_err(|error| format!("cannot read {name}, {}: {error}", path.display()))?;
        }
    }
    Ok(())
}

fn fault_of(error: &ConnectError, target: &Target, settings: &NatsSettings) -> DialFault {
    let label = &target.label;
    let cause = cause_of(error);
    let is_tls = error.kind() == ConnectErrorKind::Tls || names_tls(error);
    match error.kind() {
        ConnectErrorKind::AuthorizationViolation | ConnectErrorKind::Authentication => {
            DialFault::Refused(format!("{label} refuses our login: {}", target.login.advice()))
        }
        _ if is_tls => DialFault::Refused(format!(
            "cannot encrypt the connection to {label} ({cause}): {}",
            tls_advice(settings)
        )),
        _ if super::refusal::said(&cause) == super::refusal::Said::LoginRefused => {
            DialFault::Refused(format!("{label} refuses us ({cause}): {}", target.login.advice()))
        }
        ConnectErrorKind::Dns => DialFault::Unreachable(format!(
            "cannot find the host of {label} ({cause}): check the name and the resolver"
        )),
        ConnectErrorKind::TimedOut => DialFault::Unreachable(format!(
            "{label} did not answer within {:?}",
            settings.connect_timeout
        )),
        _ => DialFault::Unreachable(format!("cannot reach {label}: {cause}")),
    }
}

fn tls_advice(settings: &NatsSettings) -> &'static str {
    match (&settings.tls.ca, &settings.tls.cert) {
        (None, _) => "set tls.ca to the authority that signed its certificate",
        (Some(_), None) => "check tls.ca, and set tls.cert and tls.key if it wants to know us",
        (Some(_), Some(_)) => "check tls.ca, tls.cert, tls.key and the host name in the URL",
    }
}

/// The innermost cause in words; none of them holds a secret.
fn cause_of(error: &ConnectError) -> String {
    let mut cause: &dyn Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

fn names_tls(error: &ConnectError) -> bool {
    let mut cause: Option<&(dyn Error + 'static)> = error.source();
    while let Some(error) = cause {
        let carried = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        if error.is::<async_nats::rustls::Error>()
            || carried.is_some_and(|carried| carried.is::<async_nats::rustls::Error>())
        {
            return true;
        }
        cause = error.source();
    }
    false
}

/// A word of a server, cut to what a page can show.
fn shown(word: &str) -> String {
    word.chars().filter(|c| !c.is_control()).take(64).collect()
}
