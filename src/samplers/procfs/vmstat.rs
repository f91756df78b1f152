//! `/proc/vmstat`: swapping, faults that needed input, kills for want of memory.

use super::bytes::{lines, number};

/// Counts since the node started; `None` for a row that is missing or unreadable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Vmstat {
    /// Pages read back from swap (`pswpin`).
    pub swapped_in_pages: Option<u64>,
    /// Pages written to swap (`pswpout`).
    pub swapped_out_pages: Option<u64>,
    /// Page faults that needed input (`pgmajfault`).
    pub major_faults: Option<u64>,
    /// Processes killed for want of memory (`oom_kill`, from Linux 4.13 on).
    pub oom_kills: Option<u64>,
}

/// Reads the text of `/proc/vmstat`, up to the last row that matters.
#[must_use]
pub fn parse(text: &[u8]) -> Vmstat {
    let mut counts = Vmstat::default();
    let mut rows_left = 4_u32;
    for line in lines(text) {
        // Of the first letters of 190 rows these two leave about half.
        if !matches!(line.first(), Some(b'p' | b'o')) {
            continue;
        }
        let Some(blank) = line.iter().position(|&byte| byte == b' ') else { continue };
        let value = match &line[..blank] {
            b"pswpin" => &mut counts.swapped_in_pages,
            b"pswpout" => &mut counts.swapped_out_pages,
            b"pgmajfault" => &mut counts.major_faults,
            b"oom_kill" => &mut counts.oom_kills,
            _ => continue,
        };
        *value = number(&line[blank + 1..]);
        rows_left -= 1;
        if rows_left == 0 {
            break;
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::samplers::procfs::captures;

    fn rows(counts: &Vmstat) -> [Option<u64>; 4] {
        [counts.swapped_in_pages, counts.swapped_out_pages, counts.major_faults, counts.oom_kills]
    }

    #[track_caller]
    fn check(text: &[u8], expected: [Option<u64>; 4]) {
        assert_eq!(rows(&parse(text)), expected);
    }

    #[test]
    fn a_capture_gives_every_row() {
        let counts = parse(captures::VMSTAT);
        assert_eq!((counts.swapped_in_pages, counts.oom_kills), (Some(0), Some(0)));
        assert!(counts.major_faults > Some(0));
    }

    #[test]
    fn a_row_that_makes_no_sense_is_absent() {
        check(b"oom_kill 4\npswpout 2\npgmajfault 3\npswpin 1\n", [1, 2, 3, 4].map(Some));
        check(b"pswpin 1\r\npswpout 2\r", [Some(1), None, None, None]);
        check(b"pswpin 99999999999999999999\noom_kill 1\n", [None, None, None, Some(1)]);
        check(b"pswpin\npswpout \npgmajfault x\noom_kill 1\0\n", [None; 4]);
        check(b"pswpin_more 1\n\0pswpin 1\n pswpin 1\n", [None; 4]);
    }

    #[test]
    fn a_cut_text_says_less_and_never_otherwise() {
        let whole = rows(&parse(captures::VMSTAT));
        for end in 0..captures::VMSTAT.len() {
            let cut = rows(&parse(&captures::VMSTAT[..end]));
            assert!(cut.iter().zip(whole).all(|(&cut, whole)| cut.is_none() || cut == whole));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(text in proptest::collection::vec(any::<u8>(), 0..512)) {
            let _ = parse(&text);
        }

        #[test]
        fn a_number_is_read_as_written(value in any::<u64>()) {
            let counts = parse(format!("x 1\npgmajfault {value}\n").as_bytes());
            prop_assert_eq!(counts.major_faults, Some(value));
        }
    }
}
