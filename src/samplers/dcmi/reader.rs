//! Reads one chip, group by group.

use super::ask::{Asking, away, put, put_all};
use super::code::{Class, Failure};
use super::faults::Report;
use super::layout::{
    ECC_BYTES_LEAST, EccInfo, FlashInfo, HbmInfo, MemoryInfo, PcieErrors, Utilization,
};
use super::library::{Dcmi, Place, Told};
use super::symbol::Symbol;
use super::value::{bytes, celsius, count_32, hertz, ratio, volts, watts};
use super::{identity, links};
use crate::samplers::accelerator::{Calls, Failure as Stopped, Group, Identity, Reader, Sheet};
use crate::schema::{DeviceState, MetricId};

/// Reads one chip.
#[derive(Debug)]
pub(super) struct ChipReader<'a> {
    pub(super) dcmi: &'a Dcmi,
    pub(super) place: Place,
    /// Clock of the AI cores when nothing holds them back, Hz.
    pub(super) rated_hz: Option<f64>,
    /// Use of the AI cores when last read.
    pub(super) core_ratio: Option<f64>,
    /// Whether all that is open was told once.
    pub(super) has_looked: bool,
    /// Whether the chip was away since then.
    pub(super) was_away: bool,
    /// Whether the library gives four uses in one call.
    pub(super) gives_all_uses: bool,
}

impl Reader for ChipReader<'_> {
    fn identity(&mut self, calls: &Calls) -> Result<Identity, Stopped> {
        let ask = self.dcmi.asking(self.place, calls);
        let identity = identity::identity(&ask, self.dcmi);
        self.was_away |= identity.is_err();
        let identity = identity?;
        self.look(&ask);
        Ok(identity)
    }

    fn read(&mut self, group: Group, sheet: &mut Sheet<'_>) -> Result<(), Stopped> {
        let answer = self.read_group(group, sheet);
        self.was_away |= answer.is_err();
        answer
    }
}

impl ChipReader<'_> {
    fn read_group(&mut self, group: Group, sheet: &mut Sheet<'_>) -> Result<(), Stopped> {
        let ask = self.dcmi.asking(self.place, sheet.calls());
        match group {
            Group::Burst => self.heat(&ask, sheet),
            Group::Fast => {
                self.heat(&ask, sheet)?;
                self.uses(&ask, sheet)?;
                memory(&ask, sheet)
            }
            Group::Medium => {
                self.health(&ask, sheet)?;
                self.clocks(&ask, sheet)?;
                errors(&ask, sheet)?;
                links::counts(&ask, sheet)
            }
            Group::Slow => {
                self.limits(&ask, sheet)?;
                slow(&ask, sheet)?;
                links::layout(&ask, sheet)
            }
            Group::Processes => processes(&ask, sheet),
        }
    }

    /// Tells all that is open, at first and after the chip was away: whoever
    /// answers again has forgotten, or kept, what was open before.
    fn look(&mut self, ask: &Asking<'_>) {
        if self.has_looked && !self.was_away {
            return;
        }
        let chip = self.place.logical;
        let reports = match ask.current_faults() {
            Ok(events) => Ok(self.dcmi.faults().look(chip, &events)),
            Err(_) => ask.codes().map(|codes| self.dcmi.faults().list(chip, &codes)),
        };
        if let Ok(reports) = reports {
            self.was_away = false;
            self.tell(ask, reports);
            if !std::mem::replace(&mut self.has_looked, true) {
                self.dcmi.tell(Told::Looked(chip));
            }
        }
    }

    /// Temperature and power, and whether there is a chip at all.
    fn heat(&self, ask: &Asking<'_>, sheet: &mut Sheet<'_>) -> Result<(), Stopped> {
        let temperature = ask.out(Symbol::Temperature).and_then(celsius);
        if let Err(failure) = temperature {
            is_gone(ask, failure)?;
        }
        put(sheet, MetricId::AcceleratorTemperature, temperature)?;
        if sheet.wants(MetricId::AcceleratorPower) {
            let power = ask.out(Symbol::Power).and_then(watts);
            put(sheet, MetricId::AcceleratorPower, power)?;
        }
        Ok(())
    }

    fn uses(&mut self, ask: &Asking<'_>, sheet: &mut Sheet<'_>) -> Result<(), Stopped> {
        if self.gives_all_uses {
            let all = ask.out::<Utilization>(Symbol::MultiUtilization);
            match all {
                Err(failure) if failure.class() == Class::Permanent => self.gives_all_uses = false,
                _ => {
                    let all = all.map(|of| {
                        [ratio(of.cube), ratio(of.vector), ratio(of.core), ratio(of.chip)]
                    });
                    self.core_ratio = all.ok().and_then(|all| all[2].ok());
                    return put_all(sheet, &USES, all);
                }
            }
        }
        for (metric, which) in USES.into_iter().zip([CUBE, VECTOR, CORE, CHIP]) {
            if !sheet.wants(metric) {
                continue;
            }
            let mut share = ask.pick(Symbol::UtilizationRate, which).and_then(ratio);
            if metric == MetricId::NpuAiCore {
                self.core_ratio = share.ok();
            } else if metric == MetricId::AcceleratorUtilization && is_permanent(share) {
                // Older chips know the use of their cores only.
                share = ask.pick(Symbol::UtilizationRate, CORE).and_then(ratio);
            }
            put(sheet, metric, share)?;
        }
        Ok(())
    }

    fn health(&self, ask: &Asking<'_>, sheet: &mut Sheet<'_>) -> Result<(), Stopped> {
        let health: Result<u32, Failure> = ask.out(Symbol::Health);
        match health {
            Ok(u32::MAX) => return Err(Stopped::Device(DeviceState::Gone)),
            Err(failure) if failure.class() == Class::Gone => {
                return Err(Stopped::Device(DeviceState::Gone));
            }
            _ => put(sheet, MetricId::AcceleratorHealthLevel, health.map(f64::from))?,
        }
        let codes = ask.codes();
        put(
            sheet,
            MetricId::AcceleratorErrorCodes,
            codes.as_ref().map(|codes| codes.len() as f64).map_err(|failure| *failure),
        )?;
        if let Ok(codes) = codes {
            let reports = self.dcmi.faults().list(self.place.logical, &codes);
            self.tell(ask, reports);
        }
        Ok(())
    }

    /// Clocks and voltage, and whether a busy chip runs below its rated clock.
    fn clocks(&self, ask: &Asking<'_>, sheet: &mut Sheet<'_>) -> Result<(), Stopped> {
        if sheet.wants(MetricId::AcceleratorVoltage) {
            let voltage = ask.out(Symbol::Voltage).and_then(volts);
            put(sheet, MetricId::AcceleratorVoltage, voltage)?;
        }
        let clock = ask.pick(Symbol::Frequency, CORE_CLOCK).and_then(hertz);
        put(sheet, MetricId::AcceleratorClock, clock)?;
        if let (Ok(clock), Some(rated), Some(busy)) = (clock, self.rated_hz, self.core_ratio) {
            let throttled = busy >= BUSY_RATIO && clock < rated;
            sheet.put(MetricId::AcceleratorThrottled, f64::from(u8::from(throttled)));
        }
        for (metric, which) in
            [(MetricId::NpuAiCpu, AI_CPU), (MetricId::NpuControlCpu, CONTROL_CPU)]
        {
            if sheet.wants(metric) {
                put(sheet, metric, ask.pick(Symbol::UtilizationRate, which).and_then(ratio))?;
            }
        }
        Ok(())
    }

    /// What hardly changes: limits, rated clocks, further sensors.
    fn limits(&mut self, ask: &Asking<'_>, sheet: &mut Sheet<'_>) -> Result<(), Stopped> {
        for (metric, which) in [
            (MetricId::AcceleratorClockMax, RATED_CLOCK),
            (MetricId::NpuVectorClock, VECTOR_CLOCK),
            (MetricId::NpuControlClock, CONTROL_CLOCK),
        ] {
            if sheet.wants(metric) {
                let clock = ask.pick(Symbol::Frequency, which).and_then(hertz);
                if metric == MetricId::AcceleratorClockMax {
                    self.rated_hz = clock.ok();
                }
                put(sheet, metric, clock)?;
            }
        }
        if sheet.wants(MetricId::AcceleratorTemperatureSlowdown) {
            let thresholds = ask.pick::<[i8; 2]>(Symbol::Sensor, THRESHOLDS);
            let thresholds = thresholds.map(|of| of.map(|one| celsius(i32::from(one))));
            put_all(sheet, &THRESHOLD_METRICS, thresholds)?;
        }
        for (metric, which) in
            [(MetricId::NpuSocTemperature, SOC), (MetricId::NpuDieTemperature, DIE)]
        {
            if sheet.wants(metric) {
                put(sheet, metric, ask.pick(Symbol::Sensor, which).and_then(celsius))?;
            }
        }
        Ok(())
    }

    /// Tells faults; one that came as a code is named by the library.
    fn tell(&self, ask: &Asking<'_>, reports: Vec<Report>) {
        for mut report in reports {
            if report.name.is_empty() {
                report.name = ask.text(Symbol::ErrorText, report.code).unwrap_or_default();
            }
            self.dcmi.tell(Told::Report(report));
        }
    }
}

/// Whether a chip that fails so is there: whoever says that it is not is asked
/// once more, in a call that every chip has.
fn is_gone(ask: &Asking<'_>, failure: Failure) -> Result<(), Stopped> {
    if let Some(state) = away(failure) {
        return Err(Stopped::Device(state));
    }
    if failure.class() != Class::Gone {
        return Ok(());
    }
    match ask.out::<u32>(Symbol::Health) {
        Ok(health) if health != u32::MAX => Ok(()),
        Err(other) if away(other).is_some() => {
            Err(Stopped::Device(away(other).unwrap_or_default()))
        }
        _ => Err(Stopped::Device(DeviceState::Gone)),
    }
}

fn memory(ask: &Asking<'_>, sheet: &mut Sheet<'_>) -> Result<(), Stopped> {
    if sheet.wants(MetricId::AcceleratorMemoryTemperature) {
        let hbm = ask.out::<HbmInfo>(Symbol::Hbm);
        // A chip without such memory has the other kind.
        let has_none = is_permanent(hbm.map(|_| 0.0)) || matches!(hbm, Ok(hbm) if hbm.size == 0);
        if !has_none {
            return put_all(
                sheet,
                &HBM_METRICS,
                hbm.map(|of| {
                    [
                        celsius(of.temperature),
                        bytes(of.used),
                        bytes(of.size),
                        ratio(of.bandwidth),
                        hertz(of.clock),
                    ]
                }),
            );
        }
        let reason = hbm.err().unwrap_or(Failure::Returned(NOT_SUPPORTED)).reason();
        sheet.absent(MetricId::AcceleratorMemoryTemperature, reason);
        sheet.absent(MetricId::AcceleratorMemoryActivity, reason);
    }
    if !sheet.wants(MetricId::AcceleratorMemoryTotal) {
        return Ok(());
    }
    let ddr = ask
        .out::<MemoryInfo>(Symbol::Memory)
        .map(|of| [bytes(of.size.saturating_sub(of.available)), bytes(of.size), hertz(of.clock)]);
    put_all(sheet, &DDR_METRICS, ddr)
}

fn errors(ask: &Asking<'_>, sheet: &mut Sheet<'_>) -> Result<(), Stopped> {
    if sheet.wants(MetricId::AcceleratorEccCorrected) {
        let ecc = ask.pick_marked::<EccInfo>(Symbol::Ecc, ECC_HBM, ECC_BYTES_LEAST);
        put_all(
            sheet,
            &ECC_METRICS,
            ecc.map(|of| {
                [
                    Ok(f64::from(u8::from(of.enabled != 0))),
                    count_32(of.corrected),
                    count_32(of.uncorrected),
                    count_32(of.corrected_lifetime),
                    count_32(of.uncorrected_lifetime),
                    count_32(of.isolated_corrected),
                    count_32(of.isolated_uncorrected),
                    count_32(of.isolate_next_corrected).map_err(|_| Failure::NotInLibrary),
                    count_32(of.isolate_next_uncorrected).map_err(|_| Failure::NotInLibrary),
                ]
            }),
        )?;
    }
    if sheet.wants(MetricId::AcceleratorPcieErrors) {
        let errors = ask.out::<PcieErrors>(Symbol::PcieErrors);
        put_all(
            sheet,
            &PCIE_METRICS,
            errors.map(|of| {
                let parts = [
                    count_32(of.link_crc_errors),
                    count_32(of.data_crc_errors),
                    count_32(of.receive_errors),
                    count_32(of.lane_errors),
                    count_32(of.symbol_unlocks),
                ];
                let [a, b, c, d, e] = parts;
                [Ok(parts.iter().flatten().sum()), a, b, c, d, e]
            }),
        )?;
    }
    Ok(())
}

fn slow(ask: &Asking<'_>, sheet: &mut Sheet<'_>) -> Result<(), Stopped> {
    if sheet.wants(MetricId::AcceleratorSramUncorrected) {
        let sram = ask.pick::<EccInfo>(Symbol::Ecc, ECC_SRAM);
        put_all(
            sheet,
            &[MetricId::AcceleratorSramCorrected, MetricId::AcceleratorSramUncorrected],
            sram.map(|of| [count_32(of.corrected), count_32(of.uncorrected)]),
        )?;
    }
    for (metric, symbol) in [
        (MetricId::NpuMultiBitRecords, Symbol::MultiBitTimes),
        (MetricId::NpuBootStage, Symbol::BootStatus),
    ] {
        if sheet.wants(metric) {
            put(sheet, metric, ask.out::<u32>(symbol).and_then(count_32))?;
        }
    }
    optical(ask, sheet)?;
    flash(ask, sheet)
}

/// An optical module's temperature; a copper cable and an empty port have
/// none.
fn optical(ask: &Asking<'_>, sheet: &mut Sheet<'_>) -> Result<(), Stopped> {
    if !sheet.wants(MetricId::NpuOpticalPresent) {
        return Ok(());
    }
    let raw: Result<i32, Failure> = ask.pick(Symbol::Sensor, OPTICAL);
    let (present, temperature) = match raw {
        Ok(COPPER) => (Ok(0.0), Err(Failure::Returned(NOT_SUPPORTED))),
        Ok(raw) => (Ok(1.0), celsius(raw)),
        Err(failure) if failure.class() == Class::Gone => (Ok(0.0), Err(failure)),
        Err(failure) => (Err(failure), Err(failure)),
    };
    put(sheet, MetricId::NpuOpticalPresent, present)?;
    put(sheet, MetricId::NpuOpticalTemperature, temperature)
}

fn flash(ask: &Asking<'_>, sheet: &mut Sheet<'_>) -> Result<(), Stopped> {
    if !sheet.wants(MetricId::NpuFlashes) {
        return Ok(());
    }
    let chips = ask
        .out::<u32>(Symbol::FlashCount)
        .and_then(|chips| if chips > FLASHES_MAX { Err(Failure::Invalid) } else { Ok(chips) });
    put(sheet, MetricId::NpuFlashes, chips.map(f64::from))?;
    let bad = chips.and_then(|chips| {
        let mut bad = 0;
        for at in 0..chips {
            let flash: FlashInfo = ask.pick(Symbol::FlashInfo, at.cast_signed())?;
            bad += u32::from(flash.state != FLASH_GOOD);
        }
        Ok(f64::from(bad))
    });
    put(sheet, MetricId::NpuFlashesBad, bad)
}

fn processes(ask: &Asking<'_>, sheet: &mut Sheet<'_>) -> Result<(), Stopped> {
    if !sheet.wants(MetricId::AcceleratorProcesses) {
        return Ok(());
    }
    let processes = ask.processes();
    if let Ok(processes) = &processes {
        sheet.processes();
        for of in processes {
            if let Some(id) = u32::try_from(of.process).ok().filter(|id| *id != 0) {
                sheet.process(id, Some(of.memory).filter(|memory| *memory != u64::MAX));
            }
        }
    }
    let count = processes.map(|processes| processes.len() as f64);
    put(sheet, MetricId::AcceleratorProcesses, count)
}

fn is_permanent(answer: Result<f64, Failure>) -> bool {
    answer.is_err_and(|failure| failure.class() == Class::Permanent)
}

/// From this use on a chip below its rated clock is held back.
const BUSY_RATIO: f64 = 0.5;

/// What [`Symbol::UtilizationRate`] picks.
const CORE: i32 = 2;
const AI_CPU: i32 = 3;
const CONTROL_CPU: i32 = 4;
const VECTOR: i32 = 12;
const CHIP: i32 = 13;
const CUBE: i32 = 14;

/// What [`Symbol::Frequency`] picks.
const CONTROL_CLOCK: i32 = 2;
const CORE_CLOCK: i32 = 7;
const RATED_CLOCK: i32 = 9;
const VECTOR_CLOCK: i32 = 12;

/// What [`Symbol::Sensor`] picks.
const THRESHOLDS: i32 = 9;
const SOC: i32 = 11;
const OPTICAL: i32 = 12;
const DIE: i32 = 13;

/// What [`Symbol::Ecc`] picks.
const ECC_SRAM: i32 = 1;
const ECC_HBM: i32 = 2;

/// Stands for a copper cable in place of an optical module's temperature.
const COPPER: i32 = 0x7EFF;
/// The state of a flash chip that is in order.
const FLASH_GOOD: u32 = 8;
/// Most flash chips that a chip can have.
const FLASHES_MAX: u32 = 16;
/// What the library answers where there is no such thing.
const NOT_SUPPORTED: i32 = -8255;

const USES: [MetricId; 4] = [
    MetricId::NpuAiCube,
    MetricId::NpuVectorCore,
    MetricId::NpuAiCore,
    MetricId::AcceleratorUtilization,
];

const THRESHOLD_METRICS: [MetricId; 2] =
    [MetricId::AcceleratorTemperatureSlowdown, MetricId::AcceleratorTemperatureShutdown];

const HBM_METRICS: [MetricId; 5] = [
    MetricId::AcceleratorMemoryTemperature,
    MetricId::AcceleratorMemoryUsed,
    MetricId::AcceleratorMemoryTotal,
    MetricId::AcceleratorMemoryActivity,
    MetricId::AcceleratorMemoryClock,
];

const DDR_METRICS: [MetricId; 3] = [
    MetricId::AcceleratorMemoryUsed,
    MetricId::AcceleratorMemoryTotal,
    MetricId::AcceleratorMemoryClock,
];

const ECC_METRICS: [MetricId; 9] = [
    MetricId::AcceleratorEccEnabled,
    MetricId::AcceleratorEccCorrected,
    MetricId::AcceleratorEccUncorrected,
    MetricId::AcceleratorEccCorrectedLifetime,
    MetricId::AcceleratorEccUncorrectedLifetime,
    MetricId::AcceleratorPagesRetiredCorrected,
    MetricId::AcceleratorPagesRetiredUncorrected,
    MetricId::NpuPagesIsolateNextCorrected,
    MetricId::NpuPagesIsolateNextUncorrected,
];

const PCIE_METRICS: [MetricId; 6] = [
    MetricId::AcceleratorPcieErrors,
    MetricId::NpuPcieLinkCrcErrors,
    MetricId::NpuPcieDataLinkCrcErrors,
    MetricId::NpuPcieReceiveErrors,
    MetricId::NpuPcieLaneErrors,
    MetricId::NpuPcieSymbolUnlocks,
];
