//! The pages under `docs/rules/`: one per rule, and their index.

use std::fmt::Write as _;

use eagle_eye::diagnosis::Entry;
use eagle_eye::diagnosis::rules::{ALL, THRESHOLD};
use eagle_eye::schema::MetricId;

/// Every page with its path.
pub(crate) fn pages() -> Vec<(String, String)> {
    let all = ALL.iter().copied().chain([THRESHOLD]);
    let mut pages: Vec<(String, String)> =
        all.map(|entry| (format!("docs/rules/{}.md", entry.name), page(entry))).collect();
    pages.push(("docs/rules.md".to_owned(), index()));
    pages
}

fn index() -> String {
    let mut text = String::from(
        "# Rules\n\nEvery rule by which the agent judges, with a page each. A verdict names its \
         rule and its page. Settings, severities, codes, thresholds of your own and maintenance \
         windows stand in a rule file, which is swapped whole while the agent runs; a file with a \
         mistake is refused, and the rules before it hold. Made by `./dev gen` from the code \
         itself; do not edit.\n\n| rule | what it tells |\n|---|---|\n",
    );
    for entry in ALL.iter().copied().chain([THRESHOLD]) {
        let _ = writeln!(text, "| [{0}](rules/{0}.md) | {1} |", entry.name, entry.summary);
    }
    text.push_str(
        "\n## A rule file\n\n```toml\n[rules.thermal_throttle]     # any rule of the table above\n\
         severity = \"error\"           # info, warning, error, critical\n\
         hold_s = 20                  # any setting of its page\n\n\
         [rules.power_cap]\nenabled = false\n\n\
         [codes.xid.63]               # one row of a vendor's table\nseverity = \"warning\"\n\
         action = \"reset device\"\n\n\
         [[threshold]]                # a rule of your own, over any metric\n\
         name = \"inlet_warm\"\nmetric = \"sensor_celsius\"\n\
         device_kind = \"sensor\"       # optional\nabove = 45                   # or below\n\
         release = 42                 # optional: good again from here\nfor_s = 60\n\
         severity = \"warning\"\ntext = \"{device} reads {value} °C, limit {limit}.\"\n\
         action = \"repair cooling\"\nsteps = [\"Check the inlet.\"]\n\n\
         [[silence]]                  # a maintenance window\nsubject = \"gpu*\"\nrule = \"*\"\n\
         from = 2026-11-24T20:00:00Z\nuntil = 2026-11-24T23:00:00Z\n\
         reason = \"fans are changed\"\n```\n",
    );
    text
}

fn page(entry: &Entry) -> String {
    let Entry { name, summary, page, .. } = entry;
    let mut text = format!(
        "# {name}\n\n{summary} Made by `./dev gen` from the code itself; do not edit.\n\n\
         ## What it concludes\n\n{}\n\n## Why it matters\n\n{}\n\n## What it needs\n\n{}\n",
        page.concludes, page.matters, page.needs
    );
    let metrics: Vec<String> = entry.wants.metrics.iter().map(|of| metric(*of)).collect();
    if !metrics.is_empty() {
        let _ = writeln!(text, "\nIt looks when one of these changes: {}.", metrics.join(", "));
    }
    let _ = write!(
        text,
        "\n## When it stays silent\n\n{}\n\n## What to do\n\n{}\n",
        page.silent, page.remedy
    );
    if entry.follows_driver {
        text.push_str("\nWhere the driver itself says what is to be done, that is advised.\n");
    }
    let mut causes: Vec<&str> = entry.consequence_of.iter().map(|of| of.rule).collect();
    causes.dedup();
    causes.retain(|rule| ALL.iter().any(|entry| entry.name == *rule));
    if !causes.is_empty() {
        let links: Vec<String> = causes.iter().map(|of| format!("[{of}]({of}.md)")).collect();
        let _ = writeln!(text, "\nIt may be a consequence of {}.", links.join(", "));
    }
    text.push_str("\n## Settings\n\n");
    if *name == THRESHOLD.name {
        text.push_str("The keys of `[[threshold]]` in a [rule file](../rules.md#a-rule-file).\n");
        return text;
    }
    let _ = writeln!(text, "In a [rule file](../rules.md#a-rule-file), under `[rules.{name}]`.\n");
    text.push_str("| setting | default | from | to | what |\n|---|--:|--:|--:|---|\n");
    text.push_str("| `enabled` | true | | | Whether it runs. |\n");
    text.push_str("| `severity` | by what it finds | | | What its verdicts matter. |\n");
    for setting in entry.settings {
        let (least, most) = setting.range;
        let _ = writeln!(
            text,
            "| `{}` | {} | {least} | {most} | {} |",
            setting.key, setting.default, setting.help
        );
    }
    text
}

fn metric(of: MetricId) -> String {
    format!("`{}`", of.row().name)
}

#[test]
fn every_rule_is_whole_and_has_its_own_name() {
    for (at, entry) in ALL.iter().enumerate() {
        let lower = |c: char| c.is_ascii_lowercase() || c == '_';
        assert!(entry.name.chars().all(lower), "{}: lower-case letters and _", entry.name);
        assert!(ALL[..at].iter().all(|of| of.name != entry.name), "{} is there twice", entry.name);
        let page = &entry.page;
        let texts = [page.concludes, page.matters, page.needs, page.silent, page.remedy];
        for text in texts.iter().chain([&entry.summary]) {
            assert!(text.ends_with('.'), "{}: {text:?} is no whole sentence", entry.name);
        }
        for setting in entry.settings {
            let (least, most) = setting.range;
            let fits = (least..=most).contains(&setting.default);
            assert!(fits, "{}.{} is outside of its range", entry.name, setting.key);
            assert!(setting.help.ends_with('.'), "{}.{}", entry.name, setting.key);
        }
    }
}
