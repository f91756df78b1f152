//! A trace instance of our own: made under a lock that dies with us, removed
//! when we stop.
//!
//! The lock is on the instance's folder, so that an agent in another container
//! sees it and a dead one's does not outlive it: process numbers would say
//! neither. What a dead agent left is removed, with its buffers; what was in
//! them the kernel's log still says.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, Mode, OFlags, flock, fstat, open, stat};
use rustix::io::Errno;

/// Agents of one node that may trace at a time.
pub(super) const SLOTS: usize = 4;

/// An instance of our own.
#[derive(Debug)]
pub(super) struct Slot {
    path: PathBuf,
    /// Held for its lock.
    _folder: OwnedFd,
}

impl Slot {
    /// Makes an instance, in the place of a dead agent's where there is one.
    ///
    /// # Errors
    ///
    /// What the kernel says; `AddrInUse` where other agents have all slots.
    pub(super) fn take(instances: &Path) -> io::Result<Self> {
        for slot in 0..SLOTS {
            let path = match slot {
                0 => instances.join("eagle_eye"),
                _ => instances.join(format!("eagle_eye_{slot}")),
            };
            if !cleared(&path) {
                continue;
            }
            match rustix::fs::mkdir(&path, Mode::RWXU) {
                Ok(()) => {}
                Err(Errno::EXIST) => continue,
                Err(error) => return Err(error.into()),
            }
            if let Some(folder) = locked(&path) {
                return Ok(Self { path, _folder: folder });
            }
            // Another agent took it for a leftover in the instant before.
        }
        Err(io::Error::new(io::ErrorKind::AddrInUse, "other agents trace here, as many as may"))
    }

    /// Its folder.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        // Where somebody else reads in it, the next agent removes it.
        let _ = std::fs::remove_dir(&self.path);
    }
}

/// Whether there is no instance any more, or never was.
fn cleared(path: &Path) -> bool {
    if !path.exists() {
        return true;
    }
    // The lock is held until it is gone.
    locked(path).is_some_and(|_held| std::fs::remove_dir(path).is_ok())
}

/// The folder with its lock, if nobody holds it and it is still that one.
fn locked(path: &Path) -> Option<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let folder = open(path, flags, Mode::empty()).ok()?;
    flock(&folder, FlockOperation::NonBlockingLockExclusive).ok()?;
    let (ours, there) = (fstat(&folder).ok()?, stat(path).ok()?);
    (ours.st_ino == there.st_ino && ours.st_dev == there.st_dev).then_some(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_living_agent_keeps_its_slot_and_a_dead_one_s_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let first = Slot::take(folder.path()).unwrap();
        let second = Slot::take(folder.path()).unwrap();
        assert_eq!(first.path(), folder.path().join("eagle_eye"));
        assert_eq!(second.path(), folder.path().join("eagle_eye_1"));
        drop(first);
        assert!(!folder.path().join("eagle_eye").exists());
        // A dead agent's: there, and nobody holds it.
        std::fs::create_dir(folder.path().join("eagle_eye")).unwrap();
        let third = Slot::take(folder.path()).unwrap();
        assert_eq!(third.path(), folder.path().join("eagle_eye"));
        let all: Vec<Slot> = (2..SLOTS).map(|_| Slot::take(folder.path()).unwrap()).collect();
        let error = Slot::take(folder.path()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        drop((second, third, all));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_cannot_be_removed_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("eagle_eye/in_use")).unwrap();
        assert_eq!(Slot::take(folder.path()).unwrap().path(), folder.path().join("eagle_eye_1"));
    }
}
