//! Wakes one sleeping thread, at the price of one load while it is awake.
//!
//! The sleeper raises a flag, looks once more whether there is work, and only
//! then parks. A ringer makes its work visible, then looks at the flag. Each
//! side writes before it reads the other's word, so one of them must see the
//! other: the two fences below are what makes that true on every machine
//! (`models/doorbell.pml` shows the lost wake without either).

use super::atomic::{Arc, AtomicBool, Ordering, fence};

#[cfg(loom)]
use loom::thread::{Thread, current};
#[cfg(not(loom))]
use std::thread::{Thread, current};

/// The sleeper's end; stays on the thread that made it.
#[derive(Debug)]
pub struct Doorbell {
    shared: Arc<Shared>,
    /// A park belongs to one thread.
    _not_send: std::marker::PhantomData<*const ()>,
}

/// A ringer's end.
#[derive(Debug, Clone)]
pub struct Ringer {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    sleeping: AtomicBool,
    sleeper: Thread,
}

impl Doorbell {
    /// A doorbell that wakes the calling thread.
    #[must_use]
    pub fn for_this_thread() -> Self {
        let shared = Shared { sleeping: AtomicBool::new(false), sleeper: current() };
        Self { shared: Arc::new(shared), _not_send: std::marker::PhantomData }
    }

    /// An end for another thread.
    #[must_use]
    pub fn ringer(&self) -> Ringer {
        Ringer { shared: Arc::clone(&self.shared) }
    }

    /// Sleeps until rung, unless `work` says that there is something to do.
    /// With a `limit`, no longer than that. May return early.
    pub fn sleep(&self, limit: Option<std::time::Duration>, work: impl Fn() -> bool) {
        self.shared.sleeping.store(true, Ordering::Relaxed);
        // [flag before look] pairs with [work before flag].
        #[cfg(not(seeded_bug))]
        fence(Ordering::SeqCst);
        if !work() {
            park(limit);
        }
        self.shared.sleeping.store(false, Ordering::Relaxed);
    }
}

impl Ringer {
    /// Wakes the sleeper if it sleeps; costs a fence and a load if it does
    /// not. Call it after the work was made visible. Returns whether a wake
    /// was paid for.
    pub fn ring(&self) -> bool {
        // [work before flag] pairs with [flag before look].
        #[cfg(not(seeded_bug_ring))]
        fence(Ordering::SeqCst);
        let asleep = self.shared.sleeping.load(Ordering::Relaxed)
            && self.shared.sleeping.swap(false, Ordering::Relaxed);
        if asleep {
            self.shared.sleeper.unpark();
        }
        asleep
    }
}

#[cfg(not(loom))]
fn park(limit: Option<std::time::Duration>) {
    match limit {
        Some(limit) => std::thread::park_timeout(limit),
        None => std::thread::park(),
    }
}

#[cfg(loom)]
fn park(_limit: Option<std::time::Duration>) {
    loom::thread::park();
}

#[cfg(all(test, loom))]
mod loom_models {
    use super::*;
    use crate::platform::atomic::AtomicU64;

    /// Without a limit, a lost wake is a deadlock, which loom reports.
    #[test]
    fn loom_a_ring_after_the_last_look_wakes_the_sleeper() {
        loom::model(|| {
            let work = Arc::new(AtomicU64::new(0));
            let bell = Doorbell::for_this_thread();
            let ringer = bell.ringer();
            let handle = {
                let work = Arc::clone(&work);
                loom::thread::spawn(move || {
                    work.store(1, Ordering::Relaxed);
                    ringer.ring();
                })
            };
            while work.load(Ordering::Relaxed) == 0 {
                bell.sleep(None, || work.load(Ordering::Relaxed) != 0);
            }
            handle.join().expect("the ringer ends");
        });
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn nobody_pays_for_a_wake_while_the_sleeper_is_awake() {
        let bell = Doorbell::for_this_thread();
        assert!(!bell.ringer().ring());
    }

    #[test]
    fn work_that_is_there_is_not_slept_over() {
        Doorbell::for_this_thread().sleep(None, || true);
    }

    #[test]
    fn a_sleeper_wakes_by_itself_at_its_limit() {
        Doorbell::for_this_thread().sleep(Some(std::time::Duration::from_micros(1)), || false);
    }
}
