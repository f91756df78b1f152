//! The operator's rule file: read at the start and again whenever it changes.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::diagnosis::{Plan, RULE_FILE_BYTES_MAX};

/// A rule file that is followed.
#[derive(Debug)]
pub(super) struct RuleFile {
    path: PathBuf,
    /// When it was last changed, and its length, or that it was not there;
    /// none before the first look.
    seen: Option<Option<(SystemTime, u64)>>,
}

impl RuleFile {
    pub(super) const fn new(path: PathBuf) -> Self {
        Self { path, seen: None }
    }

    /// The plan that the file says now, where that may be another than at the
    /// last look. An error says every mistake; nothing of such a file holds.
    pub(super) fn look(&mut self) -> Option<Result<Plan, String>> {
        let state = std::fs::metadata(&self.path)
            .and_then(|about| Ok((about.modified()?, about.len())))
            .ok();
        if self.seen == Some(state) {
            return None;
        }
        self.seen = Some(state);
        Some(match state {
            Some(_) => read(&self.path),
            None => Err(format!(
                "the rule file {} is not there; what it said last holds on",
                self.path.display()
            )),
        })
    }
}

/// Reads a rule file.
///
/// # Errors
///
/// A sentence that says what is wrong where, and every mistake of the file.
pub fn read(path: &Path) -> Result<Plan, String> {
    let shown = path.display();
    let mut text = String::new();
    File::open(path)
        .and_then(|file| file.take(RULE_FILE_BYTES_MAX as u64 + 1).read_to_string(&mut text))
        .map_err(|error| format!("the rule file {shown} cannot be read: {error}"))?;
    Plan::read(&text).map_err(|mistakes| {
        let lines: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
        format!("the rule file {shown} is refused: {}", lines.join("; "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_when_it_changes_and_a_mistake_is_named_by_line_and_key() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rules.toml");
        let mut file = RuleFile::new(path.clone());
        assert!(file.look().is_some_and(|plan| plan.is_err()), "it is not there");
        std::fs::write(&path, "[rules.thermal_throttle]\nenabled = false\n").unwrap();
        let plan = file.look().unwrap().unwrap();
        assert!(!plan.runs("thermal_throttle"));
        assert!(file.look().is_none(), "nothing changed");
        std::fs::write(&path, "[rules.thermal_throttle]\nenabled = false\nnonsense = 7\n").unwrap();
        let error = file.look().unwrap().unwrap_err();
        assert!(error.contains("line 3") && error.contains("nonsense"), "{error}");
        std::fs::remove_file(&path).unwrap();
        assert!(file.look().unwrap().is_err() && file.look().is_none());
    }
}
