//! Markdown has a title, and its links lead somewhere.

use std::collections::BTreeSet;

use crate::tree::{File, files};
use crate::{catches, hold};

fn findings(files: &[File]) -> Vec<String> {
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| file.path.ends_with(".md")) {
        let lines = prose(file.text());
        let titles = lines.iter().filter(|line| line.starts_with("# ")).count();
        let first = lines.iter().find(|line| !line.trim().is_empty());
        if titles != 1 || !first.is_some_and(|line| line.starts_with("# ")) {
            findings.push(format!(
                "{}: begin with one `# Title` and use `##` below it ({titles} titles now)",
                file.path
            ));
        }
        for link in lines.iter().flat_map(|line| links(line)) {
            if let Some(why) = broken(files, file, &link) {
                findings.push(format!("{}: the link to `{link}` {why}", file.path));
            }
        }
    }
    findings
}

/// The lines outside of fenced code, without inline code.
fn prose(text: &str) -> Vec<String> {
    let mut fenced = false;
    let mut lines = Vec::new();
    for line in text.lines() {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        if !fenced && !fence {
            // Every other piece between backticks is code.
            lines.push(line.split('`').step_by(2).collect::<Vec<_>>().join("`"));
        }
    }
    lines
}

/// The targets of `[text](target)` and of `[label]: target`.
fn links(line: &str) -> Vec<String> {
    let mut targets = Vec::new();
    for piece in line.split("](").skip(1) {
        targets.extend(piece.split([')', ' ']).next().map(str::to_owned));
    }
    if let Some((label, target)) = line.split_once("]: ").filter(|_| line.starts_with('[')) {
        let single = !label[1..].contains(['[', ']']);
        targets.extend(single.then(|| target.trim().to_owned()));
    }
    targets
}

/// Why a link leads nowhere, if it does; links to the outside are believed.
fn broken(files: &[File], from: &File, link: &str) -> Option<&'static str> {
    if link.contains("://") || link.starts_with("mailto:") {
        return None;
    }
    let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
    let target = if path.is_empty() { from.path.clone() } else { resolve(&from.path, path) };
    let folder = format!("{}/", target.trim_end_matches('/'));
    let Some(file) = files.iter().find(|file| file.path == target) else {
        let is_folder = files.iter().any(|file| file.path.starts_with(&folder));
        return (!is_folder).then_some("leads to no file: mend the path, relative to this file");
    };
    let known = anchor.is_empty() || !target.ends_with(".md") || anchors(file).contains(anchor);
    (!known).then_some("leads to no heading: mend what follows the #")
}

/// A relative path from a file, from the root on.
fn resolve(from: &str, path: &str) -> String {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in path.split('/') {
        match part {
            "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// The anchors that GitHub makes of a page's headings.
fn anchors(file: &File) -> BTreeSet<String> {
    let mut fenced = false;
    let mut anchors = BTreeSet::new();
    for line in file.text().lines() {
        fenced ^= line.trim_start().starts_with("```");
        if fenced || !line.starts_with('#') {
            continue;
        }
        let kept = |c: char| match c {
            ' ' => Some('-'),
            '-' | '_' => Some(c),
            c => c.is_alphanumeric().then(|| c.to_ascii_lowercase()),
        };
        anchors.insert(line.trim_start_matches('#').trim().chars().filter_map(kept).collect());
    }
    anchors
}

#[test]
fn markdown_has_titles_and_its_links_lead_somewhere() {
    hold("Pages have a title and whole links", &findings(&files()));
}

#[test]
fn a_missing_title_and_a_broken_link_are_found() {
    let other = || File::sample("docs/a.md", "# A b\n\n## The `x`, and y\n");
    for (text, found) in [
        ("# T\n[a](docs/a.md) [b](docs) [c](https://x/y) [d](#t)", vec![]),
        ("# T\n[a](docs/a.md#the-x-and-y)", vec![]),
        ("no title", vec!["begin with one `# Title`"]),
        ("# T\n# U", vec!["2 titles"]),
        ("# T\n```sh\n# comment\n[a](nowhere.md)\n```\n`[a](nowhere.md)`", vec![]),
        ("# T\n[a](nowhere.md)", vec!["`nowhere.md` leads to no file"]),
        ("# T\n![p](docs/p.png \"P\")", vec!["`docs/p.png` leads to no file"]),
        ("# T\n[a](docs/a.md#z)", vec!["leads to no heading"]),
        ("# T\n[l]: gone.md", vec!["`gone.md` leads to no file"]),
    ] {
        catches(&findings(&[File::sample("README.md", text), other()]), &found);
    }
    let below = File::sample("docs/b/c.md", "# C\n[a](../a.md) [b](../../README.md)");
    catches(&findings(&[below, other()]), &["`../../README.md` leads to no file"]);
}
