//! The device's own health report says that it is ill.

use std::collections::BTreeMap;

use crate::diagnosis::detectors::Hold;
use crate::diagnosis::{
    Bench, Conclusion, Entry, LimitSource, Look, Page, Place, Reach, Relation, Rule, Setting,
    Subject, Wants,
};
use crate::schema::{Action, Health, MetricId, Severity};

/// What the family knows of this rule.
pub(super) static RULE: Entry = Entry {
    name: "device_health",
    summary: "A device's own health report, its fabric, its network or its stored configuration \
              says that something is wrong.",
    page: Page {
        concludes: "A word of the device about itself: the gravest open fault by an Ascend \
                    driver's scale, a fabric that is not healthy, a network port that fails its \
                    own probe, or a board whose stored configuration is damaged. Each is a verdict \
                    of its own.",
        matters: "The device degrades or refuses work before anything is visible in its load.",
        needs: "The readings of health level, fabric, network health or InfoROM.",
        silent: "Where the device gives no such reading, and for reports shorter than `hold_s`. \
                 Where the fault's own code is known, this points to it.",
        remedy: "Look for the fault code behind it; reset the device if there is none.",
    },
    settings: &[Setting {
        key: "hold_s",
        default: 5.0,
        range: (0.0, 3600.0),
        help: "How long the report must stand, seconds.",
    }],
    wants: Wants {
        metrics: &[
            MetricId::AcceleratorHealthLevel,
            MetricId::AcceleratorFabricHealthy,
            MetricId::AcceleratorNetworkHealth,
            MetricId::AcceleratorInforomValid,
        ],
        ..Wants::NOTHING
    },
    consequence_of: &[
        Relation::to("xid", Reach::Same, 60),
        Relation::to("ascend_fault", Reach::Same, 60),
        Relation::to("device_gone", Reach::Same, 60),
    ],
    follows_driver: true,
    open: || Box::new(DeviceHealth { holds: BTreeMap::new() }),
};

#[derive(Debug)]
struct DeviceHealth {
    holds: BTreeMap<(Place, MetricId), Hold>,
}

/// What is said of one reading.
struct Said {
    key: &'static str,
    metric: MetricId,
    severity: Severity,
    text: String,
    cause: &'static str,
    action: Action,
    step: &'static str,
}

impl Rule for DeviceHealth {
    fn look(&mut self, place: Place, bench: &mut Bench<'_>) -> Look {
        let Some(of) = bench.device(place) else { return Look::Done };
        let subject = Subject::of(&of.device);
        let mut look = Look::Done;
        for (metric, key) in SOURCES {
            let Some(value) = of.value(*metric) else { continue };
            let said = said(&of.device.name, *metric, key, value);
            let hold = self.holds.entry((place, *metric)).or_default();
            let on = hold.is(bench.now_ns(), said.is_some(), bench.setting_ns("hold_s"));
            if hold.waits() || hold.is_on() {
                look = Look::Again;
            }
            match said.filter(|_| on) {
                None if on => {}
                None => bench.clear(subject, key),
                Some(said) => {
                    let evidence = vec![bench.evidence(place, said.metric, None)];
                    bench.hold(subject, said.key, said.severity, || Conclusion {
                        text: said.text,
                        cause: said.cause.into(),
                        confidence: 0.85,
                        evidence,
                        action: said.action,
                        steps: vec![said.step.into()],
                        health: match said.severity {
                            Severity::Critical => Health::Failed,
                            Severity::Error => Health::Suspect,
                            _ => Health::Degraded,
                        },
                        limit_source: LimitSource::Device,
                        ..Conclusion::default()
                    });
                }
            }
        }
        look
    }

    fn forget(&mut self, place: Place) {
        self.holds.retain(|(of, _), _| *of != place);
    }
}

const SOURCES: &[(MetricId, &str)] = &[
    (MetricId::AcceleratorHealthLevel, "level"),
    (MetricId::AcceleratorFabricHealthy, "fabric"),
    (MetricId::AcceleratorNetworkHealth, "network"),
    (MetricId::AcceleratorInforomValid, "inforom"),
];

fn said(name: &str, metric: MetricId, key: &'static str, value: f64) -> Option<Said> {
    let said = |severity, text, cause, action, step| {
        Some(Said { key, metric, severity, text, cause, action, step })
    };
    match metric {
        MetricId::AcceleratorHealthLevel if value >= 1.0 => {
            let (severity, action, word) = match value as u64 {
                1 => (Severity::Warning, Action::Investigate, "minor"),
                2 => (Severity::Error, Action::ResetDevice, "major"),
                _ => (Severity::Critical, Action::ResetDevice, "critical"),
            };
            let text = format!("{name} reports a {word} fault of its own.");
            let step = "Look for its fault code; if it stays, drain and reset the device.";
            said(severity, text, "A fault that the device found in itself.", action, step)
        }
        MetricId::AcceleratorFabricHealthy if value < 1.0 => {
            let text = format!("{name} is not well registered with its fabric.");
            let cause = "The fabric manager, a switch or a link of the fabric.";
            let step = "Check the fabric manager's log and the switches, then restart it.";
            said(Severity::Error, text, cause, Action::Investigate, step)
        }
        // 6: the port starts; 8: its address is being set.
        MetricId::AcceleratorNetworkHealth if value >= 1.0 && value != 6.0 && value != 8.0 => {
            let text =
                format!("The network port of {name} fails the device's own probe ({value}).");
            let cause = "The port, its module, its cable, its address or its gateway.";
            let step = "Check module and cable of the port, then its address and gateway.";
            said(Severity::Error, text, cause, Action::RepairLink, step)
        }
        MetricId::AcceleratorInforomValid if value < 1.0 => {
            let text = format!("The stored configuration of {name} is damaged.");
            let cause = "The board's InfoROM does not match its checksum.";
            let step = "Update or restore the InfoROM with the vendor's tool; else return it.";
            said(Severity::Warning, text, cause, Action::ContactVendor, step)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::diagnosis::rules::trial::{Trial, gpu};
    use crate::schema::MetricId::{
        AcceleratorFabricHealthy as Fabric, AcceleratorHealthLevel as Level,
        AcceleratorInforomValid as Inforom, AcceleratorNetworkHealth as Network,
    };
    use crate::schema::Severity;

    #[test]
    fn each_report_is_its_own_verdict_and_good_ones_are_none() {
        let mut trial = Trial::new();
        trial.device(&gpu(0));
        for (metric, value) in [(Level, 0.0), (Fabric, 1.0), (Inforom, 1.0)] {
            trial.set(0, metric, value);
        }
        trial.seconds(20);
        assert_eq!(trial.open(), Vec::<String>::new());
        for starts in [6.0, 8.0] {
            trial.set(0, Network, starts);
            trial.seconds(20);
            assert_eq!(trial.open(), Vec::<String>::new(), "{starts}");
        }
        trial.set(0, Network, 2.0);
        trial.seconds(20);
        assert_eq!(trial.open(), ["device_health gpu0"]);
        trial.set(0, Network, 0.0);
        trial.seconds(20);
        trial.told();
        trial.set(0, Level, 3.0);
        trial.set(0, Fabric, 0.0);
        trial.seconds(20);
        let told = trial.told();
        assert_eq!(told.len(), 2);
        assert_eq!(told[0].severity, Severity::Critical);
    }
}
