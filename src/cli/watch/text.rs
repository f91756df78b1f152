//! Numbers and names as fixed-width text.

use ratatui::text::Span;

/// What stands where nothing was measured.
pub(in crate::cli) const ABSENT: &str = "–";

/// Columns that `text` takes in a terminal.
pub(in crate::cli) fn width(text: &str) -> usize {
    Span::raw(text).width()
}

/// A name from outside as it may be shown: what would move the cursor, change
/// colours or turn the reading direction becomes `?`.
pub(in crate::cli) fn shown(name: &str) -> String {
    let turns = |c: char| matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    name.chars().map(|c| if c.is_control() || turns(c) { '?' } else { c }).collect()
}

/// `name` in `columns`, padded; what does not fit is cut in the middle, since
/// names of engines and models tend to differ at their end.
pub(in crate::cli) fn fit(name: &str, columns: usize) -> String {
    let name = shown(name);
    let wide = width(&name);
    if wide <= columns {
        return name + &" ".repeat(columns - wide);
    }
    let tail_columns = columns / 2;
    let tail_bytes = bytes_within(name.chars().rev(), tail_columns);
    let head_bytes = bytes_within(name.chars(), columns.saturating_sub(tail_columns + 1));
    let cut = format!("{}…{}", &name[..head_bytes], &name[name.len() - tail_bytes..]);
    let wide = width(&cut);
    if columns == 0 { String::new() } else { cut + &" ".repeat(columns.saturating_sub(wide)) }
}

/// `text` in at most `columns`; what does not fit is cut at its end.
pub(super) fn cut(text: &str, columns: usize) -> String {
    let text = shown(text);
    if width(&text) <= columns {
        return text;
    }
    let bytes = bytes_within(text.chars(), columns.saturating_sub(1));
    if columns == 0 { String::new() } else { format!("{}…", &text[..bytes]) }
}

/// `text` in lines of at most `columns`, broken between words where there are
/// any; no lines of no text.
pub(super) fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let text = shown(text);
    let (mut rest, mut lines) = (text.trim(), Vec::new());
    while !rest.is_empty() {
        let bytes = bytes_within(rest.chars(), columns);
        let one = rest.chars().next().map_or(1, char::len_utf8);
        let (line, after) = rest.split_at(bytes.max(one));
        let between =
            if after.is_empty() || after.starts_with(' ') { None } else { line.rfind(' ') };
        let line = between.map_or(line, |at| &line[..at]);
        lines.push(line.to_owned());
        rest = rest[line.len()..].trim_start();
    }
    lines
}

/// Bytes of the first characters that take at most `columns`.
fn bytes_within(characters: impl Iterator<Item = char>, columns: usize) -> usize {
    let (mut bytes, mut taken) = (0, 0);
    for c in characters {
        taken += width(c.encode_utf8(&mut [0; 4]));
        if taken > columns {
            break;
        }
        bytes += c.len_utf8();
    }
    bytes
}

/// `text` at the right of `columns`.
pub(in crate::cli) fn right(text: &str, columns: usize) -> String {
    " ".repeat(columns.saturating_sub(width(text))) + text
}

/// A count in at most five columns: `1234`, `12.3k`, `4.56M`.
pub(in crate::cli) fn count(value: f64) -> String {
    scaled(value, 1000.0, &["", "k", "M", "G", "T", "P"])
}

/// Bytes in at most seven columns: `512 B`, `12.3 GiB`.
pub(in crate::cli) fn bytes(value: f64) -> String {
    scaled(value, 1024.0, &[" B", " KiB", " MiB", " GiB", " TiB", " PiB"])
}

/// A share of 1 in per cent, in four columns.
pub(in crate::cli) fn percent(share: f64) -> String {
    format!("{:.0}%", (share * 100.0).clamp(-99.0, 999.0))
}

/// A small share with one digit more.
pub(in crate::cli) fn percent_fine(share: f64) -> String {
    let percent = share * 100.0;
    if (0.05..9.95).contains(&percent) { format!("{percent:.1}%") } else { self::percent(share) }
}

/// ms as an age in at most seven columns: `12 ms`, `3.4 s`, `12 min`.
pub(in crate::cli) fn age(ms: f64) -> String {
    match ms {
        ms if ms < 999.5 => format!("{ms:.0} ms"),
        ms if ms < 99_950.0 => format!("{:.1} s", ms / 1000.0),
        ms if ms < 5_970_000.0 => format!("{:.0} min", ms / 60_000.0),
        ms if ms < 172_800_000.0 => format!("{:.0} h", ms / 3_600_000.0),
        ms => format!("{:.0} d", (ms / 86_400_000.0).min(99_999.0)),
    }
}

/// ms as a duration in at most five columns: `4.2ms`, `420ms`, `4.2s`, `42min`.
pub(in crate::cli) fn duration(ms: f64) -> String {
    match ms {
        ms if ms < 9.95 => format!("{ms:.1}ms"),
        ms if ms < 999.5 => format!("{ms:.0}ms"),
        ms if ms < 99_950.0 => format!("{:.1}s", ms / 1000.0),
        ms if ms < 999_500.0 => format!("{:.0}s", ms / 1000.0),
        ms if ms < 5_970_000.0 => format!("{:.0}min", ms / 60_000.0),
        ms => format!("{:.0}h", (ms / 3_600_000.0).min(9999.0)),
    }
}

/// ms as a time of running: `42 s`, `5 min`, `3 h 12 min`, `12 d 3 h`.
pub(in crate::cli) fn span(ms: u64) -> String {
    let second = ms / 1000;
    match second {
        0..60 => format!("{second} s"),
        60..3600 => format!("{} min", second / 60),
        3600..86_400 => format!("{} h {} min", second / 3600, second % 3600 / 60),
        _ => format!("{} d {} h", second / 86_400, second % 86_400 / 3600),
    }
}

/// A share as a bar of eighths over `columns`.
pub(in crate::cli) fn bar(share: f64, columns: usize) -> String {
    const PARTS: [char; 8] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];
    let eighths = (share.clamp(0.0, 1.0) * columns as f64 * 8.0).round() as usize;
    let mut bar = "█".repeat(eighths / 8);
    if !eighths.is_multiple_of(8) {
        bar.push(PARTS[eighths % 8]);
    }
    let empty = columns - eighths.div_ceil(8);
    bar + &"·".repeat(empty)
}

/// The last `columns` points as a curve, the newest at the right; `full` is
/// the value of a full block.
pub(in crate::cli) fn curve(points: &[f64], full: f64, columns: usize) -> String {
    let last = &points[points.len().saturating_sub(columns)..];
    let drawn: String = last.iter().map(|point| level(point / full)).collect();
    right(&drawn, columns)
}

/// A share as one character's height.
pub(in crate::cli) fn level(share: f64) -> char {
    const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let at = if share.is_finite() { (share.clamp(0.0, 1.0) * 7.0).round() as usize } else { 0 };
    LEVELS[at]
}

fn scaled(value: f64, step: f64, units: &[&str]) -> String {
    const LARGEST: f64 = 999.0;
    let (mut value, mut unit) = (value, 0);
    // 1000 to 9999 whole things need no unit.
    let bound = |unit: usize| if unit == 0 { 9999.5_f64.min(step * 10.0) } else { step - 0.5 };
    while value.abs() >= bound(unit) && unit + 1 < units.len() {
        value /= step;
        unit += 1;
    }
    if unit + 1 == units.len() && value.abs() >= LARGEST + 0.5 {
        return format!(">{LARGEST}{}", units[unit]);
    }
    let digits = match value.abs() {
        _ if unit == 0 => 0,
        small if small < 9.995 => 2,
        small if small < 99.95 => 1,
        _ => 0,
    };
    format!("{value:.digits$}{}", units[unit])
}

/// `text`, or what stands where it is empty.
pub(super) const fn said(text: &str) -> &str {
    if text.is_empty() { ABSENT } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_their_columns_whatever_they_hold() {
        for (name, columns, expected) in [
            ("short", 8, "short   "),
            ("vllm-7f9c-abcde-0", 11, "vllm-…cde-0"),
            ("abc", 0, ""),
            ("abc", 1, "…"),
            ("\u{1b}[31mred\u{202e}\r\n", 12, "?[31mred??? "),
            ("模型模型模型", 7, "模…型  "),
            ("é", 3, "é  "),
        ] {
            let fitted = fit(name, columns);
            assert_eq!(fitted, expected);
            assert_eq!(width(&fitted), columns, "{name}");
        }
    }

    #[test]
    fn long_texts_are_cut_at_their_end_or_broken_between_words() {
        for (text, columns, expected) in
            [("short", 5, "short"), ("longer", 5, "long…"), ("x", 0, ""), ("模型", 3, "模…")]
        {
            assert_eq!(cut(text, columns), expected);
        }
        for (text, columns, expected) in [
            ("", 5, &[][..]),
            ("one two three", 7, &["one two", "three"][..]),
            ("one two three", 8, &["one two", "three"]),
            ("abcdefgh ij", 3, &["abc", "def", "gh", "ij"]),
            ("a\u{1b}b", 9, &["a?b"]),
            ("模型", 1, &["模", "型"]),
            ("xy", 0, &["x", "y"]),
        ] {
            assert_eq!(wrapped(text, columns), expected, "{text}");
        }
    }

    #[test]
    fn numbers_keep_to_their_columns() {
        for (value, expected) in [
            (0.0, "0"),
            (9999.0, "9999"),
            (10_000.0, "10.0k"),
            (12_345.0, "12.3k"),
            (999_499.0, "999k"),
            (999_600.0, "1.00M"),
            (4_560_000.0, "4.56M"),
            (-3.0, "-3"),
            (3e38, ">999P"),
        ] {
            assert_eq!(count(value), expected);
        }
        for exponent in 0..19 {
            assert!(width(&count(9.87654 * 10_f64.powi(exponent))) <= 5, "{exponent}");
            assert!(width(&bytes(9.87654 * 10_f64.powi(exponent))) <= 8, "{exponent}");
        }
        for (ms, expected) in [
            (0.4, "0 ms"),
            (999.4, "999 ms"),
            (999.6, "1.0 s"),
            (99_949.0, "99.9 s"),
            (99_960.0, "2 min"),
            (5_969_000.0, "99 min"),
            (7_200_000.0, "2 h"),
            (1e300, "99999 d"),
        ] {
            assert_eq!(age(ms), expected);
        }
        for (ms, expected) in [
            (0.0, "0.0ms"),
            (9.94, "9.9ms"),
            (9.96, "10ms"),
            (999.4, "999ms"),
            (999.6, "1.0s"),
            (99_960.0, "100s"),
            (999_600.0, "17min"),
            (5_969_000.0, "99min"),
            (7_200_000.0, "2h"),
            (1e300, "9999h"),
        ] {
            assert_eq!(duration(ms), expected);
        }
        for (ms, expected) in [
            (42_000, "42 s"),
            (300_000, "5 min"),
            (11_520_000, "3 h 12 min"),
            (1_047_600_000, "12 d 3 h"),
        ] {
            assert_eq!(span(ms), expected);
        }
    }

    #[test]
    fn bars_and_curves_are_as_long_as_asked_for() {
        for (share, expected) in [
            (0.0, "····"),
            (0.5, "██··"),
            (0.53, "██▏·"),
            (1.0, "████"),
            (7.0, "████"),
            (-1.0, "····"),
        ] {
            assert_eq!(bar(share, 4), expected);
        }
        assert_eq!(bar(f64::NAN, 2), "··");
        assert_eq!(curve(&[0.0, 0.5, 1.0], 1.0, 5), "  ▁▅█");
        assert_eq!(curve(&[0.0, 0.5, 1.0], 1.0, 2), "▅█");
        assert_eq!(curve(&[0.0, 1.0], 0.0, 2), "▁▁", "a curve of nothing has no height");
    }
}
