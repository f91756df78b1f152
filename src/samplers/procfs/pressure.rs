//! `/proc/pressure/…`: time in which tasks waited for a resource.

use super::bytes::{fields, lines, number};

/// Time since the node started, in microseconds; `None` where the kernel is silent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pressure {
    /// Some task waited.
    pub some_us: Option<u64>,
    /// All tasks waited.
    pub full_us: Option<u64>,
}

/// Reads the text of one file below `/proc/pressure`.
#[must_use]
pub fn parse(text: &[u8]) -> Pressure {
    let mut pressure = Pressure::default();
    for line in lines(text) {
        if let Some(rest) = line.strip_prefix(b"some ") {
            pressure.some_us = total(rest);
        } else if let Some(rest) = line.strip_prefix(b"full ") {
            pressure.full_us = total(rest);
        }
    }
    pressure
}

/// The total stands last today, but a later kernel may add to the line.
#[inline]
fn total(line: &[u8]) -> Option<u64> {
    let last = line.iter().rposition(|&byte| byte == b' ').map_or(line, |at| &line[at + 1..]);
    let of = |field: &[u8]| field.strip_prefix(b"total=").and_then(number);
    of(last).or_else(|| fields(line).find(|field| field.starts_with(b"total=")).and_then(of))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::samplers::procfs::captures;

    #[track_caller]
    fn check(text: &[u8], some_us: Option<u64>, full_us: Option<u64>) {
        assert_eq!(parse(text), Pressure { some_us, full_us });
    }

    #[test]
    fn captures_give_both_rows() {
        for text in captures::PRESSURE {
            let pressure = parse(text);
            assert!(pressure.some_us.is_some() && pressure.full_us.is_some());
            assert!(pressure.full_us <= pressure.some_us);
        }
    }

    #[test]
    fn a_row_that_makes_no_sense_is_absent() {
        let averages = "avg10=0.00 avg60=0.10 avg300=0.00";
        check(format!("some {averages} total=7\n").as_bytes(), Some(7), None);
        check(format!("full {averages} total=7 more=8\r\n").as_bytes(), None, Some(7));
        check(format!("some {averages} total=\nfull {averages}\n").as_bytes(), None, None);
        check(b"some total=-1\nfull total=99999999999999999999\n", None, None);
        check(b"some total=1\nfull total=2", Some(1), None);
        check(b"some total=1\0\n\0full total=2\nsometotal=4\n", None, None);
        check(b"", None, None);
    }

    #[test]
    fn a_cut_text_says_less_and_never_otherwise() {
        for text in captures::PRESSURE {
            let whole = parse(text);
            for end in 0..text.len() {
                let cut = parse(&text[..end]);
                assert!(cut.some_us.is_none() || cut.some_us == whole.some_us);
                assert!(cut.full_us.is_none());
            }
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(text in proptest::collection::vec(any::<u8>(), 0..256)) {
            let _ = parse(&text);
        }

        #[test]
        fn a_total_is_read_as_written(some in any::<u64>(), full in any::<u64>()) {
            let text = format!("some avg10=1.00 total={some}\nfull avg10=0.00 total={full}\n");
            let expected = Pressure { some_us: Some(some), full_us: Some(full) };
            prop_assert_eq!(parse(text.as_bytes()), expected);
        }
    }
}
