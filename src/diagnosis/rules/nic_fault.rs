//! A network adapter, its module or its firmware is at fault.

use super::line::{Heard, Kept, LINES, LineRule, quiet, sentences};
use crate::diagnosis::lines::What;
use crate::diagnosis::{Bench, Conclusion, Entry, Page, Subject};
use crate::schema::{Action, Severity};

/// What the family knows of this rule.
pub(super) static RULE: Entry = Entry {
    name: "nic_fault",
    summary: "A network adapter reports a fault of its own: power, module, firmware, a command, or no room for connections.",
    page: Page {
        concludes: "What the adapter's driver says: too little power in its slot, a faulty \
                or hot module, a cable that was pulled, firmware that does not answer, \
                commands that fail; and a table of tracked connections that is full.",
        matters: "Prefill and decode on different nodes, and every engine of more than one \
                node, live from this adapter; a full table drops new connections of \
                clients.",
        needs: "The kernel's own lines of the adapter's driver (mlx5) and of connection \
                tracking.",
        silent: "For modules that are plugged in, and for lines that a program wrote.",
        remedy: "Do what the verdict's steps say: reseat, cool, update the firmware, or \
                give the table more room.",
    },
    settings: &[quiet(3600.0)],
    wants: LINES,
    consequence_of: &[],
    follows_driver: false,
    open: || LineRule::open(judge),
};

fn judge(heard: &Heard<'_>, kept: &mut Kept, bench: &mut Bench<'_>) {
    let Some(trouble) = trouble(heard) else { return };
    let name = match heard.seen.pci {
        Some(pci) => kept.names.of(pci, bench).to_owned(),
        None => String::new(),
    };
    let subject = if name.is_empty() { bench.node() } else { Subject::device(&name) };
    let text = trouble.text.replace("IT", if name.is_empty() { "The node" } else { &name });
    heard.raise(kept, bench, subject, trouble.key, || Conclusion {
        severity: trouble.severity,
        text,
        cause: trouble.cause.into(),
        confidence: 0.9,
        action: trouble.action,
        steps: sentences(trouble.steps),
        ..Conclusion::default()
    });
}

/// What a line says of an adapter.
struct Trouble {
    key: &'static str,
    severity: Severity,
    action: Action,
    /// IT stands for the adapter.
    text: &'static str,
    cause: &'static str,
    steps: &'static [&'static str],
}

fn trouble(heard: &Heard<'_>) -> Option<Trouble> {
    module(heard).or_else(|| adapter(heard.seen.what)).or_else(|| of_node(heard.seen.what))
}

/// The modules and cables of its ports, and its power.
fn module(heard: &Heard<'_>) -> Option<Trouble> {
    let hot = heard.said().contains("High Temperature");
    Some(match heard.seen.what {
        What::NicPower => Trouble {
            key: "power",
            severity: Severity::Warning,
            action: Action::Investigate,
            text: "IT gets too little power from its slot.",
            cause: "The slot gives less power than the adapter with its modules may need.",
            steps: &["Look up what the slot gives, and move the adapter if it is too little."],
        },
        What::NicModule if hot => Trouble {
            key: "module_hot",
            severity: Severity::Error,
            action: Action::RepairCooling,
            text: "A module of IT is too hot.",
            cause: "Too little air flows over the ports, or the module draws too much power.",
            steps: &[
                "Check fans and air flow over the ports.",
                "Replace the module if it stays hot.",
            ],
        },
        What::NicModule => Trouble {
            key: "module",
            severity: Severity::Error,
            action: Action::RepairLink,
            text: "A module of IT is faulty.",
            cause: "The module or cable is broken, badly seated, or not supported.",
            steps: &["Seat the module again.", "Replace it if the fault stays."],
        },
        What::NicUnplugged => Trouble {
            key: "unplugged",
            severity: Severity::Warning,
            action: Action::RepairLink,
            text: "A cable or module of IT was pulled.",
            cause: "Somebody pulled it, or it does not make contact.",
            steps: &["Plug it in again."],
        },
        _ => return None,
    })
}

/// Its firmware.
fn adapter(what: What) -> Option<Trouble> {
    Some(match what {
        What::NicFirmware => Trouble {
            key: "firmware",
            severity: Severity::Critical,
            action: Action::RebootNode,
            text: "The firmware of IT does not answer.",
            cause: "The adapter's firmware crashed, or the adapter lost PCIe or power.",
            steps: &[
                "Drain the node.",
                "Keep the driver's health report: devlink health show.",
                "Reboot the node, and update the adapter's firmware if it comes back.",
            ],
        },
        What::NicCommand => Trouble {
            key: "command",
            severity: Severity::Warning,
            action: Action::Investigate,
            text: "Commands to IT fail.",
            cause: "The adapter's firmware refuses or does not answer a command of the driver.",
            steps: &[
                "See whether the adapter works otherwise.",
                "Fit driver and firmware together.",
            ],
        },
        _ => return None,
    })
}

/// What is not of one adapter.
fn of_node(what: What) -> Option<Trouble> {
    Some(match what {
        What::PeerMemory => Trouble {
            key: "peer_memory",
            severity: Severity::Warning,
            action: Action::RestartApplication,
            text: "IT shares GPU memory with a network adapter that is not valid any more.",
            cause: "A program ended, or freed GPU memory, while an adapter still used it.",
            steps: &[
                "Restart the program whose transfers fail.",
                "Fit GPU driver and nvidia-peermem together.",
            ],
        },
        What::NvlinkDiscovery => Trouble {
            key: "nvlink_discovery",
            severity: Severity::Warning,
            action: Action::Investigate,
            text: "IT could not find out which NVLinks connect its GPUs.",
            cause: "A link is not up, or the fabric manager does not run or does not fit the driver.",
            steps: &[
                "Read the state of the fabric: nvidia-smi -q, section Fabric.",
                "Restart nvidia-fabricmanager, in the version of the driver.",
            ],
        },
        What::ConnectionsFull => Trouble {
            key: "connections",
            severity: Severity::Error,
            action: Action::ChangeSetting,
            text: "IT drops new connections: the table of tracked connections is full.",
            cause: "More connections are open, or closed lately, than the table holds.",
            steps: &[
                "Raise net.netfilter.nf_conntrack_max.",
                "Let clients keep their connections, so that fewer are opened.",
            ],
        },
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use crate::diagnosis::rules::trial::Trial;
    use crate::schema::Trust;

    #[test]
    fn each_fault_of_an_adapter_has_its_own_act() {
        for (text, judged) in [
            (
                "mlx5_core 0000:5c:00.0: mlx5_pcie_event:299:(pid 123123): Detected insufficient power on the PCIe slot (27W).",
                "nic_fault 0000:5c:00.0 warning: investigate",
            ),
            (
                "mlx5_core 0000:5c:00.0: Port module event[error]: module 0, Cable error, High Temperature",
                "nic_fault 0000:5c:00.0 error: repair cooling",
            ),
            (
                "mlx5_core 0000:d2:00.0: poll_health:825: device's health compromised - reached miss count.",
                "nic_fault 0000:d2:00.0 critical: drain and reboot node",
            ),
            (
                "nf_conntrack: nf_conntrack: table full, dropping packet",
                "nic_fault node1 error: change setting",
            ),
        ] {
            let mut trial = Trial::new();
            trial.line(text);
            assert_eq!(trial.judged(), [judged]);
        }
    }

    #[test]
    fn a_plugged_module_and_words_of_others_are_no_trouble() {
        let mut trial = Trial::new();
        trial.line("mlx5_core 0000:5c:00.0: Port module event: module 0, Cable plugged");
        trial.line_of("nf_conntrack: nf_conntrack: table full, dropping packet", 1, Trust::File);
        assert_eq!(trial.judged(), [""; 0]);
    }
}
