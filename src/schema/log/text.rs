//! One line of a log in any of its forms: records of `/dev/kmsg`, what `dmesg`
//! prints, what `journalctl` prints, what a syslog daemon writes.
//!
//! The form is found line by line, since files are often put together from
//! several. What a line does not say stays unknown. Any bytes may come.

use super::record::{Record, number, split};
use super::stamp::{self, Stamp};

/// Longest line that is looked at; the rest of a longer one is dropped.
pub const LINE_BYTES_MAX: usize = 8192;

/// A line, in place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Line<'a> {
    /// The facility of syslog(3), where the line says it or names the kernel.
    pub facility: Option<u16>,
    /// The level of syslog(3), 0 (emergency) to 7 (debug), where it says it.
    pub level: Option<u8>,
    /// When it was logged, where it says that.
    pub stamp: Option<Stamp>,
    /// The program that logged it, as a syslog daemon or journal names it;
    /// `kernel` is the kernel.
    pub program: Option<&'a [u8]>,
    /// The kernel's sequence number; 0 where the line has none.
    pub sequence: u64,
    /// Whether it goes on where the line before stopped.
    pub fragment: bool,
    /// Whether what is not printable stands as `\xNN`.
    pub escaped: bool,
    /// `DEVICE=`, as it stands; may be empty.
    pub device: &'a [u8],
    /// `SUBSYSTEM=`, as it stands; may be empty.
    pub subsystem: &'a [u8],
    /// What it says.
    pub text: &'a [u8],
}

impl<'a> Line<'a> {
    /// A record as a line.
    #[must_use]
    pub fn of_record(record: &Record<'a>) -> Self {
        Self {
            facility: Some(record.facility),
            level: Some(record.level),
            stamp: Some(Stamp::SinceBoot { us: record.time_us }),
            program: None,
            sequence: record.sequence,
            fragment: record.fragment,
            escaped: true,
            device: record.field("DEVICE"),
            subsystem: record.field("SUBSYSTEM"),
            text: record.text,
        }
    }

    /// Whether a program other than the kernel logged it.
    #[must_use]
    pub fn of_a_program(&self) -> bool {
        self.program.is_some_and(|program| program != b"kernel")
    }

    /// What it says, as it can be shown, at most `bytes_max` bytes of it.
    #[must_use]
    pub fn shown(&self, bytes_max: usize) -> String {
        let show = if self.escaped { super::record::decoded } else { super::record::shown };
        show(self.text, bytes_max)
    }
}

/// The line that `block` of [`Blocks`] is; nothing where it says nothing.
#[must_use]
pub fn parse_line(block: &[u8]) -> Option<Line<'_>> {
    let block = &block[..block.len().min(LINE_BYTES_MAX)];
    if let Some(record) = Record::parse(block) {
        return Some(Line::of_record(&record));
    }
    let block = block.trim_ascii_end();
    if block.is_empty() || block.starts_with(b"-- ") {
        return None;
    }
    let mut line = Line::default();
    let rest = priority(block, &mut line);
    let rest = priority_in_words(rest, &mut line);
    let versioned = line.level.and(rest.strip_prefix(b"1 "));
    let rest = match stamp::leading(versioned.unwrap_or(rest)) {
        None => rest,
        Some((stamp @ Stamp::SinceBoot { .. }, rest)) => {
            line.stamp = Some(stamp);
            behind_kernel(caller(rest), &mut line)
        }
        Some((stamp, behind)) => {
            line.stamp = Some(stamp);
            match versioned {
                Some(_) => structured(behind, &mut line),
                None if rest.starts_with(b"[") || comma_time(rest) => behind,
                None => named(behind, &mut line),
            }
        }
    };
    if line.program == Some(b"kernel") {
        line.facility = line.facility.or(Some(0));
    }
    line.text = rest;
    (!rest.is_empty()).then_some(line)
}

/// `<4>`, as `dmesg --raw` and syslog(2) give it.
fn priority<'a>(text: &'a [u8], line: &mut Line<'a>) -> &'a [u8] {
    let found = || {
        let (value, rest) = number(text.strip_prefix(b"<")?)?;
        Some((split(value)?, rest.strip_prefix(b">")?))
    };
    let Some(((facility, level), rest)) = found() else { return text };
    (line.facility, line.level) = (Some(facility), Some(level));
    rest
}

/// `kern  :warn  : `, as `dmesg --decode` gives it.
fn priority_in_words<'a>(text: &'a [u8], line: &mut Line<'a>) -> &'a [u8] {
    const FACILITIES: [&[u8]; 12] = [
        b"kern",
        b"user",
        b"mail",
        b"daemon",
        b"auth",
        b"syslog",
        b"lpr",
        b"news",
        b"uucp",
        b"cron",
        b"authpriv",
        b"ftp",
    ];
    const LEVELS: [&[u8]; 8] =
        [b"emerg", b"alert", b"crit", b"err", b"warn", b"notice", b"info", b"debug"];
    let found = || {
        let (facility, rest) = word(text)?;
        let (level, rest) = word(rest)?;
        let facility = FACILITIES.iter().position(|known| *known == facility)?;
        let level = LEVELS.iter().position(|known| *known == level)?;
        Some((facility as u16, level as u8, rest.strip_prefix(b" ")?))
    };
    let Some((facility, level, rest)) = found() else { return text };
    (line.facility, line.level) = (Some(facility), Some(level));
    rest
}

/// The word before blanks and a colon.
fn word(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = text.iter().take(16).position(|byte| !byte.is_ascii_lowercase())?;
    Some((&text[..end], text[end..].trim_ascii_start().strip_prefix(b":")?))
}

/// What follows `[T1234]` or `[C0]`, the thread or processor that logged.
fn caller(text: &[u8]) -> &[u8] {
    let found = || {
        let inside = text.strip_prefix(b"[")?.trim_ascii_start();
        let (_, rest) = number(inside.strip_prefix(b"T").or(inside.strip_prefix(b"C"))?)?;
        let rest = rest.strip_prefix(b"]")?;
        Some(rest.strip_prefix(b" ").unwrap_or(rest))
    };
    found().unwrap_or(text)
}

/// What follows `host kernel: `, which `journalctl -o short-monotonic` puts
/// behind its time. Other programs look there as the kernel's drivers do.
fn behind_kernel<'a>(text: &'a [u8], line: &mut Line<'a>) -> &'a [u8] {
    let found = || {
        let host = memchr::memchr(b' ', &text[..text.len().min(256)])?;
        text[host + 1..].strip_prefix(b"kernel: ")
    };
    let Some(rest) = found() else { return text };
    line.program = Some(b"kernel");
    rest
}

/// Whether a time of `dmesg --time-format iso` comes first: no host follows.
fn comma_time(text: &[u8]) -> bool {
    text.get(19) == Some(&b',')
}

/// What follows `host program[pid]: `, and the kernel's own time behind that.
fn named<'a>(text: &'a [u8], line: &mut Line<'a>) -> &'a [u8] {
    let Some(host) = memchr::memchr(b' ', text) else { return text };
    let text = &text[host + 1..];
    let end = text.iter().take(128).position(|byte| matches!(byte, b' ' | b':' | b'['));
    let Some(end) = end.filter(|end| *end > 0) else { return text };
    let (program, rest) = text.split_at(end);
    let rest = match rest.strip_prefix(b"[") {
        Some(inside) => number(inside).and_then(|(_, rest)| rest.strip_prefix(b"]")),
        None => Some(rest),
    };
    let Some(rest) = rest.and_then(|rest| rest.strip_prefix(b":")) else { return text };
    line.program = Some(program);
    without_kernel_time(rest.strip_prefix(b" ").unwrap_or(rest), line)
}

/// What follows `host program pid id data ` of RFC 5424.
fn structured<'a>(text: &'a [u8], line: &mut Line<'a>) -> &'a [u8] {
    let mut fields = text.splitn(5, |byte| *byte == b' ');
    let (Some(_), Some(program), Some(_), Some(_), Some(rest)) =
        (fields.next(), fields.next(), fields.next(), fields.next(), fields.next())
    else {
        return text;
    };
    line.program = Some(program);
    let mut rest = rest;
    while let Some(data) = rest.strip_prefix(b"[") {
        let Some(end) = data_end(data) else { break };
        rest = &data[end..];
    }
    let rest = rest.strip_prefix(b"- ").or(rest.strip_prefix(b" ")).unwrap_or(rest);
    let rest = rest.strip_prefix(b"\xef\xbb\xbf").unwrap_or(rest);
    without_kernel_time(rest, line)
}

/// Where structured data ends: behind a `]` outside of quotes.
fn data_end(data: &[u8]) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    let end = data.iter().position(|&byte| {
        let ends = byte == b']' && !quoted;
        quoted ^= byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    })?;
    Some(end + 1)
}

/// A daemon may leave the kernel's time in front of the text.
fn without_kernel_time<'a>(text: &'a [u8], line: &Line<'a>) -> &'a [u8] {
    match stamp::leading(text) {
        Some((Stamp::SinceBoot { .. }, rest)) if line.program == Some(b"kernel") => caller(rest),
        _ => text,
    }
}

/// Cuts bytes into blocks: a line, with the ` KEY=value` lines of its record.
#[derive(Debug, Clone)]
pub struct Blocks<'a> {
    rest: &'a [u8],
    whole: bool,
}

impl<'a> Blocks<'a> {
    /// The blocks of `bytes`. Where they are not the `whole` that there is,
    /// a last line without its line feed, or one whose fields may still
    /// come, stays in [`Self::rest`].
    #[must_use]
    pub const fn new(bytes: &'a [u8], whole: bool) -> Self {
        Self { rest: bytes, whole }
    }

    /// What was not given out.
    #[must_use]
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Where the line that begins at `from` ends, behind its line feed.
    fn line_end(&self, from: usize) -> Option<usize> {
        match memchr::memchr(b'\n', &self.rest[from..]) {
            Some(end) => Some(from + end + 1),
            None => (self.whole && from < self.rest.len()).then_some(self.rest.len()),
        }
    }

    fn block_end(&self) -> Option<usize> {
        let mut end = self.line_end(0)?;
        if Record::parse(&self.rest[..end]).is_none() {
            return Some(end);
        }
        while end < LINE_BYTES_MAX {
            match self.rest.get(end) {
                Some(b' ') => end = self.line_end(end)?,
                Some(_) => break,
                None if self.whole => break,
                None => return None,
            }
        }
        Some(end)
    }
}

impl<'a> Iterator for Blocks<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (block, rest) = self.rest.split_at(self.block_end()?);
        self.rest = rest;
        Some(block)
    }
}

#[cfg(test)]
mod tests;
