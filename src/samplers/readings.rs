//! What samplers of readings need of an outlet, so that they can be tried
//! against a plain list.

use super::Outlet;
use crate::newest::Names;
use crate::schema::MetricId;

/// Where a sampler puts its readings; registering may allocate, `put` may not.
pub trait Readings {
    /// The index of the device of this kind and name, registering it when
    /// first seen.
    fn device(&mut self, kind: &'static str, name: &str) -> u32;
    /// A device that has vanished.
    fn gone(&mut self, device: u32);
    /// One value, in the metric's unit, of a window that began at `time_ns`.
    fn put(&mut self, device: u32, metric: MetricId, time_ns: u64, value: f64);
}

/// Stands for a device that found no room among the node's names; what is put
/// under it is dropped. [`Names::refused`] counts it.
const REFUSED: u32 = u32::MAX;

impl Readings for Outlet {
    fn device(&mut self, kind: &'static str, name: &str) -> u32 {
        self.register(kind, name).unwrap_or(REFUSED)
    }

    fn gone(&mut self, device: u32) {
        self.forget_device(device);
    }

    fn put(&mut self, device: u32, metric: MetricId, time_ns: u64, value: f64) {
        if device != REFUSED {
            self.reading(device, metric, time_ns, value);
        }
    }
}

/// For opening a source before there is an outlet: devices are registered,
/// values are not taken yet.
#[derive(Debug)]
pub(super) struct Opening<'a>(pub(super) &'a Names);

impl Readings for Opening<'_> {
    fn device(&mut self, kind: &'static str, name: &str) -> u32 {
        self.0.device(kind, name).unwrap_or(REFUSED)
    }

    fn gone(&mut self, device: u32) {
        self.0.forget_device(device);
    }

    fn put(&mut self, _device: u32, _metric: MetricId, _time_ns: u64, _value: f64) {}
}
