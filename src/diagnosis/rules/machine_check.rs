//! Main memory and processors: corrected and uncorrected errors, machine
//! checks, reports of the firmware.

use super::line::{HOUR_NS, Heard, Kept, LINES, LineRule, TIMES_MAX, quiet, sentences};
use crate::diagnosis::lines::What;
use crate::diagnosis::{Bench, Conclusion, Entry, LimitSource, Page, Reach, Relation, Setting};
use crate::schema::{Action, Health, Severity};

/// What the family knows of this rule.
pub(super) static RULE: Entry = Entry {
    name: "machine_check",
    summary: "Main memory or a processor of the node reports errors.",
    page: Page {
        concludes: "Memory or a processor lost data, or corrects so many errors that it will. \
                    The module is named where the line names it (EDAC); machine checks are read \
                    by their status register; reports of the firmware (CPER) by their severity.",
        matters: "Weights and KV caches that are staged in main memory, and every engine's host \
                  part, depend on it. Lost data ends processes or the node without warning; many \
                  corrected errors slow it down before that.",
        needs: "The kernel's own lines of EDAC, mce, hardware errors of the firmware, and of \
                pages that were taken out of use.",
        silent: "While corrected errors stay below their limit, and so does the line that only says \
                 that events were logged elsewhere.",
        remedy: "Drain the node. Replace the memory module that is named; run the vendor's \
                 memory test where none is. A processor that reports uncorrected errors again \
                 after a reboot is to be replaced.",
    },
    settings: &[
        Setting {
            key: "corrected_per_hour",
            default: 10.0,
            range: (1.0, TIMES_MAX as f64),
            help: "So many corrected errors of one part within an hour are told.",
        },
        quiet(86_400.0),
    ],
    wants: LINES,
    consequence_of: &[
        Relation::to("host_memory_uncorrected", Reach::Node, 60),
        Relation::to("host_memory_corrected", Reach::Node, 3600),
    ],
    follows_driver: false,
    open: || LineRule::open(judge),
};

fn judge(heard: &Heard<'_>, kept: &mut Kept, bench: &mut Bench<'_>) {
    let seen = &heard.seen;
    // Bit 61 of a status says that the error was not corrected.
    let uncorrected = seen.what == What::MachineCheck && seen.code >> 61 & 1 == 1;
    match seen.what {
        What::MemoryCorrected | What::FirmwareCorrected => corrected(heard, kept, bench),
        What::MachineCheck if !uncorrected => corrected(heard, kept, bench),
        What::MachineCheckLogged => logged(heard, kept, bench),
        What::MachineCheck
        | What::MemoryUncorrected
        | What::MachineCheckFatal
        | What::FirmwareFatal
        | What::FirmwareRecoverable
        | What::PagePoisoned => lost(heard, kept, bench),
        _ => {}
    }
}

/// The part that a line names.
fn part(heard: &Heard<'_>) -> String {
    let seen = &heard.seen;
    let unit = seen.unit.unwrap_or_default();
    match seen.what {
        What::MachineCheck => format!("CPU {unit}, bank {}", seen.amount.unwrap_or_default()),
        What::MemoryCorrected | What::MemoryUncorrected if !seen.name.is_empty() => {
            format!("memory module {}", seen.name)
        }
        What::MemoryCorrected | What::MemoryUncorrected => format!("memory controller {unit}"),
        What::PagePoisoned => "main memory".to_owned(),
        _ => "the node's hardware".to_owned(),
    }
}

fn corrected(heard: &Heard<'_>, kept: &mut Kept, bench: &mut Bench<'_>) {
    let part = part(heard);
    let limit = bench.setting("corrected_per_hour");
    // A line may stand for many errors; bit 62 of a status says that at least
    // one more came before it could be read.
    let errors = match heard.seen.what {
        What::MemoryCorrected => heard.seen.amount.unwrap_or(1).clamp(1, TIMES_MAX as u64),
        What::MachineCheck => 1 + (heard.seen.code >> 62 & 1),
        _ => 1,
    };
    let mut times = 0;
    for _ in 0..errors {
        times = kept.recent.add(part.clone(), heard.logged_ns(bench), HOUR_NS);
    }
    if (times as f64) < limit {
        return;
    }
    let limit_source = bench.setting_source("corrected_per_hour");
    let node = bench.node();
    heard.raise(kept, bench, node, &format!("corrected {part}"), || Conclusion {
        severity: Severity::Warning,
        text: format!("Of {part}, at least {limit} errors were corrected within an hour."),
        cause: "Memory that needs so many corrections is wearing out, badly seated or too hot; \
                uncorrected errors often follow."
            .into(),
        confidence: 0.85,
        action: Action::ReplacePart,
        steps: sentences(&[
            "Plan to drain the node within days.",
            "Seat the module again; replace it if errors go on.",
        ]),
        health: Health::Degraded,
        limit_source,
        ..Conclusion::default()
    });
}

/// Somebody else has the details; that it goes on and on is worth a look.
fn logged(heard: &Heard<'_>, kept: &mut Kept, bench: &mut Bench<'_>) {
    let limit = bench.setting("corrected_per_hour");
    let times = kept.recent.add("logged".to_owned(), heard.logged_ns(bench), HOUR_NS);
    if (times as f64) < limit {
        return;
    }
    let limit_source = bench.setting_source("corrected_per_hour");
    let node = bench.node();
    heard.raise(kept, bench, node, "logged", || Conclusion {
        severity: Severity::Info,
        text: format!("Machine checks were logged at least {limit} times within an hour."),
        cause: "Memory or a processor reports errors, and the kernel's log does not say which."
            .into(),
        confidence: 0.6,
        action: Action::Investigate,
        steps: sentences(&[
            "Run rasdaemon or mcelog, which read what was logged.",
            "Load the EDAC driver of the platform, so that the module is named.",
        ]),
        limit_source,
        by_product_of: vec![("machine_check", String::new())],
        by_product_ns: HOUR_NS,
        ..Conclusion::default()
    });
}

fn lost(heard: &Heard<'_>, kept: &mut Kept, bench: &mut Bench<'_>) {
    let part = part(heard);
    let survived = match heard.seen.what {
        What::FirmwareRecoverable => true,
        What::PagePoisoned => heard.said().ends_with("Recovered"),
        _ => false,
    };
    let (severity, health) = match survived {
        true => (Severity::Error, Health::Suspect),
        false => (Severity::Critical, Health::Failed),
    };
    let module = matches!(heard.seen.what, What::MemoryUncorrected | What::PagePoisoned);
    let action = if module { Action::ReplacePart } else { Action::RebootNode };
    let node = bench.node();
    heard.raise(kept, bench, node, &format!("uncorrected {part}"), || Conclusion {
        severity,
        text: format!("An error of {part} could not be corrected."),
        cause: "Data was lost: the memory or the processor failed, and what used the data was \
                ended or may be wrong."
            .into(),
        confidence: 0.95,
        action,
        steps: sentences(&[
            "Drain the node.",
            "Reboot it, and read the log of its management controller (BMC) for the part.",
            "Replace the part if it is named there, or if it happens again.",
        ]),
        health,
        limit_source: LimitSource::None,
        ..Conclusion::default()
    });
}

#[cfg(test)]
mod tests {
    use crate::diagnosis::rules::trial::Trial;
    use crate::schema::Trust;

    const CORRECTED: &str =
        "EDAC MC0: 1 CE memory read error on DIMM_A1 (channel:1 slot:0 page:0x1f3b9a)";

    #[test]
    fn lost_data_is_told_at_once_and_names_its_module() {
        let mut trial = Trial::new();
        trial.line("EDAC MC1: 1 UE memory scrubbing error on DIMM_B2 (channel:0 slot:0)");
        assert_eq!(trial.judged(), ["machine_check node1 critical: replace part"]);
        assert!(trial.stage.open().next().unwrap().text.contains("DIMM_B2"));
        for text in [
            "{1}[Hardware Error]: event severity: fatal",
            "mce: [Hardware Error]: CPU 12: Machine Check: 0 Bank 8: bc00004000010090",
            "mce: [Hardware Error]: Machine check: Processor context corrupt",
        ] {
            let mut trial = Trial::new();
            trial.line(text);
            assert_eq!(trial.judged(), ["machine_check node1 critical: drain and reboot node"]);
        }
    }

    #[test]
    fn corrected_errors_are_told_from_their_limit_on() {
        let mut trial = Trial::new();
        for told in 0..10 {
            assert_eq!(trial.judged().len(), 0, "{told}");
            trial.line(CORRECTED);
        }
        assert_eq!(trial.judged(), ["machine_check node1 warning: replace part"]);
    }

    #[test]
    fn a_line_may_stand_for_many_and_what_is_only_logged_is_worth_a_look() {
        let burst = |amount: u32| {
            format!("EDAC MC0: {amount} CE error on CPU#0Channel#2_DIMM#0 (channel:2 slot:0)")
        };
        let mut trial = Trial::new();
        trial.line(&burst(4));
        trial.line(&burst(5));
        assert_eq!(trial.judged(), [""; 0]);
        trial.line(&burst(1));
        assert_eq!(trial.judged(), ["machine_check node1 warning: replace part"]);
        let mut trial = Trial::new();
        for _ in 0..10 {
            assert_eq!(trial.judged(), [""; 0]);
            trial.line("mce: [Hardware Error]: Machine check events logged");
            trial.seconds(311);
        }
        assert_eq!(trial.judged(), ["machine_check node1 info: investigate"]);
        let status = |code: &str| {
            format!(
                "[Hardware Error]: CPU:18 (10:9:1) MC4_STATUS[Over|CE|MiscV|-|AddrV|CECC]: {code}"
            )
        };
        let mut trial = Trial::new();
        (0..4).for_each(|_| trial.line(&status("0xdc5c410004080a13")));
        assert_eq!(trial.judged(), [""; 0]);
        trial.line(&status("0xdc5c410004080a13"));
        assert_eq!(trial.judged(), ["machine_check node1 warning: replace part"]);
    }

    #[test]
    fn few_or_rare_corrections_and_mere_notes_are_no_trouble() {
        let mut trial = Trial::new();
        for _ in 0..30 {
            trial.line(CORRECTED);
            trial.line("mce: [Hardware Error]: Machine check events logged");
            trial.seconds(600);
        }
        trial.line_of("EDAC MC1: 1 UE memory scrubbing error on A (x)", 1, Trust::Claimed);
        assert_eq!(trial.judged(), [""; 0]);
    }
}
