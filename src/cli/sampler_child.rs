//! `eagle-eye sampler-child`: a process that reads what may hang, for the agent
//! that started it; talks records on its standard streams.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::TROUBLE;
use crate::engine::samplers::accelerator::Wanted;
use crate::engine::samplers::accelerator::settings::ChildArguments;
use crate::engine::samplers::{dcmi, hardware_sys, nvml};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The sampler that it reads for.
    #[arg(value_enum)]
    sampler: Sampler,

    /// Where the host's /sys is found.
    #[arg(long, value_name = "DIR")]
    host_root: PathBuf,

    #[command(flatten)]
    accelerator: Accelerator,
}

/// What a child that loads a vendor's library is told besides.
#[derive(Debug, Args)]
struct Accelerator {
    /// The library that it loads.
    #[arg(long, value_name = "PATH")]
    library: Option<PathBuf>,

    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u64).range(1..))]
    deadline_ms: u64,

    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
    inventory_ms: u64,

    #[arg(long, default_value_t = 600_000)]
    identity_ms: u64,

    #[arg(long, default_value_t = 0)]
    burst_ms: u64,

    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..))]
    fast_ms: u64,

    #[arg(long, default_value_t = 10_000)]
    medium_ms: u64,

    #[arg(long, default_value_t = 60_000)]
    slow_ms: u64,

    #[arg(long, default_value_t = 10_000)]
    processes_ms: u64,

    /// A device that is never touched. Can be repeated.
    #[arg(long, value_name = "NAME")]
    leave_out: Vec<String>,

    /// The only device that is touched.
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Sampler {
    #[value(name = "dcmi")]
    Dcmi,
    #[value(name = "hardware_sys")]
    HardwareSys,
    #[value(name = "nvml")]
    Nvml,
}

pub(super) fn main(arguments: &Arguments) -> u8 {
    let ended = match arguments.sampler {
        Sampler::Dcmi => dcmi::answer_parent(&arguments.accelerator()),
        Sampler::HardwareSys => hardware_sys::answer_parent(&arguments.host_root),
        Sampler::Nvml => nvml::answer_parent(arguments.accelerator()),
    };
    match ended {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("eagle-eye: the process that reads for {:?}: {error}", arguments.sampler);
            TROUBLE
        }
    }
}

impl Arguments {
    fn accelerator(&self) -> ChildArguments {
        let of = &self.accelerator;
        ChildArguments {
            library: of.library.clone().unwrap_or_default().into(),
            host_root: self.host_root.clone().into(),
            numbers: [
                of.deadline_ms,
                of.inventory_ms,
                of.identity_ms,
                of.burst_ms,
                of.fast_ms,
                of.medium_ms,
                of.slow_ms,
                of.processes_ms,
            ],
            wanted: Wanted {
                left_out: of.leave_out.clone(),
                only: of.only.clone().unwrap_or_default(),
            },
            // One device is tried; who reads them all hears reports.
            events: of.only.is_none(),
        }
    }
}
