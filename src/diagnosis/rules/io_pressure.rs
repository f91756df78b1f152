//! All tasks of the host wait for disks.

use super::level::{Level, Levels};
use crate::diagnosis::{Conclusion, Entry, Page, Setting, Wants};
use crate::schema::{Action, Health, MetricId, Severity};

/// What the family knows of this rule.
pub(super) static RULE: Entry = Entry {
    name: "io_pressure",
    summary: "All tasks of the host wait for disks, much of the time.",
    page: Page {
        concludes: "For a large share of the time nothing on the host gets on since all wait for \
                    input or output.",
        matters: "Loading weights and offloading KV blocks take as long as the disk lets them.",
        needs: "The kernel's pressure stall information for input and output.",
        silent: "For single tasks that wait, and for bursts such as the start of an engine.",
        remedy: "Find who reads or writes; move it away, or use a faster disk.",
    },
    settings: &[
        Setting {
            key: "share_ratio",
            default: 0.4,
            range: (0.01, 1.0),
            help: "Share of time in which all tasks wait from which it counts.",
        },
        Setting {
            key: "hold_s",
            default: 120.0,
            range: (0.0, 3600.0),
            help: "How long that must last, seconds.",
        },
    ],
    wants: Wants { metrics: &[MetricId::PressureIoFull], ..Wants::NOTHING },
    consequence_of: &[],
    follows_driver: false,
    open: || Levels::open(&LEVEL),
};

static LEVEL: Level = Level {
    span_s: 60,
    measure: |counters, place, bench| counters.per_second(bench, place, MetricId::PressureIoFull),
    limit: "share_ratio",
    release: 0.6,
    conclude: |_, share, place, bench| Conclusion {
        severity: Severity::Warning,
        text: format!("For {:.0} % of the time all tasks wait for disks.", share * 100.0),
        cause: "A disk is slow, failing or overloaded.".into(),
        confidence: 0.8,
        evidence: vec![bench.evidence(place, MetricId::PressureIoFull, None)],
        action: Action::Investigate,
        steps: vec![
            "Find the disk that is busy, and who reads or writes it.".into(),
            "Look for errors of the disk in the kernel log.".into(),
        ],
        health: Health::Degraded,
        ..Conclusion::default()
    },
};

#[cfg(test)]
mod tests {
    use crate::diagnosis::rules::trial::{Trial, device};
    use crate::schema::MetricId::PressureIoFull as Pressure;

    fn played(share: f64) -> Vec<String> {
        let mut trial = Trial::new();
        trial.device(&device(0, "node", "node1"));
        trial.grow(0, Pressure, 100.0, share);
        trial.seconds(300);
        trial.open()
    }

    #[test]
    fn a_large_share_counts() {
        assert_eq!(played(0.8), ["io_pressure node1"]);
        assert_eq!(played(0.1), Vec::<String>::new());
    }
}
