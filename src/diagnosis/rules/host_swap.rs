//! The host reads its memory back from swap.

use super::level::{Level, Levels};
use crate::diagnosis::{Conclusion, Entry, Page, Setting, Wants};
use crate::schema::{Action, Health, MetricId, Severity};

/// What the family knows of this rule.
pub(super) static RULE: Entry = Entry {
    name: "host_swap",
    summary: "The host reads memory back from swap.",
    page: Page {
        concludes: "Pages are read back from swap at a high rate: memory that is in use does not \
                    fit.",
        matters: "An engine's scheduler that waits for its own memory stalls every request.",
        needs: "The kernel's count of pages read from swap over a minute.",
        silent: "For pages written to swap and not needed again, and for short bursts.",
        remedy: "Give the node more memory, move something away, or switch swap off.",
    },
    settings: &[
        Setting {
            key: "bytes_per_second",
            default: 2_097_152.0,
            range: (1.0, 1e12),
            help: "Bytes a second read from swap from which it counts.",
        },
        Setting {
            key: "hold_s",
            default: 20.0,
            range: (0.0, 3600.0),
            help: "How long that must last, seconds.",
        },
    ],
    wants: Wants { metrics: &[MetricId::SwapIn], ..Wants::NOTHING },
    consequence_of: &[],
    follows_driver: false,
    open: || Levels::open(&LEVEL),
};

static LEVEL: Level = Level {
    span_s: 60,
    measure: |counters, place, bench| counters.per_second(bench, place, MetricId::SwapIn),
    limit: "bytes_per_second",
    release: 0.3,
    conclude: |_, rate, place, bench| Conclusion {
        severity: Severity::Error,
        text: format!("The host reads {:.1} MB a second back from swap.", rate / 1e6),
        cause: "What is in use does not fit in memory.".into(),
        confidence: 0.9,
        evidence: vec![
            bench.evidence(place, MetricId::SwapIn, None),
            bench.evidence(place, MetricId::MemoryAvailable, None),
        ],
        action: Action::Investigate,
        steps: vec![
            "Find who grew: compare the memory of containers and processes.".into(),
            "Move work away, give the node more memory, or switch swap off.".into(),
        ],
        health: Health::Degraded,
        ..Conclusion::default()
    },
};

#[cfg(test)]
mod tests {
    use crate::diagnosis::rules::trial::{Trial, device};
    use crate::schema::MetricId::SwapIn;

    fn played(rate: f64) -> Vec<String> {
        let mut trial = Trial::new();
        trial.device(&device(0, "node", "node1"));
        trial.grow(0, SwapIn, 1e9, rate);
        trial.seconds(120);
        trial.open()
    }

    #[test]
    fn much_read_back_counts_and_a_little_does_not() {
        assert_eq!(played(5e7), ["host_swap node1"]);
        assert_eq!(played(1e5), Vec::<String>::new());
    }
}
