//! Opens the samplers and gives each its thread, rings and outlet.

use std::sync::Arc;

use super::StartError;
use super::overseer::Watched;
use super::part::{PartLine, PartState};
use super::threads::{Cpus, Stage, Threads};
use crate::config::{Plan, SamplerPlan};
use crate::pipeline::Source;
use crate::platform::clock;
use crate::platform::doorbell::Ringer;
use crate::ring;
use crate::samplers::{self, Context, EventOutlet, Losses, Opened, Outlet, OutletParts, Progress};

/// Rings of samplers that give no steps need no room for them.
const STEPS_LEAST: usize = 64;

/// What came of opening every sampler.
#[derive(Debug, Default)]
pub(super) struct Sampling {
    pub(super) lines: Vec<PartLine>,
    pub(super) sources: Vec<Source>,
    pub(super) gauges: Vec<SamplerGauges>,
}

/// What can be seen of a running sampler.
#[derive(Debug, Clone)]
pub(super) struct SamplerGauges {
    pub(super) watched: Watched,
    pub(super) rings: [Arc<ring::Counts>; 2],
    pub(super) losses: Arc<Losses>,
}

/// What every sampler shares.
pub(super) struct Surroundings<'a> {
    pub(super) plan: &'a Plan,
    pub(super) context: Context,
    pub(super) events: EventOutlet,
    pub(super) ringer: Ringer,
    pub(super) cpus: &'a mut Cpus,
}

impl Sampling {
    /// Opens every sampler that is enabled and starts those that are ready.
    pub(super) fn start(
        around: &mut Surroundings<'_>,
        threads: &mut Threads,
    ) -> Result<Self, StartError> {
        let mut sampling = Self::default();
        let plan = around.plan;
        for sampler in &plan.samplers {
            let name = sampler.entry.name;
            let line = if !sampler.enabled {
                PartLine::new(name, PartState::Off, String::new())
            } else {
                match (sampler.entry.open)(&around.context, &sampler.settings) {
                    Opened::Ready(ready) => {
                        sampling.run(sampler, ready, around, threads)?;
                        PartLine::ready(name)
                    }
                    Opened::NotHere(why) => PartLine::new(name, PartState::NotHere, why),
                    Opened::Failed(why) => PartLine::new(name, PartState::Failed, why),
                }
            };
            sampling.lines.push(line);
        }
        Ok(sampling)
    }

    fn run(
        &mut self,
        sampler: &SamplerPlan,
        ready: Box<dyn samplers::Sampler>,
        around: &mut Surroundings<'_>,
        threads: &mut Threads,
    ) -> Result<(), StartError> {
        let entry = sampler.entry;
        let step_slots = if entry.steps { around.plan.ring_records } else { STEPS_LEAST };
        let (steps, step_reader) = ring::ring(step_slots);
        let (readings, reading_reader) = ring::ring(around.plan.ring_records);
        let rings = [steps.counts(), readings.counts()];
        let parts = OutletParts {
            steps,
            readings,
            step_table: around.context.steps.clone(),
            reading_table: around.context.readings.clone(),
            names: around.context.names.clone(),
            events: around.events.clone(),
            drain: around.ringer.clone(),
        };
        let outlet = Outlet::new(entry.name, parts);
        let losses = outlet.losses();
        let progress = Arc::new(Progress::new(sampler.period_ns, clock::monotonic_ns()));
        let watched = Watched { name: entry.name, progress: Arc::clone(&progress) };
        let cpu = sampler.cpu.or_else(|| around.cpus.next());
        let stop = threads.stop_of(Stage::Samplers);
        let thread = samplers::start(entry.name, cpu, ready, outlet, progress, stop)
            .map_err(|error| StartError::system(entry.name, error))?;
        threads.keep(Stage::Samplers, thread);
        if entry.steps {
            self.sources.push(Source::Steps(step_reader));
        }
        self.sources.push(Source::Readings(reading_reader));
        self.gauges.push(SamplerGauges { watched, rings, losses });
        Ok(())
    }
}
