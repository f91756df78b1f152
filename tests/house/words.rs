//! One word for one idea: ARCHITECTURE.md's glossary, in the names we declare.

use crate::code::{bare, tokens};
use crate::tree::{File, files};
use crate::{catches, hold};

/// Words that mean what another word of ours means, and that word.
///
/// Not listed, since they mean something else as well: channel, listener,
/// context, options, summary, item, plugin, bundle.
const BANNED: &[(&str, &str)] = &[
    ("provider", "source"),
    ("backend", "source"),
    ("collector", "sampler"),
    ("monitor", "sampler"),
    ("datapoint", "reading"),
    ("chunk", "batch"),
    ("sink", "taker"),
    ("topic", "subject"),
    ("analyzer", "detector"),
    ("alert", "verdict"),
    ("finding", "verdict"),
    ("shard", "rank"),
    ("manager", "the noun of what it does"),
    ("handler", "the noun of what it does"),
    ("helper", "the noun of what it does"),
    ("inner", "the noun of what it holds"),
    ("util", "a room of the table"),
    ("common", "a room of the table"),
    ("misc", "a room of the table"),
];

fn findings(files: &[File]) -> Vec<String> {
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| is_ours(&file.path)) {
        for name in declared(file.text()) {
            let parts = parts(&name);
            for (word, instead) in BANNED {
                if parts.iter().any(|part| part == word || *part == format!("{word}s")) {
                    findings.push(format!(
                        "{}: `{name}` says {word}: our word is {instead}",
                        file.path
                    ));
                }
            }
            if parts.len() > 1 && parts[0] == "get" {
                findings.push(format!("{}: `{name}`: drop the get_, say the noun", file.path));
            }
        }
    }
    findings
}

fn is_ours(path: &str) -> bool {
    path.starts_with("src/") && path.ends_with(".rs") && !path.ends_with("_generated.rs")
}

/// The names of types, functions and modules that this text declares.
fn declared(text: &str) -> Vec<String> {
    let code = bare(text);
    let declares = ["struct", "enum", "trait", "type", "fn", "mod", "const", "static"];
    tokens(&code)
        .windows(2)
        .filter(|two| declares.contains(&two[0]) && two[1] != "fn")
        .filter(|two| two[1].starts_with(|c: char| c.is_alphabetic()))
        .map(|two| two[1].to_owned())
        .collect()
}

/// The lower-case words of `snake_case`, `CamelCase` and `LOUD_CASE`.
fn parts(name: &str) -> Vec<String> {
    let loud = !name.contains(char::is_lowercase);
    let mut parts = vec![String::new()];
    for c in name.chars() {
        if c == '_' || (c.is_uppercase() && !loud) {
            parts.push(String::new());
        }
        if c != '_' {
            let last = parts.len() - 1;
            parts[last].extend(c.to_lowercase());
        }
    }
    parts.retain(|part| !part.is_empty());
    parts
}

#[test]
fn names_use_the_words_of_the_glossary() {
    hold("One word for one idea", &findings(&files()));
}

#[test]
fn a_synonym_is_found_as_a_word_and_not_within_one() {
    for (text, found) in [
        ("struct NatsSink;", vec!["says sink: our word is taker"]),
        ("fn read_chunks() {}", vec!["says chunk: our word is batch"]),
        ("pub(crate) enum DataProvider {}", vec!["our word is source"]),
        ("const ALERT_MAX: u32 = 1;", vec!["our word is verdict"]),
        ("fn get_rank() {}", vec!["drop the get_"]),
        ("mod utils;", vec!["a room of the table"]),
        ("fn sinking() { let sink = x.chunks(4); }", vec![]),
        ("fn get() {}", vec![]),
        ("// struct Sink;", vec![]),
        ("fn budget_left() {}", vec![]),
    ] {
        catches(&findings(&[File::sample("src/ring/mod.rs", text)]), &found);
    }
}
