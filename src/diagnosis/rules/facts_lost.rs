//! Facts were lost before they were read.

use crate::diagnosis::{
    Bench, Conclusion, Entry, Fact, Page, Rule, Setting, Wants, event_evidence,
};
use crate::schema::{Action, EventKind, Health, Severity};

/// What the family knows of this rule.
pub(super) static RULE: Entry = Entry {
    name: "facts_lost",
    summary: "Lines of the kernel log, trace events or reports of a driver were lost.",
    page: Page {
        concludes: "A source says that so many of its records were overwritten before they were \
                    read.",
        matters: "A fault may be among them: for that time, silence is no evidence of health.",
        needs: "The sampler's event of the loss.",
        silent: "Where nothing is lost.",
        remedy: "Find who floods the log; a larger kernel log buffer (log_buf_len) helps.",
    },
    settings: &[Setting {
        key: "quiet_s",
        default: 600.0,
        range: (10.0, 604_800.0),
        help: "It is over after this time without another loss, seconds.",
    }],
    wants: Wants {
        events: &[
            EventKind::KernelLinesLost,
            EventKind::TraceEventsLost,
            EventKind::DeviceEventsLost,
        ],
        ..Wants::NOTHING
    },
    consequence_of: &[],
    follows_driver: false,
    open: || Box::new(FactsLost),
};

/// Remembers nothing: what is open says it all.
#[derive(Debug)]
struct FactsLost;

impl Rule for FactsLost {
    fn fact(&mut self, fact: &Fact<'_>, bench: &mut Bench<'_>) {
        let Fact::Event(event) = fact else { return };
        let node = bench.node();
        let (key, what) = match event.kind {
            EventKind::KernelLinesLost => ("kernel_log", "lines of the kernel log"),
            EventKind::TraceEventsLost => ("trace", "trace events of accelerators"),
            _ => ("device", "reports of a device's driver"),
        };
        let quiet_ns = bench.setting_ns("quiet_s");
        bench.raise(
            node,
            key,
            Conclusion {
                severity: Severity::Info,
                text: format!("{} {what} were lost before they were read.", event.lost),
                cause: "More was written than the source keeps until it is read.".into(),
                confidence: 0.95,
                evidence: vec![event_evidence(event)],
                action: Action::Investigate,
                steps: vec!["Find who floods the source, or make its buffer larger.".into()],
                health: Health::Healthy,
                quiet_ns,
                ..Conclusion::default()
            },
        );
    }
}

#[cfg(test)]
mod tests {
    use crate::diagnosis::rules::trial::Trial;
    use crate::schema::EventKind;

    #[test]
    fn losses_are_one_verdict_with_a_count_and_end_by_themselves() {
        let mut trial = Trial::new();
        for _ in 0..50 {
            trial.event(EventKind::KernelLinesLost, "kmsg", "lost");
            trial.seconds(1);
        }
        assert_eq!(trial.stage.open().map(|of| of.count).collect::<Vec<_>>(), [50]);
        trial.seconds(601);
        assert_eq!(trial.open(), Vec::<String>::new());
    }
}
