//! A container is at its limit of memory or of tasks.

use super::level::{Level, Levels};
use crate::diagnosis::{Bench, Conclusion, Counters, Entry, Page, Place, Setting, Wants};
use crate::schema::{Action, Health, MetricId, Severity};

/// What the family knows of this rule.
pub(super) static RULE: Entry = Entry {
    name: "container_limit",
    summary: "A container is at its limit of memory or of tasks.",
    page: Page {
        concludes: "What a container uses and can not give back is nearly its limit: memory \
                    without inactive page cache, or processes and threads.",
        matters: "The next allocation makes the kernel kill a process of the container, often the \
                  engine; without tasks it can start no thread.",
        needs: "The container's working set and tasks, and their limits.",
        silent: "For page cache at the limit, which the kernel gives back, and for containers \
                 without limits.",
        remedy: "Raise the limit, or lower what the engine keeps on the host.",
    },
    settings: &[
        Setting {
            key: "used_ratio",
            default: 0.95,
            range: (0.1, 1.0),
            help: "Share of the limit from which it counts.",
        },
        Setting {
            key: "hold_s",
            default: 30.0,
            range: (0.0, 3600.0),
            help: "How long that must last, seconds.",
        },
    ],
    wants: Wants {
        metrics: &[MetricId::ContainerWorkingSet, MetricId::ContainerTasks],
        ..Wants::NOTHING
    },
    consequence_of: &[],
    follows_driver: false,
    open: || Levels::open(&LEVEL),
};

fn shares(place: Place, bench: &Bench<'_>) -> [Option<f64>; 2] {
    let share = |used, limit| {
        let limit = bench.value(place, limit).filter(|limit| *limit > 0.0)?;
        Some(bench.value(place, used)? / limit)
    };
    [
        share(MetricId::ContainerWorkingSet, MetricId::ContainerMemoryLimit),
        share(MetricId::ContainerTasks, MetricId::ContainerTasksLimit),
    ]
}

fn measure(_: &mut Counters, place: Place, bench: &Bench<'_>) -> Option<f64> {
    shares(place, bench).into_iter().flatten().reduce(f64::max)
}

static LEVEL: Level = Level {
    span_s: 60,
    measure,
    limit: "used_ratio",
    release: 0.97,
    conclude: |of, used, place, bench| {
        let [memory, tasks] = shares(place, bench);
        let of_tasks = tasks > memory;
        let what = if of_tasks { "tasks" } else { "memory" };
        let metrics = if of_tasks {
            [MetricId::ContainerTasks, MetricId::ContainerTasksLimit]
        } else {
            [MetricId::ContainerWorkingSet, MetricId::ContainerMemoryLimit]
        };
        let name = &of.device.name;
        Conclusion {
            severity: Severity::Warning,
            text: format!("Container {name} uses {:.0} % of its limit of {what}.", used * 100.0),
            cause: format!(
                "It needs more {what} than it may have, or keeps what it does not need."
            ),
            confidence: 0.85,
            evidence: metrics.into_iter().map(|of| bench.evidence(place, of, None)).collect(),
            action: Action::ChangeSetting,
            steps: vec![format!("Raise the limit of {what}, or find what in it grows.")],
            health: Health::Suspect,
            ..Conclusion::default()
        }
    },
};

#[cfg(test)]
mod tests {
    use crate::diagnosis::rules::trial::{Trial, device};
    use crate::schema::MetricId::{
        ContainerMemoryLimit as Limit, ContainerTasks as Tasks, ContainerTasksLimit as TasksLimit,
        ContainerWorkingSet as Used,
    };

    fn played(readings: &[(crate::schema::MetricId, f64)]) -> Vec<String> {
        let mut trial = Trial::new();
        trial.device(&device(3, "container", "c1"));
        for (metric, value) in readings {
            trial.set(3, *metric, *value);
        }
        trial.seconds(60);
        trial.open()
    }

    #[test]
    fn memory_or_tasks_at_their_limit_count() {
        assert_eq!(played(&[(Limit, 100.0), (Used, 97.0)]), ["container_limit c1"]);
        assert_eq!(played(&[(TasksLimit, 100.0), (Tasks, 99.0)]), ["container_limit c1"]);
        assert_eq!(played(&[(Limit, 100.0), (Used, 80.0)]), Vec::<String>::new());
        assert_eq!(played(&[(Used, 97.0)]), Vec::<String>::new());
    }
}
