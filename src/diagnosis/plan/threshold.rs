//! A rule of the operator's own: a limit on any metric.

use toml::Spanned;
use toml::de::DeValue;

use super::read::Reading;
use crate::diagnosis::detectors::Side;
use crate::schema::{Action, METRICS, MetricId, STEPS_MAX, Severity};

/// A limit on any metric, with its words.
#[derive(Debug, Clone, PartialEq)]
pub struct Threshold {
    /// The rule's name.
    pub name: String,
    /// What is read; of a counter, its growth a second over a minute.
    pub metric: MetricId,
    /// Only devices of this kind; empty: of any.
    pub device_kind: String,
    /// On which side of the limit it is bad.
    pub side: Side,
    /// The limit.
    pub limit: f64,
    /// Where it is good again.
    pub release: f64,
    /// How long either takes, ns.
    pub for_ns: u64,
    /// How much it matters.
    pub severity: Severity,
    /// The sentence; `{device}`, `{value}` and `{limit}` are put in.
    pub text: String,
    /// Why.
    pub cause: String,
    /// What is to be done.
    pub action: Action,
    /// How.
    pub steps: Vec<String>,
}

/// Most rules of the operator's own.
pub const THRESHOLDS_MAX: usize = 48;

const KEYS: &str = "allowed are name, metric, device_kind, above, below, release, for_s, severity, \
                    text, cause, action, steps";
/// Any number that a limit may be.
const ANY: (f64, f64) = (-1e18, 1e18);

/// A threshold as the file says it; nothing where it has a mistake.
pub(super) fn read<'t>(
    reading: &mut Reading<'t>,
    path: &str,
    value: &Spanned<DeValue<'t>>,
) -> Option<Threshold> {
    let table = reading.table(path, value)?;
    let (mut name, mut metric, mut kind) = (None, None, String::new());
    let (mut above, mut below, mut release, mut for_s) = (None, None, None, 30.0);
    let (mut severity, mut action) = (Some(Severity::Warning), Some(Action::Investigate));
    let (mut text, mut cause, mut steps) = (None, String::new(), Vec::new());
    for (key, value) in table {
        let path = format!("{path}.{}", key.get_ref());
        match key.get_ref().as_ref() {
            "name" => name = reading.text(&path, value),
            "metric" => metric = metric_named(reading, &path, value),
            "device_kind" => kind = reading.text(&path, value).unwrap_or_default(),
            "above" => above = reading.number(&path, value, ANY),
            "below" => below = reading.number(&path, value, ANY),
            "release" => release = reading.number(&path, value, ANY),
            "for_s" => for_s = reading.number(&path, value, (0.0, 86_400.0)).unwrap_or(for_s),
            "severity" => severity = reading.severity(&path, value),
            "text" => text = reading.text(&path, value),
            "cause" => cause = reading.text(&path, value).unwrap_or_default(),
            "action" => action = reading.action(&path, value),
            "steps" => steps = reading.texts(&path, value),
            _ => reading.mistake(key.span().start, &path, format!("no such key; {KEYS}")),
        }
    }
    let at = value.span().start;
    let mut wrong =
        |key: &str, text: &str| reading.mistake(at, &format!("{path}.{key}"), text.into());
    let named = name.as_deref().is_some_and(is_name);
    if !named {
        wrong("name", "it needs a name of lower-case letters, digits and _, at most 64");
    }
    if metric.is_none() && !table.contains_key("metric") {
        wrong("metric", "it needs the name of a metric");
    }
    if steps.len() > STEPS_MAX {
        wrong("steps", "it may have at most 16 steps");
    }
    let (side, limit) = match (above, below) {
        (Some(limit), None) => (Side::Above, limit),
        (None, Some(limit)) => (Side::Below, limit),
        _ => {
            wrong("above", "it needs either above or below, with a number");
            return None;
        }
    };
    let release = release.unwrap_or(limit);
    let good = if side == Side::Above { release <= limit } else { release >= limit };
    if !good {
        wrong("release", "it must lie on the good side of the limit");
    }
    let metric = metric?;
    let default = || format!("{{device}}: {} is {{value}}, limit {{limit}}.", metric.row().name);
    (named && good && steps.len() <= STEPS_MAX).then_some(())?;
    Some(Threshold {
        name: name?,
        metric,
        device_kind: kind,
        side,
        limit,
        release,
        for_ns: (for_s * 1e9) as u64,
        severity: severity?,
        text: text.unwrap_or_else(default),
        cause,
        action: action?,
        steps,
    })
}

fn metric_named<'t>(
    reading: &mut Reading<'t>,
    path: &str,
    value: &Spanned<DeValue<'t>>,
) -> Option<MetricId> {
    let name = reading.text(path, value)?;
    let metric = METRICS.iter().find(|metric| metric.name == name);
    if metric.is_none() {
        let text = "no such metric; `eagle-eye list metrics` names them".to_owned();
        reading.mistake(value.span().start, path, text);
    }
    metric.map(|metric| metric.id)
}

fn is_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    (1..=64).contains(&name.len()) && name.chars().all(allowed)
}
