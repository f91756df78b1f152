//! The devices under each engine, as JSON shows them.

use serde::Serialize;

use super::rank::milliseconds;
use crate::newest::Names;
use crate::schema::{DeviceLoad, EngineDetails, Health};

/// What matters to a router of the hardware under one engine.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HardwareState {
    /// The engine's name; its hash in hexadecimal where the name is unknown.
    pub engine: String,
    /// How well the engine is, by the node's judge: `healthy`, `degraded`,
    /// `suspect`, `failed`, `resetting`, `gone` or `unknown`.
    pub health: &'static str,
    /// The devices on which it works; none where that is not known.
    pub devices: Vec<DeviceLoadState>,
}

/// One device under an engine; what is not known is not there.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DeviceLoadState {
    /// Its name.
    pub device: String,
    /// How well it is.
    pub health: &'static str,
    /// Whether heat, power or hardware slow it down.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub throttled: Option<bool>,
    /// Temperature of the chip.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature_celsius: Option<f32>,
    /// Power drawn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub power_watts: Option<f32>,
    /// Power limit in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub power_limit_watts: Option<f32>,
    /// Share of time in which it worked, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub utilization: Option<f32>,
    /// Device memory in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_used_bytes: Option<f64>,
    /// Device memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_total_bytes: Option<f64>,
    /// Memory errors not corrected since its driver was loaded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub errors: Option<f64>,
    /// Age of the oldest of these readings, ms; absent where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub age_ms: Option<f64>,
}

impl HardwareState {
    /// Every engine that a judge assessed or whose devices are known, by name.
    #[must_use]
    pub fn all(names: &Names, now_ns: u64) -> Vec<Self> {
        let assessments = names.judged().assessments();
        let said = names.details().since(0);
        let by_agent = |instance: u64| {
            let mut of_agent = said.iter().map(|(_, of)| of);
            of_agent.find(|of| of.rank == EngineDetails::BY_AGENT && of.instance == instance)
        };
        let of = |engine: crate::schema::Engine| {
            let mut of_engines = assessments.iter().filter(|of| of.subject_kind == "engine");
            let assessment = of_engines.find(|of| of.subject == engine.name);
            let devices = by_agent(engine.instance).map_or(&[][..], |of| &of.devices);
            (assessment.is_some() || !devices.is_empty()).then(|| Self {
                health: assessment.map_or(Health::Unknown, |of| of.health).name(),
                devices: devices.iter().map(|load| DeviceLoadState::of(load, now_ns)).collect(),
                engine: engine.name,
            })
        };
        names.engines().into_iter().filter_map(of).collect()
    }
}

impl DeviceLoadState {
    fn of(load: &DeviceLoad, now_ns: u64) -> Self {
        let age_ms = || milliseconds(now_ns.saturating_sub(load.sampled_ns));
        Self {
            device: load.device.clone(),
            health: load.health.name(),
            throttled: load.throttled,
            temperature_celsius: load.temperature_celsius,
            power_watts: load.power_watts,
            power_limit_watts: load.power_limit_watts,
            utilization: load.utilization,
            memory_used_bytes: load.memory_used_bytes,
            memory_total_bytes: load.memory_total_bytes,
            errors: load.errors,
            age_ms: (load.sampled_ns > 0).then(age_ms),
        }
    }
}
