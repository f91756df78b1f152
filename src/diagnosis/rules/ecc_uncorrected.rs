//! Device memory lost data.

use super::growth::{Grows, Growth, When};
use crate::diagnosis::{Conclusion, DeviceFacts, Entry, Page, Reach, Relation, Setting, Wants};
use crate::schema::{Action, Health, MetricId, Severity};

/// What the family knows of this rule.
pub(super) static RULE: Entry = Entry {
    name: "ecc_uncorrected",
    summary: "A GPU or NPU counted memory errors that could not be corrected.",
    page: Page {
        concludes: "The device's own counters of uncorrected errors grew.",
        matters: "What a program read was lost or wrong: its process is killed, or computes with \
                  garbage.",
        needs: "A counter of uncorrected errors that grows between two samples.",
        silent: "For errors counted before the agent looked, and for corrected ones.",
        remedy: "Restart what ran on the device, then reset it, so that the bad memory is taken \
                 out of use; replace the board if it comes back.",
    },
    settings: &[Setting {
        key: "quiet_s",
        default: 21_600.0,
        range: (60.0, 2_592_000.0),
        help: "It is over after this time without another error, seconds.",
    }],
    wants: Wants { metrics: METRICS, ..Wants::NOTHING },
    consequence_of: &[
        Relation::to("xid", Reach::Same, 30),
        Relation::to("ascend_fault", Reach::Same, 30),
    ],
    follows_driver: true,
    open: || Grows::open(&GROWTH),
};

const METRICS: &[MetricId] = &[
    MetricId::AcceleratorEccUncorrected,
    MetricId::AcceleratorSramUncorrected,
    MetricId::AcceleratorDramUncorrected,
];

static GROWTH: Growth = Growth { metrics: METRICS, when: When::AnyMore, conclude };

fn conclude(of: &DeviceFacts, _: f64) -> Conclusion {
    let name = &of.device.name;
    Conclusion {
        severity: Severity::Error,
        text: format!("{name} counted memory errors that could not be corrected."),
        cause: "Cells of the device memory, or of the chip's own, have gone bad.".into(),
        confidence: 0.95,
        action: Action::ResetDevice,
        steps: vec![
            format!("Stop the engines that use {name}: what they computed may be wrong."),
            "Reset the device, so that the bad memory is replaced by spare rows.".into(),
            "If it happens again, have the board replaced.".into(),
        ],
        health: Health::Suspect,
        ..Conclusion::default()
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn any_growth_counts_and_what_was_before_does_not() {
        let metric = crate::schema::MetricId::AcceleratorEccUncorrected;
        super::super::growth::check("ecc_uncorrected", "gpu", metric, 0.0, 2.0);
    }
}
