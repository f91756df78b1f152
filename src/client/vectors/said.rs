//! What engines say beside their steps, in scenarios.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::scenarios::{number, word};
use crate::client::View;
use crate::schema::{Adapter, EngineDetails, Finished, Sketch, SketchKind, Speculation, Transfer};

const KINDS: [(&str, SketchKind); 6] = [
    ("ttft", SketchKind::Ttft),
    ("inter_token", SketchKind::InterToken),
    ("queue", SketchKind::Queue),
    ("prefill", SketchKind::Prefill),
    ("decode", SketchKind::Decode),
    ("end_to_end", SketchKind::EndToEnd),
];

fn list<'a>(json: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    json.get(key).and_then(Value::as_array).into_iter().flatten()
}

/// Details as a scenario writes them. A sketch is given by its times in µs and
/// how often each was measured, or with `raw` by its buckets.
pub(super) fn details(json: &Value) -> Arc<EngineDetails> {
    let finished = list(json, "finished")
        .map(|of| Finished { reason: word(of, "reason").into(), count: number(of, "count", 0) });
    let adapters = list(json, "adapters").map(|of| Adapter {
        name: word(of, "name").into(),
        running: number(of, "running", 0) as u32,
        waiting: number(of, "waiting", 0) as u32,
    });
    let speculation = json.get("speculation").map(|of| Speculation {
        drafts: number(of, "drafts", 0),
        draft_tokens: number(of, "draft_tokens", 0),
        accepted_tokens: number(of, "accepted_tokens", 0),
        accepted: list(of, "accepted").filter_map(Value::as_u64).collect(),
    });
    let transfer = json.get("transfer").map(|of| Transfer {
        transfers: number(of, "transfers", 0),
        bytes: number(of, "bytes", 0),
        failures: number(of, "failures", 0),
        seconds: of["seconds"].as_f64().expect("seconds"),
    });
    Arc::new(EngineDetails {
        instance: number(json, "instance", 0),
        incarnation: number(json, "incarnation", 1),
        rank: number(json, "rank", 0) as u16,
        producer: number(json, "producer", 0) as u16,
        sketches: list(json, "sketches").map(sketch).collect(),
        finished: finished.collect(),
        adapters: adapters.collect(),
        speculation,
        transfer,
        devices: Vec::new(),
    })
}

fn sketch(json: &Value) -> Sketch {
    let kind = KINDS.iter().find(|(name, _)| *name == word(json, "kind")).expect("a kind").1;
    let mut sketch = Sketch::new(kind);
    for pair in list(json, "us") {
        sketch.add(pair[0].as_f64().expect("µs"), pair[1].as_u64().expect("how often") as u32);
    }
    if let Some(raw) = json.get("raw") {
        sketch.offset = number(raw, "offset", 0) as u16;
        sketch.buckets = list(raw, "buckets").map(|of| of.as_u64().unwrap_or(0) as u32).collect();
    }
    sketch
}

/// What the view says of an instance: of each kind its count, and the quantiles
/// that the act asks for, in whole ns.
pub(super) fn told(view: &View, act: &Value) -> Value {
    let Some(details) = view.details(number(act, "instance", 0)) else { return Value::Null };
    let mut kinds = Map::new();
    for (name, kind) in KINDS {
        let Some(sketch) = details.sketch(kind) else { continue };
        let quantile = |share: &Value| {
            let seconds = details.quantile(kind, share.as_f64().expect("a share"));
            json!(seconds.map(|seconds| (seconds * 1e9).round() as u64))
        };
        let quantiles: Vec<Value> = list(act, "shares").map(quantile).collect();
        let mean_ns = sketch.mean().map(|seconds| (seconds * 1e9).round() as u64);
        kinds.insert(
            name.into(),
            json!({"count": sketch.count, "mean_ns": mean_ns, "quantiles_ns": quantiles}),
        );
    }
    let mut finished = details.finished();
    finished.sort_unstable();
    let finished: Map<String, Value> =
        finished.into_iter().map(|(reason, count)| (reason.into(), json!(count))).collect();
    let mut of_ranks: Vec<Value> = details.of_ranks.iter().map(|of| rank(of)).collect();
    of_ranks.sort_by_key(|of| (of["rank"].as_u64(), of["producer"].as_u64()));
    json!({"kinds": kinds, "finished": finished, "of_ranks": of_ranks})
}

fn rank(of: &EngineDetails) -> Value {
    let adapters: Vec<Value> =
        of.adapters.iter().map(|of| json!([of.name, of.running, of.waiting])).collect();
    json!({
        "rank": of.rank, "producer": of.producer, "incarnation": of.incarnation,
        "adapters": adapters,
        "speculation": of.speculation.as_ref().map(|of| {
            json!([of.drafts, of.draft_tokens, of.accepted_tokens, of.accepted])
        }),
        "transfer": of.transfer.map(|of| {
            json!([of.transfers, of.bytes, of.failures, of.seconds])
        }),
    })
}
