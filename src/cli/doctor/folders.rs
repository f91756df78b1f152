//! Where the agent puts its socket and its journal: there, writable, with room.

use std::path::Path;

use rustix::fs::{Access, access, statvfs};

use super::report::Section;
use crate::cli::watch::text::bytes;
use crate::config::Plan;
use crate::engine::samplers::Need;

pub(super) fn look(plan: &Plan) -> Vec<Section> {
    let mut needs = vec![
        folder("run_dir", &plan.run_dir, 0),
        folder("state_dir", &plan.state_dir, plan.journal_bytes),
    ];
    let free_bytes = free_bytes(&plan.state_dir);
    needs.extend(plan.recorder.map(|recorder| of_recorder(recorder.bytes, free_bytes)));
    vec![Section::new("folders", "Folders", needs)]
}

/// Bytes free where this folder is or would be made.
fn free_bytes(path: &Path) -> Option<u64> {
    let there = path.ancestors().find(|above| above.exists())?;
    statvfs(there).ok().map(|fs| fs.f_bavail.saturating_mul(fs.f_frsize))
}

/// The recorder gives way to others, so too little room is no trouble.
fn of_recorder(most_bytes: u64, free_bytes: Option<u64>) -> Need {
    let most = bytes(most_bytes as f64);
    match free_bytes {
        Some(free) if free < most_bytes => Need::limited(
            "recorder",
            format!("its disk has {} free, it keeps up to {most}", bytes(free as f64).trim()),
            "it keeps less; make room, or set recorder.bytes lower",
        ),
        _ => Need::fine("recorder", format!("keeps up to {} in state_dir", most.trim())),
    }
}

fn folder(key: &str, path: &Path, room_bytes: u64) -> Need {
    let shown = path.display();
    let user = match rustix::process::geteuid() {
        root if root.is_root() => "root".to_owned(),
        user => format!("user {}", user.as_raw()),
    };
    let remedy =
        format!("make it for the agent's user, or set {key}; an agent of root may be fine");
    let Some(there) = path.ancestors().find(|above| above.exists()) else {
        return Need::trouble(key, format!("{shown} can be made nowhere"), remedy);
    };
    if !there.is_dir() {
        let says = format!("{shown} cannot be: {} is no folder", there.display());
        return Need::trouble(key, says, format!("remove it, or set {key}"));
    }
    if let Err(error) = access(there, Access::WRITE_OK | Access::EXEC_OK) {
        let made = if there == path { "" } else { ", where it would be made" };
        let says = format!("{user} may not write to {}{made}: {error}", there.display());
        return Need::trouble(key, says, remedy);
    }
    let Ok(free_bytes) = statvfs(there).map(|fs| fs.f_bavail.saturating_mul(fs.f_frsize)) else {
        return Need::fine(key, format!("{shown} can be written"));
    };
    let free = bytes(free_bytes as f64);
    if free_bytes < room_bytes {
        let needed = bytes(room_bytes as f64);
        let says = format!("{shown} has {} free, the journal takes up to {}", free, needed);
        return Need::trouble(key, says, "make room, or set journal.bytes lower");
    }
    let made = if there == path { "" } else { ", made at the first start" };
    Need::fine(key, format!("{shown}{made}, {} free", free.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::samplers::NeedState;

    #[test]
    fn a_disk_too_small_for_the_recording_is_a_limit_and_no_trouble() {
        assert_eq!(of_recorder(10, Some(9)).state, NeedState::Limited);
        assert_eq!(of_recorder(10, Some(10)).state, NeedState::Fine);
        assert_eq!(of_recorder(10, None).state, NeedState::Fine);
    }

    #[test]
    fn a_folder_is_there_or_can_be_made_and_has_room() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("file");
        std::fs::write(&file, "").unwrap();
        for (path, room, state, word) in [
            (root.path().to_owned(), 0, NeedState::Fine, "free"),
            (root.path().join("a/b"), 0, NeedState::Fine, "made at the first start"),
            (file.join("a"), 0, NeedState::Trouble, "is no folder"),
            (root.path().to_owned(), u64::MAX, NeedState::Trouble, "takes up to"),
            ("/proc/nowhere".into(), 0, NeedState::Trouble, ""),
        ] {
            // A proc filesystem is writable to root by its mode alone.
            if path.starts_with("/proc") && rustix::process::geteuid().is_root() {
                continue;
            }
            let need = folder("state_dir", &path, room);
            assert!(need.state == state && need.says.contains(word), "{need:?}");
        }
    }
}
