//! Instants as people say them.

use std::str::FromStr;

use super::Ended;
use crate::recorder::{Range, Recording};
use crate::schema::utc_ns;

/// An instant as people say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Instant {
    /// By the wall clock, ns since 1970.
    Wall(u64),
    /// After the recording's begin, ns.
    AfterBegin(u64),
    /// Before its end, ns.
    BeforeEnd(u64),
}

impl FromStr for Instant {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let instant = match text.split_at_checked(1) {
            Some(("+", way)) => duration_ns(way).map(Self::AfterBegin),
            Some(("-", way)) => duration_ns(way).map(Self::BeforeEnd),
            _ => utc_ns(text).or_else(|| seconds_ns(text, 1e9)).map(Self::Wall),
        };
        instant
            .ok_or_else(|| "say 2026-11-24T09:25:03Z, seconds since 1970, +90s or -10m".to_owned())
    }
}

impl Instant {
    /// What of a recording is meant; one that is told by its begin or end is
    /// played through once to find them.
    pub(super) fn range(
        recording: &Recording,
        from: Option<Self>,
        to: Option<Self>,
    ) -> Result<Range, Ended> {
        let relative = |instant: &Self| !matches!(instant, Self::Wall(_));
        let span = match from.iter().chain(&to).any(relative) {
            true => span(recording)?,
            false => (0, 0),
        };
        let wall_ns = |instant: Self| match instant {
            Self::Wall(wall_ns) => wall_ns,
            Self::AfterBegin(ns) => span.0.saturating_add(ns),
            Self::BeforeEnd(ns) => span.1.saturating_sub(ns),
        };
        Ok(Range { from_wall_ns: from.map(wall_ns), to_wall_ns: to.map(wall_ns) })
    }
}

/// When the recording begins and ends by the wall clock.
fn span(recording: &Recording) -> Result<(u64, u64), Ended> {
    let mut play = recording.play(Range::default());
    let mut span: Option<(u64, u64)> = None;
    while let Some(moment) = play.next_moment()? {
        let wall_ns = moment.at.wall_ns;
        let (begin, end) = span.unwrap_or((wall_ns, wall_ns));
        span = Some((begin.min(wall_ns), end.max(wall_ns)));
    }
    Ok(span.unwrap_or_default())
}

fn duration_ns(text: &str) -> Option<u64> {
    let units = [("ms", 1e6), ("s", 1e9), ("m", 60e9), ("h", 3600e9)];
    let (number, unit) =
        units.iter().find_map(|(name, ns)| Some((text.strip_suffix(name)?, ns)))?;
    seconds_ns(number, *unit)
}

fn seconds_ns(text: &str, unit_ns: f64) -> Option<u64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let number: f64 = text.parse().ok().filter(|_| plain)?;
    Some((number * unit_ns) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_say_instants_in_several_ways() {
        for (text, instant) in [
            ("1970-01-01T00:00:02Z", Instant::Wall(2_000_000_000)),
            ("1.5", Instant::Wall(1_500_000_000)),
            ("+90s", Instant::AfterBegin(90_000_000_000)),
            ("-10m", Instant::BeforeEnd(600_000_000_000)),
            ("-1.5h", Instant::BeforeEnd(5_400_000_000_000)),
            ("+20ms", Instant::AfterBegin(20_000_000)),
        ] {
            assert_eq!(text.parse(), Ok(instant));
        }
        for text in ["", "-", "+5", "5s", "now", "+-5s", "+s", "1e9", "nan", "ü"] {
            assert!(text.parse::<Instant>().is_err(), "{text}");
        }
    }
}
