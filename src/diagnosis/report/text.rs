//! The report for a terminal.

use std::fmt::Write as _;

use super::{Report, confidence, over, subject, visible};
use crate::schema::{Evidence, MetricId, Verdict, utc_text};

impl Report {
    /// The report as plain text, lines of any length.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = String::new();
        let simulated = if self.simulated { "  (simulated devices)" } else { "" };
        line(&mut out, 0, &format!("Node {}, {}{simulated}", self.node, utc_text(self.wall_ns)));
        line(&mut out, 0, &self.headline());
        for assessment in self.ill() {
            let of = format!("{} {}", assessment.subject_kind, assessment.subject);
            line(&mut out, 2, &format!("{of} is {}", assessment.health.name()));
        }
        if self.healthy() > 0 {
            line(&mut out, 2, &format!("healthy: {}", self.healthy()));
        }
        for verdict in self.causes() {
            out.push('\n');
            one(&mut out, verdict);
            for follows in self.consequences(verdict.id) {
                line(&mut out, 2, &format!("Follows: {} ({})", follows.text, subject(follows)));
            }
        }
        section(&mut out, "Silenced", self.open.iter().filter(|of| self.is_silenced(of)), |of| {
            let until = utc_text(of.silenced_until_wall_ns);
            format!("{} until {until}: {}", of.text, of.silenced_by)
        });
        section(&mut out, "Over", self.resolved.iter(), over);
        section(&mut out, "Not observed", self.unseen.iter(), |of| {
            format!("{}: {}", of.what, of.why)
        });
        out
    }
}

/// One verdict in full, as `diagnose` shows it as well.
pub(in crate::diagnosis) fn one(out: &mut String, verdict: &Verdict) {
    let (severity, text) = (verdict.severity.name().to_uppercase(), &verdict.text);
    line(out, 0, &format!("{severity}  {text}"));
    let times = match verdict.count {
        0 | 1 => String::new(),
        count => format!(", seen {count} times"),
    };
    let since = utc_text(verdict.since_wall_ns);
    line(out, 2, &format!("Where: {}, since {since}{times}", subject(verdict)));
    if !verdict.cause.is_empty() {
        line(out, 2, &format!("Why:   {} ({} sure)", verdict.cause, confidence(verdict)));
    }
    if !verdict.impact.is_empty() {
        line(out, 2, &format!("Hits:  {}", verdict.impact.join(", ")));
    }
    for evidence in &verdict.evidence {
        line(out, 2, &format!("Seen:  {}", fact(evidence)));
    }
    line(out, 2, &format!("Do:    {}", verdict.action.name()));
    for (at, step) in verdict.steps.iter().enumerate() {
        line(out, 9, &format!("{}. {step}", at + 1));
    }
    if !verdict.page.is_empty() {
        line(out, 2, &format!("More:  {} (rule {})", verdict.page, verdict.rule));
    }
}

/// A fact in one line: the text as it was seen, or a value and its limit.
pub(super) fn fact(evidence: &Evidence) -> String {
    let mut said = String::new();
    if evidence.wall_ns > 0 {
        let _ = write!(said, "{} ", utc_text(evidence.wall_ns));
    }
    if !evidence.source.is_empty() {
        let _ = write!(said, "[{}] ", evidence.source);
    }
    if let Some(metric) = MetricId::from_number(evidence.metric) {
        let _ = write!(said, "{} {}", metric.row().name, evidence.value);
        if let Some(limit) = evidence.limit {
            let _ = write!(said, " against {limit}");
        }
        if !evidence.text.is_empty() {
            said.push_str(": ");
        }
    }
    said.push_str(&evidence.text);
    said
}

fn section<'a, T: 'a>(
    out: &mut String,
    title: &str,
    of: impl Iterator<Item = &'a T>,
    say: impl Fn(&T) -> String,
) {
    for (at, entry) in of.enumerate() {
        if at == 0 {
            out.push('\n');
            line(out, 0, title);
        }
        line(out, 2, &say(entry));
    }
}

fn line(out: &mut String, indent: usize, text: &str) {
    let _ = writeln!(out, "{:indent$}{}", "", visible(text));
}
