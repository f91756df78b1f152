//! Lines, fields and numbers in the text of the kernel, without allocating.
//!
//! Only a line that ends in a line feed counts: the kernel ends every line so,
//! and a line without one may have lost the last digits of its last number.

/// The complete lines of `text`, without their line feed or carriage return.
pub(crate) fn lines(text: &[u8]) -> Lines<'_> {
    Lines { rest: text }
}

/// An iterator over complete lines.
pub(crate) struct Lines<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        let end = memchr::memchr(b'\n', self.rest)?;
        let line = &self.rest[..end];
        self.rest = &self.rest[end + 1..];
        Some(line.strip_suffix(b"\r").unwrap_or(line))
    }
}

/// The fields of `line`, which blanks or tabs separate.
pub(crate) fn fields(line: &[u8]) -> Fields<'_> {
    Fields { rest: line }
}

/// An iterator over fields.
#[derive(Clone)]
pub(crate) struct Fields<'a> {
    rest: &'a [u8],
}

impl Fields<'_> {
    /// The next field as a whole number; `None` if it is anything else.
    ///
    /// This is where the time of a tick goes that the kernel does not take, so
    /// it passes over the digits once.
    #[inline]
    pub(crate) fn number(&mut self) -> Option<u64> {
        let mut rest = self.rest;
        while let Some((&byte, behind)) = rest.split_first()
            && is_blank(byte)
        {
            rest = behind;
        }
        let (value, behind) = leading_number(rest)?;
        self.rest = behind;
        behind.first().is_none_or(|&byte| is_blank(byte)).then_some(value)
    }

    /// The next `N` fields, if each of them is a whole number.
    #[inline]
    pub(crate) fn numbers<const N: usize>(&mut self) -> Option<[u64; N]> {
        let mut all = [0; N];
        for one in &mut all {
            *one = self.number()?;
        }
        Some(all)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        let start = self.rest.iter().position(|&byte| !is_blank(byte))?;
        let from = &self.rest[start..];
        let end = from.iter().position(|&byte| is_blank(byte)).unwrap_or(from.len());
        self.rest = &from[end..];
        Some(&from[..end])
    }
}

/// `field` as a whole number; `None` unless it is digits that fit 64 bits.
#[inline]
pub(crate) fn number(field: &[u8]) -> Option<u64> {
    let (value, behind) = leading_number(field)?;
    behind.is_empty().then_some(value)
}

/// The digits at the start of `text` as a number, and what follows them.
#[inline]
fn leading_number(text: &[u8]) -> Option<(u64, &[u8])> {
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

#[inline]
const fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lines_that_end_count() {
        let check = |text: &[u8], expected: &[&[u8]]| {
            assert_eq!(lines(text).collect::<Vec<_>>(), expected);
        };
        check(b"", &[]);
        check(b"one", &[]);
        check(b"one\ntwo", &[b"one"]);
        check(b"one\r\n\r\n\ntwo\n", &[b"one", b"", b"", b"two"]);
    }

    #[test]
    fn fields_are_what_stands_between_blanks() {
        let check = |line: &[u8], expected: &[&[u8]]| {
            assert_eq!(fields(line).collect::<Vec<_>>(), expected);
        };
        check(b"", &[]);
        check(b" \t ", &[]);
        check(b"  a\tbb   c ", &[b"a", b"bb", b"c"]);
        check(b"a\0b c", &[b"a\0b", b"c"]);
    }

    #[test]
    fn a_number_is_digits_that_fit() {
        for (field, expected) in [
            (&b"0"[..], Some(0)),
            (b"0012", Some(12)),
            (b"18446744073709551615", Some(u64::MAX)),
            (b"18446744073709551616", None),
            (b"99999999999999999999999", None),
            (b"", None),
            (b"-1", None),
            (b"+1", None),
            (b"1.5", None),
            (b"1\0", None),
            (b"0x1", None),
        ] {
            assert_eq!(number(field), expected, "{}", field.escape_ascii());
        }
    }
}
