//! Blocks that cannot be read or written, file systems that stop, RAIDs that lose a disk.

use super::line::{Heard, Kept, LINES, LineRule, quiet, sentences};
use crate::diagnosis::lines::What;
use crate::diagnosis::{Bench, Conclusion, Entry, Page, Reach, Relation, Subject};
use crate::schema::{Action, Severity};

/// What the family knows of this rule.
pub(super) static RULE: Entry = Entry {
    name: "filesystem",
    summary: "A disk or a file system cannot be read or written.",
    page: Page {
        concludes: "The kernel could not read or write blocks, a file system found itself \
                damaged, became read-only or stopped, or a disk left its RAID.",
        matters: "An engine that cannot read its model does not start; one that cannot \
                write its logs, its compile cache or its offloaded KV cache stops.",
        needs: "The kernel's own lines of block devices, EXT4, XFS and MD.",
        silent: "For mounts, for recoveries after a crash that went well, and for lines \
                that a program wrote.",
        remedy: "Save the data, look at the drive below (SMART, NVMe log), check the file \
                system while it is not mounted, and replace the drive if blocks stay \
                unreadable.",
    },
    settings: &[quiet(86_400.0)],
    wants: LINES,
    consequence_of: &[Relation::to("nvme", Reach::Linked, 3600)],
    follows_driver: false,
    open: || LineRule::open(judge),
};

fn judge(heard: &Heard<'_>, kept: &mut Kept, bench: &mut Bench<'_>) {
    let name = heard.seen.name;
    let (key, severity, text) = match heard.seen.what {
        What::IoError => {
            ("io", Severity::Error, format!("Blocks of {name} cannot be read or written."))
        }
        What::FilesystemError => {
            ("damaged", Severity::Error, format!("The file system on {name} is damaged."))
        }
        What::FilesystemReadOnly => {
            let text = format!("The file system on {name} can only be read from here on.");
            ("read_only", Severity::Critical, text)
        }
        What::FilesystemDown => {
            ("stopped", Severity::Critical, format!("The file system on {name} has stopped."))
        }
        What::RaidDegraded => {
            let disk = heard.said();
            ("raid", Severity::Error, format!("{disk} failed and left the RAID {name}."))
        }
        _ => return,
    };
    let action = match heard.seen.what {
        What::RaidDegraded => Action::ReplacePart,
        _ => Action::Investigate,
    };
    heard.raise(kept, bench, Subject::disk(name), key, || Conclusion {
        severity,
        text,
        cause: "The drive below fails or lost its connection, or the file system was damaged by \
                an earlier crash."
            .into(),
        confidence: 0.9,
        action,
        steps: sentences(&[
            "Drain the node if engines read models or write caches there.",
            "Read the health of the drive below: smartctl -a or nvme smart-log.",
            "Check the file system while it is not mounted.",
            "Replace the drive if blocks stay unreadable, and rebuild the RAID.",
        ]),
        by_product_of: consequences(key),
        ..Conclusion::default()
    });
}

/// What one trouble of a disk brings with it.
fn consequences(key: &str) -> Vec<(&'static str, String)> {
    let of = |keys: &[&str]| keys.iter().map(|key| ("filesystem", (*key).to_owned())).collect();
    match key {
        "damaged" => of(&["io"]),
        "read_only" | "stopped" => of(&["io", "damaged"]),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use crate::diagnosis::rules::trial::Trial;
    use crate::schema::Trust;

    #[test]
    fn each_trouble_of_a_disk_is_told_and_the_later_follow_from_the_first() {
        let mut trial = Trial::new();
        trial.line("EXT4-fs error (device sda1): ext4_find_entry:1455: inode #2: comm kubelet: reading directory lblock 0");
        trial.line("EXT4-fs (sda1): Remounting filesystem read-only");
        trial.line("md/raid1:md0: Disk failure on sdb1, disabling device.");
        trial.line("block nvme0n1: no available path - failing I/O");
        assert_eq!(
            trial.judged(),
            [
                "filesystem md0 error: replace part",
                "filesystem nvme0n1 error: investigate",
                "filesystem sda1 critical: investigate",
                "filesystem sda1 error: investigate",
            ]
        );
        let caused = trial.stage.open().filter(|of| of.caused_by != 0).count();
        assert_eq!(caused, 1);
    }

    #[test]
    fn mounts_and_words_of_others_are_no_trouble() {
        let mut trial = Trial::new();
        trial.line("EXT4-fs (sda1): mounted filesystem with ordered data mode");
        trial.line("XFS (sda1): Ending clean mount");
        trial.line_of("EXT4-fs (sda1): Remounting filesystem read-only", 1, Trust::File);
        assert_eq!(trial.judged(), [""; 0]);
    }
}
