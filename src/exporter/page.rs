//! The exposition format: families with their series, within bounds.
//!
//! A family's header is written before its first series, so that a family of
//! nothing leaves no trace. What does not fit is refused whole and counted.

use bytes::{BufMut as _, BytesMut};

use super::form::Form;
use super::limits::{PAGE_BYTES_MAX, VALUE_BYTES_MAX};

/// What every name of ours begins with.
pub const PREFIX: &str = "eagle_eye_";

/// How a family's values behave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// It rises and falls.
    Gauge,
    /// It only rises, until its source restarts.
    Counter,
    /// Counts by upper bound, a sum and a count.
    Histogram,
}

impl Kind {
    /// The kind in one word, as the format has it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gauge => "gauge",
            Self::Counter => "counter",
            Self::Histogram => "histogram",
        }
    }
}

/// A family: one name, one meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Family {
    /// Its name without [`PREFIX`].
    pub name: &'static str,
    /// How its values behave.
    pub kind: Kind,
    /// One sentence.
    pub help: &'static str,
}

/// What made a counter rise, as far as somebody concluded it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Exemplar {
    /// The verdict's id.
    pub(super) verdict: u64,
    /// What it saw.
    pub(super) value: f64,
    /// When, ns since 1970.
    pub(super) wall_ns: u64,
}

/// A page under construction.
#[derive(Debug)]
pub(super) struct Page {
    bytes: BytesMut,
    form: Form,
    prefix: &'static str,
    family: Option<Family>,
    headed: bool,
    left: usize,
    series: usize,
    refused: usize,
}

impl Page {
    /// An empty page in the memory of `bytes`.
    pub(super) const fn new(bytes: BytesMut, form: Form) -> Self {
        let (family, headed, left, series, refused) = (None, false, usize::MAX, 0, 0);
        Self { bytes, form, prefix: PREFIX, family, headed, left, series, refused }
    }

    /// From here on at most so many series, until the next section.
    pub(super) const fn section(&mut self, series_max: usize) {
        self.left = series_max;
    }

    /// The names that follow begin with this.
    pub(super) const fn prefixed(&mut self, prefix: &'static str) {
        self.prefix = prefix;
    }

    /// The series that follow are of this family.
    pub(super) const fn family(&mut self, family: Family) {
        self.family = Some(family);
        self.headed = false;
    }

    /// One series of the family: labels as they were written before (see
    /// [`label`]), more labels, a value. What is no number is left out.
    pub(super) fn series(&mut self, labels: &str, more: &[(&str, &str)], value: f64) {
        if value.is_finite() && self.room(1) {
            self.line("", labels, more, value);
        }
    }

    /// One series of the family with the verdict that rests on it, where the
    /// format can say so.
    pub(super) fn explained(&mut self, labels: &str, value: f64, of: Option<&Exemplar>) {
        let written = self.series;
        self.series(labels, &[], value);
        let counter = self.family.is_some_and(|family| family.kind == Kind::Counter);
        let of = of.filter(|of| counter && self.form == Form::OpenMetrics && of.value.is_finite());
        let Some(of) = of.filter(|_| self.series > written) else { return };
        // After the series and before the end of its line.
        self.bytes.truncate(self.bytes.len() - 1);
        let verdict = format!(" # {{verdict=\"{:016x}\"}} ", of.verdict);
        self.bytes.put_slice(verdict.as_bytes());
        number(&mut self.bytes, of.value);
        self.bytes.put_u8(b' ');
        number(&mut self.bytes, (of.wall_ns / 1_000_000) as f64 / 1e3);
        self.bytes.put_u8(b'\n');
    }

    /// One histogram of the family: how many values each bound does not exceed,
    /// how many there are, and their sum.
    pub(super) fn histogram(&mut self, labels: &str, bounds: &[(&str, u64)], all: u64, sum: f64) {
        if !sum.is_finite() || !self.room(bounds.len() + 3) {
            return;
        }
        for (bound, count) in bounds {
            self.line("_bucket", labels, &[("le", bound)], *count as f64);
        }
        self.line("_bucket", labels, &[("le", "+Inf")], all as f64);
        self.line("_sum", labels, &[], sum);
        self.line("_count", labels, &[], all as f64);
    }

    /// Series written and refused so far.
    pub(super) const fn counts(&self) -> (usize, usize) {
        (self.series, self.refused)
    }

    /// Bytes so far.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The whole page.
    pub(super) fn finish(mut self) -> BytesMut {
        if self.form == Form::OpenMetrics {
            self.bytes.put_slice(b"# EOF\n");
        }
        self.bytes
    }

    /// Whether so many series fit; counts them, or their refusal.
    fn room(&mut self, series: usize) -> bool {
        let fits = series <= self.left && self.bytes.len() < PAGE_BYTES_MAX;
        if fits {
            self.left -= series;
            self.series += series;
        } else {
            self.refused += series;
        }
        fits
    }

    fn line(&mut self, suffix: &str, labels: &str, more: &[(&str, &str)], value: f64) {
        let Some(family) = self.family else { return };
        if !self.headed {
            self.headed = true;
            self.head(&family);
        }
        let bytes = &mut self.bytes;
        for part in [self.prefix, family.name, suffix] {
            bytes.put_slice(part.as_bytes());
        }
        if !labels.is_empty() || !more.is_empty() {
            bytes.put_u8(b'{');
            bytes.put_slice(labels.as_bytes());
            for (at, (name, text)) in more.iter().enumerate() {
                if at > 0 || !labels.is_empty() {
                    bytes.put_u8(b',');
                }
                bytes.put_slice(name.as_bytes());
                bytes.put_slice(b"=\"");
                escaped(bounded(text), |part| bytes.put_slice(part.as_bytes()));
                bytes.put_u8(b'"');
            }
            bytes.put_u8(b'}');
        }
        bytes.put_u8(b' ');
        number(bytes, value);
        bytes.put_u8(b'\n');
    }

    fn head(&mut self, family: &Family) {
        // OpenMetrics names a counter without the suffix that its series have.
        let name = match (self.form, family.kind) {
            (Form::OpenMetrics, Kind::Counter) => family.name.trim_end_matches("_total"),
            _ => family.name,
        };
        let bytes = &mut self.bytes;
        let mut put = |text: &str| bytes.put_slice(text.as_bytes());
        for part in ["# HELP ", self.prefix, name, " "] {
            put(part);
        }
        escaped(family.help, &mut put);
        for part in ["\n# TYPE ", self.prefix, name, " ", family.kind.name(), "\n"] {
            put(part);
        }
    }
}

/// Adds a label to labels that are written once and used often. An empty value
/// is no label.
pub(super) fn label(labels: &mut String, name: &str, value: &str) {
    if value.is_empty() {
        return;
    }
    if !labels.is_empty() {
        labels.push(',');
    }
    labels.push_str(name);
    labels.push_str("=\"");
    escaped(bounded(value), |text| labels.push_str(text));
    labels.push('"');
}

/// The value, cut where it is too long.
fn bounded(value: &str) -> &str {
    &value[..value.floor_char_boundary(VALUE_BYTES_MAX)]
}

/// The text as the format wants it between quotes.
fn escaped(text: &str, mut put: impl FnMut(&str)) {
    let mut rest = text;
    while let Some(at) = rest.find(['\\', '"', '\n']) {
        put(&rest[..at]);
        put(match rest.as_bytes()[at] {
            b'\\' => "\\\\",
            b'"' => "\\\"",
            _ => "\\n",
        });
        rest = &rest[at + 1..];
    }
    put(rest);
}

/// A number in the fewest digits that say it exactly.
fn number(bytes: &mut BytesMut, number: f64) {
    use std::fmt::Write as _;
    /// Up to here every whole number is exact.
    const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;
    let _ = if number.fract() == 0.0 && number.abs() <= WHOLE_MAX {
        write!(bytes, "{}", number as i64)
    } else {
        write!(bytes, "{number:?}")
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GAUGE: Family = Family { name: "a", kind: Kind::Gauge, help: "Say \"a\"." };

    fn text(write: impl FnOnce(&mut Page)) -> String {
        let mut page = Page::new(BytesMut::new(), Form::Classic);
        write(&mut page);
        String::from_utf8(page.finish().to_vec()).unwrap()
    }

    #[test]
    fn a_family_of_nothing_leaves_no_trace_and_no_number_is_no_series() {
        assert_eq!(text(|page| page.family(GAUGE)), "");
        let text = text(|page| {
            page.family(GAUGE);
            page.series("", &[], f64::NAN);
            page.series("", &[], f64::INFINITY);
        });
        assert_eq!(text, "");
    }

    #[test]
    fn numbers_are_said_exactly() {
        for (number, said) in [
            (0.0, "0"),
            (-3.0, "-3"),
            (0.1, "0.1"),
            (1e300, "1e300"),
            (9_007_199_254_740_992.0, "9007199254740992"),
            (1.5e-9, "1.5e-9"),
        ] {
            let mut bytes = BytesMut::new();
            super::number(&mut bytes, number);
            assert_eq!(bytes, said.as_bytes());
            assert_eq!(said.parse::<f64>(), Ok(number));
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_whole_and_counted() {
        let text = text(|page| {
            page.section(4);
            page.family(Family { kind: Kind::Histogram, ..GAUGE });
            page.histogram("", &[("1.0", 1), ("2.0", 2)], 2, 3.0);
            page.histogram("", &[("1.0", 1)], 2, 3.0);
            page.family(GAUGE);
            page.series("", &[], 1.0);
            assert_eq!(page.counts(), (4, 6));
        });
        assert!(text.contains("a_bucket{le=\"1.0\"} 1\n") && !text.contains("eagle_eye_a 1"));
    }

    /// The labels of a line, read as Prometheus reads them.
    fn read(line: &str) -> Vec<(String, String)> {
        let mut labels = Vec::new();
        let mut rest = line.split_once('{').unwrap().1;
        while let Some((name, after)) = rest.split_once("=\"") {
            let (mut value, mut characters) = (String::new(), after.chars());
            loop {
                match characters.next().unwrap() {
                    '"' => break,
                    '\\' => value.push(match characters.next().unwrap() {
                        'n' => '\n',
                        other => other,
                    }),
                    '\n' => panic!("a bare line feed"),
                    other => value.push(other),
                }
            }
            labels.push((name.trim_start_matches(',').to_owned(), value));
            rest = characters.as_str();
        }
        labels
    }

    proptest! {
        #[test]
        fn a_label_comes_back_as_it_was_whatever_it_says(
            first in "\\PC{0,80}|[\\\\\"\n{},= ]{0,40}|(?s).{0,90}",
            second in "\\PC{0,80}|[\\\\\"\n{},= ]{0,40}|(?s).{0,90}",
        ) {
            let text = text(|page| {
                let mut labels = String::new();
                label(&mut labels, "x", &first);
                page.family(GAUGE);
                page.series(&labels, &[("y", &second)], 1.0);
            });
            let line = text.split_once(" gauge\n").unwrap().1;
            prop_assert_eq!(line.matches('\n').count(), 1);
            let mut expected = vec![("y".to_owned(), bounded(&second).to_owned())];
            if !first.is_empty() {
                expected.insert(0, ("x".to_owned(), bounded(&first).to_owned()));
            }
            prop_assert_eq!(read(line), expected);
        }
    }
}
