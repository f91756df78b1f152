//! `eagle-eye check`: is this configuration right?

use clap::Args;

use super::shared::Configuration;
use super::{USAGE, say};
use crate::config::default_file;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    configuration: Configuration,

    /// Print the default configuration with every setting explained.
    #[arg(long)]
    print_default: bool,
}

pub(super) fn main(arguments: &Arguments) -> u8 {
    if arguments.print_default {
        say(default_file().trim_end());
        return 0;
    }
    match arguments.configuration.plan() {
        Ok(plan) => {
            say(&format!("The configuration is right. This node is {}.", plan.node));
            0
        }
        Err(mistakes) => {
            eprintln!("eagle-eye: {mistakes}");
            USAGE
        }
    }
}
