//! Memory that claims to be a table of newest values: it is refused, or read
//! without leaving it, whatever it holds.

#![no_main]

use std::os::fd::{AsFd, OwnedFd};

use eagle_eye::newest::{ReadingTableView, StepTableView};
use libfuzzer_sys::fuzz_target;
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create};
use rustix::io::pwrite;

/// Where a table's header ends and its cells begin.
const CELLS_AT: usize = 128;

fuzz_target!(|bytes: &[u8]| {
    read_all(bytes);
    // A good header before the same bytes, so that the cells are reached; the
    // count of used cells stays the enemy's.
    for (kind, value_bytes) in [(1_u32, 288_u32), (2, 32)] {
        let mut memory = bytes.to_vec();
        let cell_bytes = 64 + 2 * value_bytes;
        memory.resize(memory.len().max(CELLS_AT + cell_bytes as usize), 0);
        let capacity = (memory.len() - CELLS_AT) as u32 / cell_bytes;
        memory[..8].copy_from_slice(b"EENEWST1");
        for (at, word) in [(8, 1), (12, kind), (16, cell_bytes), (20, capacity), (24, value_bytes)]
        {
            memory[at..at + 4].copy_from_slice(&word.to_le_bytes());
        }
        memory.resize(memory.len().next_multiple_of(8), 0);
        assert!(read_all(&memory), "a table with a good header is mapped");
    }
});

/// Whether either kind of table accepted the memory.
fn read_all(bytes: &[u8]) -> bool {
    let memory = sealed(bytes);
    let steps = StepTableView::map(memory.as_fd());
    if let Ok(view) = &steps {
        assert!(view.len() * 640 <= bytes.len(), "only cells that are there count");
        assert!(view.iter().count() <= view.len());
        let _ = (view.changes(), view.is_empty());
        for index in [0, view.len(), usize::MAX] {
            let _ = (view.read(index), view.finished(index));
        }
    }
    let readings = ReadingTableView::map(memory.as_fd());
    if let Ok(view) = &readings {
        assert!(view.iter().count() * 128 <= bytes.len());
        let _ = view.changes();
    }
    steps.is_ok() || readings.is_ok()
}

fn sealed(bytes: &[u8]) -> OwnedFd {
    let memory = memfd_create("fuzz", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)
        .expect("memory for a test");
    ftruncate(&memory, bytes.len() as u64).expect("its size");
    let written = pwrite(&memory, bytes, 0).expect("its bytes");
    assert_eq!(written, bytes.len());
    fcntl_add_seals(&memory, SealFlags::SHRINK | SealFlags::GROW).expect("its seals");
    memory
}
