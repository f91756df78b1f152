//! The state of a node in words: what is wrong, why, what to do, and what
//! nobody can see.
//!
//! The same report comes as text, as Markdown and as a page of its own that
//! prints well. Texts from outside (kernel lines, names) are shown as text in
//! each of them.

mod html;
mod markdown;
mod text;

use crate::schema::{Assessment, Health, Severity, Verdict, VerdictState};

/// What a report says.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// The node's name.
    pub node: String,
    /// When it was made, ns since 1970.
    pub wall_ns: u64,
    /// How well each thing is.
    pub assessments: Vec<Assessment>,
    /// Verdicts that stand, the gravest first.
    pub open: Vec<Verdict>,
    /// Verdicts that are over, the latest first.
    pub resolved: Vec<Verdict>,
    /// What could not be observed.
    pub unseen: Vec<Unseen>,
    /// Whether it is about a simulation.
    pub simulated: bool,
}

/// Something that could not be observed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unseen {
    /// What.
    pub what: String,
    /// Why, and where it is known what to do.
    pub why: String,
}

impl Report {
    /// Whether there is trouble: a verdict that stands, is not silenced and
    /// matters more than as a warning, or any warning.
    #[must_use]
    pub fn is_trouble(&self) -> bool {
        self.standing().any(|verdict| verdict.severity >= Severity::Warning)
    }

    /// Verdicts that stand and are not silenced.
    fn standing(&self) -> impl Iterator<Item = &Verdict> {
        self.open.iter().filter(|verdict| !self.is_silenced(verdict))
    }

    fn is_silenced(&self, verdict: &Verdict) -> bool {
        verdict.silenced_until_wall_ns > self.wall_ns
    }

    /// Verdicts that are nobody's consequence, or whose cause does not stand.
    fn causes(&self) -> impl Iterator<Item = &Verdict> {
        self.standing().filter(|verdict| {
            verdict.caused_by == 0 || !self.open.iter().any(|of| of.id == verdict.caused_by)
        })
    }

    /// What follows from a verdict.
    fn consequences(&self, of: u64) -> impl Iterator<Item = &Verdict> {
        self.standing().filter(move |verdict| verdict.caused_by == of)
    }

    /// What is less than healthy, the worst first.
    fn ill(&self) -> Vec<&Assessment> {
        let mut ill: Vec<&Assessment> = self
            .assessments
            .iter()
            .filter(|of| !matches!(of.health, Health::Healthy | Health::Unknown))
            .collect();
        ill.sort_by(|a, b| {
            (b.health, &a.subject_kind, &a.subject).cmp(&(a.health, &b.subject_kind, &b.subject))
        });
        ill
    }

    /// One sentence over all.
    fn headline(&self) -> String {
        let standing: Vec<&Verdict> = self.causes().collect();
        let worst = standing.iter().map(|verdict| verdict.severity).max();
        let count = |severity| standing.iter().filter(|of| of.severity == severity).count();
        match worst {
            None => "Nothing is known to be wrong.".to_owned(),
            Some(_) => {
                let parts: Vec<String> =
                    [Severity::Critical, Severity::Error, Severity::Warning, Severity::Info]
                        .into_iter()
                        .filter(|severity| count(*severity) > 0)
                        .map(|severity| format!("{} {}", count(severity), severity.name()))
                        .collect();
                format!("{} of trouble: {}.", cases(standing.len()), parts.join(", "))
            }
        }
    }

    fn healthy(&self) -> usize {
        self.assessments.iter().filter(|of| of.health == Health::Healthy).count()
    }
}

fn cases(count: usize) -> String {
    if count == 1 { "1 case".to_owned() } else { format!("{count} cases") }
}

/// `device gpu0`.
fn subject(verdict: &Verdict) -> String {
    format!("{} {}", verdict.subject_kind, verdict.subject).trim().to_owned()
}

/// How sure, in per cent.
fn confidence(verdict: &Verdict) -> String {
    format!("{:.0} %", verdict.confidence * 100.0)
}

/// One line about a verdict that is over.
fn over(verdict: &Verdict) -> String {
    let state = if verdict.state == VerdictState::Resolved { "resolved" } else { "open" };
    format!(
        "{} to {}: {} ({}, {state})",
        crate::schema::utc_text(verdict.since_wall_ns),
        crate::schema::utc_text(verdict.wall_ns),
        verdict.text,
        subject(verdict),
    )
}

/// Text from outside with nothing in it that a terminal would obey.
#[must_use]
pub fn visible(text: &str) -> String {
    let show = |c: char| match c {
        '\t' => ' ',
        // Controls, and what turns the direction of a line.
        c if c.is_control() => '\u{fffd}',
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' => '\u{fffd}',
        c => c,
    };
    text.chars().map(show).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{Action, Evidence};

    fn verdict(id: u64, severity: Severity, text: &str) -> Verdict {
        Verdict {
            id,
            severity,
            text: text.into(),
            rule: "xid".into(),
            subject: "gpu0".into(),
            subject_kind: "device".into(),
            state: VerdictState::Open,
            since_wall_ns: 1_700_000_000_000_000_000,
            cause: "The driver lost contact <b>with</b> it.".into(),
            confidence: 0.9,
            evidence: vec![
                Evidence {
                    text: "NVRM: Xid 79 \u{1b}[2J<script>alert(1)</script> | `x`".into(),
                    source: "kmsg".into(),
                    ..Evidence::default()
                },
                Evidence { metric: 300, value: 91.0, limit: Some(90.0), ..Evidence::default() },
            ],
            action: Action::RebootNode,
            steps: vec!["Drain the node.".into(), "Reboot it.".into()],
            page: "rules/xid.md".into(),
            impact: vec!["engine one".into()],
            count: 3,
            ..Verdict::default()
        }
    }

    fn report() -> Report {
        let consequence =
            Verdict { caused_by: 1, ..verdict(2, Severity::Error, "engine one is silent") };
        let silenced = Verdict {
            silenced_until_wall_ns: u64::MAX,
            silenced_by: "fans are replaced".into(),
            ..verdict(3, Severity::Critical, "gpu7 is hot")
        };
        Report {
            node: "node-\u{202e}7".into(),
            wall_ns: 1_700_000_100_000_000_000,
            assessments: vec![
                Assessment {
                    subject: "gpu0".into(),
                    subject_kind: "device".into(),
                    health: Health::Failed,
                    ..Assessment::default()
                },
                Assessment {
                    subject: "gpu1".into(),
                    health: Health::Healthy,
                    ..Assessment::default()
                },
            ],
            open: vec![
                verdict(1, Severity::Critical, "gpu0 fell off the bus"),
                consequence,
                silenced,
            ],
            resolved: vec![verdict(9, Severity::Warning, "eth0 flapped")],
            unseen: vec![Unseen { what: "dcmi".into(), why: "no libdcmi.so".into() }],
            simulated: true,
        }
    }

    #[test]
    fn every_form_says_what_is_wrong_why_what_to_do_and_what_is_unseen() {
        let report = report();
        assert!(report.is_trouble());
        for form in [report.text(), report.markdown(), report.html()] {
            for said in [
                "gpu0 fell off the bus",
                "The driver lost contact",
                "90 %",
                "Drain the node.",
                "engine one is silent",
                "drain and reboot node",
                "rules/xid.md",
                "fans are replaced",
                "eth0 flapped",
                "no libdcmi.so",
                "simulat",
                "accelerator_temperature_celsius",
            ] {
                assert!(form.contains(said), "{said} is missing in\n{form}");
            }
            assert!(!form.contains('\u{1b}') && !form.contains('\u{202e}'));
        }
    }

    #[test]
    fn text_from_outside_is_no_markup() {
        let report = report();
        let html = report.html();
        assert!(!html.contains("<script>") && !html.contains("<b>with"));
        assert!(
            report.markdown().contains("&lt;script>") || !report.markdown().contains("<script>")
        );
    }

    #[test]
    fn a_healthy_node_says_so_and_silenced_trouble_is_none() {
        let mut report = Report { node: "n".into(), ..Report::default() };
        assert!(!report.is_trouble());
        assert!(report.text().contains("Nothing is known to be wrong."));
        report.open = vec![Verdict {
            silenced_until_wall_ns: 5,
            ..verdict(3, Severity::Critical, "gpu7 is hot")
        }];
        report.wall_ns = 4;
        assert!(!report.is_trouble());
        report.wall_ns = 6;
        assert!(report.is_trouble());
    }
}
