//! What happened, the latest first, and one event in full.

use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::draw::{BAD, PLAIN, Page, QUIET, WARN};
use super::screen::Screen;
use super::text::{cut, fit, shown};
use super::ui::{Place, Ui};
use crate::schema::{Event, LogRecord, Severity, utc_text};

/// What stands behind the time of what was logged before the agent looked.
const BEFORE: char = '‹';

/// What stands before the event that is chosen.
const CHOSEN: char = '>';

/// From these widths on there are columns for the severity, for where it was
/// seen, and for what it is about.
const SEVERITY_FROM: usize = 40;
const SOURCE_FROM: usize = 64;
const SUBJECT_FROM: usize = 130;

const SOURCE_COLUMNS: usize = 13;
const SUBJECT_COLUMNS: usize = 28;

/// The events that are wanted, the latest first.
pub(super) fn wanted<'a>(screen: &'a Screen, ui: &Ui) -> Vec<&'a Event> {
    let wanted = |event: &&Event| event.severity >= ui.least && ui.wants(&words(event));
    screen.events.iter().rev().filter(wanted).collect()
}

pub(super) fn page(screen: &Screen, ui: &Ui, columns: usize) -> Page {
    let events = wanted(screen, ui);
    let Some(&event) = events.get(ui.place.row(&keys(&events))) else {
        return Page::of(vec![Line::raw(nothing(screen, ui))]);
    };
    let chosen = ui.place.row(&keys(&events));
    let row = |(at, event): (usize, &&Event)| {
        let mark = if at == chosen { CHOSEN } else { ' ' };
        row(event, mark, screen.wall_ns, columns)
    };
    let rows = events.iter().enumerate().map(row).collect();
    Page {
        heading: vec![heading(columns)],
        rows,
        chosen: Some((chosen, Place::at_key(chosen, (event.id, event.wall_ns)))),
    }
}

fn nothing(screen: &Screen, ui: &Ui) -> String {
    match (screen.events.len(), ui.query.is_empty()) {
        (0, _) => " Nothing yet.".to_owned(),
        (all, true) => format!(" None of {all} is so severe; f shows the others."),
        (all, false) => format!(" None of {all} has this in it; esc shows all."),
    }
}

fn heading(columns: usize) -> Line<'static> {
    let mut text = " TIME UTC  ".to_owned();
    for (from, title, wide) in [
        (SEVERITY_FROM, "SEVERITY", 9),
        (SOURCE_FROM, "SEEN BY", SOURCE_COLUMNS + 1),
        (SUBJECT_FROM, "ABOUT", SUBJECT_COLUMNS + 1),
    ] {
        if columns >= from {
            text.push_str(&fit(title, wide));
        }
    }
    Line::styled(text + "WHAT", QUIET)
}

fn row(event: &Event, chosen: char, wall_ns: u64, columns: usize) -> Line<'static> {
    let before = event.log.as_ref().is_some_and(|log| log.before_start);
    let mark = if before { BEFORE } else { ' ' };
    let mut spans = vec![Span::styled(format!("{chosen}{}{mark} ", time(event, wall_ns)), QUIET)];
    let (style, mut left) = (severity_style(event.severity), columns.saturating_sub(12));
    if columns >= SEVERITY_FROM {
        spans.push(Span::styled(fit(event.severity.name(), 9), style));
        left = left.saturating_sub(9);
    }
    if columns >= SOURCE_FROM {
        spans.push(Span::styled(fit(&source(event), SOURCE_COLUMNS) + " ", QUIET));
        left = left.saturating_sub(SOURCE_COLUMNS + 1);
    }
    let text = if columns >= SUBJECT_FROM {
        spans.push(Span::raw(fit(&event.subject, SUBJECT_COLUMNS) + " "));
        left = left.saturating_sub(SUBJECT_COLUMNS + 1);
        shown(&event.text)
    } else {
        sentence(event)
    };
    let text_style = if columns < SEVERITY_FROM { style } else { PLAIN };
    spans.push(Span::styled(cut(&text, left), text_style));
    Line::from(spans)
}

/// The time of a day, or the date of another day.
fn time(event: &Event, wall_ns: u64) -> String {
    let (then, now) = (utc_text(event.wall_ns), utc_text(wall_ns));
    if then[..10] == now[..10] { then[11..19].to_owned() } else { format!("{}   ", &then[5..10]) }
}

/// The colour of a severity.
pub(super) const fn severity_style(severity: Severity) -> Style {
    match severity {
        Severity::Info => PLAIN,
        Severity::Warning => WARN,
        Severity::Error | Severity::Critical => BAD,
    }
}

/// Who saw it, and of a kernel line how far it is to be trusted.
fn source(event: &Event) -> String {
    match &event.log {
        Some(log) => format!("{} {}", event.source, log.trust.name()),
        None => event.source.clone(),
    }
}

/// What an event says, with what it is about where the text does not. That a
/// kernel line is about the kernel goes without saying.
pub(super) fn sentence(event: &Event) -> String {
    match event.subject.as_str() {
        "" => shown(&event.text),
        "kernel" if event.log.is_some() => shown(&event.text),
        subject if event.text.contains(subject) => shown(&event.text),
        subject => shown(&format!("{subject}: {}", event.text)),
    }
}

/// Where a kernel line came from, in words; empty for other events.
pub(super) fn origin(event: &Event) -> String {
    let Some(log) = &event.log else {
        return String::new();
    };
    let before = if log.before_start { ", before start" } else { "" };
    format!("{}{before}", log.trust.name())
}

/// What a search looks at.
fn words(event: &Event) -> String {
    let Event { kind, severity, text, subject, .. } = event;
    format!("{} {} {} {subject} {text}", severity.name(), kind.name(), source(event))
}

/// What tells events apart.
pub(super) fn keys(events: &[&Event]) -> Vec<(u64, u64)> {
    events.iter().map(|event| (event.id, event.wall_ns)).collect()
}

/// The labelled lines of the chosen event in full.
pub(super) fn detail(screen: &Screen, ui: &Ui) -> Option<Vec<(&'static str, String, Style)>> {
    let events = wanted(screen, ui);
    let event = events.get(ui.place.row(&keys(&events)))?;
    let mut lines = vec![
        ("what", event.text.clone(), PLAIN),
        ("about", event.subject.clone(), PLAIN),
        ("time", utc_text(event.wall_ns), PLAIN),
        ("severity", event.severity.name().to_owned(), severity_style(event.severity)),
        ("kind", event.kind.name().to_lowercase().replace('_', " "), PLAIN),
        ("seen by", event.source.clone(), PLAIN),
    ];
    for (label, number) in [("code", event.code), ("lost", event.lost)] {
        if number > 0 {
            lines.push((label, number.to_string(), PLAIN));
        }
    }
    let log = event.log.iter().flat_map(|log| log_words(log));
    lines.extend(log.map(|(label, text)| (label, text, PLAIN)));
    Some(lines)
}

fn log_words(log: &LogRecord) -> Vec<(&'static str, String)> {
    let sequence = if log.sequence > 0 { log.sequence.to_string() } else { String::new() };
    let before = if log.before_start { "logged before the agent first looked" } else { "" };
    let level = match log.level {
        0..=7 => format!("{} of facility {}", log.level, log.facility),
        _ => String::new(),
    };
    vec![
        ("trust", format!("{}: {}", log.trust.name(), trust(log))),
        ("", before.to_owned()),
        ("level", level),
        ("sequence", sequence),
        ("device", log.device.clone()),
        ("subsystem", log.subsystem.clone()),
    ]
}

/// What a grade of trust means.
const fn trust(log: &LogRecord) -> &'static str {
    use crate::schema::Trust;
    match log.trust {
        Trust::Attested => "the kernel's own word",
        Trust::Claimed => "user space may have written it",
        Trust::Polled => "read from time to time, gaps unknown",
        Trust::File => "as good as whoever wrote the file",
        Trust::Unknown => "nothing is known of its way here",
    }
}
