//! Ascend NPUs through `libdcmi.so`: health, faults, counters and links of
//! each chip.
//!
//! The library is loaded by a child ([`crate::samplers::accelerator`]), by
//! whichever of its two generations of names knows chips. `raw` is the only
//! place that calls it; [`layout`] is the memory that it fills in. Faults come
//! from two sources, which [`faults`] makes one: the driver tells them as they
//! happen, and lists those that are open. Nothing is judged here.

use std::ffi::CStr;
use std::io;
use std::path::Path;

use crate::platform::child;
use crate::samplers::accelerator::settings::{ChildArguments, command_line};
use crate::samplers::accelerator::{self, Accelerators, ParentPlan, serve};
use crate::samplers::{Context, Entry, Opened, Settings};
use crate::schema::MetricId;

mod ask;
mod identity;
mod library;
mod links;
mod needs;
mod raw;
mod reader;
mod settings;

pub mod code;
pub mod faults;
pub mod layout;
pub mod symbol;
pub mod value;

pub use library::Dcmi;

/// What the family knows of this sampler.
pub static ENTRY: Entry = Entry {
    name: NAME,
    summary: "Ascend NPUs: health, faults by code, temperature, power, use, memory, HCCS, RoCE and PCIe.",
    source: "libdcmi.so, both generations of its functions (dcmi_* and dcmiv2_*)",
    period_ms: 1000,
    steps: false,
    metrics: METRICS,
    settings: settings::SETTINGS,
    open,
    needs: needs::needs,
};

const NAME: &str = "dcmi";

/// What process lists call the child.
const CHILD_NAME: &CStr = c"ee-dcmi";

/// Readings of Ascend only; those that it shares with NVIDIA are in the list of
/// the sampler `nvml`.
const METRICS: &[MetricId] = &[
    MetricId::NpuAiCore,
    MetricId::NpuAiCube,
    MetricId::NpuVectorCore,
    MetricId::NpuAiCpu,
    MetricId::NpuControlCpu,
    MetricId::NpuVectorClock,
    MetricId::NpuControlClock,
    MetricId::NpuSocTemperature,
    MetricId::NpuDieTemperature,
    MetricId::NpuPagesIsolateNextCorrected,
    MetricId::NpuPagesIsolateNextUncorrected,
    MetricId::NpuMultiBitRecords,
    MetricId::NpuHccsSent,
    MetricId::NpuHccsReceived,
    MetricId::NpuSioSentErrors,
    MetricId::NpuSioReceivedErrors,
    MetricId::NpuMacSent,
    MetricId::NpuMacReceived,
    MetricId::NpuMacSentBytes,
    MetricId::NpuMacReceivedBytes,
    MetricId::NpuMacSentBad,
    MetricId::NpuMacReceivedBad,
    MetricId::NpuMacFcsErrors,
    MetricId::NpuMacPauseSent,
    MetricId::NpuMacPauseReceived,
    MetricId::NpuMacPfcSent,
    MetricId::NpuMacPfcReceived,
    MetricId::NpuRoceSent,
    MetricId::NpuRoceReceived,
    MetricId::NpuRoceSentErrors,
    MetricId::NpuRoceReceivedErrors,
    MetricId::NpuRoceCongestionSent,
    MetricId::NpuRoceCongestionReceived,
    MetricId::NpuRoceRetries,
    MetricId::NpuRoceSequenceErrors,
    MetricId::NpuRoceAckErrors,
    MetricId::NpuRoceVerificationErrors,
    MetricId::NpuRoceQueuePairErrors,
    MetricId::NpuRoceEcn,
    MetricId::NpuOpticalPresent,
    MetricId::NpuOpticalTemperature,
    MetricId::NpuFlashes,
    MetricId::NpuFlashesBad,
    MetricId::NpuPcieLinkCrcErrors,
    MetricId::NpuPcieDataLinkCrcErrors,
    MetricId::NpuPcieReceiveErrors,
    MetricId::NpuPcieLaneErrors,
    MetricId::NpuPcieSymbolUnlocks,
    MetricId::NpuBootStage,
];

fn open(context: &Context, settings: &Settings) -> Opened {
    if !needs::is_here(settings) {
        return Opened::NotHere(
            "no Ascend driver is installed: no libdcmi.so, no /dev/davinci_manager".to_owned(),
        );
    }
    let Some(program) = child::offered() else {
        return Opened::NotHere("only the program eagle-eye itself can read in a child".to_owned());
    };
    let known = settings::SETTINGS;
    let library = settings.or_default(known, "library");
    let arguments = command_line(NAME, known, settings, Path::new(library), &context.host_root);
    let plan = ParentPlan {
        name: NAME,
        program: program.to_owned(),
        arguments,
        host_root: context.host_root.clone(),
        deadline_ms: settings
            .or_default(known, "deadline_ms")
            .replace('_', "")
            .parse()
            .unwrap_or(2000),
        simulated: accelerator::is_stand_in(Path::new(library)),
        inventory: context.cursors.of(NAME).map(<[u8]>::to_vec),
    };
    Opened::Ready(Box::new(Accelerators::new(plan)))
}

/// The child: reads every chip until its parent is gone.
///
/// # Errors
///
/// When the system refuses threads or descriptors.
pub fn answer_parent(arguments: &ChildArguments) -> io::Result<()> {
    let names = settings::libraries(&arguments.library.to_string_lossy());
    serve(arguments.plan(CHILD_NAME), move |calls| Dcmi::open(&names, calls))
}
