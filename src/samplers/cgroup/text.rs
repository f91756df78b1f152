//! What the files of a cgroup say, by the bytes of each.
//!
//! Every parser takes what it knows and leaves the rest absent; a later
//! kernel may add keys, and an older one lack some.

use crate::samplers::procfs::{fields, lines, number};

/// What stands for "no limit" in version 1 is the largest count of pages in
/// bytes, which depends on the page's size: 4 KiB give
/// 9,223,372,036,854,771,712 and 64 KiB the least of all.
const LIMIT_BYTES_MAX: u64 = 0x7fff_ffff_ffff_0000;

/// `cpu.stat` of either version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CpuStat {
    /// CPU time, µs; version 2.
    pub usage_us: Option<u64>,
    /// Of it in user space, µs; version 2.
    pub user_us: Option<u64>,
    /// Of it in the kernel, µs; version 2.
    pub system_us: Option<u64>,
    /// Periods in which a quota was enforced.
    pub periods: Option<u64>,
    /// Periods in which the quota was used up.
    pub throttled_periods: Option<u64>,
    /// Time held back, ns, whatever the version counts in.
    pub throttled_ns: Option<u64>,
}

/// Reads `cpu.stat`.
#[must_use]
pub fn cpu_stat(text: &[u8]) -> CpuStat {
    let mut stat = CpuStat::default();
    for (key, value) in keys(text) {
        match key {
            b"usage_usec" => stat.usage_us = value,
            b"user_usec" => stat.user_us = value,
            b"system_usec" => stat.system_us = value,
            b"nr_periods" => stat.periods = value,
            b"nr_throttled" => stat.throttled_periods = value,
            b"throttled_usec" => stat.throttled_ns = value.and_then(|us| us.checked_mul(1000)),
            b"throttled_time" => stat.throttled_ns = value,
            _ => {}
        }
    }
    stat
}

/// Reads `cpuacct.stat`: time in user space and in the kernel, in clock ticks.
#[must_use]
pub fn cpuacct_stat(text: &[u8]) -> [Option<u64>; 2] {
    values(text, [b"user", b"system"])
}

/// A file of one number.
#[must_use]
pub fn one(text: &[u8]) -> Option<u64> {
    number(lines(text).next()?)
}

/// A limit: `Some(None)` where there is none, `None` where it makes no sense.
pub type Limit = Option<Option<u64>>;

/// A file of one limit: `max`, -1 or a number too large to be one is none.
#[must_use]
pub fn limit(text: &[u8]) -> Limit {
    limit_of(lines(text).next()?)
}

/// Reads `cpu.max`: quota and period, µs.
#[must_use]
pub fn cpu_max(text: &[u8]) -> Option<(Option<u64>, u64)> {
    let mut fields = fields(lines(text).next()?);
    let quota = limit_of(fields.next()?)?;
    Some((quota, fields.number().filter(|&period| period > 0)?))
}

/// `memory.stat` of either version, bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MemoryStat {
    /// Inactive page cache, of all below in version 1 as well.
    pub inactive_file: Option<u64>,
    /// Swapped out; version 1.
    pub swap: Option<u64>,
}

/// Reads `memory.stat`.
///
/// Version 1 has each row twice, for the cgroup alone and, with `total_`, for
/// all below it as well; the latter comes later and counts.
#[must_use]
pub fn memory_stat(text: &[u8]) -> MemoryStat {
    let [inactive, total, swap] =
        values(text, [b"inactive_file", b"total_inactive_file", b"total_swap"]);
    MemoryStat { inactive_file: total.or(inactive), swap }
}

/// Reads `memory.events` or `memory.oom_control`: processes killed for want of
/// memory.
#[must_use]
pub fn oom_kills(text: &[u8]) -> Option<u64> {
    values(text, [b"oom_kill"])[0]
}

/// Reads `cgroup.events`: whether there are processes, and whether all are
/// frozen, which kernels before 5.2 do not say.
#[must_use]
pub fn events(text: &[u8]) -> [Option<bool>; 2] {
    values(text, [b"populated", b"frozen"]).map(|value| match value {
        Some(0) => Some(false),
        Some(1) => Some(true),
        _ => None,
    })
}

/// Reads `freezer.state`: whether every process is frozen.
#[must_use]
pub fn frozen(text: &[u8]) -> Option<bool> {
    match lines(text).next()? {
        b"FROZEN" => Some(true),
        b"THAWED" | b"FREEZING" => Some(false),
        _ => None,
    }
}

/// Reads `io.stat`: bytes read and written, over all devices.
///
/// A cgroup that never touched a device has an empty file and zero bytes.
#[must_use]
pub fn io_stat(text: &[u8]) -> [Option<u64>; 2] {
    let mut sums = [Some(0); 2];
    for line in lines(text) {
        for field in fields(line).skip(1) {
            for (sum, key) in sums.iter_mut().zip([&b"rbytes="[..], b"wbytes="]) {
                if let Some(value) = field.strip_prefix(key) {
                    *sum = add(*sum, number(value));
                }
            }
        }
    }
    sums
}

/// Reads `blkio.throttle.io_service_bytes_recursive`: the same in version 1.
#[must_use]
pub fn blkio(text: &[u8]) -> [Option<u64>; 2] {
    let mut sums = [Some(0); 2];
    for line in lines(text) {
        let mut fields = fields(line).skip(1);
        let (Some(kind), Some(value)) = (fields.next(), fields.next()) else { continue };
        for (sum, key) in sums.iter_mut().zip([b"Read".as_slice(), b"Write"]) {
            if kind == key {
                *sum = add(*sum, number(value));
            }
        }
    }
    sums
}

/// A sum is absent once a part of it is.
fn add(sum: Option<u64>, part: Option<u64>) -> Option<u64> {
    sum?.checked_add(part?)
}

fn limit_of(field: &[u8]) -> Limit {
    match field {
        b"max" | b"-1" => Some(None),
        _ => number(field).map(|value| (value < LIMIT_BYTES_MAX).then_some(value)),
    }
}

/// Lines of a key and a number.
fn keys(text: &[u8]) -> impl Iterator<Item = (&[u8], Option<u64>)> {
    lines(text).filter_map(|line| {
        let mut fields = fields(line);
        let key = fields.next()?;
        Some((key, fields.number()))
    })
}

/// The numbers under `wanted`; the last counts where a key stands twice.
///
/// The files with many rows are read for a few of them, so a row is only
/// taken apart once its key is seen to be wanted.
fn values<const N: usize>(text: &[u8], wanted: [&[u8]; N]) -> [Option<u64>; N] {
    let mut values = [None; N];
    for line in lines(text) {
        for (value, key) in values.iter_mut().zip(wanted) {
            if let Some(rest) = line.strip_prefix(key)
                && rest.first() == Some(&b' ')
            {
                *value = fields(rest).number();
            }
        }
    }
    values
}
