//! Host memory lost data.

use super::growth::{Grows, Growth, When};
use crate::diagnosis::{Conclusion, DeviceFacts, Entry, Page, Reach, Relation, Setting, Wants};
use crate::schema::{Action, Health, MetricId, Severity};

/// What the family knows of this rule.
pub(super) static RULE: Entry = Entry {
    name: "host_memory_uncorrected",
    summary: "Host memory had errors that could not be corrected.",
    page: Page {
        concludes: "A memory controller or a DIMM of the host counted uncorrected errors.",
        matters: "Processes that touch the bad memory are killed, or the machine stops.",
        needs: "The kernel's EDAC counters.",
        silent: "For corrected errors, and for errors from before the agent looked.",
        remedy: "Drain the node and replace the DIMM that is named.",
    },
    settings: &[Setting {
        key: "quiet_s",
        default: 86_400.0,
        range: (60.0, 2_592_000.0),
        help: "It is over after this time without another error, seconds.",
    }],
    wants: Wants { metrics: METRICS, ..Wants::NOTHING },
    consequence_of: &[Relation::to("machine_check", Reach::Node, 60)],
    follows_driver: false,
    open: || Grows::open(&GROWTH),
};

const METRICS: &[MetricId] = &[MetricId::MemoryErrorsUncorrected, MetricId::DimmErrorsUncorrected];

static GROWTH: Growth = Growth { metrics: METRICS, when: When::AnyMore, conclude };

fn conclude(of: &DeviceFacts, _: f64) -> Conclusion {
    let name = &of.device.name;
    Conclusion {
        severity: Severity::Critical,
        text: format!("Host memory at {name} had errors that could not be corrected."),
        cause: "A DIMM or its contact has gone bad.".into(),
        confidence: 0.95,
        action: Action::ReplacePart,
        steps: vec![
            "Drain the node.".into(),
            format!("Replace the DIMM at {name}; reseat it first if it is new."),
        ],
        health: Health::Failed,
        ..Conclusion::default()
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn any_growth_counts_and_what_was_before_does_not() {
        let metric = crate::schema::MetricId::MemoryErrorsUncorrected;
        super::super::growth::check(
            "host_memory_uncorrected",
            "memory_controller",
            metric,
            0.0,
            1.0,
        );
    }
}
