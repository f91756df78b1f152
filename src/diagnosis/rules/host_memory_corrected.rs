//! Host memory corrects more than it should have to.

use super::growth::{Grows, Growth, When};
use crate::diagnosis::{Conclusion, DeviceFacts, Entry, Page, Reach, Relation, Setting, Wants};
use crate::schema::{Action, Health, MetricId, Severity};

/// What the family knows of this rule.
pub(super) static RULE: Entry = Entry {
    name: "host_memory_corrected",
    summary: "Corrected errors of host memory grow.",
    page: Page {
        concludes: "A memory controller or a DIMM of the host corrects errors at a rate that says \
                    that a cell, a row or a contact is failing.",
        matters: "Corrected errors come before uncorrected ones, and each costs a little time.",
        needs: "The kernel's EDAC counters over half an hour.",
        silent: "For single corrected errors, which cosmic rays cause everywhere.",
        remedy: "Plan the replacement of the DIMM; reseat it at the next maintenance.",
    },
    settings: &[Setting {
        key: "errors",
        default: 100.0,
        range: (1.0, 1e9),
        help: "Corrected errors within an hour from which it counts.",
    }],
    wants: Wants { metrics: METRICS, ..Wants::NOTHING },
    consequence_of: &[Relation::to("machine_check", Reach::Node, 60)],
    follows_driver: false,
    open: || Grows::open(&GROWTH),
};

const METRICS: &[MetricId] = &[MetricId::MemoryErrorsCorrected, MetricId::DimmErrorsCorrected];

static GROWTH: Growth =
    Growth { metrics: METRICS, when: When::Within { span_s: 3600, key: "errors" }, conclude };

fn conclude(of: &DeviceFacts, grown: f64) -> Conclusion {
    let name = &of.device.name;
    Conclusion {
        severity: Severity::Warning,
        text: format!("Host memory at {name} corrected {grown} errors within an hour."),
        cause: "A cell, a row or a contact of a DIMM is failing.".into(),
        confidence: 0.8,
        action: Action::ReplacePart,
        steps: vec![
            "Move what matters to another node at the next chance.".into(),
            format!("Reseat or replace the DIMM at {name}."),
        ],
        health: Health::Suspect,
        ..Conclusion::default()
    }
}

#[cfg(test)]
mod tests {
    use crate::diagnosis::rules::trial::{Trial, device};
    use crate::schema::MetricId::MemoryErrorsCorrected as Errors;

    fn played(a_second: f64) -> Vec<String> {
        let mut trial = Trial::new();
        trial.device(&device(1, "memory_controller", "mc0"));
        trial.grow(1, Errors, 500.0, a_second);
        trial.seconds(3600);
        trial.open()
    }

    #[test]
    fn many_in_an_hour_count_and_a_few_do_not() {
        assert_eq!(played(0.1), ["host_memory_corrected mc0"]);
        assert_eq!(played(0.01), Vec::<String>::new());
    }
}
