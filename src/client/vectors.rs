//! Messages and what a view must make of them, for views in other languages.
//!
//! `schema/vectors/client.json` holds them. The file is written by this test
//! under `EAGLE_EYE_BLESS=1`, and compared otherwise.

mod said;
mod scenarios;

use std::fmt::Write;

use bytemuck::Zeroable;

use super::{Ask, Policy, RankState, Ranks, Score, View, ViewCore, ViewSettings};
use crate::platform::clock::{MILLISECOND_NS as MS, SECOND_NS};
use crate::schema::{BatchHead, BatchWriter, Engine, Field, Flag, StepCore, Tables};

/// Our clock when theirs reads 0.
const OFFSET: u64 = 7_000 * MS;

#[derive(Clone)]
struct Message {
    /// When the request was sent, for an answer.
    sent_ns: Option<u64>,
    receipt_ns: u64,
    bytes: Vec<u8>,
}

struct Case {
    name: &'static str,
    messages: Vec<Message>,
    now_ns: u64,
}

fn step(instance: u64, sequence: u64, at_ms: u64, running: u32) -> StepCore {
    let mut step = StepCore {
        instance,
        incarnation: 1,
        model: 5,
        producers: 1,
        sequence,
        monotonic_ns: at_ms * MS,
        heartbeat_ns: at_ms * MS,
        ttl_ms: 200,
        running,
        ..StepCore::zeroed()
    };
    step.mark(Field::Running);
    step.mark(Field::Waiting);
    step
}

fn with(mut step: StepCore, change: impl FnOnce(&mut StepCore)) -> StepCore {
    change(&mut step);
    step
}

/// A message published at `publish_ms` of their clock, `late_ms` on its way.
fn message(publish_ms: u64, late_ms: u64, steps: &[StepCore]) -> Message {
    let head = BatchHead {
        node: 3,
        incarnation: 1,
        sequence: 1,
        publish_monotonic_ns: publish_ms * MS,
        ..BatchHead::zeroed()
    };
    let engines = [Engine { endpoint: "http://e:1".into(), ..Engine::named("e", "m") }];
    let tables = Tables { steps, engines: &engines, ..Tables::default() };
    let bytes = BatchWriter::default().write(&head, &tables).to_vec();
    Message { sent_ns: None, receipt_ns: OFFSET + (publish_ms + late_ms) * MS, bytes }
}

/// The same as the answer to a request sent `trip_ms` before it arrived.
fn answer(trip_ms: u64, message: Message) -> Message {
    Message { sent_ns: Some(message.receipt_ns - trip_ms * MS), ..message }
}

fn cases() -> Vec<Case> {
    let at = |ms: u64| OFFSET + ms * MS;
    let front = |producer, sequence, at_ms, finished| {
        with(step(1, sequence, at_ms, 4), |step| {
            (step.producer, step.producers, step.finished) = (producer, 2, finished);
            step.mark(Field::Finished);
        })
    };
    vec![
        Case {
            name: "before any round trip the error is the cautious one",
            messages: vec![message(1_000, 0, &[step(1, 1, 990, 2)])],
            now_ns: at(1_050),
        },
        Case {
            name: "a round trip bounds the error by its half",
            messages: vec![
                message(1_000, 2, &[step(1, 1, 1_000, 2)]),
                answer(4, message(1_100, 2, &[step(1, 2, 1_095, 3)])),
            ],
            now_ns: at(1_110),
        },
        Case {
            name: "a message that was late on its way does not look fresh",
            messages: vec![
                answer(0, message(1_000, 0, &[step(1, 1, 1_000, 2)])),
                message(1_100, 150, &[step(1, 2, 1_100, 1)]),
            ],
            now_ns: at(1_350),
        },
        Case {
            name: "gaps, repeats, late ones and an earlier incarnation",
            messages: vec![
                answer(0, message(1_000, 0, &[step(1, 1, 1_000, 1), step(1, 6, 1_000, 6)])),
                message(1_001, 0, &[step(1, 6, 1_000, 6), step(1, 3, 1_000, 3)]),
                message(1_002, 0, &[with(step(1, 9, 1_002, 9), |step| step.incarnation = 0)]),
            ],
            now_ns: at(1_010),
        },
        Case {
            name: "a restart begins anew",
            messages: vec![
                answer(0, message(1_000, 0, &[step(1, 70, 1_000, 1)])),
                message(1_010, 0, &[with(step(1, 1, 1_010, 0), |step| step.incarnation = 2)]),
            ],
            now_ns: at(1_020),
        },
        Case {
            name: "what is dated after now is refused",
            messages: vec![answer(0, message(1_000, 0, &[step(1, 1, 1_500, 1)]))],
            now_ns: at(1_000),
        },
        Case {
            name: "two front ends are one rank",
            messages: vec![answer(
                0,
                message(1_000, 0, &[front(0, 5, 990, 10), front(1, 7, 1_000, 5)]),
            )],
            now_ns: at(1_000),
        },
        Case {
            name: "the two axes of state, and who is chosen",
            messages: vec![answer(0, message(20_000, 0, &states()))],
            now_ns: at(20_000),
        },
    ]
}

fn states() -> Vec<StepCore> {
    let kv = |step: StepCore, usage, waiting| {
        with(step, |step| {
            (step.kv_usage, step.waiting) = (usage, waiting);
            step.mark(Field::KvUsage);
        })
    };
    let flagged = |instance, flag| with(step(instance, 1, 20_000, 0), |step| step.raise(flag));
    vec![
        kv(step(1, 1, 20_000, 4), 1.0, 2),
        kv(step(2, 1, 20_000, 7), 0.25, 0),
        step(3, 1, 19_600, 0),
        step(4, 1, 18_000, 0),
        flagged(5, Flag::Goodbye),
        flagged(6, Flag::Asleep),
        flagged(7, Flag::Draining),
        flagged(8, Flag::Warming),
        with(step(9, 1, 20_000, 0), |step| step.present = 0),
        with(step(10, 1, 19_000, 0), |step| step.heartbeat_ns = 20_000 * MS),
    ]
}

/// What our view makes of a case, as JSON.
fn told(case: &Case) -> String {
    let mut core = ViewCore::new(ViewSettings { ranks_max: 64, ..ViewSettings::default() });
    let view = View::of(&core);
    let mut json = format!("  {{\n    \"name\": \"{}\",\n    \"messages\": [", case.name);
    for (at, message) in case.messages.iter().enumerate() {
        let taken = match message.sent_ns {
            Some(sent_ns) => core.reply(&message.bytes, message.receipt_ns, sent_ns),
            None => core.feed(&message.bytes, message.receipt_ns),
        };
        taken.expect("a good batch");
        let hex = hex(&message.bytes);
        let sent = message.sent_ns.map_or("null".to_owned(), |ns| ns.to_string());
        let comma = if at == 0 { "" } else { "," };
        let receipt = message.receipt_ns;
        let _ = write!(
            json,
            "{comma}\n      {{\"request_sent_ns\": {sent}, \"receipt_ns\": {receipt}, \
             \"bytes\": \"{hex}\"}}"
        );
    }
    let _ = write!(json, "\n    ],\n    \"now_ns\": {},\n    \"ranks\": [", case.now_ns);
    let mut ranks = Ranks::default();
    view.scan_at(case.now_ns, &mut ranks);
    let mut ranks: Vec<RankState> = ranks.to_vec();
    ranks.sort_by_key(|state| state.id);
    let ranks: Vec<String> = ranks.iter().map(rank).collect();
    let _ = write!(json, "{}\n    ],\n    \"picks\": [", ranks.join(","));
    let scores = [("least_work", Score::LeastWork), ("kv_aware", Score::KvAware)];
    let policies = [("strict", Policy::strict()), ("lenient", Policy::lenient())];
    let mut picks = Vec::new();
    for (policy_name, policy) in &policies {
        for (score_name, score) in &scores {
            let pick = view.pick_at(case.now_ns, &Ask::default(), policy, score);
            let (chosen, value) = match &pick {
                Ok(pick) => (pick.state.id.instance.to_string(), pick.score.to_string()),
                Err(_) => ("null".to_owned(), "null".to_owned()),
            };
            picks.push(format!(
                "\n      {{\"policy\": \"{policy_name}\", \"score\": \"{score_name}\", \
                 \"instance\": {chosen}, \"value\": {value}}}"
            ));
        }
    }
    let _ = write!(json, "{}\n    ]\n  }}", picks.join(","));
    json
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

fn rank(state: &RankState) -> String {
    let value = |field| state.value(field).map_or("null".to_owned(), |value| value.to_string());
    format!(
        "\n      {{\"instance\": {}, \"rank\": {}, \"incarnation\": {}, \"sequence\": {}, \
         \"producers\": {}, \"age_ns\": {}, \"silence_ns\": {}, \"error_ns\": {}, \
         \"freshness\": \"{}\", \"activity\": \"{}\", \"lost\": {}, \
         \"running\": {}, \"finished\": {}}}",
        state.id.instance,
        state.id.rank,
        state.step.incarnation,
        state.step.sequence,
        state.producers,
        state.age_ns,
        state.silence_ns,
        state.error_ns,
        state.freshness,
        state.activity,
        state.lost,
        value(Field::Running),
        value(Field::Finished),
    )
}

#[test]
fn the_vectors_for_other_languages_are_what_this_view_does() {
    let all: Vec<String> = cases().iter().map(told).collect();
    let json = format!("[\n{}\n]\n", all.join(",\n"));
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/schema/vectors/client.json");
    if std::env::var_os("EAGLE_EYE_BLESS").is_some() {
        std::fs::write(path, &json).expect("the folder is there");
    }
    let kept = std::fs::read_to_string(path).expect("schema/vectors/client.json is committed");
    assert!(kept == json, "schema/vectors/client.json is not fresh: EAGLE_EYE_BLESS=1 writes it");
}

#[test]
fn the_vectors_cover_every_state() {
    let json: String = cases().iter().map(told).collect();
    for word in [
        "fresh", "stale", "silent", "gone", "unknown", "busy", "idle", "asleep", "draining",
        "warming", "null",
    ] {
        assert!(json.contains(word), "no case is {word}");
    }
    assert!(cases().iter().all(|case| case.now_ns < 100 * SECOND_NS), "readable times");
}
