//! `/dev/kmsg` itself.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags, fstat, major, minor, open};

use super::LOOK_NS;
use super::attested::Records;
use super::cursor::{self, Boot};
use super::follow::ready;
use crate::platform::clock;
use crate::platform::poll::{self, Bell};

/// The device's number: of memory devices, the eleventh.
const NUMBER: (u32, u32) = (1, 11);

/// The kernel's log, opened for reading without waiting.
#[derive(Debug)]
pub(super) struct Device {
    path: PathBuf,
    descriptor: OwnedFd,
}

impl Device {
    /// Opens the log of the node under `host_root`. Reading it takes nothing
    /// away from other readers.
    ///
    /// # Errors
    ///
    /// What the system says, and `InvalidData` where another device or a file
    /// stands in the log's place, as in many containers.
    pub(super) fn open(host_root: &Path) -> io::Result<Self> {
        let path = host_root.join("dev/kmsg");
        let descriptor = opened(&path)?;
        Ok(Self { path, descriptor })
    }
}

impl AsFd for Device {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

impl Device {
    /// Waits until there is a record or the bell rings, at most `limit_ns`.
    /// Whether there is a record.
    pub(super) fn ready(&self, limit_ns: u64, bell: Option<&Bell>) -> bool {
        let Some(bell) = bell else { return ready(self.as_fd(), limit_ns.min(LOOK_NS)) };
        let mut found = false;
        let mut both = [poll::readable(self.as_fd()), poll::readable(bell.as_fd())];
        let waited = poll::wait_readable(&mut both, limit_ns, |at| found |= at == 0);
        if waited.is_err() {
            // Only a broken kernel says no; then we look now and then.
            clock::sleep_until(clock::monotonic_ns() + limit_ns.min(LOOK_NS));
        }
        found
    }
}

impl Records for Device {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(rustix::io::read(&self.descriptor, buffer)?)
    }

    fn rewind(&mut self) -> io::Result<()> {
        self.descriptor = opened(&self.path)?;
        Ok(())
    }
}

fn opened(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let descriptor = open(path, flags, Mode::empty())?;
    let stat = fstat(&descriptor)?;
    let is_device = FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice;
    if !is_device || (major(stat.st_rdev), minor(stat.st_rdev)) != NUMBER {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is not the kernel's log"));
    }
    Ok(descriptor)
}

/// Which boot this is; zeros where the node does not say.
pub(super) fn boot(host_root: &Path) -> Boot {
    let read = || -> io::Result<Vec<u8>> {
        let mut text = vec![0; 64];
        let file = File::open(host_root.join("proc/sys/kernel/random/boot_id"))?;
        let length = rustix::io::read(&file, &mut text)?;
        text.truncate(length);
        Ok(text)
    };
    read().ok().and_then(|text| cursor::boot(&text)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn something_else_in_the_log_s_place_is_refused() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("dev")).unwrap();
        assert_eq!(Device::open(root.path()).unwrap_err().kind(), io::ErrorKind::NotFound);
        let path = root.path().join("dev/kmsg");
        std::fs::write(&path, "4,1,1,-;x").unwrap();
        assert_eq!(Device::open(root.path()).unwrap_err().kind(), io::ErrorKind::InvalidData);
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/dev/null", &path).unwrap();
        assert_eq!(Device::open(root.path()).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn a_node_that_does_not_say_its_boot_has_none() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(boot(root.path()), Boot::default());
        assert_ne!(boot(Path::new("/")), Boot::default());
    }
}
