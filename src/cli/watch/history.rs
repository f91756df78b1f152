//! The last minutes of the node's load, for the small curves.

use std::collections::{BTreeMap, VecDeque};

use crate::platform::clock::SECOND_NS;
use crate::web::{HostState, ReadingState};

/// Points of a curve, one a second; older ones are dropped.
pub const POINTS_MAX: usize = 120;

/// The last values of every reading, counters as their rate a second.
#[derive(Debug, Default)]
pub struct History {
    curves: BTreeMap<Key, Curve>,
    taken_ns: u64,
}

/// Kind and name of the device, and the metric.
type Key = (String, String, String);

/// Which readings of a device have a curve: points cost memory, and there are
/// nodes with hundreds of devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Curves {
    /// The node's load: each.
    Each,
    /// Other devices: counters, from when they first rise.
    Rising,
    /// Containers: none.
    None,
}

impl Curves {
    fn of(kind: &str) -> Self {
        match kind {
            "node" | "cpu" | "interface" | "disk" | "own" => Self::Each,
            super::container::KIND => Self::None,
            _ => Self::Rising,
        }
    }

    fn want(self, reading: &ReadingState, curve: &Curve) -> bool {
        match self {
            Self::Each => true,
            Self::Rising => {
                let rises = curve.rate.is_some_and(|rate| rate > 0.0);
                reading.kind == "counter" && (rises || !curve.points.is_empty())
            }
            Self::None => false,
        }
    }
}

#[derive(Debug, Default)]
struct Curve {
    points: VecDeque<f64>,
    /// Time and value of the counter's last sample that made a rate.
    last: Option<(u64, f64)>,
    rate: Option<f64>,
    seen_ns: u64,
}

impl History {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes over what was read; a point of the curves once a second. What is
    /// not among the readings any more is forgotten.
    pub fn take(&mut self, host: &HostState, now_ns: u64) {
        let point = now_ns.saturating_sub(self.taken_ns) >= SECOND_NS;
        if point {
            self.taken_ns = now_ns;
        }
        for device in &host.devices {
            let curves = Curves::of(&device.kind);
            for (metric, reading) in &device.readings {
                let key = (device.kind.clone(), device.name.clone(), metric.clone());
                let curve = self.curves.entry(key).or_default();
                curve.seen_ns = now_ns;
                if reading.kind == "counter" {
                    let age_ns = (reading.age_ms * 1e6) as u64;
                    curve.count(now_ns.saturating_sub(age_ns), reading.value);
                } else {
                    curve.rate = Some(reading.value);
                }
                if let (true, Some(value)) = (point && curves.want(reading, curve), curve.rate) {
                    curve.points.truncate(POINTS_MAX - 1);
                    curve.points.push_front(value);
                }
            }
        }
        self.curves.retain(|_, curve| curve.seen_ns == now_ns);
    }

    /// The newest value of a gauge, or the rate a second of a counter once
    /// two samples of it are known.
    #[must_use]
    pub fn value(&self, kind: &str, name: &str, metric: &str) -> Option<f64> {
        self.curve(kind, name, metric)?.rate
    }

    /// The last values, oldest first.
    #[must_use]
    pub fn points(&self, kind: &str, name: &str, metric: &str) -> Vec<f64> {
        let curve = self.curve(kind, name, metric);
        curve.map(|curve| curve.points.iter().rev().copied().collect()).unwrap_or_default()
    }

    fn curve(&self, kind: &str, name: &str, metric: &str) -> Option<&Curve> {
        self.curves.get(&(kind.to_owned(), name.to_owned(), metric.to_owned()))
    }
}

impl Curve {
    /// A counter's sample. Rates span half a second at least, or they would
    /// jump with every tick of a fast sampler; a counter that fell started
    /// again.
    fn count(&mut self, time_ns: u64, value: f64) {
        let Some((last_ns, last)) = self.last else {
            self.last = Some((time_ns, value));
            return;
        };
        let span_ns = time_ns.saturating_sub(last_ns);
        if value < last {
            (self.last, self.rate) = (Some((time_ns, value)), None);
        } else if span_ns >= SECOND_NS / 2 {
            self.rate = Some((value - last) / (span_ns as f64 / SECOND_NS as f64));
            self.last = Some((time_ns, value));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::newest::{Names, ReadingTable};
    use crate::schema::{MetricId, Reading};

    #[test]
    fn counters_become_rates_and_one_that_restarts_has_none() {
        let (names, table, mut history) = (Names::new("n"), ReadingTable::heap(4), History::new());
        let eth = names.device("interface", "eth0").unwrap();
        let mut cell = table.cell().unwrap();
        let mut at = |second: f64, value: Option<f64>| {
            let now_ns = (second * 1e9) as u64;
            if let Some(value) = value {
                cell.write(&Reading::new(eth, MetricId::InterfaceSent, now_ns, value));
            }
            history.take(&HostState::of(&table.view(), &names, now_ns), now_ns);
            history.value("interface", "eth0", "interface_transmit_bytes_total")
        };
        assert_eq!(at(10.0, Some(1000.0)), None, "one sample makes no rate");
        assert_eq!(at(10.25, None), None);
        assert_eq!(at(11.0, Some(3000.0)), Some(2000.0));
        assert_eq!(at(11.25, Some(3001.0)), Some(2000.0), "too soon for another");
        assert_eq!(at(12.0, Some(3100.0)), Some(100.0));
        assert_eq!(at(13.0, Some(0.0)), None, "it started again");
        assert_eq!(at(14.0, Some(50.0)), Some(50.0));
        drop(cell);
        history.take(&HostState::of(&table.view(), &names, 0), 15_000_000_000);
        assert!(history.curves.is_empty(), "what is gone is forgotten");
    }

    #[test]
    fn a_curve_keeps_its_last_points() {
        let (names, table, mut history) = (Names::new("n"), ReadingTable::heap(4), History::new());
        let node = names.device("node", "node").unwrap();
        let mut cell = table.cell().unwrap();
        for second in 1..=POINTS_MAX as u64 + 5 {
            let now_ns = second * SECOND_NS;
            cell.write(&Reading::new(node, MetricId::LoadOne, now_ns, second as f64));
            history.take(&HostState::of(&table.view(), &names, now_ns), now_ns);
            history.take(&HostState::of(&table.view(), &names, now_ns), now_ns + 1);
        }
        let points = history.points("node", "node", "load_one_minute");
        assert_eq!((points.len(), points[0]), (POINTS_MAX, 6.0));
    }
}
