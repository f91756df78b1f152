//! The report for a ticket.

use std::fmt::Write as _;

use super::text::fact;
use super::{Report, confidence, over, subject, visible};
use crate::schema::{Verdict, utc_text};

impl Report {
    /// The report as Markdown.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut out = String::new();
        let _ = writeln!(out, "# Node {}\n", plain(&self.node));
        let simulated = if self.simulated { " Its devices are simulated." } else { "" };
        let _ = writeln!(out, "{}: {}{simulated}\n", utc_text(self.wall_ns), self.headline());
        let ill = self.ill();
        if !ill.is_empty() {
            out.push_str("| what | health | since |\n|---|---|---|\n");
        }
        for of in ill {
            let what = plain(&format!("{} {}", of.subject_kind, of.subject));
            let since = utc_text(of.since_wall_ns);
            let _ = writeln!(out, "| {what} | {} | {since} |", of.health.name());
        }
        for verdict in self.causes() {
            one(&mut out, verdict);
            for follows in self.consequences(verdict.id) {
                let _ = writeln!(
                    out,
                    "- follows: {} ({})",
                    plain(&follows.text),
                    plain(&subject(follows))
                );
            }
        }
        let silenced = self.open.iter().filter(|of| self.is_silenced(of)).map(|of| {
            format!("{} until {}: {}", of.text, utc_text(of.silenced_until_wall_ns), of.silenced_by)
        });
        section(&mut out, "Silenced", silenced);
        section(&mut out, "Over", self.resolved.iter().map(over));
        let unseen = self.unseen.iter().map(|of| format!("{}: {}", of.what, of.why));
        section(&mut out, "Not observed", unseen);
        out
    }
}

fn one(out: &mut String, verdict: &Verdict) {
    let _ = writeln!(out, "\n## {}: {}\n", verdict.severity.name(), plain(&verdict.text));
    let since = utc_text(verdict.since_wall_ns);
    let _ = writeln!(out, "- where: {}, since {since}", plain(&subject(verdict)));
    let _ = writeln!(out, "- why: {} ({} sure)", plain(&verdict.cause), confidence(verdict));
    if !verdict.impact.is_empty() {
        let _ = writeln!(out, "- hits: {}", plain(&verdict.impact.join(", ")));
    }
    let _ = writeln!(out, "- do: {}", verdict.action.name());
    for (at, step) in verdict.steps.iter().enumerate() {
        let _ = writeln!(out, "  {}. {}", at + 1, plain(step));
    }
    let _ = writeln!(out, "- rule: {} ({})\n", plain(&verdict.rule), plain(&verdict.page));
    // Four spaces make a block in which nothing is markup.
    for evidence in &verdict.evidence {
        let _ = writeln!(out, "    {}", visible(&fact(evidence)).replace('<', "&lt;"));
    }
    out.push('\n');
}

fn section(out: &mut String, title: &str, of: impl Iterator<Item = String>) {
    for (at, entry) in of.enumerate() {
        if at == 0 {
            let _ = writeln!(out, "\n## {title}\n");
        }
        let _ = writeln!(out, "- {}", plain(&entry));
    }
}

/// Text in which no character is markup.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in visible(text).chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '\\' | '`' | '*' | '[' | ']' | '|' | '#' => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out
}
