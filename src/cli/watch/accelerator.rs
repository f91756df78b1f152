//! The node's accelerators: what they are, how well they are, who works on them.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde::Serialize;

use super::text::{age, bytes};
use crate::schema::{Device, DeviceLoad, DeviceState, Health, MetricId, MetricKind};
use crate::web::{AcceleratorState, AcceleratorStates, HardwareState, ReadingState, Sources};

/// Why a device may be slowed down, by the reading that says it.
const REASONS: &[(MetricId, &str)] = &[
    (MetricId::AcceleratorThrottleThermalHardware, "heat"),
    (MetricId::AcceleratorThrottleThermalSoftware, "heat"),
    (MetricId::AcceleratorThrottlePowerBrake, "brake"),
    (MetricId::AcceleratorThrottlePowerCap, "power"),
    (MetricId::AcceleratorThrottleHardware, "hardware"),
];

/// One accelerator.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Accelerator {
    /// Its node, where several are watched.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub node: String,
    /// How well it is, by its node's judge.
    #[serde(serialize_with = "word")]
    pub health: Health,
    /// The engines that work on it.
    pub engines: Vec<String>,
    /// Since when it is in its state, ns since 1970; 0 where unknown.
    #[serde(skip)]
    pub state_since_wall_ns: u64,
    /// All else.
    #[serde(flatten)]
    pub said: AcceleratorState,
}

fn word<S: serde::Serializer>(health: &Health, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(health.name())
}

/// Every accelerator of the sources' node, the worst first.
pub(super) fn all(sources: &Sources, now_ns: u64) -> Vec<Accelerator> {
    let states = AcceleratorStates::of(&sources.readings, &sources.names, &[], now_ns);
    let since: BTreeMap<String, u64> = sources
        .names
        .devices()
        .into_iter()
        .filter_map(|of| Some((of.name, of.accelerator?.state_since_wall_ns)))
        .collect();
    let assessments = sources.names.judged().assessments();
    let hardware = HardwareState::all(&sources.names, now_ns);
    let of = |said: AcceleratorState| {
        let mut of_devices = assessments.iter().filter(|of| of.subject_kind == "device");
        let works_on = |of: &&HardwareState| of.devices.iter().any(|on| on.device == said.name);
        Accelerator {
            node: String::new(),
            health: of_devices
                .find(|of| of.subject == said.name)
                .map_or(Health::Unknown, |of| of.health),
            engines: hardware.iter().filter(works_on).map(|of| of.engine.clone()).collect(),
            state_since_wall_ns: since.get(&said.name).copied().unwrap_or(0),
            said,
        }
    };
    let mut all: Vec<Accelerator> = states.devices.into_iter().map(of).collect();
    sort(&mut all);
    all
}

/// The worst first, by what changes rarely, so that rows stand still.
pub(super) fn sort(all: &mut [Accelerator]) {
    all.sort_by_cached_key(|of| {
        let answers = of.said.state == DeviceState::Present.name();
        (Reverse(gravity(of.health)), answers, of.node.clone(), natural(&of.said.name))
    });
}

/// How grave it is.
pub(super) const fn gravity(health: Health) -> u8 {
    match health {
        Health::Failed => 6,
        Health::Gone => 5,
        Health::Resetting => 4,
        Health::Suspect => 3,
        Health::Degraded => 2,
        Health::Unknown => 1,
        Health::Healthy => 0,
    }
}

/// A name so that `gpu10` comes after `gpu9`.
fn natural(name: &str) -> Vec<(String, u64)> {
    let mut parts = Vec::new();
    let mut rest = name;
    while !rest.is_empty() {
        let (word, after) =
            rest.split_at(rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len()));
        let end = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
        let (digits, after) = after.split_at(end);
        parts.push((word.to_owned(), digits.parse().unwrap_or(0)));
        rest = after;
    }
    parts
}

impl Accelerator {
    /// A device of another node, of which its engines' loads are known.
    pub(super) fn afar(node: &str, device: &Device, health: Health) -> Option<Self> {
        let accelerator = device.accelerator.as_deref()?;
        Some(Self {
            node: node.to_owned(),
            health,
            engines: Vec::new(),
            state_since_wall_ns: accelerator.state_since_wall_ns,
            said: AcceleratorState {
                name: device.name.clone(),
                kind: device.kind.clone(),
                vendor: device.vendor.clone(),
                uuid: device.uuid.clone(),
                ..AcceleratorState::from(accelerator.clone())
            },
        })
    }

    /// Takes over what an engine's node says of the device under it.
    pub(super) fn take(&mut self, engine: &str, load: &DeviceLoad, now_ns: u64) {
        self.engines.push(engine.to_owned());
        let age_ms = now_ns.saturating_sub(load.sampled_ns) as f64 / 1e6;
        let readings = [
            (MetricId::AcceleratorTemperature, load.temperature_celsius.map(f64::from)),
            (MetricId::AcceleratorPower, load.power_watts.map(f64::from)),
            (MetricId::AcceleratorPowerLimit, load.power_limit_watts.map(f64::from)),
            (MetricId::AcceleratorUtilization, load.utilization.map(f64::from)),
            (MetricId::AcceleratorMemoryUsed, load.memory_used_bytes),
            (MetricId::AcceleratorMemoryTotal, load.memory_total_bytes),
            (MetricId::AcceleratorEccUncorrected, load.errors),
            (MetricId::AcceleratorThrottled, load.throttled.map(|is| f64::from(u8::from(is)))),
        ];
        for (metric, value) in readings {
            let Some(value) = value else { continue };
            let row = metric.row();
            let unit = row.unit.name();
            let kind = if row.kind == MetricKind::Counter { "counter" } else { "gauge" };
            let reading = ReadingState { value, unit, kind, age_ms };
            self.said.readings.insert(row.name.to_owned(), reading);
        }
    }

    /// The name with its node, where there are several.
    pub(super) fn name(&self) -> String {
        let name = &self.said.name;
        if self.node.is_empty() { name.clone() } else { format!("{}/{name}", self.node) }
    }

    /// The model without its maker.
    pub(super) fn model(&self) -> &str {
        let model = self.said.device_model.trim();
        ["NVIDIA ", "Huawei ", "HUAWEI "]
            .iter()
            .find_map(|maker| model.strip_prefix(maker))
            .unwrap_or(model)
    }

    /// The newest value of a reading.
    pub(super) fn value(&self, metric: MetricId) -> Option<f64> {
        self.said.readings.get(metric.row().name).map(|reading| reading.value)
    }

    /// Why it is slowed down, `no` where it is not; nothing where unknown.
    pub(super) fn throttled(&self) -> Option<&'static str> {
        if self.value(MetricId::AcceleratorThrottled)? == 0.0 {
            return Some("no");
        }
        let applies =
            |(metric, _): &&(MetricId, &str)| self.value(*metric).is_some_and(|v| v > 0.0);
        Some(REASONS.iter().find(applies).map_or("yes", |(_, reason)| *reason))
    }

    /// For how long it is in its state.
    pub(super) fn state_age(&self, wall_ns: u64) -> Option<String> {
        let since = self.state_since_wall_ns;
        (since > 0).then(|| age(wall_ns.saturating_sub(since) as f64 / 1e6))
    }

    /// It in plain words, after its name.
    pub(super) fn sentence(&self) -> String {
        use MetricId as M;
        let mut words = Vec::new();
        let mut say = |text: String| words.push(text);
        if self.said.simulated {
            say("SIMULATED".to_owned());
        }
        if !self.model().is_empty() {
            say(self.model().to_owned());
        }
        say(self.health.name().to_owned());
        let since = if self.state_since_wall_ns > 0 {
            format!(" since {}", self.said.state_since)
        } else {
            String::new()
        };
        say(format!("{}{since}", self.said.state));
        let whole = |value: f64| format!("{value:.0}");
        for (label, now, most, unit, show) in [
            (
                "",
                M::AcceleratorTemperature,
                M::AcceleratorTemperatureSlowdown,
                " °C",
                whole as fn(f64) -> String,
            ),
            ("", M::AcceleratorPower, M::AcceleratorPowerLimit, " W", whole),
            ("memory ", M::AcceleratorMemoryUsed, M::AcceleratorMemoryTotal, "", bytes),
        ] {
            let Some(now) = self.value(now) else { continue };
            let most = self.value(most).map(|most| format!(" of {}", show(most)));
            say(format!("{label}{}{}{unit}", show(now), most.unwrap_or_default()));
        }
        if let Some(share) = self.value(M::AcceleratorUtilization) {
            say(format!("busy {}", super::text::percent(share)));
        }
        if let Some(reason) = self.throttled().filter(|reason| *reason != "no") {
            say(format!("throttled: {reason}"));
        }
        if let Some(errors) = self.value(M::AcceleratorEccUncorrected).filter(|of| *of > 0.0) {
            say(format!("uncorrected errors {errors:.0}"));
        }
        if !self.engines.is_empty() {
            say(format!("engines {}", self.engines.join(" ")));
        }
        if !self.said.processes.is_empty() {
            say(format!("processes {}", self.said.processes.len()));
        }
        words.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_in_the_order_of_their_numbers() {
        let mut names = ["gpu10", "gpu9", "npu1", "gpu1/mig2", "gpu1/mig10", "gpu1", ""];
        names.sort_by_cached_key(|name| natural(name));
        assert_eq!(names, ["", "gpu1", "gpu1/mig2", "gpu1/mig10", "gpu9", "gpu10", "npu1"]);
        assert_eq!(natural("9".repeat(40).as_str()), [(String::new(), 0)]);
    }
}
