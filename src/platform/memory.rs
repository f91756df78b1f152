//! Memory shared with other processes by descriptor.
//!
//! A creator seals the size before it passes the descriptor on, so nobody can
//! make a mapping fault by truncating; whoever maps checks those seals first.
//! All access is by atomic words: the other side may write at any time.

#![expect(unsafe_code, reason = "mapping memory, and viewing it as atomic words")]

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;

use rustix::fs::{
    MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, fstat, ftruncate, memfd_create,
};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use thiserror::Error;

use super::atomic::{AtomicU64, LoadOnly};

/// Memory that this process made and may write.
#[derive(Debug)]
pub struct SharedMemory {
    descriptor: OwnedFd,
    mapping: Mapping,
}

/// Memory that another process made; this one only reads it.
#[derive(Debug)]
pub struct SharedView {
    mapping: Mapping,
}

/// Why a descriptor from elsewhere was not mapped.
#[derive(Debug, Error)]
pub enum MapError {
    /// Its size could change under the reader.
    #[error("the memory is not sealed against shrinking and growing")]
    Unsealed,
    /// Smaller or larger than agreed.
    #[error("the memory has {found} bytes, expected {least} to {most}")]
    Size {
        /// Bytes it has.
        found: u64,
        /// Bytes it needs.
        least: usize,
        /// Bytes it may have.
        most: usize,
    },
    /// The system call failed.
    #[error("mapping shared memory failed: {0}")]
    System(#[from] io::Error),
}

impl SharedMemory {
    /// New zeroed memory of `bytes`, rounded up to whole pages by the kernel,
    /// its size sealed. `readers_only` also seals it against everybody else's
    /// writing (since Linux 5.1).
    ///
    /// # Errors
    ///
    /// When memory or descriptors run out, or seals are refused.
    pub fn new(name: &str, bytes: usize, readers_only: bool) -> io::Result<Self> {
        let descriptor = memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
        ftruncate(&descriptor, bytes as u64)?;
        let mapping = Mapping::new(descriptor.as_fd(), bytes, ProtFlags::READ | ProtFlags::WRITE)?;
        let mut seals = SealFlags::SHRINK | SealFlags::GROW;
        if readers_only {
            seals |= SealFlags::FUTURE_WRITE;
        }
        fcntl_add_seals(&descriptor, seals | SealFlags::SEAL)?;
        Ok(Self { descriptor, mapping })
    }

    /// The memory as words.
    #[must_use]
    pub fn words(&self) -> &[AtomicU64] {
        self.mapping.words()
    }
}

impl AsFd for SharedMemory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

impl SharedView {
    /// Maps a descriptor from elsewhere for reading, once its seals and size
    /// were found good. The descriptor can be closed afterwards.
    ///
    /// # Errors
    ///
    /// When it is not sealed, of another size, or cannot be mapped.
    pub fn map(descriptor: BorrowedFd<'_>, least: usize, most: usize) -> Result<Self, MapError> {
        let sealed = fcntl_get_seals(descriptor).unwrap_or(SealFlags::empty());
        if !sealed.contains(SealFlags::SHRINK | SealFlags::GROW) {
            return Err(MapError::Unsealed);
        }
        let found = fstat(descriptor).map_err(io::Error::from)?.st_size;
        let bytes = usize::try_from(found).unwrap_or(0);
        if bytes < least || bytes > most {
            return Err(MapError::Size { found: found.unsigned_abs(), least, most });
        }
        let mapping = Mapping::new(descriptor, bytes, ProtFlags::READ)?;
        Ok(Self { mapping })
    }

    /// The memory as words that are only read.
    #[must_use]
    pub fn words(&self) -> LoadOnly<'_> {
        LoadOnly::new(self.mapping.words())
    }
}

#[derive(Debug)]
struct Mapping {
    start: NonNull<AtomicU64>,
    bytes: usize,
}

// SAFETY: the mapping is memory accessed only through atomics; whichever
// thread holds it last unmaps it.
unsafe impl Send for Mapping {}
// SAFETY: as above: shared access is atomic.
unsafe impl Sync for Mapping {}

impl Mapping {
    fn new(descriptor: BorrowedFd<'_>, bytes: usize, rights: ProtFlags) -> io::Result<Self> {
        let wrong_size = || io::Error::from(io::ErrorKind::InvalidInput);
        if bytes == 0 || !bytes.is_multiple_of(8) {
            return Err(wrong_size());
        }
        // SAFETY: a new shared mapping at an address of the kernel's choice
        // touches no memory that Rust knows of.
        let start =
            unsafe { mmap(std::ptr::null_mut(), bytes, rights, MapFlags::SHARED, descriptor, 0) }?;
        let start = NonNull::new(start.cast()).ok_or_else(wrong_size)?;
        Ok(Self { start, bytes })
    }

    fn words(&self) -> &[AtomicU64] {
        // SAFETY: the mapping is page-aligned, `bytes` long (its size is
        // sealed, so it stays backed), lives as long as `self`, and every
        // access by us is atomic. Read-only mappings are only handed out as
        // `LoadOnly`.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.bytes / 8) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping was made by us with this size, and nobody can
        // hold a borrow of it any more.
        let _ = unsafe { munmap(self.start.as_ptr().cast(), self.bytes) };
    }
}

#[cfg(all(test, not(miri)))]
mod tests {
    use super::*;
    use crate::platform::atomic::Ordering;

    #[test]
    fn what_one_side_stores_the_other_reads() {
        let ours = SharedMemory::new("test", 4096, true).unwrap();
        let theirs = SharedView::map(ours.as_fd(), 4096, 4096).unwrap();
        ours.words()[3].store(7, Ordering::Release);
        assert_eq!(theirs.words().load(3, Ordering::Acquire), 7);
    }

    #[test]
    fn memory_that_could_shrink_is_not_mapped() {
        let descriptor = memfd_create("test", MemfdFlags::ALLOW_SEALING).unwrap();
        ftruncate(&descriptor, 4096).unwrap();
        let refused = SharedView::map(descriptor.as_fd(), 4096, 4096);
        assert!(matches!(refused, Err(MapError::Unsealed)));
        fcntl_add_seals(&descriptor, SealFlags::SHRINK).unwrap();
        assert!(SharedView::map(descriptor.as_fd(), 4096, 4096).is_err());
    }

    #[test]
    fn memory_of_another_size_is_not_mapped() {
        let ours = SharedMemory::new("test", 4096, false).unwrap();
        for (least, most) in [(8192, 8192), (8, 2048)] {
            let refused = SharedView::map(ours.as_fd(), least, most);
            assert!(matches!(refused, Err(MapError::Size { .. })));
        }
    }

    #[test]
    fn a_file_or_a_pipe_is_not_mapped() {
        let file = std::fs::File::open("/proc/self/exe").unwrap();
        assert!(matches!(SharedView::map(file.as_fd(), 8, usize::MAX), Err(MapError::Unsealed)));
    }
}
