//! How bytes get into a file: by `io_uring`, or by `pwrite` on our thread.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use crate::platform::write_ring::{Done, WriteBuffer, WriteRing};

/// How bytes get into a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WriteBy {
    /// The kernel writes while our thread goes on.
    IoUring,
    /// Our thread copies into the page cache itself.
    Pwrite,
}

impl WriteBy {
    /// Both.
    pub const ALL: [Self; 2] = [Self::IoUring, Self::Pwrite];

    /// Its name, as in the settings.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::IoUring => "io_uring",
            Self::Pwrite => "pwrite",
        }
    }
}

/// What writes, and its buffers.
#[derive(Debug)]
pub(super) struct Hand {
    way: Way,
    free: Vec<WriteBuffer>,
}

#[derive(Debug)]
enum Way {
    Ring(Box<WriteRing>),
    Here(VecDeque<Done>),
}

impl Hand {
    /// What was asked for, or the best that works where none is, and why
    /// `io_uring` is not it where it was refused.
    pub(super) fn open(asked: Option<WriteBy>) -> (Self, Option<io::Error>) {
        if asked == Some(WriteBy::Pwrite) {
            return (Self::here(), None);
        }
        match WriteRing::open(BUFFERS, BUFFER_BYTES) {
            Ok((ring, free)) => (Self { way: Way::Ring(Box::new(ring)), free }, None),
            Err(error) => (Self::here(), Some(error)),
        }
    }

    fn here() -> Self {
        let free = (0..BUFFERS).map(|_| WriteBuffer::new(BUFFER_BYTES)).collect();
        Self { way: Way::Here(VecDeque::new()), free }
    }

    pub(super) const fn kind(&self) -> WriteBy {
        match self.way {
            Way::Ring(_) => WriteBy::IoUring,
            Way::Here(_) => WriteBy::Pwrite,
        }
    }

    /// An empty buffer, where one is free.
    pub(super) fn buffer(&mut self) -> Option<WriteBuffer> {
        self.free.pop()
    }

    /// Takes a buffer back.
    pub(super) fn give_back(&mut self, mut buffer: WriteBuffer) {
        buffer.clear();
        self.free.push(buffer);
    }

    /// Begins to write a buffer.
    ///
    /// # Errors
    ///
    /// When the ring is of no more use; the writes under way in it are as good
    /// as lost. From then on this writes by `pwrite`.
    pub(super) fn write(
        &mut self,
        file: &Arc<File>,
        place: u64,
        buffer: WriteBuffer,
    ) -> io::Result<()> {
        match &mut self.way {
            Way::Here(done) => {
                let result = file.write_all_at(buffer.bytes(), place);
                let buffer = Some(buffer);
                done.push_back(Done { file: Arc::clone(file), buffer, result });
                Ok(())
            }
            Way::Ring(ring) => {
                let begun = ring.write(Arc::clone(file), place, buffer);
                self.or_here(begun)
            }
        }
    }

    /// Begins to make durable what was written before.
    ///
    /// # Errors
    ///
    /// As [`Self::write`].
    pub(super) fn sync(&mut self, file: &Arc<File>) -> io::Result<()> {
        match &mut self.way {
            Way::Here(done) => {
                let result = file.sync_data();
                done.push_back(Done { file: Arc::clone(file), buffer: None, result });
                Ok(())
            }
            Way::Ring(ring) => {
                let begun = ring.sync(Arc::clone(file));
                self.or_here(begun)
            }
        }
    }

    /// What is done next, if anything; waits for it if asked to.
    pub(super) fn done(&mut self, wait: bool) -> Option<Done> {
        match &mut self.way {
            Way::Here(done) => done.pop_front(),
            Way::Ring(ring) => ring.done(wait),
        }
    }

    fn or_here(&mut self, begun: io::Result<()>) -> io::Result<()> {
        if begun.as_ref().is_err_and(|error| error.kind() != io::ErrorKind::WouldBlock) {
            *self = Self::here();
        }
        begun
    }
}

/// Bytes that are written in one go while much is to be written.
pub(super) const BUFFER_BYTES: usize = 256 << 10;

/// Buffers: one that is filled and those that the disk works at.
const BUFFERS: u16 = 4;
