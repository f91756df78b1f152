//! Every Rust file is somebody's module: one that no `mod` line names is
//! never compiled, and no compiler says so.

use crate::code::{bare, tokens};
use crate::tree::{File, files};
use crate::{catches, hold};

fn findings(files: &[File]) -> Vec<String> {
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| file.path.starts_with("src/")) {
        let Some(path) = file.path.strip_suffix(".rs") else { continue };
        let module = path.strip_suffix("/mod").unwrap_or(path);
        let Some((folder, name)) = module.rsplit_once('/') else { continue };
        if folder == "src" && matches!(name, "lib" | "main") {
            continue;
        }
        let parents = match folder {
            "src" => vec!["src/lib.rs".to_owned(), "src/main.rs".to_owned()],
            _ => vec![format!("{folder}/mod.rs"), format!("{folder}.rs")],
        };
        let named = files
            .iter()
            .filter(|parent| parents.contains(&parent.path))
            .any(|parent| declares(parent.text(), name));
        if !named {
            findings.push(format!(
                "{}: no `mod {name};` in {}: add it, in the order of the list there, or delete \
                 the file",
                file.path, parents[0]
            ));
        }
    }
    findings
}

fn declares(text: &str, name: &str) -> bool {
    let code = bare(text);
    tokens(&code).windows(2).any(|two| two[0] == "mod" && two[1] == name)
}

#[test]
fn every_file_has_its_mod_line() {
    hold("Every file is somebody's module", &findings(&files()));
}

#[test]
fn a_file_without_a_mod_line_is_found() {
    let sample = |text: &str| {
        vec![
            File::sample("src/lib.rs", "pub mod samplers;"),
            File::sample("src/samplers/mod.rs", text),
            File::sample("src/samplers/own.rs", ""),
            File::sample("src/samplers/procfs/mod.rs", ""),
        ]
    };
    catches(&findings(&sample("pub mod own;\nmod procfs;")), &[]);
    catches(&findings(&sample("// mod own;\nmod procfs;")), &["`mod own;` in src/samplers/mod.rs"]);
    catches(&findings(&sample("mod own;")), &["`mod procfs;` in src/samplers/mod.rs"]);
    catches(&findings(&[File::sample("src/cli/run.rs", "")]), &["`mod run;` in src/cli/mod.rs"]);
}
