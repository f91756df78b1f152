//! A PCIe link lost transactions or broke down.

use super::growth::{Grows, Growth, When};
use crate::diagnosis::{Conclusion, DeviceFacts, Entry, Page, Reach, Relation, Setting, Wants};
use crate::schema::{Action, Health, MetricId, Severity};

/// What the family knows of this rule.
pub(super) static RULE: Entry = Entry {
    name: "pcie_uncorrected",
    summary: "A PCIe device reports errors that its link could not correct.",
    page: Page {
        concludes: "Advanced error reporting of a PCIe device counted non-fatal or fatal errors.",
        matters: "A transaction was lost: the driver resets the device, or it disappears.",
        needs: "The kernel's AER counters.",
        silent: "For corrected errors, and for errors from before the agent looked.",
        remedy: "Reseat the card, its riser and cables; check the slot's power.",
    },
    settings: &[Setting {
        key: "quiet_s",
        default: 21_600.0,
        range: (60.0, 2_592_000.0),
        help: "It is over after this time without another error, seconds.",
    }],
    wants: Wants { metrics: METRICS, ..Wants::NOTHING },
    consequence_of: &[
        Relation::to("device_gone", Reach::Node, 30),
        Relation::to("pcie_aer", Reach::Node, 30),
    ],
    follows_driver: false,
    open: || Grows::open(&GROWTH),
};

const METRICS: &[MetricId] = &[MetricId::PcieErrorsNonfatal, MetricId::PcieErrorsFatal];

static GROWTH: Growth = Growth { metrics: METRICS, when: When::AnyMore, conclude };

fn conclude(of: &DeviceFacts, _: f64) -> Conclusion {
    let name = &of.device.name;
    Conclusion {
        severity: Severity::Error,
        text: format!("The PCIe link of {name} had errors that it could not correct."),
        cause: "A bad contact, riser, cable or slot, or a device that broke off.".into(),
        confidence: 0.85,
        action: Action::RepairLink,
        steps: vec![
            "Look for the device that broke off in the kernel log of the same second.".into(),
            format!("Reseat {name}, its riser and its cables."),
        ],
        health: Health::Degraded,
        ..Conclusion::default()
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn any_growth_counts_and_what_was_before_does_not() {
        let metric = crate::schema::MetricId::PcieErrorsNonfatal;
        super::super::growth::check("pcie_uncorrected", "pci", metric, 0.0, 1.0);
    }
}
