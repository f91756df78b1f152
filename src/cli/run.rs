//! `eagle-eye run`: the agent.

use std::io::IsTerminal as _;

use clap::Args;
use tempfile::TempDir;

use super::shared::Configuration;
use super::watch::{History, Screen, Tab, run_terminal};
use super::{TROUBLE, USAGE, log, signals};
use crate::config::Plan;
use crate::engine::samplers::accelerator::stand_in::{self, StandIn};
use crate::engine::samplers::nvml;
use crate::engine::{Agent, PartState, SOCKET_NAME, Simulation, SimulationPlan};
use crate::platform::clock;
use crate::platform::thread::{self, Stop};

/// Simulated engines of `--demo`, and how often they step.
const DEMO_ENGINES: u32 = 4;
const DEMO_HZ: u32 = 40;

/// Simulated GPUs of `--demo`.
const DEMO_DEVICES: u32 = 8;

#[derive(Debug, Default, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    configuration: Configuration,

    /// Add four simulated engines, and eight GPUs where there are none, marked
    /// as simulated wherever they show.
    #[arg(long)]
    demo: bool,

    /// Print log lines instead of the live view on a terminal.
    #[arg(long)]
    no_view: bool,
}

pub(super) fn main(arguments: &Arguments) -> u8 {
    let mut plan = match arguments.configuration.plan() {
        Ok(plan) => plan,
        Err(mistakes) => {
            eprintln!("eagle-eye: {mistakes}");
            return USAGE;
        }
    };
    let view = !arguments.no_view && std::io::stdout().is_terminal();
    log::start(&plan, view);
    // Gone with this folder, after the agent.
    let _devices = arguments.demo.then(|| simulate_devices(&mut plan));
    match start_and_serve(arguments, &plan, view) {
        Ok(()) => 0,
        Err(sentence) => {
            eprintln!("eagle-eye: {sentence}");
            TROUBLE
        }
    }
}

fn start_and_serve(arguments: &Arguments, plan: &Plan, view: bool) -> Result<(), String> {
    let stop =
        signals::stop_on_signal().map_err(|error| format!("signals cannot be watched: {error}"))?;
    let agent = Agent::start(plan, Vec::new()).map_err(|error| error.to_string())?;
    for part in &agent.parts {
        match part.state {
            PartState::Failed => tracing::warn!("{part}"),
            _ => tracing::info!("{part}"),
        }
    }
    if let Some(address) = agent.http() {
        tracing::info!("http://{address} shows this node");
    }
    let demo = arguments.demo.then(|| start_demo(plan, &stop)).transpose()?;
    let shown = if view {
        show(&agent, &stop)
    } else {
        stop.sleep_until(u64::MAX);
        Ok(())
    };
    stop.raise();
    if let Some(demo) = demo {
        let _ = demo.join();
    }
    agent.stop();
    shown.map_err(|error| format!("the terminal cannot be used: {error}; try --no-view"))
}

fn show(agent: &Agent, stop: &Stop) -> std::io::Result<()> {
    let sources = agent.sources();
    let mut history = History::new();
    let screen = |now_ns| Screen::collect(&sources, now_ns, clock::wall_ns(), &mut history);
    run_terminal(screen, Tab::Engines, stop)
}

fn start_demo(plan: &Plan, stop: &Stop) -> Result<std::thread::JoinHandle<()>, String> {
    let simulation = Simulation::new(&SimulationPlan {
        socket: plan.run_dir.join(SOCKET_NAME),
        name: "demo".to_owned(),
        engines: DEMO_ENGINES,
        ranks: 1,
        models: vec!["demo/llama-8b".to_owned(), "demo/qwen-32b".to_owned()],
        hz: DEMO_HZ,
    })
    .map_err(|error| format!("simulated engines need memory and descriptors: {error}"))?;
    let stop = stop.clone();
    thread::spawn("ee-demo", None, move || {
        simulation.run(&stop, |_| {});
    })
    .map_err(|error| format!("the simulated engines' thread: {error}"))
}

/// Has the plan's GPUs simulated, where this node has none. What becomes of
/// them is no reason not to run.
fn simulate_devices(plan: &mut Plan) -> Option<TempDir> {
    let root = plan.host_root.clone();
    let sampler = plan.samplers.iter_mut().find(|sampler| sampler.entry.name == "nvml")?;
    if nvml::is_here(&root, &sampler.settings) {
        return None;
    }
    let planted = tempfile::tempdir().and_then(|folder| {
        let scenario = stand_in::demo_scenario(StandIn::Nvml, DEMO_DEVICES);
        Ok((stand_in::plant(StandIn::Nvml, folder.path(), &scenario)?, folder))
    });
    match planted {
        Ok((library, folder)) => {
            sampler.settings.set("library", library.display().to_string());
            Some(folder)
        }
        Err(error) => {
            tracing::warn!("GPUs are not simulated: {error}");
            None
        }
    }
}
