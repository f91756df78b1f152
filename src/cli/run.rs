//! `eagle-eye run`: the agent.

use clap::Args;

use super::shared::Configuration;
use super::{TROUBLE, USAGE};
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
    let agent = match Agent::start(&plan, Vec::new()) {
        Ok(agent) => agent,
        Err(error) => {
            eprintln!("eagle-eye: {error}");
            return TROUBLE;
        }
    };
    for part in &agent.parts {
        eprintln!("{part}");
    }
    agent.stop();
    0
}
