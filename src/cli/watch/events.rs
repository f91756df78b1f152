//! What happened, the latest first.

use ratatui::text::{Line, Span};

use super::draw::{BAD, PLAIN, Page, QUIET, WARN};
use super::screen::Screen;
use super::text::{fit, shown, width};
use crate::schema::{Event, Severity, utc_text};

pub(super) fn page(screen: &Screen, columns: usize) -> Page {
    if screen.events.is_empty() {
        return Page { heading: Vec::new(), rows: vec![Line::raw(" Nothing yet.")] };
    }
    let heading = vec![Line::styled(" TIME UTC  SEVERITY  WHAT", QUIET)];
    let rows = screen.events.iter().rev().map(|event| row(event, columns)).collect();
    Page { heading, rows }
}

fn row(event: &Event, columns: usize) -> Line<'static> {
    let style = match event.severity {
        Severity::Info => PLAIN,
        Severity::Warning => WARN,
        Severity::Error | Severity::Critical => BAD,
    };
    Line::from(vec![
        Span::raw(format!(" {}  ", &utc_text(event.wall_ns)[11..19])),
        Span::styled(fit(event.severity.name(), 10), style),
        Span::raw(within(&sentence(event), columns.saturating_sub(22))),
    ])
}

/// What an event says, with what it is about where the text does not.
pub(super) fn sentence(event: &Event) -> String {
    match event.subject.as_str() {
        "" => shown(&event.text),
        subject if event.text.contains(subject) => shown(&event.text),
        subject => shown(&format!("{subject}: {}", event.text)),
    }
}

fn within(text: &str, columns: usize) -> String {
    if width(text) <= columns { text.to_owned() } else { fit(text, columns) }
}
