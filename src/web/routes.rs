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
use super::prometheus;
use super::stream::{self, Wish};
use super::{
    AcceleratorStates, EventState, HardwareState, HostState, JudgedState, LatencyState, ReportForm,
    Sources,
};
use crate::exporter::Exporter;
use crate::platform::clock;
use crate::schema::utc_text;

/// What all requests share.
pub(super) struct Web {
    pub sources: Sources,
    pub exporter: Exporter,
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
    hardware: Vec<HardwareState>,
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
    pub(super) fn new(
        sources: Sources,
        exporter: Exporter,
        leaving: watch::Receiver<Option<Duration>>,
    ) -> Arc<Self> {
        let streams = Arc::new(Semaphore::new(STREAMS_MAX));
        Arc::new(Self { sources, exporter, board: Mutex::default(), streams, leaving })
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
        .route("/v1/verdicts", get(verdicts))
        .route("/v1/report", get(report))
        .merge(prometheus::routes())
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
        // An answer with a policy of its own knows why.
        answer.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
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

pub(super) fn refusal(status: StatusCode, sentence: &str) -> Response {
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
    let hardware = HardwareState::all(&web.sources.names, clock::monotonic_ns());
    Json(web.say(Ranks { ranks, latencies, hardware })).into_response()
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

async fn verdicts(State(web): State<Arc<Web>>) -> Response {
    Json(web.say(JudgedState::of(&web.sources.names))).into_response()
}

async fn report(
    State(web): State<Arc<Web>>,
    query: Result<Query<ReportQuery>, axum::extract::rejection::QueryRejection>,
) -> Response {
    let Ok(Query(query)) = query else {
        return refusal(StatusCode::BAD_REQUEST, "format is one of text, markdown, html, json.");
    };
    let form = query.format.unwrap_or(ReportForm::Json);
    let kind = match form {
        ReportForm::Json => {
            #[derive(Serialize)]
            struct Whole {
                #[serde(flatten)]
                judged: JudgedState,
                status: super::Status,
            }
            let judged = JudgedState::of(&web.sources.names);
            let status = (web.sources.status)();
            return Json(web.say(Whole { judged, status })).into_response();
        }
        ReportForm::Text => "text/plain; charset=utf-8",
        ReportForm::Markdown => "text/markdown; charset=utf-8",
        ReportForm::Html => "text/html; charset=utf-8",
    };
    let mut answer = ([(CONTENT_TYPE, kind)], (web.sources.report)(form)).into_response();
    if form == ReportForm::Html {
        // It brings its own style and runs nothing.
        let policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'";
        let policy = HeaderValue::from_static(policy);
        answer.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    }
    answer
}

#[derive(serde::Deserialize)]
struct ReportQuery {
    format: Option<ReportForm>,
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
