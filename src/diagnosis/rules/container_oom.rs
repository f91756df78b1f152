//! The kernel killed a process of a container at its memory limit.

use crate::diagnosis::{
    Bench, Conclusion, Entry, Fact, Page, Reach, Relation, Rule, Setting, Subject, Wants,
    event_evidence,
};
use crate::schema::{Action, EventKind, Health, Severity};

/// What the family knows of this rule.
pub(super) static RULE: Entry = Entry {
    name: "container_oom",
    summary: "The kernel killed a process of a container for want of memory.",
    page: Page {
        concludes: "The container's own count of kills for want of memory grew.",
        matters: "An engine whose worker is killed hangs or dies, with all its requests.",
        needs: "The event of the cgroup sampler.",
        silent: "For kills outside of containers, which the kernel log tells.",
        remedy: "Raise the memory limit, or find what grows: pinned memory for KV offloading, \
                 weights that are loaded through the page cache, a leak.",
    },
    settings: &[Setting {
        key: "quiet_s",
        default: 3600.0,
        range: (10.0, 604_800.0),
        help: "It is over after this time without another kill, seconds.",
    }],
    wants: Wants { events: &[EventKind::ContainerOomKill], ..Wants::NOTHING },
    consequence_of: &[
        // All memory of the node was gone; this container lost a process.
        Relation { key: "node", ..Relation::to("oom", Reach::Node, 30) },
        Relation::to("container_limit", Reach::Same, 600),
        Relation::to("memory_low", Reach::Node, 600),
    ],
    follows_driver: false,
    open: || Box::new(ContainerOom),
};

/// Remembers nothing: what is open says it all.
#[derive(Debug)]
struct ContainerOom;

impl Rule for ContainerOom {
    fn fact(&mut self, fact: &Fact<'_>, bench: &mut Bench<'_>) {
        let Fact::Event(event) = fact else { return };
        let quiet_ns = bench.setting_ns("quiet_s");
        bench.raise(
            Subject::container(&event.subject),
            "",
            Conclusion {
                severity: Severity::Error,
                text: format!(
                    "The kernel killed a process of container {} for want of memory.",
                    event.subject
                ),
                cause: "The container reached its memory limit.".into(),
                confidence: 0.95,
                evidence: vec![event_evidence(event)],
                action: Action::ChangeSetting,
                steps: vec![
                    "Raise the container's memory limit.".into(),
                    "Else find what grows: KV offloading to the host, loading of weights, a leak."
                        .into(),
                ],
                health: Health::Suspect,
                quiet_ns,
                ..Conclusion::default()
            },
        );
    }
}

#[cfg(test)]
mod tests {
    use crate::diagnosis::rules::trial::{Trial, device};
    use crate::schema::{Engine, EventKind, Severity};

    #[test]
    fn a_kill_is_told_and_the_death_of_its_engine_points_to_it() {
        let mut trial = Trial::new();
        let mut container = device(1, "container", "c1");
        container.container = "id".into();
        trial.device(&container);
        trial.engine(&Engine { container: "id".into(), ..Engine::named("e", "m") });
        trial.event(EventKind::ContainerOomKill, "c1", "c1 lost a process");
        trial.seconds(2);
        trial.event_of(EventKind::EngineGone, Severity::Warning, "e", "e hung up");
        let told = trial.told();
        assert_eq!(told.len(), 2, "{told:?}");
        assert_eq!(told[1].caused_by, told[0].id);
        assert_eq!(told[0].impact, ["engine e"]);
    }

    #[test]
    fn the_kernels_lines_of_the_same_kill_point_to_it_and_others_do_not() {
        let of_group = "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),oom_memcg=/k,task_memcg=/k/pod1,task=vllm,pid=7,uid=0";
        let of_node = "Out of memory: Killed process 12345 (vllm) total-vm:1kB, anon-rss:7890kB";
        for (line, pause_s, alone) in
            [(of_group, 1, "container_oom"), (of_node, 1, "oom"), (of_group, 600, "")]
        {
            let mut trial = Trial::new();
            trial.device(&device(1, "container", "c1"));
            trial.line(line);
            trial.seconds(pause_s);
            trial.event(EventKind::ContainerOomKill, "c1", "c1 lost a process");
            let open: Vec<_> = trial.stage.open().cloned().collect();
            assert_eq!(open.len(), 2);
            let roots: Vec<_> = open.iter().filter(|of| of.caused_by == 0).collect();
            match alone {
                "" => assert_eq!(roots.len(), 2),
                rule => assert!(roots.len() == 1 && roots[0].rule == rule, "{roots:?}"),
            }
        }
    }
}
