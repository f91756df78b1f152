//! The two clocks, and waiting for an instant.

use rustix::thread::{ClockId as SleepClock, clock_nanosleep_absolute};
use rustix::time::{ClockId, Timespec, clock_gettime};

/// A second in the unit of all our times.
pub const SECOND_NS: u64 = 1_000_000_000;

/// A millisecond in the unit of all our times.
pub const MILLISECOND_NS: u64 = 1_000_000;

/// `CLOCK_MONOTONIC` in ns: the clock of every age and deadline. All
/// processes of one host read the same one.
#[must_use]
pub fn monotonic_ns() -> u64 {
    nanoseconds(clock_gettime(ClockId::Monotonic))
}

/// `CLOCK_MONOTONIC_RAW` in ns: no time service bends its pace, so it runs
/// beside the clock by which the kernel stamps its log.
#[must_use]
pub fn monotonic_raw_ns() -> u64 {
    nanoseconds(clock_gettime(ClockId::MonotonicRaw))
}

/// `CLOCK_REALTIME` in ns since 1970: for people, never for arithmetic.
#[must_use]
pub fn wall_ns() -> u64 {
    nanoseconds(clock_gettime(ClockId::Realtime))
}

/// `CLOCK_BOOTTIME` in ns: as `CLOCK_MONOTONIC`, and the time in which the
/// machine was suspended too.
#[must_use]
pub fn boottime_ns() -> u64 {
    nanoseconds(clock_gettime(ClockId::Boottime))
}

/// Sleeps until `CLOCK_MONOTONIC` reaches `deadline_ns`. May return early when
/// a signal arrives.
pub fn sleep_until(deadline_ns: u64) {
    let _ = clock_nanosleep_absolute(SleepClock::Monotonic, &timespec(deadline_ns));
}

/// A number of ns as the kernel's type.
pub(crate) fn timespec(ns: u64) -> Timespec {
    Timespec { tv_sec: (ns / SECOND_NS) as i64, tv_nsec: (ns % SECOND_NS) as _ }
}

fn nanoseconds(time: Timespec) -> u64 {
    time.tv_sec.unsigned_abs() * SECOND_NS + time.tv_nsec.unsigned_abs()
}
