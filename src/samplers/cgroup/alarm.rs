//! The kernel's word that something happened to a container's memory.
//!
//! A container whose last process was killed is removed within tens of
//! milliseconds, long before the next tick would have seen the kill. Version 2
//! marks `memory.events` as modified at every kill, so that the sampler wakes
//! and reads that one file. It is modified for lesser reasons too, up to a
//! hundred times a second; so alarms are heeded with a pause between.

use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};

use crate::platform::clock::{self, MILLISECOND_NS, SECOND_NS};
use crate::platform::poll::wait_readable;
use crate::platform::thread::Stop;

/// The pause between two alarms.
pub(super) const PAUSE_NS: u64 = 50 * MILLISECOND_NS;

/// Alarms that are taken at once; more of the same round are heeded at the
/// next.
const TAKEN_MAX: usize = 4096;

/// How often the flag to stop is looked at.
const LOOK_NS: u64 = SECOND_NS / 5;

/// What the kernel calls one watched file.
pub(super) type Bell = i32;

/// All bells of the sampler; none where the system refuses them, which costs
/// only what is told above.
#[derive(Debug)]
pub(super) struct Alarm(Option<OwnedFd>);

impl Alarm {
    pub(super) fn new() -> Self {
        Self(inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).ok())
    }

    /// A bell for the file of this name in `folder`.
    pub(super) fn bell(&self, folder: BorrowedFd<'_>, name: &CStr) -> Option<Bell> {
        let path = format!("/proc/self/fd/{}/{}", folder.as_raw_fd(), name.to_str().ok()?);
        inotify::add_watch(self.0.as_ref()?, path, WatchFlags::MODIFY).ok()
    }

    /// Takes a bell down; the kernel has done so if its file is gone.
    pub(super) fn take_down(&self, bell: Bell) {
        if let Some(all) = &self.0 {
            let _ = inotify::remove_watch(all, bell);
        }
    }

    /// Tells of every bell that rang since the last call, some twice.
    pub(super) fn rung(&self, mut each: impl FnMut(Bell)) {
        let Some(all) = &self.0 else { return };
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut taken = inotify::Reader::new(all, &mut buffer);
        for _ in 0..TAKEN_MAX {
            match taken.next() {
                Ok(event) => each(event.wd()),
                Err(_) => return,
            }
        }
    }

    /// Waits until a bell rings or `due_ns` comes; says whether one rang.
    pub(super) fn wait(&self, due_ns: u64, stop: &Stop) -> bool {
        let Some(all) = &self.0 else {
            stop.sleep_until(due_ns);
            return false;
        };
        loop {
            let now_ns = clock::monotonic_ns();
            if now_ns >= due_ns || stop.is_raised() {
                return false;
            }
            let mut rang = false;
            let mut set = [PollFd::new(all, PollFlags::IN)];
            let left_ns = LOOK_NS.min(due_ns - now_ns);
            if wait_readable(&mut set, left_ns, |_| rang = true).is_err() {
                stop.sleep_until(due_ns);
                return false;
            }
            if rang {
                return true;
            }
        }
    }
}
