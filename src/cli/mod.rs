//! One file per verb; results into text and exit codes.
//!
//! Exit codes: 0 fine, 1 found trouble, 2 wrong usage or configuration.

#![expect(clippy::print_stderr, reason = "the command line is where text goes out")]

mod bench;
mod check;
pub mod diagnose;
mod doctor;
mod list;
mod log;
mod run;
mod sampler_child;
mod shared;
mod signals;
mod simulate;
mod table;
pub mod watch;

use std::path::Path;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

use crate::platform::child;

/// Found trouble: a configuration mistake, a port in use, a bad link.
const TROUBLE: u8 = 1;

/// Wrong usage or configuration.
const USAGE: u8 = 2;

#[derive(Debug, Parser)]
#[command(
    name = "eagle-eye",
    version,
    about = "An observability engine for AI inference: engine load to routers in milliseconds, \
             hardware faults found and explained.",
    after_help = "Without a verb, `run` is meant. Every setting: eagle-eye check --print-default",
    propagate_version = true
)]
struct Arguments {
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run the agent: sample this node, find its engines, tell routers.
    Run(run::Arguments),
    /// Watch this host's agent, or a fleet over NATS, live.
    Watch(watch::verb::Arguments),
    /// Look at what is here, missing or misconfigured, and say the remedy.
    Doctor(doctor::Arguments),
    /// Simulate engines through the real path, marked as simulated.
    Simulate(simulate::Arguments),
    /// Measure latency and loss of the whole road over your NATS servers.
    Bench(bench::Arguments),
    /// Explain a kernel log: what is wrong, where, why, and what to do.
    Diagnose(diagnose::Arguments),
    /// List the samplers, metrics or settings of this build.
    List(list::Arguments),
    /// Check a configuration, or print the default one.
    Check(check::Arguments),
    /// Read for an agent, which starts this itself.
    #[command(hide = true)]
    SamplerChild(sampler_child::Arguments),
}

/// Parses the command line, does what it says, and answers with an exit code.
#[must_use]
pub fn main() -> ExitCode {
    child::offer(Path::new(child::SELF));
    let arguments = Arguments::parse();
    let code = match arguments.verb.unwrap_or_else(|| Verb::Run(run::Arguments::default())) {
        Verb::Run(arguments) => run::main(&arguments),
        Verb::Watch(arguments) => watch::verb::main(&arguments),
        Verb::Doctor(arguments) => doctor::main(&arguments),
        Verb::Simulate(arguments) => simulate::main(&arguments),
        Verb::Bench(arguments) => bench::main(&arguments),
        Verb::Diagnose(arguments) => diagnose::main(&arguments),
        Verb::List(arguments) => list::main(&arguments),
        Verb::Check(arguments) => check::main(&arguments),
        Verb::SamplerChild(arguments) => sampler_child::main(&arguments),
    };
    ExitCode::from(code)
}

/// The whole command line, for pages that are made from it.
#[must_use]
pub fn command() -> clap::Command {
    Arguments::command()
}

/// Prints a line; a reader that went away (as `head` does) is no error.
fn say(line: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stdout(), "{line}");
}
