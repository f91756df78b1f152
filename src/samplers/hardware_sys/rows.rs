//! Which files of each kind of device are read, and what stands in them.

use super::content::Content::{
    self, Celsius, Count, Errors, Gigabits, Lanes, Megabits, Stage, Transfers, Word,
};
use crate::schema::MetricId::{self, *};

/// A file of a device.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// Its path within the device's folder, or what follows the device's prefix.
    pub file: &'static str,
    /// What stands in it.
    pub content: Content,
    /// Whether reading it asks the hardware over PCI: left alone while the
    /// device sleeps, since reading would wake it.
    pub wakes: bool,
}

const fn row(file: &'static str, content: Content) -> Row {
    Row { file, content, wakes: false }
}

const fn count(file: &'static str, metric: MetricId) -> Row {
    row(file, Count(metric, 1.0))
}

pub(super) const MEMORY_CONTROLLER: &[Row] = &[
    count("ce_count", MemoryErrorsCorrected),
    count("ue_count", MemoryErrorsUncorrected),
    count("ce_noinfo_count", MemoryErrorsCorrectedUnplaced),
    count("ue_noinfo_count", MemoryErrorsUncorrectedUnplaced),
];

pub(super) const DIMM: &[Row] =
    &[count("dimm_ce_count", DimmErrorsCorrected), count("dimm_ue_count", DimmErrorsUncorrected)];

/// What kernels without DIMMs have in their place.
pub(super) const CHIP_SELECT_ROW: &[Row] =
    &[count("ce_count", DimmErrorsCorrected), count("ue_count", DimmErrorsUncorrected)];

pub(super) const AER_CORRECTABLE: &[(&str, MetricId)] = &[
    ("TOTAL_ERR_COR", PcieErrorsCorrected),
    ("RxErr", PcieReceiverErrors),
    ("BadTLP", PcieBadTlps),
    ("BadDLLP", PcieBadDllps),
    ("Rollover", PcieReplayRollovers),
    ("Timeout", PcieReplayTimeouts),
];

pub(super) const AER_NONFATAL: &[(&str, MetricId)] = &[
    ("TOTAL_ERR_NONFATAL", PcieErrorsNonfatal),
    ("CmpltTO", PcieCompletionTimeouts),
    ("TLP", PciePoisonedTlps),
];

pub(super) const AER_FATAL: &[(&str, MetricId)] = &[
    ("TOTAL_ERR_FATAL", PcieErrorsFatal),
    ("SDES", PcieSurpriseDowns),
    ("DLP", PcieDataLinkErrors),
    ("MalfTLP", PcieMalformedTlps),
];

const AER: [Row; 3] = [
    row("aer_dev_correctable", Errors(AER_CORRECTABLE)),
    row("aer_dev_nonfatal", Errors(AER_NONFATAL)),
    row("aer_dev_fatal", Errors(AER_FATAL)),
];

/// Of a GPU, a network card or an NVMe drive.
pub(super) const PCI_ENDPOINT: &[Row] = &[
    AER[0],
    AER[1],
    AER[2],
    Row { wakes: true, ..row("current_link_speed", Transfers(PcieLinkSpeed)) },
    Row { wakes: true, ..row("current_link_width", Lanes(PcieLinkLanes)) },
];

/// What never changes of an endpoint; read when it is found.
pub(super) const PCI_ENDPOINT_FIXED: &[Row] = &[
    Row { wakes: true, ..row("max_link_speed", Transfers(PcieLinkSpeedMax)) },
    Row { wakes: true, ..row("max_link_width", Lanes(PcieLinkLanesMax)) },
];

/// Of a switch or root port, which log what happens on the links below.
pub(super) const PCI_BRIDGE: &[Row] = &[
    AER[0],
    AER[1],
    AER[2],
    count("aer_rootport_total_err_cor", PcieRootErrorsCorrected),
    count("aer_rootport_total_err_nonfatal", PcieRootErrorsNonfatal),
    count("aer_rootport_total_err_fatal", PcieRootErrorsFatal),
];

const NVME_STATE: &[(&str, Option<f64>)] = &[
    ("live", Some(1.0)),
    ("new", Some(0.0)),
    ("resetting", Some(0.0)),
    ("connecting", Some(0.0)),
    ("deleting", Some(0.0)),
    ("deleting (no IO)", Some(0.0)),
    ("dead", Some(0.0)),
];

pub(super) const NVME: &[Row] = &[row("state", Word(NvmeLive, NVME_STATE))];

pub(super) const OPERSTATE: &[(&str, Option<f64>)] = &[
    ("up", Some(1.0)),
    ("down", Some(0.0)),
    ("lowerlayerdown", Some(0.0)),
    ("dormant", Some(0.0)),
    ("notpresent", Some(0.0)),
    ("testing", Some(0.0)),
    ("unknown", None),
];

const CARRIER: &[(&str, Option<f64>)] = &[("1", Some(1.0)), ("0", Some(0.0))];

const DUPLEX: &[(&str, Option<f64>)] =
    &[("full", Some(1.0)), ("half", Some(0.0)), ("unknown", None)];

pub(super) const INTERFACE: &[Row] = &[
    row("operstate", Word(InterfaceUp, OPERSTATE)),
    row("carrier", Word(InterfaceCarrier, CARRIER)),
    count("carrier_changes", InterfaceCarrierChanges),
    row("speed", Megabits(InterfaceSpeed)),
    row("duplex", Word(InterfaceFullDuplex, DUPLEX)),
    count("statistics/rx_crc_errors", InterfaceReceiveCrcErrors),
    count("statistics/rx_missed_errors", InterfaceReceiveMissed),
    count("statistics/rx_fifo_errors", InterfaceReceiveOverruns),
    count("statistics/tx_carrier_errors", InterfaceTransmitCarrierErrors),
];

/// The stage of a port at which it carries data, as InfiniBand numbers it.
const ACTIVE: u64 = 4;

/// The stage of a port's physical link at which it stands.
const LINK_UP: u64 = 5;

pub(super) const INFINIBAND_PORT: &[Row] = &[
    row("state", Stage(InfinibandPortActive, ACTIVE)),
    row("phys_state", Stage(InfinibandLinkUp, LINK_UP)),
    row("rate", Gigabits(InfinibandRate)),
    row("counters/port_rcv_data", Count(InfinibandReceived, 4.0)),
    row("counters/port_xmit_data", Count(InfinibandSent, 4.0)),
    count("counters/symbol_error", InfinibandSymbolErrors),
    count("counters/link_error_recovery", InfinibandLinkRecoveries),
    count("counters/link_downed", InfinibandLinkDowns),
    count("counters/port_rcv_errors", InfinibandReceiveErrors),
    count("counters/port_rcv_remote_physical_errors", InfinibandReceiveRemoteErrors),
    count("counters/local_link_integrity_errors", InfinibandIntegrityErrors),
    count("counters/excessive_buffer_overrun_errors", InfinibandBufferOverruns),
    count("counters/port_xmit_discards", InfinibandTransmitDiscards),
    count("counters/port_xmit_wait", InfinibandTransmitWait),
    count("hw_counters/out_of_sequence", RoceOutOfSequence),
    count("hw_counters/packet_seq_err", RoceSequenceErrors),
    count("hw_counters/rnr_nak_retry_err", RoceNotReadyRetries),
    count("hw_counters/local_ack_timeout_err", RoceAckTimeouts),
    count("hw_counters/np_cnp_sent", RoceCongestionSent),
    count("hw_counters/rp_cnp_handled", RoceCongestionHandled),
    count("hw_counters/np_ecn_marked_roce_packets", RoceMarked),
    count("hw_counters/rx_icrc_encapsulated", RoceChecksumErrors),
];

pub(super) const THERMAL_ZONE: &[Row] = &[row("temp", Celsius(ThermalZone))];

/// Follows the name of a zone's critical trip point.
pub(super) const THERMAL_ZONE_FIXED: &[Row] = &[row("_temp", Celsius(ThermalZoneCritical))];

/// Follows a sensor's prefix, as `temp1`.
pub(super) const SENSOR: &[Row] = &[row("_input", Celsius(Sensor))];

/// What never changes of a sensor.
pub(super) const SENSOR_FIXED: &[Row] = &[row("_crit", Celsius(SensorCritical))];

/// Every row, for those who try them all.
pub fn all() -> impl Iterator<Item = &'static Row> {
    [
        MEMORY_CONTROLLER,
        DIMM,
        CHIP_SELECT_ROW,
        PCI_ENDPOINT,
        PCI_ENDPOINT_FIXED,
        PCI_BRIDGE,
        NVME,
        INTERFACE,
        INFINIBAND_PORT,
        THERMAL_ZONE,
        THERMAL_ZONE_FIXED,
        SENSOR,
        SENSOR_FIXED,
    ]
    .into_iter()
    .flatten()
}
