//! The table of engines.

use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};

use super::accelerators::colour;
use super::container::short;
use super::draw::{BAD, PLAIN, Page, QUIET, WARN};
use super::screen::Screen;
use super::text::{ABSENT, age, bar, count, duration, fit, percent, right, said, width};
use super::ui::Ui;
use crate::schema::{Field, Freshness, Health};
use crate::web::{LatencyState, Quantiles, RankState};

/// One column: its heading, its columns of text, from which width of the
/// terminal on it is there, and what stands in it.
struct Column {
    title: &'static str,
    columns: usize,
    from: usize,
    text: fn(&Row<'_>) -> String,
}

/// A rank, and how long its engine's requests took.
struct Row<'a> {
    rank: &'a RankState,
    latency: Option<&'a LatencyState>,
    health: Option<Health>,
}

/// The columns after the engine's name, which takes what they leave.
const COLUMNS: &[Column] = &[
    Column { title: "MODEL", columns: 28, from: 140, text: |row| fit(&row.rank.model, 28) },
    Column { title: "STATE", columns: 15, from: 0, text: |row| state(row.rank) },
    Column { title: HEALTH, columns: 9, from: 100, text: |row| fit(health(row), 9) },
    Column { title: "  RUN", columns: 5, from: 0, text: |row| number(row, Field::Running) },
    Column { title: " WAIT", columns: 5, from: 0, text: |row| number(row, Field::Waiting) },
    Column { title: "KV CACHE", columns: 13, from: 72, text: |row| cache(row.rank) },
    Column { title: " PRE/S", columns: 6, from: 100, text: |row| number(row, Field::PrefillRate) },
    Column { title: " DEC/S", columns: 6, from: 72, text: |row| number(row, Field::DecodeRate) },
    Column { title: TTFT, columns: 12, from: 150, text: |row| times(row, |of| of.ttft) },
    Column { title: TOKENS, columns: 12, from: 150, text: |row| times(row, |of| of.inter_token) },
    Column { title: "    AGE", columns: 7, from: 0, text: |row| age(row.rank.age_ms) },
    Column { title: " LOST", columns: 5, from: 110, text: |row| count(row.rank.lost as f64) },
    Column { title: "KNOWN BY", columns: 9, from: 90, text: |row| fit(said(&row.rank.source), 9) },
    Column { title: "CONTAINER", columns: 12, from: 160, text: |row| container(row.rank) },
    Column { title: "ENDPOINT", columns: 32, from: 190, text: |row| fit(&row.rank.endpoint, 32) },
];

/// Arrival to first token, and between two tokens: what half and ninety-nine
/// of a hundred did not exceed.
const TTFT: &str = "TTFT P50/P99";
const TOKENS: &str = " ITL P50/P99";

/// How well the engine is; a mark before its name where there is no room.
const HEALTH: &str = "HEALTH";

const NAME_COLUMNS_MIN: usize = 10;
const NAME_COLUMNS_MAX: usize = 48;

/// Where times are shown, columns from this width on make room until a name has
/// as much.
const SPARE_FROM: usize = 150;
const NAME_COLUMNS_WANTED: usize = 18;

pub(super) fn page(screen: &Screen, ui: &Ui, columns: usize) -> Page {
    if screen.engines.is_empty() {
        return Page::of(empty());
    }
    let mut ranks: Vec<&RankState> =
        screen.engines.iter().filter(|rank| ui.wants(&words(rank))).collect();
    if ranks.is_empty() {
        let text = format!(" None of {} engines has this in it.", screen.engines.len());
        return Page::of(vec![Line::raw(text)]);
    }
    let is_judged = ranks.iter().any(|rank| screen.engine_health(&rank.engine).is_some());
    let shown = shown(columns, !screen.latencies.is_empty(), is_judged);
    let taken = taken(&shown);
    let name_columns = columns.saturating_sub(taken + 2).clamp(NAME_COLUMNS_MIN, NAME_COLUMNS_MAX);
    let mut heading = format!(" {}", fit("ENGINE", name_columns));
    for column in &shown {
        heading.push(' ');
        heading.push_str(&fit(column.title, column.columns));
    }
    ranks.sort_by(|a, b| ui.sort.order(a, b));
    let shared = Shared::of(&screen.engines, name_columns);
    let rows = ranks
        .into_iter()
        .map(|rank| Row {
            rank,
            latency: screen.latency(&rank.engine),
            health: screen.engine_health(&rank.engine),
        })
        .map(|one| line(&one, &shared, &shown))
        .collect();
    Page { heading: vec![Line::styled(heading, QUIET)], ..Page::of(rows) }
}

/// The columns that a terminal has room for. Where no engine tells its times,
/// none is left free for them; so where no judge says how well any is.
fn shown(columns: usize, has_times: bool, is_judged: bool) -> Vec<&'static Column> {
    let is_time = |column: &&Column| column.title == TTFT || column.title == TOKENS;
    let mut shown: Vec<&Column> = COLUMNS
        .iter()
        .filter(|column| columns >= column.from && (has_times || !is_time(column)))
        .filter(|column| is_judged || column.title != HEALTH)
        .collect();
    while has_times && taken(&shown) + 2 + NAME_COLUMNS_WANTED > columns {
        let last = shown.iter().enumerate().max_by_key(|(_, column)| column.from);
        let Some((at, _)) = last.filter(|(_, column)| column.from >= SPARE_FROM) else { break };
        shown.remove(at);
    }
    shown
}

fn taken(shown: &[&Column]) -> usize {
    shown.iter().map(|column| column.columns + 1).sum()
}

fn line(row: &Row<'_>, shared: &Shared, shown: &[&Column]) -> Line<'static> {
    let rank = row.rank;
    let style = style(rank.freshness);
    let mut spans = vec![Span::raw(" ")];
    let mut name_columns = shared.columns;
    let name = shared.left_out(rank);
    if rank.simulated {
        spans.push(Span::styled("SIM ", WARN.add_modifier(Modifier::BOLD)));
        name_columns = name_columns.saturating_sub(4);
    }
    let ill = row.health.filter(|of| !matches!(of, Health::Healthy | Health::Unknown));
    if let Some(health) = ill {
        spans.push(Span::styled("! ", colour(health).add_modifier(Modifier::BOLD)));
        name_columns = name_columns.saturating_sub(2);
    }
    spans.push(Span::styled(fit(&name, name_columns), style));
    for column in shown {
        let text = fit(&right(&(column.text)(row), column.columns), column.columns);
        let style = if column.title == HEALTH { row.health.map_or(style, colour) } else { style };
        spans.push(Span::styled(format!(" {text}"), style));
    }
    Line::from(spans)
}

/// What all names begin and end with, bytes; left out where names are too long
/// for their column, or pods of one deployment would all look alike.
struct Shared {
    columns: usize,
    head: usize,
    tail: usize,
}

impl Shared {
    fn of(ranks: &[RankState], columns: usize) -> Self {
        let long = |rank: &RankState| width(&name(rank)) + if rank.simulated { 4 } else { 0 };
        let Some(first) = ranks.first().filter(|_| ranks.iter().any(|r| long(r) > columns)) else {
            return Self { columns, head: 0, tail: 0 };
        };
        let (mut head, mut tail) = (first.engine.as_str(), first.engine.as_str());
        for rank in ranks {
            let same = head.chars().zip(rank.engine.chars()).take_while(|(a, b)| a == b);
            head = &head[..same.map(|(c, _)| c.len_utf8()).sum()];
            let same = tail.chars().rev().zip(rank.engine.chars().rev());
            let bytes: usize = same.take_while(|(a, b)| a == b).map(|(c, _)| c.len_utf8()).sum();
            tail = &tail[tail.len() - bytes..];
        }
        // A name is left out whole words at a time, and never all of it.
        let head = head.char_indices().rfind(|(_, c)| !c.is_alphanumeric());
        let head = head.map_or(0, |(at, c)| at + c.len_utf8());
        let tail = tail.find(|c: char| !c.is_alphanumeric()).map_or(0, |at| tail.len() - at);
        let shortest = ranks.iter().map(|rank| rank.engine.len()).min().unwrap_or(0);
        if head + tail < shortest {
            Self { columns, head, tail }
        } else {
            Self { columns, head: 0, tail: 0 }
        }
    }

    fn left_out(&self, rank: &RankState) -> String {
        let dots = |bytes| if bytes > 0 { "…" } else { "" };
        let middle = &rank.engine[self.head..rank.engine.len() - self.tail];
        format!("{}{middle}{}{}", dots(self.head), dots(self.tail), place(rank))
    }
}

/// The engine, with rank and front end where there are several.
pub(super) fn name(rank: &RankState) -> String {
    rank.engine.clone() + &place(rank)
}

fn place(rank: &RankState) -> String {
    let mut name = String::new();
    if rank.rank > 0 {
        name.push_str(&format!(" #{}", rank.rank));
    }
    if rank.producers > 1 {
        name.push_str(&format!(" {}/{}", rank.producer + 1, rank.producers));
    }
    name
}

/// What a search looks at.
fn words(rank: &RankState) -> String {
    let RankState { model, endpoint, source, container, pod, freshness, activity, .. } = rank;
    format!("{} {model} {endpoint} {source} {container} {pod} {freshness} {activity}", name(rank))
}

fn container(rank: &RankState) -> String {
    fit(said(short(&rank.container)), 12)
}

const fn style(freshness: Freshness) -> Style {
    match freshness {
        Freshness::Fresh => PLAIN,
        Freshness::Stale => WARN,
        Freshness::Silent => BAD,
        Freshness::Gone => QUIET,
    }
}

fn state(rank: &RankState) -> String {
    format!("{:6} {:8}", rank.freshness, rank.activity)
}

fn health(row: &Row<'_>) -> &'static str {
    row.health.map_or(ABSENT, Health::name)
}

fn number(row: &Row<'_>, field: Field) -> String {
    row.rank.value(field).map_or_else(|| ABSENT.to_owned(), count)
}

fn times(row: &Row<'_>, of: fn(&LatencyState) -> Option<Quantiles>) -> String {
    let quantiles = row.latency.and_then(of);
    quantiles.map_or_else(
        || ABSENT.to_owned(),
        |of| format!("{}/{}", duration(of.p50_ms), duration(of.p99_ms)),
    )
}

fn cache(rank: &RankState) -> String {
    match rank.value(Field::KvUsage) {
        Some(share) => format!("{} {:>4}", bar(share, 8), percent(share)),
        None => fit(ABSENT, 13),
    }
}

fn empty() -> Vec<Line<'static>> {
    [
        " No engines found yet.",
        "",
        " An engine appears here as soon as it reports its steps to this agent, by",
        " ten lines in it (python/README.md), or is found by its Prometheus page.",
        "",
        " To look around without one: eagle-eye run --demo",
    ]
    .into_iter()
    .map(Line::raw)
    .collect()
}

#[cfg(test)]
mod tests {
    use bytemuck::Zeroable;

    use super::*;
    use crate::newest::NewestStep;
    use crate::schema::Engine;

    #[test]
    fn names_too_long_leave_out_the_words_that_all_share() {
        let check = |names: &[&str], columns, expected: &[&str]| {
            let rank = |name: &&str| {
                let engine = Engine::named(name, "m");
                RankState::of(&NewestStep::zeroed(), Some(&engine), 0)
            };
            let ranks: Vec<RankState> = names.iter().map(rank).collect();
            let shared = Shared::of(&ranks, columns);
            let seen: Vec<String> = ranks.iter().map(|rank| shared.left_out(rank)).collect();
            assert_eq!(seen, expected);
        };
        check(&["pod-a.svc:80", "pod-b.svc:80"], 20, &["pod-a.svc:80", "pod-b.svc:80"]);
        check(&["pod-a.svc:80", "pod-b.svc:80"], 8, &["…a…", "…b…"]);
        check(&["pod-12.svc", "pod-112.svc"], 8, &["…12…", "…112…"]);
        check(&["one.svc", "quite.another.svc"], 8, &["one…", "quite.another…"]);
        check(&["same-name", "same-name"], 4, &["same-name", "same-name"]);
        check(&["···é···", "···é···"], 4, &["···é···", "···é···"]);
        check(&["é·模a", "é·模b", "é·模"], 3, &["…模a", "…模b", "…模"]);
        check(&["", "a-long-name"], 4, &["", "a-long-name"]);
    }
}
