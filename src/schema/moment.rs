//! An instant as people read it.

const DAY_S: u64 = 86_400;

/// `wall_ns`, ns since 1970, as `2026-11-24T09:25:03.120Z`.
#[must_use]
pub fn utc_text(wall_ns: u64) -> String {
    let second = wall_ns / 1_000_000_000;
    let (year, month, day) = date(second / DAY_S);
    let (hour, minute) = (second % DAY_S / 3600, second % 3600 / 60);
    let (second, ms) = (second % 60, wall_ns / 1_000_000 % 1000);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
}

/// The ns since 1970 that a text such as `2026-11-24T09:25:03.120Z` says, with
/// or without a fraction of up to nine digits.
#[must_use]
pub fn utc_ns(text: &str) -> Option<u64> {
    let (date, time) = text.strip_suffix('Z')?.split_once(['T', ' '])?;
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let digits = fraction.bytes().all(|byte| byte.is_ascii_digit()) && fraction.len() <= 9;
    let ns: u64 = if digits { format!("{fraction:0<9}").parse().ok()? } else { return None };
    let [year, month, day] = numbers(date, '-')?;
    let [hour, minute, second] = numbers(time, ':')?;
    let fits = (1970..=2553).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    if !fits {
        return None;
    }
    let days = days(year, month, day);
    // A day that the month does not have is another day of the next.
    (self::date(days) == (year, month, day))
        .then(|| (days * DAY_S + hour * 3600 + minute * 60 + second) * 1_000_000_000 + ns)
}

fn numbers(text: &str, between: char) -> Option<[u64; 3]> {
    let mut parts = text.split(between).map(|part| {
        let digits = part.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| part.parse().ok()).flatten()
    });
    let three = [parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then_some(three)
}

/// The day since 1970-01-01; the inverse of [`date`].
const fn days(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year / 400, year % 400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let of_era = of_era * 365 + of_era / 4 - of_era / 100 + of_year;
    era * 146_097 + of_era - 719_468
}

/// Year, month and day of a day since 1970-01-01. Years are counted from
/// March, so that a leap day is the last of its year.
const fn date(days: u64) -> (u64, u64, u64) {
    const DAYS_TO_1970: u64 = 719_468;
    const ERA_DAYS: u64 = 146_097;
    let days = days + DAYS_TO_1970;
    let of_era = days % ERA_DAYS;
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + days / ERA_DAYS * 400 + (month <= 2) as u64;
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_says_its_instant_or_none() {
        for second in (0..18_000_000_000_u64).step_by(86_399 * 71) {
            let ns = second * 1_000_000_000 + 120_000_000;
            assert_eq!(utc_ns(&utc_text(ns)), Some(ns), "{}", utc_text(ns));
        }
        assert_eq!(utc_ns("1970-01-01T00:00:01Z"), Some(1_000_000_000));
        assert_eq!(utc_ns("1970-01-01T00:00:00.000000007Z"), Some(7));
        for text in [
            "",
            "2026-11-24",
            "2026-11-24T09:25:03",
            "2026-02-30T09:25:03Z",
            "2026-13-01T00:00:00Z",
            "9999-01-01T00:00:00Z",
            "2026-11-24T24:00:00Z",
            "2026-11-24T09:25:03.1234567890Z",
            "2026-11-24T09:25:03.-1Z",
            "2026-11--4T09:25:03Z",
            "2026-11-24T09:25:03:04Z",
        ] {
            assert_eq!(utc_ns(text), None, "{text}");
        }
    }

    #[test]
    fn instants_read_as_their_date() {
        for (second, text) in [
            (0, "1970-01-01T00:00:00.007Z"),
            (951_782_399, "2000-02-28T23:59:59.007Z"),
            (951_782_400, "2000-02-29T00:00:00.007Z"),
            (1_709_251_199, "2024-02-29T23:59:59.007Z"),
            (1_795_512_303, "2026-11-24T09:25:03.007Z"),
            (4_107_542_400, "2100-03-01T00:00:00.007Z"),
        ] {
            assert_eq!(utc_text(second * 1_000_000_000 + 7_999_999), text);
        }
        assert_eq!(utc_text(u64::MAX), "2554-07-21T23:34:33.709Z");
    }
}
