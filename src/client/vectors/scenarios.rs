//! Scenarios of what a view is told and what it must then say, one a file in
//! `schema/vectors/scenarios/`, which views in other languages play too.
//!
//! What happens is written by hand; `bytes` and `expect` are this view's, and
//! written by this test under `EAGLE_EYE_BLESS=1`.

use std::collections::HashMap;
use std::path::PathBuf;

use bytemuck::Zeroable;
use serde_json::{Map, Value, json};

use super::{hex, said};
use crate::client::pick::seed_chance;
use crate::client::{
    Ask, NoPick, Patience, Pick, Policy, RankState, Ranks, Reservation, Score, View, ViewCore,
    ViewSettings,
};
use crate::platform::clock::MILLISECOND_NS as MS;
use crate::schema::{BatchHead, BatchWriter, Engine, Field, Flag, StepCore, Tables};

/// Flags that scenarios raise, by their names.
const FLAGS: [Flag; 7] = [
    Flag::Heartbeat,
    Flag::Draining,
    Flag::Asleep,
    Flag::Warming,
    Flag::Goodbye,
    Flag::TokensEstimated,
    Flag::Partial,
];

/// What a scenario has at hand while it is played.
struct Player {
    core: ViewCore,
    view: View,
    reserved: HashMap<String, Reservation>,
}

pub(super) fn number(json: &Value, key: &str, default: u64) -> u64 {
    json.get(key).map_or(default, |value| value.as_u64().expect("a whole number"))
}

pub(super) fn word<'a>(json: &'a Value, key: &str) -> &'a str {
    json[key].as_str().expect("a word")
}

macro_rules! fields {
    ($step:ident, $json:ident, $($kind:ident: $($name:ident)*;)*) => {
        $($(if let Some(value) = $json.get(stringify!($name)) {
            $step.$name = value.$kind().expect("a number") as _;
        })*)*
    };
}

/// A step as a scenario writes it: what is not written is as of a plain step.
fn step(json: &Value) -> StepCore {
    let mut step =
        StepCore { incarnation: 1, model: 5, producers: 1, ttl_ms: 200, ..StepCore::zeroed() };
    fields!(step, json,
        as_u64: instance incarnation model rank producer producers role sequence clock_error_ns
            ttl_ms last_step_us running waiting deferred oldest_wait_ms waiting_tokens
            pending_tokens max_sequences max_batched_tokens kv_blocks block_size steps
            prompt_tokens generated_tokens cached_tokens prefix_queries prefix_hits preemptions
            rejections finished;
        as_f64: kv_usage prefill_tokens_per_second decode_tokens_per_second;
    );
    step.monotonic_ns = number(json, "at_ms", 0) * MS;
    step.heartbeat_ns = json
        .get("heartbeat_ms")
        .map_or(step.monotonic_ns, |_| number(json, "heartbeat_ms", 0) * MS);
    for field in Field::ALL {
        if json.get(field.name()).is_some() {
            step.mark(*field);
        }
    }
    for flag in json.get("flags").and_then(Value::as_array).into_iter().flatten() {
        let named = |known: &&Flag| format!("{known:?}") == flag.as_str().unwrap_or_default();
        step.raise(*FLAGS.iter().find(named).expect("a flag's name"));
    }
    step
}

/// The bytes of a message as a scenario writes it.
fn message(act: &Value) -> Vec<u8> {
    if let Some(raw) = act.get("raw") {
        let raw = raw.as_str().expect("hex");
        let byte = |at: usize| u8::from_str_radix(&raw[at..at + 2], 16).expect("hex");
        return (0..raw.len()).step_by(2).map(byte).collect();
    }
    let head = BatchHead {
        node: number(act, "node", 3),
        incarnation: number(act, "agent", 1),
        sequence: 1,
        publish_monotonic_ns: number(act, "published_ms", 0) * MS,
        flags: number(act, "flags", 0) as u32,
        ..BatchHead::zeroed()
    };
    let list = |key: &str| act.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    let steps: Vec<StepCore> = list("steps").iter().map(step).collect();
    let engines: Vec<Engine> = list("engines")
        .iter()
        .map(|engine| Engine {
            instance: number(engine, "instance", 0),
            incarnation: number(engine, "incarnation", 1),
            endpoint: word(engine, "endpoint").into(),
            ..Engine::named("e", "m")
        })
        .collect();
    let held_ns = number(act, "held_ms", 0) * MS;
    let details: Vec<_> = list("details").iter().map(said::details).collect();
    let tables = Tables {
        steps: &steps,
        engines: &engines,
        details: &details,
        held_ns,
        ..Tables::default()
    };
    BatchWriter::default().write(&head, &tables).to_vec()
}

fn policy(act: &Value) -> Policy {
    match word(act, "policy") {
        "strict" => Policy::strict(),
        _ => Policy::lenient(),
    }
}

fn score(act: &Value) -> Score<'static> {
    match word(act, "score") {
        "power_of_two" => Score::PowerOfTwo,
        "kv_aware" => Score::KvAware,
        _ => Score::LeastWork,
    }
}

fn ask(act: &Value) -> Ask<'static> {
    let model = act.get("model").map(|_| number(act, "model", 0));
    Ask { model, prompt_tokens: number(act, "prompt_tokens", 0) as u32, only: None }
}

fn chosen(pick: &Result<Pick, NoPick>) -> Value {
    let excluded = match pick {
        Ok(pick) => pick.excluded,
        Err(none) => none.excluded,
    };
    let excluded: Map<String, Value> = excluded
        .to_string()
        .split(", ")
        .filter_map(|said| said.split_once(' '))
        .filter_map(|(count, why)| Some((why.replace(' ', "_"), json!(count.parse::<u32>().ok()?))))
        .collect();
    match pick {
        Ok(pick) => json!({
            "instance": pick.state.id.instance, "rank": pick.state.id.rank, "score": pick.score,
            "considered": pick.considered, "excluded": excluded,
        }),
        Err(_) => json!({"excluded": excluded}),
    }
}

fn known(step: &StepCore) -> Map<String, Value> {
    let value = |field: &Field| Some((field.name().to_owned(), json!(step.value(*field)?)));
    Field::ALL.iter().filter_map(value).collect()
}

fn rank(state: &RankState) -> Value {
    json!({
        "instance": state.id.instance, "rank": state.id.rank,
        "incarnation": state.step.incarnation, "sequence": state.step.sequence,
        "producers": state.producers, "age_ns": state.age_ns, "silence_ns": state.silence_ns,
        "error_ns": state.error_ns, "lost": state.lost, "freshness": state.freshness.name(),
        "activity": state.activity.name(), "in_flight": state.in_flight,
        "unaccounted": state.unaccounted, "unaccounted_tokens": state.unaccounted_tokens,
        "flags": state.step.flags, "known": known(&state.step),
    })
}

impl Player {
    fn new(scenario: &Value) -> Self {
        let settings = &scenario["settings"];
        let core = ViewCore::new(ViewSettings {
            ranks_max: number(settings, "ranks_max", 64) as usize,
            senders_max: number(settings, "senders_max", 64) as usize,
            patience: Patience { gone_ns: number(settings, "gone_ms", 30_000) * MS },
            forget_ns: number(settings, "forget_ms", 600_000) * MS,
        });
        seed_chance(number(scenario, "chance", 7));
        let view = View::of(&core);
        Self { core, view, reserved: HashMap::new() }
    }

    /// Does what an act says; what was to be expected of it, if anything.
    fn play(&mut self, act: &Value) -> Option<Value> {
        let now_ns = number(act, "now_ms", 0) * MS;
        match word(act, "do") {
            "connect" => self.core.connected(now_ns),
            "disconnect" => self.core.disconnected(),
            "tick" => self.core.tick(now_ns),
            "feed" => return Some(self.feed(act, now_ns)),
            "look" => return Some(self.look(now_ns)),
            "instance" => {
                let mut ranks = Ranks::default();
                self.view.scan_at(now_ns, &mut ranks);
                let instance = number(act, "instance", 0);
                let ranks: Vec<RankState> =
                    ranks.iter().filter(|state| state.id.instance == instance).copied().collect();
                let state = crate::client::instance::instance(&ranks)?;
                return Some(json!({
                    "ranks": state.ranks, "age_ns": state.age_ns, "silence_ns": state.silence_ns,
                    "error_ns": state.error_ns, "freshness": state.freshness.name(),
                    "activity": state.activity.name(), "known": known(&state.step),
                }));
            }
            "details" => return Some(said::told(&self.view, act)),
            "pick" => {
                let picks = (0..number(act, "times", 1)).map(|_| {
                    chosen(&self.view.pick_at(now_ns, &ask(act), &policy(act), &score(act)))
                });
                return Some(picks.collect());
            }
            "reserve" => {
                let pick = self.view.pick_at(now_ns, &ask(act), &policy(act), &score(act));
                if let Ok(pick) = pick {
                    let reservation = self.view.reserve_picked(pick, ask(act).prompt_tokens);
                    self.reserved.insert(word(act, "as").to_owned(), reservation);
                }
                return Some(chosen(&pick));
            }
            "first_token" => self.reserved[word(act, "of")].first_token(),
            "finish" => drop(self.reserved.remove(word(act, "of"))),
            "counts" => {
                let counts = self.view.counts().named();
                let nonzero = counts.iter().filter(|(_, count)| *count > 0);
                return Some(
                    nonzero.map(|(name, count)| ((*name).to_owned(), json!(count))).collect(),
                );
            }
            other => panic!("no act is called {other}"),
        }
        None
    }

    fn feed(&mut self, act: &Value, now_ns: u64) -> Value {
        let bytes = message(act);
        let fed = match act.get("asked_ms") {
            Some(_) => self.core.reply(&bytes, now_ns, number(act, "asked_ms", 0) * MS),
            None => self.core.feed(&bytes, now_ns),
        };
        match fed {
            Ok(fed) => json!({"stored": fed.stored, "old": fed.old, "refused": fed.refused}),
            Err(_) => json!("refused"),
        }
    }

    fn look(&self, now_ns: u64) -> Value {
        let mut ranks = Ranks::default();
        self.view.scan_at(now_ns, &mut ranks);
        let mut ranks: Vec<RankState> = ranks.to_vec();
        ranks.sort_by_key(|state| state.id);
        json!({
            "complete": self.view.is_complete(),
            "ranks": ranks.iter().map(rank).collect::<Vec<_>>(),
        })
    }
}

/// The scenario with what this view makes of it.
fn played(scenario: &Value) -> Value {
    let mut player = Player::new(scenario);
    let mut played = scenario.clone();
    for act in played["acts"].as_array_mut().expect("a list of acts") {
        let expect = player.play(act);
        if word(act, "do") == "feed" {
            act["bytes"] = json!(hex(&message(act)));
        }
        if let Some(expect) = expect {
            act["expect"] = expect;
        }
    }
    played
}

/// A scenario as its file has it: a line an act.
fn written(scenario: &Value) -> String {
    let mut text = String::from("{\n");
    for key in ["about", "settings", "chance"] {
        if let Some(value) = scenario.get(key) {
            text += &format!("  \"{key}\": {value},\n");
        }
    }
    let acts: Vec<String> = scenario["acts"]
        .as_array()
        .expect("a list of acts")
        .iter()
        .map(|act| format!("    {act}"))
        .collect();
    text + &format!("  \"acts\": [\n{}\n  ]\n}}\n", acts.join(",\n"))
}

#[test]
fn every_scenario_ends_as_this_view_says() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("schema/vectors/scenarios");
    let mut count = 0;
    for entry in std::fs::read_dir(&folder).expect("the folder of scenarios") {
        let path = entry.expect("an entry").path();
        let text = std::fs::read_to_string(&path).expect("a scenario");
        let scenario: Value = serde_json::from_str(&text).expect("JSON");
        let played = written(&played(&scenario));
        if std::env::var_os("EAGLE_EYE_BLESS").is_some() {
            std::fs::write(&path, &played).expect("the file is ours");
        } else {
            let kept = written(&scenario);
            assert!(kept == played, "{path:?} is not fresh: EAGLE_EYE_BLESS=1 writes it");
        }
        count += 1;
    }
    assert!(count > 5, "{count} scenarios");
}
