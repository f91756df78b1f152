//! What the README and docs/prometheus.md show is so.

use eagle_eye::exporter::{PREFIX, families};

use super::rules::unknown;
use super::server::{promtool, root};

fn pages() -> [(&'static str, String); 2] {
    ["README.md", "docs/prometheus.md"]
        .map(|path| (path, std::fs::read_to_string(root().join(path)).expect("the page")))
}

/// The blocks of a page that are fenced with this word.
fn blocks<'a>(page: &'a str, language: &str) -> Vec<&'a str> {
    let fence = format!("```{language}\n");
    let parts = page.split(&*fence).skip(1).map(|part| part.split("```").next().unwrap_or(part));
    parts.collect()
}

/// The queries that the pages show, each with its page.
pub(crate) fn queries() -> Vec<(&'static str, String)> {
    let mut queries = Vec::new();
    for (path, page) in pages() {
        for line in blocks(&page, "promql").iter().flat_map(|block| block.lines()) {
            if !line.starts_with('#') {
                queries.push((path, line.to_owned()));
            }
        }
    }
    queries
}

#[test]
fn the_queries_shown_are_of_series_that_exist() {
    let queries = queries();
    assert!(queries.len() >= 9, "{queries:?}");
    for (path, query) in queries {
        assert_eq!(unknown(&query), Vec::<String>::new(), "{path}: {query}");
    }
}

#[test]
fn the_configurations_shown_are_ones_that_promtool_accepts() {
    let folder = tempfile::tempdir().expect("a folder");
    for (path, page) in pages() {
        let shown = blocks(&page, "yaml");
        assert!(!shown.is_empty(), "{path}");
        for block in shown {
            let rules = format!("- {}/deploy/", root().display());
            let file = folder.path().join("prometheus.yml");
            std::fs::write(&file, block.replace("- deploy/", &rules)).expect("a file");
            let (fine, said) = promtool(&["check", "config", &file.to_string_lossy()], "");
            assert!(fine, "{path}: {said}");
        }
    }
}

#[test]
fn every_family_has_its_line_with_its_type() {
    let [_, (_, page)] = pages();
    for family in families() {
        let line =
            format!("\n| `{PREFIX}{}` | {} | {} |\n", family.name, family.kind.name(), family.help);
        assert!(page.contains(&line), "docs/prometheus.md lacks{line}");
    }
}
