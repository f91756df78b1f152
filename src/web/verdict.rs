//! What the node's judge concluded, as JSON shows it.

use serde::Serialize;

use crate::newest::Names;
use crate::schema::{Assessment, Evidence, MetricId, Verdict, utc_text};

/// Verdicts and assessments of a node.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct JudgedState {
    /// Verdicts that stand, the gravest first.
    pub open: Vec<VerdictEntry>,
    /// Verdicts that are over, the latest first.
    pub resolved: Vec<VerdictEntry>,
    /// How well each thing is.
    pub assessments: Vec<AssessmentEntry>,
}

/// One verdict.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct VerdictEntry {
    /// Stable over revisions; text, since JSON's numbers are too small.
    pub id: String,
    /// One up with every change.
    pub revision: u32,
    /// `open`, `changed` or `resolved`.
    pub state: &'static str,
    /// The rule's name.
    pub rule: String,
    /// `info`, `warning`, `error` or `critical`.
    pub severity: &'static str,
    /// `device`, `engine`, `container`, `interface`, `disk` or `node`.
    pub subject_kind: String,
    /// Its name.
    pub subject: String,
    /// What is wrong.
    pub text: String,
    /// Since when.
    pub since: String,
    /// When this revision was made.
    pub time: String,
    /// Why.
    pub cause: String,
    /// How sure, 0 to 1.
    pub confidence: f32,
    /// How often it was seen.
    pub count: u64,
    /// What it rests on.
    pub evidence: Vec<EvidenceEntry>,
    /// Engines and pods that it hits.
    pub impact: Vec<String>,
    /// What is to be done.
    pub action: &'static str,
    /// How, in order.
    pub steps: Vec<String>,
    /// The rule's page.
    pub page: String,
    /// Version of the tables that it rests on.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub data_version: String,
    /// `device`, `model`, `default` or `operator`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub limit_source: String,
    /// Id of the verdict whose consequence it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub caused_by: Option<String>,
    /// Until when it is silenced, and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub silenced: Option<Silenced>,
}

/// A silence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Silenced {
    /// When it ends.
    pub until: String,
    /// Why it was set.
    pub reason: String,
}

/// A fact on which a verdict rests.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EvidenceEntry {
    /// When; absent where unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// The sampler that saw it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub source: String,
    /// What it is about.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub subject: String,
    /// The line or event itself, or a sentence about the values.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub text: String,
    /// Id of the event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// Name of the metric.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metric: Option<&'static str>,
    /// The reading's value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// What the value was held against.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<f64>,
}

/// How well a thing is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AssessmentEntry {
    /// `device`, `engine` or `node`.
    pub subject_kind: String,
    /// Its name.
    pub subject: String,
    /// `healthy`, `degraded`, `suspect`, `failed`, `resetting`, `gone` or
    /// `unknown`.
    pub health: &'static str,
    /// Since when.
    pub since: String,
    /// Ids of the verdicts behind it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub verdicts: Vec<String>,
}

impl JudgedState {
    /// What is judged now.
    #[must_use]
    pub fn of(names: &Names) -> Self {
        let judged = names.judged();
        Self {
            open: judged.open().iter().map(|verdict| VerdictEntry::of(verdict)).collect(),
            resolved: judged.resolved().iter().map(|verdict| VerdictEntry::of(verdict)).collect(),
            assessments: judged.assessments().iter().map(AssessmentEntry::of).collect(),
        }
    }
}

impl VerdictEntry {
    /// The verdict as JSON shows it.
    #[must_use]
    pub fn of(verdict: &Verdict) -> Self {
        let verdict = verdict.clone();
        let silenced = (verdict.silenced_until_wall_ns > 0).then(|| Silenced {
            until: utc_text(verdict.silenced_until_wall_ns),
            reason: verdict.silenced_by,
        });
        Self {
            id: verdict.id.to_string(),
            revision: verdict.revision,
            state: verdict.state.name(),
            rule: verdict.rule,
            severity: verdict.severity.name(),
            subject_kind: verdict.subject_kind,
            subject: verdict.subject,
            text: verdict.text,
            since: utc_text(verdict.since_wall_ns),
            time: utc_text(verdict.wall_ns),
            cause: verdict.cause,
            confidence: verdict.confidence,
            count: verdict.count,
            evidence: verdict.evidence.into_iter().map(EvidenceEntry::of).collect(),
            impact: verdict.impact,
            action: verdict.action.name(),
            steps: verdict.steps,
            page: verdict.page,
            data_version: verdict.data_version,
            limit_source: verdict.limit_source,
            caused_by: (verdict.caused_by != 0).then(|| verdict.caused_by.to_string()),
            silenced,
        }
    }
}

impl EvidenceEntry {
    fn of(evidence: Evidence) -> Self {
        let metric = MetricId::from_number(evidence.metric).map(|metric| metric.row().name);
        Self {
            time: (evidence.wall_ns > 0).then(|| utc_text(evidence.wall_ns)),
            source: evidence.source,
            subject: evidence.subject,
            text: evidence.text,
            event: (evidence.event != 0).then(|| evidence.event.to_string()),
            metric,
            value: metric.map(|_| evidence.value).filter(|value| value.is_finite()),
            limit: evidence.limit.filter(|limit| limit.is_finite()),
        }
    }
}

impl AssessmentEntry {
    /// The assessment as JSON shows it.
    #[must_use]
    pub fn of(assessment: &Assessment) -> Self {
        Self {
            subject_kind: assessment.subject_kind.clone(),
            subject: assessment.subject.clone(),
            health: assessment.health.name(),
            since: utc_text(assessment.since_wall_ns),
            verdicts: assessment.verdicts.iter().map(u64::to_string).collect(),
        }
    }
}
