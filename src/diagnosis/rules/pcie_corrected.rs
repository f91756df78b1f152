//! A PCIe link corrects or repeats too much.

use super::growth::{Grows, Growth, When};
use crate::diagnosis::{Conclusion, DeviceFacts, Entry, Page, Reach, Relation, Setting, Wants};
use crate::schema::{Action, Health, MetricId, Severity};

/// What the family knows of this rule.
pub(super) static RULE: Entry = Entry {
    name: "pcie_corrected",
    summary: "A PCIe link repeats packets or corrects errors at a high rate.",
    page: Page {
        concludes: "The replay counter of an accelerator, or the corrected errors of a PCIe \
                    device, grow fast over ten minutes.",
        matters: "Repeats cost bandwidth and time of every copy to and from the device, and come \
                  before a link that breaks down.",
        needs: "The device's replay counter or the kernel's AER counters over five minutes.",
        silent: "For single repeats, which every link has.",
        remedy: "Reseat the card, its riser and cables; update the firmware of card and switch.",
    },
    settings: &[Setting {
        key: "errors",
        default: 200.0,
        range: (1.0, 1e9),
        help: "Repeats and corrected errors within ten minutes from which it counts.",
    }],
    wants: Wants { metrics: METRICS, ..Wants::NOTHING },
    consequence_of: &[
        Relation::to("pcie_link", Reach::Same, 600),
        Relation::to("pcie_aer", Reach::Same, 600),
    ],
    follows_driver: false,
    open: || Grows::open(&GROWTH),
};

const METRICS: &[MetricId] = &[MetricId::AcceleratorPcieReplays, MetricId::PcieErrorsCorrected];

static GROWTH: Growth =
    Growth { metrics: METRICS, when: When::Within { span_s: 600, key: "errors" }, conclude };

fn conclude(of: &DeviceFacts, grown: f64) -> Conclusion {
    let name = &of.device.name;
    Conclusion {
        severity: Severity::Warning,
        text: format!(
            "The PCIe link of {name} repeated or corrected {grown:.0} packets in ten minutes."
        ),
        cause: "A bad contact, riser or cable, or a slot beyond its signal budget.".into(),
        confidence: 0.8,
        action: Action::RepairLink,
        steps: vec![
            format!("Reseat {name}, its riser and its cables at the next maintenance."),
            "Compare with the same slot of a well node; swap riser or card to find the part."
                .into(),
        ],
        health: Health::Degraded,
        ..Conclusion::default()
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_high_rate_counts_and_single_repeats_do_not() {
        let metric = crate::schema::MetricId::AcceleratorPcieReplays;
        super::super::growth::check("pcie_corrected", "gpu", metric, 20.0, 2000.0);
    }
}
