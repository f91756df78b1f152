//! The memory between the two ends.

#![expect(unsafe_code, reason = "slots change hands between two threads without a lock")]

use bytemuck::Pod;

use crate::platform::cell::UnsafeCell;

/// A power of two of slots, all initialised at the start: any plain bytes are
/// a valid record, so a slot can be handed out for filling as it is.
#[derive(Debug)]
pub(super) struct Slots<T> {
    cells: Box<[UnsafeCell<T>]>,
}

// SAFETY: the ring's indices give each slot to exactly one side at a time; the
// accessors below repeat that as their condition.
unsafe impl<T: Send> Sync for Slots<T> {}

impl<T: Pod> Slots<T> {
    pub(super) fn new(capacity: usize) -> Self {
        debug_assert!(capacity.is_power_of_two());
        Self { cells: (0..capacity).map(|_| UnsafeCell::new(T::zeroed())).collect() }
    }

    pub(super) fn capacity(&self) -> u64 {
        self.cells.len() as u64
    }

    /// Where the record with this index stands.
    pub(super) fn at(&self, index: u64) -> usize {
        (index & (self.capacity() - 1)) as usize
    }

    /// Fills the slot of `index`.
    ///
    /// # Safety
    ///
    /// The caller is the only writer, and the reader has released the slot
    /// and not yet been given it again.
    pub(super) unsafe fn fill<R>(&self, index: u64, fill: impl FnOnce(&mut T) -> R) -> R {
        self.cells[self.at(index)].with_mut(|slot| {
            // SAFETY: the pointer is to an initialised slot, and the caller
            // promises that nobody else looks at it.
            fill(unsafe { &mut *slot })
        })
    }

    /// The slots from position `at` on, `count` of them, as one slice.
    ///
    /// # Safety
    ///
    /// `at + count` does not pass the end; all of these slots are published
    /// and not yet released for as long as the slice is used.
    #[cfg(not(loom))]
    pub(super) unsafe fn slice(&self, at: usize, count: usize) -> &[T] {
        let cells = &self.cells[at..at + count];
        // SAFETY: `UnsafeCell<T>` has the layout of `T`, the cells are
        // initialised, and the caller promises that nobody writes to them.
        unsafe { std::slice::from_raw_parts(cells.as_ptr().cast::<T>(), count) }
    }

    /// A copy of the slot of `index`: loom watches each cell by itself, so a
    /// slice over several cannot exist there.
    ///
    /// # Safety
    ///
    /// The slot is published and not yet released.
    #[cfg(loom)]
    pub(super) unsafe fn copy(&self, index: u64) -> T {
        self.cells[self.at(index)].with(|slot| {
            // SAFETY: the pointer is to an initialised slot that the caller
            // promises is not being written.
            unsafe { *slot }
        })
    }
}
