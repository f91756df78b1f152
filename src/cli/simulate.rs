//! `eagle-eye simulate`: engines and devices that are not there, through the
//! real path.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::{TROUBLE, say, shared, signals};
use crate::engine::samplers::accelerator::stand_in::{self, StandIn};
use crate::engine::{Simulation, SimulationPlan};
use crate::platform::clock;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// How many engines.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=4096))]
    engines: u32,

    /// Instead of engines, so many accelerators, for an agent that is started
    /// besides.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=64))]
    devices: Option<u32>,

    /// Whose accelerators.
    #[arg(long, value_enum, default_value = "nvidia", requires = "devices")]
    vendor: Vendor,

    /// What they do, as fakes/scenario.rs describes it; read anew
    /// whenever it changes. Without it they work and are well.
    #[arg(long, value_name = "FILE", requires = "devices")]
    scenario: Option<PathBuf>,

    /// Data-parallel ranks in each engine.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    ranks: u16,

    /// Steps a second of each rank.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    hz: u32,

    /// Models that they serve, in turn. Can be repeated.
    #[arg(long, default_values_t = ["demo/llama-8b".to_owned(), "demo/qwen-32b".to_owned()])]
    model: Vec<String>,

    /// How engines' names begin; a number follows.
    #[arg(long, default_value = "sim")]
    name: String,

    /// Stop after so many seconds. Without it: on Ctrl-C.
    #[arg(long)]
    seconds: Option<u64>,

    /// The agent's socket. Without it: where the agent of this user puts it.
    #[arg(long, value_name = "PATH", env = "EAGLE_EYE_SOCKET")]
    socket: Option<PathBuf>,

    /// Print the counts as JSON at the end.
    #[arg(long)]
    json: bool,
}

/// Who makes accelerators.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Vendor {
    Nvidia,
    Ascend,
}

impl Vendor {
    /// What they are called, their sampler, and their stand-in.
    const fn parts(self) -> (&'static str, &'static str, StandIn) {
        match self {
            Self::Nvidia => ("GPUs", "nvml", StandIn::Nvml),
            Self::Ascend => ("NPUs", "dcmi", StandIn::Dcmi),
        }
    }
}

pub(super) fn main(arguments: &Arguments) -> u8 {
    if let Some(devices) = arguments.devices {
        return match simulate_devices(arguments, devices) {
            Ok(()) => 0,
            Err(error) => {
                eprintln!(
                    "eagle-eye: simulated accelerators need a folder for their library: {error}"
                );
                TROUBLE
            }
        };
    }
    let plan = SimulationPlan {
        socket: arguments.socket.clone().unwrap_or_else(shared::default_socket),
        name: arguments.name.clone(),
        engines: arguments.engines,
        ranks: arguments.ranks,
        models: arguments.model.clone(),
        hz: arguments.hz,
    };
    let started =
        Simulation::new(&plan).and_then(|simulation| Ok((simulation, signals::stop_on_signal()?)));
    let (simulation, stop) = match started {
        Ok(started) => started,
        Err(error) => {
            eprintln!("eagle-eye: simulated engines need memory and descriptors: {error}");
            return TROUBLE;
        }
    };
    let begun_ns = clock::monotonic_ns();
    let end_ns = arguments.seconds.map(|seconds| begun_ns + seconds * clock::SECOND_NS);
    let mut line = shared::StatusLine::default();
    let ranks = u64::from(arguments.engines) * u64::from(arguments.ranks);
    let counts = simulation.run(&stop, |counts| {
        let now_ns = clock::monotonic_ns();
        line.show(&format!(
            "simulating {} ranks at {} Hz towards {}: {} steps, {} left out, {:.0?}",
            ranks,
            arguments.hz,
            plan.socket.display(),
            counts.steps,
            counts.late,
            Duration::from_nanos(now_ns - begun_ns)
        ));
        if end_ns.is_some_and(|end_ns| now_ns >= end_ns) {
            stop.raise();
        }
    });
    line.end();
    if arguments.json {
        say(&format!("{{\"simulated\":true,\"steps\":{},\"late\":{}}}", counts.steps, counts.late));
    } else {
        say(&format!("{} simulated steps written, {} left out.", counts.steps, counts.late));
    }
    0
}

/// Offers a stand-in for the GPUs' library until it is told to stop.
fn simulate_devices(arguments: &Arguments, devices: u32) -> io::Result<()> {
    let stop = signals::stop_on_signal()?;
    let (kind, sampler, stand_in) = arguments.vendor.parts();
    let folder = tempfile::Builder::new().prefix("eagle-eye-devices-").tempdir()?;
    let scenario = || match &arguments.scenario {
        Some(file) => std::fs::read_to_string(file),
        None => Ok(stand_in::demo_scenario(stand_in, devices)),
    };
    let mut played = scenario()?;
    let library = stand_in::plant(stand_in, folder.path(), &played)?;
    say(&format!(
        "{devices} simulated {kind} until this ends; see them with:\n  eagle-eye run --set samplers.{sampler}.library={}",
        library.display()
    ));
    let begun_ns = clock::monotonic_ns();
    let end_ns = arguments.seconds.map(|seconds| begun_ns + seconds * clock::SECOND_NS);
    while !stop.is_raised() && end_ns.is_none_or(|end_ns| clock::monotonic_ns() < end_ns) {
        stop.sleep_until(clock::monotonic_ns() + clock::SECOND_NS / 5);
        // An editor may have it half written; the next look finds it whole.
        let now = scenario().unwrap_or_else(|_| played.clone());
        if now != played {
            stand_in::play(&library, &now)?;
            played = now;
        }
    }
    Ok(())
}
