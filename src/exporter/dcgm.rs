//! The names that NVIDIA's exporter gives its readings of GPUs, for dashboards
//! that were made for it. Off unless `exporter.dcgm_names` is on.
//!
//! Units are that exporter's: MiB, MHz, percent, millijoules, microseconds.
//! What the source does not give has no series here either.

use super::devices::{Devices, Named};
use super::page::{Family, Kind, Page, label};
use super::readings::Newest;
use crate::schema::{Accelerator, MetricId};

/// A name, what it is of, and what a reading is multiplied by.
type Row = (Family, MetricId, f64);

const MIB: f64 = 1.0 / 1_048_576.0;
const MHZ: f64 = 1e-6;
const PERCENT: f64 = 100.0;

const fn row(name: &'static str, kind: Kind, help: &'static str, id: MetricId, by: f64) -> Row {
    (Family { name, kind, help }, id, by)
}

use Kind::{Counter, Gauge};
use MetricId as M;

/// In the order of the page.
const ROWS: &[Row] = &[
    row("SM_CLOCK", Gauge, "SM clock frequency (in MHz).", M::AcceleratorClock, MHZ),
    row("MEM_CLOCK", Gauge, "Memory clock frequency (in MHz).", M::AcceleratorMemoryClock, MHZ),
    row("MEMORY_TEMP", Gauge, "Memory temperature (in C).", M::AcceleratorMemoryTemperature, 1.0),
    row("GPU_TEMP", Gauge, "GPU temperature (in C).", M::AcceleratorTemperature, 1.0),
    row("POWER_USAGE", Gauge, "Power draw (in W).", M::AcceleratorPower, 1.0),
    row(
        "TOTAL_ENERGY_CONSUMPTION",
        Counter,
        "Energy since the driver's start (in mJ).",
        M::AcceleratorEnergy,
        1e3,
    ),
    row("PCIE_REPLAY_COUNTER", Counter, "PCIe retries.", M::AcceleratorPcieReplays, 1.0),
    row("GPU_UTIL", Gauge, "GPU utilization (in %).", M::AcceleratorUtilization, PERCENT),
    row(
        "MEM_COPY_UTIL",
        Gauge,
        "Memory utilization (in %).",
        M::AcceleratorMemoryActivity,
        PERCENT,
    ),
    row("ENC_UTIL", Gauge, "Encoder utilization (in %).", M::AcceleratorEncoder, PERCENT),
    row("DEC_UTIL", Gauge, "Decoder utilization (in %).", M::AcceleratorDecoder, PERCENT),
    row("FB_TOTAL", Gauge, "Framebuffer memory (in MiB).", M::AcceleratorMemoryTotal, MIB),
    row("FB_USED", Gauge, "Framebuffer memory used (in MiB).", M::AcceleratorMemoryUsed, MIB),
    row(
        "FB_RESERVED",
        Gauge,
        "Framebuffer memory reserved (in MiB).",
        M::AcceleratorMemoryReserved,
        MIB,
    ),
    row("FAN_SPEED", Gauge, "Fan speed (in %).", M::AcceleratorFan, PERCENT),
    row(
        "SLOWDOWN_TEMP",
        Gauge,
        "Slowdown temperature (in C).",
        M::AcceleratorTemperatureSlowdown,
        1.0,
    ),
    row(
        "SHUTDOWN_TEMP",
        Gauge,
        "Shutdown temperature (in C).",
        M::AcceleratorTemperatureShutdown,
        1.0,
    ),
    row(
        "ENFORCED_POWER_LIMIT",
        Gauge,
        "Power limit in force (in W).",
        M::AcceleratorPowerLimit,
        1.0,
    ),
    row(
        "POWER_VIOLATION",
        Counter,
        "Throttling for power (in us).",
        M::AcceleratorThrottledPower,
        1e6,
    ),
    row(
        "THERMAL_VIOLATION",
        Counter,
        "Throttling for heat (in us).",
        M::AcceleratorThrottledThermal,
        1e6,
    ),
    row(
        "ECC_SBE_VOL_TOTAL",
        Counter,
        "Single-bit volatile ECC errors.",
        M::AcceleratorEccCorrected,
        1.0,
    ),
    row(
        "ECC_DBE_VOL_TOTAL",
        Counter,
        "Double-bit volatile ECC errors.",
        M::AcceleratorEccUncorrected,
        1.0,
    ),
    row(
        "ECC_SBE_AGG_TOTAL",
        Counter,
        "Single-bit persistent ECC errors.",
        M::AcceleratorEccCorrectedLifetime,
        1.0,
    ),
    row(
        "ECC_DBE_AGG_TOTAL",
        Counter,
        "Double-bit persistent ECC errors.",
        M::AcceleratorEccUncorrectedLifetime,
        1.0,
    ),
    row(
        "RETIRED_SBE",
        Counter,
        "Pages retired for single-bit errors.",
        M::AcceleratorPagesRetiredCorrected,
        1.0,
    ),
    row(
        "RETIRED_DBE",
        Counter,
        "Pages retired for double-bit errors.",
        M::AcceleratorPagesRetiredUncorrected,
        1.0,
    ),
    row(
        "RETIRED_PENDING",
        Counter,
        "Pages that wait for retirement.",
        M::AcceleratorPagesRetirePending,
        1.0,
    ),
    row(
        "UNCORRECTABLE_REMAPPED_ROWS",
        Counter,
        "Rows remapped for uncorrectable errors.",
        M::AcceleratorRowsRemappedUncorrected,
        1.0,
    ),
    row(
        "CORRECTABLE_REMAPPED_ROWS",
        Counter,
        "Rows remapped for correctable errors.",
        M::AcceleratorRowsRemappedCorrected,
        1.0,
    ),
    row(
        "ROW_REMAP_PENDING",
        Gauge,
        "Whether a row waits to be remapped.",
        M::AcceleratorRowRemapPending,
        1.0,
    ),
    row(
        "ROW_REMAP_FAILURE",
        Gauge,
        "Whether remapping of rows has failed.",
        M::AcceleratorRowRemapFailed,
        1.0,
    ),
];

const FREE: Family =
    Family { name: "FB_FREE", kind: Gauge, help: "Framebuffer memory free (in MiB)." };

/// Writes every name that NVIDIA's GPUs have readings for.
pub(super) fn write(page: &mut Page, devices: &Devices, newest: &Newest, node: &str) {
    let gpus: Vec<(u32, String)> = devices
        .accelerators()
        .filter(|(named, _)| {
            named.device.kind == "gpu" && named.device.vendor.eq_ignore_ascii_case("nvidia")
        })
        .map(|(named, of)| (named.device.index, labels_of(named, of, node)))
        .collect();
    page.prefixed("DCGM_FI_DEV_");
    for (family, metric, by) in ROWS {
        page.family(*family);
        for (device, labels) in &gpus {
            if let Some(value) = newest.value(*device, *metric) {
                // Percentages and MiB are whole numbers there as well.
                let value = value * by;
                let whole = if *by == 1.0 { value } else { value.round() };
                page.series(labels, &[], whole);
            }
        }
    }
    page.family(FREE);
    for (device, labels) in &gpus {
        let bytes = |metric| newest.value(*device, metric);
        if let (Some(total), Some(used)) =
            (bytes(M::AcceleratorMemoryTotal), bytes(M::AcceleratorMemoryUsed))
        {
            let reserved = bytes(M::AcceleratorMemoryReserved).unwrap_or(0.0);
            page.series(labels, &[], ((total - used - reserved) * MIB).round());
        }
    }
    page.prefixed(super::page::PREFIX);
}

/// The labels of that exporter. A MIG instance is told by its name's number.
fn labels_of(named: &Named, of: &Accelerator, node: &str) -> String {
    let (gpu, instance) = match named.device.name.split_once("/mig") {
        Some((gpu, instance)) => (gpu, instance),
        None => (named.device.name.as_str(), ""),
    };
    let number = gpu.trim_start_matches(|c: char| !c.is_ascii_digit());
    let mut labels = String::new();
    for (name, value) in [
        ("gpu", number),
        ("UUID", &named.device.uuid),
        ("pci_bus_id", &of.pci),
        ("device", &format!("nvidia{number}")),
        ("modelName", &of.device_model),
        ("GPU_I_ID", instance),
        ("Hostname", node),
        ("DCGM_FI_DRIVER_VERSION", &of.driver),
    ] {
        label(&mut labels, name, value);
    }
    labels
}
