//! One record of `/dev/kmsg`, as the kernel's ABI describes it
//! (Documentation/ABI/testing/dev-kmsg).
//!
//! `prio,sequence,µs,flags[,more];text`, then lines of ` KEY=value`. What is
//! not printable stands as `\xNN`. The bytes may come from anywhere.

/// Longest record that the kernel hands out; a read with less room loses it.
pub const RECORD_BYTES_MAX: usize = 8192;

/// Where the header must end.
const HEADER_BYTES_MAX: usize = 128;

/// A record, in place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// The facility of syslog(3); 0 is the kernel.
    pub facility: u16,
    /// The level of syslog(3), 0 (emergency) to 7 (debug).
    pub level: u8,
    /// One up with every record since boot.
    pub sequence: u64,
    /// µs on the clock of the log, which starts with the kernel.
    pub time_us: u64,
    /// Whether it goes on where the record before stopped.
    pub fragment: bool,
    /// The text as it stands, with its `\xNN`.
    pub text: &'a [u8],
    fields: &'a [u8],
}

impl<'a> Record<'a> {
    /// The record that `bytes` are; nothing where they are none.
    #[must_use]
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let head = &bytes[..bytes.len().min(HEADER_BYTES_MAX)];
        let end = memchr::memchr(b';', head)?;
        let (priority, rest) = number(&head[..end])?;
        let (sequence, rest) = number(rest.strip_prefix(b",")?)?;
        let (time_us, rest) = number(rest.strip_prefix(b",")?)?;
        let (&flag, rest) = rest.strip_prefix(b",")?.split_first()?;
        let ends = rest.first().is_none_or(|&byte| byte == b',');
        if !ends || !matches!(flag, b'-' | b'c' | b'+') {
            return None;
        }
        let (facility, level) = split(priority)?;
        let body = &bytes[end + 1..];
        let line = memchr::memchr(b'\n', body).unwrap_or(body.len());
        let (text, fields) = body.split_at(line);
        let fragment = flag != b'-';
        Some(Self { facility, level, sequence, time_us, fragment, text, fields })
    }

    /// The value of a field such as `DEVICE`, as it stands; empty where there
    /// is none.
    #[must_use]
    pub fn field(&self, key: &str) -> &'a [u8] {
        self.fields
            .split(|&byte| byte == b'\n')
            .filter_map(|line| line.strip_prefix(b" ")?.strip_prefix(key.as_bytes()))
            .find_map(|rest| rest.strip_prefix(b"="))
            .unwrap_or_default()
    }
}

/// Facility and level of a priority.
pub(super) fn split(priority: u64) -> Option<(u16, u8)> {
    Some((u16::try_from(priority >> 3).ok()?, (priority & 7) as u8))
}

/// The digits at the start of `text` as a number, and what follows.
pub(super) fn number(text: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0_u64;
    let mut digits = 0;
    for &byte in text {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            break;
        }
        // Nineteen digits always fit; only a longer number needs care.
        value = if digits < 19 {
            value.wrapping_mul(10).wrapping_add(u64::from(digit))
        } else {
            value.checked_mul(10)?.checked_add(u64::from(digit))?
        };
        digits += 1;
    }
    (digits > 0).then(|| (value, &text[digits..]))
}

/// What an escaped text says, at most `bytes_max` bytes of it.
#[must_use]
pub fn decoded(text: &[u8], bytes_max: usize) -> String {
    let mut bytes = Vec::with_capacity(text.len().min(bytes_max));
    let mut rest = text;
    while let Some((&byte, behind)) = rest.split_first()
        && bytes.len() < bytes_max
    {
        let (byte, next) = match escape(rest) {
            Some(byte) => (byte, &rest[4..]),
            None => (byte, behind),
        };
        bytes.push(byte);
        rest = next;
    }
    shown(&bytes, bytes_max)
}

/// The byte that `\xNN` at the start of `text` stands for.
fn escape(text: &[u8]) -> Option<u8> {
    let &[b'\\', b'x', high, low, ..] = text else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

/// `text` as it can be shown, at most `bytes_max` bytes of it: what is no
/// UTF-8 is replaced, and of control characters only tabs and line feeds stay,
/// so that a line cannot command somebody's terminal.
#[must_use]
pub fn shown(text: &[u8], bytes_max: usize) -> String {
    let text = &text[..text.len().min(bytes_max)];
    let mut out = String::with_capacity(text.len());
    for piece in text.utf8_chunks() {
        for c in piece.valid().chars() {
            match c {
                '\n' | '\t' => out.push(c),
                c if c.is_control() => out.extend(c.escape_default()),
                c => out.push(c),
            }
        }
        if !piece.invalid().is_empty() {
            out.push(char::REPLACEMENT_CHARACTER);
        }
    }
    out.truncate(out.floor_char_boundary(bytes_max));
    out.truncate(out.trim_end_matches('\n').len());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_taken_apart() {
        let bytes = b"4,2101,88123456,-;pcieport: AER: a\\x0ab\n SUBSYSTEM=pci\n DEVICE=+pci:0000:50:00.0\n";
        let record = Record::parse(bytes).unwrap();
        assert_eq!((record.facility, record.level, record.sequence), (0, 4, 2101));
        assert_eq!((record.time_us, record.fragment), (88_123_456, false));
        assert_eq!(record.text, b"pcieport: AER: a\\x0ab");
        assert_eq!(record.field("SUBSYSTEM"), b"pci");
        assert_eq!(record.field("DEVICE"), b"+pci:0000:50:00.0");
        assert_eq!(record.field("DEV"), b"");
    }

    #[test]
    fn headers_of_every_age_are_understood_and_nonsense_is_not() {
        for (bytes, expected) in [
            (&b"691,41022,9931220011,-;x"[..], Some((86, 3, 41022, false))),
            (b"4,2102,88123500,c;x", Some((0, 4, 2102, true))),
            (b"6,7,8,+;x", Some((0, 6, 7, true))),
            (b"6,7,8,-,caller=T1;x", Some((0, 6, 7, false))),
            (b"6,7,8,-,1,2,3;", Some((0, 6, 7, false))),
            (b"6,7,8;x", None),
            (b"6,7,8,-x;x", None),
            (b"6,7,8,?;x", None),
            (b"-6,7,8,-;x", None),
            (b"6,7,,-;x", None),
            (b"6 7 8 -;x", None),
            (b"524288,1,1,-;facility over 16 bits", None),
            (b"6,18446744073709551616,8,-;x", None),
            (b"6,7,8,-", None),
            (b"", None),
        ] {
            let found = Record::parse(bytes);
            let found = found.map(|r| (r.facility, r.level, r.sequence, r.fragment));
            assert_eq!(found, expected, "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn escapes_become_text_that_commands_no_terminal() {
        for (text, expected) in [
            (&b"a\\x0ab\\x09c"[..], "a\nb\tc"),
            (b"\\x5cx41 \\x41", "\\x41 A"),
            (b"\\xe2\\x82\\xac", "\u{20ac}"),
            (b"\\xff\\x1b[2J\\x00", "\u{fffd}\\u{1b}[2J\\u{0}"),
            (b"\\xzz \\x4", "\\xzz \\x4"),
            (b"ends\\x0a", "ends"),
        ] {
            assert_eq!(decoded(text, 100), expected);
        }
        assert_eq!(decoded(&[b'a'; 50], 7), "aaaaaaa");
        assert_eq!(decoded(b"a\\xe2\\x82\\xac", 3), "a");
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_give_a_record_within_them_or_none(bytes: Vec<u8>, max in 0_usize..64) {
            if let Some(record) = Record::parse(&bytes) {
                proptest::prop_assert!(record.text.len() < bytes.len());
            }
            let text = decoded(&bytes, max);
            proptest::prop_assert!(text.len() <= max);
            proptest::prop_assert!(!text.chars().any(|c| c.is_control() && c != '\n' && c != '\t'));
        }
    }
}
