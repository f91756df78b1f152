//! Which faults were told of which GPU lately, and by whom.

use std::collections::BTreeMap;

use super::follows::is_primary;
use crate::diagnosis::rules::line::SECOND_NS;

/// Faults by device and code; bounded.
#[derive(Debug, Default)]
pub(super) struct Faults {
    devices: BTreeMap<String, BTreeMap<u64, Fault>>,
}

/// The newest report of a fault.
#[derive(Debug)]
struct Fault {
    source: String,
    at_ns: u64,
}

impl Faults {
    /// A source tells of a fault; whether another has told of it just before.
    pub(super) fn told(&mut self, device: &str, code: u64, source: &str, now_ns: u64) -> bool {
        if !self.devices.contains_key(device) {
            if self.devices.len() >= DEVICES_MAX {
                return false;
            }
            self.devices.insert(device.to_owned(), BTreeMap::new());
        }
        let Some(codes) = self.devices.get_mut(device) else { return false };
        if let Some(fault) = codes.get_mut(&code) {
            let another = fault.source != source && now_ns - fault.at_ns.min(now_ns) <= SAME_NS;
            if !another {
                source.clone_into(&mut fault.source);
                fault.at_ns = now_ns;
            }
            return another;
        }
        if codes.len() < CODES_MAX {
            codes.insert(code, Fault { source: source.to_owned(), at_ns: now_ns });
        }
        false
    }

    /// Codes from which others may follow, of a device, just before.
    pub(super) fn primary(&self, device: &str, now_ns: u64) -> impl Iterator<Item = u64> {
        let young = move |fault: &Fault| now_ns - fault.at_ns.min(now_ns) <= SAME_NS;
        let codes = self.devices.get(device).into_iter().flatten();
        codes.filter(move |(code, fault)| is_primary(**code) && young(fault)).map(|(code, _)| *code)
    }

    /// Another device that had such a fault just before.
    pub(super) fn elsewhere(&self, device: &str, now_ns: u64) -> Option<&str> {
        let young = |fault: &Fault| now_ns - fault.at_ns.min(now_ns) <= LINK_NS;
        let ill = |codes: &BTreeMap<u64, Fault>| {
            codes.iter().any(|(code, fault)| is_primary(*code) && young(fault))
        };
        let others = self.devices.iter().filter(|(name, _)| name.as_str() != device);
        others.filter(|(_, codes)| ill(codes)).map(|(name, _)| name.as_str()).next()
    }

    /// What was told of an address was told of this device.
    pub(super) fn named(&mut self, address: &str, device: &str) {
        if !self.devices.contains_key(device)
            && let Some(codes) = self.devices.remove(address)
        {
            self.devices.insert(device.to_owned(), codes);
        }
    }

    /// What a device had is over.
    pub(super) fn forget(&mut self, device: &str) {
        self.devices.remove(device);
    }
}

/// Two sources within this time tell of one fault.
const SAME_NS: u64 = 10 * SECOND_NS;
/// A fault of a peer this long before may be the cause.
const LINK_NS: u64 = 30 * SECOND_NS;
/// Most devices, and most codes of one.
const DEVICES_MAX: usize = 1024;
const CODES_MAX: usize = 256;
