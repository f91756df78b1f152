//! The repository's files, as the laws see them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// One file of the repository.
pub(crate) struct File {
    /// Relative to the repository's root, with forward slashes.
    pub(crate) path: String,
    /// Its bytes.
    pub(crate) bytes: u64,
    /// Its content, where that is UTF-8.
    pub(crate) text: Option<String>,
}

impl File {
    /// A sample for a law's own test.
    pub(crate) fn sample(path: &str, text: &str) -> Self {
        Self { path: path.into(), bytes: text.len() as u64, text: Some(text.into()) }
    }

    /// The content, empty where it is not text.
    pub(crate) fn text(&self) -> &str {
        self.text.as_deref().unwrap_or_default()
    }
}

/// The repository's root.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The content of a file that must be there.
pub(crate) fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every file that is tracked or about to be; without git, every file but
/// build outputs.
pub(crate) fn files() -> Vec<File> {
    let mut paths = from_git().unwrap_or_else(|| {
        let mut paths = Vec::new();
        walk(root(), &mut paths);
        paths
    });
    paths.sort();
    paths.iter().filter_map(|path| file(path)).collect()
}

fn file(path: &str) -> Option<File> {
    let full = root().join(path);
    let bytes = fs::metadata(&full).ok().filter(fs::Metadata::is_file)?.len();
    let text = fs::read(&full).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    Some(File { path: path.to_owned(), bytes, text })
}

fn from_git() -> Option<Vec<String>> {
    let output = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    let names = String::from_utf8(output.stdout).ok()?;
    let paths: Vec<String> =
        names.split('\0').filter(|path| !path.is_empty()).map(str::to_owned).collect();
    (!paths.is_empty()).then_some(paths)
}

fn walk(folder: &Path, paths: &mut Vec<String>) {
    let entries = fs::read_dir(folder).expect("a folder of the repository can be listed");
    for entry in entries.flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        let built = ["target", ".git", "artifacts", "coverage", "__pycache__"];
        if path.is_dir() && !built.iter().any(|built| name == *built) {
            walk(&path, paths);
        } else if path.is_file() {
            paths.push(relative(&path));
        }
    }
}

fn relative(path: &Path) -> String {
    let inside: PathBuf = path.strip_prefix(root()).expect("below the root").into();
    inside.to_string_lossy().replace('\\', "/")
}

#[test]
fn the_tree_holds_the_manifest_and_no_build_output() {
    let files = files();
    assert!(files.iter().any(|file| file.path == "Cargo.toml"));
    assert!(!files.iter().any(|file| file.path.starts_with("target/")));
    let mut walked = Vec::new();
    walk(root(), &mut walked);
    assert!(walked.iter().any(|path| path == "src/lib.rs"));
    assert!(!walked.iter().any(|path| path.starts_with("target/")));
}
