//! An InfiniBand or RoCE port has errors on the wire.

use super::growth::{Grows, Growth, When};
use crate::diagnosis::{Conclusion, DeviceFacts, Entry, Page, Setting, Wants};
use crate::schema::{Action, Health, MetricId, Severity};

/// What the family knows of this rule.
pub(super) static RULE: Entry = Entry {
    name: "infiniband_errors",
    summary: "An InfiniBand or RoCE port has errors on the wire.",
    page: Page {
        concludes: "Symbol errors, link recoveries, link downs, receive errors or wrong checksums \
                    of a port grow over ten minutes.",
        matters: "Collective operations and KV transfers go at the pace of the worst port.",
        needs: "The port's counters over five minutes.",
        silent: "For congestion, which is no damage, for errors that others marked, and for \
                 counters that stand at their end.",
        remedy: "Clean or replace cable and module; check the switch's port.",
    },
    settings: &[Setting {
        key: "errors",
        default: 20.0,
        range: (1.0, 1e9),
        help: "Errors within ten minutes from which it counts.",
    }],
    wants: Wants { metrics: METRICS, ..Wants::NOTHING },
    consequence_of: &[],
    follows_driver: false,
    open: || Grows::open(&GROWTH),
};

const METRICS: &[MetricId] = &[
    MetricId::InfinibandSymbolErrors,
    MetricId::InfinibandLinkRecoveries,
    MetricId::InfinibandLinkDowns,
    MetricId::InfinibandReceiveErrors,
    MetricId::InfinibandIntegrityErrors,
    MetricId::RoceChecksumErrors,
];

static GROWTH: Growth =
    Growth { metrics: METRICS, when: When::Within { span_s: 600, key: "errors" }, conclude };

fn conclude(of: &DeviceFacts, grown: f64) -> Conclusion {
    let name = &of.device.name;
    Conclusion {
        severity: Severity::Warning,
        text: format!("Port {name} had {grown:.0} errors on the wire in ten minutes."),
        cause: "A bad cable, a dirty or failing module, or a bad port.".into(),
        confidence: 0.85,
        action: Action::RepairLink,
        steps: vec![
            format!("Clean or replace cable and module of {name}."),
            "Read the counters of the switch's port at the other end.".into(),
        ],
        health: Health::Degraded,
        ..Conclusion::default()
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn many_errors_count_and_a_few_do_not() {
        let metric = crate::schema::MetricId::InfinibandSymbolErrors;
        super::super::growth::check("infiniband_errors", "infiniband_port", metric, 2.0, 200.0);
    }
}
