//! A tree of files and links like `/sys`, planted from a text.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// What a server's `/sys` shows.
pub(crate) const SERVER: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/captures/sys/server.txt"));

/// A root folder with a `sys` in it.
pub(crate) struct Tree(TempDir);

impl Tree {
    /// An empty one.
    pub(crate) fn empty() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::create_dir(folder.path().join("sys")).expect("the folder is ours");
        Self(folder)
    }

    /// The files and links of `text`.
    pub(crate) fn plant(text: &str) -> Self {
        let tree = Self::empty();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            if let Some((path, target)) = line.split_once(" -> ") {
                symlink(target, tree.place(path)).expect("the folder is ours");
            } else if let Some((path, text)) = line.split_once(": ") {
                tree.write(path, &text.replace("\\n", "\n"));
            }
        }
        tree
    }

    /// The folder that has the `sys`.
    pub(crate) fn root(&self) -> &Path {
        self.0.path()
    }

    /// The `sys` itself.
    pub(crate) fn sys(&self) -> PathBuf {
        self.0.path().join("sys")
    }

    /// A line in a file.
    pub(crate) fn write(&self, path: &str, text: &str) {
        fs::write(self.place(path), format!("{text}\n")).expect("the folder is ours");
    }

    /// Where a path leads, with all folders above it.
    pub(crate) fn place(&self, path: &str) -> PathBuf {
        let place = self.sys().join(path);
        let above = place.parent().expect("it is below sys");
        fs::create_dir_all(above).expect("the folder is ours");
        place
    }
}
