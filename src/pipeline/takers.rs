//! Who receives each batch.

use std::fmt;
use std::sync::Arc;

use super::{Batch, add};
use crate::platform::atomic::{AtomicU64, Ordering};

/// Takes a batch or says that it can't now; must not block. It runs on the
/// drain's thread: a taker with work to do has a queue and its own thread.
pub type Offer = Box<dyn FnMut(&Batch) -> bool + Send>;

/// A named taker.
pub struct Taker {
    name: &'static str,
    offer: Offer,
    counts: Arc<TakerCounts>,
    /// A taker that panicked is not asked again.
    dead: bool,
}

/// What was offered to a taker: `offered = queued + dropped`, in records.
#[derive(Debug, Default)]
pub struct TakerCounts {
    queued: AtomicU64,
    dropped: AtomicU64,
    batches_queued: AtomicU64,
    batches_dropped: AtomicU64,
}

impl TakerCounts {
    /// Records that it took.
    #[must_use]
    pub fn queued(&self) -> u64 {
        self.queued.load(Ordering::Relaxed)
    }

    /// Records it lost since it was full or gone.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Batches that it took.
    #[must_use]
    pub fn batches_queued(&self) -> u64 {
        self.batches_queued.load(Ordering::Relaxed)
    }

    /// Batches it lost since it was full or gone.
    #[must_use]
    pub fn batches_dropped(&self) -> u64 {
        self.batches_dropped.load(Ordering::Relaxed)
    }
}

impl Taker {
    /// A taker that receives batches through `offer`.
    #[must_use]
    pub fn new(name: &'static str, offer: Offer) -> Self {
        Self { name, offer, counts: Arc::default(), dead: false }
    }

    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// What was offered to it.
    #[must_use]
    pub fn counts(&self) -> Arc<TakerCounts> {
        Arc::clone(&self.counts)
    }

    pub(super) fn offer(&mut self, batch: &Batch) {
        let records = u64::from(batch.records());
        if self.take(batch) {
            add(&self.counts.queued, records);
            add(&self.counts.batches_queued, 1);
        } else {
            add(&self.counts.dropped, records);
            add(&self.counts.batches_dropped, 1);
        }
    }

    fn take(&mut self, batch: &Batch) -> bool {
        if self.dead {
            return false;
        }
        let offer = std::panic::AssertUnwindSafe(|| (self.offer)(batch));
        std::panic::catch_unwind(offer).unwrap_or_else(|_| {
            self.dead = true;
            false
        })
    }
}

impl fmt::Debug for Taker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Taker").field("name", &self.name).finish_non_exhaustive()
    }
}
