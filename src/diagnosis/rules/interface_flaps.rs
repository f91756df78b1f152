//! A network interface's signal comes and goes.

use super::growth::{Grows, Growth, When};
use crate::diagnosis::{Conclusion, DeviceFacts, Entry, Page, Reach, Relation, Setting, Wants};
use crate::schema::{Action, Health, MetricId, Severity};

/// What the family knows of this rule.
pub(super) static RULE: Entry = Entry {
    name: "interface_flaps",
    summary: "A network interface's signal comes and goes.",
    page: Page {
        concludes: "The carrier of an interface changed several times within ten minutes.",
        matters: "With each change connections stall; groups of engines that talk over it time \
                  out together.",
        needs: "The kernel's count of carrier changes.",
        silent: "For one unplugged and replugged cable, and for interfaces of containers, which \
                 come and go by themselves.",
        remedy: "Replace cable or module; check the switch's port and its settings.",
    },
    settings: &[Setting {
        key: "changes",
        default: 6.0,
        range: (2.0, 1e6),
        help: "Changes within ten minutes from which it counts; one outage makes two.",
    }],
    wants: Wants { metrics: METRICS, ..Wants::NOTHING },
    consequence_of: &[
        Relation::to("link_flap", Reach::Same, 600),
        Relation::to("link_down", Reach::Same, 600),
    ],
    follows_driver: false,
    open: || Grows::open(&GROWTH),
};

const METRICS: &[MetricId] = &[MetricId::InterfaceCarrierChanges];

static GROWTH: Growth =
    Growth { metrics: METRICS, when: When::Within { span_s: 600, key: "changes" }, conclude };

fn conclude(of: &DeviceFacts, grown: f64) -> Conclusion {
    let name = &of.device.name;
    Conclusion {
        severity: Severity::Error,
        text: format!("The signal of {name} came and went {grown:.0} times in ten minutes."),
        cause: "A loose or failing cable or module, or a port that renegotiates.".into(),
        confidence: 0.9,
        action: Action::RepairLink,
        steps: vec![
            format!("Reseat, then replace cable and module of {name}."),
            "Check speed, error correction and log of the switch's port.".into(),
        ],
        health: Health::Degraded,
        ..Conclusion::default()
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn repeated_changes_count_and_one_replugged_cable_does_not() {
        let metric = crate::schema::MetricId::InterfaceCarrierChanges;
        super::super::growth::check("interface_flaps", "interface", metric, 2.0, 20.0);
    }
}
