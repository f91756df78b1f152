//! The devices' part of the host: kind by kind, what is not at rest.

use ratatui::text::{Line, Span};

use super::draw::{PLAIN, QUIET, WARN};
use super::hardware::{DeviceKind, Sign};
use super::screen::Screen;
use super::text::{curve, cut, fit, right, width};

const VALUE_COLUMNS: usize = 10;

/// The rows under the node's load; none of a kind that says nothing.
pub(super) fn rows(screen: &Screen, columns: usize) -> Vec<Line<'static>> {
    let mut rows = Vec::new();
    for kind in screen.hardware.iter().filter(|kind| kind.watched > 0) {
        rows.push(Line::raw(""));
        rows.push(head(kind, columns));
        rows.extend(kind.signs.iter().map(|sign| row(kind, sign, columns)));
    }
    rows
}

/// The kind, how many there are, how many readings are not at rest, and the
/// largest of what has a most.
fn head(kind: &DeviceKind, columns: usize) -> Line<'static> {
    let name = kind.kind.replace('_', " ").to_uppercase();
    let label = format!("{name} {}", kind.devices);
    let mut text = format!(" {}", fit(&label, device_columns(columns) + 2));
    let peaks =
        kind.peaks.iter().map(|peak| format!("{} ({})", peak.peak(&kind.kind), peak.device));
    for (at, part) in std::iter::once(signs(kind)).chain(peaks).enumerate() {
        let part = format!("{} {part}", if at == 0 { "" } else { " ·" });
        if at == 0 || width(&text) + width(&part) < columns {
            text.push_str(&part);
        }
    }
    Line::styled(cut(&text, columns), QUIET)
}

fn signs(kind: &DeviceKind) -> String {
    match kind.signs.len() {
        0 => "at rest".to_owned(),
        1 => "1 reading not at rest".to_owned(),
        some => format!("{some} readings not at rest"),
    }
}

fn row(kind: &DeviceKind, sign: &Sign, columns: usize) -> Line<'static> {
    let device = device_columns(columns);
    let label = columns.saturating_sub(device + VALUE_COLUMNS + 22).clamp(12, 36);
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

/// Columns of a device's name.
fn device_columns(columns: usize) -> usize {
    (columns / 4).clamp(10, 30)
}
