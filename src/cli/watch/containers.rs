//! The table of containers.

use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::container::{Container, short};
use super::draw::{PLAIN, Page, QUIET, WARN};
use super::screen::Screen;
use super::text::{ABSENT, age, bar, bytes, count, fit, percent, percent_fine, right, said};
use super::ui::Ui;

/// One column: its heading, its columns of text, from which width of the
/// terminal on and below which it is there, and what stands in it.
struct Column {
    title: &'static str,
    columns: usize,
    from: usize,
    until: usize,
    text: fn(&Container) -> String,
}

/// The columns after the container's name, which takes what they leave.
const COLUMNS: &[Column] = &[
    column("ID", 12, 170, id),
    column("POD", 8, WIDE, pod),
    Column { until: ROOMY, ..column("ENGINE", 12, 76, |c| fit(&engine(c), 12)) },
    Column { until: WIDE, ..column("ENGINE", 22, ROOMY, |c| fit(&engine(c), 22)) },
    column("ENGINE", 28, WIDE, |c| fit(&engine(c), 28)),
    column("STATE", 7, 0, |c| fit(said(c.state), 7)),
    column("CPU CORES", 9, 40, cpu),
    column("THROT", 5, 60, |c| share(c.throttled_ratio)),
    column("MEMORY", 10, 30, memory),
    column("      USED", 10, 110, |c| size(c.memory_used())),
    column("     LIMIT", 10, 110, |c| size(c.memory_limit_bytes)),
    column("  PSI", 5, 60, |c| share(c.memory_pressure_ratio)),
    column("TASKS", 5, 70, |c| number(c.tasks)),
    column(" OOM", 4, 70, |c| number(c.oom_kills)),
    column("    AGE", 7, 100, |c| age(c.age_ms)),
];

/// From these widths on engines have more room for their names.
const ROOMY: usize = 120;
const WIDE: usize = 150;

/// A column from a width on.
const fn column(
    title: &'static str,
    columns: usize,
    from: usize,
    text: fn(&Container) -> String,
) -> Column {
    Column { title, columns, from, until: usize::MAX, text }
}

const NAME_COLUMNS_MIN: usize = 8;
const NAME_COLUMNS_MAX: usize = 48;

pub(super) fn page(screen: &Screen, ui: &Ui, columns: usize) -> Page {
    if screen.containers.is_empty() {
        return Page::of(empty());
    }
    let mut containers: Vec<&Container> =
        screen.containers.iter().filter(|container| ui.wants(&words(container))).collect();
    if containers.is_empty() {
        let text = format!(" None of {} containers has this in it.", screen.containers.len());
        return Page::of(vec![Line::raw(text)]);
    }
    containers.sort_by(|a, b| ui.container_sort.order(a, b));
    let shown: Vec<&Column> =
        COLUMNS.iter().filter(|column| (column.from..column.until).contains(&columns)).collect();
    let taken: usize = shown.iter().map(|column| column.columns + 1).sum();
    let name_columns = columns.saturating_sub(taken + 2).clamp(NAME_COLUMNS_MIN, NAME_COLUMNS_MAX);
    let mut heading = format!(" {}", fit("CONTAINER", name_columns));
    for column in &shown {
        heading.push(' ');
        heading.push_str(&fit(column.title, column.columns));
    }
    let rows = containers.into_iter().map(|container| row(container, name_columns, &shown));
    Page { heading: vec![Line::styled(heading, QUIET)], ..Page::of(rows.collect()) }
}

fn row(container: &Container, name_columns: usize, shown: &[&Column]) -> Line<'static> {
    let style = style(container.state);
    let mut text = format!(" {}", fit(name(container), name_columns));
    for column in shown {
        text.push(' ');
        text.push_str(&fit(&right(&(column.text)(container), column.columns), column.columns));
    }
    Line::from(Span::styled(text, style))
}

/// What people call it: a name that is an id is shortened as ids are.
pub(super) fn name(container: &Container) -> &str {
    if container.name == container.container { short(&container.name) } else { &container.name }
}

/// What a search looks at.
fn words(container: &Container) -> String {
    let Container { name, container: id, pod, state, engines, .. } = container;
    format!("{name} {id} {pod} {state} {}", engines.join(" "))
}

fn style(state: &str) -> Style {
    match state {
        "frozen" => WARN,
        "empty" => QUIET,
        _ => PLAIN,
    }
}

fn id(container: &Container) -> String {
    fit(said(short(&container.container)), 12)
}

fn pod(container: &Container) -> String {
    fit(said(container.pod.get(..8).unwrap_or(&container.pod)), 8)
}

/// The engine in it, with how many more there are.
pub(super) fn engine(container: &Container) -> String {
    match container.engines.as_slice() {
        [] => String::new(),
        [one] => one.clone(),
        [one, rest @ ..] => format!("{one} +{}", rest.len()),
    }
}

/// Cores in use, of those that it may use.
pub(super) fn cpu(container: &Container) -> String {
    let cores = |cores: f64| match cores {
        whole if whole.fract() == 0.0 && whole > 0.0 => count(whole),
        few if few < 9.995 => format!("{few:.2}"),
        some if some < 99.95 => format!("{some:.1}"),
        many => count(many),
    };
    match (container.cpu_cores, container.cpu_quota_cores) {
        (None, None) => ABSENT.to_owned(),
        (used, quota) => {
            let used = used.map_or_else(|| ABSENT.to_owned(), cores);
            let quota = quota.map(|quota| format!("/{}", cores(quota))).unwrap_or_default();
            format!("{}{}", right(&used, 4), fit(&quota, 5))
        }
    }
}

/// The share of the limit; what is used where there is none.
fn memory(container: &Container) -> String {
    match (container.memory_ratio(), container.memory_used()) {
        (Some(share), _) => format!("{} {:>4}", bar(share, 5), percent(share)),
        (None, used) => size(used),
    }
}

fn size(value: Option<f64>) -> String {
    value.map_or_else(|| ABSENT.to_owned(), bytes)
}

fn share(value: Option<f64>) -> String {
    value.map_or_else(|| ABSENT.to_owned(), percent_fine)
}

fn number(value: Option<f64>) -> String {
    value.map_or_else(|| ABSENT.to_owned(), count)
}

/// A container in plain words, after its name.
pub(super) fn sentence(container: &Container) -> String {
    let mut words = Vec::new();
    let mut say = |label: &str, text: String| {
        if !text.is_empty() && text != ABSENT {
            words.push(format!("{label}{text}"));
        }
    };
    say("", container.state.to_owned());
    say("id ", short(&container.container).to_owned());
    say("pod ", container.pod.clone());
    say("engines ", container.engines.join(" "));
    say("CPU cores ", cpu(container).trim().to_owned());
    say("throttled ", share(container.throttled_ratio));
    let limit = container.memory_limit_bytes.map(|limit| format!(" of {}", bytes(limit)));
    say("memory ", size(container.memory_used()) + &limit.unwrap_or_default());
    say("memory pressure ", share(container.memory_pressure_ratio));
    say("tasks ", number(container.tasks));
    say("OOM kills ", number(container.oom_kills));
    say("age ", age(container.age_ms));
    words.join(", ")
}

fn empty() -> Vec<Line<'static>> {
    [
        " No containers found.",
        "",
        " A container appears here with its CPU, memory and pressure as soon as the",
        " cgroup sampler finds its control group; 5 shows how that sampler is.",
    ]
    .into_iter()
    .map(Line::raw)
    .collect()
}
