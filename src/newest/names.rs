//! What the numbers in the tables stand for: engines and devices by name.
//!
//! Names change rarely, so a lock guards them; nothing on a hot path takes it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use super::{Details, Judged};
use crate::platform::atomic::{AtomicU64, Ordering};
use crate::platform::doorbell::Ringer;
use crate::schema::{Device, Engine, bounded_name, name_hash};

/// Most engines on one node; more are refused and counted.
pub const ENGINES_MAX: usize = 4096;

/// Most devices on one node; more are refused and counted.
pub const DEVICES_MAX: usize = 4096;

/// The engines and devices of this node. Clones share the same names.
#[derive(Debug, Clone)]
pub struct Names(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    node: String,
    version: AtomicU64,
    refused: AtomicU64,
    lists: Mutex<Lists>,
    details: Details,
    judged: Judged,
    /// Whom to wake when something changes.
    listener: OnceLock<Ringer>,
}

#[derive(Debug, Default)]
struct Lists {
    engines: HashMap<u64, Engine>,
    devices: Vec<Device>,
    device_next: u32,
}

impl Names {
    /// No names yet, on the node of this name.
    #[must_use]
    pub fn new(node: &str) -> Self {
        let shared = Shared {
            node: bounded_name(node).to_owned(),
            version: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            lists: Mutex::new(Lists::default()),
            details: Details::default(),
            judged: Judged::default(),
            listener: OnceLock::new(),
        };
        Self(Arc::new(shared))
    }

    /// The node's name.
    #[must_use]
    pub fn node(&self) -> &str {
        &self.0.node
    }

    /// The hash by which batches refer to the node.
    #[must_use]
    pub fn node_hash(&self) -> u64 {
        name_hash(&self.0.node)
    }

    /// One up with every change: a cheap look.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.0.version.load(Ordering::Acquire)
    }

    /// What the engines say beside their steps.
    #[must_use]
    pub fn details(&self) -> &Details {
        &self.0.details
    }

    /// What the diagnosis stage concluded about them.
    #[must_use]
    pub fn judged(&self) -> &Judged {
        &self.0.judged
    }

    /// Wakes this one listener at every change; a second one is refused.
    pub fn ring_on_change(&self, listener: Ringer) -> bool {
        self.0.listener.set(listener).is_ok()
    }

    /// Names refused since the lists were full.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.0.refused.load(Ordering::Relaxed)
    }

    /// Adds or replaces an engine.
    pub fn put_engine(&self, engine: Engine) {
        let mut lists = self.lists();
        let known = lists.engines.get(&engine.instance);
        if known.is_none() && lists.engines.len() >= ENGINES_MAX {
            self.0.refused.fetch_add(1, Ordering::Relaxed);
        } else if known != Some(&engine) {
            lists.engines.insert(engine.instance, engine);
            self.changed();
        }
    }

    /// Forgets an engine, unless it came back under another incarnation, and
    /// what it said under this one.
    pub fn forget_engine(&self, instance: u64, incarnation: u64) {
        self.0.details.forget(instance, incarnation);
        let mut lists = self.lists();
        if lists.engines.get(&instance).is_some_and(|known| known.incarnation == incarnation) {
            lists.engines.remove(&instance);
            self.changed();
        }
    }

    /// The index of the device of this kind and name, new if it is not known;
    /// nothing when the list is full.
    pub fn device(&self, kind: &str, name: &str) -> Option<u32> {
        let (kind, name) = (bounded_name(kind), bounded_name(name));
        let mut lists = self.lists();
        let known = lists.devices.iter().find(|device| device.kind == kind && device.name == name);
        if let Some(known) = known {
            return Some(known.index);
        }
        if lists.devices.len() >= DEVICES_MAX {
            self.0.refused.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        let index = lists.device_next;
        lists.device_next += 1;
        let device =
            Device { index, kind: kind.to_owned(), name: name.to_owned(), ..Device::default() };
        lists.devices.push(device);
        self.changed();
        Some(index)
    }

    /// Adds or replaces a device under the index that another process gave it.
    pub fn put_device(&self, device: Device) {
        let mut lists = self.lists();
        if let Some(known) = lists.devices.iter_mut().find(|known| known.index == device.index) {
            if *known != device {
                *known = device;
                self.changed();
            }
        } else if lists.devices.len() >= DEVICES_MAX {
            self.0.refused.fetch_add(1, Ordering::Relaxed);
        } else {
            lists.device_next = lists.device_next.max(device.index.saturating_add(1));
            lists.devices.push(device);
            self.changed();
        }
    }

    /// Forgets a device.
    pub fn forget_device(&self, index: u32) {
        self.lists().devices.retain(|device| device.index != index);
        self.changed();
    }

    /// All engines, by name.
    #[must_use]
    pub fn engines(&self) -> Vec<Engine> {
        let mut engines: Vec<Engine> = self.lists().engines.values().cloned().collect();
        engines.sort_by(|a, b| a.name.cmp(&b.name));
        engines
    }

    /// The engine with this hash.
    #[must_use]
    pub fn engine(&self, instance: u64) -> Option<Engine> {
        self.lists().engines.get(&instance).cloned()
    }

    /// All devices, in the order in which they were first seen.
    #[must_use]
    pub fn devices(&self) -> Vec<Device> {
        self.lists().devices.clone()
    }

    /// The name of the model with this hash, as some engine serves it.
    #[must_use]
    pub fn model(&self, hash: u64) -> Option<String> {
        let lists = self.lists();
        let engine = lists.engines.values().find(|engine| engine.model_hash == hash)?;
        Some(engine.model.clone())
    }

    fn lists(&self) -> MutexGuard<'_, Lists> {
        self.0.lists.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn changed(&self) {
        self.0.version.fetch_add(1, Ordering::Release);
        if let Some(listener) = self.0.listener.get() {
            listener.ring();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_keeps_its_index_while_it_is_known() {
        let names = Names::new("n");
        assert_eq!(names.device("cpu", "cpu0"), Some(0));
        assert_eq!(names.device("cpu", "cpu1"), Some(1));
        assert_eq!(names.device("cpu", "cpu0"), Some(0));
        names.forget_device(0);
        assert_eq!(names.device("cpu", "cpu0"), Some(2));
    }

    #[test]
    fn a_farewell_of_the_previous_incarnation_does_not_remove_the_next() {
        let names = Names::new("n");
        let engine = |incarnation| Engine { incarnation, ..Engine::named("a", "m") };
        names.put_engine(engine(1));
        names.put_engine(engine(2));
        names.forget_engine(engine(1).instance, 1);
        assert_eq!(names.engines(), [engine(2)]);
        names.forget_engine(engine(2).instance, 2);
        assert!(names.engines().is_empty());
    }

    #[test]
    fn a_name_that_changes_nothing_is_no_change() {
        let names = Names::new("n");
        names.put_engine(Engine::named("a", "m"));
        let version = names.version();
        names.put_engine(Engine::named("a", "m"));
        assert_eq!(names.version(), version);
    }

    #[cfg(not(miri))]
    #[test]
    fn more_devices_than_the_list_holds_are_refused_and_counted() {
        let names = Names::new("n");
        for at in 0..DEVICES_MAX {
            names.device("d", &at.to_string());
        }
        assert_eq!((names.device("d", "one more"), names.refused()), (None, 1));
    }
}
