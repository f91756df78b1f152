//! Processes of ours in uninterruptible sleep.
//!
//! A driver can hold a process in the kernel where no signal reaches it; such
//! a child keeps its container from ending. Twice in that state, a moment
//! apart, is called stuck: a single look meets every disk access.

use std::path::Path;

use crate::engine::samplers::Need;
use crate::platform::clock::{self, MILLISECOND_NS};

/// Between the two looks.
const PAUSE_NS: u64 = 150 * MILLISECOND_NS;

/// Processes, and threads of one, that are looked at.
const PROCESSES_MAX: usize = 100_000;
const THREADS_MAX: usize = 256;

/// A task of ours that sleeps uninterruptibly.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stuck {
    process: String,
    task: String,
    name: String,
}

pub(super) fn look(host_root: &Path) -> Need {
    let proc = host_root.join("proc");
    let first = sleeping(&proc);
    let stuck = if first.is_empty() {
        first
    } else {
        clock::sleep_until(clock::monotonic_ns() + PAUSE_NS);
        let second = sleeping(&proc);
        first.into_iter().filter(|task| second.contains(task)).collect()
    };
    need(&proc, &stuck)
}

fn need(proc: &Path, stuck: &[Stuck]) -> Need {
    let what = "uninterruptible sleep";
    let Some(one) = stuck.first() else {
        return Need::fine(what, "no process of eagle-eye is stuck in the kernel");
    };
    let place =
        std::fs::read_to_string(proc.join(&one.process).join("task").join(&one.task).join("wchan"));
    let place = place.ok().filter(|place| place.len() > 1).unwrap_or_default();
    let at = if place.is_empty() { String::new() } else { format!(" in {}", place.trim()) };
    let others = match stuck.len() - 1 {
        0 => String::new(),
        others => format!(", and {others} more"),
    };
    Need::trouble(
        what,
        format!("task {} ({}) of process {} hangs{at}{others}", one.task, one.name, one.process),
        "no signal ends it, and a container waits for it: see the kernel's log for the driver or \
         the mount that hangs; often only a reset of the device or a reboot helps",
    )
}

fn sleeping(proc: &Path) -> Vec<Stuck> {
    let Ok(entries) = std::fs::read_dir(proc) else { return Vec::new() };
    let processes = entries.flatten().filter_map(|entry| {
        let id = entry.file_name().into_string().ok()?;
        id.bytes().all(|byte| byte.is_ascii_digit()).then_some(id)
    });
    processes.take(PROCESSES_MAX).flat_map(|process| tasks(proc, &process)).collect()
}

fn tasks(proc: &Path, process: &str) -> Vec<Stuck> {
    let folder = proc.join(process);
    let ours = state(&folder.join("stat")).is_some_and(|(name, _)| is_ours(&name));
    let threads = ours.then(|| std::fs::read_dir(folder.join("task")).ok()).flatten();
    let Some(threads) = threads else { return Vec::new() };
    let stuck = threads.flatten().take(THREADS_MAX).filter_map(|entry| {
        let (name, state) = state(&entry.path().join("stat"))?;
        let task = entry.file_name().into_string().ok()?;
        (state == 'D').then(|| Stuck { process: process.to_owned(), task, name })
    });
    stuck.collect()
}

/// The program, or a child that was named after what it does.
fn is_ours(name: &str) -> bool {
    name.starts_with("eagle-eye") || name.starts_with("ee-")
}

/// Name and state of a task. The name may hold anything, so that the last
/// parenthesis ends it.
fn state(stat: &Path) -> Option<(String, char)> {
    let text = String::from_utf8_lossy(&std::fs::read(stat).ok()?).into_owned();
    let (head, rest) = text.rsplit_once(") ")?;
    let (_, name) = head.split_once('(')?;
    Some((name.to_owned(), rest.chars().next()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::samplers::NeedState;

    #[test]
    fn a_task_of_ours_that_sleeps_uninterruptibly_is_told_with_where() {
        let root = tempfile::tempdir().unwrap();
        let put = |process: &str, task: &str, name: &str, state: &str| {
            let folder = root.path().join(format!("proc/{process}/task/{task}"));
            std::fs::create_dir_all(&folder).unwrap();
            let stat = format!("{task} ({name}) {state} 1 1 1");
            std::fs::write(folder.join("stat"), &stat).unwrap();
            std::fs::write(folder.join("wchan"), "nvidia_ioctl").unwrap();
            if process == task {
                std::fs::write(root.path().join(format!("proc/{process}/stat")), stat).unwrap();
            }
        };
        put("7", "7", "eagle-eye", "S");
        put("8", "8", "ba) D sh", "D");
        assert_eq!(look(root.path()).state, NeedState::Fine);
        put("7", "9", "ee-nvml", "D");
        let need = look(root.path());
        assert_eq!(need.state, NeedState::Trouble);
        let says = "task 9 (ee-nvml) of process 7 hangs in nvidia_ioctl";
        assert_eq!(need.says, says);
    }

    #[test]
    fn without_a_proc_nothing_is_stuck() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(look(root.path()).state, NeedState::Fine);
    }
}
