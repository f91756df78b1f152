//! The kernel itself is stuck or gave up.

use super::line::{Heard, Kept, LINES, LineRule, quiet, sentences};
use crate::diagnosis::lines::What;
use crate::diagnosis::{Bench, Conclusion, Entry, Page};
use crate::schema::{Action, Severity};

/// What the family knows of this rule.
pub(super) static RULE: Entry = Entry {
    name: "kernel_stall",
    summary: "A processor is stuck in the kernel, or the kernel gave up.",
    page: Page {
        concludes: "A processor did not leave the kernel for long (soft lock-up), did not \
                even take interrupts (hard lock-up), held up the kernel's housekeeping \
                (RCU stall), or the kernel panicked.",
        matters: "Everything on that processor stops, and soon on the others: engines miss \
                their heartbeats all at once.",
        needs: "The kernel's own lines.",
        silent: "For tasks that merely wait; those are told as hung tasks.",
        remedy: "Drain and reboot the node; look for a fault of a driver or of the \
                hardware just before, and at the version of the kernel and the drivers.",
    },
    settings: &[quiet(86_400.0)],
    wants: LINES,
    consequence_of: &[],
    follows_driver: false,
    open: || LineRule::open(judge),
};

fn judge(heard: &Heard<'_>, kept: &mut Kept, bench: &mut Bench<'_>) {
    let seen = &heard.seen;
    let unit = seen.unit.unwrap_or_default();
    let task = match seen.process_name {
        "" => String::new(),
        name => format!(" in {name}"),
    };
    let (key, severity, text) = match seen.what {
        What::SoftLockup => {
            let seconds = seen.amount.unwrap_or_default();
            let text = format!("CPU {unit} has been stuck in the kernel for {seconds} s{task}.");
            ("soft", Severity::Error, text)
        }
        What::HardLockup => {
            ("hard", Severity::Critical, format!("CPU {unit} does not even take interrupts."))
        }
        What::RcuStall => {
            ("rcu", Severity::Error, "A processor holds up the kernel's housekeeping.".to_owned())
        }
        What::Panic => {
            ("panic", Severity::Critical, format!("The kernel gave up: {}.", heard.said()))
        }
        _ => return,
    };
    let node = bench.node();
    heard.raise(kept, bench, node, key, || Conclusion {
        severity,
        text,
        cause: "A driver that loops or waits with interrupts off, hardware that does not answer, \
                or a virtual machine whose host did not let it run."
            .into(),
        confidence: 0.9,
        action: if severity == Severity::Critical {
            Action::RebootNode
        } else {
            Action::Investigate
        },
        steps: sentences(&[
            "Drain the node.",
            "Read the stack that the kernel printed below the line: it names the driver.",
            "Look for a machine check, a PCIe error or an Xid just before.",
            "Reboot the node; update kernel or driver if it comes back.",
        ]),
        by_product_of: match key {
            "panic" => [("machine_check", ""), ("kernel_stall", "hard"), ("kernel_stall", "soft")]
                .map(|(rule, key)| (rule, key.to_owned()))
                .into(),
            "rcu" => vec![("kernel_stall", "soft".to_owned()), ("kernel_stall", "hard".to_owned())],
            _ => Vec::new(),
        },
        ..Conclusion::default()
    });
}

#[cfg(test)]
mod tests {
    use crate::diagnosis::rules::trial::Trial;
    use crate::schema::Trust;

    #[test]
    fn each_kind_of_being_stuck_is_told() {
        for (text, judged) in [
            (
                "watchdog: BUG: soft lockup - CPU#0 stuck for 27s! [cuda-EvtHandlr:2255424]",
                "kernel_stall node1 error: investigate",
            ),
            (
                "NMI watchdog: Watchdog detected hard LOCKUP on cpu 34",
                "kernel_stall node1 critical: drain and reboot node",
            ),
            (
                "rcu: INFO: rcu_sched self-detected stall on CPU",
                "kernel_stall node1 error: investigate",
            ),
            (
                "Kernel panic - not syncing: Fatal machine check",
                "kernel_stall node1 critical: drain and reboot node",
            ),
        ] {
            let mut trial = Trial::new();
            trial.line(text);
            assert_eq!(trial.judged(), [judged]);
        }
    }

    #[test]
    fn a_program_s_own_word_is_none() {
        let mut trial = Trial::new();
        trial.line_of("Kernel panic - not syncing: joke", 1, Trust::File);
        trial.line("rcu: Hierarchical RCU implementation.");
        assert_eq!(trial.judged(), [""; 0]);
    }
}
