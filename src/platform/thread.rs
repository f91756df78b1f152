//! Named threads on chosen processors.

use std::io;
use std::num::NonZeroU64;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity, set_current_timer_slack};

use super::atomic::{AtomicBool, Ordering};
use super::clock;
use super::poll::Bell;

/// Asks threads to end; cheap to look at in every round, and wakes whoever
/// sleeps on it.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    raised: AtomicBool,
    /// Bells to ring when it is raised.
    bells: Mutex<Vec<Arc<Bell>>>,
    raising: Condvar,
}

impl Stop {
    /// Asks.
    pub fn raise(&self) {
        // Under the lock, so that nobody looks before and sleeps after.
        let bells = self.bells();
        self.0.raised.store(true, Ordering::Release);
        self.0.raising.notify_all();
        bells.iter().for_each(|bell| bell.ring());
    }

    /// Whether somebody asked.
    #[must_use]
    pub fn is_raised(&self) -> bool {
        self.0.raised.load(Ordering::Acquire)
    }

    /// Rings `bell` when somebody asks, for a thread that waits on descriptors.
    pub fn ring(&self, bell: Arc<Bell>) {
        let mut bells = self.bells();
        if self.is_raised() {
            bell.ring();
        }
        bells.push(bell);
    }

    /// Sleeps until `CLOCK_MONOTONIC` reaches `due_ns`, or until somebody
    /// asks.
    pub fn sleep_until(&self, due_ns: u64) {
        let mut bells = self.bells();
        while !self.is_raised() {
            let left_ns = due_ns.saturating_sub(clock::monotonic_ns());
            if left_ns == 0 {
                return;
            }
            let left = Duration::from_nanos(left_ns);
            let woken = self.0.raising.wait_timeout(bells, left);
            bells = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn bells(&self) -> MutexGuard<'_, Vec<Arc<Bell>>> {
        self.0.bells.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Starts a thread under `name` (cut to the kernel's 15 bytes), on `cpu` if
/// one is given, with timers as exact as the kernel can make them.
///
/// A processor that this process may not use leaves the thread unpinned: it
/// works, only with more jitter.
///
/// # Errors
///
/// When the system refuses another thread.
pub fn spawn<T: Send + 'static>(
    name: &str,
    cpu: Option<usize>,
    run: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    let name = name[..name.floor_char_boundary(15)].to_owned();
    Builder::new().name(name).spawn(move || {
        if let Some(cpu) = cpu {
            let _ = pin(cpu);
        }
        let _ = set_current_timer_slack(NonZeroU64::new(1));
        run()
    })
}

/// The processors that this process may use, in order.
#[must_use]
pub fn usable_cpus() -> Vec<usize> {
    let set = sched_getaffinity(None).unwrap_or_else(|_| CpuSet::new());
    (0..CpuSet::MAX_CPU).filter(|cpu| set.is_set(*cpu)).collect()
}

fn pin(cpu: usize) -> io::Result<()> {
    if cpu >= CpuSet::MAX_CPU {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut set = CpuSet::new();
    set.set(cpu);
    Ok(sched_setaffinity(None, &set)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_runs_under_its_name_on_its_processor() {
        let cpu = *usable_cpus().last().expect("at least one processor");
        let thread = spawn("ee-named-longer-than-fifteen", Some(cpu), move || {
            let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
            (std::thread::current().name().map(str::to_owned), status)
        });
        let (name, status) = thread.unwrap().join().unwrap();
        assert_eq!(name.as_deref(), Some("ee-named-longer"));
        let allowed = status.lines().find(|line| line.starts_with("Cpus_allowed_list")).unwrap();
        assert_eq!(allowed.split_whitespace().last(), Some(cpu.to_string().as_str()));
    }

    #[test]
    fn a_processor_that_is_not_there_leaves_the_thread_running() {
        assert_eq!(spawn("ee-far", Some(100_000), || 7).unwrap().join().unwrap(), 7);
    }
}
