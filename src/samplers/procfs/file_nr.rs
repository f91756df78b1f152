//! `/proc/sys/fs/file-nr`: open file handles and their limit.

use super::bytes::{fields, lines};

/// File handles of the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileNr {
    /// Handles that exist.
    pub used: u64,
    /// Most that may exist.
    pub limit: u64,
}

/// Reads the text of `/proc/sys/fs/file-nr`; `None` unless all three numbers stand there.
#[must_use]
pub fn parse(text: &[u8]) -> Option<FileNr> {
    let mut columns = fields(lines(text).next()?);
    let [allocated, free, limit] = columns.numbers()?;
    Some(FileNr { used: allocated.checked_sub(free)?, limit })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::samplers::procfs::captures;

    #[track_caller]
    fn check(text: &[u8], expected: Option<(u64, u64)>) {
        assert_eq!(parse(text).map(|handles| (handles.used, handles.limit)), expected);
    }

    #[test]
    fn a_capture_gives_both_numbers() {
        let handles = parse(captures::FILE_NR).expect("the capture is whole");
        assert!(handles.used > 0 && handles.used < handles.limit);
    }

    #[test]
    fn what_makes_no_sense_is_absent() {
        check(b"10\t3\t100\n", Some((7, 100)));
        check(b"10 0 18446744073709551615\r\n", Some((10, u64::MAX)));
        check(b"10\t0\t99999999999999999999\n", None);
        check(b"3\t10\t100\n", None);
        check(b"10\t0\n", None);
        check(b"10\t0\t1\0\n", None);
        check(b"10\t0\t100", None);
        check(b"\n10\t0\t100\n", None);
        check(b"", None);
    }

    #[test]
    fn a_cut_text_says_nothing() {
        for end in 0..captures::FILE_NR.len() {
            check(&captures::FILE_NR[..end], None);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(text in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = parse(&text);
        }

        #[test]
        fn numbers_are_read_as_written(used in any::<u64>(), limit in any::<u64>()) {
            let expected = Some(FileNr { used, limit });
            prop_assert_eq!(parse(format!("{used}\t0\t{limit}\n").as_bytes()), expected);
        }
    }
}
