//! The screen as plain lines, for pipes, and as JSON, for programs.

use serde::Serialize;

use super::accelerator::Accelerator;
use super::container::{Container, short};
use super::containers;
use super::engines::name;
use super::events::{origin, sentence};
use super::hardware::{DeviceKind, Sign};
use super::screen::Screen;
use super::text::{ABSENT, age, count, duration, percent, said as or_absent, shown, span, width};
use super::verdicts;
use crate::schema::{Field, utc_text};
use crate::web::{
    AssessmentEntry, EventState, HostState, LatencyState, NatsState, RankState, SamplerStatus,
    Status, VerdictEntry,
};

/// Events in the plain form: the latest.
const EVENTS_SHOWN: usize = 10;

const HEADINGS: [&str; 14] = [
    "ENGINE",
    "MODEL",
    "STATE",
    "ACTIVITY",
    "RUN",
    "WAIT",
    "KV",
    "PRE/S",
    "DEC/S",
    "AGE",
    "LOST",
    "KNOWN BY",
    "CONTAINER",
    "MARK",
];

/// The screen as text without colours or cursor, names in full.
#[must_use]
pub fn plain(screen: &Screen) -> String {
    let status = &screen.status;
    let nats = match &status.nats {
        None => "no NATS".to_owned(),
        Some(nats) if nats.state == NatsState::Connected => format!("NATS connected {}", nats.url),
        Some(nats) => format!("NATS {} {}: {}", nats.state.name(), nats.url, nats.sentence),
    };
    let mut lines = vec![shown(&format!(
        "{} eagle-eye {} node {} up {}, {nats}",
        utc_text(screen.wall_ns),
        status.version,
        status.node,
        span(status.up_ms),
    ))];
    if screen.simulated() {
        lines.push("SIMULATED: what is marked SIMULATED is made up, not measured".to_owned());
    }
    if let Err(sentence) = &status.ready {
        lines.push(format!("NOT READY: {}", shown(sentence)));
    }
    lines.extend(engine_lines(&screen.engines));
    lines.extend(screen.latencies.iter().map(latency_line));
    lines.extend(
        screen.gauges.iter().map(|gauge| format!("host {}: {}", shown(&gauge.label), gauge.text)),
    );
    for container in &screen.containers {
        let name = containers::name(container);
        lines.push(shown(&format!("container {name}: {}", containers::sentence(container))));
    }
    for device in &screen.devices {
        let (kind, name, text) = (&device.said.kind, device.name(), device.sentence());
        lines.push(shown(&format!("device {kind} {name}: {text}")));
    }
    let open = screen.verdicts.iter().chain(&screen.verdicts_resolved);
    lines.extend(open.map(|verdict| verdicts::line(verdict, screen.wall_ns)));
    lines.extend(screen.assessments.iter().map(|of| {
        let (kind, subject, health) = (&of.subject_kind, &of.subject, of.health.name());
        shown(&format!(
            "assessment {kind} {subject}: {health} since {}",
            utc_text(of.since_wall_ns)
        ))
    }));
    let watched = screen.hardware.iter().filter(|kind| kind.watched > 0);
    lines.extend(watched.flat_map(device_lines));
    for sampler in &status.samplers {
        let comma = if sampler.sentence.is_empty() { "" } else { ", " };
        let SamplerStatus { name, state, sentence, .. } = sampler;
        lines.push(shown(&format!("sampler {name}: {}{comma}{sentence}", state.name())));
    }
    for loss in &status.losses {
        lines.push(shown(&format!("lost at {}: {} ({})", loss.place, loss.count, loss.reason)));
    }
    for event in &screen.events[screen.events.len().saturating_sub(EVENTS_SHOWN)..] {
        let (time, severity) = (utc_text(event.wall_ns), event.severity.name());
        let origin = match origin(event) {
            none if none.is_empty() => none,
            some => format!(" ({some})"),
        };
        lines.push(format!("event {time} {severity} {}{origin}", sentence(event)));
    }
    lines.push(String::new());
    lines.join("\n")
}

fn device_lines(kind: &DeviceKind) -> Vec<String> {
    let line =
        |sign: &Sign, text: String| shown(&format!("device {} {}: {text}", kind.kind, sign.device));
    let head = shown(&format!("devices {}: {}", kind.kind, kind.devices));
    let peaks = kind.peaks.iter().map(|sign| line(sign, sign.peak(&kind.kind)));
    let signs = kind
        .signs
        .iter()
        .map(|sign| line(sign, format!("{} {}", sign.label(&kind.kind), sign.text())));
    std::iter::once(head).chain(peaks).chain(signs).collect()
}

fn engine_lines(engines: &[RankState]) -> Vec<String> {
    if engines.is_empty() {
        return vec!["no engines found yet".to_owned()];
    }
    let mut rows = vec![HEADINGS.map(str::to_owned)];
    rows.extend(engines.iter().map(cells));
    let mut widths = [0; HEADINGS.len()];
    for row in &rows {
        for (widest, cell) in widths.iter_mut().zip(row) {
            *widest = width(cell).max(*widest);
        }
    }
    let line = |row: &[String; HEADINGS.len()]| {
        let pad =
            |(cell, columns): (&String, usize)| cell.clone() + &" ".repeat(columns - width(cell));
        let cells: Vec<String> = row.iter().zip(widths).map(pad).collect();
        cells.join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

fn latency_line(of: &LatencyState) -> String {
    let kinds = [
        ("first token", of.ttft),
        ("between tokens", of.inter_token),
        ("whole request", of.end_to_end),
    ];
    let times = kinds.iter().filter_map(|(what, quantiles)| {
        quantiles.map(|of| format!("{what} {}/{}", duration(of.p50_ms), duration(of.p99_ms)))
    });
    let times: Vec<String> = times.collect();
    shown(&format!("latency {} (p50/p99): {}", of.engine, times.join(", ")))
}

fn cells(rank: &RankState) -> [String; HEADINGS.len()] {
    let said =
        |field, show: fn(f64) -> String| rank.value(field).map_or_else(|| ABSENT.to_owned(), show);
    [
        shown(&name(rank)),
        if rank.model.is_empty() { ABSENT.to_owned() } else { shown(&rank.model) },
        rank.freshness.to_string(),
        rank.activity.to_string(),
        said(Field::Running, count),
        said(Field::Waiting, count),
        said(Field::KvUsage, percent),
        said(Field::PrefillRate, count),
        said(Field::DecodeRate, count),
        age(rank.age_ms),
        rank.lost.to_string(),
        shown(or_absent(&rank.source)),
        shown(or_absent(short(&rank.container))),
        if rank.simulated { "SIMULATED".to_owned() } else { String::new() },
    ]
}

/// The screen as one line of JSON: `time`, `status`, `ranks`, `latencies`, `host`
/// and `events`, each as the routes of `/v1` say it; and what is made of the
/// readings of `host`, `containers` with their rates and engines, and
/// `hardware` with what is not at rest; `devices` with health and engines;
/// `verdicts` that stand, `verdicts_resolved`, and `assessments`.
#[must_use]
pub fn json(screen: &Screen) -> String {
    #[derive(Serialize)]
    struct Told<'a> {
        time: String,
        simulated: bool,
        status: &'a Status,
        ranks: &'a [RankState],
        latencies: &'a [LatencyState],
        host: &'a HostState,
        containers: &'a [Container],
        hardware: &'a [DeviceKind],
        devices: &'a [Accelerator],
        verdicts: Vec<VerdictEntry>,
        verdicts_resolved: Vec<VerdictEntry>,
        assessments: Vec<AssessmentEntry>,
        events: Vec<EventState>,
    }
    let told = Told {
        time: utc_text(screen.wall_ns),
        simulated: screen.simulated(),
        status: &screen.status,
        ranks: &screen.engines,
        latencies: &screen.latencies,
        host: &screen.host,
        containers: &screen.containers,
        hardware: &screen.hardware,
        devices: &screen.devices,
        verdicts: screen.verdicts.iter().map(|of| VerdictEntry::of(of)).collect(),
        verdicts_resolved: screen.verdicts_resolved.iter().map(|of| VerdictEntry::of(of)).collect(),
        assessments: screen.assessments.iter().map(AssessmentEntry::of).collect(),
        events: screen.events.iter().map(EventState::of).collect(),
    };
    serde_json::to_string(&told).unwrap_or_else(|error| format!("{{\"error\":\"{error}\"}}"))
}
