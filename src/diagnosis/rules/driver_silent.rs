//! The driver of a device does not answer.

use crate::diagnosis::{
    Bench, Conclusion, Entry, Fact, Page, Rule, Subject, Wants, event_evidence, told_evidence,
};
use crate::schema::{Action, Device, DeviceState, Event, EventKind, Health, Severity};

/// What the family knows of this rule.
pub(super) static RULE: Entry = Entry {
    name: "driver_silent",
    summary: "A call of the vendor's driver does not return.",
    page: Page {
        concludes: "A device's driver did not answer within its deadline, by the event of the \
                    sampler that waited or by the state of the device.",
        matters: "Engines that call the same driver hang in the same place: requests stop, and \
                  a process that waits in the kernel cannot be killed.",
        needs: "An event that a source hangs, or a device whose state says that its driver is \
                silent.",
        silent: "While the call is late but within its deadline, and for files of the system \
                 that are no driver's.",
        remedy: "Take the node out of service, look for a fault of the device in the kernel log, \
                 and reset the device; a call that stays in the kernel needs a reboot.",
    },
    settings: &[],
    wants: Wants {
        events: &[EventKind::SourceHangs, EventKind::SourceAnswers],
        devices: true,
        ..Wants::NOTHING
    },
    consequence_of: &[],
    follows_driver: true,
    open: || Box::new(DriverSilent),
};

/// Remembers nothing: what is open says it all.
#[derive(Debug)]
struct DriverSilent;

impl Rule for DriverSilent {
    fn fact(&mut self, fact: &Fact<'_>, bench: &mut Bench<'_>) {
        match fact {
            Fact::Device(device) => of_device(device, bench),
            Fact::Event(event) => of_event(event, bench),
            _ => {}
        }
    }
}

fn of_device(device: &Device, bench: &mut Bench<'_>) {
    let Some(accelerator) = &device.accelerator else { return };
    let subject = Subject::of(device);
    match accelerator.state {
        DeviceState::Silent => {
            let wall_ns = bench.at().wall_ns;
            let call = &accelerator.silent_call;
            bench.hold(subject, "", Severity::Critical, || {
                let told = format!("the driver does not return from {call}");
                conclusion(&device.name, call, vec![told_evidence(wall_ns, &device.name, told)])
            });
        }
        DeviceState::Unknown => {}
        _ => bench.clear(subject, ""),
    }
}

fn of_event(event: &Event, bench: &mut Bench<'_>) {
    // Only accelerators have a driver that hangs so; a file of /sys that hangs
    // is the sampler's own trouble.
    let Some((_, facts)) = bench.known().device_named(&event.subject) else { return };
    if !facts.is_accelerator() {
        return;
    }
    let subject = Subject::device(&event.subject);
    if event.kind == EventKind::SourceAnswers {
        bench.clear(subject, "");
    } else {
        let call = facts.device.accelerator.as_ref().map_or("", |of| of.silent_call.as_str());
        let evidence = vec![event_evidence(event)];
        bench.hold(subject, "", Severity::Critical, || conclusion(&event.subject, call, evidence));
    }
}

fn conclusion(name: &str, call: &str, evidence: Vec<crate::schema::Evidence>) -> Conclusion {
    let call = if call.is_empty() { "a call" } else { call };
    Conclusion {
        text: format!("The driver of {name} does not answer: {call} has not returned."),
        cause: "The device or its firmware hangs, or the driver waits for a lock in the kernel."
            .into(),
        confidence: 0.9,
        evidence,
        action: Action::ResetDevice,
        steps: vec![
            format!("Give {name} no new work and stop the engines that use it."),
            "Read the kernel log of the last minutes for a fault of the device.".into(),
            "Reset the device; if a process stays in the kernel, reboot the node.".into(),
        ],
        // It may still serve what is on it; nobody can see.
        health: Health::Suspect,
        ..Conclusion::default()
    }
}

#[cfg(test)]
mod tests {
    use crate::diagnosis::rules::trial::{Trial, gpu};
    use crate::schema::{DeviceState, EventKind, Severity, VerdictState};

    #[test]
    fn a_silent_driver_is_told_once_and_its_return_resolves_it() {
        let mut trial = Trial::new();
        trial.device(&gpu(0));
        trial.event(EventKind::SourceHangs, "gpu0", "no answer for 2 s");
        let mut silent = gpu(0);
        let state = silent.accelerator.as_mut().expect("a GPU");
        state.state = DeviceState::Silent;
        state.silent_call = "nvmlDeviceGetTemperature".into();
        trial.device(&silent);
        trial.seconds(5);
        let told = trial.told();
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!(told[0].severity, Severity::Critical);
        assert_eq!((told[0].rule.as_str(), told[0].subject.as_str()), ("driver_silent", "gpu0"));
        trial.event(EventKind::SourceAnswers, "gpu0", "it answers");
        assert_eq!(trial.told()[0].state, VerdictState::Resolved);
    }

    #[test]
    fn a_file_of_the_system_that_hangs_is_no_driver() {
        let mut trial = Trial::new();
        trial.event(EventKind::SourceHangs, "/sys/class/hwmon/hwmon3/temp1_input", "hangs");
        trial.seconds(60);
        assert_eq!(trial.told(), []);
    }
}
