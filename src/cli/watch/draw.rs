//! The frame around every part: who, how, since when; tabs; keys.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Paragraph};

use super::gauges::{BUSY, LOAD};
use super::screen::Screen;
use super::text::{count, shown, span, width};
use super::ui::{Tab, Ui};
use super::{engines, events, health, host};
use crate::schema::utc_text;
use crate::web::{NatsState, SamplerState};

/// What is quiet: labels, headings, what is gone.
pub(super) const QUIET: Style = Style::new().fg(Color::DarkGray);
/// What is overdue or partly works.
pub(super) const WARN: Style = Style::new().fg(Color::Yellow);
/// What is silent, down or failed.
pub(super) const BAD: Style = Style::new().fg(Color::Red);
/// Everything else: colours stand only for states.
pub(super) const PLAIN: Style = Style::new();

/// One part: lines that stay, and rows that scroll under them.
pub(super) struct Page {
    pub heading: Vec<Line<'static>>,
    pub rows: Vec<Line<'static>>,
}

/// Draws `screen` as `ui` wants it. Returns the scroll that was possible:
/// whoever goes on with `ui` stores it there.
pub fn draw(frame: &mut Frame<'_>, screen: &Screen, ui: &Ui) -> usize {
    let area = frame.area();
    let notices = notices(screen);
    let [head, notice, tabs, body, foot] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(notices.len() as u16),
        Constraint::Length(2),
        Constraint::Min(0),
        Constraint::Length(1),
    ])
    .areas(area);
    frame.render_widget(header(screen, head.width.into()), head);
    frame.render_widget(Paragraph::new(notices), notice);
    frame.render_widget(Paragraph::new(tab_line(screen, ui)), tabs);
    let page = match ui.tab {
        Tab::Engines => engines::page(screen, ui.sort, body.width.into()),
        Tab::Host => host::page(screen, body.width.into()),
        Tab::Events => events::page(screen, body.width.into()),
        Tab::Health => health::page(screen, body.width.into()),
    };
    let scroll = draw_page(frame, page, body, ui.scroll);
    frame.render_widget(footer(screen, ui, foot.width.into()), foot);
    if ui.help {
        draw_help(frame, area);
    }
    scroll
}

fn draw_page(frame: &mut Frame<'_>, page: Page, area: Rect, scroll: usize) -> usize {
    let height = Constraint::Length(page.heading.len() as u16);
    let [heading, rows] = Layout::vertical([height, Constraint::Min(0)]).areas(area);
    let visible = usize::from(rows.height);
    let scroll = scroll.min(page.rows.len().saturating_sub(visible));
    let hidden = page.rows.len().saturating_sub(scroll + visible);
    let mut lines: Vec<Line<'_>> = page.rows.into_iter().skip(scroll).take(visible).collect();
    if hidden > 0 && visible > 1 {
        lines.pop();
        lines.push(Line::styled(format!(" ↓ {} more", hidden + 1), QUIET));
    }
    frame.render_widget(Paragraph::new(page.heading), heading);
    frame.render_widget(Paragraph::new(lines), rows);
    scroll
}

/// Name and node at the left; NATS, load and running time at the right.
fn header(screen: &Screen, columns: usize) -> Line<'static> {
    let status = &screen.status;
    let who = format!(" eagle-eye {} · {}", shown(&status.version), shown(&status.node));
    let (nats, style) = match status.nats.as_ref().map(|nats| nats.state) {
        None => ("no NATS".to_owned(), PLAIN),
        Some(NatsState::Connected) => ("NATS connected".to_owned(), PLAIN),
        Some(state @ NatsState::Connecting) => (format!("NATS {}", state.name()), WARN),
        Some(state @ NatsState::Down) => (format!("NATS {}", state.name()), BAD),
    };
    let mut load = String::new();
    for (label, word) in [(LOAD, "load"), (BUSY, "CPU")] {
        if let Some(gauge) = screen.gauge(label) {
            load.push_str(&format!(" · {word} {}", gauge.text));
        }
    }
    let rest = format!("{load} · up {} ", span(status.up_ms));
    let used = width(&who) + width(&nats) + width(&rest);
    Line::from(vec![
        Span::styled(who, Modifier::BOLD),
        Span::raw(" ".repeat(columns.saturating_sub(used).max(1))),
        Span::styled(nats, style),
        Span::raw(rest),
    ])
}

fn notices(screen: &Screen) -> Vec<Line<'static>> {
    let mut notices = Vec::new();
    if screen.simulated() {
        let text = " SIMULATED: what is marked SIM is made up, not measured ";
        notices.push(Line::styled(text, WARN.add_modifier(Modifier::REVERSED)));
    }
    if let Err(sentence) = &screen.status.ready {
        notices.push(Line::styled(format!(" NOT READY: {}", shown(sentence)), BAD));
    }
    notices
}

fn tab_line(screen: &Screen, ui: &Ui) -> Line<'static> {
    let mut spans = vec![Span::raw(" ")];
    for (at, tab) in Tab::ALL.into_iter().enumerate() {
        let chosen =
            if tab == ui.tab { Modifier::REVERSED | Modifier::BOLD } else { Modifier::empty() };
        spans.push(Span::styled(format!(" {} {} ", at + 1, tab.title()), chosen));
        spans.push(match tab {
            Tab::Engines => Span::styled(count(screen.engines.len() as f64), QUIET),
            Tab::Health if ill(screen) => Span::styled("!", BAD),
            _ => Span::raw(""),
        });
        spans.push(Span::raw("  "));
    }
    Line::from(spans)
}

/// Whether our own health deserves a look.
fn ill(screen: &Screen) -> bool {
    let bad = |state| matches!(state, SamplerState::Failed | SamplerState::Stalled);
    let status = &screen.status;
    status.samplers.iter().any(|sampler| bad(sampler.state)) || !status.losses.is_empty()
}

fn footer(screen: &Screen, ui: &Ui, columns: usize) -> Line<'static> {
    let sort = match ui.tab {
        Tab::Engines => format!("  s sort: {}", ui.sort.name()),
        _ => String::new(),
    };
    let keys = format!(" q quit  ? help  tab next{sort}  ↑↓ scroll");
    let time = format!("{} UTC ", &utc_text(screen.wall_ns)[11..19]);
    let gap = " ".repeat(columns.saturating_sub(width(&keys) + width(&time)).max(1));
    Line::styled(keys + &gap + &time, QUIET)
}

const HELP: &[&str] = &[
    "",
    "  1 2 3 4     engines, host, events, own health",
    "  tab ← →     next, previous",
    "  s           sort engines by the next column",
    "  ↑ ↓ PgUp PgDn Home End   scroll",
    "  ?  esc      this help, away with it",
    "  q  Ctrl-C   quit",
    "",
    "  fresh   heard within the time it promised",
    "  stale   overdue by up to two more of that time",
    "  silent  overdue by more; nobody said goodbye",
    "  gone    it said goodbye",
    "  –       was not measured",
    "",
];

fn draw_help(frame: &mut Frame<'_>, area: Rect) {
    let (columns, rows) = (54.min(area.width), (HELP.len() as u16 + 2).min(area.height));
    let at = Rect::new((area.width - columns) / 2, (area.height - rows) / 2, columns, rows);
    let lines: Vec<Line<'_>> = HELP.iter().copied().map(Line::raw).collect();
    frame.render_widget(Clear, at);
    frame.render_widget(Paragraph::new(lines).block(Block::bordered().title(" Help ")), at);
}
