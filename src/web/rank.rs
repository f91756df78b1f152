//! One rank as JSON shows it.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::newest::NewestStep;
use crate::schema::{Activity, Engine, Field, Flag, Freshness, Role, StepCore};

/// The newest state of one rank as one of its producers saw it, at one
/// instant. In JSON, what was not measured is not there.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RankState {
    /// The engine's name; its hash in hexadecimal where the name is unknown.
    pub engine: String,
    /// The model's name; empty where it is unknown.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub model: String,
    /// What a router dials; empty where it is unknown.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub endpoint: String,
    /// Id of the container that its process runs in; empty where unknown.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub container: String,
    /// UID of that container's Kubernetes pod; empty where unknown.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub pod: String,
    /// Data-parallel rank.
    pub rank: u16,
    /// Which of `producers` front ends says so.
    pub producer: u16,
    /// Front ends that report on this rank.
    pub producers: u16,
    /// What part of a request it serves.
    pub role: &'static str,
    /// How it reports: `plugin`, `scrape`, `direct` or `simulated`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub source: String,
    /// Whether it is made up by `--demo` or `simulate`.
    pub simulated: bool,
    /// Differs after every restart; text, since JSON's numbers are too small.
    #[serde(serialize_with = "as_text")]
    pub incarnation: u64,
    /// Of the newest step, from 1.
    pub sequence: u64,
    /// Age of the newest step, ms.
    pub age_ms: f64,
    /// Time since the last sign of life, ms.
    pub silence_ms: f64,
    /// Bound on the error of both, ms.
    pub error_ms: f64,
    /// How recently it was heard.
    #[serde(serialize_with = "freshness_name")]
    pub freshness: Freshness,
    /// What it was doing.
    #[serde(serialize_with = "activity_name")]
    pub activity: Activity,
    /// Steps that never came here.
    pub lost: u64,
    /// Whether token gauges are the producer's estimates.
    pub tokens_estimated: bool,
    /// Every measured field under its name in the schema.
    #[serde(flatten, serialize_with = "measured")]
    pub step: StepCore,
}

impl RankState {
    /// The state of `newest` at `now_ns` of this host's `CLOCK_MONOTONIC`.
    #[must_use]
    pub fn of(newest: &NewestStep, engine: Option<&Engine>, now_ns: u64) -> Self {
        let step = &newest.step;
        let silence_ns = now_ns.saturating_sub(newest.alive_ns);
        let since_step_ns = step.heartbeat_ns.saturating_sub(step.monotonic_ns);
        let text = |of: fn(&Engine) -> &String| engine.map(of).cloned().unwrap_or_default();
        Self {
            engine: engine.map_or_else(|| format!("{:016x}", step.instance), |e| e.name.clone()),
            model: text(|engine| &engine.model),
            endpoint: text(|engine| &engine.endpoint),
            container: text(|engine| &engine.container),
            pod: text(|engine| &engine.pod),
            rank: step.rank,
            producer: step.producer,
            producers: step.producers.max(1),
            role: Role::from_number(step.role).name(),
            source: text(|engine| &engine.source),
            simulated: step.has(Flag::Simulated),
            incarnation: step.incarnation,
            sequence: step.sequence,
            age_ms: milliseconds(silence_ns.saturating_add(since_step_ns)),
            silence_ms: milliseconds(silence_ns),
            error_ms: milliseconds(newest.error_ns.saturating_add(step.clock_error_ns.into())),
            freshness: Freshness::of(step, silence_ns),
            activity: Activity::of(step),
            lost: newest.lost,
            tokens_estimated: step.has(Flag::TokensEstimated),
            step: *step,
        }
    }

    /// What ranks are sorted by: engine, rank, front end.
    #[must_use]
    pub fn place(&self) -> (&str, u16, u16) {
        (&self.engine, self.rank, self.producer)
    }

    /// A gauge or counter, or nothing where it was not measured or is no
    /// number.
    #[must_use]
    pub fn value(&self, field: Field) -> Option<f64> {
        self.step.value(field).filter(|value| value.is_finite())
    }
}

/// A number as short as it can be said: whole numbers without a point, others
/// with the seven digits that our gauges have.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Number(pub f64);

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, into: S) -> Result<S::Ok, S::Error> {
        const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;
        match self.0 {
            whole if whole.fract() == 0.0 && (0.0..=WHOLE_MAX).contains(&whole) => {
                into.serialize_u64(whole as u64)
            }
            value => into.serialize_f64(value),
        }
    }
}

/// ns in ms, to the microsecond.
pub(super) fn milliseconds(ns: u64) -> f64 {
    (ns / 1000) as f64 / 1000.0
}

fn measured<S: Serializer>(step: &StepCore, into: S) -> Result<S::Ok, S::Error> {
    let mut map = into.serialize_map(None)?;
    for field in Field::ALL {
        let Some(value) = step.value(*field).filter(|value| value.is_finite()) else {
            continue;
        };
        if value.fract() == 0.0 {
            map.serialize_entry(field.name(), &Number(value))?;
        } else {
            map.serialize_entry(field.name(), &(value as f32))?;
        }
    }
    map.end()
}

fn as_text<S: Serializer>(number: &u64, into: S) -> Result<S::Ok, S::Error> {
    into.collect_str(number)
}

fn freshness_name<S: Serializer>(freshness: &Freshness, into: S) -> Result<S::Ok, S::Error> {
    into.serialize_str(freshness.name())
}

fn activity_name<S: Serializer>(activity: &Activity, into: S) -> Result<S::Ok, S::Error> {
    into.serialize_str(activity.name())
}

#[cfg(test)]
mod tests {
    use bytemuck::Zeroable;

    use super::*;

    #[test]
    fn json_holds_what_was_measured_and_nothing_else() {
        let mut newest = NewestStep::zeroed();
        newest.alive_ns = 5_000_000;
        let step = &mut newest.step;
        (step.instance, step.incarnation) = (0xab, u64::MAX);
        (step.running, step.waiting, step.kv_usage) = (3, 7, 0.3);
        (step.prefill_tokens_per_second, step.decode_tokens_per_second) = (f32::NAN, 12.0);
        (step.monotonic_ns, step.heartbeat_ns) = (1_000_000, 3_500_000);
        for field in [Field::Running, Field::KvUsage, Field::PrefillRate, Field::DecodeRate] {
            step.mark(field);
        }
        let state = RankState::of(&newest, None, 6_000_000);
        let json = serde_json::to_value(&state).unwrap();
        for (key, value) in [
            ("engine", serde_json::json!("00000000000000ab")),
            ("incarnation", serde_json::json!("18446744073709551615")),
            ("running", serde_json::json!(3)),
            ("decode_tokens_per_second", serde_json::json!(12)),
            ("age_ms", serde_json::json!(3.5)),
            ("silence_ms", serde_json::json!(1.0)),
            ("freshness", serde_json::json!("fresh")),
            ("activity", serde_json::json!("busy")),
        ] {
            assert_eq!(json[key], value, "{key}");
        }
        for absent in [
            "waiting",
            "prefill_tokens_per_second",
            "model",
            "endpoint",
            "container",
            "pod",
            "steps",
        ] {
            assert_eq!(json.get(absent), None, "{absent}");
        }
        assert!(serde_json::to_string(&state).unwrap().contains("\"kv_usage\":0.3,"));
    }
    #[test]
    fn an_engine_stands_with_its_container_and_pod() {
        let engine =
            Engine { container: "c0ffee".into(), pod: "9f0a".into(), ..Engine::named("a", "m") };
        let state = RankState::of(&NewestStep::zeroed(), Some(&engine), 0);
        let json = serde_json::to_value(&state).unwrap();
        assert_eq!((&json["container"], &json["pod"]), (&"c0ffee".into(), &"9f0a".into()));
    }
}
