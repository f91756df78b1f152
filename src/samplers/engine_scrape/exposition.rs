//! The text format of Prometheus and OpenMetrics, line by line as it arrives.
//!
//! Our own, since no kept crate reads it from an untrusted peer within a bound:
//! those that exist take the whole page as one string and make an owned map of
//! labels for every line, while of the thousand lines of an engine's page we
//! want about forty, and four fifths of it are histogram buckets. Here a page
//! is never held: a line is looked at where it lies in the network's buffer,
//! only a line cut by the buffer's end is copied, and nothing is allocated.
//!
//! A line that cannot be read is passed over and counted; the page lives on.
//! Timestamps and exemplars are passed over: engines give none that could be
//! believed before the time of the response itself.

/// Longest line; a longer one is passed over. The longest of a real page, with
/// an engine's whole configuration in its labels, has 2 KiB.
pub const LINE_BYTES_MAX: usize = 64 * 1024;

/// Most lines of one page; the largest real ones have about 4,000.
pub const LINES_MAX: u32 = 200_000;

/// Most labels of one sample; a sample with more is malformed.
pub const LABELS_MAX: usize = 128;

/// A line that is to be a sample and is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

/// One line, its name known and the rest still unread.
#[derive(Debug, Clone, Copy)]
pub struct Line<'a> {
    /// The name of the metric.
    pub name: &'a [u8],
    rest: &'a [u8],
}

/// A label's name, and its value with its escapes.
type Label<'a> = (&'a [u8], &'a [u8]);

/// The labels of a sample that was checked as a whole, and its value.
#[derive(Debug, Clone, Copy)]
pub struct Sample<'a> {
    labels: &'a [u8],
    /// As it stands there: it may be anything that a float can be.
    pub value: f64,
}

impl<'a> Line<'a> {
    /// The name of the sample on `line`; nothing on comments, empty lines and
    /// lines that begin with no name.
    #[must_use]
    pub fn of(line: &'a [u8]) -> Option<Self> {
        let line = trimmed(line);
        if line.first().is_none_or(|first| !is_name(*first)) {
            return None;
        }
        let end = memchr::memchr3(b'{', b' ', b'\t', line)?;
        Some(Self { name: &line[..end], rest: &line[end..] })
    }

    /// The labels and the value.
    ///
    /// # Errors
    ///
    /// When the line is not what the format says.
    pub fn sample(&self) -> Result<Sample<'a>, Malformed> {
        let rest = trimmed(self.rest);
        let (labels, behind) = match rest.strip_prefix(b"{") {
            Some(inside) => {
                let mut labels = Labels { rest: inside };
                for count in 0.. {
                    if count > LABELS_MAX {
                        return Err(Malformed);
                    }
                    if labels.advance()?.is_none() {
                        break;
                    }
                }
                (&inside[..inside.len() - labels.rest.len()], labels.rest)
            }
            None => (&rest[..0], rest),
        };
        Ok(Sample { labels, value: value(behind)? })
    }
}

impl<'a> Sample<'a> {
    /// Every label with its value, whose escapes [`unescaped`] takes away.
    pub fn labels(&self) -> impl Iterator<Item = Label<'a>> {
        let mut labels = Labels { rest: self.labels };
        std::iter::from_fn(move || labels.advance().ok().flatten())
    }

    /// The value of the label of this name, escapes and all.
    #[must_use]
    pub fn label(&self, name: &str) -> Option<&'a [u8]> {
        self.labels().find(|(known, _)| *known == name.as_bytes()).map(|(_, value)| value)
    }
}

/// A label's value as text, without its escapes; what is no UTF-8 is replaced.
#[must_use]
pub fn unescaped(value: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.iter();
    while let Some(&byte) = rest.next() {
        match byte {
            b'\\' => match rest.next() {
                Some(b'n') => bytes.push(b'\n'),
                Some(&other) => bytes.push(other),
                None => {}
            },
            _ => bytes.push(byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What is left of a list of labels, up to behind its closing brace.
struct Labels<'a> {
    rest: &'a [u8],
}

impl<'a> Labels<'a> {
    /// The next label, or nothing at the closing brace, which is taken.
    fn advance(&mut self) -> Result<Option<Label<'a>>, Malformed> {
        let mut rest = trimmed(self.rest);
        if let Some(behind) = rest.strip_prefix(b",") {
            rest = trimmed(behind);
        }
        match rest.first() {
            Some(b'}') => {
                self.rest = &rest[1..];
                return Ok(None);
            }
            Some(first) if is_name(*first) => {}
            _ => return Err(Malformed),
        }
        let equals = memchr::memchr(b'=', rest).ok_or(Malformed)?;
        let name = trimmed(&rest[..equals]);
        let value = trimmed(&rest[equals + 1..]).strip_prefix(b"\"").ok_or(Malformed)?;
        let mut end = 0;
        loop {
            end += memchr::memchr2(b'"', b'\\', &value[end..]).ok_or(Malformed)?;
            if value[end] == b'"' {
                break;
            }
            // Whatever stands behind a backslash belongs to it.
            end += 2;
            if end >= value.len() {
                return Err(Malformed);
            }
        }
        self.rest = &value[end + 1..];
        Ok(Some((name, &value[..end])))
    }
}

/// The number at the start of `text`; a timestamp or an exemplar may follow.
fn value(text: &[u8]) -> Result<f64, Malformed> {
    let text = trimmed(text);
    let end = text.iter().position(|byte| is_blank(*byte)).unwrap_or(text.len());
    let number = std::str::from_utf8(&text[..end]).map_err(|_| Malformed)?;
    let value = number.parse().map_err(|_| Malformed)?;
    match trimmed(&text[end..]).first() {
        None | Some(b'#' | b'+' | b'-' | b'0'..=b'9') => Ok(value),
        Some(_) => Err(Malformed),
    }
}

fn trimmed(text: &[u8]) -> &[u8] {
    let start = text.iter().position(|byte| !is_blank(*byte)).unwrap_or(text.len());
    let end = text.iter().rposition(|byte| !is_blank(*byte)).map_or(start, |last| last + 1);
    &text[start..end]
}

const fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r')
}

const fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || matches!(byte, b'_' | b':')
}

/// Cuts what arrives into lines. Only a line that ends in a line feed counts:
/// one without may have lost the last digits of its number.
#[derive(Debug, Default)]
pub struct Cutter {
    /// The start of a line whose end has not arrived.
    open: Vec<u8>,
    /// Whether the rest of a line is passed over that was too long.
    skips: bool,
    lines: u32,
    too_long: u32,
}

impl Cutter {
    /// Forgets everything, for the next page.
    pub fn begin(&mut self) {
        self.open.clear();
        // A hostile page does not keep its memory.
        self.open.shrink_to(8 * 1024);
        (self.skips, self.lines, self.too_long) = (false, 0, 0);
    }

    /// Lines so far.
    #[must_use]
    pub fn lines(&self) -> u32 {
        self.lines
    }

    /// Lines that were passed over for their length, and an end that is none.
    #[must_use]
    pub fn cut(&self) -> u32 {
        self.too_long + u32::from(!self.open.is_empty())
    }

    /// Calls `take` with every line that `bytes` end. Copies only the rest.
    pub fn push(&mut self, mut bytes: &[u8], mut take: impl FnMut(&[u8])) {
        while let Some(end) = memchr::memchr(b'\n', bytes) {
            let (line, behind) = (&bytes[..end], &bytes[end + 1..]);
            bytes = behind;
            self.lines = self.lines.saturating_add(1);
            if std::mem::take(&mut self.skips) {
                continue;
            }
            if self.open.is_empty() && line.len() <= LINE_BYTES_MAX {
                take(line);
                continue;
            }
            match self.open.len() + line.len() <= LINE_BYTES_MAX {
                true => {
                    self.open.extend_from_slice(line);
                    take(&self.open);
                }
                false => self.too_long += 1,
            }
            self.open.clear();
        }
        if self.skips || bytes.is_empty() {
            return;
        }
        if self.open.len() + bytes.len() > LINE_BYTES_MAX {
            self.skips = true;
            self.too_long += 1;
            self.open.clear();
        } else {
            self.open.extend_from_slice(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Labels = Vec<(String, String)>;

    fn read(line: &str) -> Option<(String, Labels, String)> {
        let line = Line::of(line.as_bytes())?;
        let sample = line.sample().ok()?;
        let labels = sample.labels().map(|(name, value)| (unescaped(name), unescaped(value)));
        Some((unescaped(line.name), labels.collect(), format!("{:?}", sample.value)))
    }

    #[test]
    fn a_sample_is_read_as_the_format_says() {
        let no: &[(&str, &str)] = &[];
        for (line, name, labels, value) in [
            ("a 1", "a", no, "1.0"),
            ("a{} 5.0", "a", no, "5.0"),
            ("  a:b_9 \t 1e+06 \r", "a:b_9", no, "1000000.0"),
            ("a 8.1e+010 1395066363000", "a", no, "81000000000.0"),
            ("a +Inf -3982045", "a", no, "inf"),
            ("a NaN", "a", no, "NaN"),
            ("a -1", "a", no, "-1.0"),
            ("a{x=\"1\"} 2", "a", &[("x", "1")], "2.0"),
            ("a{x=\"1\",} 2", "a", &[("x", "1")], "2.0"),
            ("a { x = \"1\" , y=\"\" } 2", "a", &[("x", "1"), ("y", "")], "2.0"),
            (
                r#"a{p="C:\\D\\F",e="no:\n\"F\"}"} 3"#,
                "a",
                &[("p", r"C:\D\F"), ("e", "no:\n\"F\"}")],
                "3.0",
            ),
            ("a{le=\"1\"} 4 # {trace=\"z\"} 0.5 12.1", "a", &[("le", "1")], "4.0"),
            ("a{m=\"é{,=}\"} 1", "a", &[("m", "é{,=}")], "1.0"),
        ] {
            let expected = labels.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
            assert_eq!(read(line), Some((name.to_owned(), expected, value.to_owned())), "{line}");
        }
    }

    #[test]
    fn what_is_no_sample_is_none() {
        for line in [
            "",
            "   ",
            "# HELP a b",
            "# EOF",
            "a",
            "a ",
            "a x",
            "a 1 x",
            "a{ 1",
            "a{x} 1",
            "a{x=1} 1",
            "a{x=\"1} 1",
            "a{x=\"1\\\"} 1",
            "a{x=\"1\" 1",
            "a{x=\"\\",
            "a{=\"\"} 1",
            "{\"my.metric\"} 1",
            "9 1",
            "a 0x10",
            "a 1_000",
        ] {
            assert_eq!(read(line), None, "{line}");
        }
        let many = |count| format!("a{{{}}} 1", "l=\"\",".repeat(count));
        assert!(read(&many(LABELS_MAX)).is_some());
        assert!(read(&many(LABELS_MAX + 1)).is_none());
    }

    fn cut(text: &[u8], pieces: usize) -> (Vec<Vec<u8>>, u32) {
        let (mut cutter, mut lines) = (Cutter::default(), Vec::new());
        for piece in text.chunks(pieces.max(1)) {
            cutter.push(piece, |line| lines.push(line.to_vec()));
        }
        (lines, cutter.cut())
    }

    #[test]
    fn a_line_may_come_in_pieces_and_must_end() {
        for pieces in [1, 2, 3, 7, 100] {
            let (lines, cut) = cut(b"one\n\ntwo\r\nthree", pieces);
            assert_eq!(lines, [&b"one"[..], b"", b"two\r"]);
            assert_eq!(cut, 1, "the last has no end");
        }
    }

    #[test]
    fn a_line_that_is_too_long_is_passed_over_and_the_next_is_not() {
        let mut text = vec![b'x'; LINE_BYTES_MAX + 1];
        text.extend_from_slice(b"\nb 1\n");
        for pieces in [1000, LINE_BYTES_MAX, text.len()] {
            let (lines, cut) = cut(&text, pieces);
            assert_eq!((lines, cut), (vec![b"b 1".to_vec()], 1), "{pieces}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_in_any_pieces_are_the_same_lines(
            text in proptest::collection::vec(prop_oneof![Just(b'\n'), any::<u8>()], 0..200),
            pieces in 1_usize..40,
        ) {
            prop_assert_eq!(cut(&text, pieces), cut(&text, text.len()));
            for line in text.split(|byte| *byte == b'\n') {
                let sample = Line::of(line).map(|line| line.sample().map(|s| s.labels().count()));
                if let Some(Ok(labels)) = sample {
                    prop_assert!(labels <= LABELS_MAX + 1);
                }
            }
        }
    }
}
