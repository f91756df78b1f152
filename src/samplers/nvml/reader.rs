//! Reads one GPU, or one instance of one.
//!
//! What has a field is had in one call with everything else that has one. What
//! has none costs a call each, so the cheap ones of these take turns: a tick
//! makes three calls.

use nvml_wrapper::Device;
use nvml_wrapper::bitmasks::device::ThrottleReasons;
use nvml_wrapper::enum_wrappers::device::{
    Clock, EccCounter, MemoryError, MemoryLocation, TemperatureSensor, TemperatureThreshold,
};
use nvml_wrapper::enums::device::UsedGpuMemory;
use nvml_wrapper::error::NvmlError;

use super::failure::{field_reason, reason};
use super::fields::{
    FAST, FieldRow, LINK_ERRORS, LINK_STATE, LINKS_MAX, MEDIUM, PCIE_ERRORS, RECOVERY_ACTION, SLOW,
};
use super::library::NvmlLibrary;
use super::raw::{self, Field};
use crate::samplers::accelerator::{Calls, Failure, Found, Group, Identity, Reader, Sheet};
use crate::schema::{AbsentReason, MetricId};

/// One device's reader.
pub(super) struct GpuReader<'a> {
    library: &'a NvmlLibrary,
    handle: u64,
    device: Option<Device<'static>>,
    turn: usize,
    links: u32,
}

/// A reading without a field.
#[derive(Debug, Clone, Copy)]
enum Single {
    Temperature,
    Utilization,
    Memory,
    Throttle,
    Clock,
}

/// Which of them each tick reads, besides its fields.
const TURNS: [[Single; 2]; 4] = [
    [Single::Temperature, Single::Utilization],
    [Single::Throttle, Single::Memory],
    [Single::Temperature, Single::Utilization],
    [Single::Throttle, Single::Clock],
];

type Answer<T> = Result<T, NvmlError>;

impl<'a> GpuReader<'a> {
    pub(super) fn new(library: &'a NvmlLibrary, found: &Found) -> Self {
        Self { library, handle: found.handle, device: None, turn: 0, links: 0 }
    }

    const fn is_instance(&self) -> bool {
        self.handle >> 32 != 0
    }

    const fn index(&self) -> u32 {
        self.handle as u32
    }

    fn fast(&mut self, device: &Device<'static>, sheet: &mut Sheet<'_>) -> Result<(), Failure> {
        if self.is_instance() {
            return memory(device, sheet);
        }
        let recovery = if self.library.takes_recovery(self.index()) {
            MEDIUM.iter().find(|row| row.id == RECOVERY_ACTION)
        } else {
            None
        };
        fields(device, FAST.iter().chain(recovery), sheet)?;
        // The first time nothing waits for its turn.
        let turns = if self.turn == 0 { &TURNS[..] } else { &TURNS[self.turn % 4..][..1] };
        self.turn += 1;
        for single in turns.iter().flatten() {
            single.read(device, sheet)?;
        }
        Ok(())
    }

    fn medium(&mut self, device: &Device<'static>, sheet: &mut Sheet<'_>) -> Result<(), Failure> {
        if self.is_instance() {
            return Ok(());
        }
        fields(device, MEDIUM.iter(), sheet)?;
        let links = sheet.values().iter().find(|(of, _)| *of == MetricId::AcceleratorLinks);
        self.links = links.map_or(self.links, |(_, links)| *links as u32).min(LINKS_MAX);
        self.sums(device, sheet)?;
        one(sheet, MetricId::AcceleratorMemoryClock, "nvmlDeviceGetClockInfo", || {
            device.clock_info(Clock::Memory).map(|mhz| f64::from(mhz) * 1e6)
        })?;
        one(sheet, MetricId::AcceleratorFan, "nvmlDeviceGetFanSpeed_v2", || {
            device.fan_speed(0).map(percent)
        })?;
        one(sheet, MetricId::AcceleratorEncoder, "nvmlDeviceGetEncoderUtilization", || {
            device.encoder_utilization().map(|of| percent(of.utilization))
        })?;
        one(sheet, MetricId::AcceleratorDecoder, "nvmlDeviceGetDecoderUtilization", || {
            device.decoder_utilization().map(|of| percent(of.utilization))
        })?;
        one(
            sheet,
            MetricId::AcceleratorPcieGeneration,
            "nvmlDeviceGetCurrPcieLinkGeneration",
            || device.current_pcie_link_gen().map(f64::from),
        )?;
        one(sheet, MetricId::AcceleratorPcieLanes, "nvmlDeviceGetCurrPcieLinkWidth", || {
            device.current_pcie_link_width().map(f64::from)
        })
    }

    /// Readings that are sums over several fields, in one call.
    fn sums(&self, device: &Device<'static>, sheet: &mut Sheet<'_>) -> Result<(), Failure> {
        let mut asked: Vec<(MetricId, Field)> = Vec::new();
        let mut ask = |metric, id, scope| {
            if sheet.wants(metric) {
                asked.push((metric, Field { id, scope, value: Err(0) }));
            }
        };
        PCIE_ERRORS.iter().for_each(|id| ask(MetricId::AcceleratorPcieErrors, *id, 0));
        for link in 0..self.links {
            ask(MetricId::AcceleratorLinksActive, LINK_STATE, link);
            LINK_ERRORS.iter().for_each(|(metric, id)| ask(*metric, *id, link));
        }
        let mut questions: Vec<Field> = asked.iter().map(|(_, field)| field.clone()).collect();
        call_fields(device, &mut questions, sheet)?;
        let metrics = LINK_ERRORS.iter().map(|(metric, _)| *metric);
        let all = [MetricId::AcceleratorPcieErrors, MetricId::AcceleratorLinksActive];
        for metric in
            all.into_iter().chain(metrics).filter(|metric| sheet.wants(*metric)).collect::<Vec<_>>()
        {
            let of = asked.iter().zip(&questions).filter(|((of, _), _)| *of == metric);
            let (mut sum, mut had, mut why) = (0.0, false, AbsentReason::NotSupported);
            for (_, field) in of {
                match field.value {
                    Ok(value) => (sum, had) = (sum + value, true),
                    Err(code) => why = field_reason(code)?,
                }
            }
            if had { sheet.put(metric, sum) } else { sheet.absent(metric, why) }
        }
        Ok(())
    }
}

impl Reader for GpuReader<'_> {
    fn identity(&mut self, calls: &Calls) -> Result<Identity, Failure> {
        let fatal = |error: NvmlError| match reason(&error) {
            Err(failure) => failure,
            Ok(_) => Failure::Device(crate::schema::DeviceState::Gone),
        };
        let device = self.library.device(calls, self.handle).map_err(fatal)?;
        let text = |name, of: &dyn Fn() -> Answer<String>| match calls.call(name, of) {
            Ok(text) => Ok(text),
            Err(error) => match reason(&error) {
                Ok(_) => Ok(String::new()),
                Err(failure) => Err(failure),
            },
        };
        let device_model = text("nvmlDeviceGetName", &|| device.name())?;
        let is_instance = self.is_instance();
        let whole = |name, of: &dyn Fn() -> Answer<String>| {
            if is_instance { Ok(String::new()) } else { text(name, of) }
        };
        let identity = Identity {
            device_model,
            serial: whole("nvmlDeviceGetSerial", &|| device.serial())?,
            driver: self.library.driver.clone(),
            firmware: whole("nvmlDeviceGetVbiosVersion", &|| device.vbios_version())?,
            inforom: whole("nvmlDeviceGetInforomImageVersion", &|| {
                device.info_rom_image_version()
            })?,
            library: self.library.version.clone(),
        };
        self.device = Some(device);
        Ok(identity)
    }

    fn read(&mut self, group: Group, sheet: &mut Sheet<'_>) -> Result<(), Failure> {
        let Some(device) = self.device.take() else { return Ok(()) };
        let read = match group {
            Group::Burst if self.is_instance() => Ok(()),
            Group::Burst => burst(&device, sheet),
            Group::Fast => self.fast(&device, sheet),
            Group::Medium => self.medium(&device, sheet),
            Group::Slow if self.is_instance() => Ok(()),
            Group::Slow => slow(&device, sheet),
            Group::Processes => processes(&device, sheet),
        };
        self.device = Some(device);
        read
    }
}

impl Single {
    fn read(self, device: &Device<'static>, sheet: &mut Sheet<'_>) -> Result<(), Failure> {
        match self {
            Self::Temperature => temperature(device, sheet),
            Self::Utilization => utilization(device, sheet),
            Self::Memory => memory(device, sheet),
            Self::Throttle => throttle(device, sheet),
            Self::Clock => one(sheet, MetricId::AcceleratorClock, "nvmlDeviceGetClockInfo", || {
                device.clock_info(Clock::SM).map(|mhz| f64::from(mhz) * 1e6)
            }),
        }
    }
}

fn burst(device: &Device<'static>, sheet: &mut Sheet<'_>) -> Result<(), Failure> {
    temperature(device, sheet)?;
    fields(device, FAST.iter().filter(|row| row.metric == MetricId::AcceleratorPower), sheet)
}

fn temperature(device: &Device<'static>, sheet: &mut Sheet<'_>) -> Result<(), Failure> {
    one(sheet, MetricId::AcceleratorTemperature, "nvmlDeviceGetTemperature", || {
        device.temperature(TemperatureSensor::Gpu).map(f64::from)
    })
}

fn utilization(device: &Device<'static>, sheet: &mut Sheet<'_>) -> Result<(), Failure> {
    many(
        sheet,
        &[MetricId::AcceleratorUtilization, MetricId::AcceleratorMemoryActivity],
        "nvmlDeviceGetUtilizationRates",
        || device.utilization_rates().map(|of| vec![percent(of.gpu), percent(of.memory)]),
    )
}

fn memory(device: &Device<'static>, sheet: &mut Sheet<'_>) -> Result<(), Failure> {
    let metrics = [
        MetricId::AcceleratorMemoryUsed,
        MetricId::AcceleratorMemoryTotal,
        MetricId::AcceleratorMemoryReserved,
    ];
    many(sheet, &metrics, "nvmlDeviceGetMemoryInfo_v2", || {
        let of = device.memory_info()?;
        Ok(vec![of.used as f64, of.total as f64, of.reserved as f64])
    })
}

fn throttle(device: &Device<'static>, sheet: &mut Sheet<'_>) -> Result<(), Failure> {
    let reasons = [
        (MetricId::AcceleratorThrottleThermalSoftware, 0x20),
        (MetricId::AcceleratorThrottleThermalHardware, 0x40),
        (MetricId::AcceleratorThrottlePowerCap, 0x4),
        (MetricId::AcceleratorThrottlePowerBrake, 0x80),
        (MetricId::AcceleratorThrottleHardware, 0x8),
        (MetricId::AcceleratorThrottleSync, 0x10),
        (MetricId::AcceleratorClocksIdle, 0x1),
        (MetricId::AcceleratorThrottled, 0x20 | 0x40 | 0x4 | 0x80 | 0x8),
    ];
    let metrics = reasons.map(|(metric, _)| metric);
    many(sheet, &metrics, "nvmlDeviceGetCurrentClocksThrottleReasons", || {
        let now = device.current_throttle_reasons()?;
        let is = |bits| now.intersects(ThrottleReasons::from_bits_truncate(bits));
        Ok(reasons.iter().map(|(_, bits)| f64::from(u8::from(is(*bits)))).collect())
    })
}

fn slow(device: &Device<'static>, sheet: &mut Sheet<'_>) -> Result<(), Failure> {
    fields(device, SLOW.iter(), sheet)?;
    let threshold = "nvmlDeviceGetTemperatureThreshold";
    for (metric, of) in [
        (MetricId::AcceleratorTemperatureSlowdown, TemperatureThreshold::Slowdown),
        (MetricId::AcceleratorTemperatureShutdown, TemperatureThreshold::Shutdown),
        (MetricId::AcceleratorMemoryTemperatureMax, TemperatureThreshold::MemoryMax),
    ] {
        one(sheet, metric, threshold, || device.temperature_threshold(of).map(f64::from))?;
    }
    one(sheet, MetricId::AcceleratorPowerLimit, "nvmlDeviceGetEnforcedPowerLimit", || {
        device.enforced_power_limit().map(|mw| f64::from(mw) * 1e-3)
    })?;
    for (metric, of) in [
        (MetricId::AcceleratorClockMax, Clock::SM),
        (MetricId::AcceleratorMemoryClockMax, Clock::Memory),
    ] {
        one(sheet, metric, "nvmlDeviceGetMaxClockInfo", || {
            device.max_clock_info(of).map(|mhz| f64::from(mhz) * 1e6)
        })?;
    }
    one(
        sheet,
        MetricId::AcceleratorPcieGenerationMax,
        "nvmlDeviceGetMaxPcieLinkGeneration",
        || device.max_pcie_link_gen().map(f64::from),
    )?;
    one(sheet, MetricId::AcceleratorPcieLanesMax, "nvmlDeviceGetMaxPcieLinkWidth", || {
        device.max_pcie_link_width().map(f64::from)
    })?;
    one(sheet, MetricId::AcceleratorEccEnabled, "nvmlDeviceGetEccMode", || {
        device.is_ecc_enabled().map(|of| f64::from(u8::from(of.currently_enabled)))
    })?;
    let counter = "nvmlDeviceGetMemoryErrorCounter";
    for (metric, error, location) in [
        (MetricId::AcceleratorSramUncorrected, MemoryError::Uncorrected, MemoryLocation::SRAM),
        (MetricId::AcceleratorDramUncorrected, MemoryError::Uncorrected, MemoryLocation::Device),
        (MetricId::AcceleratorSramCorrected, MemoryError::Corrected, MemoryLocation::SRAM),
        (MetricId::AcceleratorDramCorrected, MemoryError::Corrected, MemoryLocation::Device),
    ] {
        one(sheet, metric, counter, || {
            let of = (error, EccCounter::Volatile, location);
            device.memory_error_counter(of.0, of.1, of.2).map(|count| count as f64)
        })?;
    }
    rare(device, sheet)?;
    one(sheet, MetricId::AcceleratorInforomValid, "nvmlDeviceValidateInforom", || {
        match device.validate_info_rom() {
            Ok(()) => Ok(1.0),
            Err(NvmlError::CorruptedInfoROM) => Ok(0.0),
            Err(error) => Err(error),
        }
    })
}

/// What the wrapper does not wrap.
fn rare(device: &Device<'static>, sheet: &mut Sheet<'_>) -> Result<(), Failure> {
    one(sheet, MetricId::AcceleratorTemperatureMargin, "nvmlDeviceGetMarginTemperature", || {
        raw::margin(device).map(f64::from)
    })?;
    one(sheet, MetricId::AcceleratorSramThreshold, "nvmlDeviceGetSramEccErrorStatus", || {
        raw::sram_threshold(device).map(|passed| f64::from(u8::from(passed)))
    })?;
    let banks = [MetricId::AcceleratorBanksWithoutSpare, MetricId::AcceleratorBanksLowOnSpare];
    many(sheet, &banks, "nvmlDeviceGetRowRemapperHistogram", || {
        raw::banks(device).map(|(none, few)| vec![f64::from(none), f64::from(few)])
    })?;
    one(sheet, MetricId::AcceleratorFabricHealthy, "nvmlDeviceGetGpuFabricInfoV", || {
        match raw::fabric(device)? {
            // This board has no fabric.
            raw::Fabric { state: 0, .. } => Err(NvmlError::NotSupported),
            fabric => Ok(f64::from(u8::from(is_healthy(fabric)))),
        }
    })
}

/// Whether the device is registered with its fabric, and nothing of that is
/// said to be ill.
fn is_healthy(fabric: raw::Fabric) -> bool {
    const COMPLETED: u32 = 3;
    // Bandwidth, recovery, route and access: each two bits, of which 1 is ill.
    let is_ill = (0..4).any(|at| fabric.health >> (2 * at) & 3 == 1);
    // Four bits of configuration: 0 is not told, 1 is right.
    let is_wrong = fabric.health >> 8 & 15 > 1;
    fabric.state == COMPLETED && fabric.status == 0 && !is_ill && !is_wrong
}

fn processes(device: &Device<'static>, sheet: &mut Sheet<'_>) -> Result<(), Failure> {
    if !sheet.wants(MetricId::AcceleratorProcesses) {
        return Ok(());
    }
    let name = "nvmlDeviceGetComputeRunningProcesses_v3";
    match sheet.calls().call(name, || device.running_compute_processes()) {
        Ok(running) => {
            sheet.put(MetricId::AcceleratorProcesses, running.len() as f64);
            sheet.processes();
            for process in running {
                let memory_bytes = match process.used_gpu_memory {
                    UsedGpuMemory::Used(bytes) => Some(bytes),
                    UsedGpuMemory::Unavailable => None,
                };
                sheet.process(process.pid, memory_bytes);
            }
            Ok(())
        }
        Err(error) => {
            sheet.absent(MetricId::AcceleratorProcesses, reason(&error)?);
            Ok(())
        }
    }
}

/// All fields of `rows` that are wanted, in one call.
fn fields<'r>(
    device: &Device<'static>,
    rows: impl Iterator<Item = &'r FieldRow>,
    sheet: &mut Sheet<'_>,
) -> Result<(), Failure> {
    let rows: Vec<_> = rows.filter(|row| sheet.wants(row.metric)).collect();
    let mut questions: Vec<Field> = rows.iter().map(|row| row.field()).collect();
    call_fields(device, &mut questions, sheet)?;
    for (row, field) in rows.iter().zip(questions) {
        match field.value {
            Ok(value) => sheet.put(row.metric, value * row.factor),
            Err(code) => sheet.absent(row.metric, field_reason(code)?),
        }
    }
    Ok(())
}

/// Fills `questions`; a call that fails as a whole fails each.
fn call_fields(
    device: &Device<'static>,
    questions: &mut [Field],
    sheet: &Sheet<'_>,
) -> Result<(), Failure> {
    if questions.is_empty() {
        return Ok(());
    }
    let call = || raw::read_fields(device, questions);
    match sheet.calls().call("nvmlDeviceGetFieldValues", call) {
        Ok(()) => Ok(()),
        Err(error) => {
            let code = match reason(&error)? {
                AbsentReason::NotSupported => 3,
                AbsentReason::NoPermission => 4,
                AbsentReason::NotInLibrary => 13,
                _ => 999,
            };
            questions.iter_mut().for_each(|field| field.value = Err(code));
            Ok(())
        }
    }
}

fn one(
    sheet: &mut Sheet<'_>,
    metric: MetricId,
    name: &'static str,
    call: impl FnOnce() -> Answer<f64>,
) -> Result<(), Failure> {
    many(sheet, &[metric], name, || call().map(|value| vec![value]))
}

/// Readings that one call gives.
fn many(
    sheet: &mut Sheet<'_>,
    metrics: &[MetricId],
    name: &'static str,
    call: impl FnOnce() -> Answer<Vec<f64>>,
) -> Result<(), Failure> {
    if !metrics.iter().any(|metric| sheet.wants(*metric)) {
        return Ok(());
    }
    match sheet.calls().call(name, call) {
        Ok(values) => {
            metrics.iter().zip(values).for_each(|(metric, value)| sheet.put(*metric, value));
        }
        Err(error) => {
            let why = reason(&error)?;
            metrics.iter().for_each(|metric| sheet.absent(*metric, why));
        }
    }
    Ok(())
}

/// A share from NVML's whole percents.
fn percent(percents: u32) -> f64 {
    f64::from(percents) / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fabric_is_healthy_when_registered_and_nothing_is_ill() {
        let of = |state, status, health| raw::Fabric { state, status, health };
        assert!(is_healthy(of(3, 0, 0)), "an older library tells nothing of health");
        assert!(is_healthy(of(3, 0, 0b01_10_10_10_10)));
        assert!(!is_healthy(of(2, 0, 0)), "still in progress");
        assert!(!is_healthy(of(3, 999, 0)));
        assert!(!is_healthy(of(3, 0, 0b01)), "bandwidth is degraded");
        assert!(!is_healthy(of(3, 0, 0b01_00_00)), "a route is ill");
        assert!(!is_healthy(of(3, 0, 0b10 << 8)), "the configuration is wrong");
    }
}
