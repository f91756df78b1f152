//! `/proc/loadavg`: damped load, tasks that run, tasks that exist.

use super::bytes::{fields, lines, number};

/// Load of the node; `None` for a column that is missing or unreadable.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Loadavg {
    /// Damped over one minute.
    pub one: Option<f64>,
    /// Damped over five minutes.
    pub five: Option<f64>,
    /// Damped over fifteen minutes.
    pub fifteen: Option<f64>,
    /// Tasks running or ready to run.
    pub runnable: Option<u64>,
    /// Tasks that exist.
    pub tasks: Option<u64>,
}

/// Reads the text of `/proc/loadavg`.
#[must_use]
pub fn parse(text: &[u8]) -> Loadavg {
    let Some(line) = lines(text).next() else { return Loadavg::default() };
    let mut columns = fields(line);
    let mut load = || columns.next().and_then(decimal);
    let (one, five, fifteen) = (load(), load(), load());
    let tasks = columns.next().unwrap_or_default();
    let slash = tasks.iter().position(|&byte| byte == b'/');
    Loadavg {
        one,
        five,
        fifteen,
        runnable: slash.and_then(|at| number(&tasks[..at])),
        tasks: slash.and_then(|at| number(&tasks[at + 1..])),
    }
}

/// A number with a point and two digits, as the kernel writes a load.
#[inline]
fn decimal(field: &[u8]) -> Option<f64> {
    let point = field.len().checked_sub(3)?;
    (field[point] == b'.').then_some(())?;
    let whole = number(&field[..point])?;
    let hundredths = number(&field[point + 1..])?;
    Some(whole as f64 + hundredths as f64 / 100.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::samplers::procfs::captures;

    #[track_caller]
    fn check(text: &[u8], loads: [Option<f64>; 3], tasks: [Option<u64>; 2]) {
        let load = parse(text);
        assert_eq!([load.one, load.five, load.fifteen], loads);
        assert_eq!([load.runnable, load.tasks], tasks);
    }

    #[test]
    fn a_capture_gives_every_column() {
        let load = parse(captures::LOADAVG);
        assert!(load.one.is_some() && load.five.is_some() && load.fifteen.is_some());
        assert!(load.runnable >= Some(1) && load.tasks >= load.runnable);
    }

    #[test]
    fn a_column_that_makes_no_sense_is_absent() {
        let loads = [Some(0.5), Some(12.25), Some(1000.0)];
        check(b"0.50 12.25 1000.00 3/456 789\n", loads, [Some(3), Some(456)]);
        check(b"0.50 12.25 1000.00 3/456 789\r\n", loads, [Some(3), Some(456)]);
        check(b"0.50 12.25 1000.00\n", loads, [None, None]);
        check(b"0.50 12.25 1000.00 3 456\n", loads, [None, None]);
        check(b"0.50 12.25 1000.00 /\n", loads, [None, None]);
        check(b"0.5 x 1000.00 3/x\n", [None, None, Some(1000.0)], [Some(3), None]);
        check(b".50 -1.00 1e5.00 3/4\n", [None, None, None], [Some(3), Some(4)]);
        check(b"99999999999999999999.00 nan inf 3/4\n", [None; 3], [Some(3), Some(4)]);
        check(b"0.50\0 0\0.50 0.50\n", [None, None, Some(0.5)], [None, None]);
        check(b"0.50 12.25 1000.00 3/456", [None; 3], [None, None]);
        check(b"", [None; 3], [None, None]);
    }

    #[test]
    fn a_cut_text_says_nothing() {
        for end in 0..captures::LOADAVG.len() {
            assert_eq!(parse(&captures::LOADAVG[..end]), Loadavg::default());
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(text in proptest::collection::vec(any::<u8>(), 0..128)) {
            let _ = parse(&text);
        }

        #[test]
        fn a_load_is_read_as_written(load in 0_u32..10_000_000) {
            let text = format!("{}.{:02} 0.00 0.00 1/2 3\n", load / 100, load % 100);
            let read = parse(text.as_bytes()).one.expect("a load was written");
            prop_assert!((read - f64::from(load) / 100.0).abs() < 1e-9);
        }
    }
}
