//! What is known of one device and of one engine.

use super::known::Rules;
use crate::schema::{Device, Engine, EngineDetails, MetricId, StepCore};

/// The newest value of a metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Held {
    /// Its number.
    pub metric: u16,
    /// The value.
    pub value: f64,
    /// When it was sampled, by the node's monotonic clock, ns.
    pub time_ns: u64,
    /// When the stage heard of it, by the stage's own count, ns.
    pub heard_ns: u64,
}

/// What is known of a device.
#[derive(Debug, Default)]
pub struct DeviceFacts {
    /// What it is; nameless until the device itself was told.
    pub device: Device,
    pub(super) readings: Vec<Held>,
    pub(super) heard_ns: u64,
    pub(super) due: Rules,
}

/// What is known of an engine.
#[derive(Debug, Default)]
pub struct EngineFacts {
    /// What it is; nameless until the engine itself was told.
    pub engine: Engine,
    /// Its ranks, each as each producer told it last.
    pub ranks: Vec<RankFacts>,
    /// What its ranks said beside their steps last.
    pub details: Vec<EngineDetails>,
    pub(super) heard_ns: u64,
    pub(super) due: Rules,
}

/// The newest step of one producer of one rank.
#[derive(Debug, Clone, Copy)]
pub struct RankFacts {
    /// The step.
    pub step: StepCore,
    /// When the stage heard of it, by the stage's own count, ns.
    pub heard_ns: u64,
}

impl DeviceFacts {
    /// The newest value of a metric, however old.
    #[must_use]
    pub fn held(&self, metric: MetricId) -> Option<&Held> {
        let at = self.readings.binary_search_by_key(&(metric as u16), |held| held.metric);
        at.ok().map(|at| &self.readings[at])
    }

    /// The newest value of a metric, however old.
    #[must_use]
    pub fn value(&self, metric: MetricId) -> Option<f64> {
        self.held(metric).map(|held| held.value)
    }

    /// Whether it is a GPU or an NPU.
    #[must_use]
    pub fn is_accelerator(&self) -> bool {
        matches!(self.device.kind.as_str(), "gpu" | "npu")
    }

    /// Every reading, in the order of the metrics' numbers.
    #[must_use]
    pub fn readings(&self) -> &[Held] {
        &self.readings
    }

    /// When something was last heard of it, by the stage's own count, ns.
    #[must_use]
    pub const fn heard_ns(&self) -> u64 {
        self.heard_ns
    }
}
