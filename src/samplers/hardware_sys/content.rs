//! From the text of a file below `/sys` to values, or to the reason why there
//! are none. Pure: nothing is opened here.

use crate::samplers::procfs::{Absence, fields, lines, number};
use crate::schema::MetricId;

/// Most values of one file.
pub const VALUES_MAX: usize = 8;

/// No sensor reads outside of this, in thousandths of a degree; a broken one
/// says -273000 or 65535000.
const MILLICELSIUS: std::ops::RangeInclusive<i64> = -200_000..=500_000;

/// What stands in a file.
#[derive(Debug, Clone, Copy)]
pub enum Content {
    /// A whole number of things of this size.
    Count(MetricId, f64),
    /// Thousandths of a degree.
    Celsius(MetricId),
    /// Lines of a name and a count, of which these are wanted.
    Errors(&'static [(&'static str, MetricId)]),
    /// `16.0 GT/s PCIe`.
    Transfers(MetricId),
    /// Lanes of a PCIe link.
    Lanes(MetricId),
    /// `400 Gb/sec (4X NDR)`.
    Gigabits(MetricId),
    /// Mbit/s; -1 where the driver does not know.
    Megabits(MetricId),
    /// One of these words, and the value that each stands for; none where it
    /// means that the driver does not know.
    Word(MetricId, &'static [(&'static str, Option<f64>)]),
    /// `4: ACTIVE`: 1 at this number, 0 at others.
    Stage(MetricId, u64),
}

/// The values of one file.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Values {
    values: [Option<(MetricId, f64)>; VALUES_MAX],
    length: usize,
    /// Values that are wanted and do not stand in the file.
    pub missing: u32,
}

impl Values {
    /// Each value with its metric.
    pub fn iter(&self) -> impl Iterator<Item = (MetricId, f64)> {
        self.values.iter().copied().flatten()
    }

    fn one(metric: MetricId, value: f64) -> Self {
        let mut values = Self::default();
        values.push(metric, value);
        values
    }

    fn push(&mut self, metric: MetricId, value: f64) {
        if let Some(place) = self.values.get_mut(self.length) {
            *place = Some((metric, value));
            self.length += 1;
        }
    }
}

impl Content {
    /// The values that `text` says.
    ///
    /// # Errors
    ///
    /// [`Absence::Unreported`] where the driver says that it does not know,
    /// [`Absence::Malformed`] where the text is not what it should be.
    pub fn read(&self, text: &[u8]) -> Result<Values, Absence> {
        let line = text.split(|&byte| byte == b'\n').next().unwrap_or_default().trim_ascii();
        let one = |metric: MetricId, value: Option<f64>| {
            value.map(|value| Values::one(metric, value)).ok_or(Absence::Malformed)
        };
        match *self {
            Self::Count(metric, size) => one(metric, number(line).map(|count| count as f64 * size)),
            Self::Celsius(metric) => {
                let degrees = signed(line).filter(|millis| MILLICELSIUS.contains(millis));
                one(metric, degrees.map(|millis| millis as f64 / 1e3))
            }
            Self::Errors(wanted) => errors(text, wanted),
            Self::Transfers(_) if line.starts_with(b"Unknown") => Err(Absence::Unreported),
            Self::Transfers(metric) => one(metric, rate(line, b"GT/s")),
            Self::Gigabits(metric) => one(metric, rate(line, b"Gb/sec").map(|bits| bits / 8.0)),
            Self::Lanes(metric) => match number(line) {
                Some(lanes @ (1 | 2 | 4 | 8 | 12 | 16 | 32)) => one(metric, Some(lanes as f64)),
                // Without a link; or all bits set, from a device that fell off.
                Some(0 | 63 | 255) => Err(Absence::Unreported),
                _ => Err(Absence::Malformed),
            },
            Self::Megabits(metric) => match signed(line) {
                Some(megabits @ 1..=10_000_000) => one(metric, Some(megabits as f64 * 125e3)),
                Some(-1 | 0 | 0xffff_ffff) => Err(Absence::Unreported),
                _ => Err(Absence::Malformed),
            },
            Self::Word(metric, words) => {
                let known = words.iter().find(|(word, _)| word.as_bytes() == line);
                let (_, value) = known.ok_or(Absence::Malformed)?;
                value.map(|value| Values::one(metric, value)).ok_or(Absence::Unreported)
            }
            Self::Stage(metric, wanted) => {
                let colon = line.iter().position(|&byte| byte == b':').ok_or(Absence::Malformed)?;
                one(metric, number(&line[..colon]).map(|stage| f64::from(stage == wanted)))
            }
        }
    }
}

/// The wanted ones of lines that say a name and a count.
fn errors(text: &[u8], wanted: &[(&str, MetricId)]) -> Result<Values, Absence> {
    let mut found = [None; VALUES_MAX];
    for line in lines(text) {
        let mut words = fields(line);
        let Some(name) = words.next() else { continue };
        let Some(at) = wanted.iter().position(|(word, _)| word.as_bytes() == name) else {
            continue;
        };
        let count = words.number().filter(|_| words.next().is_none());
        found[at.min(VALUES_MAX - 1)] = Some(count.ok_or(Absence::Malformed)?);
    }
    let mut values = Values::default();
    for ((_, metric), count) in wanted.iter().zip(found) {
        match count {
            Some(count) => values.push(*metric, count as f64),
            None => values.missing += 1,
        }
    }
    if values.length == 0 { Err(Absence::Malformed) } else { Ok(values) }
}

/// `16.0 GT/s`, `2.5 Gb/sec`: the number before `unit`, times a thousand
/// million.
fn rate(line: &[u8], unit: &[u8]) -> Option<f64> {
    let mut words = fields(line);
    let figure = words.next()?;
    if words.next()? != unit || figure.len() > 12 {
        return None;
    }
    let plain = figure.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.');
    let figure: f64 = std::str::from_utf8(figure).ok().filter(|_| plain)?.parse().ok()?;
    (figure > 0.0).then_some(figure * 1e9)
}

fn signed(line: &[u8]) -> Option<i64> {
    let (digits, sign) = line.strip_prefix(b"-").map_or((line, 1), |digits| (digits, -1));
    i64::try_from(number(digits)?).ok().map(|value| sign * value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::rows;
    use super::*;

    fn say(content: Content, text: &[u8]) -> Result<f64, Absence> {
        let values = content.read(text)?;
        let all: Vec<_> = values.iter().collect();
        assert_eq!(all.len(), 1, "one value in {}", text.escape_ascii());
        Ok(all[0].1)
    }

    const METRIC: MetricId = MetricId::Sensor;
    const NOT_KNOWN: Result<f64, Absence> = Err(Absence::Unreported);
    const NONSENSE: Result<f64, Absence> = Err(Absence::Malformed);

    #[test]
    fn each_content_means_what_the_kernel_means() {
        use Content as Is;
        let operstate = rows::OPERSTATE;
        for (content, text, expected) in [
            (Is::Count(METRIC, 1.0), &b"42\n"[..], Ok(42.0)),
            (Is::Count(METRIC, 4.0), b"42", Ok(168.0)),
            (Is::Count(METRIC, 1.0), b"-1\n", NONSENSE),
            (Is::Count(METRIC, 1.0), b"\n", NONSENSE),
            (Is::Count(METRIC, 1.0), b"", NONSENSE),
            (Is::Count(METRIC, 1.0), b"N/A (no PMA)\n", NONSENSE),
            (Is::Celsius(METRIC), b"45125\n", Ok(45.125)),
            (Is::Celsius(METRIC), b"-5000\n", Ok(-5.0)),
            (Is::Celsius(METRIC), b"-273150\n", NONSENSE),
            (Is::Celsius(METRIC), b"65535000\n", NONSENSE),
            (Is::Celsius(METRIC), b"--5\n", NONSENSE),
            (Is::Transfers(METRIC), b"16.0 GT/s PCIe\n", Ok(16e9)),
            (Is::Transfers(METRIC), b"2.5 GT/s\n", Ok(2.5e9)),
            (Is::Transfers(METRIC), b"Unknown\n", NOT_KNOWN),
            (Is::Transfers(METRIC), b"Unknown speed\n", NOT_KNOWN),
            (Is::Transfers(METRIC), b"fast GT/s\n", NONSENSE),
            (Is::Transfers(METRIC), b"1e300 GT/s\n", NONSENSE),
            (Is::Transfers(METRIC), b"0 GT/s\n", NONSENSE),
            (Is::Lanes(METRIC), b"16\n", Ok(16.0)),
            (Is::Lanes(METRIC), b"0\n", NOT_KNOWN),
            (Is::Lanes(METRIC), b"63\n", NOT_KNOWN),
            (Is::Lanes(METRIC), b"5\n", NONSENSE),
            (Is::Gigabits(METRIC), b"400 Gb/sec (4X NDR)\n", Ok(50e9)),
            (Is::Gigabits(METRIC), b"2.5 Gb/sec (1X SDR)\n", Ok(312.5e6)),
            (Is::Gigabits(METRIC), b"400 Mb/sec\n", NONSENSE),
            (Is::Megabits(METRIC), b"100000\n", Ok(12.5e9)),
            (Is::Megabits(METRIC), b"-1\n", NOT_KNOWN),
            (Is::Megabits(METRIC), b"4294967295\n", NOT_KNOWN),
            (Is::Megabits(METRIC), b"fast\n", NONSENSE),
            (Is::Word(METRIC, operstate), b"up\n", Ok(1.0)),
            (Is::Word(METRIC, operstate), b"lowerlayerdown\n", Ok(0.0)),
            (Is::Word(METRIC, operstate), b"unknown\n", NOT_KNOWN),
            (Is::Word(METRIC, operstate), b"upside\n", NONSENSE),
            (Is::Stage(METRIC, 4), b"4: ACTIVE\n", Ok(1.0)),
            (Is::Stage(METRIC, 4), b"1: DOWN\n", Ok(0.0)),
            (Is::Stage(METRIC, 4), b"ACTIVE\n", NONSENSE),
            (Is::Stage(METRIC, 4), b": 4\n", NONSENSE),
        ] {
            assert_eq!(say(content, text), expected, "{content:?} {}", text.escape_ascii());
        }
    }

    #[test]
    fn of_an_error_file_the_wanted_names_are_taken() {
        let text = b"Undefined 0\nTLP 3\nCmpltTO 7\nTOTAL_ERR_NONFATAL 10\n";
        let values = Content::Errors(rows::AER_NONFATAL).read(text).unwrap();
        let said: Vec<_> = values.iter().collect();
        assert_eq!(
            said,
            [
                (MetricId::PcieErrorsNonfatal, 10.0),
                (MetricId::PcieCompletionTimeouts, 7.0),
                (MetricId::PciePoisonedTlps, 3.0),
            ]
        );
        assert_eq!(values.missing, 0);
    }

    #[test]
    fn a_name_without_its_line_is_missing_and_a_bad_count_spoils_the_file() {
        let read = |text: &[u8]| Content::Errors(rows::AER_NONFATAL).read(text);
        let values = read(b"TLP 3\nCmpltTO 7\nTOTAL_ERR_NONFATAL 10").unwrap();
        assert_eq!((values.iter().count(), values.missing), (2, 1), "a line that is cut is none");
        for text in [&b""[..], b"RxErr 3\n", b"TLP\n", b"TLP x\n", b"TLP 1 2\n", b"TLP -1\n"] {
            assert_eq!(read(text), Err(Absence::Malformed), "{}", text.escape_ascii());
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived_and_values_are_finite(text in proptest::collection::vec(any::<u8>(), 0..256)) {
            for row in rows::all() {
                if let Ok(values) = row.content.read(&text) {
                    prop_assert!(values.iter().all(|(_, value)| value.is_finite()));
                }
            }
        }
    }
}
