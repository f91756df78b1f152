//! When a line says that it was logged, in every way in which lines say it.

use super::record::number;

/// An instant as a line gives it. No line tells how exact it is; `dmesg -T`
/// may be off by seconds after months, and by any suspended time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stamp {
    /// On the clock of the kernel's log, which starts with the kernel.
    SinceBoot {
        /// Microseconds.
        us: u64,
    },
    /// On a calendar.
    Wall {
        /// ns since 1970, taking a time without a zone as UTC.
        ns: u64,
        /// Whether the line says its zone.
        zoned: bool,
    },
    /// On a calendar without year and zone.
    OfYear {
        /// 1 to 12.
        month: u8,
        /// 1 to 31.
        day: u8,
        /// ns since midnight.
        ns: u64,
    },
}

const SECOND_NS: u64 = 1_000_000_000;
const DAY_NS: u64 = 86_400 * SECOND_NS;

impl Stamp {
    /// ns since 1970, told at `now_ns`: a time without a zone counts as UTC,
    /// one without a year as of the last twelve months. Nothing where the
    /// line only counts from boot.
    #[must_use]
    pub fn wall_ns(self, now_ns: u64) -> Option<u64> {
        match self {
            Self::SinceBoot { .. } => None,
            Self::Wall { ns, .. } => Some(ns),
            Self::OfYear { month, day, ns } => {
                // A day ahead, since the zone is unknown.
                let latest_ns = now_ns.saturating_add(DAY_NS);
                let year = 1970 + latest_ns / DAY_NS / 365;
                (year.saturating_sub(9)..=year)
                    .rev()
                    .filter_map(|year| Some(days(year, month.into(), day.into())? * DAY_NS + ns))
                    .find(|&ns| ns <= latest_ns)
            }
        }
    }
}

/// A stamp at the start of `text`, and what follows it and one blank.
pub(super) fn leading(text: &[u8]) -> Option<(Stamp, &[u8])> {
    let found = match text.first()? {
        b'[' => bracketed(text),
        b'0'..=b'9' => iso(text).or_else(|| unix(text)),
        _ => of_year(text).or_else(|| iso(weekday(text)?)),
    };
    let (stamp, rest) = found?;
    Some((stamp, rest.strip_prefix(b" ").unwrap_or(rest)))
}

/// `[    1.234567]` or `[Tue Nov 24 10:00:00 2026]`.
fn bracketed(text: &[u8]) -> Option<(Stamp, &[u8])> {
    let text = text.strip_prefix(b"[")?.trim_ascii_start();
    let (stamp, rest) = if text.first()?.is_ascii_digit() {
        let (seconds, rest) = number(text)?;
        let (fraction_ns, rest) = fraction(rest.strip_prefix(b".")?)?;
        let us = seconds.checked_mul(1_000_000)?.checked_add(fraction_ns / 1000)?;
        (Stamp::SinceBoot { us }, rest)
    } else {
        let (month, text) = month(weekday(text)?)?;
        let (day, text) = number(text.trim_ascii_start())?;
        let (ns, text) = clock(text.strip_prefix(b" ")?)?;
        let (year, rest) = number(text.strip_prefix(b" ")?)?;
        (Stamp::Wall { ns: instant(year, month, day, ns)?, zoned: false }, rest)
    };
    Some((stamp, rest.strip_prefix(b"]")?))
}

/// `2026-11-24T10:00:00.123456+01:00` and its shorter forms.
fn iso(text: &[u8]) -> Option<(Stamp, &[u8])> {
    let (year, text) = number(text)?;
    let (month, text) = number(text.strip_prefix(b"-")?)?;
    let (day, text) = number(text.strip_prefix(b"-")?)?;
    let text = text.strip_prefix(b"T").or_else(|| text.strip_prefix(b" "))?;
    let (ns, rest) = clock(text)?;
    let local_ns = instant(year, month, day, ns)?;
    if let Some(rest) = rest.strip_prefix(b"Z").or_else(|| rest.strip_prefix(b" UTC")) {
        return Some((Stamp::Wall { ns: local_ns, zoned: true }, rest));
    }
    let (&sign, behind) = rest.split_first().unwrap_or((&b' ', rest));
    if !matches!(sign, b'+' | b'-') {
        return Some((Stamp::Wall { ns: local_ns, zoned: false }, rest));
    }
    let (digits, rest) = number(behind)?;
    let (minutes, rest) = match (behind.len() - rest.len(), rest.strip_prefix(b":")) {
        (2, None) => (digits * 60, rest),
        (2, Some(rest)) => {
            let (minutes, rest) = number(rest)?;
            ((digits * 60).saturating_add(minutes), rest)
        }
        (4, _) => (digits / 100 * 60 + digits % 100, rest),
        _ => return None,
    };
    let offset_ns = (minutes <= 24 * 60).then(|| minutes * 60 * SECOND_NS)?;
    let ns = match sign {
        b'+' => local_ns.checked_sub(offset_ns)?,
        _ => local_ns.checked_add(offset_ns)?,
    };
    Some((Stamp::Wall { ns, zoned: true }, rest))
}

/// `1795512303.123456`, seconds since 1970 by their size.
fn unix(text: &[u8]) -> Option<(Stamp, &[u8])> {
    let (seconds, rest) = number(text)?;
    let (fraction_ns, rest) = fraction(rest.strip_prefix(b".")?)?;
    let plausible = (100_000_000..10_000_000_000).contains(&seconds) && rest.starts_with(b" ");
    let ns = plausible.then(|| seconds * SECOND_NS + fraction_ns)?;
    Some((Stamp::Wall { ns, zoned: true }, rest))
}

/// `Nov 24 10:00:00`, with a fraction or not.
fn of_year(text: &[u8]) -> Option<(Stamp, &[u8])> {
    let (month, text) = month(text)?;
    let (day, text) = number(text.trim_ascii_start())?;
    let (ns, rest) = clock(text.strip_prefix(b" ")?)?;
    days(2000, month, day)?;
    Some((Stamp::OfYear { month: month as u8, day: day as u8, ns }, rest))
}

/// What follows a weekday and a blank.
fn weekday(text: &[u8]) -> Option<&[u8]> {
    const DAYS: [&[u8]; 7] = [b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat", b"Sun"];
    DAYS.iter().find_map(|day| text.strip_prefix(*day))?.strip_prefix(b" ")
}

fn month(text: &[u8]) -> Option<(u64, &[u8])> {
    const MONTHS: &[u8] = b"JanFebMarAprMayJunJulAugSepOctNovDec";
    let name = text.get(..3)?;
    let at = MONTHS.chunks_exact(3).position(|month| month == name)?;
    Some((at as u64 + 1, text[3..].strip_prefix(b" ")?))
}

/// ns since midnight of `10:00:00`, with a fraction or not.
fn clock(text: &[u8]) -> Option<(u64, &[u8])> {
    let (hour, text) = number(text)?;
    let (minute, text) = number(text.strip_prefix(b":")?)?;
    let (second, rest) = number(text.strip_prefix(b":")?)?;
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let ns = ((hour * 60 + minute) * 60 + second) * SECOND_NS;
    match rest.strip_prefix(b".").or_else(|| rest.strip_prefix(b",")).and_then(fraction) {
        Some((fraction_ns, rest)) => Some((ns + fraction_ns, rest)),
        None => Some((ns, rest)),
    }
}

/// Digits behind a point, as ns; those beyond the ninth are dropped.
fn fraction(text: &[u8]) -> Option<(u64, &[u8])> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let scaled = (0..9).fold(0, |value, at| {
        let digit = if at < digits { u64::from(text[at] - b'0') } else { 0 };
        value * 10 + digit
    });
    (digits > 0).then(|| (scaled, &text[digits..]))
}

fn instant(year: u64, month: u64, day: u64, ns: u64) -> Option<u64> {
    Some(days(year, month, day)? * DAY_NS + ns)
}

/// Days since 1970-01-01; nothing for no day, and outside of 1970 to 2500.
/// Years are counted from March, so that a leap day is the last of its year.
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    const DAYS_TO_1970: u64 = 719_468;
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let length = match month {
        2 => 28 + u64::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1970..2500).contains(&year) || !(1..=length).contains(&day) {
        return None;
    }
    let (year, from_march) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let of_year = (153 * from_march + 2) / 5 + day - 1;
    Some(year * 365 + year / 4 - year / 100 + year / 400 + of_year - DAYS_TO_1970)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::utc_text;

    #[test]
    fn every_form_of_time_is_read() {
        let read = |text: &str| {
            let (stamp, rest) = leading(text.as_bytes())?;
            assert_eq!(rest, b"rest", "{text}");
            let now_ns = days(2026, 11, 24)? * DAY_NS;
            Some(match stamp {
                Stamp::SinceBoot { us } => format!("{us} us"),
                Stamp::Wall { zoned, .. } => {
                    let zone = if zoned { "" } else { " no zone" };
                    format!("{}{zone}", utc_text(stamp.wall_ns(now_ns)?))
                }
                Stamp::OfYear { .. } => format!("{} no year", utc_text(stamp.wall_ns(now_ns)?)),
            })
        };
        for (text, expected) in [
            ("[12345.678901] rest", "12345678901 us"),
            ("[    0.000000] rest", "0 us"),
            ("[    1.5] rest", "1500000 us"),
            ("[Tue Nov 24 10:00:00 2026] rest", "2026-11-24T10:00:00.000Z no zone"),
            ("[Sun Mar  1 09:05:07 2026] rest", "2026-03-01T09:05:07.000Z no zone"),
            ("2026-11-24T10:00:00Z rest", "2026-11-24T10:00:00.000Z"),
            ("2026-11-24T10:00:00+0100 rest", "2026-11-24T09:00:00.000Z"),
            ("2026-11-24T10:00:00.250-05:30 rest", "2026-11-24T15:30:00.250Z"),
            ("2026-11-24T10:00:00,678901+00:00 rest", "2026-11-24T10:00:00.678Z"),
            ("Tue 2026-11-24 10:00:00 UTC rest", "2026-11-24T10:00:00.000Z"),
            ("2026-11-24 10:00:00 rest", "2026-11-24T10:00:00.000Z no zone"),
            ("1795512303.123456 rest", "2026-11-24T09:25:03.123Z"),
            ("Nov 24 10:00:00 rest", "2026-11-24T10:00:00.000Z no year"),
            ("Dec 24 10:00:00 rest", "2025-12-24T10:00:00.000Z no year"),
            ("Jun  3 23:59:59.5 rest", "2026-06-03T23:59:59.500Z no year"),
            ("Feb 29 00:00:00 rest", "2024-02-29T00:00:00.000Z no year"),
        ] {
            assert_eq!(read(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_only_looks_like_a_time_is_text() {
        for text in [
            "",
            "[",
            "[12] Timeout",
            "[ascend] [ERROR]",
            "[18446744073709551615.0] x",
            "[Tue Nov 31 10:00:00 2026] x",
            "[Tue Nov 24 10:00:00 99999] x",
            "2026-02-29T10:00:00Z x",
            "2026-11-24T24:00:00Z x",
            "2026-11-24T10:00:00+99999 x",
            "2026-11-24T10:00:00+00:18446744073709551615 x",
            "18446744073709551615.5 x",
            "12.5 volts",
            "Now 24 10:00:00 x",
            "Nov 32 10:00:00 x",
            "0000:5c:00.0: mlx5",
        ] {
            assert_eq!(leading(text.as_bytes()), None, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_give_a_time_or_none(bytes: Vec<u8>, now_ns: u64) {
            if let Some((stamp, rest)) = leading(&bytes) {
                proptest::prop_assert!(rest.len() < bytes.len());
                let _ = stamp.wall_ns(now_ns);
            }
        }

        #[test]
        fn any_digits_in_the_shape_of_a_time_do_no_harm(
            head in "(|\\[ *|Nov 24 |2026-11-24T10:00:00[+.,-]?|2026-)",
            tail in "[0-9]{1,21}([:.+-][0-9]{1,21}){0,4}[] Z]?",
        ) {
            if let Some((stamp, _)) = leading(format!("{head}{tail} x").as_bytes()) {
                let _ = stamp.wall_ns(u64::MAX);
            }
        }

        #[test]
        fn days_run_on_without_a_hole(year in 1970_u64..2499, month in 1_u64..12) {
            let last = (28..=31).filter_map(|day| days(year, month, day)).max();
            proptest::prop_assert_eq!(last.map(|day| day + 1), days(year, month + 1, 1));
        }
    }
}
