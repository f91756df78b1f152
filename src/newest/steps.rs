//! The newest step of every rank and producer.

use std::collections::HashMap;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use bytemuck::{Pod, Zeroable};

use super::cell::cell_words;
use super::table::{Shape, Table, TableError, TableKind, TableView};
use crate::platform::atomic::Ordering;
use crate::schema::{Field, StepCore};

const VALUE_WORDS: usize = size_of::<NewestStep>() / 8;
const SHAPE: Shape = Shape {
    kind: TableKind::Steps,
    value_words: VALUE_WORDS,
    stride_words: cell_words(VALUE_WORDS),
};

/// The newest step of one producer of one rank, and when it was so.
#[derive(Debug, Clone, Copy, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct NewestStep {
    /// The step as its producer wrote it.
    pub step: StepCore,
    /// This host's `CLOCK_MONOTONIC` when the record came in, ns.
    pub heard_ns: u64,
    /// This host's `CLOCK_MONOTONIC` at the producer's last sign of life, ns,
    /// within `error_ns`. The step itself is older by
    /// `step.heartbeat_ns − step.monotonic_ns`.
    pub alive_ns: u64,
    /// Bound on the error of `alive_ns`, ns.
    pub error_ns: u64,
    /// Steps of this producer that never came here.
    pub lost: u64,
}

const _: () = assert!(size_of::<NewestStep>().is_multiple_of(8));
const _: () = assert!((SHAPE.stride_words * 8).is_multiple_of(128), "cells share no line pair");

/// Which cell: one producer of one rank of one engine instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RankKey {
    /// Hash of the engine's name.
    pub instance: u64,
    /// Data-parallel rank.
    pub rank: u16,
    /// Which front end.
    pub producer: u16,
}

/// What a [`NewestStep`] says besides the step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Pod, Zeroable)]
#[repr(C)]
pub struct Life {
    /// As [`NewestStep::heard_ns`].
    pub heard_ns: u64,
    /// As [`NewestStep::alive_ns`].
    pub alive_ns: u64,
    /// As [`NewestStep::error_ns`].
    pub error_ns: u64,
    /// As [`NewestStep::lost`].
    pub lost: u64,
}

const STEP_WORDS: usize = size_of::<StepCore>() / 8;
const LIFE_WORDS: usize = size_of::<Life>() / 8;
const COUNTERS_AT: usize = std::mem::offset_of!(StepCore, steps) / 8;
const HEARTBEAT_AT: usize = std::mem::offset_of!(StepCore, heartbeat_ns) / 8;
const _: () = assert!(STEP_WORDS + LIFE_WORDS == VALUE_WORDS);
const _: () = assert!(std::mem::offset_of!(NewestStep, heard_ns) == 8 * STEP_WORDS);

/// Writes disturbed every try to read a cell; keep what you had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disturbed;

impl RankKey {
    /// The key of a step.
    #[must_use]
    pub const fn of(step: &StepCore) -> Self {
        Self { instance: step.instance, rank: step.rank, producer: step.producer }
    }
}

/// The table. Every writing thread takes its own [`StepWriter`].
#[derive(Debug, Clone)]
pub struct StepTable(Arc<Table>);

/// One thread's right to write its own ranks.
#[derive(Debug)]
pub struct StepWriter {
    table: Arc<Table>,
    cells: HashMap<RankKey, u32>,
}

/// The reading end, in this process or another.
#[derive(Debug, Clone)]
pub struct StepTableView(TableView);

impl StepTable {
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
    pub fn view(&self) -> StepTableView {
        StepTableView(self.0.view())
    }

    /// A writing end for one thread. Two writers must not write the same rank.
    #[must_use]
    pub fn writer(&self) -> StepWriter {
        StepWriter { table: Arc::clone(&self.0), cells: HashMap::new() }
    }
}

impl StepWriter {
    /// Stores a rank's newest step. Returns its cell, or nothing when the
    /// table is full: the caller counts that. Allocates only for a new rank.
    pub fn write(&mut self, newest: &NewestStep) -> Option<usize> {
        let key = RankKey::of(&newest.step);
        let index = match self.cells.get(&key) {
            Some(index) => *index,
            None => {
                let index = self.table.allocate()?;
                self.cells.insert(key, index);
                index
            }
        };
        self.table.write(index, bytemuck::cast_slice(std::slice::from_ref(newest)));
        Some(index as usize)
    }

    /// Empties a rank's cell, so that another can have it.
    pub fn forget(&mut self, key: &RankKey) {
        if let Some(index) = self.cells.remove(key) {
            self.table.free(index);
        }
    }
}

impl Drop for StepWriter {
    fn drop(&mut self) {
        for index in self.cells.values() {
            self.table.free(*index);
        }
    }
}

impl StepTableView {
    /// Maps a table that another process writes.
    ///
    /// # Errors
    ///
    /// When the memory is not sealed, of another size or layout.
    pub fn map(descriptor: BorrowedFd<'_>) -> Result<Self, TableError> {
        Ok(Self(TableView::map(descriptor, SHAPE)?))
    }

    /// Cells ever used; some may be free again.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether no cell was ever used.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// One up with every write: a cheap look for a change.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.0.changes()
    }

    /// How often this cell was written: a cheap look for a change.
    #[must_use]
    pub fn finished(&self, index: usize) -> u64 {
        self.0.finished(index)
    }

    /// The newest step in a cell, or nothing where it is free or where writes
    /// disturbed every try; keep what you had then. Allocates nothing.
    #[must_use]
    pub fn read(&self, index: usize) -> Option<NewestStep> {
        let mut words = [0_u64; VALUE_WORDS];
        let whole = self.0.read(index, &mut words);
        (whole && words[0] != 0).then(|| bytemuck::cast(words))
    }

    /// Like [`Self::read`], but into the caller's memory, and tells a free cell
    /// (`Ok(false)`) from one whose value could not be had whole. Unless it is
    /// `Ok(true)`, what stands in `step` and `life` means nothing.
    ///
    /// # Errors
    ///
    /// When writes disturbed every try.
    pub fn look(
        &self,
        index: usize,
        step: &mut StepCore,
        life: &mut Life,
    ) -> Result<bool, Disturbed> {
        let words: &mut [u64; STEP_WORDS] = bytemuck::cast_mut(step);
        let life: &mut [u64; LIFE_WORDS] = bytemuck::cast_mut(life);
        let whole = self.0.read_with(index, |value| {
            value.copy_out(0, words);
            value.copy_out(STEP_WORDS, life);
        });
        self.found(index, whole, words[0])
    }

    /// As [`Self::look`], without the cumulative counters: these are left as
    /// they are and said to be unknown. About half the work.
    ///
    /// # Errors
    ///
    /// When writes disturbed every try.
    pub fn glance(
        &self,
        index: usize,
        step: &mut StepCore,
        life: &mut Life,
    ) -> Result<bool, Disturbed> {
        let words: &mut [u64; STEP_WORDS] = bytemuck::cast_mut(step);
        let life: &mut [u64; LIFE_WORDS] = bytemuck::cast_mut(life);
        let whole = self.0.read_with(index, |value| {
            value.copy_out(0, &mut words[..COUNTERS_AT]);
            words[HEARTBEAT_AT] = value.load(HEARTBEAT_AT, Ordering::Relaxed);
            value.copy_out(STEP_WORDS, life);
        });
        let found = self.found(index, whole, words[0]);
        step.present &= Field::Steps.bit() - 1;
        found
    }

    fn found(&self, index: usize, whole: bool, first: u64) -> Result<bool, Disturbed> {
        match whole {
            true => Ok(first != 0),
            false if self.0.finished(index) == 0 => Ok(false),
            false => Err(Disturbed),
        }
    }

    /// The newest step of every rank, in no order. Allocates nothing.
    pub fn iter(&self) -> impl Iterator<Item = NewestStep> + '_ {
        (0..self.len()).filter_map(|index| self.read(index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn newest(instance: u64, sequence: u64) -> NewestStep {
        let mut newest = NewestStep::zeroed();
        newest.step.instance = instance;
        newest.step.sequence = sequence;
        newest
    }

    #[test]
    fn every_rank_keeps_its_own_newest_step() {
        let table = StepTable::heap(4);
        let (mut writer, view) = (table.writer(), table.view());
        for sequence in 1..=3 {
            writer.write(&newest(1, sequence));
            writer.write(&newest(2, 10 * sequence));
        }
        let (mut step, mut life) = (StepCore::zeroed(), Life::default());
        assert_eq!(view.look(0, &mut step, &mut life), Ok(true));
        assert_eq!(step.sequence, 3);
        assert_eq!(view.look(2, &mut step, &mut life), Ok(false), "never written is free");
        let seen: Vec<u64> = view.iter().map(|newest| newest.step.sequence).collect();
        assert_eq!(seen, [3, 30]);
        assert_eq!(view.changes(), 6);
    }

    #[test]
    fn a_glance_has_everything_but_the_counters() {
        let table = StepTable::heap(1);
        let mut written = NewestStep {
            step: bytemuck::cast([3_u8; 256]),
            heard_ns: 4,
            alive_ns: 5,
            error_ns: 6,
            lost: 7,
        };
        written.step.present = u64::MAX;
        table.writer().write(&written);
        let mut writer = table.writer();
        writer.write(&written);
        let (mut step, mut life) = (StepCore::zeroed(), Life::default());
        let view = table.view();
        assert_eq!(view.glance(0, &mut step, &mut life), Ok(true));
        assert_eq!(life, Life { heard_ns: 4, alive_ns: 5, error_ns: 6, lost: 7 });
        for field in Field::ALL {
            let is_gauge = (*field as u8) < Field::Steps as u8;
            let expected = is_gauge.then(|| written.step.value(*field)).flatten();
            assert_eq!(step.value(*field), expected, "{}", field.name());
        }
        assert_eq!(step.heartbeat_ns, written.step.heartbeat_ns);
    }

    #[test]
    fn a_full_table_says_so_and_a_forgotten_rank_makes_room() {
        let table = StepTable::heap(2);
        let mut writer = table.writer();
        assert!(writer.write(&newest(1, 1)).is_some());
        assert!(writer.write(&newest(2, 1)).is_some());
        assert_eq!(writer.write(&newest(3, 1)), None);
        writer.forget(&RankKey { instance: 1, rank: 0, producer: 0 });
        assert_eq!(writer.write(&newest(3, 1)), Some(0));
        drop(writer);
        assert_eq!(table.view().iter().count(), 0);
    }

    #[cfg(not(miri))]
    #[test]
    fn another_process_reads_what_was_shared_and_cannot_be_fooled_by_the_wrong_kind() {
        use crate::newest::{ReadingTable, ReadingTableView};
        let table = StepTable::shared(64).unwrap();
        table.writer().write(&newest(5, 6));
        let mut writer = table.writer();
        writer.write(&newest(7, 8));
        let view = StepTableView::map(table.descriptor().unwrap()).unwrap();
        assert_eq!(view.iter().map(|n| n.step.instance).collect::<Vec<_>>(), [7]);
        assert!(ReadingTableView::map(table.descriptor().unwrap()).is_err());
        let readings = ReadingTable::shared(64).unwrap();
        assert!(StepTableView::map(readings.descriptor().unwrap()).is_err());
    }
}
