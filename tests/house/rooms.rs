//! Which room may use which.

use std::collections::BTreeSet;

use crate::code::{bare, tokens, without_tests};
use crate::tree::{File, files};
use crate::{catches, hold};

/// The rooms in flow order, and the rooms that each may use.
const ROOMS: &[(&str, &[&str])] = &[
    ("schema", &[]),
    ("platform", &[]),
    ("ring", &["platform"]),
    ("newest", &["schema", "platform"]),
    ("transports", &["platform"]),
    ("samplers", &["schema", "ring", "newest", "platform"]),
    ("pipeline", &["schema", "ring", "newest", "platform"]),
    ("journal", &["schema", "platform"]),
    ("recorder", &["schema", "platform"]),
    ("diagnosis", &["schema"]),
    ("exporter", &["schema", "newest"]),
    ("web", &["schema", "newest", "exporter", "platform"]),
    ("kubernetes", &["schema"]),
    ("client", &["schema", "newest", "transports", "platform"]),
    ("producer", &["schema", "platform"]),
    ("config", &CONFIG_MAY_USE),
    ("engine", &ENGINE_MAY_USE),
    (
        "cli",
        &[
            "engine",
            "config",
            "client",
            "producer",
            "diagnosis",
            "recorder",
            "schema",
            "platform",
            "web",
            "newest",
        ],
    ),
];

/// The rooms' own settings and catalogue entries.
const CONFIG_MAY_USE: [&str; 14] = [
    "schema",
    "platform",
    "ring",
    "newest",
    "transports",
    "samplers",
    "pipeline",
    "journal",
    "recorder",
    "diagnosis",
    "exporter",
    "web",
    "kubernetes",
    "client",
];

/// Everything above it.
const ENGINE_MAY_USE: [&str; 16] = [
    "producer",
    "schema",
    "platform",
    "ring",
    "newest",
    "transports",
    "samplers",
    "pipeline",
    "journal",
    "recorder",
    "diagnosis",
    "exporter",
    "web",
    "kubernetes",
    "client",
    "config",
];

fn is_room(name: &str) -> bool {
    ROOMS.iter().any(|(room, _)| *room == name)
}

/// The room of a file under `src/`, by its folder or its own name.
fn room_of(path: &str) -> Option<&str> {
    let inside = path.strip_prefix("src/")?;
    let first = inside.split('/').next()?;
    Some(first.strip_suffix(".rs").unwrap_or(first))
}

/// Findings of the law in these files.
fn findings(files: &[File]) -> Vec<String> {
    let mut findings = Vec::new();
    let tests_only = files_of_tests(files);
    for file in files.iter().filter(|file| file.path.ends_with(".rs")) {
        let Some(room) = room_of(&file.path) else { continue };
        if matches!(room, "main" | "lib") || tests_only.contains(&file.path) {
            continue;
        }
        let Some((_, may_use)) = ROOMS.iter().find(|(name, _)| *name == room) else {
            findings.push(format!(
                "{}: `{room}` is no room: move the file into one, or discuss a new room and add \
                 it to ARCHITECTURE.md and to ROOMS in tests/house/rooms.rs",
                file.path
            ));
            continue;
        };
        for used in rooms_used(&file.path, file.text()) {
            if used != room && !may_use.contains(&used.as_str()) {
                findings.push(format!(
                    "{}: {room} may not use {used}: what it needs is a word (move it to schema) or \
                     an act (take a closure from engine)",
                    file.path
                ));
            }
        }
    }
    findings
}

/// Files that a `#[cfg(test)] mod name;` brings in.
fn files_of_tests(files: &[File]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for file in files.iter().filter(|file| file.path.ends_with(".rs")) {
        let code = bare(file.text());
        let (all, kept) = (modules(&code), modules(&without_tests(&code)));
        let (folder, name) = file.path.rsplit_once('/').unwrap_or(("", &file.path));
        let stem = name.trim_end_matches(".rs");
        let below = match stem {
            "mod" | "lib" | "main" => folder.to_owned(),
            _ => format!("{folder}/{stem}"),
        };
        for module in all.iter().filter(|module| !kept.contains(*module)) {
            found.insert(format!("{below}/{module}.rs"));
            found.insert(format!("{below}/{module}/mod.rs"));
        }
    }
    found
}

fn modules(code: &str) -> BTreeSet<String> {
    let tokens = tokens(code);
    let named = tokens.windows(3).filter(|three| three[0] == "mod" && three[2] == ";");
    named.map(|three| three[1].to_owned()).collect()
}

/// The rooms that paths in this file name, outside of comments and tests.
fn rooms_used(path: &str, text: &str) -> BTreeSet<String> {
    let code = without_tests(&bare(text));
    let tokens = tokens(&code);
    let mut used = BTreeSet::new();
    let mut at = 0;
    while at < tokens.len() {
        let begins = at == 0 || tokens[at - 1] != "::";
        if let Some(after) = path_to_root(&tokens, at, depth(path)).filter(|_| begins) {
            heads(&tokens, after, &mut used);
        }
        at += 1;
    }
    used.retain(|name| is_room(name));
    used
}

/// How many `super::` lead from a file's module to the crate's root.
fn depth(path: &str) -> usize {
    let inside = path.trim_start_matches("src/");
    inside.split('/').filter(|part| *part != "mod.rs").count()
}

/// Where a path that begins here stands after `crate::` or enough `super::`.
fn path_to_root(tokens: &[&str], at: usize, depth: usize) -> Option<usize> {
    let pair =
        |at: usize, word: &str| tokens.get(at) == Some(&word) && tokens.get(at + 1) == Some(&"::");
    if pair(at, "crate") || pair(at, "eagle_eye") {
        return Some(at + 2);
    }
    let supers = (0..).take_while(|n| pair(at + 2 * n, "super")).count();
    (supers > 0 && supers >= depth).then_some(at + 2 * supers)
}

/// The first names of a path or of each branch of a braced group.
fn heads(tokens: &[&str], at: usize, used: &mut BTreeSet<String>) {
    if tokens.get(at) != Some(&"{") {
        used.extend(tokens.get(at).map(|name| (*name).to_owned()));
        return;
    }
    let (mut depth, mut first) = (0, true);
    for token in &tokens[at..] {
        match *token {
            "{" => depth += 1,
            "}" => depth -= 1,
            "," if depth == 1 => first = true,
            name if depth == 1 && first => {
                used.insert(name.to_owned());
                first = false;
            }
            _ => {}
        }
        if depth == 0 {
            return;
        }
    }
}

#[test]
fn no_room_uses_a_room_that_it_may_not() {
    hold("Rooms depend forward", &findings(&files()));
}

#[test]
fn the_table_names_rooms_that_stand_before_their_user() {
    for (at, (room, may_use)) in ROOMS.iter().enumerate() {
        for used in *may_use {
            let stands = ROOMS[..at].iter().any(|(name, _)| name == used);
            assert!(stands, "{room} uses {used}, which does not stand before it");
        }
    }
}

#[test]
fn a_forbidden_use_is_found_however_it_is_written() {
    for (path, text, found) in [
        ("src/ring/mod.rs", "use crate::schema::StepCore;", vec!["ring may not use schema"]),
        ("src/ring/slot.rs", "fn f() { crate::newest::g() }", vec!["ring may not use newest"]),
        ("src/ring.rs", "use super::schema::X;", vec!["ring may not use schema"]),
        ("src/ring/slot.rs", "use super::super::schema;", vec!["ring may not use schema"]),
        ("src/ring/slot.rs", "use super::schema;", vec![]),
        (
            "src/diagnosis/mod.rs",
            "use crate::{platform::clock, schema::{X, ring}, web};",
            vec!["diagnosis may not use platform", "diagnosis may not use web"],
        ),
        ("src/pipeline/mod.rs", "pub(crate) use crate::transports::T;", vec!["use transports"]),
        ("src/ring/mod.rs", "macro_rules! m { () => { $crate::web::X } }", vec!["use web"]),
        ("src/ring/mod.rs", "// use crate::schema\nuse crate::platform::atomic;", vec![]),
        ("src/ring/mod.rs", "#[cfg(test)] mod tests { use crate::schema::X; }", vec![]),
        ("src/ring/mod.rs", "pub(crate) struct S; pub(in crate::ring) fn f() {}", vec![]),
        ("src/cli/run.rs", "use crate::{engine, schema};", vec![]),
        ("src/helpers/mod.rs", "", vec!["`helpers` is no room"]),
        ("src/loose.rs", "", vec!["`loose` is no room"]),
        ("src/main.rs", "use eagle_eye::cli;", vec![]),
    ] {
        catches(&findings(&[File::sample(path, text)]), &found);
    }
}

#[test]
fn a_file_that_only_tests_compile_is_free() {
    let door = File::sample("src/ring/mod.rs", "#[cfg(test)]\nmod tests;\nmod slot;");
    let tests = File::sample("src/ring/tests.rs", "use crate::schema::StepCore;");
    let slot = File::sample("src/ring/slot.rs", "use crate::schema::StepCore;");
    catches(&findings(&[door, tests, slot]), &["src/ring/slot.rs: ring may not use schema"]);
}
