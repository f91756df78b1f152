//! The node as facts tell of it: its devices with their newest readings, its
//! engines with their newest steps.
//!
//! Everything is bounded. What finds no room is counted and left out; what was
//! not heard of for long makes room for what is.

use std::collections::{BTreeMap, BTreeSet};

use super::at::SECOND_NS;
use super::facts::{DeviceFacts, EngineFacts, Held, RankFacts};
use crate::schema::{Device, Engine, EngineDetails, Reading, StepCore};

/// Where a device or an engine stands while the stage knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// A device.
    Device(u32),
    /// An engine.
    Engine(u32),
}

/// Most devices known at once; each costs about 2 KiB with 60 readings.
pub const DEVICES_MAX: usize = 16_384;
/// Most engines known at once.
pub const ENGINES_MAX: usize = 4096;
/// Most ranks and producers of one engine.
pub(super) const RANKS_MAX: usize = 256;
/// Most readings of one device.
const READINGS_MAX: usize = 256;
/// A device or engine that was silent for this long makes room for another.
const QUIET_NS: u64 = 600 * SECOND_NS;

/// A value that was not heard of for this long says nothing of the present.
pub(super) const FRESH_NS: u64 = 180 * SECOND_NS;

/// One bit per rule.
pub(super) type Rules = u128;

/// All that is known.
#[derive(Debug)]
pub struct Known {
    pub(super) node: String,
    devices: Vec<Option<DeviceFacts>>,
    device_at: BTreeMap<u32, u32>,
    /// Places of devices by name, and by PCI address without function.
    named: BTreeMap<String, u32>,
    addressed: BTreeMap<String, u32>,
    /// Places of containers by their full ids.
    containers: BTreeMap<String, u32>,
    /// Places of GPUs and NPUs, and of nothing else.
    accelerators: BTreeSet<u32>,
    engines: Vec<Option<EngineFacts>>,
    engine_at: BTreeMap<u64, u32>,
    /// Facts that found no room.
    pub(super) refused: u64,
    /// Places that were given to others since they were last asked for.
    pub(super) forgotten: Vec<Place>,
}

impl Known {
    pub(super) const fn new(node: String) -> Self {
        Self {
            node,
            devices: Vec::new(),
            device_at: BTreeMap::new(),
            named: BTreeMap::new(),
            addressed: BTreeMap::new(),
            containers: BTreeMap::new(),
            accelerators: BTreeSet::new(),
            engines: Vec::new(),
            engine_at: BTreeMap::new(),
            refused: 0,
            forgotten: Vec::new(),
        }
    }

    /// The device in this place.
    #[must_use]
    pub fn device(&self, place: Place) -> Option<&DeviceFacts> {
        let Place::Device(slot) = place else { return None };
        self.devices.get(slot as usize)?.as_ref()
    }

    /// The engine in this place.
    #[must_use]
    pub fn engine(&self, place: Place) -> Option<&EngineFacts> {
        let Place::Engine(slot) = place else { return None };
        self.engines.get(slot as usize)?.as_ref()
    }

    /// Every device that has a name.
    pub fn devices(&self) -> impl Iterator<Item = (Place, &DeviceFacts)> {
        let places = self.devices.iter().enumerate();
        let known = places.filter_map(|(at, of)| Some((Place::Device(at as u32), of.as_ref()?)));
        known.filter(|(_, of)| !of.device.name.is_empty())
    }

    /// Every GPU and NPU.
    pub fn accelerators(&self) -> impl Iterator<Item = (Place, &DeviceFacts)> {
        let places = self.accelerators.iter().map(|slot| Place::Device(*slot));
        places.filter_map(|place| Some((place, self.device(place)?)))
    }

    /// Every engine that has a name.
    pub fn engines(&self) -> impl Iterator<Item = (Place, &EngineFacts)> {
        let places = self.engines.iter().enumerate();
        let known = places.filter_map(|(at, of)| Some((Place::Engine(at as u32), of.as_ref()?)));
        known.filter(|(_, of)| !of.engine.name.is_empty())
    }

    /// The device with this name.
    #[must_use]
    pub fn device_named(&self, name: &str) -> Option<(Place, &DeviceFacts)> {
        let place = Place::Device(*self.named.get(name)?);
        Some((place, self.device(place)?))
    }

    /// The device at this PCI address, with or without its function.
    #[must_use]
    pub fn device_at_pci(&self, address: &str) -> Option<(Place, &DeviceFacts)> {
        let address = address.split('.').next().unwrap_or_default().to_ascii_lowercase();
        let place = Place::Device(*self.addressed.get(&address)?);
        Some((place, self.device(place)?))
    }

    /// The container that an engine runs in.
    #[must_use]
    pub fn container_of(&self, engine: &Engine) -> Option<&DeviceFacts> {
        if engine.container.is_empty() {
            return None;
        }
        let slot = self.containers.get(&engine.container)?;
        self.device(Place::Device(*slot))
    }

    /// The engine of this instance.
    #[must_use]
    pub fn engine_of(&self, instance: u64) -> Option<(Place, &EngineFacts)> {
        let place = Place::Engine(*self.engine_at.get(&instance)?);
        Some((place, self.engine(place)?))
    }

    /// The node's name.
    #[must_use]
    pub fn node(&self) -> &str {
        &self.node
    }

    pub(super) fn take_device(&mut self, device: &Device, now_ns: u64) -> Option<Place> {
        let slot = self.device_slot(device.index, now_ns)?;
        let facts = self.devices[slot as usize].as_mut()?;
        // The index was given to another device: its readings are another's.
        if !facts.device.name.is_empty()
            && (facts.device.name != device.name || facts.device.kind != device.kind)
        {
            *facts = DeviceFacts { due: facts.due, ..DeviceFacts::default() };
            self.unname(slot);
            self.forgotten.push(Place::Device(slot));
        }
        let facts = self.devices[slot as usize].as_mut()?;
        let new = facts.device.name.is_empty();
        facts.device.clone_from(device);
        facts.heard_ns = now_ns;
        if new {
            self.named.insert(device.name.clone(), slot);
        }
        if device.kind == "container" && !device.container.is_empty() {
            self.containers.insert(device.container.clone(), slot);
        }
        if facts.is_accelerator() {
            self.accelerators.insert(slot);
        }
        // A part of a device lies at its whole's address.
        let pci = device.accelerator.as_ref().filter(|of| of.parent.is_empty());
        if let Some(pci) = pci.map(|of| &of.pci).filter(|pci| !pci.is_empty()) {
            let address = pci.split('.').next().unwrap_or_default().to_ascii_lowercase();
            self.addressed.insert(address, slot);
        }
        Some(Place::Device(slot))
    }

    /// Keeps a reading; says which place holds it if the value is another
    /// than before.
    pub(super) fn take_reading(
        &mut self,
        reading: &Reading,
        now_ns: u64,
    ) -> Option<&mut DeviceFacts> {
        if !reading.value.is_finite() {
            self.refused += 1;
            return None;
        }
        let slot = match self.device_at.get(&reading.device) {
            Some(slot) => *slot,
            None => self.device_slot(reading.device, now_ns)?,
        };
        let facts = self.devices[slot as usize].as_mut()?;
        facts.heard_ns = now_ns;
        let held = Held {
            metric: reading.metric,
            value: reading.value,
            time_ns: reading.time_ns,
            heard_ns: now_ns,
        };
        match facts.readings.binary_search_by_key(&reading.metric, |held| held.metric) {
            Ok(at) => {
                let known = &mut facts.readings[at];
                // One that was overtaken says nothing of the present, unless
                // the clock began anew.
                let overtaken = held.time_ns < known.time_ns;
                if overtaken && known.time_ns - held.time_ns < 60 * SECOND_NS {
                    return None;
                }
                // What had grown old is news, though it says the same.
                let fresh = known.heard_ns + FRESH_NS >= now_ns;
                let same = fresh && known.value.to_bits() == held.value.to_bits();
                *known = held;
                (!same).then_some(facts)
            }
            Err(at) if facts.readings.len() < READINGS_MAX => {
                facts.readings.insert(at, held);
                Some(facts)
            }
            Err(_) => {
                self.refused += 1;
                None
            }
        }
    }

    pub(super) fn take_engine(&mut self, engine: &Engine, now_ns: u64) -> Option<Place> {
        let slot = self.engine_slot(engine.instance, now_ns)?;
        let facts = self.engines[slot as usize].as_mut()?;
        facts.engine.clone_from(engine);
        facts.heard_ns = now_ns;
        Some(Place::Engine(slot))
    }

    pub(super) fn take_step(&mut self, step: &StepCore, now_ns: u64) -> Option<&mut EngineFacts> {
        let slot = match self.engine_at.get(&step.instance) {
            Some(slot) => *slot,
            None => self.engine_slot(step.instance, now_ns)?,
        };
        let facts = self.engines[slot as usize].as_mut()?;
        facts.heard_ns = now_ns;
        let same = |of: &RankFacts| of.step.rank == step.rank && of.step.producer == step.producer;
        let room = facts.ranks.len() < RANKS_MAX;
        match facts.ranks.iter_mut().find(|of| same(of)) {
            Some(known) => {
                let older = (step.incarnation, step.sequence)
                    < (known.step.incarnation, known.step.sequence);
                if older {
                    return None;
                }
                *known = RankFacts { step: *step, heard_ns: now_ns };
            }
            None if room => {
                facts.ranks.push(RankFacts { step: *step, heard_ns: now_ns });
            }
            None => {
                self.refused += 1;
                return None;
            }
        }
        Some(facts)
    }

    pub(super) fn take_details(&mut self, details: &EngineDetails, now_ns: u64) -> Option<Place> {
        let slot = self.engine_slot(details.instance, now_ns)?;
        let facts = self.engines[slot as usize].as_mut()?;
        facts.heard_ns = now_ns;
        let same =
            |of: &&mut EngineDetails| of.rank == details.rank && of.producer == details.producer;
        let room = facts.details.len() < RANKS_MAX;
        match facts.details.iter_mut().find(same) {
            Some(known) => known.clone_from(details),
            None if room => facts.details.push(details.clone()),
            None => self.refused += 1,
        }
        Some(Place::Engine(slot))
    }

    /// Adds these rules to what is due at a place.
    pub(super) fn owe(&mut self, place: Place, rules: Rules) {
        match place {
            Place::Device(slot) => {
                if let Some(Some(of)) = self.devices.get_mut(slot as usize) {
                    of.due |= rules;
                }
            }
            Place::Engine(slot) => {
                if let Some(Some(of)) = self.engines.get_mut(slot as usize) {
                    of.due |= rules;
                }
            }
        }
    }

    /// Makes due what rules want of everything that is known.
    pub(super) fn owe_all(&mut self, steps: Rules, of_metric: impl Fn(u16) -> Rules) {
        for of in self.devices.iter_mut().flatten() {
            of.due = of.readings.iter().fold(0, |due, held| due | of_metric(held.metric));
        }
        for of in self.engines.iter_mut().flatten() {
            of.due = steps;
        }
    }

    /// What is due at a place, which is settled by asking.
    pub(super) fn settle(&mut self, place: Place) -> Rules {
        let due = match place {
            Place::Device(slot) => self
                .devices
                .get_mut(slot as usize)
                .and_then(Option::as_mut)
                .map(|of| if of.device.name.is_empty() { None } else { Some(&mut of.due) }),
            Place::Engine(slot) => self
                .engines
                .get_mut(slot as usize)
                .and_then(Option::as_mut)
                .map(|of| if of.engine.name.is_empty() { None } else { Some(&mut of.due) }),
        };
        due.flatten().map(std::mem::take).unwrap_or_default()
    }

    /// Every place that may be asked.
    pub(super) fn places(&self) -> (u32, u32) {
        (self.devices.len() as u32, self.engines.len() as u32)
    }

    fn device_slot(&mut self, index: u32, now_ns: u64) -> Option<u32> {
        if let Some(slot) = self.device_at.get(&index) {
            return Some(*slot);
        }
        let quiet = |of: &DeviceFacts| of.heard_ns + QUIET_NS < now_ns && !of.is_accelerator();
        let slot = seat(&mut self.devices, DEVICES_MAX, quiet);
        let Some((slot, was)) = slot else {
            self.refused += 1;
            return None;
        };
        if was {
            self.device_at.retain(|_, of| *of != slot);
            self.unname(slot);
            self.forgotten.push(Place::Device(slot));
        }
        self.device_at.insert(index, slot);
        Some(slot)
    }

    fn unname(&mut self, slot: u32) {
        self.named.retain(|_, of| *of != slot);
        self.addressed.retain(|_, of| *of != slot);
        self.containers.retain(|_, of| *of != slot);
        self.accelerators.remove(&slot);
    }

    fn engine_slot(&mut self, instance: u64, now_ns: u64) -> Option<u32> {
        if let Some(slot) = self.engine_at.get(&instance) {
            return Some(*slot);
        }
        let quiet = |of: &EngineFacts| of.heard_ns + QUIET_NS < now_ns;
        let slot = seat(&mut self.engines, ENGINES_MAX, quiet);
        let Some((slot, was)) = slot else {
            self.refused += 1;
            return None;
        };
        if was {
            self.engine_at.retain(|_, of| *of != slot);
            self.forgotten.push(Place::Engine(slot));
        }
        self.engine_at.insert(instance, slot);
        Some(slot)
    }
}

/// A seat for one more, and whether somebody quiet had to leave it.
fn seat<T: Default>(
    seats: &mut Vec<Option<T>>,
    most: usize,
    quiet: impl Fn(&T) -> bool,
) -> Option<(u32, bool)> {
    if seats.len() < most {
        seats.push(Some(T::default()));
        return Some((seats.len() as u32 - 1, false));
    }
    let at = seats.iter().position(|of| of.as_ref().is_none_or(&quiet))?;
    seats[at] = Some(T::default());
    Some((at as u32, true))
}
