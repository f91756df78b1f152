//! The newest value of every metric of every device.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use super::cell::cell_words;
use super::table::{Shape, Table, TableError, TableKind, TableView};
use crate::schema::Reading;

const VALUE_WORDS: usize = size_of::<Cell>() / 8;
const SHAPE: Shape = Shape {
    kind: TableKind::Readings,
    value_words: VALUE_WORDS,
    stride_words: cell_words(VALUE_WORDS),
};

/// A reading behind a word that says whether the cell is in use.
#[derive(Debug, Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
struct Cell {
    used: u64,
    reading: Reading,
}

/// The newest reading in a cell.
pub type NewestReading = Reading;

/// The table.
#[derive(Debug, Clone)]
pub struct ReadingTable(Arc<Table>);

/// The right to write one cell. Dropping it empties the cell.
#[derive(Debug)]
pub struct ReadingCell {
    table: Arc<Table>,
    index: u32,
}

/// The reading end, in this process or another.
#[derive(Debug, Clone)]
pub struct ReadingTableView(TableView);

impl ReadingTable {
    /// A table in this process's memory.
    #[must_use]
    pub fn heap(capacity: usize) -> Self {
        Self(Arc::new(Table::heap(SHAPE, capacity)))
    }

    /// A table that other processes can be given to read.
    ///
    /// # Errors
    ///
    /// When memory or descriptors run out.
    pub fn shared(capacity: usize) -> io::Result<Self> {
        Ok(Self(Arc::new(Table::shared(SHAPE, capacity)?)))
    }

    /// The descriptor to hand to a reader; none for a table on the heap.
    #[must_use]
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.0.descriptor()
    }

    /// A reading end.
    #[must_use]
    pub fn view(&self) -> ReadingTableView {
        ReadingTableView(self.0.view())
    }

    /// A cell for one metric of one device, or nothing when all are taken:
    /// the caller counts that.
    #[must_use]
    pub fn cell(&self) -> Option<ReadingCell> {
        Some(ReadingCell { table: Arc::clone(&self.0), index: self.0.allocate()? })
    }
}

impl ReadingCell {
    /// Stores the newest reading. Never waits.
    pub fn write(&mut self, reading: &Reading) {
        let cell = [Cell { used: 1, reading: *reading }];
        self.table.write(self.index, bytemuck::cast_slice(&cell));
    }
}

impl Drop for ReadingCell {
    fn drop(&mut self) {
        self.table.free(self.index);
    }
}

impl ReadingTableView {
    /// Maps a table that another process writes.
    ///
    /// # Errors
    ///
    /// When the memory is not sealed, of another size or layout.
    pub fn map(descriptor: BorrowedFd<'_>) -> Result<Self, TableError> {
        Ok(Self(TableView::map(descriptor, SHAPE)?))
    }

    /// One up with every write: a cheap look for a change.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.0.changes()
    }

    /// Every newest reading, in no order. Allocates nothing.
    pub fn iter(&self) -> impl Iterator<Item = NewestReading> + '_ {
        (0..self.0.len()).filter_map(|index| {
            let mut words = [0_u64; VALUE_WORDS];
            let whole = self.0.read(index, &mut words);
            let cell: Cell = bytemuck::cast(words);
            (whole && cell.used != 0).then_some(cell.reading)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::MetricId;

    #[test]
    fn the_newest_reading_of_each_cell_is_seen_until_its_writer_goes() {
        let table = ReadingTable::heap(2);
        let mut first = table.cell().unwrap();
        let mut second = table.cell().unwrap();
        assert!(table.cell().is_none());
        first.write(&Reading::new(0, MetricId::CpuBusy, 1, 0.1));
        first.write(&Reading::new(0, MetricId::CpuBusy, 2, 0.2));
        second.write(&Reading::new(0, MetricId::LoadOne, 2, 3.0));
        let values =
            |table: &ReadingTable| table.view().iter().map(|r| r.value).collect::<Vec<_>>();
        assert_eq!(values(&table), [0.2, 3.0]);
        drop(first);
        assert_eq!(values(&table), [3.0]);
    }
}
