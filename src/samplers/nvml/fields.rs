//! Readings that have a field: all that are due are had in one call.

use super::raw::{ALL_LINKS, Field};
use crate::schema::MetricId;

/// A reading that has a field.
#[derive(Debug)]
pub(super) struct FieldRow {
    pub(super) metric: MetricId,
    pub(super) id: u32,
    scope: u32,
    /// By what the field's number is multiplied.
    pub(super) factor: f64,
}

const fn row(metric: MetricId, id: u32, factor: f64) -> FieldRow {
    FieldRow { metric, id, scope: 0, factor }
}

const fn links(metric: MetricId, id: u32, factor: f64) -> FieldRow {
    FieldRow { metric, id, scope: ALL_LINKS, factor }
}

impl FieldRow {
    /// The question for it.
    pub(super) const fn field(&self) -> Field {
        Field { id: self.id, scope: self.scope, value: Err(0) }
    }
}

/// With every tick.
pub(super) static FAST: &[FieldRow] = &[
    row(MetricId::AcceleratorMemoryTemperature, 82, 1.0),
    row(MetricId::AcceleratorPower, 186, 1e-3),
    row(MetricId::AcceleratorEnergy, 83, 1e-3),
    row(MetricId::AcceleratorThrottledPower, 74, 1e-9),
    row(MetricId::AcceleratorThrottledThermal, 75, 1e-9),
    row(MetricId::AcceleratorEccCorrected, 3, 1.0),
    row(MetricId::AcceleratorEccUncorrected, 4, 1.0),
    row(MetricId::AcceleratorPcieReplays, 94, 1.0),
];

/// Counters and repairs.
pub(super) static MEDIUM: &[FieldRow] = &[
    row(MetricId::AcceleratorEccCorrectedLifetime, 5, 1.0),
    row(MetricId::AcceleratorEccUncorrectedLifetime, 6, 1.0),
    row(MetricId::AcceleratorPagesRetiredCorrected, 29, 1.0),
    row(MetricId::AcceleratorPagesRetiredUncorrected, 30, 1.0),
    row(MetricId::AcceleratorPagesRetirePending, 31, 1.0),
    row(MetricId::AcceleratorRowsRemappedCorrected, 142, 1.0),
    row(MetricId::AcceleratorRowsRemappedUncorrected, 143, 1.0),
    row(MetricId::AcceleratorRowRemapPending, 144, 1.0),
    row(MetricId::AcceleratorRowRemapFailed, 145, 1.0),
    row(MetricId::AcceleratorPcieSent, 197, 1.0),
    row(MetricId::AcceleratorPcieReceived, 198, 1.0),
    row(MetricId::AcceleratorLinks, 91, 1.0),
    links(MetricId::AcceleratorLinkSent, 138, 1024.0),
    links(MetricId::AcceleratorLinkReceived, 139, 1024.0),
    row(MetricId::AcceleratorRecoveryAction, 230, 1.0),
];

/// What hardly changes.
pub(super) static SLOW: &[FieldRow] = &[
    row(MetricId::AcceleratorPowerLimitMax, 188, 1e-3),
    row(MetricId::AcceleratorPowerLimitDefault, 189, 1e-3),
];

/// Errors of the PCIe link that are counted one by one: together one reading.
pub(super) const PCIE_ERRORS: [u32; 9] = [173, 175, 176, 178, 179, 180, 181, 182, 183];

/// Errors of links to other devices, each asked for link by link.
pub(super) const LINK_ERRORS: [(MetricId, u32); 3] = [
    (MetricId::AcceleratorLinkReplays, 161),
    (MetricId::AcceleratorLinkRecoveries, 162),
    (MetricId::AcceleratorLinkCrcErrors, 163),
];

/// Whether a link is up.
pub(super) const LINK_STATE: u32 = 165;

/// What the driver wants done.
pub(super) const RECOVERY_ACTION: u32 = 230;

/// Most links that are asked.
pub(super) const LINKS_MAX: u32 = 18;
