//! `eagle-eye bench`: how fast and how complete is the road over *your* NATS?

use std::time::Duration;

use clap::Args;

use super::{TROUBLE, USAGE, say, shared, signals};
use crate::engine::{MeasurePlan, Measured, end_to_end};
use crate::web::LossCount;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The NATS servers to measure over, joined by commas.
    #[arg(long, value_name = "URL", env = "EAGLE_EYE_NATS", hide_env_values = true)]
    nats: String,

    /// Simulated engines.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=4000))]
    engines: u32,

    /// Steps a second of each.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    hz: u32,

    /// How long to measure.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,

    /// A setting of the agent, such as pipeline.linger_us=500. Can be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<String>,

    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn main(arguments: &Arguments) -> u8 {
    let setting = |text: &String| text.split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned()));
    let Some(settings) = arguments.settings.iter().map(setting).collect() else {
        eprintln!("eagle-eye: --set takes KEY=VALUE");
        return USAGE;
    };
    let plan = MeasurePlan {
        nats: arguments.nats.clone(),
        engines: arguments.engines,
        hz: arguments.hz,
        seconds: arguments.seconds,
        settings,
    };
    let mut line = shared::StatusLine::default();
    let measured = signals::stop_on_signal()
        .map_err(|error| error.to_string())
        .and_then(|stop| end_to_end(&plan, &stop, |text| line.show(text)));
    line.end();
    match measured {
        Ok(measured) => {
            say(&if arguments.json { json(&measured) } else { table(&plan, &measured) });
            if measured.uncounted == 0 { 0 } else { TROUBLE }
        }
        Err(sentence) => {
            eprintln!("eagle-eye: {sentence}");
            TROUBLE
        }
    }
}

fn table(plan: &MeasurePlan, measured: &Measured) -> String {
    use std::fmt::Write as _;
    let seconds = measured.duration_ns as f64 / 1e9;
    let mut text = format!(
        "{} simulated engines × {} Hz for {seconds:.1} s over {}\n\n{:<22} {:>10} {:>10} {:>10} {:>10}\n",
        plan.engines,
        plan.hz,
        without_secrets(&plan.nats),
        "",
        "p50",
        "p99",
        "p99.9",
        "max"
    );
    for stage in &measured.stages {
        let _ = writeln!(
            text,
            "{:<22} {:>10} {:>10} {:>10} {:>10}",
            stage.name,
            time(stage.p50_ns),
            time(stage.p99_ns),
            time(stage.p999_ns),
            time(stage.max_ns),
        );
    }
    let _ = write!(
        text,
        "\n{} steps written, {} received in {} messages, {} lost and counted, {} uncounted",
        measured.written, measured.received, measured.messages, measured.lost, measured.uncounted,
    );
    for LossCount { place, reason, count } in &measured.reasons {
        let _ = write!(text, "\nthe agent counted {count} records: {place}, {reason}");
    }
    if measured.overrun > 0 {
        let _ = write!(text, "\n{} messages came faster than we took them", measured.overrun);
    }
    if measured.late > 0 {
        let _ = write!(
            text,
            "\n{} steps were left out: this machine could not simulate that fast",
            measured.late
        );
    }
    text
}

fn json(measured: &Measured) -> String {
    let stages: Vec<_> = measured
        .stages
        .iter()
        .map(|stage| {
            serde_json::json!({
                "stage": stage.name, "p50_ns": stage.p50_ns, "p99_ns": stage.p99_ns,
                "p999_ns": stage.p999_ns, "max_ns": stage.max_ns,
            })
        })
        .collect();
    let reasons: serde_json::Map<_, _> = measured
        .reasons
        .iter()
        .map(|loss| (format!("{}: {}", loss.place, loss.reason), loss.count.into()))
        .collect();
    serde_json::json!({
        "simulated": true, "written": measured.written, "received": measured.received,
        "lost": measured.lost, "uncounted": measured.uncounted, "late": measured.late,
        "reasons": reasons, "overrun": measured.overrun,
        "messages": measured.messages, "duration_ns": measured.duration_ns, "stages": stages,
    })
    .to_string()
}

fn time(ns: u64) -> String {
    format!("{:.1?}", Duration::from_nanos(ns))
}

/// URLs as they may be shown: what stands before an `@` is a secret, whatever
/// characters it holds.
fn without_secrets(urls: &str) -> String {
    let host = |part: &str| part.rsplit_once('@').map_or(part, |(_, host)| host).to_owned();
    urls.split("://").map(host).collect::<Vec<_>>().join("://")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_what_stands_before_its_host() {
        for (urls, shown) in [
            ("nats://a:4222", "nats://a:4222"),
            ("nats://u:p@a:1,tls://b", "nats://a:1,tls://b"),
            ("nats://u:p,q@a:1,nats://v:r/@b", "nats://a:1,nats://b"),
            ("u:p@a", "a"),
        ] {
            assert_eq!(without_secrets(urls), shown);
        }
    }
}
