//! One accelerator: heat follows power, power follows work, clocks give way.

use eagle_eye::schema::{Accelerator, Device, DeviceProcess, DeviceState, MetricId as M, MetricId};

use super::models::Model;
use crate::dice::Dice;

/// Seconds in which a chip comes nearer to its final heat by two thirds.
const CHIP_SECONDS: f64 = 25.0;
/// The same of its memory.
const MEMORY_SECONDS: f64 = 40.0;
/// °C of the air that a healthy server is given.
const AIR_C: f64 = 25.0;

/// What a card is and does now. Faults change the public fields.
#[derive(Debug, Clone)]
pub(crate) struct Card {
    pub(crate) model: &'static Model,
    pub(crate) index: u32,
    pub(crate) name: String,
    pub(crate) pci: String,
    pub(crate) driver: String,
    pub(crate) firmware: String,
    pub(crate) state: DeviceState,
    pub(crate) silent_call: String,
    pub(crate) processes: Vec<u32>,
    /// Share of its power that work would take.
    pub(crate) load: f64,
    /// °C of the air before it.
    pub(crate) air_c: f64,
    /// How much worse than healthy it gets rid of heat; 1 is healthy.
    pub(crate) heat: f64,
    /// The same of its memory alone.
    pub(crate) memory_heat: f64,
    /// Power limit in force, W.
    pub(crate) cap_w: f64,
    /// A signal from the power supply.
    pub(crate) brake: bool,
    /// Corrected and uncorrected memory errors an hour.
    pub(crate) ecc_hour: (f64, f64),
    pub(crate) ecc: (u64, u64),
    pub(crate) sram_threshold: bool,
    /// Rows replaced after corrected and uncorrected errors.
    pub(crate) rows: (u64, u64),
    /// Pages retired after corrected and uncorrected errors.
    pub(crate) pages: (u64, u64),
    pub(crate) remap_pending: bool,
    pub(crate) remap_failed: bool,
    pub(crate) lanes: u32,
    pub(crate) generation: u32,
    pub(crate) replays_hour: f64,
    pub(crate) replays: u64,
    pub(crate) links_active: u32,
    pub(crate) link_errors_hour: f64,
    pub(crate) link_errors: u64,
    pub(crate) fabric_healthy: bool,
    pub(crate) network_health: u32,
    pub(crate) recovery_action: u32,
    pub(crate) health_level: u32,
    pub(crate) open_codes: u32,
    /// Share of time in which its memory works; none lets it follow the load.
    pub(crate) memory_activity: Option<f64>,
    /// The profiler holds its counters: it reads as idle.
    pub(crate) profiled: bool,
    /// Share of readings that fail.
    pub(crate) dropout: f64,
    // What follows from the above.
    pub(crate) chip_c: f64,
    pub(crate) memory_c: f64,
    pub(crate) power_w: f64,
    /// Clock as a share of the highest.
    pub(crate) clock: f64,
    pub(crate) reasons: Reasons,
    energy_j: f64,
    throttled_s: (f64, f64),
}

/// Why a card is slowed down now.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Reasons {
    pub(crate) cap: bool,
    pub(crate) software_heat: bool,
    pub(crate) hardware_heat: bool,
    pub(crate) brake: bool,
}

impl Card {
    pub(crate) fn new(model: &'static Model, index: usize, dice: &mut Dice) -> Self {
        Self {
            model,
            index: index as u32 + 10,
            name: format!("{}{index}", model.kind),
            pci: format!("0000:{:02x}:00.0", 0x18 + 0x11 * index),
            driver: String::new(),
            firmware: String::new(),
            state: DeviceState::Present,
            silent_call: String::new(),
            processes: vec![4000 + index as u32],
            load: 0.5,
            air_c: AIR_C + dice.between(-2.0, 2.0),
            // No two heat sinks are alike.
            heat: dice.between(0.93, 1.08),
            memory_heat: dice.between(0.95, 1.05),
            cap_w: model.power_w.1,
            brake: false,
            ecc_hour: (0.0, 0.0),
            ecc: (dice.below(4) as u64, 0),
            sram_threshold: false,
            rows: (0, if dice.chance(0.1) { 1 } else { 0 }),
            pages: (0, 0),
            remap_pending: false,
            remap_failed: false,
            lanes: model.pcie.1,
            generation: model.pcie.0,
            replays_hour: 0.0,
            replays: dice.below(5) as u64,
            links_active: model.links,
            link_errors_hour: 0.0,
            link_errors: dice.below(3) as u64,
            fabric_healthy: true,
            network_health: 0,
            recovery_action: 0,
            health_level: 0,
            open_codes: 0,
            memory_activity: None,
            profiled: false,
            dropout: 0.0,
            chip_c: 45.0,
            memory_c: 50.0,
            power_w: model.power_w.0,
            clock: 1.0,
            reasons: Reasons::default(),
            energy_j: 1e6,
            throttled_s: (0.0, 0.0),
        }
    }

    /// Lets time pass.
    pub(crate) fn pass(&mut self, seconds: f64, dice: &mut Dice) {
        let (idle_w, full_w) = self.model.power_w;
        let (slow_c, _) = self.model.limits_c;
        let load = (self.load + 0.02 * dice.noise()).clamp(0.0, 1.0);
        let mut left = seconds;
        // Small strides, so that one long step is as good as many short ones.
        while left > 0.0 {
            let stride = left.min(5.0);
            left -= stride;
            let asked_w = idle_w + (full_w * 1.02 - idle_w) * load;
            let cap_w = if self.brake { full_w * 0.5 } else { self.cap_w };
            let by_cap = ((cap_w - idle_w) / (asked_w - idle_w).max(1.0)).clamp(0.1, 1.0);
            let memory_over = self.model.memory_limit_c.map_or(0.0, |limit| self.memory_c - limit);
            let over = (self.chip_c - slow_c + 3.0).max(memory_over);
            let by_heat = 1.0 - (over / 10.0).clamp(0.0, 0.6);
            self.reasons = Reasons {
                cap: by_cap < 0.995 && !self.brake,
                software_heat: by_heat < 0.995,
                hardware_heat: self.chip_c >= slow_c,
                brake: self.brake,
            };
            let give = by_cap.min(by_heat);
            // Power falls faster than the clock.
            self.clock = give.sqrt();
            self.power_w = idle_w + (asked_w - idle_w) * give;
            let ohm = (self.model.full_c - AIR_C) / full_w;
            let final_c = self.air_c + ohm * self.heat * self.power_w;
            self.chip_c += (final_c - self.chip_c) * (stride / CHIP_SECONDS).min(1.0);
            let memory_c = self.air_c + (final_c - self.air_c) * 1.12 * self.memory_heat;
            self.memory_c += (memory_c - self.memory_c) * (stride / MEMORY_SECONDS).min(1.0);
            self.energy_j += self.power_w * stride;
            self.throttled_s.0 += if self.reasons.cap || self.brake { stride } else { 0.0 };
            self.throttled_s.1 += if self.reasons.software_heat { stride } else { 0.0 };
        }
        let hours = seconds / 3600.0;
        self.ecc.0 += dice.count(self.ecc_hour.0 * hours);
        self.ecc.1 += dice.count(self.ecc_hour.1 * hours);
        self.replays += dice.count(self.replays_hour * hours);
        self.link_errors += dice.count(self.link_errors_hour * hours);
    }

    /// As the inventory shows it.
    pub(crate) fn device(&self) -> Device {
        let process = |process: &u32| DeviceProcess { process: *process, ..Default::default() };
        let vendor = if self.model.kind == "gpu" { "NVIDIA" } else { "Huawei" };
        Device {
            index: self.index,
            name: self.name.clone(),
            kind: self.model.kind.into(),
            vendor: vendor.into(),
            uuid: format!(
                "{}-{:08x}",
                self.model.kind.to_uppercase(),
                self.index.wrapping_mul(2_654_435_761)
            ),
            accelerator: Some(Box::new(Accelerator {
                device_model: self.model.name.into(),
                serial: format!("16539230{:05}", self.index),
                pci: self.pci.clone(),
                driver: self.driver.clone(),
                firmware: self.firmware.clone(),
                numa_node: Some((self.index / 4 % 2) as u16),
                state: self.state,
                silent_call: self.silent_call.clone(),
                processes: self.processes.iter().map(process).collect(),
                ..Accelerator::default()
            })),
            ..Device::default()
        }
    }

    /// Whether its driver gives readings now.
    pub(crate) fn answers(&self) -> bool {
        self.state == DeviceState::Present
    }

    /// What is read every period.
    pub(crate) fn quick(&self, dice: &mut Dice) -> Vec<(MetricId, f64)> {
        let model = self.model;
        let is = |on: bool| f64::from(u8::from(on));
        let busy = if self.profiled { 0.0 } else { (self.load * 1.05).clamp(0.0, 1.0) };
        let Reasons { cap, software_heat, hardware_heat, brake } = self.reasons;
        let mut all = vec![
            (M::AcceleratorTemperature, self.chip_c.round()),
            (
                M::AcceleratorPower,
                (self.power_w * (1.0 + 0.01 * dice.noise()) * 10.0).round() / 10.0,
            ),
            (
                M::AcceleratorMemoryActivity,
                ((self.memory_activity.unwrap_or(busy * 0.6)) * 100.0).round() / 100.0,
            ),
            (M::AcceleratorUtilization, (busy * 100.0).round() / 100.0),
            (M::AcceleratorMemoryUsed, (model.memory_gib * 0.88 * 1024.0).round() * 1_048_576.0),
            (M::AcceleratorThrottled, is(software_heat || brake || (cap && model.kind == "gpu"))),
        ];
        let idle = self.load < 0.02;
        let clock = if idle { 0.2 } else { self.clock };
        all.push((M::AcceleratorClock, (model.clock_mhz * clock / 15.0).round() * 15.0 * 1e6));
        if model.memory_limit_c.is_some() {
            all.push((M::AcceleratorMemoryTemperature, self.memory_c.round()));
        }
        if model.kind == "gpu" {
            all.extend([
                (M::AcceleratorPowerLimit, self.cap_w),
                (M::AcceleratorThrottleThermalSoftware, is(software_heat)),
                (M::AcceleratorThrottleThermalHardware, is(hardware_heat)),
                (M::AcceleratorThrottlePowerCap, is(cap)),
                (M::AcceleratorThrottlePowerBrake, is(brake)),
                (M::AcceleratorThrottleHardware, is(hardware_heat || brake)),
                (M::AcceleratorClocksIdle, is(idle)),
                (M::AcceleratorThrottledPower, self.throttled_s.0),
                (M::AcceleratorThrottledThermal, self.throttled_s.1),
                (M::AcceleratorRecoveryAction, f64::from(self.recovery_action)),
            ]);
        } else {
            all.extend([
                (M::AcceleratorHealthLevel, f64::from(self.health_level)),
                (M::AcceleratorErrorCodes, f64::from(self.open_codes)),
                (M::AcceleratorNetworkHealth, f64::from(self.network_health)),
            ]);
        }
        all
    }

    /// What is read seldom: limits, errors, links.
    pub(crate) fn slow(&self) -> Vec<(MetricId, f64)> {
        let model = self.model;
        let is = |on: bool| f64::from(u8::from(on));
        let (corrected, uncorrected) = (self.ecc.0 as f64, self.ecc.1 as f64);
        let mut all = vec![
            (M::AcceleratorTemperatureSlowdown, model.limits_c.0),
            (M::AcceleratorTemperatureShutdown, model.limits_c.1),
            (M::AcceleratorPowerLimitDefault, model.power_w.1),
            (M::AcceleratorClockMax, model.clock_mhz * 1e6),
            (M::AcceleratorMemoryTotal, model.memory_gib * 1024.0 * 1_048_576.0),
            (M::AcceleratorEnergy, self.energy_j.round()),
            (M::AcceleratorProcesses, self.processes.len() as f64),
            (M::AcceleratorEccEnabled, 1.0),
            (M::AcceleratorEccCorrected, corrected),
            (M::AcceleratorEccUncorrected, uncorrected),
            (M::AcceleratorEccCorrectedLifetime, corrected + 3.0),
            (M::AcceleratorEccUncorrectedLifetime, uncorrected),
            (M::AcceleratorPcieReplays, self.replays as f64),
        ];
        if let Some(limit) = model.memory_limit_c.filter(|_| model.kind == "gpu") {
            all.push((M::AcceleratorMemoryTemperatureMax, limit));
        }
        if model.kind == "gpu" {
            // A link that has nothing to carry may rest at the first generation.
            let rests = self.load < 0.02 && model.links == 0;
            all.extend([
                (M::AcceleratorPowerLimitMax, model.power_w.1),
                (M::AcceleratorDramCorrected, corrected),
                (M::AcceleratorDramUncorrected, uncorrected),
                (M::AcceleratorSramUncorrected, is(self.sram_threshold) * 12.0),
                (M::AcceleratorSramThreshold, is(self.sram_threshold)),
                (
                    M::AcceleratorPcieGeneration,
                    if rests { 1.0 } else { f64::from(self.generation) },
                ),
                (M::AcceleratorPcieGenerationMax, f64::from(model.pcie.0)),
                (M::AcceleratorPcieLanes, f64::from(self.lanes)),
                (M::AcceleratorPcieLanesMax, f64::from(model.pcie.1)),
                (M::AcceleratorInforomValid, 1.0),
            ]);
        }
        if model.remaps {
            all.extend([
                (M::AcceleratorRowsRemappedCorrected, self.rows.0 as f64),
                (M::AcceleratorRowsRemappedUncorrected, self.rows.1 as f64),
                (M::AcceleratorRowRemapPending, is(self.remap_pending)),
                (M::AcceleratorRowRemapFailed, is(self.remap_failed)),
            ]);
        } else {
            all.extend([
                (M::AcceleratorPagesRetiredCorrected, self.pages.0 as f64),
                (M::AcceleratorPagesRetiredUncorrected, self.pages.1 as f64),
            ]);
        }
        if model.links > 0 {
            all.extend([
                (M::AcceleratorLinks, f64::from(model.links)),
                (M::AcceleratorLinksActive, f64::from(self.links_active)),
                (M::AcceleratorLinkCrcErrors, self.link_errors as f64),
                (M::AcceleratorLinkReplays, (self.link_errors / 2) as f64),
                (M::AcceleratorFabricHealthy, is(self.fabric_healthy)),
            ]);
        }
        all
    }
}
