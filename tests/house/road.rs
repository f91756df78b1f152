//! The one loop is whole: CI runs it, the README's commands exist, generated
//! code is what the schema says.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::tree::{File, files, read, root};
use crate::{catches, hold};

fn ci_findings(text: &str, executable: bool) -> Vec<String> {
    let mut findings = Vec::new();
    if !text.lines().any(|line| line.trim() == "exec ./dev test") {
        findings.push(".ci/run: end it with `exec ./dev test`, so that green is green".into());
    }
    if !executable {
        findings.push(".ci/run: chmod +x .ci/run".into());
    }
    findings
}

/// What exists to be called.
struct Callable {
    /// Verbs of `./dev`.
    dev: Vec<String>,
    /// Verbs of `eagle-eye`; empty while it has no command line.
    verbs: Vec<String>,
    /// `bench NAME` and `example NAME`.
    targets: Vec<String>,
}

impl Callable {
    fn of(files: &[File]) -> Self {
        let below = |folder: &str| -> Vec<String> {
            let paths = files.iter().filter_map(|file| file.path.strip_prefix(folder));
            paths.map(|path| path.split(['/', '.']).next().unwrap_or_default().into()).collect()
        };
        let dev = files.iter().find(|file| file.path == "dev").map_or("", File::text);
        let dev = dev.lines().filter_map(|line| line.strip_prefix("verb_")?.split_once("()"));
        Self {
            dev: dev.map(|(name, _)| name.to_owned()).collect(),
            verbs: below("src/cli/").into_iter().filter(|verb| verb != "mod").collect(),
            targets: below("benches/")
                .iter()
                .map(|name| format!("bench {name}"))
                .chain(below("examples/").iter().map(|name| format!("example {name}")))
                .collect(),
        }
    }

    /// Why a shell line cannot be called, if it cannot.
    fn missing(&self, line: &str) -> Option<String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let after = |word: &str| {
            let at = words.iter().position(|each| *each == word)?;
            words.get(at + 1).copied()
        };
        if let Some(verb) = after("./dev").filter(|verb| !self.dev.iter().any(|dev| dev == verb)) {
            return Some(format!("./dev has no verb {verb}"));
        }
        for kind in ["bench", "example"] {
            let target = after(&format!("--{kind}")).map(|name| format!("{kind} {name}"));
            if let Some(target) = target.filter(|target| !self.targets.contains(target)) {
                return Some(format!("there is no {target}"));
            }
        }
        let ours = words.first().is_some_and(|first| first.ends_with("eagle-eye"));
        let through_cargo = words.starts_with(&["cargo", "run"]) && after("--example").is_none();
        let verb = if ours { words.get(1).copied() } else { after("--") };
        let verb = verb.filter(|verb| !verb.starts_with('-') && (ours || through_cargo))?;
        let known = self.verbs.is_empty() || self.verbs.iter().any(|each| each == verb);
        (!known).then(|| format!("eagle-eye has no verb {verb}"))
    }
}

fn readme_findings(readme: &str, callable: &Callable) -> Vec<String> {
    let commands = shell_lines(readme);
    let mut findings: Vec<String> = commands
        .iter()
        .filter_map(|line| callable.missing(line).map(|why| (line, why)))
        .map(|(line, why)| format!("README.md: `{line}`: {why}: mend the line or write the verb"))
        .collect();
    if !commands.iter().any(|line| line == "./dev test") {
        findings.push("README.md: show `./dev test`, the newcomer's second command".into());
    }
    findings
}

/// The commands in fences of shell, without prompts and comments.
fn shell_lines(text: &str) -> Vec<String> {
    let (mut lines, mut shell) = (Vec::new(), false);
    for line in text.lines() {
        if let Some(kind) = line.trim_start().strip_prefix("```") {
            shell = !shell && matches!(kind.trim(), "sh" | "bash" | "shell" | "console");
        } else if shell {
            let line = line.split(" #").next().unwrap_or_default().trim();
            let line = line.trim_start_matches("$ ");
            for command in line.split("&&").map(str::trim) {
                if !command.is_empty() && !command.starts_with('#') {
                    lines.push(command.to_owned());
                }
            }
        }
    }
    lines
}

fn stale(made: &str, committed: &str) -> Vec<String> {
    let sentence = "src/schema/wire_generated.rs is not what schema/eagle_eye.fbs says: run \
                    ./dev gen and commit it";
    (made != committed).then(|| sentence.to_owned()).into_iter().collect()
}

#[test]
fn ci_runs_the_one_loop() {
    let mode = fs::metadata(root().join(".ci/run")).expect(".ci/run exists").permissions().mode();
    hold("CI runs ./dev test", &ci_findings(&read(".ci/run"), mode & 0o111 != 0));
}

#[test]
fn the_readme_s_commands_exist() {
    let files = files();
    let Some(readme) = files.iter().find(|file| file.path == "README.md") else {
        println!("no README.md yet");
        return;
    };
    hold("The README's commands exist", &readme_findings(readme.text(), &Callable::of(&files)));
}

#[test]
fn the_generated_wire_code_is_fresh() {
    let flatc = root().join("target/tools/venv/bin/flatc");
    if !flatc.exists() {
        println!("not checked here: ./dev tools fetches flatc");
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let made = Command::new(flatc)
        .arg("--rust")
        .arg("-o")
        .arg(folder.path())
        .arg(root().join("schema/eagle_eye.fbs"))
        .output()
        .expect("flatc runs");
    assert!(made.status.success(), "flatc: {}", String::from_utf8_lossy(&made.stderr));
    let made = fs::read_to_string(folder.path().join("eagle_eye_generated.rs"));
    let made = made.expect("flatc wrote its code");
    hold("Generated code is fresh", &stale(&made, &read("src/schema/wire_generated.rs")));
}

#[test]
fn stale_code_and_another_ci_are_found() {
    catches(&stale("a", "a"), &[]);
    catches(&stale("a", "b"), &["run ./dev gen"]);
    catches(&ci_findings("#!/bin/sh\nexec ./dev test\n", true), &[]);
    catches(&ci_findings("#!/bin/sh\n# exec ./dev test\ncargo test", true), &["exec ./dev test"]);
    catches(&ci_findings("exec ./dev test", false), &["chmod"]);
}

#[test]
fn a_command_that_does_not_exist_is_found() {
    let callable = Callable::of(&[
        File::sample("dev", "verb_test() {\nverb_fmt() { x; }\nusage() {"),
        File::sample("src/cli/mod.rs", ""),
        File::sample("src/cli/run.rs", ""),
        File::sample("src/cli/watch/mod.rs", ""),
        File::sample("benches/ring.rs", ""),
        File::sample("examples/router.rs", ""),
    ]);
    for (line, found) in [
        ("./dev fmt  # formats", vec![]),
        ("$ cargo run --release -- run --demo", vec![]),
        ("eagle-eye watch --once && target/release/eagle-eye run", vec![]),
        ("cargo bench --bench ring -- --quick", vec![]),
        ("cargo run --example router -- --listen :80", vec![]),
        ("eagle-eye --version", vec![]),
        ("./dev polish", vec!["./dev has no verb polish"]),
        ("eagle-eye fly", vec!["eagle-eye has no verb fly"]),
        ("cargo run --release -- fly", vec!["eagle-eye has no verb fly"]),
        ("cargo bench --bench gone", vec!["there is no bench gone"]),
        ("cargo run --example gone", vec!["there is no example gone"]),
    ] {
        let readme = format!("# T\n```sh\n./dev test\n{line}\n```\n");
        catches(&readme_findings(&readme, &callable), &found);
    }
    catches(&readme_findings("# T\n", &callable), &["show `./dev test`"]);
}
