//! `eagle-eye list`: what this build can sample, say and be told.

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::say;
use super::table::{columns, table};
use crate::config;
use crate::diagnosis::rules;
use crate::engine::samplers;
use crate::schema::{METRICS, Metric, MetricKind};

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
    /// Every sampler: what it reads, how often, and what it gives.
    Samplers,
    /// Every metric: its unit, the device it belongs to, its sampler and source.
    Metrics,
    /// Every setting: its default and what it means.
    Settings,
    /// Every rule of the diagnosis: what it says, and the page that explains it.
    Rules,
}

#[derive(Debug, Serialize)]
struct SamplerRow {
    name: &'static str,
    period_ms: u64,
    source: &'static str,
    summary: &'static str,
    steps: bool,
    metrics: Vec<&'static str>,
    settings: Vec<SettingRow>,
}

#[derive(Debug, Serialize)]
struct MetricRow {
    id: u16,
    name: &'static str,
    unit: &'static str,
    kind: &'static str,
    device: &'static str,
    sampler: &'static str,
    help: &'static str,
}

#[derive(Debug, Serialize)]
struct SettingRow {
    key: String,
    default: String,
    help: &'static str,
}

#[derive(Debug, Serialize)]
struct RuleRow {
    name: &'static str,
    summary: &'static str,
    page: String,
}

pub(super) fn main(arguments: &Arguments) -> u8 {
    match arguments.what {
        What::Samplers => {
            list(&sampler_rows(), arguments.json, ["SAMPLER", "PERIOD", "WHAT"], |row| {
                let period = format!("{} ms", row.period_ms);
                [row.name.into(), period, format!("{} Source: {}.", row.summary, row.source)]
            });
        }
        What::Metrics => {
            let heading = ["METRIC", "UNIT", "KIND", "DEVICE", "SAMPLER", "WHAT (SOURCE)"];
            list(&metric_rows(), arguments.json, heading, |row| {
                [row.name, row.unit, row.kind, row.device, row.sampler, row.help].map(String::from)
            });
        }
        What::Settings => {
            list(&setting_rows(), arguments.json, ["SETTING", "DEFAULT", "WHAT"], |row| {
                [row.key.clone(), row.default.clone(), row.help.into()]
            });
        }
        What::Rules => {
            list(&rule_rows(), arguments.json, ["RULE", "WHAT", "PAGE"], |row| {
                [row.name.into(), row.summary.into(), row.page.clone()]
            });
        }
    }
    0
}

fn list<T: Serialize, const N: usize>(
    rows: &[T],
    json: bool,
    heading: [&str; N],
    cells: impl Fn(&T) -> [String; N],
) {
    if json {
        say(&serde_json::to_string_pretty(rows).unwrap_or_default());
    } else {
        let rows: Vec<_> = rows.iter().map(cells).collect();
        say(&table(heading, &rows, columns()));
    }
}

fn sampler_rows() -> Vec<SamplerRow> {
    let row = |entry: &&samplers::Entry| SamplerRow {
        name: entry.name,
        period_ms: entry.period_ms,
        source: entry.source,
        summary: entry.summary,
        steps: entry.steps,
        metrics: entry.metrics.iter().map(|metric| metric.row().name).collect(),
        settings: {
            let prefix = format!("samplers.{}.", entry.name);
            setting_rows().into_iter().filter(|row| row.key.starts_with(&prefix)).collect()
        },
    };
    samplers::ALL.iter().map(row).collect()
}

fn metric_rows() -> Vec<MetricRow> {
    let row = |metric: &Metric| MetricRow {
        id: metric.id as u16,
        name: metric.name,
        unit: metric.unit.name(),
        kind: match metric.kind {
            MetricKind::Gauge => "gauge",
            MetricKind::Counter => "counter",
        },
        device: metric.device_kind,
        sampler: samplers::ALL
            .iter()
            .find(|entry| entry.metrics.contains(&metric.id))
            .map_or("", |entry| entry.name),
        help: metric.help,
    };
    METRICS.iter().map(row).collect()
}

fn rule_rows() -> Vec<RuleRow> {
    let row = |rule: &&crate::diagnosis::Entry| RuleRow {
        name: rule.name,
        summary: rule.summary,
        page: format!("docs/rules/{}.md", rule.name),
    };
    rules::ALL.iter().map(row).collect()
}

fn setting_rows() -> Vec<SettingRow> {
    let row = |setting: config::SettingDoc| SettingRow {
        key: setting.key,
        default: setting.default,
        help: setting.help,
    };
    config::settings().into_iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_has_one_sampler_that_gives_it() {
        for row in metric_rows() {
            let givers = samplers::ALL
                .iter()
                .filter(|entry| entry.metrics.iter().any(|m| *m as u16 == row.id));
            assert_eq!(givers.count(), 1, "{}: name it in its sampler's `metrics`", row.name);
        }
    }

    #[test]
    fn every_rule_names_a_page_that_exists() {
        for row in rule_rows() {
            let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(&row.page);
            assert!(page.is_file(), "{}", row.page);
        }
    }
}
