//! A story in words for people.

use std::fmt::Write as _;

use super::story::{Story, Told};
use crate::cli::table::wrapped;
use crate::cli::watch::text::shown;
use crate::schema::{Severity, utc_text};

/// Where it is read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    /// Columns of the terminal.
    pub(super) columns: usize,
    /// Whether it shows colours.
    pub(super) colours: bool,
}

pub(super) fn text(story: &Story, source: &str, look: Look) -> String {
    let look = Look { columns: look.columns.clamp(40, COLUMNS_MAX), ..look };
    let mut out = head(story, source);
    let causes = story.causes();
    let (grave, mild): (Vec<&Told>, Vec<&Told>) =
        causes.iter().copied().partition(|told| told.verdict.severity >= Severity::Warning);
    out.push_str(&count(&grave));
    for (at, told) in grave.iter().enumerate() {
        out.push('\n');
        verdict(&mut out, at + 1, told, story, look);
    }
    if !mild.is_empty() {
        out.push_str("\nNothing to act on:\n");
        for told in mild {
            item(&mut out, "  - ", &one_line(told), look);
        }
    }
    let besides = story.besides();
    if !besides.is_empty() {
        out.push_str("\nSeen besides, and no trouble by itself:\n");
        for (what, times) in besides {
            item(&mut out, "  - ", &format!("{times} {what}"), look);
        }
    }
    if story.untold > 0 {
        let _ = write!(out, "\n{} more verdicts found no room.\n", story.untold);
    }
    out.trim_end().to_owned()
}

fn head(story: &Story, source: &str) -> String {
    let counts = if story.counts.is_empty() { "lines" } else { story.counts };
    let mut out = format!("{}: {} {counts}", shown(source), story.lines);
    if let Some((first, last)) = story.span {
        let _ = write!(out, ", from {} to {}", time(first), time(last));
    }
    out + ".\n"
}

fn count(grave: &[&Told]) -> String {
    if grave.is_empty() {
        return "No trouble was found in it.\n".to_owned();
    }
    let of = |severity| grave.iter().filter(|told| told.verdict.severity == severity).count();
    let counts = [Severity::Critical, Severity::Error, Severity::Warning]
        .map(|severity| (of(severity), severity.name()));
    let counts: Vec<String> = counts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, name)| format!("{count} {name}"))
        .collect();
    let troubles =
        if grave.len() == 1 { "1 trouble" } else { &format!("{} troubles", grave.len()) };
    format!("{troubles}: {}.\n", counts.join(", "))
}

fn verdict(out: &mut String, number: usize, told: &Told, story: &Story, look: Look) {
    let of = &told.verdict;
    let severity = of.severity.name().to_uppercase();
    let (on, off) = match (look.colours, of.severity) {
        (false, _) => ("", ""),
        (true, Severity::Critical) => ("\x1b[1;31m", "\x1b[0m"),
        (true, Severity::Error) => ("\x1b[31m", "\x1b[0m"),
        (true, _) => ("\x1b[33m", "\x1b[0m"),
    };
    let over = if told.is_over() { ", over by the end of the log" } else { "" };
    let (kind, subject) = (shown(&of.subject_kind), shown(&of.subject));
    let _ = writeln!(out, "{number}. {on}{severity}{off} {kind} {subject}{over}");
    item(out, "   What   ", &of.text, look);
    item(out, "   Why    ", &of.cause, look);
    item(out, "   When   ", &when(told), look);
    item(out, "   Sure   ", &format!("{:.0} %{}", of.confidence * 100.0, basis(told)), look);
    item(out, "   Do     ", of.action.name(), look);
    for (at, step) in of.steps.iter().enumerate() {
        item(out, &format!("          {}. ", at + 1), step, look);
    }
    for (at, evidence) in of.evidence.iter().enumerate() {
        let label = if at == 0 { "   Lines  " } else { "          " };
        let stamp = if evidence.wall_ns > 0 {
            format!("[{}] ", time(evidence.wall_ns))
        } else {
            String::new()
        };
        let mut label = label.to_owned();
        for (at, line) in evidence.text.split('\n').enumerate() {
            let line = if at == 0 { format!("{stamp}{line}") } else { line.to_owned() };
            item(out, &label, &line, look);
            label = "            ".to_owned();
        }
    }
    let consequences: Vec<&Told> = story.consequences(of.id).collect();
    for (at, told) in consequences.iter().take(CONSEQUENCES_MAX).enumerate() {
        let label = if at == 0 { "   From it follows: " } else { "          and: " };
        item(out, label, &one_line(told), look);
    }
    if consequences.len() > CONSEQUENCES_MAX {
        let more = consequences.len() - CONSEQUENCES_MAX;
        let _ = writeln!(out, "          and {more} more.");
    }
    item(out, "   More   ", &format!("docs/{}", of.page), look);
}

fn one_line(told: &Told) -> String {
    let of = &told.verdict;
    let times = if of.count > 1 { format!(" ({} times)", of.count) } else { String::new() };
    format!("{}: {}{times}", of.severity.name(), of.text)
}

fn when(told: &Told) -> String {
    let of = &told.verdict;
    let last = of.evidence.iter().map(|of| of.wall_ns).max().unwrap_or_default();
    let times = match of.count {
        0 | 1 => "once".to_owned(),
        count => format!("{count} times"),
    };
    match (told.since_ns, last) {
        (0, 0) => format!("{times}; the lines give no time"),
        (since, last) if last > since => {
            format!("{times}, since {}, at the latest {}", time(since), time(last))
        }
        (since, _) => format!("{times}, {}", time(since)),
    }
}

/// On what its sureness rests.
fn basis(told: &Told) -> String {
    let of = &told.verdict;
    let mut basis = format!(", by the rule {}", of.rule);
    if !of.data_version.is_empty() {
        let _ = write!(basis, " with the tables {}", of.data_version);
    }
    if !of.limit_source.is_empty() {
        let _ = write!(basis, "; its limit: {}", of.limit_source);
    }
    basis
}

/// A label, and text that is wrapped behind it. Nothing in it commands a
/// terminal.
fn item(out: &mut String, label: &str, text: &str, look: Look) {
    let room = look.columns.saturating_sub(label.len()).max(20);
    let lines = wrapped(&shown(text), room);
    for (at, line) in lines.iter().enumerate() {
        let label = if at == 0 { label } else { &" ".repeat(label.len()) };
        let _ = writeln!(out, "{}", format!("{label}{line}").trim_end());
    }
}

/// A wall clock's time, or one since boot: those are years apart.
fn time(ns: u64) -> String {
    if ns < SINCE_BOOT_NS_MAX {
        let (seconds, ms) = (ns / 1_000_000_000, ns / 1_000_000 % 1000);
        return format!("{seconds}.{ms:03} s after boot");
    }
    utc_text(ns)
}

/// Three years: no kernel's clock stands higher, no log is older than 1973.
const SINCE_BOOT_NS_MAX: u64 = 3 * 365 * 24 * 3600 * 1_000_000_000;
/// Longer lines are hard to read.
const COLUMNS_MAX: usize = 110;
/// Most consequences that are told with their cause.
const CONSEQUENCES_MAX: usize = 8;
