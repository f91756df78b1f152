//! What the child told: its devices, and which values each gave. Only what
//! fits the metric table is believed.

use super::kind::{DEVICES_MAX, Kind};
use super::record::Nonsense;
use super::{Facts, METRICS};
use crate::schema::MetricId;

/// The devices of this sampler, across children.
#[derive(Debug, Default)]
pub(super) struct Known {
    devices: Vec<Device>,
    /// The child's numbers, as indices of `devices`.
    numbers: Vec<usize>,
    /// Devices were told in this round.
    told: bool,
    round: u64,
}

#[derive(Debug)]
struct Device {
    kind: Kind,
    name: String,
    index: u32,
    round: u64,
    /// A bit for each of our metrics, of this round and of the one before.
    now: u128,
    before: u128,
}

impl Known {
    /// Another child speaks from now on: its numbers mean nothing yet.
    pub(super) fn begin_child(&mut self) {
        self.numbers.clear();
    }

    /// Another round begins.
    pub(super) fn begin_round(&mut self, facts: &mut dyn Facts) {
        self.round += 1;
        self.told = false;
        for device in &mut self.devices {
            if device.now != 0 {
                device.before |= device.now;
                device.now = 0;
            }
            if device.kind.is_shared() {
                // The other sampler may have forgotten it and met it again.
                device.index = facts.device(device.kind.name(), &device.name);
            }
        }
    }

    /// A device that the child calls `number` from now on.
    pub(super) fn device(
        &mut self,
        number: u32,
        kind: Kind,
        name: &str,
        facts: &mut dyn Facts,
    ) -> Result<(), Nonsense> {
        if !self.told {
            self.told = true;
            self.numbers.clear();
        }
        if number as usize != self.numbers.len() || self.numbers.len() >= DEVICES_MAX {
            return Err(Nonsense);
        }
        let is_it = |device: &Device| device.kind == kind && device.name == name;
        let at = match self.devices.iter().position(is_it) {
            // Two of one name would take turns in one series.
            Some(at) if self.devices[at].round == self.round => return Err(Nonsense),
            Some(at) => at,
            None => {
                let index = facts.device(kind.name(), name);
                let name = name.to_owned();
                self.devices.push(Device { kind, name, index, round: 0, now: 0, before: 0 });
                self.devices.len() - 1
            }
        };
        self.devices[at].round = self.round;
        self.numbers.push(at);
        Ok(())
    }

    /// A value of a device.
    pub(super) fn value(
        &mut self,
        number: u32,
        metric: MetricId,
        value: f64,
        time_ns: u64,
        facts: &mut dyn Facts,
    ) -> Result<(), Nonsense> {
        let at = *self.numbers.get(number as usize).ok_or(Nonsense)?;
        let device = self.devices.get_mut(at).ok_or(Nonsense)?;
        let bit = bit(metric).ok_or(Nonsense)?;
        if metric.row().device_kind != device.kind.name() || device.now & bit != 0 {
            return Err(Nonsense);
        }
        device.now |= bit;
        facts.put(device.index, metric, time_ns, value);
        Ok(())
    }

    /// The round is over: what it did not bring is no longer known. Returns how
    /// many devices are gone.
    pub(super) fn end_round(&mut self, facts: &mut dyn Facts) -> u32 {
        let before = self.devices.len();
        if self.told {
            self.forget_missing(facts);
        }
        for device in &mut self.devices {
            forget(device.index, device.before & !device.now, facts);
            device.before = 0;
        }
        (before - self.devices.len()) as u32
    }

    /// Nothing is known any more.
    pub(super) fn forget_all(&mut self, facts: &mut dyn Facts) {
        for device in &mut self.devices {
            forget(device.index, device.before | device.now, facts);
            (device.before, device.now) = (0, 0);
        }
    }

    /// How many devices.
    pub(super) fn len(&self) -> usize {
        self.devices.len()
    }

    fn forget_missing(&mut self, facts: &mut dyn Facts) {
        let (round, mut moved) = (self.round, Vec::with_capacity(self.devices.len()));
        let mut kept = 0;
        for device in &self.devices {
            moved.push(kept);
            kept += usize::from(device.round == round);
        }
        self.devices.retain(|device| {
            let here = device.round == round;
            if !here && device.kind.is_shared() {
                forget(device.index, device.before | device.now, facts);
            } else if !here {
                facts.gone(device.index);
            }
            here
        });
        for at in &mut self.numbers {
            *at = moved[*at];
        }
    }
}

fn forget(index: u32, mut bits: u128, facts: &mut dyn Facts) {
    while bits != 0 {
        facts.forget(index, METRICS[bits.trailing_zeros() as usize]);
        bits &= bits - 1;
    }
}

/// The place of one of our metrics that a child may give.
fn bit(metric: MetricId) -> Option<u128> {
    if metric >= MetricId::SourcesHanging {
        return None;
    }
    METRICS.binary_search(&metric).ok().map(|at| 1 << at)
}

#[cfg(test)]
mod tests {
    use super::super::listening::Heard;
    use super::*;

    const TEMP: MetricId = MetricId::Sensor;

    fn round(known: &mut Known, heard: &mut Heard, names: &[(&str, Option<f64>)]) -> u32 {
        known.begin_round(heard);
        for (number, (name, value)) in names.iter().enumerate() {
            known.device(number as u32, Kind::Sensor, name, heard).unwrap();
            if let Some(value) = value {
                known.value(number as u32, TEMP, *value, 1, heard).unwrap();
            }
        }
        known.end_round(heard)
    }

    #[test]
    fn devices_come_and_go_with_what_the_child_tells() {
        let (mut known, mut heard) = (Known::default(), Heard::default());
        assert_eq!(round(&mut known, &mut heard, &[("a", Some(1.0)), ("b", Some(2.0))]), 0);
        assert_eq!(heard.values("sensor_celsius"), [("a", 1.0), ("b", 2.0)]);
        assert_eq!(round(&mut known, &mut heard, &[("c", Some(3.0)), ("b", Some(4.0))]), 1);
        assert_eq!(heard.values("sensor_celsius"), [("b", 4.0), ("c", 3.0)]);
        assert_eq!(known.len(), 2);
        // The numbers still mean what they meant.
        known.begin_round(&mut heard);
        known.value(1, TEMP, 5.0, 1, &mut heard).unwrap();
        known.end_round(&mut heard);
        assert_eq!(heard.values("sensor_celsius"), [("b", 5.0)]);
    }

    #[test]
    fn a_value_that_does_not_come_is_no_longer_known() {
        let (mut known, mut heard) = (Known::default(), Heard::default());
        round(&mut known, &mut heard, &[("a", Some(1.0))]);
        round(&mut known, &mut heard, &[("a", None)]);
        assert_eq!(heard.values("sensor_celsius"), []);
        round(&mut known, &mut heard, &[("a", Some(2.0))]);
        // A round that is cut short by a hang ends nothing; the next one does.
        known.begin_round(&mut heard);
        assert_eq!(heard.values("sensor_celsius"), [("a", 2.0)]);
        round(&mut known, &mut heard, &[("a", None)]);
        assert_eq!(heard.values("sensor_celsius"), []);
    }

    #[test]
    fn a_device_that_others_share_is_never_called_gone() {
        let (mut known, mut heard) = (Known::default(), Heard::default());
        for names in [&["eth0"][..], &[]] {
            known.begin_round(&mut heard);
            known.device(0, Kind::Node, "node", &mut heard).unwrap();
            for (number, name) in names.iter().enumerate() {
                let number = 1 + number as u32;
                known.device(number, Kind::Interface, name, &mut heard).unwrap();
                known.value(number, MetricId::InterfaceUp, 1.0, 1, &mut heard).unwrap();
            }
            known.end_round(&mut heard);
        }
        assert_eq!(heard.values("interface_up"), []);
        assert_eq!(heard.gone, 0);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let (mut known, mut heard) = (Known::default(), Heard::default());
        known.begin_round(&mut heard);
        let heard = &mut heard;
        assert!(known.value(0, TEMP, 1.0, 1, heard).is_err(), "no device yet");
        assert!(known.device(1, Kind::Sensor, "a", heard).is_err(), "numbers begin at 0");
        known.device(0, Kind::Sensor, "a", heard).unwrap();
        assert!(known.device(1, Kind::Sensor, "a", heard).is_err(), "twice");
        assert!(known.value(0, MetricId::CpuBusy, 1.0, 1, heard).is_err(), "not ours");
        assert!(known.value(0, MetricId::InterfaceUp, 1.0, 1, heard).is_err(), "not a sensor's");
        known.value(0, TEMP, 1.0, 1, heard).unwrap();
        assert!(known.value(0, TEMP, 1.0, 1, heard).is_err(), "twice");
        for number in 1..DEVICES_MAX {
            known.device(number as u32, Kind::Sensor, &number.to_string(), heard).unwrap();
        }
        let one_more = DEVICES_MAX as u32;
        assert!(known.device(one_more, Kind::Sensor, "one more", heard).is_err());
    }
}
