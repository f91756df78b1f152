//! What a buffer lost, as `per_cpu/cpu*/stats` counts it.

/// A longer text is not read.
pub const STATS_BYTES_MAX: usize = 1024;

/// Records lost since the buffer was made: overwritten before they were read,
/// not written since the buffer was full, or not written since an interrupt's
/// own records had filled it. Nothing where the text does not say the first.
#[must_use]
pub fn lost(text: &[u8]) -> Option<u64> {
    let count = |name: &str| {
        text.split(|byte| *byte == b'\n').find_map(|line| {
            let line = std::str::from_utf8(line).ok()?;
            line.trim().strip_prefix(name)?.strip_prefix(':')?.trim().parse::<u64>().ok()
        })
    };
    let others = ["commit overrun", "dropped events"].map(|name| count(name).unwrap_or(0));
    Some(others.iter().fold(count("overrun")?, |sum, one| sum.saturating_add(*one)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lost_is_the_sum_of_what_was_overwritten_and_not_written() {
        for (text, expected) in [
            (&b"entries: 1\noverrun: 7\ncommit overrun: 2\nbytes: 9\nnow ts: 1.5\ndropped events: 1\nread events: 0\n"[..], Some(10)),
            (b"overrun: 7", Some(7)),
            (b"commit overrun: 2\n", None),
            (b"overrun: -1\n", None),
            (b"overrun: 18446744073709551615\ndropped events: 1\n", Some(u64::MAX)),
            (b"\xffoverrun: 1\noverrun 2", None),
            (b"", None),
        ] {
            assert_eq!(lost(text), expected, "{}", text.escape_ascii());
        }
    }
}
