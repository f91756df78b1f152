//! An accelerator is not found any more.

use std::collections::BTreeMap;

use crate::diagnosis::{
    Bench, Conclusion, DEVICES_MAX, Entry, Fact, Page, Reach, Relation, Rule, Subject, Wants,
    event_evidence, told_evidence,
};
use crate::schema::{Accelerator, Action, DeviceState, EventKind, Evidence, Health, Severity};

/// What the family knows of this rule.
pub(super) static RULE: Entry = Entry {
    name: "device_gone",
    summary: "A GPU or NPU that was there is not found any more.",
    page: Page {
        concludes: "A device of the inventory is gone: it fell off the bus, lost power, or its \
                    driver was taken from it.",
        matters: "Everything on it is lost: engines crash or hang, and a group of cards stops with \
                  its first missing one.",
        needs: "The sampler's word that the device is gone, by event or by state.",
        silent: "While a device is being reset or its driver upgraded, and for one that was never \
                 seen.",
        remedy: "Drain the node, read the kernel log, reboot; reseat the card and its power if it \
                 stays away.",
    },
    settings: &[],
    wants: Wants {
        events: &[EventKind::DeviceGone, EventKind::DeviceReturned],
        devices: true,
        ..Wants::NOTHING
    },
    consequence_of: &[
        Relation::to("xid", Reach::Same, 60),
        Relation::to("ascend_fault", Reach::Same, 60),
    ],
    follows_driver: true,
    open: || Box::new(DeviceGone::default()),
};

#[derive(Debug, Default)]
struct DeviceGone {
    /// When a device was last said to be back, by its name: a description that
    /// is older may come after that event.
    returned: BTreeMap<String, u64>,
}

impl DeviceGone {
    fn is_overtaken(&self, device: &str, accelerator: &Accelerator) -> bool {
        let since_ns = accelerator.state_since_wall_ns;
        self.returned.get(device).is_some_and(|returned_ns| since_ns <= *returned_ns)
    }
}

impl Rule for DeviceGone {
    fn fact(&mut self, fact: &Fact<'_>, bench: &mut Bench<'_>) {
        match fact {
            Fact::Device(device) => {
                let Some(accelerator) = &device.accelerator else { return };
                let subject = Subject::of(device);
                if accelerator.state == DeviceState::Gone {
                    if self.is_overtaken(&device.name, accelerator) {
                        return;
                    }
                    let wall_ns = bench.at().wall_ns;
                    let told = "its state is gone".to_owned();
                    let evidence = vec![told_evidence(wall_ns, &device.name, told)];
                    bench.hold(subject, "", Severity::Critical, || {
                        conclusion(&device.name, evidence)
                    });
                } else if accelerator.state != DeviceState::Unknown {
                    bench.clear(subject, "");
                }
            }
            Fact::Event(event) if event.kind == EventKind::DeviceReturned => {
                if self.returned.len() < DEVICES_MAX {
                    self.returned.insert(event.subject.clone(), event.wall_ns);
                }
                bench.clear(Subject::device(&event.subject), "");
            }
            Fact::Event(event) => {
                self.returned.remove(&event.subject);
                let evidence = vec![event_evidence(event)];
                bench.hold(Subject::device(&event.subject), "", Severity::Critical, || {
                    conclusion(&event.subject, evidence)
                });
            }
            _ => {}
        }
    }
}

fn conclusion(name: &str, evidence: Vec<Evidence>) -> Conclusion {
    Conclusion {
        text: format!("{name} was there and is not found any more."),
        cause: "It fell off the bus, lost power, or its driver was taken from it.".into(),
        confidence: 0.9,
        evidence,
        action: Action::RebootNode,
        steps: vec![
            "Drain the node: what ran on the device is lost.".into(),
            "Read the kernel log of that minute for PCIe errors and faults of the device.".into(),
            "Reboot; if it stays away, power off, reseat the card and check its power cables."
                .into(),
        ],
        health: Health::Failed,
        ..Conclusion::default()
    }
}

#[cfg(test)]
mod tests {
    use crate::diagnosis::rules::trial::{Trial, gpu};
    use crate::schema::{DeviceState, EventKind, VerdictState};

    #[test]
    fn event_and_state_are_one_verdict_and_its_return_ends_it() {
        let mut trial = Trial::new();
        let mut device = gpu(0);
        trial.device(&device);
        trial.event(EventKind::DeviceGone, "gpu0", "GPU is lost");
        device.accelerator.as_mut().expect("a GPU").state = DeviceState::Gone;
        trial.device(&device);
        trial.seconds(30);
        let told = trial.told();
        assert_eq!(told.len(), 1, "{told:?}");
        trial.device(&gpu(0));
        assert_eq!(trial.told()[0].state, VerdictState::Resolved);
    }

    #[test]
    fn a_description_from_before_its_return_is_overtaken() {
        let mut trial = Trial::new();
        let mut device = gpu(0);
        device.accelerator.as_mut().expect("a GPU").state = DeviceState::Gone;
        device.accelerator.as_mut().expect("a GPU").state_since_wall_ns = 1;
        trial.event(EventKind::DeviceGone, "gpu0", "GPU is lost");
        trial.event(EventKind::DeviceReturned, "gpu0", "GPU is back");
        trial.device(&device);
        trial.seconds(2);
        assert_eq!(trial.open(), Vec::<String>::new());
        device.accelerator.as_mut().expect("a GPU").state_since_wall_ns = u64::MAX;
        trial.device(&device);
        assert_eq!(trial.open(), ["device_gone gpu0"]);
    }

    #[test]
    fn a_reset_is_no_loss() {
        let mut trial = Trial::new();
        let mut device = gpu(0);
        trial.device(&device);
        device.accelerator.as_mut().expect("a GPU").state = DeviceState::Resetting;
        trial.device(&device);
        trial.seconds(60);
        assert_eq!(trial.open(), Vec::<String>::new());
    }
}
