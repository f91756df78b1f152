//! Writes to files that the kernel does by itself (`io_uring`).
//!
//! The caller's thread says what is to be written where and goes on; the ring
//! keeps each buffer until the kernel is done with it. Many systems refuse
//! `io_uring` to containers, so [`WriteRing::open`] is also the question
//! whether it may be used.

#![expect(unsafe_code, reason = "the kernel reads memory while our code goes on")]

use std::fs::File;
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use io_uring::types::{Fd, FsyncFlags};
use io_uring::{IoUring, Probe, opcode, squeue};
use rustix::io::Errno;

/// Memory for bytes that are to be written, of a size that never changes.
#[derive(Debug)]
pub struct WriteBuffer {
    memory: Box<[u8]>,
    used: usize,
    /// Its place among the buffers that the kernel was told of.
    index: u16,
    /// The caller's own word on it, which comes back with it.
    pub tag: u64,
}

/// What the kernel is done with.
#[derive(Debug)]
pub struct Done {
    /// The file that was written or synced.
    pub file: Arc<File>,
    /// The buffer as it was; none where the file was synced.
    pub buffer: Option<WriteBuffer>,
    /// Whether all of it arrived.
    pub result: io::Result<()>,
}

/// A ring of writes and the buffers that are under way in it.
#[derive(Debug)]
pub struct WriteRing {
    ring: Ring,
    /// Dropped by hand: what the kernel still reads must stay.
    under_way: ManuallyDrop<Vec<Option<UnderWay>>>,
    waiting: usize,
}

#[derive(Debug)]
struct UnderWay {
    file: Arc<File>,
    place: u64,
    buffer: Option<WriteBuffer>,
}

struct Ring {
    uring: IoUring,
    /// Whether the kernel knows our buffers and need not look them up.
    registered: bool,
    /// A call failed in a way that leaves open what the kernel has taken.
    dead: bool,
}

impl std::fmt::Debug for Ring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ring").field("registered", &self.registered).finish_non_exhaustive()
    }
}

impl WriteBuffer {
    /// An empty buffer, for writes without a ring too.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        Self { memory: vec![0; bytes].into(), used: 0, index: 0, tag: 0 }
    }

    /// What it holds.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.memory[..self.used]
    }

    /// How many bytes more it can hold.
    #[must_use]
    pub fn room(&self) -> usize {
        self.memory.len() - self.used
    }

    /// The next so many bytes, to be filled.
    ///
    /// # Panics
    ///
    /// When they are more than [`Self::room`]: a caller's mistake.
    pub fn extend(&mut self, bytes: usize) -> &mut [u8] {
        let from = self.used;
        self.used += bytes;
        &mut self.memory[from..self.used]
    }

    /// Empties it.
    pub const fn clear(&mut self) {
        self.used = 0;
        self.tag = 0;
    }
}

impl WriteRing {
    /// A ring for so many buffers of so many bytes, and the buffers.
    ///
    /// # Errors
    ///
    /// When the kernel has no `io_uring`, refuses it, or can't write by it.
    pub fn open(buffers: u16, bytes: usize) -> io::Result<(Self, Vec<WriteBuffer>)> {
        // Each buffer has at most one write, each write at most one sync.
        let uring = IoUring::new(u32::from(buffers) * 2)?;
        let mut probe = Probe::new();
        uring.submitter().register_probe(&mut probe)?;
        let needed = [opcode::Write::CODE, opcode::WriteFixed::CODE, opcode::Fsync::CODE];
        if !needed.iter().all(|code| probe.is_supported(*code)) {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let made: Vec<WriteBuffer> =
            (0..buffers).map(|index| WriteBuffer { index, ..WriteBuffer::new(bytes) }).collect();
        let known: Vec<libc::iovec> = made
            .iter()
            .map(|buffer| libc::iovec {
                iov_base: buffer.memory.as_ptr().cast_mut().cast(),
                iov_len: buffer.memory.len(),
            })
            .collect();
        // SAFETY: the kernel takes references to the pages, which thus outlive
        // whatever we do with the buffers, and only ever reads them, since no
        // read is asked of this ring.
        let registered = unsafe { uring.submitter().register_buffers(&known) }.is_ok();
        let ring = Ring { uring, registered, dead: false };
        let under_way = (0..usize::from(buffers) * 2).map(|_| None).collect();
        Ok((Self { ring, under_way: ManuallyDrop::new(under_way), waiting: 0 }, made))
    }

    /// Begins to write a buffer at a place of a file.
    ///
    /// # Errors
    ///
    /// When the ring is of no more use; it keeps the buffer.
    pub fn write(&mut self, file: Arc<File>, place: u64, buffer: WriteBuffer) -> io::Result<()> {
        let length = buffer.used as u32;
        let (fd, from) = (Fd(file.as_raw_fd()), buffer.memory.as_ptr());
        let entry = if self.ring.registered {
            opcode::WriteFixed::new(fd, from, length, buffer.index).offset(place).build()
        } else {
            opcode::Write::new(fd, from, length).offset(place).build()
        };
        // Buffered writes of some filesystems would else be done at once, by
        // the thread that asks.
        let entry = entry.flags(squeue::Flags::ASYNC);
        self.begin(entry, UnderWay { file, place, buffer: Some(buffer) })
    }

    /// Begins to make durable what was written before.
    ///
    /// # Errors
    ///
    /// When the ring is of no more use.
    pub fn sync(&mut self, file: Arc<File>) -> io::Result<()> {
        let entry = opcode::Fsync::new(Fd(file.as_raw_fd())).flags(FsyncFlags::DATASYNC).build();
        let entry = entry.flags(squeue::Flags::IO_DRAIN);
        self.begin(entry, UnderWay { file, place: 0, buffer: None })
    }

    /// What the kernel is done with next; waits for it if asked to, as long as
    /// anything is under way.
    pub fn done(&mut self, wait: bool) -> Option<Done> {
        loop {
            let completed = self.ring.uring.completion().next();
            if let Some(completed) = completed {
                let slot = completed.user_data() as usize;
                let under_way = self.under_way.get_mut(slot).and_then(Option::take);
                self.waiting -= usize::from(under_way.is_some());
                let Some(under_way) = under_way else { continue };
                return Some(under_way.finish(completed.result()));
            }
            if !wait || self.waiting == 0 || self.ring.submit(1).is_err() {
                return None;
            }
        }
    }

    /// How many writes and syncs are under way.
    #[must_use]
    pub const fn waiting(&self) -> usize {
        self.waiting
    }

    fn begin(&mut self, entry: squeue::Entry, under_way: UnderWay) -> io::Result<()> {
        let Some(slot) = self.under_way.iter().position(Option::is_none) else {
            return Err(io::ErrorKind::WouldBlock.into());
        };
        self.under_way[slot] = Some(under_way);
        self.waiting += 1;
        let entry = entry.user_data(slot as u64);
        // SAFETY: the buffer and the file stay in `under_way` until the kernel
        // said that it is done with them, or for ever.
        let pushed = unsafe { self.ring.uring.submission().push(&entry) };
        if pushed.is_err() {
            self.ring.dead = true;
        }
        self.ring.submit(0)
    }
}

impl Ring {
    /// Hands over what was pushed, and waits for so many to be done.
    fn submit(&mut self, wait: usize) -> io::Result<()> {
        loop {
            if self.dead {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            let Err(error) = self.uring.submit_and_wait(wait) else { return Ok(()) };
            let errno = Errno::from_io_error(&error);
            let again = [Errno::INTR, Errno::AGAIN, Errno::BUSY].map(Some).contains(&errno);
            if !again {
                self.dead = true;
                return Err(error);
            }
            if wait == 0 {
                // It goes along with the next.
                return Ok(());
            }
        }
    }
}

impl UnderWay {
    fn finish(self, result: i32) -> Done {
        let Self { file, place, buffer } = self;
        let result = match (u32::try_from(result), &buffer) {
            (Err(_), _) => Err(io::Error::from_raw_os_error(-result)),
            (Ok(_), None) => Ok(()),
            (Ok(written), Some(buffer)) => {
                // The kernel may take a part; the rest is rare enough to wait.
                let rest = buffer.bytes().get(written as usize..).unwrap_or_default();
                file.write_all_at(rest, place + u64::from(written))
            }
        };
        Done { file, buffer, result }
    }
}

impl Drop for WriteRing {
    fn drop(&mut self) {
        while self.done(true).is_some() {}
        if self.waiting == 0 {
            // SAFETY: the kernel is done with all of them, and this is dropped
            // only once.
            unsafe { ManuallyDrop::drop(&mut self.under_way) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_ring_writes_stands_in_the_file_where_it_should() {
        let Ok((mut ring, mut buffers)) = WriteRing::open(3, 4096) else {
            eprintln!("io_uring was NOT tested: this system refuses it");
            return;
        };
        let file = Arc::new(tempfile::tempfile().unwrap());
        for round in 0..40_u64 {
            let mut buffer = buffers.pop().unwrap_or_else(|| {
                ring.done(true).and_then(|done| done.buffer).expect("a write is under way")
            });
            buffer.clear();
            buffer.extend(1000).fill(round as u8);
            ring.write(Arc::clone(&file), round * 1000, buffer).unwrap();
        }
        while let Some(done) = ring.done(true) {
            done.result.unwrap();
            buffers.extend(done.buffer);
        }
        ring.sync(Arc::clone(&file)).unwrap();
        assert!(ring.done(true).is_some_and(|done| done.buffer.is_none() && done.result.is_ok()));
        assert_eq!((buffers.len(), ring.waiting()), (3, 0));
        let mut all = vec![0; 40_000];
        file.read_exact_at(&mut all, 0).unwrap();
        assert!(all.chunks(1000).zip(0..).all(|(part, round)| part.iter().all(|b| *b == round)));
    }

    #[test]
    fn a_write_that_cannot_be_says_so_and_gives_its_buffer_back() {
        let Ok((mut ring, mut buffers)) = WriteRing::open(1, 64) else { return };
        let file = Arc::new(File::open("/dev/null").unwrap());
        let mut buffer = buffers.pop().unwrap();
        buffer.extend(3).fill(1);
        ring.write(file, 0, buffer).unwrap();
        let done = ring.done(true).unwrap();
        assert!(done.result.is_err() && done.buffer.is_some_and(|buffer| buffer.room() == 61));
    }
}
