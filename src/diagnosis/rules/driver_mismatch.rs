//! Devices of one node have different drivers or firmware.

use std::collections::BTreeMap;

use crate::diagnosis::{Bench, Conclusion, Entry, Fact, Page, Rule, Wants, told_evidence};
use crate::schema::{Action, DeviceState, Health, Severity};

/// What the family knows of this rule.
pub(super) static RULE: Entry = Entry {
    name: "driver_mismatch",
    summary: "Devices of one model on a node have different drivers or firmware.",
    page: Page {
        concludes: "Of devices of one model, some report another version of driver or firmware \
                    than the others.",
        matters: "Mixed firmware behaves differently under the same load: one card of a group is \
                  slower, or fails where the others do not.",
        needs: "The versions of at least two devices of one model.",
        silent: "While a device is being upgraded or reset, and where a version is not known.",
        remedy: "Bring all devices to the version of the others, at the next maintenance.",
    },
    settings: &[],
    wants: Wants { devices: true, ..Wants::NOTHING },
    consequence_of: &[],
    follows_driver: false,
    open: || Box::new(DriverMismatch),
};

/// Remembers nothing: the inventory says it all.
#[derive(Debug)]
struct DriverMismatch;

impl Rule for DriverMismatch {
    fn fact(&mut self, fact: &Fact<'_>, bench: &mut Bench<'_>) {
        let Fact::Device(device) = fact else { return };
        let Some(model) = device.accelerator.as_ref().map(|of| of.device_model.as_str()) else {
            return;
        };
        let mut drivers: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        let mut firmware: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (_, of) in bench.known().accelerators() {
            let Some(accelerator) = of.device.accelerator.as_ref() else { continue };
            let changing = matches!(
                accelerator.state,
                DeviceState::Upgrading | DeviceState::Resetting | DeviceState::Gone
            );
            if changing || accelerator.device_model != model || !accelerator.parent.is_empty() {
                continue;
            }
            let versions =
                [(&mut drivers, &accelerator.driver), (&mut firmware, &accelerator.firmware)];
            for (all, version) in versions {
                if !version.is_empty() {
                    all.entry(version.as_str()).or_default().push(&of.device.name);
                }
            }
        }
        tell(model, "driver", &drivers, bench);
        tell(model, "firmware", &firmware, bench);
    }
}

fn tell(model: &str, what: &str, versions: &BTreeMap<&str, Vec<&str>>, bench: &mut Bench<'_>) {
    let node = bench.node();
    let key = format!("{what} {model}");
    if versions.len() < 2 {
        bench.clear(node, &key);
        return;
    }
    let wall_ns = bench.at().wall_ns;
    let evidence = versions.iter().take(6).map(|(version, names)| {
        let names = names.iter().take(16).copied().collect::<Vec<_>>().join(", ");
        told_evidence(wall_ns, node.name, format!("{what} {version}: {names}"))
    });
    let evidence = evidence.collect();
    bench.hold(node, &key, Severity::Warning, || Conclusion {
        text: format!("Devices of model {model} have {} versions of {what}.", versions.len()),
        cause: "A board was replaced, or an upgrade did not reach all of them.".into(),
        confidence: 0.95,
        evidence,
        action: Action::UpgradeDriver,
        steps: vec![format!("Bring the {what} of all devices to one version.")],
        health: Health::Healthy,
        ..Conclusion::default()
    });
}

#[cfg(test)]
mod tests {
    use crate::diagnosis::rules::trial::{Trial, gpu};
    use crate::schema::DeviceState;

    #[test]
    fn another_version_counts_unless_it_is_unknown_or_being_changed() {
        for (firmware, state, open) in [
            ("96.00.89", DeviceState::Present, 0),
            ("96.00.74", DeviceState::Present, 1),
            ("96.00.74", DeviceState::Upgrading, 0),
            ("", DeviceState::Present, 0),
        ] {
            let mut trial = Trial::new();
            for index in 0..4 {
                let mut device = gpu(index);
                let parts = device.accelerator.as_mut().expect("a GPU");
                parts.firmware = if index == 2 { firmware } else { "96.00.89" }.into();
                parts.state = if index == 2 { state } else { DeviceState::Present };
                trial.device(&device);
            }
            trial.seconds(3);
            assert_eq!(trial.open().len(), open, "{firmware} {state:?}");
        }
    }
}
