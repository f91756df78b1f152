//! Tasks of the host wait for processors.

use super::level::{Level, Levels};
use crate::diagnosis::{Conclusion, Entry, Page, Setting, Wants};
use crate::schema::{Action, Health, MetricId, Severity};

/// What the family knows of this rule.
pub(super) static RULE: Entry = Entry {
    name: "cpu_starved",
    summary: "Tasks wait for processors on a host that runs engines.",
    page: Page {
        concludes: "For most of the time some task waits for a processor, by the kernel's pressure \
                    stall information, while engines run on the node.",
        matters: "A scheduler thread that waits for a processor leaves its accelerators idle \
                  between steps.",
        needs: "CPU pressure over a minute, and an engine on the node.",
        silent: "On nodes without engines, where full processors are what they are for, and for \
                 short bursts.",
        remedy: "Move other work away, pin engines to their own processors, or give them more.",
    },
    settings: &[
        Setting {
            key: "share_ratio",
            default: 0.6,
            range: (0.01, 1.0),
            help: "Share of time in which some task waits from which it counts.",
        },
        Setting {
            key: "hold_s",
            default: 60.0,
            range: (0.0, 3600.0),
            help: "How long that must last, seconds.",
        },
    ],
    wants: Wants { metrics: &[MetricId::PressureCpuSome], ..Wants::NOTHING },
    consequence_of: &[],
    follows_driver: false,
    open: || Levels::open(&LEVEL),
};

static LEVEL: Level = Level {
    span_s: 60,
    measure: |counters, place, bench| {
        let share = counters.per_second(bench, place, MetricId::PressureCpuSome)?;
        Some(if bench.known().engines().next().is_some() { share } else { 0.0 })
    },
    limit: "share_ratio",
    release: 0.6,
    conclude: |_, share, place, bench| Conclusion {
        severity: Severity::Warning,
        text: format!("For {:.0} % of the time tasks wait for processors.", share * 100.0),
        cause: "More runs on the node than it has processors for.".into(),
        confidence: 0.85,
        evidence: vec![
            bench.evidence(place, MetricId::PressureCpuSome, None),
            bench.evidence(place, MetricId::TasksRunnable, None),
        ],
        action: Action::Investigate,
        steps: vec![
            "Find who uses the processors: compare the CPU time of containers.".into(),
            "Move it away, or give the engines processors of their own.".into(),
        ],
        health: Health::Degraded,
        ..Conclusion::default()
    },
};

#[cfg(test)]
mod tests {
    use crate::diagnosis::rules::trial::{Trial, device};
    use crate::schema::{Engine, MetricId::PressureCpuSome as Pressure};

    fn played(share: f64, engine: bool) -> bool {
        let mut trial = Trial::new();
        trial.device(&device(0, "node", "node1"));
        if engine {
            trial.engine(&Engine::named("e", "m"));
        }
        trial.grow(0, Pressure, 100.0, share);
        trial.seconds(200);
        trial.open().contains(&"cpu_starved node1".to_owned())
    }

    #[test]
    fn waiting_tasks_count_where_engines_run() {
        assert!(played(0.9, true));
        assert!(!played(0.3, true));
        assert!(!played(0.9, false));
    }
}
