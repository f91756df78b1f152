//! Lines of the kernel about itself and its processes: want of memory, tasks
//! and processors that hang, heat, crashes.

use super::scan::{after, holds, number, number_after, small, word};
use super::{Detail, Sighting, What};

/// Every form in which the kernel says that it killed for want of memory.
pub(super) fn out_of_memory(text: &str) -> Option<Sighting<'_>> {
    if let Some(rest) = text.strip_prefix("oom-kill:constraint=") {
        let group = rest.starts_with("CONSTRAINT_MEMCG");
        let what = if group { What::GroupOutOfMemory } else { What::OutOfMemory };
        let value = |key| {
            after(rest, key).map(|value: &str| value.split_once(',').map_or(value, |(of, _)| of))
        };
        return Some(Sighting {
            name: value(",task_memcg=").unwrap_or_default(),
            process: number_after(rest, ",pid=").and_then(small),
            process_name: value(",task=").unwrap_or_default(),
            ..Sighting::of(what)
        });
    }
    let (what, rest) = match text.strip_prefix("Memory cgroup out of memory: ") {
        Some(rest) => (What::GroupOutOfMemory, rest),
        None => (What::OutOfMemory, text.strip_prefix("Out of memory: ")?),
    };
    let rest = rest.strip_prefix("Killed process ").or(rest.strip_prefix("Kill process "))?;
    let (process, rest) = number(rest)?;
    // A name may hold anything; it ends before what the kernel says itself.
    let rest = rest.strip_prefix(" (").unwrap_or_default();
    let end = rest.find(") total-vm").or_else(|| rest.find(") score")).or_else(|| rest.find(')'));
    let process_name = end.map(|end| &rest[..end]).unwrap_or_default();
    let amount = number_after(rest, "anon-rss:");
    Some(Sighting { process: small(process), process_name, amount, ..Sighting::of(what) })
}

/// `Task in /a/b killed as a result of limit of /a`, as older kernels say it.
pub(super) fn group_limit(text: &str) -> Option<Sighting<'_>> {
    let (name, _) =
        text.strip_prefix("Task in ")?.split_once(" killed as a result of limit of ")?;
    Some(Sighting { name, ..Sighting::of(What::GroupOutOfMemory) })
}

/// `INFO: task jfsmount:136986 blocked for more than 120 seconds.`
pub(super) fn hung_task(text: &str) -> Option<Sighting<'_>> {
    let rest = text.strip_prefix("INFO: task ")?;
    let at = rest.find(" blocked for more than ")?;
    let (task, rest) = rest.split_at(at);
    let (process_name, process) = task.rsplit_once(':')?;
    Some(Sighting {
        process: number(process).and_then(|(process, _)| small(process)),
        process_name,
        amount: number_after(rest, "more than "),
        ..Sighting::of(What::HungTask)
    })
}

/// `watchdog: BUG: soft lockup - CPU#0 stuck for 27s! [cuda-EvtHandlr:2255424]`.
pub(super) fn soft_lockup(text: &str) -> Option<Sighting<'_>> {
    let text = text.strip_prefix("watchdog: ").unwrap_or(text);
    if text.starts_with("Watchdog detected hard LOCKUP on cpu ") {
        return hard(text);
    }
    let rest = text.strip_prefix("BUG: soft lockup - CPU#")?;
    let (unit, rest) = number(rest)?;
    let task = after(rest, "[").and_then(|task| task.rsplit_once(':'));
    Some(Sighting {
        unit: small(unit),
        amount: number_after(rest, "stuck for "),
        process: task.and_then(|(_, process)| number(process)).and_then(|(of, _)| small(of)),
        process_name: task.map(|(name, _)| name).unwrap_or_default(),
        ..Sighting::of(What::SoftLockup)
    })
}

/// `NMI watchdog: Watchdog detected hard LOCKUP on cpu 34`.
pub(super) fn hard_lockup(text: &str) -> Option<Sighting<'_>> {
    hard(text.strip_prefix("NMI watchdog: ")?)
}

fn hard(text: &str) -> Option<Sighting<'_>> {
    let unit = number_after(text, "hard LOCKUP on cpu ")?;
    Some(Sighting { unit: small(unit), ..Sighting::of(What::HardLockup) })
}

/// `rcu: INFO: rcu_sched self-detected stall on CPU`.
pub(super) fn stall(text: &str) -> Option<Sighting<'_>> {
    let said = text.strip_prefix("rcu: INFO: ")?;
    let stalls = holds(said, "detected stall") || holds(said, "detected expedited stall");
    stalls.then(|| Sighting { name: word(said).0, ..Sighting::of(What::RcuStall) })
}

/// `Kernel panic - not syncing: Fatal machine check`.
pub(super) fn panic(text: &str) -> Option<Sighting<'_>> {
    let why = text.strip_prefix("Kernel panic - not syncing: ")?;
    Some(Sighting { detail: Detail::Said(why), ..Sighting::of(What::Panic) })
}

/// `Linux version 6.8.0 …`, the first line of every boot.
pub(super) fn booted(text: &str) -> Option<Sighting<'_>> {
    let version = text.strip_prefix("Linux version ")?;
    Some(Sighting { name: word(version).0, ..Sighting::of(What::Booted) })
}

/// `CPU0: Core temperature above threshold, …`, and the end of it.
pub(super) fn throttled(text: &str) -> Option<Sighting<'_>> {
    let (unit, rest) = number(text.strip_prefix("CPU")?)?;
    let said = rest.strip_prefix(": ")?;
    let (name, said) = word(said);
    if !matches!(name, "Core" | "Package") {
        return None;
    }
    let what = if said.starts_with(" temperature above threshold") {
        What::Throttled
    } else if said.starts_with(" temperature/speed normal") {
        What::ThrottledNoMore
    } else {
        return None;
    };
    let amount = number_after(said, "total events = ");
    Some(Sighting { unit: small(unit), name, amount, ..Sighting::of(what) })
}

/// `python[2254956]: segfault at 7f79… error 4 in libnccl.so.2[…]`.
pub(super) fn segfault(text: &str) -> Option<Sighting<'_>> {
    let at = memchr::memmem::find(text.as_bytes(), b"]: segfault at ")?;
    let (head, rest) = text.split_at(at);
    let (process_name, process) = head.rsplit_once('[')?;
    if process_name.len() > NAME_BYTES_MAX {
        return None;
    }
    let library =
        after(rest, " in ").map(|library| library.split_once('[').map_or(library, |(of, _)| of));
    Some(Sighting {
        process: Some(small(number(process).filter(|(_, rest)| rest.is_empty())?.0)?),
        process_name,
        name: library.unwrap_or_default(),
        ..Sighting::of(What::Segfault)
    })
}

/// The kernel's names of tasks have 15 bytes; workers' are longer.
const NAME_BYTES_MAX: usize = 64;
