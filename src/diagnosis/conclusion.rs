//! What a rule concludes, before it becomes a verdict.

use crate::schema::{Action, Event, Evidence, Health, MetricId, Severity};

use super::facts::Held;

/// What a rule concludes of a subject.
#[derive(Debug, Clone, PartialEq)]
pub struct Conclusion {
    /// How much it matters.
    pub severity: Severity,
    /// What is wrong, in one sentence.
    pub text: String,
    /// Why, in one sentence.
    pub cause: String,
    /// How sure the rule is, 0 to 1.
    pub confidence: f32,
    /// What it rests on, the newest fact last.
    pub evidence: Vec<Evidence>,
    /// What is to be done.
    pub action: Action,
    /// How, in order.
    pub steps: Vec<String>,
    /// How well its subject is, by this alone; unknown: as the severity says.
    pub health: Health,
    /// Where the limit came from.
    pub limit_source: LimitSource,
    /// Version of the tables that it rests on.
    pub data_version: String,
    /// How long after the last occurrence it is over by itself, ns; 0: when
    /// the rule clears it.
    pub quiet_ns: u64,
    /// Other verdicts of which this one is a by-product, as rule and key; an
    /// empty key stands for any.
    pub by_product_of: Vec<(&'static str, String)>,
    /// How far before and after it the cause may be, ns.
    pub by_product_ns: u64,
}

impl Default for Conclusion {
    fn default() -> Self {
        Self {
            severity: Severity::Warning,
            text: String::new(),
            cause: String::new(),
            confidence: 0.8,
            evidence: Vec::new(),
            action: Action::Investigate,
            steps: Vec::new(),
            health: Health::Unknown,
            limit_source: LimitSource::None,
            data_version: String::new(),
            quiet_ns: 0,
            by_product_of: Vec::new(),
            by_product_ns: 5_000_000_000,
        }
    }
}

/// Where a limit came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LimitSource {
    /// There is none.
    #[default]
    None,
    /// The device itself says so.
    Device,
    /// A table says so of its model.
    Model,
    /// A cautious default.
    Default,
    /// The operator set it.
    Operator,
}

impl LimitSource {
    /// The source in one word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Device => "device",
            Self::Model => "model",
            Self::Default => "default",
            Self::Operator => "operator",
        }
    }
}

/// An event as evidence.
#[must_use]
pub fn event_evidence(event: &Event) -> Evidence {
    Evidence {
        wall_ns: event.wall_ns,
        source: event.source.clone(),
        subject: event.subject.clone(),
        text: event.text.clone(),
        event: event.id,
        ..Evidence::default()
    }
}

/// A reading as evidence, with what it was held against.
#[must_use]
pub fn reading_evidence(wall_ns: u64, subject: &str, held: &Held, limit: Option<f64>) -> Evidence {
    let name = MetricId::from_number(held.metric).map_or("metric", |metric| metric.row().name);
    let value = held.value;
    let text = match limit {
        Some(limit) => format!("{name} is {value}, limit {limit}"),
        None => format!("{name} is {value}"),
    };
    Evidence {
        wall_ns,
        subject: subject.to_owned(),
        text,
        metric: held.metric,
        value,
        limit,
        ..Evidence::default()
    }
}

/// A sentence about values as evidence.
#[must_use]
pub fn told_evidence(wall_ns: u64, subject: &str, text: String) -> Evidence {
    Evidence { wall_ns, subject: subject.to_owned(), text, ..Evidence::default() }
}
