//! The journal's directory: a lock, the file, and its replacement.
//!
//! The file is only ever appended to, or replaced as a whole by a rename after
//! its replacement was synced: whatever moment a crash picks, a whole journal
//! stands under the name.

use std::fs::{DirBuilder, File};
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, FileType, FlockOperation, Mode, OFlags, Stat, flock, fstat, open, openat,
    renameat, statat, unlinkat,
};
use rustix::io::Errno;

use super::JournalError;
use super::limits::SEGMENT_BYTES_MAX;

/// An open, locked directory and the journal's file in it, if there is one.
#[derive(Debug)]
pub(super) struct Disk {
    directory: PathBuf,
    directory_fd: OwnedFd,
    _lock: Lock,
    file: Option<File>,
}

impl Disk {
    /// Makes, opens and locks the directory.
    pub(super) fn open(directory: &Path) -> Result<Self, JournalError> {
        make(directory)?;
        let directory_fd = open(directory, DIRECTORY_FLAGS, Mode::empty())
            .map_err(|errno| failed("open the directory", directory, errno.into()))?;
        let lock = Lock::take(&directory_fd, directory)?;
        Ok(Self { directory: directory.into(), directory_fd, _lock: lock, file: None })
    }

    /// Opens the file and reads it whole; `None` where there is none. Of a
    /// longer file than any journal's, one byte more than that is read.
    pub(super) fn read(&mut self) -> Result<Option<Vec<u8>>, JournalError> {
        let fd = match openat(&self.directory_fd, FILE, FLAGS, Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(self.failed("open", errno)),
        };
        let stat = fstat(&fd).map_err(|errno| self.failed("examine", errno))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(self.failed("read, as it is not a regular file,", Errno::INVAL));
        }
        let file = File::from(fd);
        let mut bytes = Vec::new();
        (&file)
            .take(u64::from(SEGMENT_BYTES_MAX) + 1)
            .read_to_end(&mut bytes)
            .map_err(|source| failed("read", &self.path(), source))?;
        self.file = Some(file);
        Ok(Some(bytes))
    }

    /// Moves a file that can't be used out of the way, for a person to look
    /// at; one that was set aside before makes room. False where none stands.
    pub(super) fn set_aside(&mut self) -> Result<bool, JournalError> {
        self.file = None;
        match renameat(&self.directory_fd, FILE, &self.directory_fd, ASIDE) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(errno) => Err(self.failed("set aside", errno)),
        }
    }

    /// Writes records behind what is there, and waits until they are durable.
    pub(super) fn append(&mut self, place: u64, bytes: &[u8]) -> Result<(), AppendError> {
        let path = self.path();
        let Some(file) = &self.file else {
            let source = io::ErrorKind::NotFound.into();
            return Err(AppendError::Unsound(failed("append to", &path, source)));
        };
        file.write_all_at(bytes, place)
            .map_err(|source| AppendError::Retry(failed("append to", &path, source)))?;
        file.sync_data().map_err(|source| AppendError::Unsound(failed("sync", &path, source)))
    }

    /// Puts a whole new file in the place of the old one, durably.
    pub(super) fn replace(&mut self, bytes: &[u8]) -> Result<(), JournalError> {
        let path = self.directory.join(REPLACEMENT);
        match self.write_replacement(bytes) {
            Ok(file) => self.file = Some(file),
            Err((act, source)) => {
                // Its bytes may be what the disk lacks; a failure to remove it
                // shows again, as itself, at the next attempt.
                let _ = unlinkat(&self.directory_fd, REPLACEMENT, AtFlags::empty());
                return Err(failed(act, &path, source));
            }
        }
        rustix::fs::fsync(&self.directory_fd)
            .map_err(|errno| failed("sync the directory", &self.directory, errno.into()))
    }

    fn write_replacement(&self, bytes: &[u8]) -> Result<File, (&'static str, io::Error)> {
        match unlinkat(&self.directory_fd, REPLACEMENT, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(("remove the unfinished", errno.into())),
        }
        let flags = FLAGS | OFlags::CREATE | OFlags::EXCL;
        let file = openat(&self.directory_fd, REPLACEMENT, flags, MODE)
            .map(File::from)
            .map_err(|errno| ("create", errno.into()))?;
        file.write_all_at(bytes, 0).map_err(|source| ("write", source))?;
        file.sync_all().map_err(|source| ("sync", source))?;
        renameat(&self.directory_fd, REPLACEMENT, &self.directory_fd, FILE)
            .map_err(|errno| ("put in place", errno.into()))?;
        Ok(file)
    }

    /// Whether the file that is open is the one under its name: someone may
    /// have removed or replaced it or its directory, and writing to a file
    /// without a name succeeds.
    pub(super) fn is_in_place(&self) -> bool {
        let Some(file) = &self.file else { return self.directory_is_in_place() };
        let named = statat(CWD, self.path(), AtFlags::SYMLINK_NOFOLLOW);
        same(named, fstat(file.as_fd()))
    }

    fn directory_is_in_place(&self) -> bool {
        same(statat(CWD, &self.directory, AtFlags::empty()), fstat(&self.directory_fd))
    }

    fn path(&self) -> PathBuf {
        self.directory.join(FILE)
    }

    fn failed(&self, act: &'static str, errno: Errno) -> JournalError {
        failed(act, &self.path(), errno.into())
    }
}

/// The lock that makes the directory one agent's own.
#[derive(Debug)]
struct Lock(OwnedFd);

impl Lock {
    fn take(directory_fd: &OwnedFd, directory: &Path) -> Result<Self, JournalError> {
        let path = directory.join(LOCK);
        let lock = openat(directory_fd, LOCK, FLAGS | OFlags::CREATE, MODE)
            .map_err(|errno| failed("open", &path, errno.into()))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self(lock)),
            Err(Errno::WOULDBLOCK) => Err(JournalError::Busy { directory: directory.into() }),
            Err(errno) => Err(failed("lock", &path, errno.into())),
        }
    }
}

impl Drop for Lock {
    /// Closing is not enough: a child between its fork and its exec has a copy
    /// of the descriptor and would keep the lock for that long.
    fn drop(&mut self) {
        // What can't be unlocked is unlocked by the close that follows.
        let _ = flock(&self.0, FlockOperation::Unlock);
    }
}

/// Why records could not be appended.
#[derive(Debug)]
pub(super) enum AppendError {
    /// Not all bytes were taken; the same bytes at the same place may be.
    Retry(JournalError),
    /// The kernel may have thrown written bytes away and count them as clean:
    /// this file is not believed any more.
    Unsound(JournalError),
}

/// Makes the directory, and its name durable: a file in a directory that a
/// crash takes away was not accepted.
fn make(directory: &Path) -> Result<(), JournalError> {
    let missing = directory.ancestors().take_while(|ancestor| !ancestor.exists()).count();
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(|source| failed("make the directory", directory, source))?;
    for parent in directory.ancestors().skip(1).take(missing.max(1)) {
        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        // Who may not read the parent did not make this directory in it.
        let Ok(parent_fd) = open(parent, DIRECTORY_FLAGS, Mode::empty()) else { continue };
        rustix::fs::fsync(parent_fd)
            .map_err(|errno| failed("sync the directory", parent, errno.into()))?;
    }
    Ok(())
}

fn same(one: Result<Stat, Errno>, other: Result<Stat, Errno>) -> bool {
    match (one, other) {
        (Ok(one), Ok(other)) => (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino),
        _ => false,
    }
}

fn failed(act: &'static str, path: &Path, source: io::Error) -> JournalError {
    JournalError::Disk { act, path: path.into(), source }
}

/// The journal's file in its directory.
pub(super) const FILE: &str = "journal";
/// Its replacement while it is being written.
pub(super) const REPLACEMENT: &str = "journal.new";
/// A file that could not be used.
pub(super) const ASIDE: &str = "journal.aside";
/// The file that is locked; its content is nothing.
const LOCK: &str = "journal.lock";
/// `NONBLOCK` so that a planted pipe cannot hold the open.
const FLAGS: OFlags =
    OFlags::RDWR.union(OFlags::CLOEXEC).union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK);
const DIRECTORY_FLAGS: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
const MODE: Mode = Mode::RUSR.union(Mode::WUSR);
