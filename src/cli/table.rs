//! Text in columns, for terminals of any width and for pipes.

use std::io::IsTerminal as _;

use super::watch::text::width;

/// Columns where nobody says how many there are, as in a pipe.
const COLUMNS_USUAL: usize = 120;

/// Below so many columns for the last cell, each row becomes a paragraph.
const LAST_COLUMNS_LEAST: usize = 40;

/// How many columns standard output has.
pub(super) fn columns() -> usize {
    let terminal = std::io::stdout().is_terminal();
    let size = terminal.then(ratatui::crossterm::terminal::size).and_then(Result::ok);
    size.map_or(COLUMNS_USUAL, |(columns, _)| usize::from(columns).max(40))
}

/// Whether standard output takes colours.
pub(super) fn takes_colours() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|no| no.is_empty())
}

/// `text` in lines of at most `columns`, broken at spaces; a longer word has a
/// line of its own. No text is no line.
pub(super) fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if width(line) + 1 + width(word) <= columns => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// Rows under a heading, aligned, the last cell wrapped. Where that leaves too
/// little for the last cell, it stands below the others.
pub(super) fn table<const N: usize>(
    heading: [&str; N],
    rows: &[[String; N]],
    columns: usize,
) -> String {
    let mut widths = heading.map(width);
    for row in rows {
        for (widest, cell) in widths.iter_mut().zip(row) {
            *widest = (*widest).max(width(cell));
        }
    }
    let before: usize = widths[..N - 1].iter().map(|columns| columns + 2).sum();
    let narrow = columns < before + LAST_COLUMNS_LEAST;
    let (hang, fits) =
        if narrow { (4, columns.saturating_sub(4)) } else { (before, columns - before) };
    let mut lines = Vec::new();
    let mut push = |row: [&str; N]| {
        let cells = row[..N - 1].iter().zip(widths);
        let head: String =
            cells.map(|(cell, columns)| padded(cell, columns) + "  ").collect::<String>();
        let mut parts = wrapped(row[N - 1], fits).into_iter();
        if narrow {
            lines.push(head.trim_end().to_owned());
        } else {
            let line = head + &parts.next().unwrap_or_default();
            lines.push(line.trim_end().to_owned());
        }
        lines.extend(parts.map(|part| " ".repeat(hang) + &part));
    };
    push(heading);
    rows.iter().for_each(|row| push(row.each_ref().map(|cell| &**cell)));
    lines.join("\n")
}

fn padded(cell: &str, columns: usize) -> String {
    format!("{cell}{}", " ".repeat(columns.saturating_sub(width(cell))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_broken_at_spaces_and_only_there() {
        for (text, expected) in [
            ("", &[][..]),
            ("one two three", &["one two", "three"]),
            ("extraordinary a b", &["extraordinary", "a b"]),
        ] {
            assert_eq!(wrapped(text, 7), expected, "{text}");
        }
    }

    #[test]
    fn a_wide_terminal_has_columns_and_a_narrow_one_paragraphs() {
        let rows = [["cpu".to_owned(), "ratio".to_owned(), "Share of time not idle.".to_owned()]];
        let heading = ["NAME", "UNIT", "WHAT"];
        let wide = "NAME  UNIT   WHAT\ncpu   ratio  Share of time not idle.";
        assert_eq!(table(heading, &rows, 80), wide);
        let narrow = "NAME  UNIT\n    WHAT\ncpu   ratio\n    Share of time\n    not idle.";
        assert_eq!(table(heading, &rows, 18), narrow);
    }
}
