//! The promise: an engine's step is in a router's view at once, and every loss
//! is counted; over the real road and a real NATS server.
//!
//! `cargo bench --bench end_to_end`: 1, 16, 128 and 1,024 engines at 100 steps
//! a second, then what users have today beside it, then what it costs.
//! `--seconds N` is the time of each row of the first table, `--only PART` runs
//! one part, `--contract` is the short form for the tests: the first table
//! alone. Fails when p99.9 from engine to view passes one second, a loss is
//! uncounted, or nothing is received.

#![expect(clippy::print_stdout, reason = "a benchmark prints its tables")]

mod broker;
mod cost;
mod meter;
mod page;
mod processes;
mod road;
mod side;
mod slow;

use std::process::ExitCode;

/// The longest that one step of a thousand may take from engine to view, ns.
pub(crate) const CONTRACT_NS: u64 = eagle_eye::platform::clock::SECOND_NS;

/// Seconds of each row of the first table.
const SECONDS: u64 = 4;
const SECONDS_CONTRACT: u64 = 3;

/// A part of the benchmark: its name, and what runs it.
type Part = (&'static str, fn(&Arguments) -> Result<(), String>);

const PARTS: [Part; 5] = [
    ("road", road::run),
    ("side", side::run),
    ("cost", cost::run),
    ("slow", slow::run),
    ("broker", broker::run),
];

/// What was asked for.
pub(crate) struct Arguments {
    pub(crate) contract: bool,
    pub(crate) seconds: u64,
    only: Option<String>,
}

fn main() -> ExitCode {
    let arguments = match Arguments::read(std::env::args().skip(1)) {
        Ok(Some(arguments)) => arguments,
        Ok(None) => return ExitCode::SUCCESS,
        Err(sentence) => {
            println!("{sentence}");
            return ExitCode::from(2);
        }
    };
    let mut code = ExitCode::SUCCESS;
    for (name, run) in PARTS {
        let wanted = match &arguments.only {
            Some(only) => only == name,
            None => !arguments.contract || name == "road",
        };
        if !wanted {
            continue;
        }
        if let Err(sentence) = run(&arguments) {
            println!("\nFAILED: {sentence}");
            code = ExitCode::FAILURE;
        }
    }
    code
}

impl Arguments {
    /// Nothing where this was called among other benchmarks with a filter that
    /// does not name it, or by a test runner, which does not say `--bench`.
    fn read(words: impl Iterator<Item = String>) -> Result<Option<Self>, String> {
        let mut read = Self { contract: false, seconds: 0, only: None };
        let mut words = words.peekable();
        if words.peek().is_none() {
            return Ok(None);
        }
        while let Some(word) = words.next() {
            match word.as_str() {
                "--bench" => {}
                "--test" | "--list" => return Ok(None),
                "--contract" => read.contract = true,
                "--seconds" => {
                    let number = words.next().and_then(|text| text.parse().ok());
                    read.seconds = number.filter(|n| *n > 0).ok_or("--seconds takes a number")?;
                }
                "--only" => {
                    let part = words.next().unwrap_or_default();
                    if !PARTS.iter().any(|(name, _)| *name == part) {
                        let names = PARTS.map(|(name, _)| name).join(", ");
                        return Err(format!("--only takes one of {names}"));
                    }
                    read.only = Some(part);
                }
                filter if !filter.starts_with('-') && "end_to_end".contains(filter) => {}
                filter if !filter.starts_with('-') => return Ok(None),
                other => {
                    return Err(format!(
                        "{other} is unknown: --contract, --seconds N and --only PART are not"
                    ));
                }
            }
        }
        if read.seconds == 0 {
            read.seconds = if read.contract { SECONDS_CONTRACT } else { SECONDS };
        }
        Ok(Some(read))
    }
}

/// A time as a person reads it.
pub(crate) fn time(ns: u64) -> String {
    let us = ns as f64 / 1e3;
    match ns {
        0..1_000 => format!("{ns} ns"),
        1_000..1_000_000 => format!("{us:.1} µs"),
        1_000_000..1_000_000_000 => format!("{:.2} ms", us / 1e3),
        _ => format!("{:.2} s", us / 1e6),
    }
}

/// A value of sorted numbers at a share of them; 0 of none.
pub(crate) fn quantile(sorted: &[u64], share: f64) -> u64 {
    let at = (sorted.len() as f64 * share) as usize;
    sorted.get(at.min(sorted.len().saturating_sub(1))).copied().unwrap_or_default()
}

pub(crate) fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Whether a goal is met, in a word.
pub(crate) const fn met(is: bool) -> &'static str {
    if is { "met" } else { "MISSED" }
}
