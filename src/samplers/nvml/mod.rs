//! NVIDIA GPUs as their driver's library NVML tells of them.
//!
//! The library is loaded at run time by a child process ([`accelerator`]),
//! since its calls may hang for ever. Without it nothing is missing but GPUs.

use std::io;
use std::path::Path;

use super::accelerator::settings::{self, ChildArguments};
use super::accelerator::{self, Accelerators, ParentPlan};
use crate::platform::child;
use crate::samplers::{Context, Entry, Opened, Setting, Settings};
use crate::schema::MetricId;

mod events;
mod failure;
mod fields;
mod library;
mod needs;
mod raw;
mod reader;

/// What the family knows of this sampler.
pub static ENTRY: Entry = Entry {
    name: NAME,
    summary: "NVIDIA GPUs: temperature, power, clocks, use, memory, errors, links, processes; their Xids and faults.",
    source: "libnvidia-ml.so.1, in a process of its own",
    period_ms: 1000,
    steps: false,
    metrics: METRICS,
    settings: SETTINGS,
    open,
    needs: needs::needs,
};

const NAME: &str = "nvml";

/// What the child is called in process lists.
const CHILD_NAME: &std::ffi::CStr = c"ee-nvml";

const SETTINGS: &[Setting] = &[
    Setting {
        key: "library",
        default: "\"libnvidia-ml.so.1\"",
        help: "The library: a name that the dynamic linker finds, or a path.",
        check: |value| {
            if value.is_empty() || value.contains('\0') {
                Err("it must be a name or a path".to_owned())
            } else {
                Ok(())
            }
        },
    },
    settings::DEADLINE,
    settings::FAST,
    settings::MEDIUM,
    settings::SLOW,
    settings::PROCESSES,
    settings::INVENTORY,
    settings::IDENTITY,
    settings::BURST,
];

/// Loads the library and reads for the parent until that is gone.
///
/// # Errors
///
/// When the system refuses threads or descriptors.
pub fn answer_parent(arguments: ChildArguments) -> io::Result<()> {
    let plan = arguments.plan(CHILD_NAME);
    accelerator::serve(plan, move |calls| {
        let (path, root) = (Path::new(&arguments.library), Path::new(&arguments.host_root));
        library::NvmlLibrary::load(path, root, calls)
    })
}

/// Whether this node shows a GPU, or has the library that `settings` name.
#[must_use]
pub fn is_here(host_root: &Path, settings: &Settings) -> bool {
    let library = Path::new(settings.or_default(SETTINGS, "library"));
    needs::library_file(library).is_some() || needs::has_device(host_root)
}

fn open(context: &Context, settings: &Settings) -> Opened {
    let library = Path::new(settings.or_default(SETTINGS, "library"));
    let root = &context.host_root;
    if !is_here(root, settings) {
        return Opened::NotHere(format!(
            "no NVIDIA device below {} and no {}",
            root.display(),
            library.display()
        ));
    }
    let Some(program) = child::offered() else {
        return Opened::NotHere("only the program eagle-eye itself can read in a child".to_owned());
    };
    let deadline_ms = settings.or_default(SETTINGS, "deadline_ms").replace('_', "");
    Opened::Ready(Box::new(Accelerators::new(ParentPlan {
        name: NAME,
        program: program.to_owned(),
        arguments: settings::command_line(NAME, SETTINGS, settings, library, root),
        host_root: root.clone(),
        deadline_ms: deadline_ms.parse().unwrap_or(2000),
        simulated: accelerator::is_stand_in(library),
        inventory: context.cursors.of(NAME).map(<[u8]>::to_vec),
    })))
}

/// In ascending order.
const METRICS: &[MetricId] = &[
    MetricId::AcceleratorTemperature,
    MetricId::AcceleratorMemoryTemperature,
    MetricId::AcceleratorTemperatureSlowdown,
    MetricId::AcceleratorTemperatureShutdown,
    MetricId::AcceleratorMemoryTemperatureMax,
    MetricId::AcceleratorTemperatureMargin,
    MetricId::AcceleratorPower,
    MetricId::AcceleratorPowerLimit,
    MetricId::AcceleratorPowerLimitDefault,
    MetricId::AcceleratorPowerLimitMax,
    MetricId::AcceleratorEnergy,
    MetricId::AcceleratorVoltage,
    MetricId::AcceleratorClock,
    MetricId::AcceleratorClockMax,
    MetricId::AcceleratorMemoryClock,
    MetricId::AcceleratorMemoryClockMax,
    MetricId::AcceleratorFan,
    MetricId::AcceleratorUtilization,
    MetricId::AcceleratorMemoryActivity,
    MetricId::AcceleratorEncoder,
    MetricId::AcceleratorDecoder,
    MetricId::AcceleratorMemoryUsed,
    MetricId::AcceleratorMemoryTotal,
    MetricId::AcceleratorMemoryReserved,
    MetricId::AcceleratorProcesses,
    MetricId::AcceleratorThrottled,
    MetricId::AcceleratorThrottleThermalSoftware,
    MetricId::AcceleratorThrottleThermalHardware,
    MetricId::AcceleratorThrottlePowerCap,
    MetricId::AcceleratorThrottlePowerBrake,
    MetricId::AcceleratorThrottleHardware,
    MetricId::AcceleratorThrottleSync,
    MetricId::AcceleratorClocksIdle,
    MetricId::AcceleratorThrottledPower,
    MetricId::AcceleratorThrottledThermal,
    MetricId::AcceleratorEccEnabled,
    MetricId::AcceleratorEccCorrected,
    MetricId::AcceleratorEccUncorrected,
    MetricId::AcceleratorEccCorrectedLifetime,
    MetricId::AcceleratorEccUncorrectedLifetime,
    MetricId::AcceleratorSramUncorrected,
    MetricId::AcceleratorDramUncorrected,
    MetricId::AcceleratorSramCorrected,
    MetricId::AcceleratorDramCorrected,
    MetricId::AcceleratorSramThreshold,
    MetricId::AcceleratorPagesRetiredCorrected,
    MetricId::AcceleratorPagesRetiredUncorrected,
    MetricId::AcceleratorPagesRetirePending,
    MetricId::AcceleratorRowsRemappedCorrected,
    MetricId::AcceleratorRowsRemappedUncorrected,
    MetricId::AcceleratorRowRemapPending,
    MetricId::AcceleratorRowRemapFailed,
    MetricId::AcceleratorBanksWithoutSpare,
    MetricId::AcceleratorBanksLowOnSpare,
    MetricId::AcceleratorPcieGeneration,
    MetricId::AcceleratorPcieGenerationMax,
    MetricId::AcceleratorPcieLanes,
    MetricId::AcceleratorPcieLanesMax,
    MetricId::AcceleratorPcieReplays,
    MetricId::AcceleratorPcieReceived,
    MetricId::AcceleratorPcieSent,
    MetricId::AcceleratorPcieErrors,
    MetricId::AcceleratorLinks,
    MetricId::AcceleratorLinksActive,
    MetricId::AcceleratorLinkCrcErrors,
    MetricId::AcceleratorLinkReplays,
    MetricId::AcceleratorLinkRecoveries,
    MetricId::AcceleratorLinkSent,
    MetricId::AcceleratorLinkReceived,
    MetricId::AcceleratorFabricHealthy,
    MetricId::AcceleratorNetworkHealth,
    MetricId::AcceleratorRecoveryAction,
    MetricId::AcceleratorHealthLevel,
    MetricId::AcceleratorErrorCodes,
    MetricId::AcceleratorState,
    MetricId::AcceleratorInforomValid,
    MetricId::DriverCalls,
    MetricId::DriverCallsFailed,
    MetricId::DriverCallTime,
];
