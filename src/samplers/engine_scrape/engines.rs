//! From one page after the other to the steps of its engines: incarnations,
//! sequences, rates, and what began or ended.
//!
//! Every model of a page is an engine: the first is called after the endpoint,
//! a further one after endpoint and model. A counter that fell, or a process
//! that started later, is a restart: another incarnation, whose sequences begin
//! anew. Where the page does not say when the process started, an incarnation
//! is the time when this agent first saw it.

use bytemuck::Zeroable;

use crate::newest::{NewestStep, RankKey};
use crate::platform::clock::{MILLISECOND_NS, SECOND_NS};
use crate::schema::{
    Engine, EventKind, Field, Flag, STEP_LAYOUT, Severity, StepCore, bounded_name,
};

use super::super::Outlet;
use super::super::cgroup::ContainerPath;
use super::page::{PageRank, Said, put};
use super::pushed::SOURCE;
use super::tables::Goes;

/// How long a rank that the page names no more keeps its last values.
pub(super) const GONE_NS: u64 = 60 * SECOND_NS;

/// The longest time over which a difference of counters is a rate, and the
/// shortest.
const RATE_NS: std::ops::RangeInclusive<u64> = 10 * MILLISECOND_NS..=60 * SECOND_NS;

/// A process that started later by less than this did not: it is rounding.
const STARTED_S: f64 = 1.0;

/// Counters that fall only when the engine begins anew.
const RISING: [Field; 8] = [
    Field::Steps,
    Field::PromptTokens,
    Field::GeneratedTokens,
    Field::CachedTokens,
    Field::PrefixQueries,
    Field::Preemptions,
    Field::Rejections,
    Field::Finished,
];

/// The engines of one page.
#[derive(Debug)]
pub(super) struct Engines {
    /// What the engine is called.
    name: String,
    /// What a router dials.
    endpoint: String,
    /// The container of whoever listens there.
    home: ContainerPath,
    list: Vec<One>,
}

#[derive(Debug)]
struct One {
    engine: Engine,
    /// The model as it stands on the page.
    model: Box<[u8]>,
    started_s: Option<f64>,
    ranks: Vec<Rank>,
}

#[derive(Debug)]
struct Rank {
    newest: NewestStep,
    computed: Option<f64>,
}

/// When a page was so, and what it promises.
#[derive(Debug, Clone, Copy)]
pub(super) struct When {
    /// When the answer came, ns.
    pub(super) came_ns: u64,
    /// How much older the values may be, ns.
    pub(super) error_ns: u64,
    /// The same instant by the wall clock, ns.
    pub(super) wall_ns: u64,
    pub(super) ttl_ms: u32,
}

/// What a page changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Changes {
    pub(super) appeared: u32,
    pub(super) restarted: u32,
}

impl Engines {
    /// None yet.
    pub(super) fn new(name: &str, endpoint: &str) -> Self {
        let (name, endpoint) = (bounded_name(name).to_owned(), endpoint.to_owned());
        Self { name, endpoint, home: ContainerPath::default(), list: Vec::new() }
    }

    /// Takes in a page.
    pub(super) fn take(
        &mut self,
        said: &Said<'_>,
        when: When,
        process: u32,
        outlet: &mut Outlet,
    ) -> Changes {
        let mut changes = Changes::default();
        for at in 0..self.list.len() {
            if let Some(started_s) = self.list[at].restart(said) {
                self.list[at].begin_anew(started_s, when, process, outlet);
                changes.restarted += 1;
            }
        }
        for rank in said.ranks {
            let known = self.list.iter().position(|one| said.is_model(rank, &one.model));
            let at = known.unwrap_or_else(|| {
                changes.appeared += 1;
                self.add(said, rank, when, process, outlet)
            });
            self.list[at].step(rank, said.rates(), when, outlet);
        }
        for one in &mut self.list {
            one.forget_ranks(|rank| when.came_ns.saturating_sub(rank.heard_ns) > GONE_NS, outlet);
        }
        changes
    }

    /// Takes in who listens there, and in which container.
    pub(super) fn owned_by(&mut self, process: u32, home: ContainerPath, outlet: &mut Outlet) {
        self.home = home;
        let Self { home, list, .. } = self;
        for one in list.iter_mut().filter(|one| one.engine.process != process) {
            one.engine.process = process;
            one.engine.container.clone_from(&home.container);
            one.engine.pod.clone_from(&home.pod);
            outlet.engine(one.engine.clone());
        }
    }

    /// Says that they answer no more.
    pub(super) fn gone(&self, why: &str, outlet: &mut Outlet) {
        for one in &self.list {
            let text = format!("{} has no page any more: {why}", one.engine.name);
            outlet.event(EventKind::EngineGone, Severity::Warning, &one.engine.name, text);
        }
    }

    /// Says that they answer again, under the same incarnation.
    pub(super) fn back(&self, outlet: &mut Outlet) {
        for one in &self.list {
            let text = format!("{} answers again, the same process as before", one.engine.name);
            outlet.event(EventKind::EngineAppeared, Severity::Info, &one.engine.name, text);
        }
    }

    /// Forgets them with all their values.
    pub(super) fn forget(&mut self, outlet: &mut Outlet) {
        for mut one in self.list.drain(..) {
            one.forget_ranks(|_| true, outlet);
            outlet.forget_engine(one.engine.instance, one.engine.incarnation);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    fn add(
        &mut self,
        said: &Said<'_>,
        rank: &PageRank,
        when: When,
        process: u32,
        outlet: &mut Outlet,
    ) -> usize {
        // It goes to terminals and pages.
        let model = said.model(rank).replace(char::is_control, "_");
        let model = bounded_name(&model);
        let name = match self.list.is_empty() {
            true => self.name.clone(),
            false => bounded_name(&format!("{}/{model}", self.name)).to_owned(),
        };
        let started_s = rank.value(Goes::Started);
        let engine = Engine {
            incarnation: incarnation(started_s, when),
            endpoint: self.endpoint.clone(),
            engine: said.engine().to_owned(),
            ranks: ranks_of(said, rank),
            process,
            container: self.home.container.clone(),
            pod: self.home.pod.clone(),
            source: SOURCE.to_owned(),
            ..Engine::named(&name, model)
        };
        let text = format!("{name} has a page at {}, as {} does", self.endpoint, said.engine());
        outlet.event(EventKind::EngineAppeared, Severity::Info, &name, text);
        outlet.engine(engine.clone());
        let model = said.model_bytes(rank).into();
        self.list.push(One { engine, model, started_s, ranks: Vec::new() });
        self.list.len() - 1
    }
}

impl One {
    /// Whether the page tells of a later process than before, and when that
    /// started as far as it says.
    fn restart(&self, said: &Said<'_>) -> Option<Option<f64>> {
        for rank in said.ranks.iter().filter(|rank| said.is_model(rank, &self.model)) {
            let started_s = rank.value(Goes::Started);
            let later = started_s.zip(self.started_s).is_some_and(|(a, b)| a > b + STARTED_S);
            let before = self.ranks.iter().find(|known| known.newest.step.rank == rank.rank);
            let fell = before.is_some_and(|known| {
                RISING.iter().any(|field| {
                    let before = known.newest.step.value(*field);
                    let now = rank.value(Goes::To(*field));
                    now.zip(before).is_some_and(|(now, before)| now < before)
                })
            });
            if later || fell {
                return Some(started_s);
            }
        }
        None
    }

    fn begin_anew(
        &mut self,
        started_s: Option<f64>,
        when: When,
        process: u32,
        outlet: &mut Outlet,
    ) {
        let before = self.engine.incarnation;
        self.engine.incarnation = incarnation(started_s, when).max(before + 1);
        self.engine.process = process;
        self.started_s = started_s;
        self.forget_ranks(|_| true, outlet);
        outlet.engine(self.engine.clone());
        let text = format!("{} began anew: its counters or its start say so", self.engine.name);
        outlet.event(EventKind::EngineRestarted, Severity::Warning, &self.engine.name, text);
    }

    fn step(&mut self, rank: &PageRank, rates: bool, when: When, outlet: &mut Outlet) {
        self.started_s = self.started_s.or(rank.value(Goes::Started));
        let before = self.ranks.iter().position(|known| known.newest.step.rank == rank.rank);
        let mut step = StepCore {
            instance: self.engine.instance,
            incarnation: self.engine.incarnation,
            model: self.engine.model_hash,
            rank: rank.rank,
            producers: 1,
            layout: STEP_LAYOUT,
            sequence: before.map_or(0, |at| self.ranks[at].newest.step.sequence) + 1,
            monotonic_ns: when.came_ns,
            wall_ns: when.wall_ns,
            clock_error_ns: u32::try_from(when.error_ns).unwrap_or(u32::MAX),
            ttl_ms: when.ttl_ms,
            heartbeat_ns: when.came_ns,
            ..StepCore::zeroed()
        };
        rank.fill(&mut step);
        step.raise(Flag::Scraped);
        if rank.value(Goes::Awake) == Some(0.0) {
            step.raise(Flag::Asleep);
        }
        let computed = rank.value(Goes::Computed);
        if let Some(before) = before.map(|at| &self.ranks[at]).filter(|_| rates) {
            put_rates(&mut step, computed, before);
        }
        let newest = NewestStep {
            step,
            heard_ns: when.came_ns,
            alive_ns: when.came_ns,
            error_ns: u64::from(step.clock_error_ns),
            lost: 0,
        };
        match before {
            Some(at) => self.ranks[at] = Rank { newest, computed },
            None => {
                self.ranks.push(Rank { newest, computed });
                let ranks = u16::try_from(self.ranks.len()).unwrap_or(u16::MAX);
                if ranks > self.engine.ranks {
                    self.engine.ranks = ranks;
                    outlet.engine(self.engine.clone());
                }
            }
        }
        outlet.step(&newest);
    }

    fn forget_ranks(&mut self, which: impl Fn(&NewestStep) -> bool, outlet: &mut Outlet) {
        self.ranks.retain(|rank| {
            let is_gone = which(&rank.newest);
            if is_gone {
                outlet.forget_rank(&RankKey::of(&rank.newest.step));
            }
            !is_gone
        });
    }
}

/// What was done between two pages, a second. The decode rate only where the
/// engine tells none itself.
fn put_rates(step: &mut StepCore, computed: Option<f64>, before: &Rank) {
    let between_ns = step.monotonic_ns.saturating_sub(before.newest.step.monotonic_ns);
    if !RATE_NS.contains(&between_ns) {
        return;
    }
    let rate = |now: Option<f64>, then: Option<f64>| {
        let done = now? - then?;
        (done >= 0.0).then(|| done * 1e9 / between_ns as f64)
    };
    if let Some(rate) = rate(computed, before.computed) {
        put(step, Field::PrefillRate, rate);
    }
    let generated = |step: &StepCore| step.value(Field::GeneratedTokens);
    if !step.known(Field::DecodeRate)
        && let Some(rate) = rate(generated(step), generated(&before.newest.step))
    {
        put(step, Field::DecodeRate, rate);
    }
}

fn incarnation(started_s: Option<f64>, when: When) -> u64 {
    started_s.filter(|started_s| *started_s >= 1.0).map_or(when.wall_ns, |s| (s * 1e9) as u64)
}

fn ranks_of(said: &Said<'_>, rank: &PageRank) -> u16 {
    let model = said.model_bytes(rank);
    let count = said.ranks.iter().filter(|other| said.is_model(other, model)).count();
    u16::try_from(count).unwrap_or(u16::MAX)
}
