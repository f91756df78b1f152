//! `eagle-eye list`: what this build can sample and say.

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::say;
use crate::engine::samplers;
use crate::schema::{METRICS, MetricKind};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// What to list.
    #[arg(value_enum)]
    what: What,

    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum What {
    /// Every sampler: what it reads and how often.
    Samplers,
    /// Every metric: its unit, the device it belongs to, its source.
    Metrics,
}

#[derive(Debug, Serialize)]
struct SamplerRow {
    name: &'static str,
    period_ms: u64,
    source: &'static str,
    summary: &'static str,
}

#[derive(Debug, Serialize)]
struct MetricRow {
    id: u16,
    name: &'static str,
    unit: &'static str,
    kind: &'static str,
    device: &'static str,
    help: &'static str,
}

pub(super) fn main(arguments: &Arguments) -> u8 {
    match arguments.what {
        What::Samplers => list(&sampler_rows(), arguments.json, |row| {
            let period = format!("{} ms", row.period_ms);
            format!("{:<12} {period:>9}  {}\n{:24}{}", row.name, row.summary, "", row.source)
        }),
        What::Metrics => list(&metric_rows(), arguments.json, |row| {
            format!(
                "{:>4}  {:<36} {:<8} {:<9} {}",
                row.id, row.name, row.kind, row.device, row.help
            )
        }),
    }
    0
}

fn list<T: Serialize>(rows: &[T], json: bool, line: impl Fn(&T) -> String) {
    if json {
        say(&serde_json::to_string_pretty(rows).unwrap_or_default());
    } else {
        rows.iter().for_each(|row| say(&line(row)));
    }
}

fn sampler_rows() -> Vec<SamplerRow> {
    let row = |entry: &&samplers::Entry| SamplerRow {
        name: entry.name,
        period_ms: entry.period_ms,
        source: entry.source,
        summary: entry.summary,
    };
    samplers::ALL.iter().map(row).collect()
}

fn metric_rows() -> Vec<MetricRow> {
    let row = |metric: &crate::schema::Metric| MetricRow {
        id: metric.id as u16,
        name: metric.name,
        unit: metric.unit.name(),
        kind: match metric.kind {
            MetricKind::Gauge => "gauge",
            MetricKind::Counter => "counter",
        },
        device: metric.device_kind,
        help: metric.help,
    };
    METRICS.iter().map(row).collect()
}
