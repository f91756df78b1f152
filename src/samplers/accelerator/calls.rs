//! Which call of a vendor's library runs on which thread, and since when.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::platform::atomic::{AtomicU64, Ordering};
use crate::platform::clock::{self, MILLISECOND_NS};

/// The calls of one thread. Its owner notes each before it begins; whoever
/// watches sees the one that does not return. Costs two looks at the clock and
/// two free locks a call.
#[derive(Debug, Clone, Default)]
pub struct Calls(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    running: Mutex<Option<Running>>,
    calls: AtomicU64,
    failed: AtomicU64,
    spent_ns: AtomicU64,
}

/// A call that has not returned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Running {
    /// Its name in the library.
    pub name: &'static str,
    /// The device that it asks, where the thread is not that device's own.
    pub device: String,
    /// When it began, monotonic ns.
    pub begun_ns: u64,
    /// How long it may last by its own meaning, ns: that of a wait.
    pub allowed_ns: u64,
}

/// Sums over calls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Calls that returned.
    pub calls: u64,
    /// Calls that answered with an error that was not to be expected.
    pub failed: u64,
    /// Time spent in them, ns.
    pub spent_ns: u64,
}

impl Calls {
    /// Makes the call `name` of the library.
    pub fn call<T>(&self, name: &'static str, call: impl FnOnce() -> T) -> T {
        self.run(name, String::new(), 0, call)
    }

    /// Makes the call `name` of the library about the device of this name, on
    /// a thread that is not that device's own.
    pub fn call_about<T>(&self, device: &str, name: &'static str, call: impl FnOnce() -> T) -> T {
        self.run(name, device.to_owned(), 0, call)
    }

    /// Makes a call that waits up to `limit_ms` by its own meaning; that time
    /// is not counted as spent.
    pub fn wait<T>(&self, name: &'static str, limit_ms: u32, call: impl FnOnce() -> T) -> T {
        self.run(name, String::new(), u64::from(limit_ms).max(1) * MILLISECOND_NS, call)
    }

    /// Counts a call that answered with an error that was not to be expected.
    pub fn failed(&self) {
        self.0.failed.fetch_add(1, Ordering::Relaxed);
    }

    /// The call that has not returned, if one runs.
    #[must_use]
    pub fn running(&self) -> Option<Running> {
        self.slot().clone()
    }

    /// What came of all calls so far.
    #[must_use]
    pub fn tally(&self) -> Tally {
        Tally {
            calls: self.0.calls.load(Ordering::Relaxed),
            failed: self.0.failed.load(Ordering::Relaxed),
            spent_ns: self.0.spent_ns.load(Ordering::Relaxed),
        }
    }

    fn run<T>(
        &self,
        name: &'static str,
        device: String,
        allowed_ns: u64,
        call: impl FnOnce() -> T,
    ) -> T {
        let begun_ns = clock::monotonic_ns();
        *self.slot() = Some(Running { name, device, begun_ns, allowed_ns });
        let answer = call();
        *self.slot() = None;
        self.0.calls.fetch_add(1, Ordering::Relaxed);
        if allowed_ns == 0 {
            let spent_ns = clock::monotonic_ns().saturating_sub(begun_ns);
            self.0.spent_ns.fetch_add(spent_ns, Ordering::Relaxed);
        }
        answer
    }

    fn slot(&self) -> MutexGuard<'_, Option<Running>> {
        self.0.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.calls += other.calls;
        self.failed += other.failed;
        self.spent_ns += other.spent_ns;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_seen_while_it_runs_and_counted_when_it_returned() {
        let calls = Calls::default();
        let seen = calls.call("one", || calls.running());
        assert_eq!(seen.map(|running| (running.name, running.allowed_ns)), Some(("one", 0)));
        assert_eq!(calls.running(), None);
        calls.wait("two", 5, || ());
        calls.failed();
        let tally = calls.tally();
        assert_eq!((tally.calls, tally.failed), (2, 1));
    }
}
