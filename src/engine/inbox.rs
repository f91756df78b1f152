//! What the drain hands to the judge: copied out of each batch, so that no
//! slab waits for a disk, and bounded, so that a judge that hangs costs
//! counted records.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::pipeline::{Batch, Taker};
use crate::schema::{BATCH_HEADER_BYTES, HotKind, Reading, StepCore};

/// Readings that wait: several rounds of a node of sixteen accelerators.
const READINGS_MAX: usize = 16_384;

/// Steps that wait: half a second of 64 engines at 100 Hz, 1 MiB.
const STEPS_MAX: usize = 4096;

/// So many steps are worth a wake-up by themselves; fewer wait for company.
const STEPS_WAKE: usize = STEPS_MAX / 4;

/// Where readings and steps wait for the judge. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Inbox {
    lists: Arc<Mutex<Lists>>,
    wake: Sender<()>,
    woken: Receiver<()>,
}

/// What waits, in the order in which it came.
#[derive(Debug, Default)]
pub(super) struct Lists {
    pub(super) readings: Vec<Reading>,
    pub(super) steps: Vec<StepCore>,
}

impl Default for Inbox {
    fn default() -> Self {
        let (wake, woken) = bounded(1);
        Self { lists: Arc::default(), wake, woken }
    }
}

impl Inbox {
    /// Receives batches from the drain; one that does not fit is refused
    /// whole, which the drain counts.
    pub(super) fn taker(&self) -> Taker {
        let inbox = self.clone();
        Taker::new("judge", Box::new(move |batch: &Batch| inbox.put(batch)))
    }

    /// Says when there is something worth a look.
    pub(super) fn woken(&self) -> &Receiver<()> {
        &self.woken
    }

    /// Takes what waits, against lists whose memory is used again.
    pub(super) fn swap(&self, with: &mut Lists) {
        let _ = self.woken.try_recv();
        with.readings.clear();
        with.steps.clear();
        std::mem::swap(&mut *self.lists(), with);
    }

    fn put(&self, batch: &Batch) -> bool {
        let bytes = &batch.bytes()[BATCH_HEADER_BYTES..];
        let mut lists = self.lists();
        let (fits, worth_it) = match batch.lane().kind {
            HotKind::Readings => (append(&mut lists.readings, bytes, READINGS_MAX), true),
            HotKind::Steps => {
                let fits = append(&mut lists.steps, bytes, STEPS_MAX);
                (fits, lists.steps.len() >= STEPS_WAKE)
            }
        };
        drop(lists);
        if worth_it {
            // Full: it will look anyway.
            let _ = self.wake.try_send(());
        }
        fits
    }

    fn lists(&self) -> MutexGuard<'_, Lists> {
        self.lists.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn append<T: bytemuck::Pod>(list: &mut Vec<T>, bytes: &[u8], most: usize) -> bool {
    let records = bytes.chunks_exact(size_of::<T>());
    let fits = list.len() + records.len() <= most;
    if fits {
        list.extend(records.map(bytemuck::pod_read_unaligned::<T>));
    }
    fits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_wait_in_their_order_and_what_does_not_fit_is_refused_whole() {
        let values: Vec<u64> = (0..5).collect();
        let mut list: Vec<u64> = Vec::new();
        assert!(append(&mut list, bytemuck::cast_slice(&values), 8));
        assert!(!append(&mut list, bytemuck::cast_slice(&values), 8));
        assert!(append(&mut list, bytemuck::cast_slice(&values[..3]), 8));
        assert_eq!(list, [0, 1, 2, 3, 4, 0, 1, 2]);
    }
}
