//! A child process of this program that answers in fixed records, each within
//! a deadline.
//!
//! What may hang for ever (a driver's library, a file whose content comes from
//! firmware) is called in a child, so that a hang costs the child. The parent
//! never waits for one: it reads what is there, naps, and once the deadline has
//! passed sends SIGKILL and goes on. A child in uninterruptible sleep takes
//! that signal only when its call returns; [`Leaving`] keeps it until then and
//! says how many there are.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use rustix::fs::{OFlags, fcntl_setfl};
use rustix::io::Errno;
use rustix::process::{Signal, set_parent_process_death_signal};

use super::clock::{self, MILLISECOND_NS};
use super::poll::{self, Bell};

/// The running program's own file, whatever became of its name.
pub const SELF: &str = "/proc/self/exe";

/// Between two looks at a pipe. A look is cheap, a wake-up is not: the pipe
/// holds 64 KiB, so that a busy child rarely waits for one.
const NAP_NS: u64 = 2 * MILLISECOND_NS;

/// Records that are read at once.
const RECORDS_AT_ONCE: usize = 64;

static PROGRAM: OnceLock<PathBuf> = OnceLock::new();

/// Says that `program`, started with a child's verb, becomes that child. Only
/// the first word counts.
pub fn offer(program: &Path) {
    let _ = PROGRAM.set(program.to_owned());
}

/// The program that becomes a child. None in a process that merely links this
/// library, whose own program knows no such verb.
#[must_use]
pub fn offered() -> Option<&'static Path> {
    PROGRAM.get().map(PathBuf::as_path)
}

/// How long to wait after the `failures`-th failure in a row before the next
/// child: not at all after the first, counted from 0, then growing from `least`
/// to `most`, ns.
#[must_use]
pub fn growing_pause_ns(failures: u32, least_ns: u64, most_ns: u64) -> u64 {
    match failures {
        0 => 0,
        failures => (least_ns << (failures - 1).min(10)).min(most_ns),
    }
}

/// A running child whose records have `BYTES` bytes. Killed when dropped.
#[derive(Debug)]
pub struct Child<const BYTES: usize> {
    process: Option<std::process::Child>,
    requests: OwnedFd,
    answers: OwnedFd,
    buffer: Vec<u8>,
    filled: usize,
    heard_ns: u64,
}

/// How long to listen.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// A child that says nothing for so long does not answer, ns.
    pub silence_ns: u64,
    /// Listening ends at this instant of the monotonic clock at the latest.
    pub until_ns: u64,
}

/// Why listening ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// The caller had what it wanted.
    Enough,
    /// The time was over while the child still spoke now and then.
    Later,
    /// The child said nothing for too long.
    Silence,
    /// The child is gone, or its pipe is broken.
    Ended,
}

impl<const BYTES: usize> Child<BYTES> {
    /// Starts `program` with `arguments`, in a process group of its own so that
    /// no key of a terminal reaches it. It lives at most as long as the calling
    /// thread, if it asks for that ([`Parent::new`]).
    ///
    /// # Errors
    ///
    /// When the system refuses another process, or there is no such program.
    pub fn spawn<A: AsRef<OsStr>>(program: &Path, arguments: &[A]) -> io::Result<Self> {
        let mut process = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()?;
        let pipes = process.stdin.take().zip(process.stdout.take());
        let (requests, answers) = pipes.ok_or(io::ErrorKind::BrokenPipe)?;
        let child = Self {
            process: Some(process),
            requests: requests.into(),
            answers: answers.into(),
            buffer: vec![0; BYTES * RECORDS_AT_ONCE],
            filled: 0,
            heard_ns: clock::monotonic_ns(),
        };
        for pipe in [&child.requests, &child.answers] {
            fcntl_setfl(pipe, OFlags::NONBLOCK)?;
        }
        Ok(child)
    }

    /// Sends a record, which begins the time in which an answer is due.
    ///
    /// # Errors
    ///
    /// When the child is gone, or left so many records unread that its pipe is
    /// full.
    pub fn send(&mut self, record: &[u8; BYTES]) -> io::Result<()> {
        self.heard_ns = clock::monotonic_ns();
        // Below PIPE_BUF bytes a pipe takes all or nothing.
        let written = rustix::io::retry_on_intr(|| rustix::io::write(&self.requests, record))?;
        if written == BYTES { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
    }

    /// Hands every record to `take` until that answers false or `patience`
    /// ends. Never waits longer than that.
    pub fn listen(
        &mut self,
        patience: Patience,
        mut take: impl FnMut(&[u8; BYTES]) -> bool,
    ) -> Heard {
        loop {
            if self.hand_over(&mut take) {
                return Heard::Enough;
            }
            match rustix::io::read(&self.answers, &mut self.buffer[self.filled..]) {
                Ok(0) => return Heard::Ended,
                Ok(bytes) => {
                    self.filled += bytes;
                    self.heard_ns = clock::monotonic_ns();
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    if let Some(heard) = self.nap(patience) {
                        return heard;
                    }
                }
                Err(_) => return Heard::Ended,
            }
        }
    }

    /// Waits until the child says something, `bell` rings or `limit_ns` have
    /// passed; whether the child said something or is gone.
    #[must_use]
    pub fn says_within(&self, bell: &Bell, limit_ns: u64) -> bool {
        let mut waits = [poll::readable(self.answers.as_fd()), poll::readable(bell.as_fd())];
        let mut says = false;
        let waited = poll::wait_readable(&mut waits, limit_ns, |at| says |= at == 0);
        says || waited.is_err()
    }

    /// The process's number.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.as_ref().map_or(0, std::process::Child::id)
    }

    /// When the child last said something or was asked, ns.
    #[must_use]
    pub const fn heard_ns(&self) -> u64 {
        self.heard_ns
    }

    /// Whether `take` has what it wants. Half a record stays for the next read.
    fn hand_over(&mut self, take: &mut impl FnMut(&[u8; BYTES]) -> bool) -> bool {
        let mut used = 0;
        let mut enough = false;
        while let Some(record) = self.buffer[used..self.filled].first_chunk() {
            used += BYTES;
            if !take(record) {
                enough = true;
                break;
            }
        }
        self.buffer.copy_within(used..self.filled, 0);
        self.filled -= used;
        enough
    }

    fn nap(&mut self, patience: Patience) -> Option<Heard> {
        let now_ns = clock::monotonic_ns();
        let silent_at_ns = self.heard_ns.saturating_add(patience.silence_ns);
        if now_ns >= silent_at_ns {
            return Some(Heard::Silence);
        }
        if now_ns >= patience.until_ns {
            return Some(Heard::Later);
        }
        let wake_ns = (now_ns + NAP_NS).min(silent_at_ns).min(patience.until_ns);
        clock::sleep_until(wake_ns);
        let slept_too_long_ns = clock::monotonic_ns().saturating_sub(wake_ns);
        if slept_too_long_ns > patience.silence_ns / 2 {
            // Whoever froze us may have frozen the child as well.
            self.heard_ns += slept_too_long_ns;
        }
        None
    }

    fn kill(&mut self) -> Option<std::process::Child> {
        let mut process = self.process.take()?;
        // Fails only for a child that has ended and been waited for.
        let _ = process.kill();
        matches!(process.try_wait(), Ok(None)).then_some(process)
    }
}

impl<const BYTES: usize> Drop for Child<BYTES> {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

/// Children that were killed and have not ended yet.
#[derive(Debug, Default)]
pub struct Leaving(Vec<std::process::Child>);

impl Leaving {
    /// Kills `child`, and keeps it until it has ended.
    pub fn kill<const BYTES: usize>(&mut self, mut child: Child<BYTES>) {
        self.0.extend(child.kill());
    }

    /// Lets go of those that have ended; how many have not. Never waits.
    pub fn reap(&mut self) -> usize {
        self.0.retain_mut(|process| matches!(process.try_wait(), Ok(None)));
        self.0.len()
    }

    /// The numbers of those that have not ended.
    pub fn ids(&self) -> impl Iterator<Item = u32> {
        self.0.iter().map(std::process::Child::id)
    }
}

/// The other side: what a child sees of its parent, on its standard streams.
#[derive(Debug)]
pub struct Parent<const BYTES: usize> {
    waiting: Vec<u8>,
}

impl<const BYTES: usize> Parent<BYTES> {
    /// Takes the standard streams for records. The process dies when the
    /// thread that started it does; it also ends by itself once
    /// [`Self::request`] answers none.
    ///
    /// # Errors
    ///
    /// When the system refuses to tell of the parent's death.
    pub fn new() -> io::Result<Self> {
        set_parent_process_death_signal(Some(Signal::KILL))?;
        Ok(Self { waiting: Vec::with_capacity(BYTES * RECORDS_AT_ONCE) })
    }

    /// Waits until the parent is gone or `bell` rings, at most `limit_ns`;
    /// whether the parent is gone. For a child that is asked nothing.
    #[must_use]
    pub fn is_gone_after(bell: &Bell, limit_ns: u64) -> bool {
        let stdin = rustix::stdio::stdin();
        let mut waits = [poll::readable(stdin), poll::readable(bell.as_fd())];
        let mut is_ready = false;
        if poll::wait_readable(&mut waits, limit_ns, |at| is_ready |= at == 0).is_err() {
            return true;
        }
        is_ready && matches!(rustix::io::read(stdin, &mut [0; 64]), Ok(0))
    }

    /// Waits for the next record; none when the parent is gone.
    pub fn request(&mut self) -> Option<[u8; BYTES]> {
        let mut record = [0; BYTES];
        let mut filled = 0;
        while filled < BYTES {
            match rustix::io::read(rustix::stdio::stdin(), &mut record[filled..]) {
                Ok(0) => return None,
                Ok(bytes) => filled += bytes,
                Err(Errno::INTR) => {}
                Err(_) => return None,
            }
        }
        Some(record)
    }

    /// Puts a record among those that wait to be told.
    ///
    /// # Errors
    ///
    /// When the parent is gone.
    pub fn put(&mut self, record: &[u8; BYTES]) -> io::Result<()> {
        if self.waiting.len() == self.waiting.capacity() {
            self.tell()?;
        }
        self.waiting.extend_from_slice(record);
        Ok(())
    }

    /// Tells the parent all that waits.
    ///
    /// # Errors
    ///
    /// When the parent is gone.
    pub fn tell(&mut self) -> io::Result<()> {
        let mut told = 0;
        while told < self.waiting.len() {
            match rustix::io::write(rustix::stdio::stdout(), &self.waiting[told..]) {
                Ok(bytes) => told += bytes,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.waiting.clear();
        Ok(())
    }
}

#[cfg(all(test, not(miri)))]
mod tests;
