//! Laws for any file: nothing left undone, nothing large, a small `main`.

use crate::tree::{File, files, read};
use crate::{catches, hold};

/// A file larger than this belongs under `tests/captures`, or nowhere.
const FILE_BYTES_MAX: u64 = 500_000;

/// `main` only starts, waits and leaves.
const MAIN_LINES_MAX: usize = 50;

/// Marks of unfinished work, spelt so that this file has none.
const MARKS: [&str; 4] =
    [concat!("FIX", "ME"), concat!("TO", "DO"), concat!("XX", "X"), concat!("HA", "CK")];

fn undone(files: &[File]) -> Vec<String> {
    let mut findings = Vec::new();
    for file in files {
        for (line, text) in file.text().lines().enumerate() {
            let mut words = text.split(|c: char| !c.is_alphanumeric() && c != '_');
            if let Some(mark) = words.find(|word| MARKS.contains(word)) {
                findings.push(format!(
                    "{}:{}: {mark}: do it, or open an issue and delete the mark",
                    file.path,
                    line + 1
                ));
            }
        }
    }
    findings
}

fn large(files: &[File]) -> Vec<String> {
    files
        .iter()
        .filter(|file| file.bytes > FILE_BYTES_MAX && !file.path.starts_with("tests/captures/"))
        .map(|file| {
            format!(
                "{} has {} bytes: captures belong in tests/captures, outputs nowhere",
                file.path, file.bytes
            )
        })
        .collect()
}

fn long_main(text: &str) -> Vec<String> {
    let lines = text.lines().count();
    let long = lines > MAIN_LINES_MAX;
    let sentence =
        format!("src/main.rs has {lines} lines, {MAIN_LINES_MAX} are allowed: move them to cli");
    long.then_some(sentence).into_iter().collect()
}

#[test]
fn nothing_is_left_undone() {
    hold("No marks of unfinished work", &undone(&files()));
}

#[test]
fn no_file_is_large() {
    hold("No large files", &large(&files()));
}

#[test]
fn main_is_short() {
    hold("main only starts, waits and leaves", &long_main(&read("src/main.rs")));
}

#[test]
fn a_mark_of_unfinished_work_is_found() {
    let text = format!("fine\n// {}: later\n{}_LIST todo = 1", MARKS[1], MARKS[1]);
    catches(&undone(&[File::sample("src/lib.rs", &text)]), &["src/lib.rs:2: "]);
}

#[test]
fn a_large_file_is_found_unless_it_is_a_capture() {
    let sample = |path: &str, bytes| File { bytes, ..File::sample(path, "") };
    let files = [
        sample("docs/picture.png", FILE_BYTES_MAX + 1),
        sample("tests/captures/kmsg.bin", FILE_BYTES_MAX + 1),
        sample("Cargo.lock", FILE_BYTES_MAX),
    ];
    catches(&large(&files), &["docs/picture.png has 500001 bytes"]);
}

#[test]
fn a_long_main_is_found() {
    catches(&long_main(&"x\n".repeat(MAIN_LINES_MAX)), &[]);
    catches(&long_main(&"x\n".repeat(MAIN_LINES_MAX + 1)), &["51 lines"]);
}
