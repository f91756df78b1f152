//! The files of one container: opened below its own folder, read each tick.
//!
//! A file is opened by its name in a folder that stays open, so that whatever
//! takes the same path later is never read in this container's name. Frequent
//! files stay open while the descriptors allowed last; beyond that, and for
//! limits, each read opens and closes.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::io::{Errno, retry_on_intr};
use rustix::process::{Resource, getrlimit};

use crate::samplers::procfs::{Absence, RETRY_TICKS, TickReport};

use super::alarm::{Alarm, Bell};
use super::follow::CONTAINERS_MAX;
use super::layout::{FileSpec, Layout};
use super::sample::Sample;
use super::text;

/// Descriptors of all containers together, less where the process may have
/// fewer than four times as many: one to seven for a container's folders, the
/// rest for its files.
///
/// On a node of version 2 that is every file of every container.
pub const DESCRIPTORS_MAX: usize = 12 * CONTAINERS_MAX;

/// A file as long as this or longer is absent as [`Absence::TooLong`].
pub const FILE_BYTES_MAX: usize = 64 << 10;

/// How many more descriptors may be kept.
#[derive(Debug)]
pub(super) struct Descriptors {
    left: usize,
    /// Of `left`, what is spared for the folders of further containers.
    spared: usize,
}

impl Descriptors {
    /// As many as are allowed, with room for the folders of as many containers
    /// as are followed at most.
    pub(super) fn of(layout: &Layout) -> Self {
        let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX) / 4;
        let max = DESCRIPTORS_MAX.min(usize::try_from(limit).unwrap_or(usize::MAX));
        let folders = (0..layout.hierarchies.len()).filter(|&at| layout.reads(at)).count();
        Self::new(max, folders * CONTAINERS_MAX)
    }

    pub(super) const fn new(max: usize, spared: usize) -> Self {
        Self { left: max, spared }
    }

    /// For a folder, without which nothing can be read.
    fn take(&mut self) -> bool {
        let has = self.left > 0;
        self.left = self.left.saturating_sub(1);
        self.spared = self.spared.saturating_sub(1);
        has
    }

    /// For a file, which can be read without.
    fn take_for_file(&mut self) -> bool {
        let has = self.left > self.spared;
        if has {
            self.left -= 1;
        }
        has
    }
}

/// The open folders and files of one container.
#[derive(Debug)]
pub(super) struct Files {
    /// By hierarchy; none where the container has no cgroup in it.
    folders: Box<[Option<OwnedFd>]>,
    /// By file of the layout.
    files: Box<[State]>,
}

#[derive(Debug)]
enum State {
    Kept(OwnedFd),
    OpenedEachTime,
    Absent { why: Absence, retry_tick: u64 },
}

/// The cgroup that files belong to is gone, or may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Vanished;

/// What a look at a container needs besides its files.
pub(super) struct Look<'a> {
    pub(super) layout: &'a Layout,
    pub(super) tick: u64,
    /// Whether limits are due.
    pub(super) slow: bool,
    pub(super) buffer: &'a mut [u8],
    pub(super) descriptors: &'a mut Descriptors,
}

impl Files {
    /// Opens the folders at `path` in each hierarchy.
    ///
    /// # Errors
    ///
    /// [`Absence::NotFound`] when there is none any more,
    /// [`Absence::DeviceRefused`] when no descriptor is left.
    pub(super) fn open(
        layout: &Layout,
        path: &CStr,
        descriptors: &mut Descriptors,
    ) -> Result<Self, Absence> {
        let mut folders: Vec<Option<OwnedFd>> = Vec::with_capacity(layout.hierarchies.len());
        let mut why = Absence::NotFound;
        for (at, hierarchy) in layout.hierarchies.iter().enumerate() {
            let folder = match layout.reads(at) {
                true => folder(hierarchy.root.as_fd(), path),
                false => Err(Absence::NotFound),
            };
            let folder = folder.map_err(|absence| why = absence).ok();
            if folder.is_some() && !descriptors.take() {
                give_back(folders.iter().flatten().count(), descriptors);
                return Err(Absence::DeviceRefused);
            }
            folders.push(folder);
        }
        if folders.iter().all(Option::is_none) {
            return Err(why);
        }
        let untried = |_| State::Absent { why: Absence::NotFound, retry_tick: 0 };
        Ok(Self { folders: folders.into(), files: layout.files.iter().map(untried).collect() })
    }

    /// A bell for kills, where the kernel rings one.
    pub(super) fn bell(&self, layout: &Layout, alarm: &Alarm) -> Option<Bell> {
        let spec = layout.kills()?;
        let folder = self.folders[spec.hierarchy].as_ref()?;
        alarm.bell(folder.as_fd(), spec.name)
    }

    /// Reads the count of kills alone.
    pub(super) fn kills(&mut self, look: &mut Look<'_>) -> Option<u64> {
        let spec = look.layout.kills()?;
        let at = look.layout.files.iter().position(|file| file.kind == spec.kind)?;
        let folder = self.folders[spec.hierarchy].as_ref()?;
        let length = self.files[at].read(folder.as_fd(), spec, look).ok()?;
        text::oom_kills(&look.buffer[..length])
    }

    /// Reads every file that is due into `sample`.
    ///
    /// # Errors
    ///
    /// [`Vanished`] when a file that was there is not: the caller finds out
    /// whether the container is. Nothing of that look counts.
    pub(super) fn read(
        &mut self,
        look: &mut Look<'_>,
        sample: &mut Sample,
        report: &mut TickReport,
    ) -> Result<(), Vanished> {
        let Self { folders, files } = self;
        for (spec, state) in look.layout.files.iter().zip(files) {
            if spec.kind.is_slow() && !look.slow {
                continue;
            }
            let Some(folder) = &folders[spec.hierarchy] else {
                report.count(Absence::NotFound, 1);
                continue;
            };
            match state.read(folder.as_fd(), spec, look) {
                Ok(length) => {
                    report.files += 1;
                    let absent = sample.take(spec.kind, &look.buffer[..length]);
                    report.count(Absence::Unreported, absent);
                }
                Err(Failure::Vanished) => return Err(Vanished),
                Err(Failure::Absent(why)) => report.count(why, 1),
            }
        }
        Ok(())
    }

    /// Closes all of it.
    pub(super) fn close(self, descriptors: &mut Descriptors) {
        let files = self.files.iter().filter(|state| matches!(state, State::Kept(_)));
        give_back(files.count() + self.folders.iter().flatten().count(), descriptors);
    }
}

enum Failure {
    Absent(Absence),
    Vanished,
}

impl State {
    fn read(
        &mut self,
        folder: BorrowedFd<'_>,
        spec: &FileSpec,
        look: &mut Look<'_>,
    ) -> Result<usize, Failure> {
        let was_there = !matches!(self, Self::Absent { .. });
        if let Self::Absent { why, retry_tick } = *self
            && look.tick < retry_tick
        {
            return Err(Failure::Absent(why));
        }
        match self.attempt(folder, spec, look) {
            Ok(length) => Ok(length),
            Err(errno) => {
                if matches!(self, Self::Kept(_)) {
                    give_back(1, look.descriptors);
                }
                let why = match errno {
                    Errno::FBIG => Absence::TooLong,
                    errno => Absence::from(errno),
                };
                *self = Self::Absent { why, retry_tick: look.tick.saturating_add(RETRY_TICKS) };
                match was_there && why == Absence::NotFound {
                    true => Err(Failure::Vanished),
                    false => Err(Failure::Absent(why)),
                }
            }
        }
    }

    fn attempt(
        &mut self,
        folder: BorrowedFd<'_>,
        spec: &FileSpec,
        look: &mut Look<'_>,
    ) -> Result<usize, Errno> {
        if let Self::Kept(file) = self {
            return read(file.as_fd(), look.buffer);
        }
        // NONBLOCK and NOCTTY: whatever stands at the path, opening returns.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
        let file = rustix::fs::openat(folder, spec.name, flags, Mode::empty())?;
        let length = read(file.as_fd(), look.buffer)?;
        *self = match !spec.kind.is_slow() && look.descriptors.take_for_file() {
            true => Self::Kept(file),
            false => Self::OpenedEachTime,
        };
        Ok(length)
    }
}

fn folder(root: BorrowedFd<'_>, path: &CStr) -> Result<OwnedFd, Absence> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(root, path, flags, Mode::empty())?)
}

/// The kernel gives each of these files in one piece, so that a read that
/// leaves room in the buffer has seen the end.
fn read(file: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<usize, Errno> {
    let length = retry_on_intr(|| rustix::io::pread(file, &mut *buffer, 0))?;
    if length >= FILE_BYTES_MAX.min(buffer.len()) { Err(Errno::FBIG) } else { Ok(length) }
}

fn give_back(count: usize, descriptors: &mut Descriptors) {
    descriptors.left += count;
}
