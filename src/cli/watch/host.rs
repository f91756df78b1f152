//! The node's load, and under it the node's devices.

use ratatui::text::{Line, Span};

use super::devices;
use super::draw::{Page, QUIET};
use super::gauges::Gauge;
use super::screen::Screen;
use super::text::{bar, curve, fit, level, right};

const LABEL_COLUMNS: usize = 20;
const TEXT_COLUMNS: usize = 20;
const BAR_COLUMNS: usize = 12;

pub(super) fn page(screen: &Screen, columns: usize) -> Page {
    if screen.gauges.is_empty() && screen.hardware.is_empty() {
        let text = " Nothing read yet; 7 shows how the samplers are.";
        return Page::of(vec![Line::raw(text)]);
    }
    let mut rows = cores(&screen.cores, columns);
    rows.extend(screen.gauges.iter().map(|gauge| row(gauge, columns)));
    rows.extend(devices::rows(screen, columns));
    let heading = format!(
        " {} {} {} LAST {} SECONDS",
        fit("", LABEL_COLUMNS),
        right("NOW", TEXT_COLUMNS),
        fit("", BAR_COLUMNS),
        curve_columns(columns),
    );
    Page { heading: vec![Line::styled(heading, QUIET)], ..Page::of(rows) }
}

/// A row of load: label, value, bar, curve.
pub(super) fn row(gauge: &Gauge, columns: usize) -> Line<'static> {
    let curve_columns = curve_columns(columns);
    let bar = gauge.share.map_or_else(|| " ".repeat(BAR_COLUMNS), |share| bar(share, BAR_COLUMNS));
    Line::from(vec![
        Span::styled(format!(" {} ", fit(&gauge.label, LABEL_COLUMNS)), QUIET),
        Span::raw(format!("{} {bar} ", right(&gauge.text, TEXT_COLUMNS))),
        Span::raw(curve(&gauge.points, gauge.full, curve_columns)),
    ])
}

/// Columns left for the curve: as many seconds does it show.
fn curve_columns(columns: usize) -> usize {
    let used = 1 + LABEL_COLUMNS + 1 + TEXT_COLUMNS + 1 + BAR_COLUMNS + 1;
    columns.saturating_sub(used + 1).min(super::POINTS_MAX)
}

/// One character a core, in groups of eight.
fn cores(cores: &[f64], columns: usize) -> Vec<Line<'static>> {
    let in_row = (columns.saturating_sub(LABEL_COLUMNS + 2) / 9 * 8).max(8);
    let rows = cores.chunks(in_row).enumerate().map(|(at, part)| {
        let label = if at == 0 { format!("{} cores", cores.len()) } else { String::new() };
        let groups: Vec<String> =
            part.chunks(8).map(|group| group.iter().map(|share| level(*share)).collect()).collect();
        Line::from(vec![
            Span::styled(format!(" {} ", fit(&label, LABEL_COLUMNS)), QUIET),
            Span::raw(groups.join(" ")),
        ])
    });
    rows.collect()
}
