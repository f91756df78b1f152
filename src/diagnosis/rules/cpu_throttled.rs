//! Processors get too hot.

use super::line::{Heard, Kept, LINES, LineRule, quiet, sentences};
use crate::diagnosis::lines::What;
use crate::diagnosis::{Bench, Conclusion, Entry, Page, Reach, Relation};
use crate::schema::{Action, Severity};

/// What the family knows of this rule.
pub(super) static RULE: Entry = Entry {
    name: "cpu_throttled",
    summary: "A processor of the node got too hot and runs slower.",
    page: Page {
        concludes: "The kernel says that a core or a package is above its temperature limit \
                and runs slower.",
        matters: "Schedulers, tokenisers and the launch of kernels run on these \
                processors: engines lose throughput while their GPUs look idle.",
        needs: "The kernel's own lines; each line that says that it is over ends it.",
        silent: "For processors that run slower by policy or by power, which no such line \
                tells.",
        remedy: "Check fans, air flow, inlet temperature and heat sinks of the node.",
    },
    settings: &[quiet(900.0)],
    wants: LINES,
    consequence_of: &[Relation::to("host_thermal", Reach::Node, 600)],
    follows_driver: false,
    open: || LineRule::open(judge),
};

fn judge(heard: &Heard<'_>, kept: &mut Kept, bench: &mut Bench<'_>) {
    let unit = heard.seen.unit.unwrap_or_default();
    let part = heard.seen.name.to_ascii_lowercase();
    let node = bench.node();
    match heard.seen.what {
        What::Throttled => heard.raise(kept, bench, node, &part, || Conclusion {
            severity: Severity::Warning,
            text: format!("CPU {unit} is too hot ({part}) and runs slower."),
            cause: "Too little air, warm air, or a heat sink that does not fit well.".into(),
            confidence: 0.95,
            action: Action::RepairCooling,
            steps: sentences(&[
                "Check fans, air flow and inlet temperature of the node.",
                "Compare with its neighbours; clean filters and heat sinks.",
            ]),
            ..Conclusion::default()
        }),
        What::ThrottledNoMore => bench.clear(node, &part),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use crate::diagnosis::rules::trial::Trial;
    use crate::schema::Trust;

    #[test]
    fn heat_is_told_until_the_kernel_says_that_it_is_over() {
        let mut trial = Trial::new();
        trial.line(
            "CPU2: Package temperature above threshold, cpu clock throttled (total events = 14)",
        );
        assert_eq!(trial.judged(), ["cpu_throttled node1 warning: repair cooling"]);
        trial.line("CPU2: Package temperature/speed normal");
        assert_eq!(trial.judged(), [""; 0]);
    }

    #[test]
    fn a_program_s_own_word_is_none() {
        let mut trial = Trial::new();
        trial.line_of("CPU0: Core temperature above threshold, x", 1, Trust::Claimed);
        trial.line("CPU0: Intel(R) Xeon(R) Platinum");
        assert_eq!(trial.judged(), [""; 0]);
    }
}
