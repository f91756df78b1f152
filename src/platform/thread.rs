//! Named threads on chosen processors.

use std::io;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity, set_current_timer_slack};

use super::atomic::{AtomicBool, Ordering};
use super::clock;

/// Asks threads to end; cheap to look at in every round.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Asks.
    pub fn raise(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether somebody asked.
    #[must_use]
    pub fn is_raised(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    /// Sleeps until `CLOCK_MONOTONIC` reaches `due_ns`, looking at this flag
    /// at least five times a second, so that slow rounds still end soon.
    pub fn sleep_until(&self, due_ns: u64) {
        const LOOK_NS: u64 = clock::SECOND_NS / 5;
        loop {
            let now_ns = clock::monotonic_ns();
            if now_ns >= due_ns || self.is_raised() {
                return;
            }
            clock::sleep_until(due_ns.min(now_ns + LOOK_NS));
        }
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
