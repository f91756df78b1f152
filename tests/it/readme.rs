//! What the README shows, done.

use std::path::Path;
use std::process::Command;

use eagle_eye::client::{Options, View};
use eagle_eye::schema::name_hash;

use crate::road::{agent, until};

fn readme() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(root.join("README.md")).expect("the README")
}

/// The blocks fenced with this word.
fn blocks(language: &str) -> Vec<String> {
    let readme = readme();
    let fence = format!("```{language}\n");
    let parts = readme.split(&fence).skip(1);
    parts.map(|part| part.split("```").next().unwrap_or_default().to_owned()).collect()
}

#[test]
fn every_command_of_the_readme_is_one_that_this_build_takes() {
    let mut seen = 0;
    for line in blocks("sh").iter().flat_map(|block| block.lines()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let arguments = match words[..] {
            ["eagle-eye", ref rest @ ..] | ["cargo", "run", "--release", "--", ref rest @ ..] => {
                rest
            }
            ["./dev", "test"] | ["cargo", "bench"] => continue,
            _ => panic!("the README shows a command that no test knows: {line}"),
        };
        seen += 1;
        // With --help the flags before it are still parsed, and nothing runs.
        let output = Command::new(env!("CARGO_BIN_EXE_eagle-eye"))
            .args(arguments)
            .arg("--help")
            .output()
            .expect("the binary runs");
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    }
    assert!(seen >= 8, "the README's commands were found");
}

#[test]
fn the_rule_file_of_the_readme_is_one_that_is_taken() {
    let blocks = blocks("toml");
    let rules = blocks.iter().find(|block| block.contains("[[threshold]]")).expect("a rule file");
    let plan = eagle_eye::diagnosis::Plan::read(rules);
    assert!(plan.is_ok(), "{plan:?}");
}

#[test]
fn the_python_of_the_readme_reaches_a_view() {
    let folder = tempfile::tempdir().expect("a folder");
    let agent = agent(folder.path(), "n", None);
    let socket = folder.path().join("agent.sock");
    let view = View::connect(Options { socket: Some(socket.clone()), ..Options::default() })
        .expect("a thread");
    let block = blocks("python").into_iter().next().expect("a block of Python");
    // The example ends at once; the agent needs a moment to be told of it.
    let waiting = block.replace("door.close()", "import time; time.sleep(2); door.close()");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut engine = Command::new("python3")
        .args(["-c", &waiting])
        .env("PYTHONPATH", root.join("python"))
        .env("EAGLE_EYE_SOCKET", &socket)
        .spawn()
        .expect("python3 is here");
    until("the README's engine", &view, |ranks| {
        ranks.iter().any(|rank| {
            rank.id.instance == name_hash("10.0.0.7:8000")
                && (rank.step.running, rank.step.waiting) == (12, 3)
        })
    });
    assert!(engine.wait().expect("it ends").success());
    agent.stop();
}
