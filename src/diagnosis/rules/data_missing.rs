//! An accelerator that gave readings gives none any more.

use std::collections::BTreeMap;

use crate::diagnosis::detectors::Missing;
use crate::diagnosis::{
    Bench, Conclusion, Entry, Page, Place, Reach, Relation, Rule, Setting, Subject, Wants,
    told_evidence,
};
use crate::schema::{Action, DeviceState, Health, Severity};

/// What the family knows of this rule.
pub(super) static RULE: Entry = Entry {
    name: "data_missing",
    summary: "A GPU or NPU that gave readings gives none any more.",
    page: Page {
        concludes: "No reading of a present device came for many times its usual pause, and \
                    nobody says why.",
        matters: "What is not seen is not judged: the device counts as not observable.",
        needs: "A device whose readings came at some pace before.",
        silent: "For devices that are gone, reset, upgraded or silent, and while a sampler is \
                 stalled, all of which say so themselves.",
        remedy: "Run `eagle-eye doctor`: the driver, its library or a permission changed.",
    },
    settings: &[
        Setting {
            key: "periods",
            default: 8.0,
            range: (2.0, 1000.0),
            help: "So many usual pauses without a reading count.",
        },
        Setting {
            key: "least_s",
            default: 60.0,
            range: (1.0, 86_400.0),
            help: "At least so long without a reading, seconds.",
        },
    ],
    wants: Wants { ticks: true, ..Wants::NOTHING },
    consequence_of: &[
        Relation::to("driver_silent", Reach::Same, 300),
        Relation::to("device_gone", Reach::Same, 300),
        // The GPU fell off the bus; the NPU's heartbeat is lost.
        Relation { key: "79", ..Relation::to("xid", Reach::Same, 300) },
        Relation { key: "40F84E00", ..Relation::to("ascend_fault", Reach::Same, 300) },
        Relation::to("sampler_stalled", Reach::Node, 300),
    ],
    follows_driver: false,
    open: || Box::new(DataMissing { devices: BTreeMap::new() }),
};

#[derive(Debug)]
struct DataMissing {
    devices: BTreeMap<Place, (u64, Missing)>,
}

impl Rule for DataMissing {
    fn tick(&mut self, bench: &mut Bench<'_>) {
        let stalled = bench.has_open("sampler_stalled", bench.node());
        for (place, of) in bench.known().accelerators() {
            let Some(heard_ns) = of.readings().iter().map(|held| held.heard_ns).max() else {
                continue;
            };
            let (last_ns, missing) = self.devices.entry(place).or_default();
            if *last_ns != heard_ns {
                *last_ns = heard_ns;
                missing.take(heard_ns);
            }
            let state = of.device.accelerator.as_ref().map(|of| of.state).unwrap_or_default();
            let expected = matches!(state, DeviceState::Present | DeviceState::Unknown);
            if !expected {
                missing.wait(bench.now_ns());
            }
            let periods = bench.setting("periods") as u64;
            let least_ns = bench.setting_ns("least_s");
            let gone = missing.is_missing(bench.now_ns(), periods, least_ns);
            let subject = Subject::of(&of.device);
            if !gone || !expected || stalled {
                bench.clear(subject, "");
                continue;
            }
            let name = &of.device.name;
            let (wall_ns, now_ns) = (bench.at().wall_ns, bench.now_ns());
            bench.hold(subject, "", Severity::Warning, || {
                let seconds = now_ns.saturating_sub(heard_ns) / 1_000_000_000;
                let told = format!("the last of its readings came {seconds} s ago");
                Conclusion {
                    text: format!("{name} gave readings and gives none any more."),
                    cause: "Its driver, the vendor's library or a permission changed.".into(),
                    confidence: 0.8,
                    evidence: vec![told_evidence(wall_ns, name, told)],
                    action: Action::Investigate,
                    steps: vec!["Run `eagle-eye doctor` on the node.".into()],
                    // It is not observable, which its age says.
                    health: Health::Healthy,
                    ..Conclusion::default()
                }
            });
        }
    }

    fn forget(&mut self, place: Place) {
        self.devices.remove(&place);
    }
}

#[cfg(test)]
mod tests {
    use crate::diagnosis::rules::trial::{Trial, gpu};
    use crate::schema::{
        DeviceState, EventKind, Health, MetricId::AcceleratorTemperature as Celsius,
    };

    fn played(stalled: bool) -> Trial {
        let mut trial = Trial::new();
        trial.device(&gpu(0));
        trial.set(0, Celsius, 50.0);
        trial.seconds(30);
        trial.stop(0, Celsius);
        if stalled {
            trial.event(EventKind::SamplerStalled, "nvml", "stalls");
        }
        trial.seconds(120);
        trial
    }

    #[test]
    fn readings_that_stop_are_missed_unless_somebody_says_why() {
        let trial = played(false);
        assert_eq!(trial.open(), ["data_missing gpu0"]);
        assert_eq!(trial.stage.assessments()[0].health, Health::Unknown);
        assert_eq!(played(true).open(), ["sampler_stalled node1"]);
    }

    #[test]
    fn a_gpu_off_the_bus_is_why_and_a_reset_gives_it_time() {
        let mut trial = played(false);
        trial.line("NVRM: Xid (PCI:0000:10:00): 79, GPU has fallen off the bus.");
        let lost = trial.stage.open().find(|of| of.rule == "xid").expect("open").id;
        let missing = trial.stage.open().find(|of| of.rule == "data_missing").expect("open");
        assert_eq!(missing.caused_by, lost);
        let mut trial = Trial::new();
        trial.device(&gpu(0));
        trial.set(0, Celsius, 50.0);
        trial.seconds(30);
        trial.stop(0, Celsius);
        let mut device = gpu(0);
        device.accelerator.as_mut().expect("a GPU").state = DeviceState::Resetting;
        trial.device(&device);
        trial.seconds(300);
        trial.device(&gpu(0));
        trial.seconds(30);
        assert_eq!(trial.open(), Vec::<String>::new());
        trial.seconds(60);
        assert_eq!(trial.open(), ["data_missing gpu0"]);
    }
}
