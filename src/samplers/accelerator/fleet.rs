//! All accelerators that a node has or had, across children and restarts, and
//! the events that their changes are.

use std::collections::VecDeque;

use super::facts::Facts;
use super::known::Known;
use super::library::{Found, Identity, NoticeKind};
use super::record::{DEVICES_MAX, Field, LIBRARY, Message, Nonsense, Numbers, Process, Report};
use super::{Kind, inventory};
use crate::platform::clock::{self, MILLISECOND_NS};
use crate::schema::{DeviceProcess, DeviceState, Event, EventKind, PROCESSES_MAX, Severity};

/// Events that wait for the journal; more are counted as lost.
const EVENTS_MAX: usize = 256;

/// A device that hangs and answers again and again is said to do so this
/// often, then no more until it was well for [`super::known::CALM_NS`].
const HANGS_SAID: u32 = 3;

/// Who says what parents cannot read from a child: of the node's own files.
pub(super) trait Place {
    /// The NUMA node of the PCI device at this address.
    fn numa_node(&self, pci: &str) -> Option<u16>;
    /// The container and pod of a process.
    fn home(&self, process: u32) -> (String, String);
}

/// The accelerators of one vendor.
#[derive(Debug, Default)]
pub(super) struct Fleet {
    devices: Vec<Known>,
    /// The child's numbers: what it said of each, and where it stands above.
    numbers: Vec<Number>,
    /// Devices that the child does not look at.
    left_out: Vec<String>,
    events: VecDeque<Event>,
    lost: u64,
    /// Whether the inventory is another than the one that was kept.
    is_news: bool,
}

#[derive(Debug)]
struct Number {
    found: Found,
    identity: Identity,
    at: Option<usize>,
    draft: Vec<Process>,
}

impl Fleet {
    /// The devices that were here when the agent last ran.
    pub(super) fn remembering(kept: Option<&[u8]>) -> Self {
        let devices = kept.map(inventory::decode).unwrap_or_default();
        Self { devices, ..Self::default() }
    }

    /// Another child speaks from now on, which leaves out these devices: its
    /// numbers mean nothing yet.
    pub(super) fn begin_child(&mut self, left_out: Vec<String>) {
        self.numbers.clear();
        self.devices.iter_mut().for_each(|device| device.open_faults.begin_child());
        self.left_out = left_out;
    }

    /// What a child says about devices. Answers the name of the device, or of
    /// the one that it is a part of, if the message shows that it answers.
    pub(super) fn take(
        &mut self,
        message: &Message<'_>,
        place: &dyn Place,
        facts: &mut dyn Facts,
    ) -> Result<Option<String>, Nonsense> {
        match *message {
            Message::Device(number, kind, name) => self.device(number, kind, name)?,
            Message::Text(number, field, text) => self.text(number, field, text)?,
            Message::Identified(number) => {
                self.identified(number, place)?;
                return self.answers(number, facts).map(Some);
            }
            Message::Listed(numbers) => self.listed(numbers, facts)?,
            Message::Values(number, time_ns, values) => {
                let root = self.answers(number, facts)?;
                self.known(number)?.values(time_ns, values.items(), facts);
                return Ok(Some(root));
            }
            Message::Absent(number, absent) => {
                self.known(number)?.absent(absent.items(), facts);
            }
            Message::Processes(number, first, processes) => {
                self.processes(number, first, processes.items(), place)?;
            }
            Message::State(number, state) => {
                self.state(number, state, facts)?;
                return Ok(Some(self.known(number)?.root().to_owned()));
            }
            Message::Notice(number, report) => self.notice(number, &report)?,
            _ => return Err(Nonsense),
        }
        Ok(None)
    }

    /// The name of the device that the child calls `number`, and of the one
    /// that it is a part of.
    pub(super) fn root_of(&self, number: u32) -> Result<String, Nonsense> {
        let of = self.numbers.get(number as usize).ok_or(Nonsense)?;
        let found = &of.found;
        Ok(if found.parent.is_empty() { found.name.clone() } else { found.parent.clone() })
    }

    /// A call about this device, or about a part of it, has not returned.
    pub(super) fn hang(
        &mut self,
        name: &str,
        call: &str,
        since_ns: u64,
        now_ns: u64,
        facts: &mut dyn Facts,
    ) {
        let mut said = false;
        for device in self.devices.iter_mut().filter(|device| device.root() == name) {
            let is_new = device.enter(DeviceState::Silent, facts);
            said |= is_new;
            if is_new {
                device.silent = Some((call.to_owned(), since_ns));
            }
        }
        if said || !self.devices.iter().any(|device| device.root() == name) {
            let silent_ms = now_ns.saturating_sub(since_ns) / MILLISECOND_NS;
            let again = self.devices.iter_mut().find(|device| device.found.name == name);
            let hangs = again.map_or(1, |device| device.hangs_again(now_ns));
            if hangs > HANGS_SAID {
                return;
            }
            let last = if hangs == HANGS_SAID {
                "; it does so often, which is not said for a while"
            } else {
                ""
            };
            let text = format!(
                "{call} of {name} has not returned for {silent_ms} ms; its readings are absent \
                 until it does{last}"
            );
            self.say(EventKind::SourceHangs, Severity::Error, name, text, 0);
        }
    }

    /// Nothing answers any more: what was read is no longer known.
    pub(super) fn forget_readings(&mut self, facts: &mut dyn Facts) {
        for device in &mut self.devices {
            if device.state == DeviceState::Present {
                device.enter(DeviceState::Unknown, facts);
            }
        }
    }

    /// States an event, once the journal takes it.
    pub(super) fn say(
        &mut self,
        kind: EventKind,
        severity: Severity,
        subject: &str,
        text: String,
        code: u64,
    ) {
        let subject = subject.to_owned();
        self.push(Event { kind, severity, subject, text, code, ..Event::default() });
    }

    /// Publishes the state of every device, and hands over events.
    pub(super) fn publish(&mut self, time_ns: u64, simulated: bool, facts: &mut dyn Facts) {
        let Self { devices, numbers, .. } = self;
        for (at, device) in devices.iter_mut().enumerate() {
            // One that is gone does not speak under the name of one that is here.
            let is_here = numbers.iter().any(|number| number.at == Some(at));
            let name = &device.found.name;
            let is_taken = numbers.iter().any(|number| {
                number.at.is_some_and(|other| other != at) && number.found.name == *name
            });
            if is_here || !is_taken {
                device.publish(time_ns, simulated, facts);
            }
        }
        self.hand_over(facts);
    }

    /// Whether the device of this name is read.
    pub(super) fn is_present(&self, name: &str) -> bool {
        let is_it = |device: &&Known| device.found.name == name;
        self.devices.iter().find(is_it).is_some_and(|device| device.state == DeviceState::Present)
    }

    /// How many devices have this state.
    pub(super) fn count(&self, state: DeviceState) -> usize {
        self.devices.iter().filter(|device| device.state == state).count()
    }

    pub(super) fn hand_over(&mut self, facts: &mut dyn Facts) {
        while let Some(event) = self.events.front() {
            let inventory = self.is_news.then(|| inventory::encode(&self.devices));
            if !facts.offer(Some(event.clone()), inventory) {
                return;
            }
            self.is_news = false;
            self.events.pop_front();
        }
        if self.lost > 0 {
            let lost = std::mem::take(&mut self.lost);
            self.push(Event {
                kind: EventKind::DeviceEventsLost,
                severity: Severity::Warning,
                text: format!("{lost} events found no room in the journal and are lost"),
                lost,
                ..Event::default()
            });
        }
        if self.is_news && facts.offer(None, Some(inventory::encode(&self.devices))) {
            self.is_news = false;
        }
    }

    fn push(&mut self, mut event: Event) {
        if self.events.len() >= EVENTS_MAX {
            self.lost += 1;
            return;
        }
        (event.wall_ns, event.monotonic_ns) = (clock::wall_ns(), clock::monotonic_ns());
        self.events.push_back(event);
    }

    fn known(&mut self, number: u32) -> Result<&mut Known, Nonsense> {
        let at = self.numbers.get(number as usize).and_then(|of| of.at).ok_or(Nonsense)?;
        self.devices.get_mut(at).ok_or(Nonsense)
    }

    fn device(&mut self, number: u32, kind: Kind, name: &str) -> Result<(), Nonsense> {
        if number as usize != self.numbers.len() || self.numbers.len() >= DEVICES_MAX {
            return Err(Nonsense);
        }
        let found = Found { name: name.to_owned(), kind, ..Found::default() };
        let identity = Identity::default();
        self.numbers.push(Number { found, identity, at: None, draft: Vec::new() });
        Ok(())
    }

    fn text(&mut self, number: u32, field: Field, text: &str) -> Result<(), Nonsense> {
        let of = self.numbers.get_mut(number as usize).ok_or(Nonsense)?;
        let place = match field {
            // These are fixed once the device is met.
            Field::Uuid | Field::Pci | Field::Parent if of.at.is_some() => return Err(Nonsense),
            Field::Uuid => &mut of.found.uuid,
            Field::Pci => &mut of.found.pci,
            Field::Parent => &mut of.found.parent,
            Field::Model => &mut of.identity.device_model,
            Field::Serial => &mut of.identity.serial,
            Field::Driver => &mut of.identity.driver,
            Field::Firmware => &mut of.identity.firmware,
            Field::Inforom => &mut of.identity.inforom,
            Field::Library => &mut of.identity.library,
        };
        text.clone_into(place);
        Ok(())
    }

    fn listed(&mut self, here: Numbers, facts: &mut dyn Facts) -> Result<(), Nonsense> {
        if here.highest().is_some_and(|highest| highest >= self.numbers.len()) {
            return Err(Nonsense);
        }
        for number in 0..self.numbers.len() {
            if here.has(number) && self.numbers[number].at.is_none() {
                self.meet(number, facts);
            }
        }
        // What the journal remembers and nobody found, and what was here.
        for at in 0..self.devices.len() {
            let is_here = self
                .numbers
                .iter()
                .enumerate()
                .any(|(number, of)| of.at == Some(at) && here.has(number));
            let state = self.devices[at].state;
            let is_missed = match state {
                DeviceState::Gone => false,
                DeviceState::Silent => {
                    self.left_out.iter().all(|name| name != self.devices[at].root())
                }
                DeviceState::Unknown => self.devices[at].is_announced,
                _ => true,
            };
            if !is_here && is_missed {
                self.gone(at, "is not found any more", facts);
            }
        }
        Ok(())
    }

    /// Finds out which device the child's `number` is.
    fn meet(&mut self, number: usize, facts: &mut dyn Facts) {
        let found = self.numbers[number].found.clone();
        let is_free = |at: usize| self.numbers.iter().all(|of| of.at != Some(at));
        let by_uuid = self
            .devices
            .iter()
            .position(|device| !found.uuid.is_empty() && device.found.uuid == found.uuid);
        let by_name = || {
            self.devices.iter().enumerate().position(|(at, device)| {
                device.found.name == found.name
                    && (device.found.uuid.is_empty() || found.uuid.is_empty())
                    && is_free(at)
            })
        };
        let at = match by_uuid.filter(|at| is_free(*at)).or_else(by_name) {
            Some(at) => at,
            None => {
                self.make_room();
                self.devices.push(Known::new(found.clone()));
                self.devices.len() - 1
            }
        };
        let device = &mut self.devices[at];
        let old = std::mem::replace(&mut device.found, found);
        device.change();
        let name = device.found.name.clone();
        if old.name != name && device.is_announced {
            device.forget(facts);
            let text = format!("{} is {name} now, by the driver's order", old.name);
            self.is_news = true;
            self.say(EventKind::DeviceChanged, Severity::Warning, &name, text, 0);
        } else if old.pci != self.devices[at].found.pci && self.devices[at].is_announced {
            let text =
                format!("{name} is at {} now, it was at {}", self.devices[at].found.pci, old.pci);
            self.is_news = true;
            self.say(EventKind::DeviceChanged, Severity::Warning, &name, text, 0);
        }
        self.numbers[number].at = Some(at);
    }

    /// Forgets the one that is gone for longest where there are too many.
    fn make_room(&mut self) {
        if self.devices.len() < 2 * DEVICES_MAX {
            return;
        }
        let oldest = (0..self.devices.len())
            .filter(|at| self.numbers.iter().all(|of| of.at != Some(*at)))
            .min_by_key(|at| self.devices[*at].state_since_wall_ns);
        if let Some(oldest) = oldest {
            self.devices.remove(oldest);
            for of in self.numbers.iter_mut().filter_map(|of| of.at.as_mut()) {
                *of -= usize::from(*of > oldest);
            }
        }
    }

    fn identified(&mut self, number: u32, place: &dyn Place) -> Result<(), Nonsense> {
        let identity = self.numbers.get(number as usize).ok_or(Nonsense)?.identity.clone();
        let device = self.known(number)?;
        device.numa_node = place.numa_node(&device.found.pci);
        let old = std::mem::replace(&mut device.identity, identity);
        device.change();
        let name = device.found.name.clone();
        let is_new = !device.is_announced;
        let text = if is_new {
            device.is_announced = true;
            introduction(&device.found, &device.identity)
        } else {
            let changes = changes(&old, &device.identity);
            if changes.is_empty() {
                return Ok(());
            }
            format!("{name}: {changes}")
        };
        let kind = if is_new { EventKind::DeviceAppeared } else { EventKind::DeviceChanged };
        let severity = if is_new { Severity::Info } else { Severity::Warning };
        self.is_news = true;
        self.say(kind, severity, &name, text, 0);
        Ok(())
    }

    /// The device answers; the name of the one that it is a part of.
    fn answers(&mut self, number: u32, facts: &mut dyn Facts) -> Result<String, Nonsense> {
        let device = self.known(number)?;
        let root = device.root().to_owned();
        if device.state == DeviceState::Silent {
            let silent = device.silent.clone();
            let name = device.found.name.clone();
            device.enter(DeviceState::Present, facts);
            if root == name && device.hangs < HANGS_SAID {
                let (call, since_ns) = silent.unwrap_or_default();
                let after_s = clock::monotonic_ns().saturating_sub(since_ns) as f64 / 1e9;
                let text = format!("{name} answers again, {after_s:.1} s after {call} began");
                self.say(EventKind::SourceAnswers, Severity::Info, &name, text, 0);
            }
        }
        Ok(root)
    }

    fn state(
        &mut self,
        number: u32,
        state: DeviceState,
        facts: &mut dyn Facts,
    ) -> Result<(), Nonsense> {
        self.answers(number, facts)?;
        let at = self.numbers[number as usize].at.ok_or(Nonsense)?;
        let before = self.devices[at].state;
        if before == state {
            return Ok(());
        }
        let name = self.devices[at].found.name.clone();
        match state {
            DeviceState::Gone => self.gone(at, "does not answer its driver any more", facts),
            DeviceState::Present => {
                self.devices[at].enter(state, facts);
                if matches!(
                    before,
                    DeviceState::Gone | DeviceState::Resetting | DeviceState::Upgrading
                ) {
                    let text = format!("{name} is back; it was {}", before.name());
                    self.is_news = true;
                    self.say(EventKind::DeviceReturned, Severity::Info, &name, text, 0);
                }
            }
            _ => {
                self.devices[at].enter(state, facts);
                let kind = match state {
                    DeviceState::Resetting => EventKind::DeviceResetting,
                    _ => EventKind::DeviceUpgrading,
                };
                self.is_news = true;
                self.say(kind, Severity::Warning, &name, format!("{name} is {}", state.name()), 0);
            }
        }
        Ok(())
    }

    fn gone(&mut self, at: usize, how: &str, facts: &mut dyn Facts) {
        let device = &mut self.devices[at];
        if !device.enter(DeviceState::Gone, facts) || !device.is_announced {
            return;
        }
        let (found, name) = (&device.found, device.found.name.clone());
        let known =
            [("UUID", &found.uuid), ("PCI", &found.pci), ("serial", &device.identity.serial)];
        let known: Vec<_> = known
            .iter()
            .filter(|(_, text)| !text.is_empty())
            .map(|(what, text)| format!("{what} {text}"))
            .collect();
        let text = format!("{name} {how} ({})", known.join(", "));
        self.is_news = true;
        self.say(EventKind::DeviceGone, Severity::Critical, &name, text, 0);
    }

    fn processes(
        &mut self,
        number: u32,
        first: bool,
        processes: &[Process],
        place: &dyn Place,
    ) -> Result<(), Nonsense> {
        let draft = &mut self.numbers.get_mut(number as usize).ok_or(Nonsense)?.draft;
        if first {
            draft.clear();
        }
        if draft.len() + processes.len() > PROCESSES_MAX {
            return Err(Nonsense);
        }
        draft.extend_from_slice(processes);
        let draft = draft.clone();
        let device = self.known(number)?;
        let home = |of: &Process| {
            // Who is known keeps its home: a process does not move.
            let known = device.processes.iter().find(|known| known.process == of.0);
            let (container, pod) = known.map_or_else(
                || place.home(of.0),
                |known| (known.container.clone(), known.pod.clone()),
            );
            DeviceProcess { process: of.0, memory_bytes: of.1, container, pod }
        };
        let processes: Vec<_> = draft.iter().map(home).collect();
        if device.processes != processes {
            device.processes = processes;
            device.change();
        }
        Ok(())
    }

    fn notice(&mut self, number: u32, report: &Report<'_>) -> Result<(), Nonsense> {
        let subject = if number == LIBRARY {
            String::new()
        } else {
            self.numbers.get(number as usize).ok_or(Nonsense)?.found.name.clone()
        };
        // A report may come before the list that has its device.
        let device = self.known(number).ok();
        if let Some((device, record)) = device.zip(report.fault)
            && !device.open_faults.take(report.code, record)
        {
            return Ok(());
        }
        let kind = match report.kind {
            NoticeKind::Looked => {
                self.looked(number);
                return Ok(());
            }
            NoticeKind::Notice => EventKind::DeviceNotice,
            NoticeKind::Fault => EventKind::DeviceFault,
            NoticeKind::Xid => EventKind::Xid,
            NoticeKind::Lost => EventKind::DeviceEventsLost,
        };
        let lost = if report.kind == NoticeKind::Lost { report.code } else { 0 };
        self.push(Event {
            kind,
            severity: report.severity,
            subject,
            text: report.text.to_owned(),
            code: if lost == 0 { report.code } else { 0 },
            lost,
            fault: report.fault,
            ..Event::default()
        });
        Ok(())
    }

    /// All that is open was told: what another child told and this one did not
    /// is over.
    fn looked(&mut self, number: u32) {
        let Ok(device) = self.known(number) else { return };
        let name = device.found.name.clone();
        for (code, record) in device.open_faults.over() {
            self.push(Event {
                kind: EventKind::DeviceFault,
                severity: Severity::Info,
                subject: name.clone(),
                text: format!("{code:#010X} cleared while nobody looked"),
                code,
                fault: Some(record),
                ..Event::default()
            });
        }
    }
}

fn introduction(found: &Found, identity: &Identity) -> String {
    let words = [
        identity.device_model.as_str(),
        found.uuid.as_str(),
        found.pci.as_str(),
        &if identity.driver.is_empty() {
            String::new()
        } else {
            format!("driver {}", identity.driver)
        },
    ];
    let words: Vec<_> = words.into_iter().filter(|word| !word.is_empty()).collect();
    format!("{} is here: {}", found.name, words.join(", "))
}

/// What became another, in words.
fn changes(old: &Identity, new: &Identity) -> String {
    let pairs = [
        ("model", &old.device_model, &new.device_model),
        ("serial number", &old.serial, &new.serial),
        ("driver", &old.driver, &new.driver),
        ("firmware", &old.firmware, &new.firmware),
        ("InfoROM", &old.inforom, &new.inforom),
    ];
    let changed = pairs.into_iter().filter(|(_, old, new)| old != new);
    let words: Vec<_> = changed
        .map(|(what, old, new)| match (old.is_empty(), new.is_empty()) {
            (true, _) => format!("{what} is {new}"),
            (_, true) => format!("{what} is not told any more, it was {old}"),
            _ => format!("{what} is {new}, it was {old}"),
        })
        .collect();
    words.join("; ")
}
