//! A recording's folder: a lock, and segments by number.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::fs::{DirBuilder, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, FlockOperation, Mode, OFlags, flock, fstat, fstatvfs, open,
    openat, statat, unlinkat,
};
use rustix::io::Errno;

use super::header::{NUMBER_MAX, SegmentHeader};
use super::scan::{Found, Scan};

/// A segment's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kept {
    /// Where it stands in the order of all segments.
    pub(super) number: u64,
    pub(super) bytes: u64,
    /// When it began, ns since 1970; as its header says.
    pub(super) begun_wall_ns: u64,
    /// When it was last written, ns since 1970.
    pub(super) end_wall_ns: u64,
}

/// The open, locked folder.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    fd: OwnedFd,
    lock: OwnedFd,
    /// In order, the oldest first.
    pub(super) kept: VecDeque<Kept>,
}

impl Folder {
    /// Makes, opens and locks the folder, and looks what it holds.
    ///
    /// # Errors
    ///
    /// A sentence that says what to do.
    pub(super) fn open(path: &Path) -> Result<Self, String> {
        let failed = |act, error| sentence(act, path, &error);
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(|error| failed("make", error))?;
        let fd = open(path, DIRECTORY, Mode::empty()).map_err(|e| failed("open", e.into()))?;
        let lock = openat(&fd, LOCK, FILE | OFlags::RDWR | OFlags::CREATE, MODE)
            .map_err(|errno| failed("write in", errno.into()))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                return Err(format!(
                    "another agent records into {}: stop it, or name another state_dir",
                    path.display()
                ));
            }
            Err(errno) => return Err(failed("lock", errno.into())),
        }
        let mut kept: VecDeque<Kept> = segments(&fd).map_err(|error| failed("list", error))?.into();
        for segment in &mut kept {
            let header = open_segment(path, segment.number).ok().flatten().and_then(header_of);
            segment.begun_wall_ns = header.map_or(segment.end_wall_ns, |header| header.at.wall_ns);
        }
        Ok(Self { path: path.into(), fd, lock, kept })
    }

    /// Begins the file of the next segment.
    pub(super) fn create(&mut self, begun_wall_ns: u64) -> Result<(Kept, File), String> {
        let number = self.kept.back().map_or(0, |last| last.number + 1);
        let name = name(number);
        let flags = FILE | OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
        let file = openat(&self.fd, &name, flags, MODE)
            .map_err(|errno| sentence("create a file in", &self.path, &errno.into()))?;
        let kept = Kept { number, bytes: 0, begun_wall_ns, end_wall_ns: begun_wall_ns };
        self.kept.push_back(kept);
        Ok((kept, File::from(file)))
    }

    /// Opens the newest segment, to look at its end.
    pub(super) fn newest(&self) -> Option<File> {
        let last = self.kept.back()?;
        openat(&self.fd, name(last.number), FILE | OFlags::RDWR, Mode::empty()).ok().map(File::from)
    }

    /// Removes the oldest segment, but not the only one.
    pub(super) fn remove_oldest(&mut self) -> bool {
        if self.kept.len() < 2 {
            return false;
        }
        let oldest = self.kept[0];
        match unlinkat(&self.fd, name(oldest.number), AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {
                self.kept.pop_front();
                true
            }
            Err(_) => false,
        }
    }

    /// Bytes of all segments.
    pub(super) fn bytes(&self) -> u64 {
        self.kept.iter().map(|kept| kept.bytes).sum()
    }

    /// Bytes that are free for this user on the folder's disk.
    pub(super) fn free_bytes(&self) -> Option<u64> {
        let disk = fstatvfs(&self.fd).ok()?;
        Some(disk.f_bavail.saturating_mul(disk.f_frsize))
    }

    /// Whether the folder still is what stands under its name, and this file
    /// of it as well: writing to what somebody removed succeeds.
    pub(super) fn is_in_place(&self, file: &File, number: u64) -> bool {
        let same = |one: Result<rustix::fs::Stat, Errno>,
                    other: Result<rustix::fs::Stat, Errno>| {
            matches!((one, other), (Ok(one), Ok(other))
                if (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino))
        };
        same(statat(CWD, &self.path, AtFlags::empty()), fstat(&self.fd))
            && same(statat(&self.fd, name(number), NOFOLLOW), fstat(file))
    }
}

impl Drop for Folder {
    /// Closing is not enough: a child between its fork and its exec has a copy
    /// of the descriptor and would keep the lock for that long.
    fn drop(&mut self) {
        let _ = flock(&self.lock, FlockOperation::Unlock);
    }
}

/// The segments of a folder, in order.
pub(super) fn segments(fd: impl AsFd) -> io::Result<Vec<Kept>> {
    let mut found = Vec::new();
    for entry in Dir::read_from(&fd)? {
        let entry = entry?;
        let file_name = OsStr::from_bytes(entry.file_name().to_bytes());
        let Some(number) = file_name.to_str().and_then(number_of) else { continue };
        let Ok(stat) = statat(&fd, entry.file_name(), NOFOLLOW) else { continue };
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            continue;
        }
        let seconds = u64::try_from(stat.st_mtime).unwrap_or(0);
        let end_wall_ns = seconds.saturating_mul(1_000_000_000);
        let bytes = stat.st_size.unsigned_abs();
        found.push(Kept { number, bytes, begun_wall_ns: end_wall_ns, end_wall_ns });
        if found.len() > SEGMENTS_MAX {
            return Err(io::Error::other("it holds more segments than any recorder keeps"));
        }
    }
    found.sort_by_key(|kept| kept.number);
    Ok(found)
}

/// Opens a segment of a folder for reading; nothing where it just gave way.
pub(super) fn open_segment(folder: &Path, number: u64) -> io::Result<Option<File>> {
    match open(folder.join(name(number)), FILE | OFlags::RDONLY, Mode::empty()) {
        Ok(fd) => Ok(Some(File::from(fd))),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

/// What a segment's file says of itself at its begin.
pub(super) fn header_of(file: File) -> Option<SegmentHeader> {
    match Scan::of_file(Arc::new(file)).ok()?.next().ok()?? {
        Found::Segment(header) => Some(header),
        _ => None,
    }
}

fn name(number: u64) -> String {
    format!("{number:016x}{SUFFIX}")
}

fn number_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(SUFFIX).filter(|digits| digits.len() == 16)?;
    u64::from_str_radix(digits, 16).ok().filter(|number| *number < NUMBER_MAX)
}

fn sentence(act: &str, path: &Path, error: &io::Error) -> String {
    format!("cannot {act} {}: {error}{}", path.display(), remedy(error))
}

/// What to do about an error of the disk.
pub(super) fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            "; make room, or set recorder.bytes lower"
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "; let the agent write there, name another state_dir, or set recorder.enabled = false"
        }
        _ => "",
    }
}

const SUFFIX: &str = ".rec";
/// The file that is locked; its content is nothing.
const LOCK: &str = "lock";
/// More than the limits allow a hundred times over.
const SEGMENTS_MAX: usize = 16_384;
const NOFOLLOW: AtFlags = AtFlags::SYMLINK_NOFOLLOW;
/// `NONBLOCK` so that a planted pipe cannot hold the open.
const FILE: OFlags = OFlags::CLOEXEC.union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK);
const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
const MODE: Mode = Mode::RUSR.union(Mode::WUSR);
