//! A network interface receives damaged frames.

use super::growth::{Grows, Growth, When};
use crate::diagnosis::{Conclusion, DeviceFacts, Entry, Page, Setting, Wants};
use crate::schema::{Action, Health, MetricId, Severity};

/// What the family knows of this rule.
pub(super) static RULE: Entry = Entry {
    name: "interface_errors",
    summary: "A network interface receives damaged frames or loses its signal while sending.",
    page: Page {
        concludes: "Checksum errors or carrier errors of an interface grow over ten minutes.",
        matters: "Each damaged frame is sent again after a time-out: KV transfers and requests \
                  stall for milliseconds to seconds.",
        needs: "The interface's error counters over five minutes.",
        silent: "For frames dropped for want of room, which are no damage, and for single errors.",
        remedy: "Clean or replace cable and module; check the switch's port.",
    },
    settings: &[Setting {
        key: "errors",
        default: 50.0,
        range: (1.0, 1e9),
        help: "Damaged frames within ten minutes from which it counts.",
    }],
    wants: Wants { metrics: METRICS, ..Wants::NOTHING },
    consequence_of: &[],
    follows_driver: false,
    open: || Grows::open(&GROWTH),
};

const METRICS: &[MetricId] =
    &[MetricId::InterfaceReceiveCrcErrors, MetricId::InterfaceTransmitCarrierErrors];

static GROWTH: Growth =
    Growth { metrics: METRICS, when: When::Within { span_s: 600, key: "errors" }, conclude };

fn conclude(of: &DeviceFacts, grown: f64) -> Conclusion {
    let name = &of.device.name;
    Conclusion {
        severity: Severity::Warning,
        text: format!("{name} received {grown:.0} damaged frames in ten minutes."),
        cause: "A bad cable, a dirty or failing module, or a bad port.".into(),
        confidence: 0.85,
        action: Action::RepairLink,
        steps: vec![
            format!("Clean or replace cable and module of {name}."),
            "Read the error counters of the switch's port at the other end.".into(),
        ],
        health: Health::Degraded,
        ..Conclusion::default()
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn many_damaged_frames_count_and_a_few_do_not() {
        let metric = crate::schema::MetricId::InterfaceReceiveCrcErrors;
        super::super::growth::check("interface_errors", "interface", metric, 5.0, 500.0);
    }
}
