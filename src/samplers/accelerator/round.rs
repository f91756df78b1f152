//! One device's thread in the child.

use std::sync::Arc;

use super::calls::Calls;
use super::library::{Failure, Found, Group, Identity, Library, Reader};
use super::record::{Absent, Few, Field, Message, Process, Value};
use super::serve::{Periods, Site};
use super::sheet::{Absences, Sheet};
use crate::platform::atomic::{AtomicBool, Ordering};
use crate::platform::clock::{self, MILLISECOND_NS};
use crate::schema::{AbsentReason, DeviceState, MetricId};

/// Reads one device until its process ends.
pub(super) struct DeviceThread<'a> {
    site: &'a Site,
    number: u32,
    found: &'a Found,
    is_here: Arc<AtomicBool>,
    calls: Calls,
    absences: Absences,
    /// What each group gave, and how many rounds ago.
    given: [Vec<(MetricId, u8)>; Group::ALL.len()],
    due: Due,
    told: Option<Identity>,
    state: DeviceState,
}

impl<'a> DeviceThread<'a> {
    pub(super) fn new(
        site: &'a Site,
        number: u32,
        found: &'a Found,
        is_here: Arc<AtomicBool>,
    ) -> Self {
        Self {
            site,
            number,
            found,
            is_here,
            calls: site.watch(number),
            absences: Absences::default(),
            given: Default::default(),
            due: Due::new(site.plan.periods, number),
            told: None,
            state: DeviceState::Unknown,
        }
    }

    pub(super) fn run(mut self, library: &dyn Library) -> Result<(), Failure> {
        let mut reader = library.reader(self.found);
        while !self.site.is_ended() {
            let now_ns = clock::monotonic_ns();
            if self.is_here.load(Ordering::Relaxed) {
                match self.round(reader.as_mut(), now_ns) {
                    Ok(()) => {}
                    Err(Failure::Device(state)) => self.is_away(state),
                    Err(failure) => return Err(failure),
                }
            } else {
                self.is_away(DeviceState::Gone);
            }
            clock::sleep_until(self.due.next_ns(clock::monotonic_ns()));
        }
        Ok(())
    }

    fn round(&mut self, reader: &mut dyn Reader, now_ns: u64) -> Result<(), Failure> {
        let was_away = self.state != DeviceState::Present;
        if was_away || self.due.identity(now_ns) {
            let identity = reader.identity(&self.calls)?;
            if was_away || self.told.as_ref() != Some(&identity) {
                self.tell_identity(&identity);
                self.told = Some(identity);
            }
        }
        if was_away {
            self.state = DeviceState::Present;
            self.absences.tell_again();
            self.due.all();
            self.site.say(&[Message::State(self.number, DeviceState::Present)]);
        }
        for group in Group::ALL {
            if self.due.group(group, now_ns) {
                self.read(group, reader)?;
            }
        }
        Ok(())
    }

    fn read(&mut self, group: Group, reader: &mut dyn Reader) -> Result<(), Failure> {
        let now_ns = clock::monotonic_ns();
        let mut sheet = Sheet::new(&self.calls, now_ns, &mut self.absences);
        reader.read(group, &mut sheet)?;
        sheet.note_missing(&mut self.given[group as usize]);
        let values: Vec<Value> = sheet.values().to_vec();
        let processes = sheet.listed_processes().map(<[Process]>::to_vec);
        self.tell(now_ns, &values, processes.as_deref());
        Ok(())
    }

    fn tell(&mut self, now_ns: u64, values: &[Value], processes: Option<&[Process]>) {
        let number = self.number;
        let mut messages = Vec::with_capacity(8);
        for few in values.chunks(super::record::VALUES_MAX) {
            let few = Few::of((MetricId::AcceleratorTemperature, 0.0), few);
            messages.push(Message::Values(number, now_ns, few));
        }
        let absent: Vec<Absent> = self.absences.news();
        for few in absent.chunks(super::record::ABSENT_MAX) {
            let empty = (MetricId::AcceleratorTemperature, AbsentReason::Unknown);
            messages.push(Message::Absent(number, Few::of(empty, few)));
        }
        if let Some(processes) = processes {
            let processes = &processes[..processes.len().min(crate::schema::PROCESSES_MAX)];
            let mut first = true;
            for few in processes.chunks(super::record::PROCESSES_MAX) {
                messages.push(Message::Processes(number, first, Few::of((0, None), few)));
                first = false;
            }
            if first {
                messages.push(Message::Processes(number, true, Few::of((0, None), &[])));
            }
        }
        self.site.say(&messages);
    }

    fn tell_identity(&self, of: &Identity) {
        let number = self.number;
        self.site.say(&[
            Message::Text(number, Field::Model, &of.device_model),
            Message::Text(number, Field::Serial, &of.serial),
            Message::Text(number, Field::Driver, &of.driver),
            Message::Text(number, Field::Firmware, &of.firmware),
            Message::Text(number, Field::Inforom, &of.inforom),
            Message::Text(number, Field::Library, &of.library),
            Message::Identified(number),
        ]);
    }

    /// The device cannot be read now.
    fn is_away(&mut self, state: DeviceState) {
        if self.state != state {
            self.state = state;
            self.site.say(&[Message::State(self.number, state)]);
        }
    }
}

/// When what is due. Everything is at first; then at multiples of its period,
/// so that devices are read together, what is rare at another instant for
/// each.
#[derive(Debug)]
struct Due {
    periods_ns: [u64; Group::ALL.len() + 1],
    due_ns: [u64; Group::ALL.len() + 1],
    offset_ns: u64,
    fast_ns: u64,
}

/// The place of the identity.
const IDENTITY: usize = Group::ALL.len();

impl Due {
    fn new(periods: Periods, number: u32) -> Self {
        let mut periods_ns = [periods.identity_ms * MILLISECOND_NS; Group::ALL.len() + 1];
        for (period_ns, group_ms) in periods_ns.iter_mut().zip(periods.group_ms) {
            *period_ns = group_ms * MILLISECOND_NS;
        }
        let fast_ns = periods_ns[Group::Fast as usize].max(MILLISECOND_NS);
        let offset_ns = fast_ns * u64::from(number);
        Self { periods_ns, due_ns: [0; Group::ALL.len() + 1], offset_ns, fast_ns }
    }

    fn all(&mut self) {
        self.due_ns = [0; Group::ALL.len() + 1];
    }

    fn group(&mut self, group: Group, now_ns: u64) -> bool {
        self.take(group as usize, now_ns)
    }

    fn identity(&mut self, now_ns: u64) -> bool {
        self.take(IDENTITY, now_ns)
    }

    fn take(&mut self, at: usize, now_ns: u64) -> bool {
        let period_ns = self.periods_ns[at];
        if period_ns == 0 || now_ns < self.due_ns[at] {
            return false;
        }
        let offset_ns = if period_ns > self.fast_ns { self.offset_ns % period_ns } else { 0 };
        let round = now_ns.saturating_sub(offset_ns) / period_ns + 1;
        self.due_ns[at] = round.saturating_mul(period_ns).saturating_add(offset_ns);
        true
    }

    /// The next instant after now at which anything that is read is due.
    fn next_ns(&self, now_ns: u64) -> u64 {
        let dues = self.due_ns.iter().zip(self.periods_ns).filter(|(_, period_ns)| *period_ns > 0);
        let next_ns = dues.map(|(due_ns, _)| *due_ns).min().unwrap_or(0);
        if next_ns > now_ns { next_ns } else { (now_ns / self.fast_ns + 1) * self.fast_ns }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_frequent_is_due_together_and_what_is_rare_apart() {
        let periods = Periods { group_ms: [0, 1000, 10_000, 60_000, 10_000], identity_ms: 600_000 };
        let second_ns = 1000 * MILLISECOND_NS;
        let mut mediums = Vec::new();
        for number in 0..3 {
            let mut due = Due::new(periods, number);
            let now_ns = 100 * second_ns + 5;
            assert!(due.group(Group::Fast, now_ns) && due.group(Group::Medium, now_ns));
            assert!(!due.group(Group::Fast, now_ns) && !due.group(Group::Burst, now_ns));
            assert_eq!(due.due_ns[Group::Fast as usize], 101 * second_ns);
            mediums.push(due.due_ns[Group::Medium as usize] / second_ns);
            assert!(due.group(Group::Slow, now_ns) && due.group(Group::Processes, now_ns));
            assert!(due.identity(now_ns));
            assert_eq!(due.next_ns(now_ns), 101 * second_ns);
        }
        assert_eq!(mediums, [110, 101, 102]);
    }

    #[test]
    fn a_round_that_took_too_long_leaves_out_what_it_missed() {
        let periods = Periods { group_ms: [0, 1000, 0, 0, 0], identity_ms: 0 };
        let mut due = Due::new(periods, 0);
        assert!(due.group(Group::Fast, 5));
        let late_ns = 7_300 * MILLISECOND_NS;
        assert_eq!(due.next_ns(late_ns), 8_000 * MILLISECOND_NS);
        assert!(due.group(Group::Fast, late_ns));
        assert_eq!(due.next_ns(late_ns), 8_000 * MILLISECOND_NS);
    }
}
