//! How batches reach the recorder's thread without holding anybody up.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::thread::Thread;
use std::time::Duration;

use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender, bounded};

use super::counts::{Counts, add};
use super::frame::FrameKind;
use super::write_by::WriteBy;
use super::writer::{FLUSH_NS, Writer};
use super::{At, Limits};
use crate::platform::atomic::{AtomicUsize, Ordering};
use crate::platform::clock::SECOND_NS;
use crate::platform::thread::Stop;

/// Batches that say what is known now: names first, then newest values. A
/// segment begins with them.
pub type Known = Box<dyn FnMut() -> Vec<Bytes> + Send>;

/// Takes batches for the recorder; clones feed the same one. What it holds is
/// shared, not copied.
#[derive(Debug, Clone)]
pub struct Inlet {
    queue: Sender<Offered>,
    waiting: Arc<Waiting>,
    thread: Arc<OnceLock<Thread>>,
    counts: Arc<Counts>,
}

/// What stands in the queue, in two bounds: batches that share memory with
/// other takers are few, so that these have theirs back, and may come without
/// end; what was made for the recorder is small, comes in bursts, and matters.
#[derive(Debug)]
struct Waiting {
    shared: AtomicUsize,
    shared_max: usize,
    own: AtomicUsize,
}

/// The recorder before it has a thread.
pub struct Runner {
    queue: Receiver<Offered>,
    waiting: Arc<Waiting>,
    thread: Arc<OnceLock<Thread>>,
    folder: PathBuf,
    limits: Limits,
    backend: Option<WriteBy>,
    known: Known,
    counts: Arc<Counts>,
}

#[derive(Debug)]
struct Offered {
    at: At,
    what: What,
}

#[derive(Debug)]
enum What {
    /// Shared with other takers.
    Shared(Bytes),
    /// Made for the recorder.
    Own {
        bytes: Bytes,
        urgent: bool,
    },
    Tick,
}

/// A recorder into a folder with a queue of so many shared batches; without a
/// backend named, the best that works.
#[must_use]
pub fn recorder(
    folder: PathBuf,
    limits: Limits,
    backend: Option<WriteBy>,
    queue_batches: usize,
    known: Known,
) -> (Inlet, Runner) {
    let (queue_in, queue) = bounded(queue_batches + OWN_MAX);
    let waiting = Arc::new(Waiting {
        shared: AtomicUsize::new(0),
        shared_max: queue_batches,
        own: AtomicUsize::new(0),
    });
    let (thread, counts) = (Arc::default(), Arc::default());
    let inlet = Inlet {
        queue: queue_in,
        waiting: Arc::clone(&waiting),
        thread: Arc::clone(&thread),
        counts: Arc::clone(&counts),
    };
    (inlet, Runner { queue, waiting, thread, folder, limits, backend, known, counts })
}

impl Inlet {
    /// Takes a batch whose memory other takers share, or counts it as lost when
    /// so many wait already.
    pub fn offer(&self, bytes: Bytes) -> bool {
        let room = enter(&self.waiting.shared, self.waiting.shared_max);
        self.counted(room && self.send(What::Shared(bytes), false))
    }

    /// Takes a batch that was made for the recorder, such as an event's. What is
    /// urgent is made durable soon.
    pub fn keep(&self, bytes: Bytes, urgent: bool) -> bool {
        let room = enter(&self.waiting.own, OWN_MAX);
        self.counted(room && self.send(What::Own { bytes, urgent }, urgent))
    }

    /// Records that time passed, where somebody judges by it; a second without
    /// it brings one anyway.
    pub fn tick(&self) {
        if enter(&self.waiting.own, OWN_MAX) {
            self.send(What::Tick, false);
        }
    }

    /// What the recorder says of itself.
    #[must_use]
    pub fn counts(&self) -> Arc<Counts> {
        Arc::clone(&self.counts)
    }

    fn counted(&self, taken: bool) -> bool {
        add(&self.counts.offered, 1);
        if !taken {
            add(&self.counts.lost_full, 1);
        }
        taken
    }

    /// The thread looks by itself often enough for a node at rest; who fills
    /// the queue wakes it.
    fn send(&self, what: What, urgent: bool) -> bool {
        let sent = self.queue.try_send(Offered { at: At::now(), what }).is_ok();
        let wake = urgent || self.queue.len() >= self.waiting.shared_max / 4;
        if let (true, Some(thread)) = (wake, self.thread.get()) {
            thread.unpark();
        }
        sent
    }
}

impl Waiting {
    fn leave(&self, what: &What) {
        let places = match what {
            What::Shared(_) => &self.shared,
            What::Own { .. } | What::Tick => &self.own,
        };
        places.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Takes a place in the queue, where one is free.
fn enter(places: &AtomicUsize, most: usize) -> bool {
    let entered = places.fetch_add(1, Ordering::Relaxed) < most;
    if !entered {
        places.fetch_sub(1, Ordering::Relaxed);
    }
    entered
}

impl std::fmt::Debug for Runner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runner").field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl Runner {
    /// Records on this thread until asked to stop, then writes what is left.
    pub fn run(self, stop: &Stop) {
        let _ = self.thread.set(std::thread::current());
        let Self { queue, waiting, folder, limits, backend, known, counts, .. } = self;
        let mut writer =
            Writer::new(folder, limits, backend, known, Arc::clone(&counts), At::now());
        let mut telling = Telling::new(counts);
        loop {
            let stopping = stop.is_raised();
            // What keeps coming must not keep the rest of a turn away.
            for Offered { at, what } in queue.try_iter().take(ROUND_MAX) {
                waiting.leave(&what);
                match what {
                    What::Tick => writer.tick(at),
                    What::Shared(bytes) => writer.append(at, FrameKind::Batch, &bytes),
                    What::Own { bytes, urgent } => {
                        writer.append(at, FrameKind::Batch, &bytes);
                        if urgent {
                            writer.sync_soon();
                        }
                    }
                }
            }
            writer.turn(At::now());
            telling.turn();
            if !queue.is_empty() {
                continue;
            }
            if stopping {
                writer.close(At::now());
                return;
            }
            std::thread::park_timeout(Duration::from_nanos(FLUSH_NS));
        }
    }
}

/// Says in the log what changed, once.
struct Telling {
    counts: Arc<Counts>,
    trouble: Option<String>,
    lost: u64,
    told_ns: u64,
}

impl Telling {
    const fn new(counts: Arc<Counts>) -> Self {
        Self { counts, trouble: None, lost: 0, told_ns: 0 }
    }

    fn turn(&mut self) {
        /// Losses to a full queue are told together.
        const TOGETHER_NS: u64 = 60 * SECOND_NS;
        let trouble = self.counts.told().trouble;
        match (&self.trouble, &trouble) {
            (None, Some(sentence)) => tracing::warn!("recorder: {sentence}"),
            (Some(_), None) => tracing::info!("recorder: the disk takes batches again"),
            _ => {}
        }
        self.trouble = trouble;
        let (lost, _) = self.counts.lost();
        let now_ns = At::now().monotonic_ns;
        if lost > self.lost && now_ns >= self.told_ns {
            let more = lost - self.lost;
            tracing::warn!(
                "recorder: {more} batches were lost, since the disk is slower than they come"
            );
            (self.lost, self.told_ns) = (lost, now_ns + TOGETHER_NS);
        }
    }
}

/// Batches made for the recorder that wait at most: several times what a log's
/// first look brings at once.
const OWN_MAX: usize = 2048;

/// Batches appended in one turn.
const ROUND_MAX: usize = 1024;
