//! `eagle-eye run`: the agent.

use clap::Args;

use super::shared::Configuration;
use super::{TROUBLE, USAGE, log, signals};
use crate::engine::Agent;

#[derive(Debug, Default, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    configuration: Configuration,
}

pub(super) fn main(arguments: &Arguments) -> u8 {
    let plan = match arguments.configuration.plan() {
        Ok(plan) => plan,
        Err(mistakes) => {
            eprintln!("eagle-eye: {mistakes}");
            return USAGE;
        }
    };
    log::start(&plan, false);
    let started = signals::stop_on_signal()
        .map_err(|error| format!("signals cannot be watched: {error}"))
        .and_then(|stop| {
            let agent = Agent::start(&plan, Vec::new()).map_err(|error| error.to_string())?;
            Ok((stop, agent))
        });
    let (stop, agent) = match started {
        Ok(started) => started,
        Err(sentence) => {
            eprintln!("eagle-eye: {sentence}");
            return TROUBLE;
        }
    };
    for part in &agent.parts {
        tracing::info!("{part}");
    }
    stop.sleep_until(u64::MAX);
    agent.stop();
    0
}
