//! Waiting for descriptors, and a bell that stays rung.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{EventfdFlags, PollFd, PollFlags, epoll, eventfd, poll};
use rustix::fs::{OFlags, fcntl_getfl};
use rustix::io::{Errno, read, write};

use super::clock::{MILLISECOND_NS, timespec};

/// An eventfd: who rings it once wakes whoever polls it, even if the poll
/// only begins afterwards.
#[derive(Debug)]
pub struct Bell(OwnedFd);

impl Bell {
    /// A silent bell.
    ///
    /// # Errors
    ///
    /// When the process has no descriptor left.
    pub fn new() -> io::Result<Self> {
        Ok(Self(eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?))
    }

    /// A bell whose descriptor came from elsewhere.
    #[must_use]
    pub const fn from_descriptor(descriptor: OwnedFd) -> Self {
        Self(descriptor)
    }

    /// A bell whose descriptor came from a process that is not trusted: one
    /// that could block whoever rings is refused.
    ///
    /// # Errors
    ///
    /// `InvalidInput` when writing to it could block.
    pub fn adopt(descriptor: OwnedFd) -> io::Result<Self> {
        if !fcntl_getfl(&descriptor)?.contains(OFlags::NONBLOCK) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        Ok(Self(descriptor))
    }

    /// Rings. A bell that cannot take another ring already rings.
    pub fn ring(&self) {
        let _ = write(&self.0, &1_u64.to_ne_bytes());
    }

    /// Silences the bell.
    pub fn silence(&self) {
        let _ = read(&self.0, &mut [0_u8; 8]);
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Waits until one of `descriptors` can be read or hung up, or until
/// `limit_ns` have passed, and calls `ready` with the index of each.
///
/// # Errors
///
/// When the kernel refuses the set, for want of memory or descriptors.
pub fn wait_readable(
    descriptors: &mut [PollFd<'_>],
    limit_ns: u64,
    mut ready: impl FnMut(usize),
) -> io::Result<()> {
    match poll(descriptors, Some(&timespec(limit_ns))) {
        Ok(_) => {}
        Err(Errno::INTR) => return Ok(()),
        Err(error) => return Err(error.into()),
    }
    for (index, descriptor) in descriptors.iter().enumerate() {
        if !descriptor.revents().is_empty() {
            ready(index);
        }
    }
    Ok(())
}

/// Many descriptors that are waited on again and again: the kernel keeps the
/// set, so a wait costs the same with one as with a thousand.
#[derive(Debug)]
pub struct Watch(OwnedFd);

impl Watch {
    /// Most descriptors that one wait tells of; the next tells of the others.
    pub const READY_MAX: usize = 128;

    /// Watches nothing yet.
    ///
    /// # Errors
    ///
    /// When the process has no descriptor left.
    pub fn new() -> io::Result<Self> {
        Ok(Self(epoll::create(epoll::CreateFlags::CLOEXEC)?))
    }

    /// Watches `descriptor` under the name `id`, until it is closed.
    ///
    /// # Errors
    ///
    /// When the kernel has no memory for it.
    pub fn add(&self, descriptor: BorrowedFd<'_>, id: u64) -> io::Result<()> {
        let flags = epoll::EventFlags::IN | epoll::EventFlags::RDHUP;
        Ok(epoll::add(&self.0, descriptor, epoll::EventData::new_u64(id), flags)?)
    }

    /// Watches `descriptor` no more.
    ///
    /// # Errors
    ///
    /// When it was not watched.
    pub fn remove(&self, descriptor: BorrowedFd<'_>) -> io::Result<()> {
        Ok(epoll::delete(&self.0, descriptor)?)
    }

    /// Waits until a descriptor can be read or hung up, or until `limit_ns`,
    /// rounded up to whole ms, have passed; puts the names of those that can
    /// into `ready`.
    ///
    /// # Errors
    ///
    /// What the kernel says, other than that a signal came.
    pub fn wait(&self, limit_ns: u64, ready: &mut Vec<u64>) -> io::Result<()> {
        let limit = timespec(limit_ns.next_multiple_of(MILLISECOND_NS));
        let mut space = [const { MaybeUninit::<epoll::Event>::uninit() }; Self::READY_MAX];
        match epoll::wait(&self.0, &mut space[..], Some(&limit)) {
            Ok((events, _)) => ready.extend(events.iter().map(|event| event.data.u64())),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}

/// A descriptor to wait on in [`wait_readable`].
#[must_use]
pub fn readable(descriptor: BorrowedFd<'_>) -> PollFd<'_> {
    PollFd::from_borrowed_fd(descriptor, PollFlags::IN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watch_names_whoever_can_be_read_until_he_is_closed() {
        let (one, two) = (Bell::new().unwrap(), Bell::new().unwrap());
        let watch = Watch::new().unwrap();
        watch.add(one.as_fd(), 1).unwrap();
        watch.add(two.as_fd(), 2).unwrap();
        two.ring();
        let mut ready = Vec::new();
        watch.wait(1_000_000_000, &mut ready).unwrap();
        assert_eq!(ready, [2]);
        drop(two);
        ready.clear();
        watch.wait(0, &mut ready).unwrap();
        assert!(ready.is_empty());
    }

    #[test]
    fn a_bell_that_could_block_its_ringer_is_not_adopted() {
        let (reading, writing) = rustix::pipe::pipe().unwrap();
        assert!(Bell::adopt(writing).is_err());
        drop(reading);
        assert!(Bell::adopt(eventfd(0, EventfdFlags::NONBLOCK).unwrap()).is_ok());
    }

    #[test]
    fn a_bell_rung_before_the_wait_ends_it_and_falls_silent() {
        let bell = Bell::new().unwrap();
        bell.ring();
        bell.ring();
        let mut seen = Vec::new();
        for limit_ns in [1_000_000_000, 0] {
            wait_readable(&mut [readable(bell.as_fd())], limit_ns, |at| seen.push(at)).unwrap();
            bell.silence();
        }
        assert_eq!(seen, [0]);
    }
}
