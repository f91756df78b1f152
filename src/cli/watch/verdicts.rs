//! What is judged: verdicts that stand, those that are over, and one in full.

use std::sync::Arc;

use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::draw::{PLAIN, Page, QUIET};
use super::events::severity_style;
use super::screen::Screen;
use super::text::{age, cut, fit, right, shown};
use super::ui::{Place, Ui};
use crate::schema::{Evidence, MetricId, Verdict, VerdictState, utc_text};

/// From these widths on there are columns for the severity, for since when,
/// and for what it is about.
const SEVERITY_FROM: usize = 40;
const SINCE_FROM: usize = 50;
const SUBJECT_FROM: usize = 64;

/// Consequences of consequences deeper than this are indented no further.
const DEPTH_MAX: usize = 4;

/// A verdict, and how far it is a consequence of others.
pub(super) struct Row<'a> {
    pub(super) verdict: &'a Arc<Verdict>,
    pub(super) depth: usize,
}

/// The verdicts that are wanted: those that stand with their consequences under
/// them, then those that are over.
pub(super) fn wanted<'a>(screen: &'a Screen, ui: &Ui) -> Vec<Row<'a>> {
    let mut rows = Vec::new();
    let mut left: Vec<&Arc<Verdict>> = screen.verdicts.iter().collect();
    while !left.is_empty() {
        // What stands alone first; of a ring, any.
        let of_others = |at: &&Arc<Verdict>| left.iter().any(|of| of.id == at.caused_by);
        let first = left.iter().position(|of| !of_others(of) || of.caused_by == of.id).unwrap_or(0);
        let cause = left.remove(first);
        rows.push(Row { verdict: cause, depth: 0 });
        place_under(&mut rows, &mut left, cause.id, 1);
    }
    let over = screen.verdicts_resolved.iter().map(|verdict| Row { verdict, depth: 0 });
    rows.extend(over);
    rows.retain(|row| ui.wants(&words(row.verdict)));
    rows
}

fn place_under<'a>(
    rows: &mut Vec<Row<'a>>,
    left: &mut Vec<&'a Arc<Verdict>>,
    cause: u64,
    depth: usize,
) {
    while let Some(at) = left.iter().position(|of| of.caused_by == cause) {
        let verdict = left.remove(at);
        rows.push(Row { verdict, depth: depth.min(DEPTH_MAX) });
        if depth < DEPTH_MAX {
            place_under(rows, left, verdict.id, depth + 1);
        }
    }
}

/// What tells verdicts apart.
pub(super) fn keys(rows: &[Row<'_>]) -> Vec<(u64, u64)> {
    rows.iter().map(|row| (row.verdict.id, row.verdict.since_wall_ns)).collect()
}

pub(super) fn page(screen: &Screen, ui: &Ui, columns: usize) -> Page {
    let rows = wanted(screen, ui);
    if rows.is_empty() {
        let all = screen.verdicts.len() + screen.verdicts_resolved.len();
        let text = if all == 0 {
            " Nothing stands against this node: no verdict is open.".to_owned()
        } else {
            format!(" None of {all} has this in it; esc shows all.")
        };
        return Page::of(vec![Line::raw(text)]);
    }
    let keys = keys(&rows);
    let chosen = ui.place.row(&keys);
    let line = |(at, of): (usize, &Row<'_>)| {
        row(of, if at == chosen { '>' } else { ' ' }, screen.wall_ns, columns)
    };
    Page {
        heading: vec![heading(columns)],
        rows: rows.iter().enumerate().map(line).collect(),
        chosen: Some((chosen, Place::at_key(chosen, keys[chosen]))),
    }
}

fn heading(columns: usize) -> Line<'static> {
    let mut text = " ".to_owned();
    for (from, title, wide) in [
        (SEVERITY_FROM, "SEVERITY", 9),
        (SINCE_FROM, "  SINCE", 8),
        (SUBJECT_FROM, "ABOUT", subject_columns(columns) + 1),
    ] {
        if columns >= from {
            text.push_str(&fit(title, wide));
        }
    }
    Line::styled(text + "WHAT", QUIET)
}

const fn subject_columns(columns: usize) -> usize {
    if columns < 110 { 10 } else { 22 }
}

fn is_over(verdict: &Verdict) -> bool {
    verdict.state == VerdictState::Resolved
}

/// Whether it is silenced at this time.
fn is_silenced(verdict: &Verdict, wall_ns: u64) -> bool {
    verdict.silenced_until_wall_ns > wall_ns
}

fn row(of: &Row<'_>, chosen: char, wall_ns: u64, columns: usize) -> Line<'static> {
    let verdict = of.verdict;
    let silenced = is_silenced(verdict, wall_ns);
    let quiet = is_over(verdict) || silenced;
    let style = if quiet { QUIET } else { severity_style(verdict.severity) };
    let plain = if quiet { QUIET } else { PLAIN };
    let (mut spans, mut left) =
        (vec![Span::styled(chosen.to_string(), QUIET)], columns.saturating_sub(2));
    if columns >= SEVERITY_FROM {
        let word = if is_over(verdict) { "resolved" } else { verdict.severity.name() };
        spans.push(Span::styled(fit(word, 9), style));
        left = left.saturating_sub(9);
    }
    if columns >= SINCE_FROM {
        let since = age(wall_ns.saturating_sub(verdict.since_wall_ns) as f64 / 1e6);
        spans.push(Span::styled(right(&since, 7) + " ", QUIET));
        left = left.saturating_sub(8);
    }
    let mut text = String::new();
    if of.depth > 0 {
        text.push_str(&"  ".repeat(of.depth - 1));
        text.push_str("└ ");
    }
    if silenced {
        text.push_str("(silenced) ");
    }
    if columns >= SUBJECT_FROM {
        let wide = subject_columns(columns);
        spans.push(Span::styled(fit(&verdict.subject, wide) + " ", plain));
        left = left.saturating_sub(wide + 1);
        text.push_str(&verdict.text);
    } else {
        text.push_str(&sentence(verdict));
    }
    let text_style = if columns < SEVERITY_FROM { style } else { plain };
    spans.push(Span::styled(cut(&text, left), text_style));
    Line::from(spans)
}

/// What it says, with what it is about where the text does not.
fn sentence(verdict: &Verdict) -> String {
    if verdict.subject.is_empty() || verdict.text.contains(&verdict.subject) {
        verdict.text.clone()
    } else {
        format!("{}: {}", verdict.subject, verdict.text)
    }
}

/// What a search looks at.
fn words(verdict: &Verdict) -> String {
    let Verdict { severity, rule, subject, text, cause, state, .. } = verdict;
    format!("{} {rule} {subject} {} {text} {cause}", severity.name(), state.name())
}

/// The labelled lines of a verdict in full. What is to be done stands before
/// the facts: on a small terminal the end is cut.
pub(super) fn detail(screen: &Screen, ui: &Ui) -> Option<Vec<(&'static str, String, Style)>> {
    let rows = wanted(screen, ui);
    let verdict = rows.get(ui.place.row(&keys(&rows)))?.verdict;
    let mut lines = vec![
        ("what", verdict.text.clone(), PLAIN),
        ("about", format!("{} {}", verdict.subject_kind, verdict.subject), PLAIN),
        ("severity", verdict.severity.name().to_owned(), severity_style(verdict.severity)),
        ("since", utc_text(verdict.since_wall_ns), PLAIN),
    ];
    if is_over(verdict) {
        lines.push(("resolved", utc_text(verdict.wall_ns), PLAIN));
    }
    let confidence = format!("{:.0}%, seen {} times", verdict.confidence * 100.0, verdict.count);
    lines.push(("cause", verdict.cause.clone(), PLAIN));
    lines.push(("", caused_by(screen, verdict), PLAIN));
    lines.push(("confidence", confidence, PLAIN));
    if is_silenced(verdict, screen.wall_ns) {
        let until = utc_text(verdict.silenced_until_wall_ns);
        lines.push(("silenced", format!("until {until}: {}", verdict.silenced_by), PLAIN));
    }
    lines.push(("impact", verdict.impact.join(", "), PLAIN));
    lines.push(("action", verdict.action.name().to_owned(), PLAIN));
    for (at, step) in verdict.steps.iter().enumerate() {
        lines.push((if at == 0 { "steps" } else { "" }, format!("{}. {step}", at + 1), PLAIN));
    }
    for (at, of) in verdict.evidence.iter().enumerate() {
        lines.push((if at == 0 { "evidence" } else { "" }, evidence(of), PLAIN));
    }
    lines.push(("page", verdict.page.clone(), PLAIN));
    Some(lines)
}

fn caused_by(screen: &Screen, verdict: &Verdict) -> String {
    let is_cause = |of: &&Arc<Verdict>| of.id == verdict.caused_by;
    let mut all = screen.verdicts.iter().chain(&screen.verdicts_resolved);
    match all.find(is_cause) {
        Some(cause) if verdict.caused_by > 0 => format!("a consequence of: {}", sentence(cause)),
        _ => String::new(),
    }
}

fn evidence(of: &Evidence) -> String {
    let time =
        if of.wall_ns > 0 { format!("{} ", &utc_text(of.wall_ns)[11..19]) } else { String::new() };
    let mut text = format!("{time}{}", of.text);
    if let Some(metric) = MetricId::from_number(of.metric) {
        let limit = of.limit.map(|limit| format!(" against {limit}")).unwrap_or_default();
        text.push_str(&format!(" ({} {}{limit})", metric.row().name, of.value));
    }
    if !of.source.is_empty() {
        text.push_str(&format!(" [{}]", of.source));
    }
    text
}

/// A verdict in one plain line.
pub(super) fn line(verdict: &Verdict, wall_ns: u64) -> String {
    let word = if is_over(verdict) { "resolved" } else { verdict.severity.name() };
    let silenced = if is_silenced(verdict, wall_ns) { ", silenced" } else { "" };
    let caused = match verdict.caused_by {
        0 => String::new(),
        id => format!(", caused by {id}"),
    };
    let (since, rule) = (utc_text(verdict.since_wall_ns), &verdict.rule);
    shown(&format!(
        "verdict {} {word} {}: {} (since {since}, {rule}, {}{caused}{silenced})",
        verdict.id,
        verdict.subject,
        verdict.text,
        verdict.action.name(),
    ))
}
