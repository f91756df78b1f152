//! The kernel killed a process for want of memory.

use super::line::{Heard, Kept, LINES, LineRule, SECOND_NS, quiet, sentences};
use crate::diagnosis::lines::What;
use crate::diagnosis::{Bench, Conclusion, Entry, Page, Reach, Relation, Subject};
use crate::schema::{Action, Severity};

/// What the family knows of this rule.
pub(super) static RULE: Entry = Entry {
    name: "oom",
    summary: "The kernel killed a process because the node or its container has no memory left.",
    page: Page {
        concludes: "The kernel ended a process because the whole node, or the group of \
                processes it belongs to, had no memory left. The container is the \
                subject where the group's name tells which it is.",
        matters: "The process that is ended is mostly the largest: the engine. Its \
                requests fail at once, and it loads its model again for minutes.",
        needs: "The kernel's own lines of the kill. Both lines of one kill make one \
                verdict.",
        silent: "For processes that were ended by somebody else.",
        remedy: "Give the container more memory or the engine less to do with it (pinned \
                memory, swap space, CPU offload), and find what grew.",
    },
    settings: &[quiet(3600.0)],
    wants: LINES,
    consequence_of: &[
        Relation::to("container_limit", Reach::Same, 600),
        Relation::to("memory_low", Reach::Node, 600),
    ],
    follows_driver: false,
    open: || LineRule::open(judge),
};

fn judge(heard: &Heard<'_>, kept: &mut Kept, bench: &mut Bench<'_>) {
    let seen = &heard.seen;
    let of_group = match seen.what {
        What::GroupOutOfMemory => true,
        What::OutOfMemory => false,
        _ => return,
    };
    // Two lines tell of one kill.
    let process = seen.process.map_or_else(String::new, |process| process.to_string());
    let known = |of: &str| kept.recent.has(&of.to_owned(), bench.now_ns(), SAME_KILL_NS);
    // Older kernels name the group first, and the process in another line.
    if known(&process) || of_group && known("") {
        return;
    }
    kept.recent.add(process.clone(), bench.now_ns(), SAME_KILL_NS);
    let name = if seen.process_name.is_empty() { "a process" } else { seen.process_name };
    let container = container(seen.name, bench);
    let subject = container.as_deref().map_or(bench.node(), Subject::container);
    let (place, cause) = match of_group {
        true => ("its container", "The container's processes want more memory than its limit."),
        false => ("the node", "All processes together want more memory than the node has."),
    };
    let key = if of_group { format!("group {name}") } else { "node".to_owned() };
    heard.raise(kept, bench, subject, &key, || Conclusion {
        severity: Severity::Error,
        text: format!("The kernel killed {name} ({process}): {place} has no memory left."),
        cause: cause.into(),
        confidence: 0.95,
        action: Action::ChangeSetting,
        steps: sentences(&[
            "See whether the engine came back, and since when it is ready.",
            "Raise the memory limit of the container, or lower what the engine takes of main \
             memory (pinned buffers, swap space, CPU offload).",
            "If it grows without end, keep a heap profile before the next kill.",
        ]),
        // The container's own count tells of the same kill, and names it.
        by_product_of: match of_group {
            true => vec![("container_oom", String::new())],
            false => Vec::new(),
        },
        by_product_ns: 3 * SAME_KILL_NS,
        ..Conclusion::default()
    });
}

/// The container whose id the name of a group holds.
fn container(group: &str, bench: &Bench<'_>) -> Option<String> {
    let held = |id: &str| id.len() >= 12 && group.contains(id);
    let mut devices = bench.known().devices();
    let found = devices.find(|(_, of)| of.device.kind == "container" && held(&of.device.container));
    found.map(|(_, of)| of.device.name.clone())
}

/// Lines of one kill are not further apart.
const SAME_KILL_NS: u64 = 10 * SECOND_NS;

#[cfg(test)]
mod tests {
    use crate::diagnosis::rules::trial::Trial;
    use crate::schema::Trust;

    const KILLED: &str = "Out of memory: Killed process 12345 (vllm) total-vm:123456kB, anon-rss:7890kB, file-rss:0kB";

    #[test]
    fn both_lines_of_a_kill_are_one() {
        let mut trial = Trial::new();
        trial.line("oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0,global_oom,task_memcg=/a,task=vllm,pid=12345,uid=0");
        trial.line(KILLED);
        assert_eq!(trial.judged(), ["oom node1 error: change setting"]);
        assert_eq!(trial.stage.open().next().unwrap().count, 1);
    }

    #[test]
    fn the_lines_of_an_older_kernel_are_one_kill() {
        let mut trial = Trial::new();
        trial.line("Task in /kubepods/pod1 killed as a result of limit of /kubepods/pod1");
        trial.line(
            "Memory cgroup out of memory: Kill process 77 (vllm) score 1974 or sacrifice child",
        );
        trial.line("Task in /kubepods/pod1 waits");
        assert_eq!(trial.judged(), ["oom node1 error: change setting"]);
        assert_eq!(trial.stage.open().next().unwrap().count, 1);
    }

    #[test]
    fn the_container_is_named_where_its_group_tells_it() {
        let mut trial = Trial::new();
        let id = "0123456789abcdef0123456789abcdef";
        let mut container = crate::diagnosis::rules::trial::device(9, "container", "engine-0");
        container.container = id.into();
        trial.device(&container);
        trial.line(&format!("oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),oom_memcg=/kubepods,task_memcg=/kubepods/pod1/cri-containerd-{id}.scope,task=vllm,pid=7,uid=0"));
        assert_eq!(trial.judged(), ["oom engine-0 error: change setting"]);
    }

    #[test]
    fn a_program_s_own_word_is_none() {
        let mut trial = Trial::new();
        trial.line_of(KILLED, 1, Trust::Claimed);
        trial.line("Out of memory is what the song is about");
        assert_eq!(trial.judged(), [""; 0]);
    }
}
