//! Numbers about ourselves that other rooms keep: who has one registers how to
//! read it.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use crate::samplers::Readings;
use crate::schema::MetricId;

/// Reads a number at a time of the monotonic clock, ns.
pub type Read = Box<dyn Fn(u64) -> f64 + Send>;

/// The numbers. Clones share them.
#[derive(Clone, Default)]
pub struct Gauges(Arc<Mutex<Vec<Gauge>>>);

struct Gauge {
    kind: &'static str,
    name: String,
    metric: MetricId,
    device: Option<u32>,
    read: Read,
}

impl Gauges {
    /// Registers a number of the device of this kind and name.
    pub fn add(&self, kind: &'static str, name: &str, metric: MetricId, read: Read) {
        let gauge = Gauge { kind, name: name.to_owned(), metric, device: None, read };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(gauge);
    }

    pub(super) fn tick(&self, now_ns: u64, readings: &mut dyn Readings) {
        for gauge in self.0.lock().unwrap_or_else(PoisonError::into_inner).iter_mut() {
            let device =
                *gauge.device.get_or_insert_with(|| readings.device(gauge.kind, &gauge.name));
            readings.put(device, gauge.metric, now_ns, (gauge.read)(now_ns));
        }
    }
}

impl fmt::Debug for Gauges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gauges").finish_non_exhaustive()
    }
}
