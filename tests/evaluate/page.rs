//! The page that says how good the diagnosis is.

use std::fmt::Write as _;

use crate::board::{Board, Row};

/// Most lines of what goes wrong on the page.
const WORST_MAX: usize = 60;

fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "–".into(), |share| format!("{:.1} %", share * 100.0))
}

fn seconds(time: Option<f64>) -> String {
    time.map_or_else(
        || "–".into(),
        |time| if time < 10.0 { format!("{time:.1} s") } else { format!("{time:.0} s") },
    )
}

const HEAD: &str = "| {} | expected | in time | late | missed | wrong severity | wrong action | wrong end | not asked for | precision | recall | half within | nine in ten within |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n";

fn line(text: &mut String, name: &str, row: &Row) {
    let Row { expected, right, late, missed, severity, action, end, wrong, .. } = row;
    let _ = writeln!(
        text,
        "| {name} | {expected} | {right} | {late} | {missed} | {severity} | {action} | {end} | {wrong} | {} | {} | {} | {} |",
        percent(row.precision()),
        percent(row.recall()),
        seconds(row.took_s(0.5)),
        seconds(row.took_s(0.9)),
    );
}

fn table<'a>(
    text: &mut String,
    title: &str,
    first: &str,
    rows: impl Iterator<Item = (&'a String, &'a Row)>,
) {
    let _ = write!(text, "\n## {title}\n\n{}", HEAD.replace("{}", first));
    for (name, row) in rows {
        line(text, &format!("`{name}`"), row);
    }
}

/// The boards by what they are of.
pub(crate) struct Boards {
    /// Incidents from public threads.
    pub(crate) real: Board,
    /// Incidents made by hand.
    pub(crate) made: Board,
    /// Generated scenarios.
    pub(crate) played: Board,
    /// Nodes that are well.
    pub(crate) healthy: Board,
}

impl Boards {
    /// Each with its name.
    pub(crate) fn all(&self) -> [(&'static str, &Board); 4] {
        [
            ("real incidents", &self.real),
            ("made incidents", &self.made),
            ("scenarios", &self.played),
            ("healthy nodes", &self.healthy),
        ]
    }

    /// The page's text.
    pub(crate) fn page(&self, seeds: u64) -> String {
        let mut text = String::from("# Evaluation\n\n");
        let _ = writeln!(
            text,
            "How good the diagnosis is, over incidents and scenarios with what a person knows \
             about each. Made by `EAGLE_EYE_BLESS=1 cargo test --test evaluate` from the rules as \
             they are; do not edit. [How it is done](../tests/cases/README.md).\n\n\
             The lines of the real incidents are from public threads, and no rule was written \
             from them at first; six forms of lines that the first run left unread were added since. Scenarios are simulated: {seeds} seeds a family, each another node, card, \
             driver, noise and course. All devices here are simulated or quoted, none was read. \
             A consequence that points to what is right counts as part of it; the same trouble \
             said twice counts as not asked for.\n"
        );
        text.push_str("## In all\n\n");
        text.push_str(&HEAD.replace("{}", "set"));
        for (name, board) in self.all() {
            line(&mut text, name, &board.all);
        }
        text.push_str("\n| set | traces | facts | hours of their time | consequences | tolerated | does harm |\n|---|--:|--:|--:|--:|--:|--:|\n");
        for (name, board) in self.all() {
            let Board { played, facts, seconds, consequences, tolerated, all, .. } = board;
            let _ = writeln!(
                text,
                "| {name} | {played} | {facts} | {:.1} | {consequences} | {tolerated} | {} |",
                *seconds as f64 / 3600.0,
                all.harmful
            );
        }
        table(&mut text, "By cause, over the scenarios", "cause", self.played.classes.iter());
        let mut rules: std::collections::BTreeMap<String, Row> = self.played.rules.clone();
        for board in [&self.real, &self.made, &self.healthy] {
            for (rule, row) in &board.rules {
                rules.entry(rule.clone()).or_default().add(row);
            }
        }
        table(&mut text, "By rule, over everything", "rule", rules.iter());
        table(&mut text, "By family of scenarios", "family", self.played.traces.iter());
        table(&mut text, "Real incidents", "incident", self.real.traces.iter());
        self.slips(&mut text);
        text
    }

    fn slips(&self, text: &mut String) {
        text.push_str("\n## What goes wrong\n\nMissed, late, wrong or not asked for, and how often; the most frequent first.\n");
        for (name, board) in self.all() {
            let worst = board.worst();
            let _ = write!(text, "\n### Of {name}\n\n");
            if worst.is_empty() {
                text.push_str("Nothing.\n");
            }
            for (slip, count) in worst.iter().take(WORST_MAX) {
                let _ = writeln!(text, "- {count} × {}", slip.replace('_', "\\_"));
            }
            if worst.len() > WORST_MAX {
                let _ = writeln!(text, "- and {} kinds more", worst.len() - WORST_MAX);
            }
        }
    }
}
