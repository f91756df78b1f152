//! One value of one metric of one device.

use bytemuck::{Pod, Zeroable};

use super::MetricId;

/// One value of one metric of one device, in its wire form.
///
/// A value that could not be read is not sent.
#[derive(Debug, Clone, Copy, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Reading {
    /// The device's index on its node ([`super::Device::index`]).
    pub device: u32,
    /// A [`MetricId`].
    pub metric: u16,
    /// Zero; for later use.
    pub flags: u16,
    /// The node's `CLOCK_MONOTONIC` at which this sample's window began, ns.
    pub time_ns: u64,
    /// In the metric's unit.
    pub value: f64,
}

const _: () = assert!(size_of::<Reading>() == 24);

impl Reading {
    /// A reading of `metric` of `device`, taken at `time_ns`.
    #[must_use]
    pub const fn new(device: u32, metric: MetricId, time_ns: u64, value: f64) -> Self {
        Self { device, metric: metric as u16, flags: 0, time_ns, value }
    }
}
