//! Many cells in one piece of memory, in our own or shared with others.
//!
//! ```text
//!   0  magic      u64   "EENEWST1"
//!   8  layout     u32   1             12  kind       u32  1 steps, 2 readings
//!  16  cell_bytes u32                 20  capacity   u32  cells in all
//!  24  value_bytes u32
//!  64  length     u64   cells ever used; the rest was never written
//!  72  changes    u64   one up with every write
//! 128  cells, each as `cell` describes; a value whose first word is 0 is free
//! ```

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex, PoisonError};

use thiserror::Error;

use super::cell::{self, cell_words};
use crate::platform::atomic::{AtomicU64, LoadOnly, Ordering};
use crate::platform::memory::{MapError, SharedMemory, SharedView};

const MAGIC: u64 = u64::from_le_bytes(*b"EENEWST1");
const LAYOUT: u32 = 1;
const HEADER_WORDS: usize = 16;
const LENGTH_AT: usize = 8;
const CHANGES_AT: usize = 9;

/// Most cells in one table: a node has far fewer ranks or readings.
pub(super) const CAPACITY_MAX: usize = 1 << 16;

/// What a table's values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum TableKind {
    /// [`super::NewestStep`]
    Steps = 1,
    /// [`crate::schema::Reading`]
    Readings = 2,
}

/// Why memory from elsewhere is not a table.
#[derive(Debug, Error)]
pub enum TableError {
    /// It could not be mapped.
    #[error(transparent)]
    Map(#[from] MapError),
    /// Its header does not say what it must.
    #[error("the shared table is of another kind or layout than this build reads")]
    Layout,
}

/// The writing end's memory and who uses which cell.
#[derive(Debug)]
pub(super) struct Table {
    memory: Arc<Memory>,
    shape: Shape,
    /// Cells that were given back.
    free: Mutex<Vec<u32>>,
}

/// The reading end.
#[derive(Debug, Clone)]
pub(super) struct TableView {
    memory: Arc<Memory>,
    shape: Shape,
    capacity: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) kind: TableKind,
    pub(super) value_words: usize,
    /// Distance between cells: at least a cell's words.
    pub(super) stride_words: usize,
}

#[derive(Debug)]
enum Memory {
    Heap(Box<[AtomicU64]>),
    Shared(SharedMemory),
    Mapped(SharedView),
}

impl Memory {
    fn words(&self) -> LoadOnly<'_> {
        match self {
            Self::Heap(words) => LoadOnly::new(words),
            Self::Shared(memory) => LoadOnly::new(memory.words()),
            Self::Mapped(view) => view.words(),
        }
    }
}

impl Shape {
    fn bytes(&self, capacity: usize) -> usize {
        8 * (HEADER_WORDS + capacity * self.stride_words)
    }

    fn cell_at(&self, index: usize) -> usize {
        HEADER_WORDS + index * self.stride_words
    }
}

impl Table {
    pub(super) fn heap(shape: Shape, capacity: usize) -> Self {
        let capacity = capacity.clamp(1, CAPACITY_MAX);
        let words = (0..shape.bytes(capacity) / 8).map(|_| AtomicU64::new(0)).collect();
        Self::new(Memory::Heap(words), shape, capacity)
    }

    pub(super) fn shared(shape: Shape, capacity: usize) -> io::Result<Self> {
        let capacity = capacity.clamp(1, CAPACITY_MAX);
        let memory = SharedMemory::new("eagle-eye-newest", shape.bytes(capacity), true)?;
        Ok(Self::new(Memory::Shared(memory), shape, capacity))
    }

    fn new(memory: Memory, shape: Shape, capacity: usize) -> Self {
        let table = Self { memory: Arc::new(memory), shape, free: Mutex::new(Vec::new()) };
        let words = table.words();
        words[1].store(pair(LAYOUT, shape.kind as u32), Ordering::Relaxed);
        words[2].store(pair(8 * shape.stride_words as u32, capacity as u32), Ordering::Relaxed);
        words[3].store(pair(8 * shape.value_words as u32, 0), Ordering::Relaxed);
        words[0].store(MAGIC, Ordering::Release);
        table
    }

    pub(super) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        match &*self.memory {
            Memory::Shared(memory) => Some(memory.as_fd()),
            Memory::Heap(_) | Memory::Mapped(_) => None,
        }
    }

    pub(super) fn view(&self) -> TableView {
        let capacity = (self.words().len() - HEADER_WORDS) / self.shape.stride_words;
        TableView { memory: Arc::clone(&self.memory), shape: self.shape, capacity }
    }

    /// A cell for a new writer, or nothing when all are taken.
    pub(super) fn allocate(&self) -> Option<u32> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(index) = free.pop() {
            return Some(index);
        }
        let length = self.words()[LENGTH_AT].load(Ordering::Relaxed);
        if length as usize >= self.view().capacity {
            return None;
        }
        self.words()[LENGTH_AT].store(length + 1, Ordering::Release);
        Some(length as u32)
    }

    /// Empties a cell and gives it back.
    pub(super) fn free(&self, index: u32) {
        // Values are small; one on the stack serves every kind.
        const VALUE_WORDS_MAX: usize = 64;
        self.write(index, &[0; VALUE_WORDS_MAX][..self.shape.value_words]);
        self.free.lock().unwrap_or_else(PoisonError::into_inner).push(index);
    }

    pub(super) fn write(&self, index: u32, value: &[u64]) {
        let at = self.shape.cell_at(index as usize);
        let words = self.words();
        cell::write(&words[at..at + cell_words(self.shape.value_words)], value);
        words[CHANGES_AT].fetch_add(1, Ordering::Release);
    }

    fn words(&self) -> &[AtomicU64] {
        match &*self.memory {
            Memory::Heap(words) => words,
            Memory::Shared(memory) => memory.words(),
            Memory::Mapped(_) => &[],
        }
    }
}

impl TableView {
    /// Maps a table that another process writes.
    pub(super) fn map(descriptor: BorrowedFd<'_>, shape: Shape) -> Result<Self, TableError> {
        let most = shape.bytes(CAPACITY_MAX).next_multiple_of(4096);
        let view = SharedView::map(descriptor, shape.bytes(1), most)?;
        let words = view.words();
        let (layout, kind) = unpair(words.load(1, Ordering::Relaxed));
        let (cell_bytes, capacity) = unpair(words.load(2, Ordering::Relaxed));
        let (value_bytes, _) = unpair(words.load(3, Ordering::Relaxed));
        let capacity = capacity as usize;
        let fits = words.load(0, Ordering::Acquire) == MAGIC
            && (layout, kind) == (LAYOUT, shape.kind as u32)
            && cell_bytes as usize == 8 * shape.stride_words
            && value_bytes as usize == 8 * shape.value_words
            && (1..=CAPACITY_MAX).contains(&capacity)
            && shape.bytes(capacity) <= 8 * words.len();
        if !fits {
            return Err(TableError::Layout);
        }
        Ok(Self { memory: Arc::new(Memory::Mapped(view)), shape, capacity })
    }

    /// Cells ever used.
    pub(super) fn len(&self) -> usize {
        let length = self.memory.words().load(LENGTH_AT, Ordering::Acquire);
        usize::try_from(length).unwrap_or(usize::MAX).min(self.capacity)
    }

    /// One up with every write to any cell.
    pub(super) fn changes(&self) -> u64 {
        self.memory.words().load(CHANGES_AT, Ordering::Acquire)
    }

    /// How often the cell was written.
    pub(super) fn finished(&self, index: usize) -> u64 {
        cell::finished(self.cell(index))
    }

    /// The newest value of a cell, if it was had whole.
    pub(super) fn read(&self, index: usize, into: &mut [u64]) -> bool {
        cell::read(self.cell(index), into).is_some()
    }

    /// As [`Self::read`], but `copy` takes what it wants of the value.
    pub(super) fn read_with(&self, index: usize, copy: impl FnMut(LoadOnly<'_>)) -> bool {
        cell::read_with(self.cell(index), copy).is_some()
    }

    fn cell(&self, index: usize) -> LoadOnly<'_> {
        let at = self.shape.cell_at(index.min(self.capacity - 1));
        self.memory.words().part(at, cell_words(self.shape.value_words))
    }
}

const fn pair(low: u32, high: u32) -> u64 {
    low as u64 | (high as u64) << 32
}

const fn unpair(word: u64) -> (u32, u32) {
    (word as u32, (word >> 32) as u32)
}
