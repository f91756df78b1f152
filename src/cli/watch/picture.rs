//! A drawn screen as an SVG picture, for the README.

use std::fmt::Write as _;

use ratatui::buffer::{Buffer, Cell};
use ratatui::style::{Color, Modifier};
use ratatui::text::Span;

const CELL_WIDTH: f64 = 8.4;
const CELL_HEIGHT: f64 = 18.0;
const MARGIN: f64 = 12.0;
const GROUND: &str = "#14171a";
const TEXT: &str = "#d8dce0";

/// The picture of `buffer`. Blocks and eighths are drawn as rectangles, so
/// that bars and curves look alike whatever font there is.
pub(super) fn svg(buffer: &Buffer) -> String {
    let area = buffer.area;
    let width = f64::from(area.width) * CELL_WIDTH + 2.0 * MARGIN;
    let height = f64::from(area.height) * CELL_HEIGHT + 2.0 * MARGIN;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.1} {height:.1}\" \
         width=\"{width:.0}\" height=\"{height:.0}\" role=\"img\">\n\
         <title>eagle-eye watch in a terminal</title>\n\
         <rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"{GROUND}\"/>\n\
         <g font-family=\"ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace\" \
         font-size=\"14\" shape-rendering=\"crispEdges\">\n"
    );
    for row in 0..area.height {
        let mut column = 0;
        while column < area.width {
            column += push_run(&mut svg, buffer, column, row);
        }
    }
    svg.push_str("</g>\n</svg>\n");
    svg
}

/// Draws the cells from `column` on that look alike; returns how many.
fn push_run(svg: &mut String, buffer: &Buffer, column: u16, row: u16) -> u16 {
    let first = &buffer[(column, row)];
    let block = block(first.symbol());
    let mut text = String::new();
    let mut columns = 0;
    while column + columns < buffer.area.width {
        let cell = &buffer[(column + columns, row)];
        if looks(cell) != looks(first) || self::block(cell.symbol()) != block {
            break;
        }
        text.push_str(cell.symbol());
        columns += 1;
    }
    let (x, y) = (MARGIN + f64::from(column) * CELL_WIDTH, MARGIN + f64::from(row) * CELL_HEIGHT);
    let width = f64::from(columns) * CELL_WIDTH;
    let (ink, paper) = colours(first);
    if paper != GROUND {
        push_rectangle(svg, (x, y, width, CELL_HEIGHT), paper);
    }
    if let Some((from_top, share)) = block {
        let (high, foot) = (CELL_HEIGHT - 3.0, y + CELL_HEIGHT - 1.0);
        // Full blocks side by side are one rectangle, parts of one are not.
        let width = if share < 1.0 { width - CELL_WIDTH * (1.0 - share) } else { width };
        push_rectangle(
            svg,
            (x, foot - high * (1.0 - from_top), width, high * (1.0 - from_top)),
            ink,
        );
    } else if !text.trim().is_empty() {
        let ink_from = (text.chars().count() - text.trim_start().chars().count()) as f64;
        let text = text.trim();
        let width = Span::raw(text).width() as f64 * CELL_WIDTH;
        let bold = first.modifier.contains(Modifier::BOLD);
        let weight = if bold { " font-weight=\"bold\"" } else { "" };
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" textLength=\"{width:.1}\" fill=\"{ink}\"{weight}>{}</text>",
            x + ink_from * CELL_WIDTH,
            y + 13.5,
            escaped(text),
        );
    }
    columns
}

fn push_rectangle(svg: &mut String, (x, y, width, height): (f64, f64, f64, f64), fill: &str) {
    let _ = writeln!(
        svg,
        "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" fill=\"{fill}\"/>"
    );
}

/// For a block: where it begins from the top, and its share of the width.
fn block(symbol: &str) -> Option<(f64, f64)> {
    let at = u32::from(symbol.chars().next()?);
    match at {
        0x2581..=0x2588 => Some((1.0 - f64::from(at - 0x2580) / 8.0, 1.0)),
        0x2589..=0x258f => Some((0.0, f64::from(0x2590 - at) / 8.0)),
        _ => None,
    }
}

fn looks(cell: &Cell) -> (Color, Color, Modifier) {
    (cell.fg, cell.bg, cell.modifier)
}

fn colours(cell: &Cell) -> (&'static str, &'static str) {
    let ink = match cell.fg {
        Color::Red => "#ff8a80",
        Color::Yellow => "#e8bf4d",
        Color::DarkGray => "#7d858d",
        _ => TEXT,
    };
    if cell.modifier.contains(Modifier::REVERSED) { (GROUND, ink) } else { (ink, GROUND) }
}

fn escaped(text: &str) -> String {
    // A renderer joins spaces unless they may not break.
    text.replace(' ', "\u{a0}").replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
