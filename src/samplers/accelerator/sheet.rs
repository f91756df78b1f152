//! What one round of one device brings: values, what is absent, and why.

use std::collections::BTreeMap;

use super::calls::Calls;
use crate::platform::clock::SECOND_NS;
use crate::schema::{AbsentReason, MetricId};

/// A reading that a device does not give is asked for again after so long.
pub const ASK_AGAIN_NS: u64 = 600 * SECOND_NS;

/// A reading that was not given in so many rounds is missing.
const ROUNDS_MAX: u8 = 16;

/// What a device is known not to give. Lives as long as the process that
/// loaded the library, so that another driver is asked anew.
#[derive(Debug, Default)]
pub struct Absences(BTreeMap<MetricId, Absence>);

#[derive(Debug, Clone, Copy)]
struct Absence {
    reason: AbsentReason,
    ask_at_ns: u64,
    told: bool,
}

/// Where a reader puts one round's readings.
#[derive(Debug)]
pub struct Sheet<'a> {
    calls: &'a Calls,
    now_ns: u64,
    absences: &'a mut Absences,
    values: Vec<(MetricId, f64)>,
    processes: Option<Vec<(u32, Option<u64>)>>,
}

impl<'a> Sheet<'a> {
    /// An empty sheet of a round at `now_ns`.
    #[must_use]
    pub fn new(calls: &'a Calls, now_ns: u64, absences: &'a mut Absences) -> Self {
        Self { calls, now_ns, absences, values: Vec::with_capacity(64), processes: None }
    }

    /// Where calls of the library are made.
    #[must_use]
    pub const fn calls(&self) -> &'a Calls {
        self.calls
    }

    /// Whether a call for this reading is worth it: not for those that the
    /// device is known not to give, but now and then.
    #[must_use]
    pub fn wants(&self, metric: MetricId) -> bool {
        self.absences.0.get(&metric).is_none_or(|absence| self.now_ns >= absence.ask_at_ns)
    }

    /// A value, in the metric's unit. What is no finite number is absent.
    pub fn put(&mut self, metric: MetricId, value: f64) {
        if value.is_finite() {
            self.absences.0.remove(&metric);
            self.values.push((metric, value));
        } else {
            self.absent(metric, AbsentReason::Failed);
        }
    }

    /// A reading that cannot be had. One that failed is asked for again next
    /// time, the others rarely.
    pub fn absent(&mut self, metric: MetricId, reason: AbsentReason) {
        let is_passing = matches!(reason, AbsentReason::Failed | AbsentReason::Unknown);
        let pause_ns = if is_passing { 0 } else { ASK_AGAIN_NS };
        if reason == AbsentReason::Failed {
            self.calls.failed();
        }
        let told = self.absences.0.get(&metric).is_some_and(|of| of.told && of.reason == reason);
        let ask_at_ns = self.now_ns.saturating_add(pause_ns);
        self.absences.0.insert(metric, Absence { reason, ask_at_ns, told });
    }

    /// Begins the list of processes, so that none is known as none.
    pub fn processes(&mut self) {
        self.processes.get_or_insert_default();
    }

    /// A process that works on the device, with the memory it holds there.
    pub fn process(&mut self, id: u32, memory_bytes: Option<u64>) {
        self.processes.get_or_insert_default().push((id, memory_bytes));
    }

    /// What earlier rounds gave and the last several neither gave nor called
    /// absent is absent without a reason. `given` has each with the rounds
    /// since it was given: readings may take turns.
    pub(super) fn note_missing(&mut self, given: &mut Vec<(MetricId, u8)>) {
        given.iter_mut().for_each(|(_, rounds)| *rounds += 1);
        for (metric, _) in &self.values {
            match given.iter_mut().find(|(of, _)| of == metric) {
                Some((_, rounds)) => *rounds = 0,
                None => given.push((*metric, 0)),
            }
        }
        let known = &self.absences.0;
        given.retain(|(metric, _)| !known.contains_key(metric));
        let is_missing = |(_, rounds): &mut (MetricId, u8)| *rounds >= ROUNDS_MAX;
        for (metric, _) in given.extract_if(.., is_missing).collect::<Vec<_>>() {
            self.absent(metric, AbsentReason::Unknown);
        }
    }

    /// The values so far.
    #[must_use]
    pub fn values(&self) -> &[(MetricId, f64)] {
        &self.values
    }

    /// The processes, if they were asked for.
    #[must_use]
    pub fn listed_processes(&self) -> Option<&[(u32, Option<u64>)]> {
        self.processes.as_deref()
    }
}

impl Absences {
    /// Those that nobody was told of yet, which they are from now on.
    pub(super) fn news(&mut self) -> Vec<(MetricId, AbsentReason)> {
        let fresh = self.0.iter_mut().filter(|(_, absence)| !absence.told);
        fresh
            .map(|(metric, absence)| {
                absence.told = true;
                (*metric, absence.reason)
            })
            .collect()
    }

    /// All are to be told again.
    pub(super) fn tell_again(&mut self) {
        self.0.values_mut().for_each(|absence| absence.told = false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEMP: MetricId = MetricId::AcceleratorTemperature;

    #[test]
    fn what_a_device_does_not_give_is_asked_for_rarely_and_told_once() {
        let (calls, mut absences) = (Calls::default(), Absences::default());
        let mut sheet = Sheet::new(&calls, 0, &mut absences);
        assert!(sheet.wants(TEMP));
        sheet.absent(TEMP, AbsentReason::NotSupported);
        assert!(!sheet.wants(TEMP));
        assert_eq!(absences.news(), [(TEMP, AbsentReason::NotSupported)]);
        assert_eq!(absences.news(), []);
        let mut sheet = Sheet::new(&calls, ASK_AGAIN_NS, &mut absences);
        assert!(sheet.wants(TEMP), "once in a while");
        sheet.absent(TEMP, AbsentReason::NotSupported);
        assert_eq!(absences.news(), [], "nothing new");
        let mut sheet = Sheet::new(&calls, 2 * ASK_AGAIN_NS, &mut absences);
        sheet.put(TEMP, 40.0);
        assert_eq!(sheet.values(), [(TEMP, 40.0)]);
        sheet.absent(TEMP, AbsentReason::NotSupported);
        assert_eq!(absences.news().len(), 1, "it was there in between");
    }

    #[test]
    fn a_failure_is_asked_for_again_at_once_and_counted() {
        let (calls, mut absences) = (Calls::default(), Absences::default());
        let mut sheet = Sheet::new(&calls, 7, &mut absences);
        sheet.put(TEMP, f64::NAN);
        assert!(sheet.wants(TEMP));
        assert!(sheet.values().is_empty());
        assert_eq!(calls.tally().failed, 1);
        assert_eq!(absences.news(), [(TEMP, AbsentReason::Failed)]);
    }
}
