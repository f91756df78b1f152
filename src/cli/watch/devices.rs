//! The devices' part of the host: kind by kind, what is not at rest.

use ratatui::text::{Line, Span};

use super::draw::{PLAIN, QUIET, WARN};
use super::hardware::{DeviceKind, Sign};
use super::screen::Screen;
use super::text::{curve, fit, right, width};

const DEVICE_COLUMNS: usize = 20;
const LABEL_COLUMNS: usize = 28;
const VALUE_COLUMNS: usize = 10;

/// From this width on labels take half as much again.
const WIDE: usize = 140;

/// The rows under the node's load; none where there are no devices.
pub(super) fn rows(screen: &Screen, columns: usize) -> Vec<Line<'static>> {
    let mut rows = Vec::new();
    for kind in &screen.hardware {
        rows.push(Line::raw(""));
        rows.push(head(kind, columns));
        rows.extend(kind.signs.iter().map(|sign| row(kind, sign, columns)));
    }
    rows
}

/// The kind, how many there are, how many readings are not at rest, and the
/// largest of what has a most.
fn head(kind: &DeviceKind, columns: usize) -> Line<'static> {
    let signs = match kind.signs.len() {
        0 => "at rest".to_owned(),
        1 => "1 reading not at rest".to_owned(),
        some => format!("{some} readings not at rest"),
    };
    let name = kind.kind.replace('_', " ").to_uppercase();
    let mut text = format!(" {} {signs}", fit(&format!("{name} {}", kind.devices), DEVICE_COLUMNS));
    for peak in &kind.peaks {
        let part = format!(" · {} {} ({})", peak.label(&kind.kind), peak.text(), peak.device);
        if width(&text) + width(&part) < columns {
            text.push_str(&part);
        }
    }
    Line::styled(fit(&text, columns.max(1)).trim_end().to_owned(), QUIET)
}

fn row(kind: &DeviceKind, sign: &Sign, columns: usize) -> Line<'static> {
    let wide = if columns >= WIDE { 3 } else { 2 };
    let (device, label) = (DEVICE_COLUMNS * wide / 2, LABEL_COLUMNS * wide / 2);
    let full = sign.points.iter().copied().fold(0.0, f64::max);
    let left = columns.saturating_sub(device + label + VALUE_COLUMNS + 6).min(super::POINTS_MAX);
    let drawn = if sign.moves { curve(&sign.points, full, left) } else { String::new() };
    let style = if sign.moves { WARN } else { PLAIN };
    let (name, what) = (fit(&sign.device, device), fit(&sign.label(&kind.kind), label));
    Line::from(vec![
        Span::raw(format!("   {name} {what} ")),
        Span::styled(right(&sign.text(), VALUE_COLUMNS), style),
        Span::raw(format!(" {drawn}")),
    ])
}
