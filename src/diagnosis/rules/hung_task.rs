//! A task waits in the kernel for minutes.

use super::line::{Heard, Kept, LINES, LineRule, quiet};
use crate::diagnosis::lines::What;
use crate::diagnosis::{Bench, Conclusion, Entry, Page, Reach, Relation};
use crate::schema::{Action, Severity};

/// What the family knows of this rule.
pub(super) static RULE: Entry = Entry {
    name: "hung_task",
    summary: "A task has waited in the kernel for minutes and cannot be ended.",
    page: Page {
        concludes: "The kernel found a task that waited for longer than its limit, 120 s by \
                default, in a state in which nothing can end it.",
        matters: "A thread of an engine that waits so takes its requests with it; it holds \
                its GPU until the node is rebooted.",
        needs: "The kernel's own lines about blocked tasks.",
        silent: "For tasks that wait for less than the kernel's limit, and for nodes \
                where that limit is switched off.",
        remedy: "Look for what it waits for: a drive, a network file system, the driver \
                of an accelerator. Repair that; reboot the node if the task stays.",
    },
    settings: &[quiet(3600.0)],
    wants: LINES,
    consequence_of: &[
        Relation::to("nvme", Reach::Node, 300),
        Relation::to("driver_silent", Reach::Node, 300),
    ],
    follows_driver: false,
    open: || LineRule::open(judge),
};

fn judge(heard: &Heard<'_>, kept: &mut Kept, bench: &mut Bench<'_>) {
    if heard.seen.what != What::HungTask {
        return;
    }
    let name = heard.seen.process_name;
    let process = heard.seen.process.unwrap_or_default();
    let seconds = heard.seen.amount.unwrap_or_default();
    let node = bench.node();
    heard.raise(kept, bench, node, name, || Conclusion {
        severity: Severity::Error,
        text: format!("{name} ({process}) has waited in the kernel for more than {seconds} s."),
        cause: "It waits for a drive, a network file system or a driver that does not answer."
            .into(),
        confidence: 0.9,
        action: Action::Investigate,
        steps: vec![
            format!("Read what it waits for: cat /proc/{process}/stack."),
            "Look for a fault of that drive, mount or device at the same time.".into(),
            "If it stays, drain the node and reboot it.".into(),
        ],
        ..Conclusion::default()
    });
}

#[cfg(test)]
mod tests {
    use crate::diagnosis::rules::trial::Trial;
    use crate::schema::Trust;

    const HUNG: &str = "INFO: task jfsmount:136986 blocked for more than 120 seconds.";

    #[test]
    fn a_task_that_hangs_is_told_once_by_its_name() {
        let mut trial = Trial::new();
        trial.line(HUNG);
        trial.line("INFO: task jfsmount:136987 blocked for more than 241 seconds.");
        assert_eq!(trial.judged(), ["hung_task node1 error: investigate"]);
        assert_eq!(trial.stage.open().next().unwrap().count, 2);
    }

    #[test]
    fn a_program_s_own_word_is_none() {
        let mut trial = Trial::new();
        trial.line_of(HUNG, 1, Trust::Claimed);
        trial.line("INFO: task of the day");
        assert_eq!(trial.judged(), [""; 0]);
    }
}
