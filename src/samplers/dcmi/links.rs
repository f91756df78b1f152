//! A chip's links: HCCS and SIO to other chips and dies, PCIe to the host,
//! RoCE to the network.

use super::ask::{Asking, put, put_all};
use super::code::{Class, Failure};
use super::layout::{
    HccsCounts, HccsLanes, HccsWideCounts, NetworkCounts, PcieLinkErrors, SioErrors,
};
use super::symbol::Symbol;
use super::value::{count, count_32};
use crate::samplers::accelerator::{Failure as Stopped, Sheet};
use crate::schema::MetricId;

/// Counters and the chip's own probe of its network.
///
/// # Errors
///
/// When the chip is away.
pub(super) fn counts(ask: &Asking<'_>, sheet: &mut Sheet<'_>) -> Result<(), Stopped> {
    if sheet.wants(MetricId::AcceleratorNetworkHealth) {
        let health = ask.out::<u32>(Symbol::NetworkHealth).and_then(|health| {
            if health > NETWORK_HEALTH_MAX { Err(Failure::Invalid) } else { Ok(f64::from(health)) }
        });
        put(sheet, MetricId::AcceleratorNetworkHealth, health)?;
    }
    if sheet.wants(MetricId::NpuHccsSent) {
        put_all(sheet, &HCCS_METRICS, hccs(ask))?;
    }
    if sheet.wants(MetricId::AcceleratorPcieReplays) {
        let retries = ask.gate::<PcieLinkErrors>(PCIE_ERRORS).and_then(|of| count_32(of.retries));
        put(sheet, MetricId::AcceleratorPcieReplays, retries)?;
    }
    if sheet.wants(MetricId::NpuMacSent) {
        let counts = ask.pick::<NetworkCounts>(Symbol::NetworkCounts, PORT);
        put_all(sheet, &NETWORK_METRICS, counts.map(|of| network(&of)))?;
    }
    Ok(())
}

/// Which links there are, and what is seldom counted.
///
/// # Errors
///
/// When the chip is away.
pub(super) fn layout(ask: &Asking<'_>, sheet: &mut Sheet<'_>) -> Result<(), Stopped> {
    if sheet.wants(MetricId::AcceleratorLinks) {
        let lanes = ask.gate::<HccsLanes>(HCCS_LANES);
        let ports = lanes.map(|of| f64::from((of.ports & 0xFFFF).count_ones()));
        put(sheet, MetricId::AcceleratorLinks, ports)?;
    }
    if sheet.wants(MetricId::NpuSioSentErrors) {
        let errors = ask.gate::<SioErrors>(SIO_ERRORS);
        put_all(
            sheet,
            &[MetricId::NpuSioSentErrors, MetricId::NpuSioReceivedErrors],
            errors.map(|of| [Ok(f64::from(of.transmit)), Ok(f64::from(of.receive))]),
        )?;
    }
    Ok(())
}

/// Over all ports: sent, received, checksum errors, sent again. Counters of 64
/// bits where the driver has them.
fn hccs(ask: &Asking<'_>) -> Result<[Result<f64, Failure>; 4], Failure> {
    match ask.gate::<HccsWideCounts>(HCCS_WIDE_COUNTS) {
        Ok(of) => Ok([sum(of.sent), sum(of.received), sum(of.crc_errors), sum(of.retries)]),
        Err(failure) if failure.class() == Class::Permanent => {
            let of: HccsCounts = ask.gate(HCCS_COUNTS)?;
            let wide = |ports: [u32; 16]| {
                sum(ports.map(|port| match port {
                    u32::MAX => u64::MAX,
                    port => u64::from(port),
                }))
            };
            Ok([wide(of.sent), wide(of.received), wide(of.crc_errors), wide(of.retries)])
        }
        Err(failure) => Err(failure),
    }
}

/// A port without a value counts as none, not as much.
fn sum(ports: [u64; 16]) -> Result<f64, Failure> {
    Ok(ports.into_iter().filter_map(|port| count(port).ok()).sum())
}

fn network(of: &NetworkCounts) -> [Result<f64, Failure>; 23] {
    [
        of.mac_tx,
        of.mac_rx,
        of.mac_tx_bytes,
        of.mac_rx_bytes,
        of.mac_tx_bad,
        of.mac_rx_bad,
        of.mac_rx_fcs_errors,
        of.mac_tx_pause,
        of.mac_rx_pause,
        of.mac_tx_pfc[0],
        of.mac_rx_pfc[0],
        of.roce_tx,
        of.roce_rx,
        of.roce_tx_errors,
        of.roce_rx_errors,
        of.roce_tx_cnp,
        of.roce_rx_cnp,
        of.roce_retries,
        of.roce_sequence_errors,
        of.roce_ack_errors,
        of.roce_verification_errors,
        of.roce_queue_pair_errors,
        of.roce_ecn,
    ]
    .map(count)
}

/// The only network port of a chip.
const PORT: i32 = 0;
/// The highest result of the chip's own probe.
const NETWORK_HEALTH_MAX: u32 = 8;

/// Main and sub-command of [`Symbol::Info`].
const HCCS_LANES: (u32, u32) = (16, 1);
const HCCS_COUNTS: (u32, u32) = (16, 3);
const HCCS_WIDE_COUNTS: (u32, u32) = (16, 5);
const PCIE_ERRORS: (u32, u32) = (55, 1);
const SIO_ERRORS: (u32, u32) = (56, 0);

const HCCS_METRICS: [MetricId; 4] = [
    MetricId::NpuHccsSent,
    MetricId::NpuHccsReceived,
    MetricId::AcceleratorLinkCrcErrors,
    MetricId::AcceleratorLinkReplays,
];

const NETWORK_METRICS: [MetricId; 23] = [
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
];
