//! The files that did not answer: left out, and tried again with a growing
//! pause.

use super::reach::{LEFT_OUT_MAX, is_at_or_below};
use crate::platform::clock::SECOND_NS;

/// The first pause before a file is tried again.
pub(super) const PAUSE_NS_MIN: u64 = 60 * SECOND_NS;

/// The longest.
pub(super) const PAUSE_NS_MAX: u64 = 3600 * SECOND_NS;

/// So many hanging files in one folder, and the device is left out whole: the
/// others would hang one after the other.
const FILES_PER_FOLDER: usize = 2;

/// A folder of fewer parts holds many devices and is never left out whole.
const FOLDER_PARTS_MIN: usize = 3;

/// Most hanging files. What is found by looking at folders finds room beside.
const FILES_MAX: usize = LEFT_OUT_MAX / 2;

/// Files that hang.
#[derive(Debug, Default)]
pub(super) struct LeftOut(Vec<Hanging>);

#[derive(Debug)]
struct Hanging {
    path: String,
    since_ns: u64,
    pause_ns: u64,
    due_ns: u64,
}

impl LeftOut {
    /// A file that did not answer; false when there is no room for one more.
    pub(super) fn add(&mut self, path: &str, now_ns: u64) -> bool {
        if self.0.len() >= FILES_MAX {
            return false;
        }
        if !self.0.iter().any(|one| one.path == path) {
            self.0.push(Hanging {
                path: path.to_owned(),
                since_ns: now_ns,
                pause_ns: PAUSE_NS_MIN,
                due_ns: now_ns.saturating_add(PAUSE_NS_MIN),
            });
        }
        true
    }

    /// A file that is to be tried again now.
    pub(super) fn due(&self, now_ns: u64) -> Option<&str> {
        self.0.iter().find(|one| one.due_ns <= now_ns).map(|one| one.path.as_str())
    }

    /// A file that was tried again in vain.
    pub(super) fn again(&mut self, path: &str, now_ns: u64) {
        if let Some(one) = self.0.iter_mut().find(|one| one.path == path) {
            one.pause_ns = (one.pause_ns * 2).min(PAUSE_NS_MAX);
            one.due_ns = now_ns.saturating_add(one.pause_ns);
        }
    }

    /// A file that answers; since when it did not.
    pub(super) fn remove(&mut self, path: &str) -> Option<u64> {
        let at = self.0.iter().position(|one| one.path == path)?;
        Some(self.0.swap_remove(at).since_ns)
    }

    /// How many files.
    pub(super) const fn len(&self) -> usize {
        self.0.len()
    }

    /// What not to read: the files, and folders with several of them.
    pub(super) fn paths(&self) -> impl Iterator<Item = &str> {
        let folders = self.0.iter().filter_map(|one| folder(&one.path)).filter(|folder| {
            let below = self.0.iter().filter(|one| is_at_or_below(&one.path, folder)).count();
            below >= FILES_PER_FOLDER
        });
        self.0.iter().map(|one| one.path.as_str()).chain(folders)
    }
}

/// The folder of a file, if it is that of one device.
fn folder(path: &str) -> Option<&str> {
    let (folder, _) = path.rsplit_once('/')?;
    (folder.split('/').count() >= FOLDER_PARTS_MIN).then_some(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEMP: &str = "class/hwmon/hwmon3/temp1_input";

    #[test]
    fn a_hanging_file_is_tried_again_after_pauses_that_grow_to_a_limit() {
        let mut left_out = LeftOut::default();
        assert!(left_out.add(TEMP, 0));
        let (mut now_ns, mut pauses) = (0, Vec::new());
        for _ in 0..8 {
            assert_eq!(left_out.due(now_ns), None);
            let mut pause_s = 0;
            while left_out.due(now_ns).is_none() {
                now_ns += SECOND_NS;
                pause_s += 1;
            }
            pauses.push(pause_s);
            left_out.again(TEMP, now_ns);
        }
        assert_eq!(pauses, [60, 120, 240, 480, 960, 1920, 3600, 3600]);
        assert_eq!(left_out.remove(TEMP), Some(0));
        assert_eq!((left_out.remove(TEMP), left_out.len()), (None, 0));
    }

    #[test]
    fn a_device_with_two_hanging_files_is_left_out_whole() {
        let mut left_out = LeftOut::default();
        left_out.add(TEMP, 0);
        assert_eq!(left_out.paths().collect::<Vec<_>>(), [TEMP]);
        left_out.add("class/hwmon/hwmon3/temp2_input", 0);
        assert!(left_out.paths().any(|path| path == "class/hwmon/hwmon3"));
        left_out.remove(TEMP);
        assert!(!left_out.paths().any(|path| path == "class/hwmon/hwmon3"));
    }

    #[test]
    fn a_folder_of_many_devices_is_never_left_out_whole() {
        let mut left_out = LeftOut::default();
        for path in ["class/hwmon", "class/net", "class/thermal"] {
            left_out.add(path, 0);
        }
        assert_eq!(left_out.paths().count(), 3);
    }

    #[test]
    fn there_is_room_for_so_many_and_what_is_told_fits_the_child() {
        let mut left_out = LeftOut::default();
        for number in 0..FILES_MAX {
            assert!(left_out.add(&format!("class/hwmon/hwmon{}/{number}", number / 2), 0));
        }
        assert!(!left_out.add("one more", 0));
        assert!(left_out.paths().count() <= LEFT_OUT_MAX);
    }
}
