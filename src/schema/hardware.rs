//! What matters to a router of the devices under an engine.

use flatbuffers::{FlatBufferBuilder, WIPOffset};

use super::accelerator::TEXT_EXTRA_BYTES;
use super::tables::name;
use super::{Health, wire};

/// A device on which an engine works, as its agent last sampled it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DeviceLoad {
    /// Its name on the engine's node.
    pub device: String,
    /// How well it is, by the node's judge.
    pub health: Health,
    /// Whether heat, power or hardware slow it down.
    pub throttled: Option<bool>,
    /// Temperature of the chip.
    pub temperature_celsius: Option<f32>,
    /// Power drawn.
    pub power_watts: Option<f32>,
    /// Power limit in force.
    pub power_limit_watts: Option<f32>,
    /// Share of time in which it worked, 0 to 1.
    pub utilization: Option<f32>,
    /// Device memory in use.
    pub memory_used_bytes: Option<f64>,
    /// Device memory.
    pub memory_total_bytes: Option<f64>,
    /// Memory errors not corrected since its driver was loaded.
    pub errors: Option<f64>,
    /// `CLOCK_MONOTONIC` of the node at the oldest of these readings, ns.
    pub sampled_ns: u64,
}

/// Most devices under one engine on the wire.
pub const ENGINE_DEVICES_MAX: usize = 64;

impl DeviceLoad {
    /// At least the bytes that it takes in a batch.
    pub(super) fn bytes_max(&self) -> usize {
        120 + TEXT_EXTRA_BYTES + self.device.len()
    }

    pub(super) fn to_wire<'b>(
        &self,
        builder: &mut FlatBufferBuilder<'b>,
    ) -> WIPOffset<wire::DeviceLoad<'b>> {
        let args = wire::DeviceLoadArgs {
            device: name(builder, &self.device),
            health: wire::Health(self.health as u8),
            throttled: match self.throttled {
                Some(throttled) => throttled.into(),
                None => 2,
            },
            temperature_celsius: self.temperature_celsius.unwrap_or(f32::NAN),
            power_watts: self.power_watts.unwrap_or(f32::NAN),
            power_limit_watts: self.power_limit_watts.unwrap_or(f32::NAN),
            utilization: self.utilization.unwrap_or(f32::NAN),
            memory_used_bytes: self.memory_used_bytes.unwrap_or(f64::NAN),
            memory_total_bytes: self.memory_total_bytes.unwrap_or(f64::NAN),
            errors: self.errors.unwrap_or(f64::NAN),
            sampled_ns: self.sampled_ns,
        };
        wire::DeviceLoad::create(builder, &args)
    }

    pub(super) fn from_wire(of: wire::DeviceLoad<'_>) -> Self {
        let single = |value: f32| Some(value).filter(|value| value.is_finite());
        let double = |value: f64| Some(value).filter(|value| value.is_finite());
        Self {
            device: super::batch::text(of.device()),
            health: Health::from_number(of.health().0),
            throttled: match of.throttled() {
                0 => Some(false),
                1 => Some(true),
                _ => None,
            },
            temperature_celsius: single(of.temperature_celsius()),
            power_watts: single(of.power_watts()),
            power_limit_watts: single(of.power_limit_watts()),
            utilization: single(of.utilization()),
            memory_used_bytes: double(of.memory_used_bytes()),
            memory_total_bytes: double(of.memory_total_bytes()),
            errors: double(of.errors()),
            sampled_ns: of.sampled_ns(),
        }
    }
}
