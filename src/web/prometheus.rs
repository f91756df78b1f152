//! The exporter's pages over HTTP.

use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::header::{ACCEPT, CONTENT_TYPE, VARY};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::routes::{Web, refusal};
use crate::exporter::{Form, Wanted};
use crate::platform::clock;

/// `/metrics` and `/metrics/routing`.
pub(super) fn routes() -> Router<Arc<Web>> {
    Router::new().route("/metrics", get(metrics)).route("/metrics/routing", get(routing))
}

async fn metrics(State(web): State<Arc<Web>>, headers: HeaderMap) -> Response {
    let accept = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let form = Form::accepted(accept);
    let page = web.exporter.metrics(form, clock::monotonic_ns());
    ([(CONTENT_TYPE, form.content_type()), (VARY, "accept")], page).into_response()
}

#[derive(serde::Deserialize)]
struct RoutingQuery {
    engine: Option<String>,
    rank: Option<u16>,
}

async fn routing(
    State(web): State<Arc<Web>>,
    query: Result<Query<RoutingQuery>, QueryRejection>,
) -> Response {
    let Ok(Query(RoutingQuery { engine, rank })) = query else {
        let sentence = "engine is the name or endpoint of an engine; rank is a whole number.";
        return refusal(StatusCode::BAD_REQUEST, sentence);
    };
    let wanted = Wanted { engine, rank };
    let page = web.exporter.routing(&wanted, clock::monotonic_ns(), clock::wall_ns());
    ([(CONTENT_TYPE, Form::Classic.content_type())], page).into_response()
}
