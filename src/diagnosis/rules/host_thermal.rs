//! Heat slows the host's processors down.

use super::growth::{Grows, Growth, When};
use crate::diagnosis::{Conclusion, DeviceFacts, Entry, Page, Reach, Relation, Setting, Wants};
use crate::schema::{Action, Health, MetricId, Severity};

/// What the family knows of this rule.
pub(super) static RULE: Entry = Entry {
    name: "host_thermal",
    summary: "Heat slows the host's processors down.",
    page: Page {
        concludes: "Processor packages slowed down against heat again and again over ten minutes.",
        matters: "Schedulers, tokenizers and the launch of kernels run on the host: slow \
                  processors leave the accelerators waiting.",
        needs: "The kernel's count of package slowdowns over five minutes.",
        silent: "For a few slowdowns, and for single cores, which do so under full load.",
        remedy: "Check the processors' fans and heat sinks, and the inlet air.",
    },
    settings: &[Setting {
        key: "slowdowns",
        default: 100.0,
        range: (1.0, 1e9),
        help: "Slowdowns of packages within ten minutes from which it counts.",
    }],
    wants: Wants { metrics: METRICS, ..Wants::NOTHING },
    consequence_of: &[
        Relation::to("cooling", Reach::Node, 600),
        Relation::to("cpu_throttled", Reach::Node, 600),
    ],
    follows_driver: false,
    open: || Grows::open(&GROWTH),
};

const METRICS: &[MetricId] = &[MetricId::PackageThrottles];

static GROWTH: Growth =
    Growth { metrics: METRICS, when: When::Within { span_s: 600, key: "slowdowns" }, conclude };

fn conclude(_: &DeviceFacts, grown: f64) -> Conclusion {
    Conclusion {
        severity: Severity::Warning,
        text: format!("Heat slowed the host's processors down {grown:.0} times in ten minutes."),
        cause: "The processors are not cooled enough.".into(),
        confidence: 0.85,
        action: Action::RepairCooling,
        steps: vec!["Check the processors' fans and heat sinks, and the inlet air.".into()],
        health: Health::Degraded,
        ..Conclusion::default()
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn many_slowdowns_count_and_a_few_do_not() {
        let metric = crate::schema::MetricId::PackageThrottles;
        super::super::growth::check("host_thermal", "node", metric, 10.0, 1000.0);
    }
}
