//! A story as JSON.

use serde::Serialize;

use super::story::{Story, Told};
use crate::schema::Evidence;

#[derive(Serialize)]
struct StoryJson<'a> {
    source: &'a str,
    lines: u64,
    bytes: u64,
    first_ns: Option<u64>,
    last_ns: Option<u64>,
    trouble: bool,
    verdicts: Vec<VerdictJson<'a>>,
    besides: Vec<BesideJson>,
    untold: u64,
}

#[derive(Serialize)]
struct VerdictJson<'a> {
    id: String,
    rule: &'a str,
    severity: &'static str,
    state: &'static str,
    subject_kind: &'a str,
    subject: &'a str,
    text: &'a str,
    cause: &'a str,
    confidence: f32,
    since_ns: u64,
    last_ns: u64,
    count: u64,
    action: &'static str,
    steps: &'a [String],
    caused_by: Option<String>,
    evidence: Vec<EvidenceJson<'a>>,
    page: &'a str,
    data_version: &'a str,
    limit_source: &'a str,
}

#[derive(Serialize)]
struct EvidenceJson<'a> {
    time_ns: u64,
    text: &'a str,
}

#[derive(Serialize)]
struct BesideJson {
    what: &'static str,
    count: u64,
}

pub(super) fn json(story: &Story, source: &str) -> String {
    let mut verdicts: Vec<&Told> = story.all().collect();
    verdicts.sort_by_key(|told| {
        (std::cmp::Reverse(told.verdict.severity), told.since_ns, told.verdict.id)
    });
    let besides = story.besides().into_iter();
    let all = StoryJson {
        source,
        lines: story.lines,
        bytes: story.bytes,
        first_ns: story.span.map(|(first, _)| first),
        last_ns: story.span.map(|(_, last)| last),
        trouble: story.has_trouble(),
        verdicts: verdicts.into_iter().map(verdict).collect(),
        besides: besides.map(|(what, count)| BesideJson { what, count }).collect(),
        untold: story.untold,
    };
    serde_json::to_string_pretty(&all).unwrap_or_default()
}

fn verdict(told: &Told) -> VerdictJson<'_> {
    let of = &told.verdict;
    VerdictJson {
        id: hex(of.id),
        rule: &of.rule,
        severity: of.severity.name(),
        state: of.state.name(),
        subject_kind: &of.subject_kind,
        subject: &of.subject,
        text: &of.text,
        cause: &of.cause,
        confidence: of.confidence,
        since_ns: told.since_ns,
        last_ns: of.wall_ns,
        count: of.count,
        action: of.action.name(),
        steps: &of.steps,
        caused_by: (of.caused_by != 0).then(|| hex(of.caused_by)),
        evidence: of.evidence.iter().map(evidence).collect(),
        page: &of.page,
        data_version: &of.data_version,
        limit_source: &of.limit_source,
    }
}

fn evidence(of: &Evidence) -> EvidenceJson<'_> {
    EvidenceJson { time_ns: of.wall_ns, text: &of.text }
}

/// Numbers of 64 bits do not survive every reader of JSON.
fn hex(id: u64) -> String {
    format!("{id:016x}")
}
