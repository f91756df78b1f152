//! `/proc/self/stat` and `statm`: a process' CPU time, threads, memory.

use crate::samplers::procfs::{fields, lines, number};

/// What `stat` says about a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Process {
    /// CPU time in user space and in the kernel, all threads, in clock ticks.
    pub cpu_ticks: u64,
    /// Threads.
    pub threads: u64,
}

/// Reads the text of `/proc/<pid>/stat`; `None` unless it makes sense as a whole.
///
/// The command in parentheses may itself hold blanks and parentheses, so the
/// columns are counted from the last one.
#[must_use]
pub fn stat(text: &[u8]) -> Option<Process> {
    // The command may hold a line feed too; the text ends in one of its own.
    let text = text.strip_suffix(b"\n")?;
    let command_end = memchr::memrchr(b')', text)?;
    // The state, which is column 3, comes next; the times are 14 and 15, the
    // threads are 20.
    let mut columns = fields(&text[command_end + 1..]);
    let user = number(columns.nth(11)?)?;
    let system = columns.number()?;
    let threads = number(columns.nth(4)?)?;
    Some(Process { cpu_ticks: user.checked_add(system)?, threads })
}

/// Reads the text of `/proc/<pid>/statm`: resident memory, in pages.
#[must_use]
pub fn resident_pages(text: &[u8]) -> Option<u64> {
    let [_size, resident] = fields(lines(text).next()?).numbers()?;
    Some(resident)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::samplers::procfs::captures;

    #[track_caller]
    fn check(text: &[u8], expected: Option<(u64, u64)>) {
        assert_eq!(stat(text).map(|process| (process.cpu_ticks, process.threads)), expected);
    }

    #[test]
    fn captures_are_read() {
        check(captures::SELF_STAT, Some((0, 1)));
        assert!(resident_pages(captures::SELF_STATM) > Some(0));
    }

    #[test]
    fn a_stat_is_read_as_a_whole_or_not_at_all() {
        check(b"1 (a) R 1 1 1 0 -1 1 1 0 0 0 30 4 0 0 20 0 7 0\n", Some((34, 7)));
        check(b"1 (a b) ) \n(x) R 1 1 1 0 -1 1 1 0 0 0 30 4 0 0 20 0 7 0\n", Some((34, 7)));
        check(b"1 (a) R 1 1 1 0 -1 1 1 0 0 0 30 4 0 0 20 0 7", None);
        check(b"1 (a) R 1 1 1 0 -1 1 1 0 0 0 30 4 0 0 20 0\n", None);
        check(b"1 (a) R 1 1 1 0 -1 1 1 0 0 0 x 4 0 0 20 0 7 0\n", None);
        check(b"1 (a) R 1 1 1 0 -1 1 1 0 0 0 18446744073709551615 4 0 0 20 0 7 0\n", None);
        check(b"1 a R 1 1 1 0 -1 1 1 0 0 0 30 4 0 0 20 0 7 0\n", None);
        check(b")\n", None);
        check(b"", None);
    }

    #[test]
    fn resident_pages_are_the_second_number() {
        for (text, expected) in [
            (&b"765 440 412 5 0 123 0\n"[..], Some(440)),
            (b"765 440\r\n", Some(440)),
            (b"765\n", None),
            (b"765 x\n", None),
            (b"765 99999999999999999999\n", None),
            (b"765 440", None),
            (b"765 440\0\n", None),
            (b"", None),
        ] {
            assert_eq!(resident_pages(text), expected);
        }
    }

    #[test]
    fn a_cut_text_says_nothing() {
        for end in 0..captures::SELF_STAT.len() {
            check(&captures::SELF_STAT[..end], None);
        }
        for end in 0..captures::SELF_STATM.len() {
            assert_eq!(resident_pages(&captures::SELF_STATM[..end]), None);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(text in proptest::collection::vec(any::<u8>(), 0..256)) {
            let _ = (stat(&text), resident_pages(&text));
        }

        #[test]
        fn any_command_is_survived(command in "[\\PC\n]{0,20}", ticks in any::<u32>()) {
            let text = format!("1 ({command}) S 1 1 1 0 -1 1 1 0 0 0 {ticks} 1 0 0 20 0 3 0\n");
            let process = stat(text.as_bytes()).expect("the columns are there");
            prop_assert_eq!((process.cpu_ticks, process.threads), (u64::from(ticks) + 1, 3));
        }
    }
}
