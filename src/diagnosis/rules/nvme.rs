//! An NVMe drive does not answer, or is gone.

use super::line::{HOUR_NS, Heard, Kept, LINES, LineRule, TIMES_MAX, quiet, sentences};
use crate::diagnosis::lines::What;
use crate::diagnosis::{Bench, Conclusion, Entry, Page, Setting, Subject};
use crate::schema::{Action, Health, Severity};

/// What the family knows of this rule.
pub(super) static RULE: Entry = Entry {
    name: "nvme",
    summary: "An NVMe drive times out, loses its paths or is not used any more.",
    page: Page {
        concludes: "The kernel had to reset a drive because it did not answer, or gave it \
                up.",
        matters: "Models load from local drives, and KV caches that spill live there: a \
                drive that hangs stops engines that start, and holds up those that \
                offload.",
        needs: "The kernel's own lines of the NVMe driver.",
        silent: "For a single time-out after which the drive went on, it only warns; for \
                the driver's lines at start it says nothing.",
        remedy: "Save what is on the drive. Read its health (nvme smart-log), look at \
                PCIe errors of its slot and at its firmware's release notes, and replace \
                it if it comes back.",
    },
    settings: &[
        Setting {
            key: "timeouts_per_hour",
            default: 3.0,
            range: (1.0, TIMES_MAX as f64),
            help: "From so many time-outs within an hour on the drive counts as failing.",
        },
        quiet(86_400.0),
    ],
    wants: LINES,
    consequence_of: &[],
    follows_driver: false,
    open: || LineRule::open(judge),
};

fn judge(heard: &Heard<'_>, kept: &mut Kept, bench: &mut Bench<'_>) {
    let name = heard.seen.name;
    let subject = Subject::disk(name);
    match heard.seen.what {
        What::NvmeTimeout => {
            let times = kept.recent.add(name.to_owned(), heard.logged_ns(bench), HOUR_NS);
            let failing = times as f64 >= bench.setting("timeouts_per_hour");
            let limit_source = bench.setting_source("timeouts_per_hour");
            let severity = if failing { Severity::Error } else { Severity::Warning };
            heard.raise(kept, bench, subject, "", || Conclusion {
                severity,
                text: format!("{name} does not answer in time and is reset."),
                limit_source,
                ..conclusion(Action::Investigate)
            });
        }
        What::NvmeLost => heard.raise(kept, bench, subject, "", || Conclusion {
            severity: Severity::Critical,
            text: format!("{name} is not used any more: it did not come back from its reset."),
            health: Health::Failed,
            ..conclusion(Action::ReplacePart)
        }),
        _ => {}
    }
}

fn conclusion(action: Action) -> Conclusion {
    Conclusion {
        cause: "The drive's firmware hangs or the drive fails; a poor PCIe link and power-saving \
                states of the drive look the same."
            .into(),
        confidence: 0.85,
        action,
        steps: sentences(&[
            "Save what is on the drive, and start nothing new from it.",
            "Read its health: nvme smart-log and nvme error-log.",
            "Look for PCIe errors of its slot, and update its firmware.",
            "Replace it if it comes back.",
        ]),
        ..Conclusion::default()
    }
}

#[cfg(test)]
mod tests {
    use crate::diagnosis::rules::trial::Trial;
    use crate::schema::Trust;

    const TIMEOUT: &str =
        "nvme nvme4: I/O tag 22 (2016) opcode 0x2 (Admin Cmd) QID 0 timeout, reset controller";

    #[test]
    fn one_time_out_warns_and_several_are_an_error() {
        let mut trial = Trial::new();
        trial.line(TIMEOUT);
        assert_eq!(trial.judged(), ["nvme nvme4 warning: investigate"]);
        (0..2).for_each(|_| trial.line(TIMEOUT));
        assert_eq!(trial.judged(), ["nvme nvme4 error: investigate"]);
    }

    #[test]
    fn a_drive_that_was_given_up_is_to_be_replaced() {
        let mut trial = Trial::new();
        trial.line(TIMEOUT);
        trial.seconds(20);
        trial.line("nvme nvme4: Disabling device after reset failure: -19");
        assert_eq!(trial.judged(), ["nvme nvme4 critical: replace part"]);
        trial.seconds(300);
        trial.line("Buffer I/O error on dev nvme4n1p1, logical block 789012, lost sync page read");
        trial.line("EXT4-fs error (device nvme5n1p1): ext4_find_entry:1455: inode #2");
        let drive = trial.stage.open().find(|of| of.rule == "nvme").unwrap().id;
        let causes = |subject: &str| {
            let of = trial.stage.open().find(|of| of.subject == subject).unwrap();
            of.caused_by
        };
        assert_eq!((causes("nvme4n1p1"), causes("nvme5n1p1")), (drive, 0));
    }

    #[test]
    fn lines_at_start_and_words_of_others_are_no_trouble() {
        let mut trial = Trial::new();
        trial.line("nvme nvme0: 16/0/0 default/read/poll queues");
        trial.line_of(TIMEOUT, 3, Trust::Claimed);
        assert_eq!(trial.judged(), [""; 0]);
    }
}
