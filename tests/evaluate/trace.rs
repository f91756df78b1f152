//! Facts in the order of their time, and what a person knows about them.

use eagle_eye::schema::{
    Action, Device, Engine, EngineDetails, Event, MetricId, Reading, Severity, StepCore,
};

use crate::classes::Class;

/// Nanoseconds in a second.
pub(crate) const SECOND: u64 = 1_000_000_000;
/// The node's monotonic clock when a trace begins.
const BOOTED: u64 = 5_000 * SECOND;
/// Its wall clock then: 2026-03-02, 09:00 UTC.
const BEGAN: i64 = 1_772_442_000 * SECOND as i64;
/// The node that every trace is of.
pub(crate) const NODE: &str = "node1";

/// A moment of a trace, by both clocks of its node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Moment {
    /// Nanoseconds since the trace began.
    pub(crate) since_ns: u64,
    /// By how much the wall clock was stepped meanwhile.
    pub(crate) wall_step_ns: i64,
}

impl Moment {
    /// `CLOCK_MONOTONIC` at this moment.
    pub(crate) const fn monotonic_ns(self) -> u64 {
        BOOTED + self.since_ns
    }

    /// `CLOCK_REALTIME` at this moment.
    pub(crate) const fn wall_ns(self) -> u64 {
        (BEGAN + self.since_ns as i64 + self.wall_step_ns) as u64
    }
}

/// One fact of a trace.
#[derive(Debug, Clone)]
pub(crate) enum Fact {
    /// What a device is.
    Device(Box<Device>),
    /// What an engine is.
    Engine(Box<Engine>),
    /// One value.
    Reading(Reading),
    /// A step of an engine.
    Step(Box<StepCore>),
    /// A discrete fact.
    Event(Box<Event>),
    /// What an engine says beside its steps.
    Details(Box<EngineDetails>),
    /// The agent stops and starts again, with what it had kept.
    Restart,
}

/// Takes a trace fact by fact; what it returns is of no interest.
pub(crate) type Taker<'a> = dyn FnMut(Moment, &Fact) + 'a;

/// Whether a verdict must go again before its trace ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Resolve {
    /// Either is right.
    #[default]
    May,
    /// The trouble ends within the trace, and long enough before its end.
    Must,
    /// The trouble lasts, and nothing says that it ended.
    MustNot,
}

/// A verdict that a person who knows the trace expects.
#[derive(Debug, Clone)]
pub(crate) struct Expected {
    /// Right causes; one of them is enough.
    pub(crate) classes: Vec<Class>,
    /// Right subjects; one of them is enough, none means any.
    pub(crate) subjects: Vec<String>,
    /// Right severities.
    pub(crate) severities: Vec<Severity>,
    /// Right actions; none means any.
    pub(crate) actions: Vec<Action>,
    /// When the trouble begins.
    pub(crate) at_ns: u64,
    /// How long it may take until it is said.
    pub(crate) within_ns: u64,
    /// Whether it must go again.
    pub(crate) resolve: Resolve,
}

/// A verdict that is neither asked for nor wrong.
#[derive(Debug, Clone)]
pub(crate) struct Tolerated {
    /// Its cause; none means any.
    pub(crate) class: Option<Class>,
    /// The gravest that is tolerated.
    pub(crate) severity_max: Severity,
}

/// A verdict that would do harm.
#[derive(Debug, Clone)]
pub(crate) struct Never {
    /// Its cause; none means any.
    pub(crate) class: Option<Class>,
    /// What it is about; none means anything.
    pub(crate) subject: Option<String>,
    /// From this severity on.
    pub(crate) severity_min: Severity,
}

/// What a person knows about a trace.
#[derive(Debug, Clone, Default)]
pub(crate) struct Truth {
    /// What must be said.
    pub(crate) expected: Vec<Expected>,
    /// What may be said.
    pub(crate) tolerated: Vec<Tolerated>,
    /// What must not be said; all that is neither expected nor tolerated is
    /// wrong, this is worse.
    pub(crate) never: Vec<Never>,
}

impl Expected {
    /// An expectation whose rest is filled in by the caller.
    pub(crate) fn new(class: &str, subject: &str, at_ns: u64, within_s: u64) -> Self {
        let classes = class.split('|').map(Class::named).collect();
        let subjects = subject.split('|').filter(|name| !name.is_empty()).map(str::to_owned);
        Self {
            classes,
            subjects: subjects.collect(),
            severities: vec![Severity::Warning, Severity::Error, Severity::Critical],
            actions: Vec::new(),
            at_ns,
            within_ns: within_s * SECOND,
            resolve: Resolve::May,
        }
    }

    /// With these right severities, first to last.
    pub(crate) fn severity(mut self, first: Severity, last: Severity) -> Self {
        let all = [Severity::Info, Severity::Warning, Severity::Error, Severity::Critical];
        self.severities = all.into_iter().filter(|of| (first..=last).contains(of)).collect();
        self
    }

    /// With this end.
    pub(crate) const fn resolve(mut self, resolve: Resolve) -> Self {
        self.resolve = resolve;
        self
    }
}

/// A reading's number by its metric's name, or a sentence.
pub(crate) fn metric(name: &str) -> Result<MetricId, String> {
    let row = eagle_eye::schema::METRICS.iter().find(|row| row.name == name);
    row.map(|row| row.id).ok_or_else(|| format!("no metric is called {name}"))
}
