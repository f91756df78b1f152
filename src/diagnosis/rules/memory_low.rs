//! The host has little memory left.

use super::level::{Level, Levels};
use crate::diagnosis::{Conclusion, Entry, Page, Setting, Wants};
use crate::schema::{Action, Health, MetricId, Severity};

/// What the family knows of this rule.
pub(super) static RULE: Entry = Entry {
    name: "memory_low",
    summary: "The host has little memory left.",
    page: Page {
        concludes: "Nearly all memory is used that can be had without swapping.",
        matters: "The kernel's next step is to kill a process, often the largest: an engine.",
        needs: "Total and available memory.",
        silent: "For memory that holds caches, which can be had back.",
        remedy: "Find who grew, and move work away or give the node more memory.",
    },
    settings: &[
        Setting {
            key: "used_ratio",
            default: 0.97,
            range: (0.1, 1.0),
            help: "Share of memory that is not available from which it counts.",
        },
        Setting {
            key: "hold_s",
            default: 30.0,
            range: (0.0, 3600.0),
            help: "How long that must last, seconds.",
        },
    ],
    wants: Wants { metrics: &[MetricId::MemoryAvailable], ..Wants::NOTHING },
    consequence_of: &[],
    follows_driver: false,
    open: || Levels::open(&LEVEL),
};

static LEVEL: Level = Level {
    span_s: 60,
    measure: |_, place, bench| {
        let total = bench.value(place, MetricId::MemoryTotal).filter(|total| *total > 0.0)?;
        Some(1.0 - bench.value(place, MetricId::MemoryAvailable)? / total)
    },
    limit: "used_ratio",
    release: 0.98,
    conclude: |_, used, place, bench| Conclusion {
        severity: if used >= 0.99 { Severity::Error } else { Severity::Warning },
        text: format!("The host has {:.1} % of its memory left.", (1.0 - used) * 100.0),
        cause: "Processes and containers use nearly all of it.".into(),
        confidence: 0.9,
        evidence: vec![bench.evidence(place, MetricId::MemoryAvailable, None)],
        action: Action::Investigate,
        steps: vec!["Find who grew, and move work away before the kernel kills.".into()],
        health: Health::Suspect,
        ..Conclusion::default()
    },
};

#[cfg(test)]
mod tests {
    use crate::diagnosis::rules::trial::{Trial, device};
    use crate::schema::MetricId::{MemoryAvailable as Available, MemoryTotal as Total};

    fn played(total: Option<f64>, available: f64) -> Vec<String> {
        let mut trial = Trial::new();
        trial.device(&device(0, "node", "node1"));
        if let Some(total) = total {
            trial.set(0, Total, total);
        }
        trial.set(0, Available, available);
        trial.seconds(60);
        trial.open()
    }

    #[test]
    fn nearly_none_left_counts() {
        assert_eq!(played(Some(1e12), 1e10), ["memory_low node1"]);
        assert_eq!(played(Some(1e12), 1e11), Vec::<String>::new());
        assert_eq!(played(None, 1e10), Vec::<String>::new());
    }
}
