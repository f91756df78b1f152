//! The pages under `docs/` that say every reading, sampler, setting and
//! command are made from the catalogues themselves.
//!
//! `./dev gen` writes them; the test compares.

use std::fmt::Write as _;
use std::fs;

use eagle_eye::config::{SettingDoc, settings, variable_name};
use eagle_eye::samplers::{self, Entry};
use eagle_eye::schema::{METRICS, Metric, MetricKind};

use crate::tree::root;
use crate::{catches, hold};

/// Columns of the commands' help.
const HELP_COLUMNS: usize = 96;

/// Text as a table's cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('*', "\\*").replace('<', "&lt;").replace('\n', " ")
}

fn page(title: &str, about: &str) -> String {
    format!("# {title}\n\n{about} Made by `./dev gen` from the code itself; do not edit.\n")
}

fn giver(metric: &Metric) -> &'static str {
    let gives = |entry: &&&Entry| entry.metrics.contains(&metric.id);
    samplers::ALL.iter().find(gives).map_or("", |entry| entry.name)
}

fn metric_rows(of: &str) -> String {
    let mut text = String::from(
        "| metric | unit | kind | device | what, and its source | id |\n|---|---|---|---|---|--:|\n",
    );
    for metric in METRICS.iter().filter(|metric| giver(metric) == of) {
        let kind = match metric.kind {
            MetricKind::Gauge => "gauge",
            MetricKind::Counter => "counter",
        };
        let Metric { id, name, unit, device_kind, help, .. } = metric;
        let (unit, help, id) = (unit.name(), cell(help), *id as u16);
        let _ = writeln!(text, "| `{name}` | {unit} | {kind} | {device_kind} | {help} | {id} |");
    }
    text
}

fn metrics() -> String {
    let mut text = page(
        "Metrics",
        "Every reading that this build can give: its unit, the kind of device it belongs to, and \
         its source. A counter only rises until its source restarts. What cannot be read is \
         absent, never zero.",
    );
    for entry in samplers::ALL.iter().filter(|entry| !entry.metrics.is_empty()) {
        let _ = write!(text, "\n## {}\n\n{} ", entry.name, entry.summary);
        let _ =
            write!(text, "See [{0}](samplers.md#{0}).\n\n{1}", entry.name, metric_rows(entry.name));
    }
    text
}

fn sampler(entry: &Entry) -> String {
    let Entry { name, summary, source, period_ms, .. } = entry;
    let gives = match (entry.steps, entry.metrics.len()) {
        (true, _) => "steps of engines".to_owned(),
        (false, 0) => "events".to_owned(),
        (false, count) => format!("{count} [metrics](metrics.md#{name}) and their devices"),
    };
    format!(
        "\n## {name}\n\n{}\n\n- Source: {}\n- Period: {period_ms} ms unless set otherwise\n- Gives: \
         {gives}\n- Settings: [samplers.{name}](settings.md#samplers{name})\n",
        cell(summary),
        cell(source)
    )
}

fn sampler_page() -> String {
    let about = "Each sampler turns one source into facts on a thread of its own, and judges \
                 nothing. `eagle-eye doctor` says what each needs and whether it is here.";
    samplers::ALL.iter().fold(page("Samplers", about), |text, entry| text + &sampler(entry))
}

fn setting_page(settings: &[SettingDoc]) -> String {
    let mut text = page(
        "Settings",
        "Every setting with its default. A file (`--config`) has them as TOML, under the table \
         that a heading names; the environment has them under the name in the last column; \
         `--set KEY=VALUE` has any of them. Flags win over the environment, the environment over \
         the file. The same as a file: `eagle-eye check --print-default`.",
    );
    let mut table = None;
    for setting in settings {
        let (parent, key) = setting.key.rsplit_once('.').unwrap_or(("", &setting.key));
        if table != Some(parent) {
            table = Some(parent);
            let heading = if parent.is_empty() { "At the top" } else { parent };
            let _ = write!(text, "\n## {heading}\n\n| setting | default | what | variable |\n");
            text.push_str("|---|---|---|---|\n");
        }
        let (help, variable) = (cell(setting.help), variable_name(&setting.key));
        let _ = writeln!(text, "| `{key}` | `{}` | {help} | `{variable}` |", setting.default);
    }
    text
}

/// The help of a command, without what differs from one machine to another.
fn help(command: clap::Command) -> String {
    let command = command.mut_args(|arg| arg.hide_env_values(true)).term_width(HELP_COLUMNS);
    let text = command.clone().render_long_help().to_string();
    text.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

fn commands() -> String {
    let mut text =
        page("Commands", "Exit codes: 0 fine, 1 found trouble, 2 wrong usage or configuration.");
    let mut all = eagle_eye::cli::command();
    all.build();
    let _ = write!(text, "\n## eagle-eye\n\n```text\n{}```\n", help(all.clone()));
    for verb in all.get_subcommands().filter(|verb| verb.get_name() != "help") {
        let _ = write!(text, "\n## {}\n\n```text\n{}```\n", verb.get_name(), help(verb.clone()));
    }
    text
}

fn pages() -> Vec<(String, String)> {
    let mut pages = vec![
        ("docs/metrics.md".to_owned(), metrics()),
        ("docs/samplers.md".to_owned(), sampler_page()),
        ("docs/settings.md".to_owned(), setting_page(&settings())),
        ("docs/commands.md".to_owned(), commands()),
    ];
    pages.extend(crate::rule_pages::pages());
    pages
}

fn findings(pages: &[(String, String)], read: impl Fn(&str) -> String) -> Vec<String> {
    let stale = pages.iter().filter(|(path, text)| read(path) != *text);
    stale.map(|(path, _)| format!("{path} is not what the code says: run ./dev gen")).collect()
}

#[test]
fn the_pages_are_what_the_code_says() {
    let pages = pages();
    if std::env::var_os("EAGLE_EYE_BLESS").is_some() {
        for (path, text) in pages {
            fs::write(root().join(path), text).expect("the page can be written");
        }
        return;
    }
    let read = |path: &str| fs::read_to_string(root().join(path)).unwrap_or_default();
    hold("Generated pages are fresh", &findings(&pages, read));
}

#[test]
fn every_metric_sampler_setting_and_verb_has_its_line() {
    let pages = pages().into_iter().map(|(_, text)| text).collect::<String>();
    for metric in METRICS {
        assert!(pages.contains(&format!("| `{}` |", metric.name)), "{}", metric.name);
    }
    for setting in settings() {
        assert!(pages.contains(&variable_name(&setting.key)), "{}", setting.key);
    }
    for entry in samplers::ALL {
        assert!(pages.contains(&format!("\n## {}\n", entry.name)), "{}", entry.name);
    }
    for verb in ["run", "watch", "doctor", "list"] {
        assert!(pages.contains(&format!("Usage: eagle-eye {verb} ")), "{verb}");
    }
}

#[test]
fn a_stale_page_is_found() {
    let page = |path: &str, text: &str| (path.to_owned(), text.to_owned());
    let pages = [page("docs/a.md", "new"), page("docs/b.md", "same")];
    catches(&findings(&pages, |_| "same".to_owned()), &["docs/a.md is not what the code says"]);
}
