//! Numbers about ourselves that other rooms keep: who has one registers how to
//! read it.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::samplers::Readings;
use crate::schema::MetricId;

/// Reads a number at a time of the monotonic clock, ns.
pub type Read = Box<dyn Fn(u64) -> f64 + Send>;

/// Tells numbers of several devices, each by the device's name; only those
/// that are worth a device of their own.
pub type Tell = Box<dyn Fn(&mut dyn FnMut(&str, f64)) + Send>;

/// The numbers. Clones share them.
#[derive(Clone, Default)]
pub struct Gauges(Arc<Mutex<All>>);

#[derive(Default)]
struct All {
    gauges: Vec<Gauge>,
    lists: Vec<List>,
}

struct List {
    kind: &'static str,
    metric: MetricId,
    devices: HashMap<String, u32>,
    tell: Tell,
}

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
        self.all().gauges.push(gauge);
    }

    /// Registers a metric of devices of this kind that come to be known with
    /// their first number.
    pub fn add_list(&self, kind: &'static str, metric: MetricId, tell: Tell) {
        self.all().lists.push(List { kind, metric, devices: HashMap::new(), tell });
    }

    fn all(&self) -> MutexGuard<'_, All> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn tick(&self, now_ns: u64, readings: &mut dyn Readings) {
        let All { gauges, lists } = &mut *self.all();
        for gauge in gauges {
            let device =
                *gauge.device.get_or_insert_with(|| readings.device(gauge.kind, &gauge.name));
            readings.put(device, gauge.metric, now_ns, (gauge.read)(now_ns));
        }
        for List { kind, metric, devices, tell } in lists {
            tell(&mut |name, value| {
                let device = match devices.get(name) {
                    Some(device) => *device,
                    None => {
                        let device = readings.device(kind, name);
                        devices.insert(name.to_owned(), device);
                        device
                    }
                };
                readings.put(device, *metric, now_ns, value);
            });
        }
    }
}

impl fmt::Debug for Gauges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gauges").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::atomic::{AtomicU64, Ordering};

    #[derive(Default)]
    struct Told(Vec<String>, Vec<(u32, MetricId, f64)>);

    impl Readings for Told {
        fn device(&mut self, kind: &'static str, name: &str) -> u32 {
            self.0.push(format!("{kind} {name}"));
            self.0.len() as u32 - 1
        }
        fn gone(&mut self, _: u32) {}
        fn put(&mut self, device: u32, metric: MetricId, _: u64, value: f64) {
            self.1.push((device, metric, value));
        }
    }

    #[test]
    fn a_device_of_a_list_is_known_from_its_first_number_on() {
        let (gauges, lost, mut told) =
            (Gauges::default(), Arc::<AtomicU64>::default(), Told::default());
        let count = Arc::clone(&lost);
        let tell: Tell = Box::new(move |tell| match count.load(Ordering::Relaxed) {
            0 => {}
            count => tell("ring: full", count as f64),
        });
        gauges.add_list("loss", MetricId::RecordsLost, tell);
        gauges.add("ring", "a", MetricId::RingDepth, Box::new(|_| 3.0));
        for count in [0, 2, 5] {
            lost.store(count, Ordering::Relaxed);
            gauges.tick(1, &mut told);
        }
        assert_eq!(told.0, ["ring a", "loss ring: full"]);
        let (depth, lost) = ((0, MetricId::RingDepth, 3.0), MetricId::RecordsLost);
        assert_eq!(told.1, [depth, depth, (1, lost, 2.0), depth, (1, lost, 5.0)]);
    }
}
