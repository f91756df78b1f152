//! The stream of changes: server-sent events, as many as the reader takes.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream::unfold;
use serde::Serialize;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::board::PlacedRank;
use super::limits::HEARTBEAT_TIME;
use super::routes::Web;
use super::{HostState, LatencyState, Sources};
use crate::platform::clock::{self, SECOND_NS};

/// What a reader asks for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wish {
    /// Most frames a second.
    pub hz: u32,
    /// Whether the node's readings come along, once a second.
    pub host: bool,
}

/// One reader's stream. It holds no queue: a frame is made when there is room
/// for it, from what is newest then.
struct Teller {
    web: Arc<Web>,
    host: bool,
    period: Interval,
    seen: u64,
    told_ns: u64,
    host_told_ns: u64,
    latencies_told_ns: u64,
    latencies: Vec<LatencyState>,
    /// Gives the place back when the stream ends.
    _place: OwnedSemaphorePermit,
}

/// Changed ranks by slot, and the slots whose rank is gone.
#[derive(Serialize)]
struct Frame {
    ranks: Vec<PlacedRank>,
    gone: Vec<usize>,
}

/// The times of all engines that tell any.
#[derive(Serialize)]
struct Latencies<'a> {
    latencies: &'a [LatencyState],
}

/// Answers with a stream that lasts until the reader or the server leaves.
pub(super) fn answer(web: Arc<Web>, wish: Wish, place: OwnedSemaphorePermit) -> Response {
    let mut period = interval(Duration::from_secs(1) / wish.hz);
    period.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let teller = Teller {
        web,
        host: wish.host,
        period,
        seen: 0,
        told_ns: 0,
        host_told_ns: 0,
        latencies_told_ns: 0,
        latencies: Vec::new(),
        _place: place,
    };
    let frames = unfold(teller, |mut teller| async move {
        let frame = teller.next().await?;
        Some((Ok::<_, std::convert::Infallible>(frame), teller))
    });
    ([(CONTENT_TYPE, "text/event-stream")], Body::from_stream(frames)).into_response()
}

impl Teller {
    async fn next(&mut self) -> Option<Bytes> {
        let mut leaving = self.web.leaving.clone();
        loop {
            tokio::select! {
                biased;
                _ = leaving.wait_for(Option::is_some) => return None,
                _ = self.period.tick() => {}
            }
            let now_ns = clock::monotonic_ns();
            let text = self.tell(now_ns);
            if !text.is_empty() {
                self.told_ns = now_ns;
                return Some(text.into());
            }
        }
    }

    /// What is to be said now; empty when that is nothing.
    fn tell(&mut self, now_ns: u64) -> String {
        let mut text = String::new();
        self.tell_ranks(&mut text);
        self.tell_latencies(&mut text, now_ns);
        if self.host && now_ns.saturating_sub(self.host_told_ns) >= SECOND_NS {
            self.host_told_ns = now_ns;
            let Sources { readings, names, .. } = &self.web.sources;
            let host = self.web.say(HostState::of(readings, names, now_ns));
            push_event(&mut text, "host", None, &host);
        }
        let silent_ns = now_ns.saturating_sub(self.told_ns);
        if text.is_empty() && u128::from(silent_ns) >= HEARTBEAT_TIME.as_nanos() {
            text.push_str(": still here\n\n");
        }
        text
    }

    /// Engines tell their times about once a second: whenever they changed, all
    /// of them.
    fn tell_latencies(&mut self, text: &mut String, now_ns: u64) {
        if now_ns.saturating_sub(self.latencies_told_ns) < SECOND_NS {
            return;
        }
        self.latencies_told_ns = now_ns;
        let latencies = LatencyState::all(&self.web.sources.names, &self.web.sources.steps);
        if latencies != self.latencies {
            let said = self.web.say(Latencies { latencies: &latencies });
            push_event(text, "latencies", None, &said);
            self.latencies = latencies;
        }
    }

    fn tell_ranks(&mut self, text: &mut String) {
        let first = self.seen == 0;
        let seen = self.seen;
        let (changes, version) =
            self.web.look(|board, now_ns| (board.changes(seen, now_ns), board.version()));
        self.seen = version;
        if first {
            text.push_str("retry: 1000\n\n");
        }
        if first || !changes.ranks.is_empty() || !changes.gone.is_empty() {
            let frame = Frame { ranks: changes.ranks, gone: changes.gone };
            let name = if first { "state" } else { "change" };
            push_event(text, name, Some(version), &self.web.say(frame));
        }
    }
}

/// JSON escapes line breaks, so that its text is one `data` line whatever the
/// names in it hold.
fn push_event(text: &mut String, name: &str, id: Option<u64>, data: &impl Serialize) {
    let Ok(json) = serde_json::to_string(data) else {
        return;
    };
    if let Some(id) = id {
        text.push_str(&format!("id: {id}\n"));
    }
    text.push_str(&format!("event: {name}\ndata: {json}\n\n"));
}
