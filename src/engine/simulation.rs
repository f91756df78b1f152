//! Simulated engines that go the real way: shared memory, the agent's door,
//! everything after it. Marked as simulated wherever they show.

use std::io;
use std::path::PathBuf;

use super::load_model::LoadModel;
use crate::platform::clock::{self, MILLISECOND_NS, SECOND_NS};
use crate::platform::limits;
use crate::platform::thread::Stop;
use crate::producer::{DoorWriter, Line};
use crate::schema::{Engine, EngineDetails};

/// Slots of a simulated engine's memory: a second at 256 Hz.
const SLOTS: u32 = 256;

/// How often each engine's line to the agent is looked after.
const MAINTAIN_NS: u64 = 50 * MILLISECOND_NS;

/// How often each engine says how long its requests took.
const DETAILS_NS: u64 = SECOND_NS;

/// What to simulate.
#[derive(Debug, Clone)]
pub struct SimulationPlan {
    /// The agent's socket.
    pub socket: PathBuf,
    /// How engines' names begin; a number follows.
    pub name: String,
    /// How many engines.
    pub engines: u32,
    /// Data-parallel ranks in each.
    pub ranks: u16,
    /// Models that they serve, in turn.
    pub models: Vec<String>,
    /// Steps a second of each rank.
    pub hz: u32,
}

/// Simulated engines, all driven by the thread that runs them.
#[derive(Debug)]
pub struct Simulation {
    engines: Vec<SimulatedEngine>,
    period_ns: u64,
}

#[derive(Debug)]
struct SimulatedEngine {
    writer: DoorWriter,
    line: Line,
    ranks: Vec<LoadModel>,
    due_ns: u64,
    maintain_ns: u64,
    details_ns: u64,
}

/// What a simulation did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SimulationCounts {
    /// Steps written.
    pub steps: u64,
    /// Rounds left out since this thread was late.
    pub late: u64,
}

impl Simulation {
    /// Makes the engines' memories. They find the agent once it runs. Raises
    /// the soft limit of descriptors to the hard one.
    ///
    /// # Errors
    ///
    /// When memory or descriptors run out.
    pub fn new(plan: &SimulationPlan) -> io::Result<Self> {
        // Where it may not rise, making the memories says what is missing.
        let _ = limits::raise_descriptors();
        let period_ns = SECOND_NS / u64::from(plan.hz.clamp(1, 10_000));
        let now_ns = clock::monotonic_ns();
        let mut engines = Vec::new();
        for at in 0..plan.engines {
            let model = plan.models.get(at as usize % plan.models.len().max(1));
            let engine = Engine {
                incarnation: clock::wall_ns(),
                engine: "simulated".to_owned(),
                source: "simulated".to_owned(),
                ranks: plan.ranks,
                ..Engine::named(&format!("{}-{at}", plan.name), model.map_or("simulated", |m| m))
            };
            let writer = DoorWriter::create(&engine, SLOTS)?;
            let line = writer.line(&plan.socket);
            let seed = |rank: u16| u64::from(at) * 0x9e37_79b9 + u64::from(rank) * 0x85eb_ca6b + 17;
            let ranks = (0..plan.ranks.max(1))
                .map(|rank| LoadModel::new(&engine, rank, plan.hz, seed(rank)))
                .collect();
            // Spread over the period, as engines that know nothing of each
            // other are.
            let due_ns = now_ns + period_ns * u64::from(at) / u64::from(plan.engines.max(1));
            let (maintain_ns, details_ns) = (now_ns, due_ns);
            engines.push(SimulatedEngine { writer, line, ranks, due_ns, maintain_ns, details_ns });
        }
        Ok(Self { engines, period_ns })
    }

    /// Steps until asked to stop, then says goodbye. Tells its counts about
    /// ten times a second.
    pub fn run(mut self, stop: &Stop, mut tell: impl FnMut(SimulationCounts)) -> SimulationCounts {
        let mut counts = SimulationCounts::default();
        let mut tell_ns = 0;
        while !stop.is_raised() {
            let now_ns = clock::monotonic_ns();
            let mut next_ns = now_ns + MAINTAIN_NS;
            for engine in &mut self.engines {
                engine.round(now_ns, self.period_ns, &mut counts);
                next_ns = next_ns.min(engine.due_ns);
            }
            if now_ns >= tell_ns {
                tell_ns = now_ns + SECOND_NS / 10;
                tell(counts);
            }
            clock::sleep_until(next_ns);
        }
        self.engines.iter_mut().for_each(|engine| engine.writer.goodbye());
        counts
    }
}

impl SimulatedEngine {
    fn round(&mut self, now_ns: u64, period_ns: u64, counts: &mut SimulationCounts) {
        if now_ns >= self.maintain_ns {
            self.maintain_ns = now_ns + MAINTAIN_NS;
            self.line.maintain(now_ns);
        }
        if now_ns < self.due_ns {
            return;
        }
        let wall_ns = clock::wall_ns();
        for rank in &mut self.ranks {
            self.writer.write(rank.next(now_ns, wall_ns));
            counts.steps += 1;
        }
        if now_ns >= self.details_ns {
            self.details_ns = now_ns + DETAILS_NS;
            let details: Vec<EngineDetails> =
                self.ranks.iter().map(|rank| rank.details().clone()).collect();
            self.writer.write_details(&details);
        }
        self.due_ns += period_ns;
        if self.due_ns < now_ns {
            let missed = (now_ns - self.due_ns).div_ceil(period_ns);
            counts.late += missed;
            self.due_ns += missed * period_ns;
        }
    }
}
