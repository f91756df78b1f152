//! A step as one JSON object: the form for routers that read JSON.
//!
//! `docs/compatibility.md` lists the keys. All are always there; what is not
//! known is null, never 0.

use std::collections::HashMap;
use std::fmt::Write;

use crate::newest::{ENGINES_MAX, Names};
use crate::schema::{Field, Flag, Role, StepCore};

/// Version of the keys and their meaning: keys may be added under it, none
/// changes.
const VERSION: u32 = 1;

/// What a step says of its producer, under these keys.
const FLAGS: [(&str, Flag); 9] = [
    ("heartbeat", Flag::Heartbeat),
    ("draining", Flag::Draining),
    ("asleep", Flag::Asleep),
    ("warming", Flag::Warming),
    ("goodbye", Flag::Goodbye),
    ("tokens_estimated", Flag::TokensEstimated),
    ("simulated", Flag::Simulated),
    ("scraped", Flag::Scraped),
    ("partial", Flag::Partial),
];

/// Writes steps as objects.
#[derive(Debug)]
pub(super) struct Writer {
    names: Names,
    /// The engines' names as they stand in objects, by instance; of this
    /// version of the names.
    known: HashMap<u64, String>,
    version: u64,
}

impl Writer {
    pub(super) fn new(names: Names) -> Self {
        Self { names, known: HashMap::new(), version: 0 }
    }

    /// Appends the object of a step. Allocates nothing but room in `into` and,
    /// once for every change of names, an engine's names.
    pub(super) fn write(&mut self, step: &StepCore, into: &mut String) {
        let _ = write!(into, "{{\"version\":{VERSION},\"time\":");
        seconds(step.wall_ns, into);
        let _ = write!(into, ",\"sequence\":{},", step.sequence);
        into.push_str(self.engine(step.instance));
        let _ = write!(
            into,
            ",\"rank\":{},\"producer\":{},\"producers\":{},\"role\":\"{}\",\"incarnation\":\"{}\",\
             \"ttl_ms\":{}",
            step.rank,
            step.producer,
            step.producers.max(1),
            Role::from_number(step.role).name(),
            step.incarnation,
            step.ttl_ns() / 1_000_000,
        );
        for field in Field::ALL {
            let _ = write!(into, ",\"{}\":", field.name());
            number(step.value(*field), into);
        }
        for (key, flag) in FLAGS {
            let _ = write!(into, ",\"{key}\":{}", step.has(flag));
        }
        into.push('}');
    }

    /// Who it is.
    fn engine(&mut self, instance: u64) -> &str {
        let version = self.names.version();
        if self.version != version || self.known.len() > ENGINES_MAX {
            self.known.clear();
            self.version = version;
        }
        let names = &self.names;
        self.known.entry(instance).or_insert_with(|| {
            let engine = names.engine(instance);
            let name = engine.as_ref().map(|engine| engine.name.clone());
            let of = |text: Option<&String>| match text {
                Some(text) if !text.is_empty() => serde_json::Value::from(text.as_str()),
                _ => serde_json::Value::Null,
            };
            format!(
                "\"engine\":{},\"model\":{},\"endpoint\":{},\"node\":{}",
                serde_json::Value::from(name.unwrap_or_else(|| format!("{instance:016x}"))),
                of(engine.as_ref().map(|engine| &engine.model)),
                of(engine.as_ref().map(|engine| &engine.endpoint)),
                serde_json::Value::from(names.node()),
            )
        })
    }
}

/// An instant in seconds since 1970, to the microsecond.
fn seconds(wall_ns: u64, into: &mut String) {
    if wall_ns == 0 {
        into.push_str("null");
    } else {
        let (seconds, ns) = (wall_ns / 1_000_000_000, wall_ns % 1_000_000_000);
        let _ = write!(into, "{seconds}.{:06}", ns / 1000);
    }
}

/// Whole numbers without a point, others with the digits that a gauge has.
fn number(value: Option<f64>, into: &mut String) {
    let _ = match value.filter(|value| value.is_finite()) {
        None => into.write_str("null"),
        Some(whole) if whole.fract() == 0.0 => write!(into, "{whole}"),
        Some(value) => write!(into, "{}", value as f32),
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Engine;
    use bytemuck::Zeroable;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn object(step: &StepCore, names: &Names) -> Value {
        let mut text = String::new();
        Writer::new(names.clone()).write(step, &mut text);
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    #[test]
    fn an_object_says_who_when_and_what_and_null_for_what_is_unknown() {
        let names = Names::new("node one");
        let engine = Engine {
            endpoint: "http://a:1".into(),
            ..Engine::named("a \"quoted\"\nname", "org/model")
        };
        let mut step = StepCore {
            instance: engine.instance,
            incarnation: u64::MAX,
            rank: 3,
            sequence: 41,
            wall_ns: 1_700_000_000_012_345_678,
            running: 7,
            waiting: 9,
            kv_usage: 0.3,
            generated_tokens: 1 << 40,
            ..StepCore::zeroed()
        };
        for field in [Field::Running, Field::KvUsage, Field::GeneratedTokens, Field::PrefillRate] {
            step.mark(field);
        }
        step.prefill_tokens_per_second = f32::NAN;
        step.raise(Flag::Simulated);
        names.put_engine(engine);
        let said = object(&step, &names);
        for (key, value) in [
            ("version", json!(1)),
            ("time", json!(1_700_000_000.012_345)),
            ("sequence", json!(41)),
            ("engine", json!("a \"quoted\"\nname")),
            ("model", json!("org/model")),
            ("endpoint", json!("http://a:1")),
            ("node", json!("node one")),
            ("rank", json!(3)),
            ("producers", json!(1)),
            ("role", json!("unknown")),
            ("incarnation", json!("18446744073709551615")),
            ("ttl_ms", json!(1000)),
            ("running", json!(7)),
            ("waiting", Value::Null),
            ("kv_usage", json!(0.3)),
            ("generated_tokens", json!(1_u64 << 40)),
            ("prefill_tokens_per_second", Value::Null),
            ("simulated", json!(true)),
            ("goodbye", json!(false)),
        ] {
            assert_eq!(said.get(key), Some(&value), "{key}");
        }
    }

    #[test]
    fn an_engine_without_a_name_is_called_by_its_hash_until_it_has_one() {
        let names = Names::new("n");
        let engine = Engine::named("a", "m");
        let step = StepCore { instance: engine.instance, ..StepCore::zeroed() };
        let mut writer = Writer::new(names.clone());
        let mut said = || {
            let mut text = String::new();
            writer.write(&step, &mut text);
            serde_json::from_str::<Value>(&text).unwrap()
        };
        let before = said();
        let hash = format!("{:016x}", engine.instance);
        let (engine_key, time) = (before["engine"].as_str(), &before["time"]);
        assert_eq!((engine_key, time), (Some(&*hash), &Value::Null));
        assert_eq!((&before["model"], &before["endpoint"]), (&Value::Null, &Value::Null));
        names.put_engine(engine);
        assert_eq!(said()["engine"], "a");
    }

    #[test]
    fn every_key_is_documented() {
        let page = include_str!("../../docs/compatibility.md");
        let said = object(&StepCore::zeroed(), &Names::new("n"));
        for key in said.as_object().unwrap().keys() {
            assert!(page.contains(&format!("`{key}`")), "docs/compatibility.md lacks {key}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 4 } else { 256 }, ..Default::default() })]

        #[test]
        fn any_step_is_an_object_that_says_the_same(bytes in prop::collection::vec(any::<u8>(), 256)) {
            let step: StepCore = bytemuck::pod_read_unaligned(&bytes);
            let said = object(&step, &Names::new("n"));
            prop_assert_eq!(said["sequence"].as_u64(), Some(step.sequence));
            for field in Field::ALL {
                let value = step.value(*field).filter(|value| value.is_finite());
                match (value, said[field.name()].as_f64()) {
                    (None, None) => {}
                    // A gauge is an f32, and every digit of it is there.
                    (Some(value), Some(said)) => prop_assert!(
                        said == value || said as f32 == value as f32, "{}: {said}, {value}", field.name()
                    ),
                    other => prop_assert!(false, "{}: {other:?}", field.name()),
                }
            }
        }
    }
}
