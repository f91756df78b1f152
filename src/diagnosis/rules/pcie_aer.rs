//! PCIe: errors that were corrected too often, that were not, ports that were
//! shut, links that went down.

use super::line::{HOUR_NS, Heard, Kept, LINES, LineRule, TIMES_MAX, quiet, sentences};
use crate::diagnosis::lines::{Detail, What};
use crate::diagnosis::{Bench, Conclusion, Entry, Page, Reach, Relation, Setting, Subject};
use crate::schema::{Action, Health, Severity};

/// What the family knows of this rule.
pub(super) static RULE: Entry = Entry {
    name: "pcie_aer",
    summary: "A PCIe device or the link to it reports errors.",
    page: Page {
        concludes: "A link of PCIe corrects too many errors, had one that it could not correct, \
                    was shut to contain one, or went down. The subject is the device that erred \
                    where the line names it, by its name where it is known.",
        matters: "Weights, KV caches and every kernel launch pass over PCIe. Corrected errors \
                  cost time by repetition; one that is not corrected takes the GPU, the network \
                  adapter or the drive away.",
        needs: "The kernel's own lines of advanced error reporting (AER), downstream port \
                containment (DPC) and hot plug.",
        silent: "While corrected errors stay below their limit, and for the lines that only give \
                 details of one that was told.",
        remedy: "Seat the card and its riser again, clean its contacts, look at power and \
                 temperature; replace riser or card if it goes on. After an error that was not \
                 corrected, drain and reboot the node.",
    },
    settings: &[
        Setting {
            key: "corrected_per_hour",
            default: 20.0,
            range: (1.0, TIMES_MAX as f64),
            help: "So many corrected errors of one device within an hour are told.",
        },
        quiet(86_400.0),
    ],
    wants: LINES,
    consequence_of: &[
        Relation::to("pcie_uncorrected", Reach::Same, 60),
        Relation::to("pcie_corrected", Reach::Same, 3600),
    ],
    follows_driver: false,
    open: || LineRule::open(judge),
};

fn judge(heard: &Heard<'_>, kept: &mut Kept, bench: &mut Bench<'_>) {
    let Some(pci) = heard.seen.pci else { return };
    let (key, severity, action, text, cause) = match (heard.seen.what, heard.seen.detail) {
        (What::PcieError, Detail::Pcie { corrected: true, .. }) => {
            let times = kept.recent.add(pci.to_string(), heard.logged_ns(bench), HOUR_NS);
            if (times as f64) < bench.setting("corrected_per_hour") {
                return;
            }
            let text = "corrects PCIe errors all the time";
            ("corrected", Severity::Warning, Action::RepairLink, text, POOR_SIGNAL)
        }
        (What::PcieError, Detail::Pcie { fatal: true, .. }) => {
            let text = "had a fatal PCIe error";
            ("fatal", Severity::Critical, Action::RebootNode, text, POOR_SIGNAL)
        }
        (What::PcieError, _) => {
            let text = "had a PCIe error that was not corrected";
            ("uncorrected", Severity::Error, Action::RepairLink, text, POOR_SIGNAL)
        }
        (What::PcieNotRecovered, _) => {
            let text = "cannot be recovered by its driver after a PCIe error";
            ("fatal", Severity::Critical, Action::RebootNode, text, NO_RECOVERY)
        }
        (What::PcieContained, _) => {
            let text = "was shut to contain a PCIe error below it";
            ("contained", Severity::Critical, Action::RepairLink, text, POOR_SIGNAL)
        }
        (What::PcieLinkDown, _) => {
            let text = "lost the link of its slot";
            ("link_down", Severity::Error, Action::RepairLink, text, LINK_LOST)
        }
        _ => return,
    };
    let name = kept.names.of(pci, bench).to_owned();
    let limit_source = match key {
        "corrected" => bench.setting_source("corrected_per_hour"),
        _ => crate::diagnosis::LimitSource::None,
    };
    heard.raise(kept, bench, Subject::device(&name), key, || Conclusion {
        severity,
        text: format!("{name} {text}."),
        cause: cause.into(),
        confidence: 0.9,
        action,
        steps: sentences(match action {
            Action::RebootNode => &[
                "Drain the node and reboot it; power it off and on if the device stays away.",
                "Seat the card and its riser again, and clean the contacts.",
                "Replace riser or card if it comes back.",
            ],
            _ => &[
                "Read width and speed of the link (lspci -vv, LnkSta) and compare with LnkCap.",
                "Seat the card and its riser again, and clean the contacts.",
                "Replace riser or card if it goes on.",
            ],
        }),
        health: match severity {
            Severity::Critical => Health::Failed,
            Severity::Error => Health::Suspect,
            _ => Health::Degraded,
        },
        limit_source,
        ..Conclusion::default()
    });
}

const POOR_SIGNAL: &str = "A poor contact or signal between slot, riser and card, power or heat, \
                           or a failing card.";
const NO_RECOVERY: &str = "The driver of the device has no way back from an error that PCIe could \
                           not correct: the device stays away until the node is reset.";
const LINK_LOST: &str = "The card was pulled, lost its power, or does not answer any more.";

#[cfg(test)]
mod tests {
    use crate::diagnosis::rules::trial::{Trial, gpu};
    use crate::schema::Trust;

    const CORRECTED: &str = "pcieport 0000:00:03.1: AER: Corrected error received: 0000:10:00.0";
    const FATAL: &str =
        "pcieport 0000:00:01.0: AER: Multiple Uncorrected (Fatal) error received: 0000:10:00.0";

    #[test]
    fn a_fatal_error_is_told_of_the_device_that_erred() {
        let mut trial = Trial::new();
        trial.device(&gpu(0));
        trial.line(FATAL);
        trial.line("nvidia 0000:10:00.0: AER: can't recover (no error_detected callback)");
        assert_eq!(trial.judged(), ["pcie_aer gpu0 critical: drain and reboot node"]);
    }

    #[test]
    fn corrected_errors_are_told_from_their_limit_on() {
        let mut trial = Trial::new();
        (0..19).for_each(|_| trial.line(CORRECTED));
        assert_eq!(trial.judged(), [""; 0]);
        trial.line(CORRECTED);
        assert_eq!(trial.judged(), ["pcie_aer 0000:10:00.0 warning: repair link"]);
    }

    #[test]
    fn details_and_words_of_others_are_no_trouble() {
        let mut trial = Trial::new();
        for _ in 0..50 {
            trial.line(
                "nvidia 0000:0a:00.0:   device [10de:2184] error status/mask=00001000/0000a000",
            );
            trial.line("nvidia 0000:0a:00.0:    [12] Timeout");
        }
        trial.line_of(FATAL, 1, Trust::Claimed);
        assert_eq!(trial.judged(), [""; 0]);
    }

    #[test]
    fn a_gpu_that_is_lost_after_a_fatal_error_follows_from_it() {
        let mut trial = Trial::new();
        trial.device(&gpu(0));
        trial.line(FATAL);
        trial.line("NVRM: Xid (PCI:0000:10:00): 79, GPU has fallen off the bus.");
        let open: Vec<_> = trial.stage.open().cloned().collect();
        let of = |rule: &str| open.iter().find(|of| of.rule == rule).unwrap();
        assert_eq!(of("xid").caused_by, of("pcie_aer").id);
    }
}
