//! `eagle-eye sampler-child`: a process that reads what may hang, for the agent
//! that started it; talks records on its standard streams.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::TROUBLE;
use crate::engine::samplers::hardware_sys;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The sampler that it reads for.
    #[arg(value_enum)]
    sampler: Sampler,

    /// Where the host's /sys is found.
    #[arg(long, value_name = "DIR")]
    host_root: PathBuf,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Sampler {
    #[value(name = "hardware_sys")]
    HardwareSys,
}

pub(super) fn main(arguments: &Arguments) -> u8 {
    let ended = match arguments.sampler {
        Sampler::HardwareSys => hardware_sys::answer_parent(&arguments.host_root),
    };
    match ended {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("eagle-eye: the process that reads for {:?}: {error}", arguments.sampler);
            TROUBLE
        }
    }
}
