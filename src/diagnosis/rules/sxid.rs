//! An NVSwitch reports an SXid.

use super::line::{Heard, Kept, LINES, Names, of_meaning, quiet};
use crate::diagnosis::lines::{Detail, Pci, Sighting, What};
use crate::diagnosis::tables::sxid;
use crate::diagnosis::{
    Bench, Conclusion, Entry, Fact, Page, Rule, Subject, Wants, event_evidence,
};
use crate::schema::{Action, Event, EventKind, Health, Severity};

/// What the family knows of this rule.
pub(super) static RULE: Entry = Entry {
    name: "sxid",
    summary: "An NVSwitch reports an error by number (SXid).",
    page: Page {
        concludes: "What the number means: a link of the switch, its memory, its routing or its \
                    firmware failed, and whether the driver calls it fatal. Lines with further \
                    data about it are part of it.",
        matters: "Every GPU of the NVLink domain talks through the switches: engines that span \
                  GPUs hang or end when one fails, and the GPUs report Xids that only follow.",
        needs: "A line of the kernel's own log, or a trace event.",
        silent: "For lines that repeat the data of one that was told, for errors that were \
                 corrected within their limit, and for lines that a program wrote.",
        remedy: "Reset the fabric for what is fatal, after the jobs on it ended. Look at the \
                 other end of a link, cable and module where the link is named.",
    },
    settings: &[quiet(3600.0)],
    wants: Wants { events: &[EventKind::KernelLine, EventKind::Sxid], ..LINES },
    consequence_of: &[],
    follows_driver: false,
    open: || Box::<SxidRule>::default(),
};

#[derive(Debug, Default)]
struct SxidRule {
    kept: Kept,
    names: Names,
}

impl Rule for SxidRule {
    fn fact(&mut self, fact: &Fact<'_>, bench: &mut Bench<'_>) {
        if let Fact::Event(event) = fact
            && event.kind == EventKind::Sxid
        {
            return self.traced(event, bench);
        }
        let Some(heard) = super::line::heard(fact, bench) else { return };
        if heard.seen.what == What::Sxid {
            self.told(&heard, bench);
        }
    }
}

impl SxidRule {
    fn traced(&mut self, event: &Event, bench: &mut Bench<'_>) {
        let Some((pci, _)) = Pci::leading(&event.subject) else { return };
        let link = event
            .text
            .split("Link ")
            .nth(1)
            .and_then(|rest| rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok());
        let detail = Detail::Sxid { fatal: None, link, said: &event.text };
        let seen =
            Sighting { code: event.code, pci: Some(pci), detail, ..Sighting::of(What::Sxid) };
        self.told(&Heard { seen, event, sure: 1.0 }, bench);
    }

    fn told(&mut self, heard: &Heard<'_>, bench: &mut Bench<'_>) {
        let Detail::Sxid { fatal, link, .. } = heard.seen.detail else { return };
        let Some(pci) = heard.seen.pci else { return };
        let code = heard.seen.code;
        let name = match heard.seen.unit {
            Some(unit) => format!("nvswitch{unit}"),
            None => self.names.of(pci, bench).to_owned(),
        };
        let quiet_ns = bench.setting_ns("quiet_s");
        let subject = Subject::device(&name);
        let from_trace = heard.event.kind == EventKind::Sxid;
        let now_ns = bench.now_ns();
        let fault = format!("{pci} {code}");
        let other = format!("{fault} {}", if from_trace { "line" } else { "trace" });
        let mine = format!("{fault} {}", if from_trace { "trace" } else { "line" });
        let told_already = self.kept.recent.has(&other, now_ns, SAME_FAULT_NS);
        self.kept.recent.add(mine, now_ns, SAME_FAULT_NS);
        if told_already {
            return;
        }
        self.kept.pace.raise(bench, subject, &code.to_string(), || {
            let meaning = sxid::meaning(code, fatal);
            let link = link.map_or_else(String::new, |link| format!(" on link {link}"));
            let text = format!("{name} ({pci}) reports SXid {code}{link}: {}.", meaning.meaning);
            let conclusion = of_meaning(&meaning, text);
            let health = match (conclusion.severity, conclusion.action) {
                (Severity::Critical, _) => Health::Failed,
                (_, Action::None) => Health::Healthy,
                (Severity::Error, _) => Health::Suspect,
                _ => Health::Degraded,
            };
            Conclusion {
                health,
                quiet_ns,
                confidence: conclusion.confidence * heard.sure,
                evidence: vec![event_evidence(heard.event)],
                ..conclusion
            }
        });
    }
}

/// A line and a trace event within this time are of one fault.
const SAME_FAULT_NS: u64 = 10 * super::line::SECOND_NS;

#[cfg(test)]
mod tests {
    use crate::diagnosis::rules::trial::Trial;
    use crate::schema::Trust;

    const FATAL: &str = "nvidia-nvswitch0: SXid (PCI:0000:c3:00.0): 24007, Fatal, Link 28 sourcetrack timeout error (First)";

    #[test]
    fn a_fatal_sxid_is_told_and_its_data_is_no_fault_of_its_own() {
        let mut trial = Trial::new();
        trial.line(FATAL);
        trial.line("nvidia-nvswitch0: SXid (PCI:0000:c3:00.0): 24007, Severity 1 Engine instance 28 Sub-engine instance 00");
        trial.line(
            "nvidia-nvswitch0: SXid (PCI:0000:c3:00.0): 24007, Data {0x50610002, 0x10100030}",
        );
        assert_eq!(trial.judged(), ["sxid nvswitch0 critical: reset device"]);
        assert_eq!(trial.stage.open().next().unwrap().count, 1);
    }

    #[test]
    fn one_without_a_link_and_an_unknown_one_are_kept() {
        let mut trial = Trial::new();
        trial.line("nvidia-nvswitch0: SXid (PCI:0004:00:00.0): 26006, SOE HALTED");
        trial.line("nvidia-nvswitch1: SXid (PCI:0005:00:00.0): 99999, Non-fatal, Link 01 new");
        assert_eq!(
            trial.judged(),
            ["sxid nvswitch0 warning: investigate", "sxid nvswitch1 warning: investigate"]
        );
    }

    #[test]
    fn a_word_that_is_not_the_kernel_s_is_none() {
        let mut trial = Trial::new();
        trial.line_of(FATAL, 1, Trust::Claimed);
        trial.line("nvidia-nvswitch2: open (major=510)");
        assert_eq!(trial.judged(), [""; 0]);
    }
}
