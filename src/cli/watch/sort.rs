//! The orders of engines and of containers.

use std::cmp::Ordering;

use super::container::Container;
use crate::schema::Field;
use crate::web::RankState;

/// How engines are sorted; the largest or worst first, but names by alphabet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sort {
    /// By engine, rank and front end.
    #[default]
    Name,
    /// The least fresh first.
    State,
    /// Most running requests first.
    Running,
    /// Most waiting requests first.
    Waiting,
    /// The fullest cache first.
    Cache,
    /// The oldest first.
    Age,
}

/// How containers are sorted; those with an engine come first by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ContainerSort {
    /// With an engine first, then by name.
    #[default]
    Name,
    /// Most cores in use first.
    Cpu,
    /// The most held back first.
    Throttled,
    /// Most memory first.
    Memory,
    /// Most processes killed for want of memory first.
    Kills,
}

impl Sort {
    /// Every way, in the order of the key.
    pub const ALL: [Self; 6] =
        [Self::Name, Self::State, Self::Running, Self::Waiting, Self::Cache, Self::Age];

    /// What it sorts by.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::State => "state",
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Cache => "KV cache",
            Self::Age => "age",
        }
    }

    pub(super) const fn next(self) -> Self {
        Self::ALL[(self as usize + 1) % Self::ALL.len()]
    }

    /// Puts ranks in order; equals stay in the order of their names, so that
    /// rows do not jump. What was not measured comes last.
    pub(super) fn order(self, a: &RankState, b: &RankState) -> Ordering {
        let most = |field| most(a.value(field), b.value(field));
        let first = match self {
            Self::Name => Ordering::Equal,
            Self::State => b.freshness.cmp(&a.freshness),
            Self::Running => most(Field::Running),
            Self::Waiting => most(Field::Waiting),
            Self::Cache => most(Field::KvUsage),
            Self::Age => b.age_ms.total_cmp(&a.age_ms),
        };
        first.then_with(|| a.place().cmp(&b.place()))
    }
}

impl ContainerSort {
    /// Every way, in the order of the key.
    pub const ALL: [Self; 5] = [Self::Name, Self::Cpu, Self::Throttled, Self::Memory, Self::Kills];

    /// What it sorts by.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Cpu => "CPU",
            Self::Throttled => "throttled",
            Self::Memory => "memory",
            Self::Kills => "OOM kills",
        }
    }

    pub(super) const fn next(self) -> Self {
        Self::ALL[(self as usize + 1) % Self::ALL.len()]
    }

    /// Puts containers in order, as [`Sort::order`] does ranks.
    pub(super) fn order(self, a: &Container, b: &Container) -> Ordering {
        let first = match self {
            Self::Name => a.engines.is_empty().cmp(&b.engines.is_empty()),
            Self::Cpu => most(a.cpu_cores, b.cpu_cores),
            Self::Throttled => most(a.throttled_ratio, b.throttled_ratio),
            Self::Memory => most(a.memory_used(), b.memory_used()),
            Self::Kills => most(a.oom_kills, b.oom_kills),
        };
        first.then_with(|| (&a.name, &a.container).cmp(&(&b.name, &b.container)))
    }
}

/// The larger first, what was not measured last.
fn most(a: Option<f64>, b: Option<f64>) -> Ordering {
    b.unwrap_or(-1.0).total_cmp(&a.unwrap_or(-1.0))
}
