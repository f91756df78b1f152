//! One thing in full, in a box over the screen.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Paragraph};

use super::draw::QUIET;
use super::text::{fit, wrapped};

const LABEL_COLUMNS: usize = 11;

/// Draws labelled lines over `area`; what does not fit is cut at its end.
pub(super) fn draw(
    frame: &mut Frame<'_>,
    title: &str,
    said: &[(&'static str, String, Style)],
    area: Rect,
) {
    let columns = area.width.saturating_sub(if area.width > 60 { 8 } else { 0 });
    let mut lines = lines(said, columns.saturating_sub(4).into());
    let fits = usize::from(area.height.saturating_sub(2));
    if lines.len() > fits {
        lines.truncate(fits);
        lines.pop();
        lines.push(Line::styled(" …", QUIET));
    }
    let rows = (lines.len() as u16 + 2).min(area.height);
    let (x, y) = ((area.width - columns) / 2, (area.height - rows) / 2);
    let at = Rect::new(area.x + x, area.y + y, columns, rows);
    frame.render_widget(Clear, at);
    frame.render_widget(Paragraph::new(lines).block(Block::bordered().title(title.to_owned())), at);
}

fn lines(said: &[(&'static str, String, Style)], columns: usize) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    for (label, text, style) in said {
        let parts = wrapped(text, columns.saturating_sub(LABEL_COLUMNS));
        for (at, part) in parts.into_iter().enumerate() {
            let label = fit(if at == 0 { label } else { "" }, LABEL_COLUMNS);
            let spans = vec![Span::styled(format!(" {label}"), QUIET), Span::styled(part, *style)];
            lines.push(Line::from(spans));
        }
    }
    lines
}
