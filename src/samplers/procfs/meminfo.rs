//! `/proc/meminfo`: memory and swap.

use super::bytes::{fields, lines};

/// Memory of the node, in bytes; `None` for a row that is missing or unreadable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Meminfo {
    /// `MemTotal`.
    pub total: Option<u64>,
    /// `MemAvailable`.
    pub available: Option<u64>,
    /// `Cached`.
    pub cached: Option<u64>,
    /// `Dirty`.
    pub dirty: Option<u64>,
    /// `SwapTotal`.
    pub swap_total: Option<u64>,
    /// `SwapFree`.
    pub swap_free: Option<u64>,
}

/// Reads the text of `/proc/meminfo`, up to the last row that matters.
#[must_use]
pub fn parse(text: &[u8]) -> Meminfo {
    let mut memory = Meminfo::default();
    let mut rows_left = 6_u32;
    for line in lines(text) {
        // The first letter passes over a third of the rows unread.
        if !matches!(line.first(), Some(b'M' | b'C' | b'D' | b'S')) {
            continue;
        }
        let Some(colon) = line.iter().position(|&byte| byte == b':') else { continue };
        let value = match &line[..colon] {
            b"MemTotal" => &mut memory.total,
            b"MemAvailable" => &mut memory.available,
            b"Cached" => &mut memory.cached,
            b"Dirty" => &mut memory.dirty,
            b"SwapTotal" => &mut memory.swap_total,
            b"SwapFree" => &mut memory.swap_free,
            _ => continue,
        };
        *value = bytes(&line[colon + 1..]);
        rows_left -= 1;
        if rows_left == 0 {
            break;
        }
    }
    memory
}

/// A count of kibibytes as bytes; any other unit is not understood.
#[inline]
fn bytes(value: &[u8]) -> Option<u64> {
    let mut parts = fields(value);
    let kibibytes = parts.number()?;
    (parts.next()? == b"kB").then_some(())?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::samplers::procfs::captures;

    #[track_caller]
    fn check(text: &[u8], total: Option<u64>, dirty: Option<u64>) {
        let memory = parse(text);
        assert_eq!((memory.total, memory.dirty), (total, dirty));
    }

    #[test]
    fn a_capture_gives_every_row() {
        let memory = parse(captures::MEMINFO);
        assert_eq!(memory.total, Some(24_684_084 * 1024));
        assert_eq!((memory.swap_total, memory.swap_free), (Some(0), Some(0)));
        assert!(memory.available > Some(0) && memory.cached > Some(0) && memory.dirty.is_some());
    }

    #[test]
    fn a_row_that_makes_no_sense_is_absent() {
        check(b"MemTotal: 3 kB\nDirty:\t4 kB\n", Some(3072), Some(4096));
        check(b"MemTotal: 3 kB\r\nDirty: 4 kB\r\n", Some(3072), Some(4096));
        check(b"MemTotal: 3 kB\nDirty: 4 k", Some(3072), None);
        check(b"MemTotal: 3\nDirty: 4 MB\n", None, None);
        check(b"MemTotal: 18446744073709551615 kB\nDirty: 1 kB\n", None, Some(1024));
        check(b"MemTotal: 99999999999999999999 kB\n", None, None);
        check(b"MemTotal: -3 kB\nDirty:\n", None, None);
        check(b"MemTotal\0: 3 kB\nDirty: 4\0 kB\n", None, None);
        check(b"NotMemTotal: 3 kB\nMemTotalNot: 3 kB\n:\n", None, None);
    }

    #[test]
    fn a_cut_text_says_less_and_never_otherwise() {
        let whole = parse(captures::MEMINFO);
        let rows =
            |m: &Meminfo| [m.total, m.available, m.cached, m.dirty, m.swap_total, m.swap_free];
        for end in 0..captures::MEMINFO.len() {
            let cut = parse(&captures::MEMINFO[..end]);
            for (cut, whole) in rows(&cut).into_iter().zip(rows(&whole)) {
                assert!(cut.is_none() || cut == whole);
            }
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(text in proptest::collection::vec(any::<u8>(), 0..512)) {
            let _ = parse(&text);
        }

        #[test]
        fn rows_come_in_any_number_and_order(
            rows in proptest::collection::vec((0_usize..7, any::<u32>()), 0..40),
        ) {
            let names = ["MemTotal", "Cached", "Dirty", "SwapFree", "SwapTotal", "MemAvailable", "X"];
            let mut text = String::new();
            for (name, value) in &rows {
                text += &format!("{}: {value} kB\n", names[*name]);
            }
            let memory = parse(text.as_bytes());
            let total = memory.total.map(|bytes| bytes / 1024);
            prop_assert!(total.is_none_or(|t| rows.iter().any(|r| r.0 == 0 && u64::from(r.1) == t)));
        }
    }
}
