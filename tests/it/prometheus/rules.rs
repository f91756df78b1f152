//! Rules for Prometheus: whole, tested, documented, of series that exist.

use std::collections::BTreeSet;

use super::server::{promtool, root};

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).expect("the file is there")
}

/// What stands behind these words at the beginning of lines.
fn named(text: &str, words: &str) -> Vec<String> {
    let lines = text.lines().map(|line| line.trim().trim_start_matches("- "));
    lines.filter_map(|line| line.strip_prefix(words)).map(|name| name.trim().to_owned()).collect()
}

/// The series that recording rules make.
pub(crate) fn recorded() -> BTreeSet<String> {
    named(&read("deploy/alerts/recording.yml"), "record: ").into_iter().collect()
}

/// Names in a query that begin as ours do, and are none.
pub(crate) fn unknown(query: &str) -> Vec<String> {
    let known = known();
    let names = query.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'));
    let ours = names.filter(|name| name.contains("eagle_eye_"));
    ours.filter(|name| !known.contains(*name)).map(str::to_owned).collect()
}

/// Every series that a page or a recording rule may have.
fn known() -> BTreeSet<String> {
    use eagle_eye::exporter::{Kind, PREFIX, families, family_of};
    let mut known = recorded();
    let rows = eagle_eye::schema::METRICS.iter().map(family_of);
    for family in families().into_iter().chain(rows) {
        let name = format!("{PREFIX}{}", family.name);
        if family.kind == Kind::Histogram {
            known.extend(["_bucket", "_sum", "_count"].map(|end| format!("{name}{end}")));
        } else {
            known.insert(name);
        }
    }
    known
}

#[test]
fn promtool_accepts_every_rule_and_every_case_comes_true() {
    for (what, files) in [
        ("check", ["deploy/alerts/recording.yml", "deploy/alerts/alerts.yml"]),
        ("test", ["deploy/alerts/tests/recording.yml", "deploy/alerts/tests/alerts.yml"]),
    ] {
        let (fine, said) = promtool(&[what, "rules", files[0], files[1]], "");
        assert!(fine, "{said}");
    }
}

#[test]
fn every_rule_rests_on_series_that_exist() {
    for file in ["recording.yml", "alerts.yml"] {
        let text = read(&format!("deploy/alerts/{file}"));
        let code = text.lines().filter(|line| !line.trim_start().starts_with('#'));
        let code = code.filter(|line| !line.contains("- name: eagle_eye_"));
        let unknown = unknown(&code.collect::<Vec<_>>().join("\n"));
        assert_eq!(unknown, Vec::<String>::new(), "{file}");
    }
    assert_eq!(unknown("rate(eagle_eye_engine_nonsense[5m])"), ["eagle_eye_engine_nonsense"]);
}

#[test]
fn every_alert_has_a_case_where_it_fires_a_near_miss_and_its_section() {
    let rules = read("deploy/alerts/alerts.yml");
    let (cases, page) = (read("deploy/alerts/tests/alerts.yml"), read("docs/alerts.md"));
    let cases = named(&cases, "name: ");
    let alerts = named(&rules, "alert: ");
    let links = named(&rules, "runbook_url: ");
    assert!(alerts.len() >= 20 && links.len() == alerts.len());
    for (alert, link) in alerts.iter().zip(links) {
        for kind in ["fires", "near miss"] {
            let case = format!("{alert} {kind}");
            assert!(cases.contains(&case), "{case}: write it in deploy/alerts/tests/alerts.yml");
        }
        assert!(
            page.contains(&format!("\n### {alert}\n")),
            "{alert} has no section in docs/alerts.md"
        );
        let section = format!("docs/alerts.md#{}", alert.to_lowercase());
        let rule = "\"docs/rules/{{ $labels.rule }}.md\"";
        assert!(link == section || link == rule, "{alert}: {link}");
    }
}
