//! The table of accelerators.

use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};

use super::accelerator::Accelerator;
use super::draw::{BAD, PLAIN, Page, QUIET, WARN};
use super::screen::Screen;
use super::text::{ABSENT, bytes, count, fit, percent, right, said};
use super::ui::Ui;
use crate::schema::{Health, MetricId};

/// One column: its heading, its columns of text, from which width of the
/// terminal on it is there, and what stands in it at an instant.
struct Column {
    title: &'static str,
    columns: usize,
    from: usize,
    text: fn(&Accelerator, u64) -> String,
    style: fn(&Accelerator) -> Style,
}

/// The columns after the device's name, which takes what they leave.
const COLUMNS: &[Column] = &[
    column("MODEL", 20, 115, |of, _| fit(said(of.model()), 20)),
    Column { style: health, ..column("HEALTH", 9, 0, |of, _| fit(of.health.name(), 9)) },
    Column { style: state, ..column("STATE", 9, 28, |of, _| fit(of.said.state, 9)) },
    column("  SINCE", 7, 60, since),
    column("TEMP °C", 7, 36, temperature),
    column("POWER W", 7, 70, power),
    column("UTIL", 4, 44, |of, _| share(of, MetricId::AcceleratorUtilization)),
    column(" MEM", 4, 50, |of, _| memory_share(of)),
    column("           MEMORY", 17, 130, memory),
    Column { style: throttled, ..column("THROTTLE", 8, 78, slowed) },
    Column { style: errors, ..column(" ERR", 4, 70, uncorrected) },
    column("PROC", 4, 100, |of, _| count(of.said.processes.len() as f64)),
    column("ENGINES", 22, 125, |of, _| fit(said(&engines(of)), 22)),
    column("DRIVER", 12, 160, |of, _| fit(said(&of.said.driver), 12)),
];

/// A column from a width on.
const fn column(
    title: &'static str,
    columns: usize,
    from: usize,
    text: fn(&Accelerator, u64) -> String,
) -> Column {
    Column { title, columns, from, text, style: |_| PLAIN }
}

const NAME_COLUMNS_MIN: usize = 8;
const NAME_COLUMNS_MAX: usize = 30;

pub(super) fn page(screen: &Screen, ui: &Ui, columns: usize) -> Page {
    if screen.devices.is_empty() {
        return Page::of(empty());
    }
    let wanted = |of: &&Accelerator| ui.wants(&words(of));
    let devices: Vec<&Accelerator> = screen.devices.iter().filter(wanted).collect();
    if devices.is_empty() {
        let text = format!(" None of {} devices has this in it.", screen.devices.len());
        return Page::of(vec![Line::raw(text)]);
    }
    let shown: Vec<&Column> = COLUMNS.iter().filter(|column| columns >= column.from).collect();
    let taken: usize = shown.iter().map(|column| column.columns + 1).sum();
    let name_columns = columns.saturating_sub(taken + 2).clamp(NAME_COLUMNS_MIN, NAME_COLUMNS_MAX);
    let mut heading = format!(" {}", fit("DEVICE", name_columns));
    for column in &shown {
        heading.push(' ');
        heading.push_str(&fit(column.title, column.columns));
    }
    let rows = devices.into_iter().map(|of| row(of, screen.wall_ns, name_columns, &shown));
    Page { heading: vec![Line::styled(heading, QUIET)], ..Page::of(rows.collect()) }
}

fn row(of: &Accelerator, wall_ns: u64, name_columns: usize, shown: &[&Column]) -> Line<'static> {
    let mut spans = vec![Span::raw(" ")];
    let mut left = name_columns;
    if of.said.simulated {
        spans.push(Span::styled("SIM ", WARN.add_modifier(Modifier::BOLD)));
        left = left.saturating_sub(4);
    }
    spans.push(Span::raw(fit(&of.name(), left)));
    for column in shown {
        let text = fit(&right(&(column.text)(of, wall_ns), column.columns), column.columns);
        spans.push(Span::styled(format!(" {text}"), (column.style)(of)));
    }
    Line::from(spans)
}

/// What a search looks at.
fn words(of: &Accelerator) -> String {
    let (model, state, pci) = (&of.said.device_model, of.said.state, &of.said.pci);
    let (name, health, engines) = (of.name(), of.health.name(), of.engines.join(" "));
    format!("{name} {model} {health} {state} {pci} {} {engines}", of.said.uuid)
}

/// The colour of a health.
pub(super) const fn colour(health: Health) -> Style {
    match health {
        Health::Failed | Health::Gone => BAD,
        Health::Degraded | Health::Suspect | Health::Resetting => WARN,
        Health::Unknown => QUIET,
        Health::Healthy => PLAIN,
    }
}

fn health(of: &Accelerator) -> Style {
    colour(of.health)
}

fn state(of: &Accelerator) -> Style {
    match of.said.state {
        "gone" | "silent" => BAD,
        "resetting" | "upgrading" => WARN,
        "unknown" => QUIET,
        _ => PLAIN,
    }
}

fn throttled(of: &Accelerator) -> Style {
    if of.throttled().is_some_and(|reason| reason != "no") { WARN } else { PLAIN }
}

fn errors(of: &Accelerator) -> Style {
    if of.value(MetricId::AcceleratorEccUncorrected).is_some_and(|n| n > 0.0) { BAD } else { PLAIN }
}

fn since(of: &Accelerator, wall_ns: u64) -> String {
    of.state_age(wall_ns).unwrap_or_else(|| ABSENT.to_owned())
}

fn slowed(of: &Accelerator, _: u64) -> String {
    fit(of.throttled().unwrap_or(ABSENT), 8)
}

fn uncorrected(of: &Accelerator, _: u64) -> String {
    of.value(MetricId::AcceleratorEccUncorrected).map_or_else(|| ABSENT.to_owned(), count)
}

fn temperature(of: &Accelerator, _: u64) -> String {
    let most = [MetricId::AcceleratorTemperatureSlowdown, MetricId::AcceleratorTemperatureShutdown];
    let most = most.into_iter().find_map(|metric| of.value(metric));
    held_against(of.value(MetricId::AcceleratorTemperature), most)
}

fn power(of: &Accelerator, _: u64) -> String {
    let most = [MetricId::AcceleratorPowerLimit, MetricId::AcceleratorPowerLimitDefault];
    let most = most.into_iter().find_map(|metric| of.value(metric));
    held_against(of.value(MetricId::AcceleratorPower), most)
}

/// `67/92`; what is not known is not there.
fn held_against(now: Option<f64>, most: Option<f64>) -> String {
    let whole = |value: f64| format!("{:.0}", value.clamp(-99.0, 9999.0));
    let most = most.map(|most| format!("/{}", whole(most))).unwrap_or_default();
    match now {
        Some(now) => format!("{}{}", whole(now), fit(&most, 4)),
        None => ABSENT.to_owned(),
    }
}

fn memory_share(of: &Accelerator) -> String {
    let (used, total) = (MetricId::AcceleratorMemoryUsed, MetricId::AcceleratorMemoryTotal);
    match (of.value(used), of.value(total)) {
        (Some(used), Some(total)) if total > 0.0 => percent(used / total),
        _ => ABSENT.to_owned(),
    }
}

fn memory(of: &Accelerator, _: u64) -> String {
    let size = |metric| of.value(metric).map_or_else(|| ABSENT.to_owned(), bytes);
    let (used, total) = (MetricId::AcceleratorMemoryUsed, MetricId::AcceleratorMemoryTotal);
    match of.value(used) {
        Some(_) => format!("{}/{}", size(used), right(&size(total), 8)),
        None => ABSENT.to_owned(),
    }
}

fn share(of: &Accelerator, metric: MetricId) -> String {
    of.value(metric).map_or_else(|| ABSENT.to_owned(), percent)
}

fn engines(of: &Accelerator) -> String {
    match of.engines.as_slice() {
        [] => String::new(),
        [one] => one.clone(),
        [one, rest @ ..] => format!("{one} +{}", rest.len()),
    }
}

fn empty() -> Vec<Line<'static>> {
    [
        " No accelerators found.",
        "",
        " GPUs and NPUs appear here where their driver's library is installed:",
        " NVML for NVIDIA, DCMI for Ascend. eagle-eye doctor says what is missing.",
    ]
    .into_iter()
    .map(Line::raw)
    .collect()
}
