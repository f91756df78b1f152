//! A moment of a rule file as ns since 1970.

use toml::value::{Datetime, Offset};

/// Nothing where it has no offset or lies before 1970.
pub(super) fn wall_ns(of: &Datetime) -> Option<u64> {
    let (date, time, offset) = (of.date?, of.time?, of.offset?);
    let minutes = match offset {
        Offset::Z => 0,
        Offset::Custom { minutes } => i64::from(minutes),
    };
    let days = days(i64::from(date.year), i64::from(date.month), i64::from(date.day));
    let clock = i64::from(time.hour) * 3600 + i64::from(time.minute) * 60;
    let seconds = days * 86_400 + clock + i64::from(time.second.unwrap_or(0)) - minutes * 60;
    let nanoseconds = u64::from(time.nanosecond.unwrap_or(0));
    u64::try_from(seconds).ok()?.checked_mul(1_000_000_000)?.checked_add(nanoseconds)
}

/// Days since 1970 of a date of the Gregorian calendar, counted in years that
/// begin with March, so that the leap day is the last of its year.
const fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leaps = year / 4 - year / 100 + year / 400;
    365 * year + leaps + (153 * month + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_those_of_the_calendar() {
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2000-02-29T12:00:00Z", Some(951_825_600)),
            ("2026-11-24T20:00:00+02:00", Some(1_795_543_200)),
            ("1969-12-31T23:59:59Z", None),
            ("2026-11-24T20:00:00", None),
            ("2026-11-24", None),
        ] {
            let of: Datetime = text.parse().expect("a moment");
            assert_eq!(wall_ns(&of), seconds.map(|of: u64| of * 1_000_000_000), "{text}");
        }
    }
}
