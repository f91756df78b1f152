//! Waiting for descriptors, and a bell that stays rung.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::io::{Errno, read, write};

use super::clock::timespec;

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

/// A descriptor to wait on in [`wait_readable`].
#[must_use]
pub fn readable(descriptor: BorrowedFd<'_>) -> PollFd<'_> {
    PollFd::from_borrowed_fd(descriptor, PollFlags::IN)
}

#[cfg(test)]
mod tests {
    use super::*;

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
