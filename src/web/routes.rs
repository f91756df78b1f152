//! What is served where, and what every answer carries.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{Query, Request, State};
use axum::http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY,
    RETRY_AFTER, TRANSFER_ENCODING, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use tokio::sync::{Semaphore, watch};

use super::board::{Board, PlacedRank};
use super::limits::{EVENTS_MAX, RATE_HZ_DEFAULT, RATE_HZ_MAX, STREAMS_MAX};
use super::stream::{self, Wish};
use super::{AcceleratorStates, EventState, HostState, LatencyState, Sources};
use crate::platform::clock;
use crate::schema::utc_text;

/// What all requests share.
pub(super) struct Web {
    pub sources: Sources,
    board: Mutex<Board>,
    pub streams: Arc<Semaphore>,
    pub leaving: watch::Receiver<Option<Duration>>,
}

/// An answer of `/v1`: whose it is, when, and what.
#[derive(Serialize)]
pub(super) struct Said<'a, T> {
    pub node: &'a str,
    pub time: String,
    #[serde(flatten)]
    pub what: T,
}

#[derive(Serialize)]
struct Ranks {
    ranks: Vec<PlacedRank>,
    latencies: Vec<LatencyState>,
}

#[derive(Serialize)]
struct Events {
    events: Vec<EventState>,
}

#[derive(Serialize)]
struct Refusal {
    error: String,
}

impl Web {
    pub(super) fn new(sources: Sources, leaving: watch::Receiver<Option<Duration>>) -> Arc<Self> {
        let streams = Arc::new(Semaphore::new(STREAMS_MAX));
        Arc::new(Self { sources, board: Mutex::default(), streams, leaving })
    }

    /// Looks at the board as it is now. Nothing is awaited meanwhile.
    pub(super) fn look<T>(&self, look: impl FnOnce(&Board, u64) -> T) -> T {
        let now_ns = clock::monotonic_ns();
        let mut board = self.board.lock().unwrap_or_else(PoisonError::into_inner);
        board.refresh(&self.sources, now_ns);
        look(&board, now_ns)
    }

    pub(super) fn say<T: Serialize>(&self, what: T) -> Said<'_, T> {
        Said { node: self.sources.names.node(), time: utc_text(clock::wall_ns()), what }
    }
}

/// Every route.
pub(super) fn router(web: Arc<Web>) -> Router {
    Router::new()
        .route("/", get(|| asset("text/html; charset=utf-8", include_str!("page.html"))))
        .route("/page.css", get(|| asset("text/css; charset=utf-8", include_str!("page.css"))))
        .route("/page.js", get(|| asset("text/javascript; charset=utf-8", include_str!("page.js"))))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/v1/status", get(status))
        .route("/v1/routing", get(routing))
        .route("/v1/routing/stream", get(routing_stream))
        .route("/v1/host", get(host))
        .route("/v1/devices", get(devices))
        .route("/v1/events", get(events))
        .fallback(|| async { refusal(StatusCode::NOT_FOUND, "There is nothing at this path.") })
        .layer(from_fn(guard))
        .with_state(web)
}

async fn asset(kind: &'static str, text: &'static str) -> impl IntoResponse {
    ([(CONTENT_TYPE, kind)], text)
}

/// Only reading, and nothing carried in; what goes out carries what keeps a
/// browser from doing more with it than showing it.
async fn guard(request: Request, next: Next) -> Response {
    let mut answer = match request.method() {
        &Method::GET | &Method::HEAD if carries_body(request.headers()) => refusal(
            StatusCode::PAYLOAD_TOO_LARGE,
            "This server takes no request body; send the request without one.",
        ),
        &Method::GET | &Method::HEAD => next.run(request).await,
        _ => {
            let sentence = "Only GET and HEAD are served; nothing can be changed here.";
            ([(ALLOW, "GET, HEAD")], refusal(StatusCode::METHOD_NOT_ALLOWED, sentence))
                .into_response()
        }
    };
    for (name, value) in SAFETY_HEADERS {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    answer
}

fn carries_body(headers: &HeaderMap) -> bool {
    let length = headers.get(CONTENT_LENGTH).is_some_and(|length| length != "0");
    length || headers.contains_key(TRANSFER_ENCODING)
}

/// Scripts only from our own file, and text only as text: with trusted types
/// required and none allowed, the page cannot turn a name into markup.
const SAFETY_HEADERS: [(HeaderName, &str); 6] = [
    (
        CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
         img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
         require-trusted-types-for 'script'; trusted-types 'none'",
    ),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (X_FRAME_OPTIONS, "DENY"),
    (REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (CACHE_CONTROL, "no-store"),
];

fn refusal(status: StatusCode, sentence: &str) -> Response {
    (status, Json(Refusal { error: sentence.to_owned() })).into_response()
}

async fn ready(State(web): State<Arc<Web>>) -> Response {
    match (web.sources.status)().ready {
        Ok(()) => "ready\n".into_response(),
        Err(sentence) => (StatusCode::SERVICE_UNAVAILABLE, format!("{sentence}\n")).into_response(),
    }
}

async fn status(State(web): State<Arc<Web>>) -> Response {
    let status = (web.sources.status)();
    #[derive(Serialize)]
    struct Timed<T> {
        time: String,
        #[serde(flatten)]
        what: T,
    }
    Json(Timed { time: utc_text(clock::wall_ns()), what: status }).into_response()
}

async fn routing(State(web): State<Arc<Web>>) -> Response {
    let mut ranks = web.look(|board, now_ns| board.changes(0, now_ns).ranks);
    ranks.sort_by(|a, b| a.state.place().cmp(&b.state.place()));
    let latencies = LatencyState::all(&web.sources.names, &web.sources.steps);
    Json(web.say(Ranks { ranks, latencies })).into_response()
}

async fn host(State(web): State<Arc<Web>>) -> Response {
    let Sources { readings, names, .. } = &web.sources;
    Json(web.say(HostState::of(readings, names, clock::monotonic_ns()))).into_response()
}

async fn devices(State(web): State<Arc<Web>>) -> Response {
    let Sources { readings, names, .. } = &web.sources;
    let events = (web.sources.events)();
    let now_ns = clock::monotonic_ns();
    Json(web.say(AcceleratorStates::of(readings, names, &events, now_ns))).into_response()
}

async fn events(State(web): State<Arc<Web>>) -> Response {
    let events = (web.sources.events)();
    let latest = &events[events.len().saturating_sub(EVENTS_MAX)..];
    let events = latest.iter().map(EventState::of).collect();
    Json(web.say(Events { events })).into_response()
}

async fn routing_stream(
    State(web): State<Arc<Web>>,
    query: Result<Query<StreamQuery>, axum::extract::rejection::QueryRejection>,
) -> Response {
    let allowed = 1..=RATE_HZ_MAX;
    let wish =
        query.ok().map(|Query(query)| query.wish()).filter(|wish| allowed.contains(&wish.hz));
    let Some(wish) = wish else {
        let sentence =
            format!("hz is a whole number from 1 to {RATE_HZ_MAX}; host is true or false.");
        return refusal(StatusCode::BAD_REQUEST, &sentence);
    };
    let Ok(place) = Arc::clone(&web.streams).try_acquire_owned() else {
        let sentence =
            format!("All {STREAMS_MAX} streams are taken; close one, or ask /v1/routing.");
        let refusal = refusal(StatusCode::SERVICE_UNAVAILABLE, &sentence);
        return ([(RETRY_AFTER, "5")], refusal).into_response();
    };
    stream::answer(web, wish, place)
}

#[derive(serde::Deserialize)]
struct StreamQuery {
    hz: Option<u32>,
    host: Option<bool>,
}

impl StreamQuery {
    fn wish(&self) -> Wish {
        Wish { hz: self.hz.unwrap_or(RATE_HZ_DEFAULT), host: self.host.unwrap_or(false) }
    }
}
