//! Pieces of text: numbers, words, and what stands behind them.

/// Whole digits at the start, and what follows them.
pub(super) fn number(text: &str) -> Option<(u64, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, rest) = text.split_at(digits);
    Some((digits.parse().ok()?, rest))
}

/// Hexadecimal digits at the start, with 0x or without, and what follows.
pub(super) fn hex(text: &str) -> Option<(u64, &str)> {
    let text = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
    let digits = text.bytes().take_while(u8::is_ascii_hexdigit).count();
    let (digits, rest) = text.split_at(digits);
    Some((u64::from_str_radix(digits, 16).ok()?, rest))
}

/// What stands behind the first `word`.
pub(super) fn after<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    let at = memchr::memmem::find(text.as_bytes(), word.as_bytes())?;
    text.get(at + word.len()..)
}

/// Whether it holds a word.
pub(super) fn holds(text: &str, word: &str) -> bool {
    memchr::memmem::find(text.as_bytes(), word.as_bytes()).is_some()
}

/// The digits behind the first `word`.
pub(super) fn number_after(text: &str, word: &str) -> Option<u64> {
    number(after(text, word)?).map(|(value, _)| value)
}

/// The hexadecimal digits behind the first `word`.
pub(super) fn hex_after(text: &str, word: &str) -> Option<u64> {
    hex(after(text, word)?).map(|(value, _)| value)
}

/// As many bytes as are no end of a word.
pub(super) fn word(text: &str) -> (&str, &str) {
    let ends = |byte: u8| matches!(byte, b' ' | b',' | b';' | b':' | b')' | b'(' | b']' | b'"');
    let end = text.bytes().position(ends).unwrap_or(text.len());
    text.split_at(end)
}

/// A number that fits 32 bits.
pub(super) fn small(value: u64) -> Option<u32> {
    u32::try_from(value).ok()
}
