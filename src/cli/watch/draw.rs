//! The frame around every part: who, how, since when; tabs; keys.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Paragraph};

use super::gauges::{BUSY, LOAD};
use super::screen::Screen;
use super::text::{count, shown, span, width};
use super::ui::{Place, Tab, Ui};
use super::{accelerators, containers, detail, engines, events, health, host, verdicts};
use crate::schema::{Severity, utc_text};
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
    /// The row that is chosen, where one can be, and the place that stands for
    /// it.
    pub chosen: Option<(usize, Place)>,
}

impl Page {
    /// Rows, and nothing that stays.
    pub(super) const fn of(rows: Vec<Line<'static>>) -> Self {
        Self { heading: Vec::new(), rows, chosen: None }
    }
}

/// Draws `screen` as `ui` wants it. Returns the place that was possible:
/// whoever goes on with `ui` stores it there.
pub fn draw(frame: &mut Frame<'_>, screen: &Screen, ui: &Ui) -> Place {
    let area = frame.area();
    let notices = notices(screen);
    let [head, notice, tabs, body, foot] = Layout::vertical([
        Constraint::Length(u16::from(area.height > 4)),
        Constraint::Length(notices.len() as u16),
        // What there is to see goes before what lies around it.
        Constraint::Length(1 + u16::from(area.height > 10)),
        Constraint::Min(0),
        Constraint::Length(u16::from(area.height > 3)),
    ])
    .areas(area);
    frame.render_widget(header(screen, head.width.into()), head);
    frame.render_widget(Paragraph::new(notices), notice);
    frame.render_widget(Paragraph::new(tab_line(screen, ui, tabs.width.into())), tabs);
    let columns = body.width.into();
    let page = match ui.tab {
        Tab::Engines => engines::page(screen, ui, columns),
        Tab::Devices => accelerators::page(screen, ui, columns),
        Tab::Verdicts => verdicts::page(screen, ui, columns),
        Tab::Host => host::page(screen, columns),
        Tab::Containers => containers::page(screen, ui, columns),
        Tab::Events => events::page(screen, ui, columns),
        Tab::Health => health::page(screen, columns),
    };
    let place = draw_page(frame, page, body, ui.place.scroll);
    frame.render_widget(footer(screen, ui, foot.width.into()), foot);
    let in_full = match ui.tab {
        Tab::Events if ui.detail => events::detail(screen, ui).map(|said| (" Event · esc ", said)),
        Tab::Verdicts if ui.detail => {
            verdicts::detail(screen, ui).map(|said| (" Verdict · esc ", said))
        }
        _ => None,
    };
    if let Some((title, said)) = in_full {
        detail::draw(frame, title, &said, area);
    }
    if ui.help {
        draw_help(frame, area);
    }
    place
}

fn draw_page(frame: &mut Frame<'_>, mut page: Page, area: Rect, scroll: usize) -> Place {
    let height = Constraint::Length(page.heading.len() as u16);
    let [heading, rows] = Layout::vertical([height, Constraint::Min(0)]).areas(area);
    let visible = usize::from(rows.height);
    if let Some((row, _)) = &page.chosen {
        page.rows[*row] = std::mem::take(&mut page.rows[*row]).patch_style(Modifier::BOLD);
    }
    // A row that is chosen stands in the middle.
    let scroll = page
        .chosen
        .as_ref()
        .map_or(scroll, |(row, _)| row.saturating_sub(visible.saturating_sub(1) / 2));
    let scroll = scroll.min(page.rows.len().saturating_sub(visible));
    let hidden = page.rows.len().saturating_sub(scroll + visible);
    let mut lines: Vec<Line<'_>> = page.rows.into_iter().skip(scroll).take(visible).collect();
    if hidden > 0 && visible > 1 {
        lines.pop();
        lines.push(Line::styled(format!(" ↓ {} more", hidden + 1), QUIET));
    }
    frame.render_widget(Paragraph::new(page.heading), heading);
    frame.render_widget(Paragraph::new(lines), rows);
    page.chosen.map_or_else(|| Place::at(scroll), |(_, place)| place)
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

/// How much room the parts' titles have.
#[derive(Clone, Copy, PartialEq)]
enum Room {
    /// Titles, and how many there are of each.
    Ample,
    /// Titles, and what deserves a look.
    Titles,
    /// Keys, but for the part that is shown.
    Keys,
}

/// The parts by key and title, as roomy as fits.
fn tab_line(screen: &Screen, ui: &Ui, columns: usize) -> Line<'static> {
    let line = |room: Room| {
        let mut spans = vec![Span::raw(if room == Room::Titles { "" } else { " " })];
        for (at, tab) in Tab::ALL.into_iter().enumerate() {
            let chosen = tab == ui.tab;
            let title = if room != Room::Keys || chosen { tab.title() } else { "" };
            let text = format!(" {} {title} ", at + 1).replace("  ", " ");
            let look = Modifier::REVERSED | Modifier::BOLD;
            spans.push(Span::styled(text, if chosen { look } else { Modifier::empty() }));
            let counts = room == Room::Ample || room == Room::Keys && chosen;
            if counts || matches!(tab, Tab::Verdicts | Tab::Health) {
                spans.push(beside(screen, tab));
            }
            let is_counted = room == Room::Titles && tab == Tab::Verdicts;
            let gap = if is_counted && !screen.verdicts.is_empty() { " " } else { "" };
            spans.push(Span::raw(if room == Room::Ample { "  " } else { gap }));
        }
        Line::from(spans)
    };
    let ample = line(Room::Ample);
    if ample.width() <= columns + 2 {
        return ample;
    }
    let titles = line(Room::Titles);
    if titles.width() <= columns { titles } else { line(Room::Keys) }
}

/// What stands beside a part's title.
fn beside(screen: &Screen, tab: Tab) -> Span<'static> {
    let some = |number: usize, style| match number {
        0 => Span::raw(""),
        some => Span::styled(count(some as f64), style),
    };
    match tab {
        Tab::Engines => Span::styled(count(screen.engines.len() as f64), QUIET),
        Tab::Devices => some(screen.devices.len(), QUIET),
        Tab::Verdicts => {
            let gravest = screen.verdicts.iter().map(|verdict| verdict.severity).max();
            some(screen.verdicts.len(), gravest.map_or(QUIET, events::severity_style))
        }
        Tab::Containers => Span::styled(count(screen.containers.len() as f64), QUIET),
        Tab::Health if ill(screen) => Span::styled("!", BAD),
        _ => Span::raw(""),
    }
}

/// Whether our own health deserves a look.
fn ill(screen: &Screen) -> bool {
    let bad = |state| matches!(state, SamplerState::Failed | SamplerState::Stalled);
    let status = &screen.status;
    status.samplers.iter().any(|sampler| bad(sampler.state)) || !status.losses.is_empty()
}

/// The keys that fit, the most needed first, and the time of what is shown.
fn footer(screen: &Screen, ui: &Ui, columns: usize) -> Line<'static> {
    let time = format!("{} UTC ", &utc_text(screen.wall_ns)[11..19]);
    let paused = if ui.paused { " PAUSED " } else { "" };
    let room = columns.saturating_sub(width(&time) + width(paused) + 1);
    let mut keys = String::new();
    for key in keys_of(ui) {
        if width(&keys) + width(&key) + 2 <= room || keys.is_empty() {
            keys.push_str(if keys.is_empty() { " " } else { "  " });
            keys.push_str(&key);
        }
    }
    let gap = " ".repeat((room + 1).saturating_sub(width(&keys)).max(1));
    Line::from(vec![
        Span::styled(keys + &gap, if ui.typing { PLAIN } else { QUIET }),
        Span::styled(paused, WARN.add_modifier(Modifier::REVERSED)),
        Span::styled(format!("{}{time}", if ui.paused { " " } else { "" }), QUIET),
    ])
}

fn keys_of(ui: &Ui) -> Vec<String> {
    if ui.typing {
        return vec![format!("/{}▏", shown(&ui.query)), "enter keep".into(), "esc all".into()];
    }
    let mut keys: Vec<String> = vec!["q quit".into(), "? help".into()];
    match ui.tab {
        Tab::Engines => keys.push(format!("s sort: {}", ui.sort.name())),
        Tab::Containers => keys.push(format!("s sort: {}", ui.container_sort.name())),
        Tab::Events => {
            let least = match ui.least {
                Severity::Info => "all".to_owned(),
                least => format!("{}+", least.name()),
            };
            keys.extend([format!("f show: {least}"), "enter in full".into()]);
        }
        Tab::Verdicts => keys.push("enter in full".into()),
        Tab::Devices | Tab::Host | Tab::Health => {}
    }
    if ui.tab.has_search() {
        let query = shown(&ui.query);
        keys.push(if query.is_empty() { "/ find".into() } else { format!("/ {query}") });
    }
    keys.extend(["space pause".into(), "tab next".into(), "↑↓ scroll".into()]);
    keys
}

const HELP: &[&str] = &[
    "  1 2 3 4     engines, devices, verdicts, host",
    "  5 6 7       containers, events, health",
    "  tab ← →     next, previous",
    "  s           sort by the next column",
    "  f           events: all, warnings, errors",
    "  /           only rows with this in them; esc: all",
    "  enter       an event or a verdict in full",
    "  space       hold the screen, let it go on",
    "  ↑ ↓ PgUp PgDn Home End   scroll",
    "  ?  esc      this help, away with it",
    "  q  Ctrl-C   quit",
    "",
    "  fresh   heard within the time it promised",
    "  stale   overdue by up to two more of that time",
    "  silent  overdue by more; nobody said goodbye",
    "  gone    it said goodbye",
    "  –       was not measured",
    "  ‹       logged before the agent first looked",
    "  attested, claimed   the kernel's word, anybody's",
];

fn draw_help(frame: &mut Frame<'_>, area: Rect) {
    let (columns, rows) = (58.min(area.width), (HELP.len() as u16 + 2).min(area.height));
    let at = Rect::new((area.width - columns) / 2, (area.height - rows) / 2, columns, rows);
    let lines: Vec<Line<'_>> = HELP.iter().copied().map(Line::raw).collect();
    frame.render_widget(Clear, at);
    frame.render_widget(Paragraph::new(lines).block(Block::bordered().title(" Help ")), at);
}
