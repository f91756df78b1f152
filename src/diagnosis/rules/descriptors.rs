//! Open files are near their limit.

use super::level::{Level, Levels};
use crate::diagnosis::{Conclusion, Entry, Page, Setting, Wants};
use crate::schema::{Action, Health, MetricId, Severity};

/// What the family knows of this rule.
pub(super) static RULE: Entry = Entry {
    name: "descriptors",
    summary: "Open files of the node are near their limit.",
    page: Page {
        concludes: "The node has nearly as many open file handles as the kernel allows.",
        matters: "At the limit nothing can accept a connection or open a file any more.",
        needs: "The kernel's count of file handles and its limit.",
        silent: "Far from the limit, and where there is none to speak of.",
        remedy: "Find the process that leaks them, or raise fs.file-max.",
    },
    settings: &[
        Setting {
            key: "used_ratio",
            default: 0.9,
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
    wants: Wants { metrics: &[MetricId::DescriptorsUsed], ..Wants::NOTHING },
    consequence_of: &[],
    follows_driver: false,
    open: || Levels::open(&LEVEL),
};

static LEVEL: Level = Level {
    span_s: 60,
    measure: |_, place, bench| {
        let limit = bench.value(place, MetricId::DescriptorsLimit).filter(|limit| *limit > 0.0)?;
        Some(bench.value(place, MetricId::DescriptorsUsed)? / limit)
    },
    limit: "used_ratio",
    release: 0.95,
    conclude: |_, used, place, bench| Conclusion {
        severity: if used >= 0.98 { Severity::Error } else { Severity::Warning },
        text: format!("{:.0} % of the node's open files are used up.", used * 100.0),
        cause: "A process leaks descriptors, or the limit is too low for the load.".into(),
        confidence: 0.9,
        evidence: vec![
            bench.evidence(place, MetricId::DescriptorsUsed, None),
            bench.evidence(place, MetricId::DescriptorsLimit, None),
        ],
        action: Action::Investigate,
        steps: vec![
            "Count the descriptors of processes, and restart the one that leaks.".into(),
            "Else raise fs.file-max.".into(),
        ],
        health: Health::Suspect,
        ..Conclusion::default()
    },
};

#[cfg(test)]
mod tests {
    use crate::diagnosis::rules::trial::{Trial, device};
    use crate::schema::MetricId::{DescriptorsLimit as Limit, DescriptorsUsed as Used};

    fn played(used: f64, limit: f64) -> Vec<String> {
        let mut trial = Trial::new();
        trial.device(&device(0, "node", "node1"));
        trial.set(0, Limit, limit);
        trial.set(0, Used, used);
        trial.seconds(60);
        trial.open()
    }

    #[test]
    fn near_the_limit_counts() {
        assert_eq!(played(95_000.0, 100_000.0), ["descriptors node1"]);
        assert_eq!(played(95_000.0, 9e18), Vec::<String>::new());
        assert_eq!(played(95_000.0, 0.0), Vec::<String>::new());
    }
}
