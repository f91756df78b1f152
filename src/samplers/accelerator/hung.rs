//! Devices whose call does not return: since when, and when each is tried
//! again.

use crate::platform::clock::SECOND_NS;

/// The longest pause between two trials.
const PAUSE_NS_MAX: u64 = 600 * SECOND_NS;

/// Devices that hang, by the name of the device or of the one that it is a
/// part of.
#[derive(Debug, Default)]
pub(super) struct HungList {
    devices: Vec<Hung>,
}

/// A device that hangs.
#[derive(Debug)]
pub(super) struct Hung {
    pub(super) name: String,
    pub(super) since_ns: u64,
    /// The process that reads the others was told to leave it out.
    pub(super) is_left_out: bool,
    pause_ns: u64,
    due_ns: u64,
}

impl HungList {
    /// A device hangs since `since_ns`; tried again `pause_ns` from now. Whether
    /// that is news.
    pub(super) fn add(&mut self, name: &str, since_ns: u64, now_ns: u64, pause_ns: u64) -> bool {
        let is_new = self.devices.iter().all(|hung| hung.name != name);
        if is_new {
            self.devices.push(Hung {
                name: name.to_owned(),
                since_ns,
                is_left_out: false,
                pause_ns,
                due_ns: now_ns.saturating_add(pause_ns),
            });
        }
        is_new
    }

    /// It answers.
    pub(super) fn remove(&mut self, name: &str) -> Option<Hung> {
        let at = self.devices.iter().position(|hung| hung.name == name)?;
        Some(self.devices.swap_remove(at))
    }

    /// The one that began first, of those that are not left out.
    pub(super) fn first(&mut self) -> Option<&mut Hung> {
        let here = self.devices.iter_mut().filter(|hung| !hung.is_left_out);
        here.min_by_key(|hung| hung.since_ns)
    }

    /// One that is to be tried now.
    pub(super) fn due(&self, now_ns: u64) -> Option<&str> {
        self.devices.iter().find(|hung| now_ns >= hung.due_ns).map(|hung| hung.name.as_str())
    }

    /// Tried in vain, or not tried: again after a longer pause.
    pub(super) fn again(&mut self, name: &str, now_ns: u64) {
        if let Some(hung) = self.devices.iter_mut().find(|hung| hung.name == name) {
            hung.pause_ns = hung.pause_ns.saturating_mul(2).min(PAUSE_NS_MAX);
            hung.due_ns = now_ns.saturating_add(hung.pause_ns);
        }
    }

    /// Names of those that are left out.
    pub(super) fn left_out(&self) -> impl Iterator<Item = &str> {
        self.devices.iter().filter(|hung| hung.is_left_out).map(|hung| hung.name.as_str())
    }

    /// Another process reads: who is not left out gets another chance there.
    pub(super) fn begin_child(&mut self) {
        self.devices.retain(|hung| hung.is_left_out);
    }

    pub(super) const fn len(&self) -> usize {
        self.devices.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_hangs_is_tried_after_pauses_that_grow_to_a_limit() {
        let mut list = HungList::default();
        assert!(list.add("gpu1", 1, 5, 20 * SECOND_NS));
        assert!(!list.add("gpu1", 9, 9, SECOND_NS));
        assert_eq!((list.len(), list.due(SECOND_NS)), (1, None));
        let (mut now_ns, mut pauses) = (5, Vec::new());
        for _ in 0..7 {
            let mut pause_s = 0;
            while list.due(now_ns).is_none() {
                now_ns += SECOND_NS;
                pause_s += 1;
            }
            pauses.push(pause_s);
            list.again("gpu1", now_ns);
        }
        assert_eq!(pauses, [20, 40, 80, 160, 320, 600, 600]);
        assert_eq!(list.remove("gpu1").map(|hung| hung.since_ns), Some(1));
    }

    #[test]
    fn the_first_that_hung_is_left_out_first() {
        let mut list = HungList::default();
        list.add("gpu2", 7, 0, 1);
        list.add("gpu1", 5, 0, 1);
        list.first().unwrap().is_left_out = true;
        assert_eq!(list.first().unwrap().name, "gpu2");
        list.begin_child();
        assert_eq!(list.left_out().collect::<Vec<_>>(), ["gpu1"]);
        assert_eq!(list.len(), 1);
    }
}
