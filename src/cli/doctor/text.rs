//! The report as text, for a terminal of any width.

use super::report::{Report, Section};
use crate::cli::table::wrapped;
use crate::cli::watch::text::{shown, width};
use crate::engine::samplers::{Need, NeedState};

/// Columns for the name of what was looked at; a longer name pushes on.
const NAME_COLUMNS: usize = 24;

/// Columns before a sentence: indent, mark and name.
const SENTENCE_AT: usize = 4 + NAME_COLUMNS + 2;

/// Columns before what a sampler needs.
const DETAIL_AT: usize = 8;

/// Longer lines are hard to read, however wide the terminal.
const COLUMNS_MAX: usize = 110;

/// Names of what is wrong in the summary.
const NAMES_MAX: usize = 3;

/// How it is to be shown.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    /// Columns of the terminal.
    pub(super) columns: usize,
    pub(super) colours: bool,
    /// Whether a sampler's lines that are fine are shown too.
    pub(super) all: bool,
}

/// The whole report.
pub(super) fn text(report: &Report, look: Look) -> String {
    let mut page = Page { look, lines: Vec::new() };
    let title = format!("eagle-eye {} on {}, {}", report.version, report.node, report.time);
    page.line(&page.bold(&shown(&title)));
    let mut heading = "";
    for section in &report.sections {
        if section.heading != heading {
            heading = section.heading;
            page.line("");
            page.line(&page.bold(heading));
        }
        if section.folds {
            page.folded(section);
        } else {
            page.rows(&section.needs, Page::need);
        }
    }
    page.line("");
    page.summary(report);
    page.lines.join("\n")
}

struct Page {
    look: Look,
    lines: Vec<String>,
}

impl Page {
    fn line(&mut self, text: &str) {
        self.lines.push(text.to_owned());
    }

    /// A sampler: how much of what it needs is there, and what is not.
    fn folded(&mut self, section: &Section) {
        let name = section.name.rsplit('.').next().unwrap_or(&section.name);
        let shown_needs: Vec<Need> = section
            .needs
            .iter()
            .filter(|need| {
                self.look.all || matches!(need.state, NeedState::Limited | NeedState::Trouble)
            })
            .cloned()
            .collect();
        let says = match &section.needs[..] {
            // What it says alone says it all.
            [only] if shown_needs.is_empty() => format!("{}: {}", only.what, only.says),
            needs => counts(section, needs),
        };
        self.need(&Need { state: section.worst(), ..Need::fine(name, says) });
        self.rows(&shown_needs, Self::detail);
    }

    /// Rows in turn; a remedy that several in a row share stands below the last.
    fn rows(&mut self, needs: &[Need], mut row: impl FnMut(&mut Self, &Need)) {
        for (at, need) in needs.iter().enumerate() {
            let shared = needs.get(at + 1).is_some_and(|next| next.remedy == need.remedy);
            let remedy = if shared { String::new() } else { need.remedy.clone() };
            row(self, &Need { remedy, ..need.clone() });
        }
    }

    /// One thing: mark, name, sentence, and the remedy below the sentence.
    fn need(&mut self, need: &Need) {
        let (what, says) = (shown(&need.what), said(&need.says));
        let mut sentences = wrapped(&says, self.left(SENTENCE_AT)).into_iter();
        let head = format!("  {} {what}", self.mark(need.state));
        // A long name has a line of its own.
        let line = match NAME_COLUMNS.checked_sub(width(&what)) {
            None => head,
            Some(gap) => {
                let first = sentences.next().unwrap_or_default();
                format!("{head}{}  {first}", " ".repeat(gap))
            }
        };
        self.lines.push(line.trim_end().to_owned());
        self.hung(sentences, SENTENCE_AT);
        self.remedy(&need.remedy, SENTENCE_AT);
    }

    /// One thing that a sampler needs, below its name.
    fn detail(&mut self, need: &Need) {
        let text = format!("{}: {}", shown(&need.what), said(&need.says));
        let mut lines = wrapped(&text, self.left(DETAIL_AT)).into_iter();
        let first = lines.next().unwrap_or_default();
        let mark = self.mark(need.state);
        self.lines.push(format!("{}{mark} {first}", " ".repeat(DETAIL_AT - 2)));
        self.hung(lines, DETAIL_AT);
        self.remedy(&need.remedy, DETAIL_AT);
    }

    fn remedy(&mut self, remedy: &str, at: usize) {
        let parts = wrapped(&shown(remedy), self.left(at + 2));
        let arrows = std::iter::once("→ ").chain(std::iter::repeat("  "));
        let lines: Vec<String> = arrows
            .zip(parts)
            .map(|(arrow, part)| self.styled(&format!("{arrow}{part}"), "36"))
            .collect();
        self.hung(lines, at);
    }

    fn hung(&mut self, lines: impl IntoIterator<Item = String>, at: usize) {
        self.lines.extend(lines.into_iter().map(|line| " ".repeat(at) + &line));
    }

    /// Columns that are left from here on.
    fn left(&self, at: usize) -> usize {
        self.look.columns.min(COLUMNS_MAX).saturating_sub(at).max(24)
    }

    fn summary(&mut self, report: &Report) {
        let count = |state| report.count(state);
        let (fine, absent) = (count(NeedState::Fine), count(NeedState::NotHere));
        let (limited, trouble) = (count(NeedState::Limited), count(NeedState::Trouble));
        let (state, begin) = match (trouble, limited) {
            (0, 0) => (NeedState::Fine, "Nothing is wrong".to_owned()),
            (0, _) => (NeedState::Limited, "Nothing is wrong".to_owned()),
            (1, _) => (NeedState::Trouble, "1 thing is wrong".to_owned()),
            _ => (NeedState::Trouble, format!("{trouble} things are wrong")),
        };
        let rest = format!("{limited} limited, {fine} fine, {absent} not here");
        let took = match report.took_ms {
            short @ ..1000 => format!("{short} ms"),
            long => format!("{}.{} s", long / 1000, long % 1000 / 100),
        };
        let text = format!("{begin}{}; {rest} ({took})", wrong(report));
        let lines = wrapped(&text, self.left(2)).into_iter();
        let mut lines: Vec<String> = lines.map(|line| self.bold(&line)).collect();
        let first = if lines.is_empty() { String::new() } else { lines.remove(0) };
        self.lines.push(format!("{} {first}", self.mark(state)));
        self.hung(lines, 2);
    }

    fn mark(&self, state: NeedState) -> String {
        match state {
            NeedState::Fine => self.styled("✓", "32"),
            NeedState::NotHere => self.styled("–", "2"),
            NeedState::Limited => self.styled("!", "33"),
            NeedState::Trouble => self.styled("✗", "1;31"),
        }
    }

    fn bold(&self, text: &str) -> String {
        self.styled(text, "1")
    }

    fn styled(&self, text: &str, style: &str) -> String {
        if self.look.colours { format!("\x1b[{style}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// A sentence without the system's number of an error, which its words say.
fn said(sentence: &str) -> String {
    let mut parts = sentence.split(" (os error ");
    let first = parts.next().unwrap_or_default().to_owned();
    let whole = parts.fold(first, |whole, part| {
        let digits = part.trim_start_matches(|c: char| c.is_ascii_digit());
        match digits.strip_prefix(')') {
            Some(rest) => whole + rest,
            None => whole + " (os error " + part,
        }
    });
    shown(&whole)
}

/// The names of what is wrong, the first ones.
fn wrong(report: &Report) -> String {
    let all = report.sections.iter().flat_map(|section| &section.needs);
    let wrong = all.filter(|need| need.state == NeedState::Trouble);
    let names: Vec<String> = wrong.map(|need| shown(&need.what)).collect();
    match names.len() {
        0 => String::new(),
        1..=NAMES_MAX => format!(": {}", names.join(", ")),
        _ => format!(": {}, …", names[..NAMES_MAX].join(", ")),
    }
}

fn counts(section: &Section, needs: &[Need]) -> String {
    let states = [NeedState::Trouble, NeedState::Limited, NeedState::Fine, NeedState::NotHere];
    let parts: Vec<String> = states
        .iter()
        .map(|state| (section.count(*state), state.name()))
        .filter(|(count, _)| *count > 0)
        .map(|(count, name)| format!("{count} {name}"))
        .collect();
    if needs.is_empty() { "needs nothing".to_owned() } else { parts.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let procfs = vec![
            Need::fine("/proc/stat", "can be read"),
            Need::limited("/proc/pressure/cpu", "cannot be read", "boot with psi=1"),
        ];
        let clocks = vec![
            Need::fine("clock source", "tsc"),
            Need::trouble("wall\u{1b}clock", "far off", "set it, and have it kept by a service"),
        ];
        Report {
            version: "1",
            node: "n".to_owned(),
            time: "T".to_owned(),
            took_ms: 1234,
            sections: vec![
                Section::of_sampler("own", vec![Need::fine("/proc/self", "can be read")]),
                Section::of_sampler("procfs", procfs),
                Section::new("clocks", "Clocks", clocks),
            ],
        }
    }

    #[test]
    fn the_text_is_aligned_and_says_remedies_below() {
        let look = Look { columns: 60, colours: false, all: false };
        let expected = "\
eagle-eye 1 on n, T

Samplers
  ✓ own                       /proc/self: can be read
  ! procfs                    1 limited, 1 fine
      ! /proc/pressure/cpu: cannot be read
        → boot with psi=1

Clocks
  ✓ clock source              tsc
  ✗ wall?clock                far off
                              → set it, and have it kept by
                                a service

✗ 1 thing is wrong: wall?clock; 1 limited, 3 fine, 0 not
  here (1.2 s)";
        assert_eq!(text(&report(), look), expected);
    }

    #[test]
    fn the_number_of_an_error_is_left_out() {
        for (sentence, expected) in [
            ("no: Gone (os error 2); another answers", "no: Gone; another answers"),
            ("a (os error x) b", "a (os error x) b"),
            ("plain", "plain"),
        ] {
            assert_eq!(said(sentence), expected);
        }
    }

    #[test]
    fn no_line_is_wider_than_a_terminal_and_colours_come_only_where_asked_for() {
        let narrow = text(&report(), Look { columns: 60, colours: true, all: true });
        assert!(narrow.contains("\x1b[32m✓\x1b[0m"), "{narrow}");
        let plain = text(&report(), Look { columns: 60, colours: false, all: true });
        assert!(!plain.contains('\x1b') && plain.contains("/proc/stat"), "{plain}");
        assert!(plain.lines().all(|line| width(line) <= 60), "{plain}");
    }
}
