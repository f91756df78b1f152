//! One sampler on its own thread, and what others can see of it.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use super::{Outlet, Sampler, Woken};
use crate::platform::atomic::{AtomicU64, Ordering};
use crate::platform::clock;
use crate::platform::thread::{self, Stop};

/// How a sampler is doing. Its thread writes, anyone may look.
#[derive(Debug, Default)]
pub struct Progress {
    period_ns: AtomicU64,
    begun_ns: AtomicU64,
    ended_ns: AtomicU64,
    late_ns: AtomicU64,
    ticks: AtomicU64,
    overruns: AtomicU64,
}

impl Progress {
    /// Of a sampler with this period, as of now.
    #[must_use]
    pub fn new(period_ns: u64, now_ns: u64) -> Self {
        let progress = Self::default();
        progress.period_ns.store(period_ns, Ordering::Relaxed);
        progress.ended_ns.store(now_ns, Ordering::Relaxed);
        progress
    }

    /// Whether two periods passed without a finished tick. A thread that
    /// hangs in a tick and one that never wakes look the same, and are.
    #[must_use]
    pub fn stalled(&self, now_ns: u64) -> bool {
        self.silent_ns(now_ns) > 2 * self.period_ns()
    }

    /// Time since the last finished tick, ns.
    #[must_use]
    pub fn silent_ns(&self, now_ns: u64) -> u64 {
        now_ns.saturating_sub(self.ended_ns.load(Ordering::Acquire))
    }

    /// The period, ns.
    #[must_use]
    pub fn period_ns(&self) -> u64 {
        self.period_ns.load(Ordering::Relaxed)
    }

    /// Finished ticks.
    #[must_use]
    pub fn ticks(&self) -> u64 {
        self.ticks.load(Ordering::Relaxed)
    }

    /// Ticks that took longer than the period, so that others were left out.
    #[must_use]
    pub fn overruns(&self) -> u64 {
        self.overruns.load(Ordering::Relaxed)
    }

    /// How late the last tick began, ns.
    #[must_use]
    pub fn late_ns(&self) -> u64 {
        self.late_ns.load(Ordering::Relaxed)
    }

    /// How long the last finished tick took, ns.
    #[must_use]
    pub fn tick_ns(&self) -> u64 {
        let begun = self.begun_ns.load(Ordering::Relaxed);
        self.ended_ns.load(Ordering::Relaxed).saturating_sub(begun)
    }

    fn begin(&self, now_ns: u64, due_ns: u64) {
        self.late_ns.store(now_ns.saturating_sub(due_ns), Ordering::Relaxed);
        self.begun_ns.store(now_ns, Ordering::Relaxed);
    }

    fn end(&self, now_ns: u64, due_ns: u64) {
        if now_ns > due_ns.saturating_add(self.period_ns()) {
            self.overruns.store(self.overruns() + 1, Ordering::Relaxed);
        }
        self.ticks.store(self.ticks() + 1, Ordering::Relaxed);
        self.ended_ns.store(now_ns, Ordering::Release);
    }
}

/// Starts `sampler` on the thread `ee-<name>`, on `cpu` if one is given.
///
/// # Errors
///
/// When the system refuses another thread.
pub fn start(
    name: &str,
    cpu: Option<usize>,
    sampler: Box<dyn Sampler>,
    outlet: Outlet,
    progress: Arc<Progress>,
    stop: Stop,
) -> io::Result<JoinHandle<()>> {
    thread::spawn(&format!("ee-{name}"), cpu, move || run(sampler, outlet, &progress, &stop))
}

/// Ticks until asked to stop. Deadlines are the multiples of the period on the
/// monotonic clock: a late tick does not push the next one, ticks that were
/// missed are left out, and samplers of one period tick together, so that what
/// they say travels together.
fn run(mut sampler: Box<dyn Sampler>, mut outlet: Outlet, progress: &Progress, stop: &Stop) {
    let period_ns = progress.period_ns();
    let mut due_ns = clock::monotonic_ns();
    while !stop.is_raised() {
        let now_ns = clock::monotonic_ns();
        progress.begin(now_ns, due_ns);
        sampler.tick(now_ns, &mut outlet);
        outlet.publish();
        let now_ns = clock::monotonic_ns();
        progress.end(now_ns, due_ns);
        due_ns = next_multiple(period_ns, now_ns);
        if sampler.wait(due_ns, stop) == Woken::Early {
            due_ns = clock::monotonic_ns();
        }
    }
}

/// The first multiple of the period that is later than now.
fn next_multiple(period_ns: u64, now_ns: u64) -> u64 {
    let period_ns = period_ns.max(1);
    (now_ns / period_ns + 1).saturating_mul(period_ns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samplers_of_one_period_are_due_together() {
        for (now_ns, due_ns) in [(0, 100), (99, 100), (100, 200), (101, 200), (950, 1000)] {
            assert_eq!(next_multiple(100, now_ns), due_ns);
        }
    }

    #[test]
    fn a_sampler_is_stalled_after_two_periods_without_a_finished_tick() {
        let progress = Progress::new(100, 1000);
        assert!(!progress.stalled(1200));
        assert!(progress.stalled(1201));
        progress.begin(1201, 1100);
        assert!(progress.stalled(1301), "a tick that does not end is no progress");
        progress.end(1310, 1100);
        assert!(!progress.stalled(1400));
        assert_eq!((progress.ticks(), progress.overruns(), progress.late_ns()), (1, 1, 101));
    }
}
