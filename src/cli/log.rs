//! Log lines: for people or as JSON, to standard error.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use crate::config::{LogFormat, Plan};

/// Starts logging as the plan says. `quiet` keeps all but errors away from a
/// terminal that shows the live view.
pub(super) fn start(plan: &Plan, quiet: bool) {
    let level = if quiet { "error" } else { &plan.log_level };
    let filter = EnvFilter::new(format!("warn,eagle_eye={level},async_nats=error"));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    let started = match plan.log_format {
        LogFormat::Text => lines.with_target(false).try_init(),
        LogFormat::Json => lines.json().try_init(),
    };
    // A second start, as in tests, keeps the first.
    let _ = started;
}
