//! `/proc/stat`: time spent by each CPU, context switches, blocked tasks.

use super::bytes::{Fields, fields, lines, number};

/// Which CPU a row of times is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cpu {
    /// All CPUs together.
    All,
    /// The CPU of this number.
    Core(u32),
}

/// Time spent by a CPU since the node started, in clock ticks.
///
/// A guest's time is part of `user` already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CpuTimes {
    /// In user space, niced or not.
    pub user: u64,
    /// In the kernel, interrupts included.
    pub system: u64,
    /// Idle with nothing outstanding.
    pub idle: u64,
    /// Idle with input or output outstanding.
    pub iowait: u64,
    /// Given to others by the hypervisor.
    pub steal: u64,
}

/// What the file says beside the times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stat {
    /// Context switches since the node started.
    pub context_switches: Option<u64>,
    /// Tasks in uninterruptible sleep.
    pub tasks_blocked: Option<u64>,
    /// Rows of times that made no sense.
    pub rows_refused: u32,
}

/// Reads the text of `/proc/stat`, handing each row of times to `cpu`.
pub fn parse(text: &[u8], mut cpu: impl FnMut(Cpu, CpuTimes)) -> Stat {
    let mut stat = Stat::default();
    for line in lines(text) {
        if let Some(row) = line.strip_prefix(b"cpu") {
            match times(row) {
                Some((which, times)) => cpu(which, times),
                None => stat.rows_refused += 1,
            }
        } else if let Some(rest) = line.strip_prefix(b"ctxt ") {
            stat.context_switches = fields(rest).number();
        } else if let Some(rest) = line.strip_prefix(b"procs_blocked ") {
            stat.tasks_blocked = fields(rest).number();
            // Nothing of ours stands behind it.
            break;
        }
    }
    stat
}

/// The row after its `cpu`; `None` with fewer columns than Linux 2.6.11 wrote.
#[inline]
fn times(row: &[u8]) -> Option<(Cpu, CpuTimes)> {
    let mut row_fields = fields(row);
    let which = match row.first()? {
        b' ' => Cpu::All,
        _ => Cpu::Core(u32::try_from(number(row_fields.next()?)?).ok()?),
    };
    Some((which, columns(&mut row_fields)?))
}

#[inline]
fn columns(row: &mut Fields<'_>) -> Option<CpuTimes> {
    let [user, nice, system, idle, iowait, irq, softirq, steal] = row.numbers()?;
    Some(CpuTimes {
        user: user.checked_add(nice)?,
        system: system.checked_add(irq)?.checked_add(softirq)?,
        idle,
        iowait,
        steal,
    })
}

/// Shares of the time between two rows, 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CpuShares {
    /// Neither idle nor waiting.
    pub busy: f64,
    /// In user space.
    pub user: f64,
    /// In the kernel.
    pub system: f64,
    /// Idle with input or output outstanding.
    pub iowait: f64,
    /// Given to others.
    pub steal: f64,
}

/// What two rows of times of one CPU say together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Between {
    /// Time has passed and went into these shares.
    Shares(CpuShares),
    /// No clock tick has passed.
    Nothing,
    /// A counter fell: the CPU was replugged, or the kernel corrected itself.
    WentBack,
}

impl CpuTimes {
    /// How the time since `before` was spent.
    #[must_use]
    pub fn since(&self, before: &Self) -> Between {
        let Some(delta) = self.minus(before) else { return Between::WentBack };
        let [user, system, idle, iowait, steal] =
            [delta.user, delta.system, delta.idle, delta.iowait, delta.steal].map(|n| n as f64);
        let total = user + system + idle + iowait + steal;
        if total == 0.0 {
            return Between::Nothing;
        }
        Between::Shares(CpuShares {
            busy: (user + system + steal) / total,
            user: user / total,
            system: system / total,
            iowait: iowait / total,
            steal: steal / total,
        })
    }

    fn minus(&self, before: &Self) -> Option<Self> {
        Some(Self {
            user: self.user.checked_sub(before.user)?,
            system: self.system.checked_sub(before.system)?,
            idle: self.idle.checked_sub(before.idle)?,
            iowait: self.iowait.checked_sub(before.iowait)?,
            steal: self.steal.checked_sub(before.steal)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::samplers::procfs::captures;

    type Rows = Vec<(Cpu, CpuTimes)>;

    fn parsed(text: &[u8]) -> (Rows, Stat) {
        let mut rows = Rows::new();
        let stat = parse(text, |cpu, times| rows.push((cpu, times)));
        (rows, stat)
    }

    fn times(user: u64, system: u64, idle: u64, iowait: u64, steal: u64) -> CpuTimes {
        CpuTimes { user, system, idle, iowait, steal }
    }

    #[track_caller]
    fn check(text: &[u8], rows: &[(Cpu, CpuTimes)], switches: Option<u64>, refused: u32) {
        let (got_rows, stat) = parsed(text);
        assert_eq!(got_rows, rows);
        assert_eq!((stat.context_switches, stat.rows_refused), (switches, refused));
    }

    #[test]
    fn a_capture_gives_every_cpu() {
        let (rows, stat) = parsed(captures::STAT);
        assert_eq!(
            rows.iter().map(|row| row.0).collect::<Vec<_>>(),
            [Cpu::All, Cpu::Core(0), Cpu::Core(1)]
        );
        assert!(stat.context_switches > Some(0));
        assert_eq!((stat.tasks_blocked, stat.rows_refused), (Some(CAPTURED_BLOCKED), 0));
    }

    const CAPTURED_BLOCKED: u64 = 0;

    #[test]
    fn rows_that_make_no_sense_are_refused_and_the_rest_is_kept() {
        let one = times(4, 16, 4, 5, 8);
        check(b"cpu  1 3 3 4 5 6 7 8 9 10\n", &[(Cpu::All, one)], None, 0);
        check(b"cpu  1 3 3 4 5 6 7 8\r\nctxt 9\r\n", &[(Cpu::All, one)], Some(9), 0);
        check(b"cpu12 1 3 3 4 5 6 7 8\n", &[(Cpu::Core(12), one)], None, 0);
        check(b"cpu  1 3 3 4 5 6 7\nctxt 9\n", &[], Some(9), 1);
        check(b"cpu  1 3 3 4 5 6 7 x\n", &[], None, 1);
        check(b"cpu\ncpu \ncpux 1 2 3 4 5 6 7 8\n", &[], None, 3);
        check(b"cpu99999999999 1 3 3 4 5 6 7 8\n", &[], None, 1);
        check(b"cpu0 1 3 3 4 5 6 7 99999999999999999999\n", &[], None, 1);
        check(b"cpu0 18446744073709551615 1 3 4 5 6 7 8\n", &[], None, 1);
        check(b"cpu0 1 3 3 4\0 5 6 7 8\n", &[], None, 1);
        check(b"ctxt\nctxt \nctxt x\n", &[], None, 0);
        check(b"\0\0\0\n", &[], None, 0);
    }

    #[test]
    fn a_cut_text_says_less_and_never_otherwise() {
        let (whole_rows, whole) = parsed(captures::STAT);
        for end in 0..captures::STAT.len() {
            let (rows, stat) = parsed(&captures::STAT[..end]);
            assert!(whole_rows.starts_with(&rows));
            assert!(stat.context_switches.is_none_or(|n| Some(n) == whole.context_switches));
            assert!(stat.tasks_blocked.is_none_or(|n| Some(n) == whole.tasks_blocked));
        }
    }

    #[test]
    fn shares_come_from_what_was_added() {
        let before = times(10, 10, 10, 10, 10);
        let after = times(12, 11, 14, 12, 11);
        let shares = CpuShares { busy: 0.4, user: 0.2, system: 0.1, iowait: 0.2, steal: 0.1 };
        assert_eq!(after.since(&before), Between::Shares(shares));
        assert_eq!(before.since(&before), Between::Nothing);
        assert_eq!(times(12, 11, 9, 12, 11).since(&before), Between::WentBack);
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(text in proptest::collection::vec(any::<u8>(), 0..512)) {
            parsed(&text);
        }

        #[test]
        fn cpu_like_lines_are_survived(text in "(cpu[0-9 x]{0,40}\n?){0,8}") {
            parsed(text.as_bytes());
        }

        #[test]
        fn shares_stay_between_nothing_and_all(a in any::<[u64; 5]>(), b in any::<[u64; 5]>()) {
            let row = |v: [u64; 5]| times(v[0], v[1], v[2], v[3], v[4]);
            if let Between::Shares(shares) = row(a).since(&row(b)) {
                let parts = [shares.busy, shares.user, shares.system, shares.iowait, shares.steal];
                prop_assert!(parts.iter().all(|part| (0.0..=1.000_000_1).contains(part)));
            }
        }
    }
}
