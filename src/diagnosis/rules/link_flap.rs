//! A network link goes down again and again.

use super::line::{Heard, Kept, LINES, LineRule, SECOND_NS, TIMES_MAX, quiet, sentences};
use crate::diagnosis::lines::What;
use crate::diagnosis::{Bench, Conclusion, Entry, Page, Reach, Relation, Setting, Subject};
use crate::schema::{Action, Severity};

/// What the family knows of this rule.
pub(super) static RULE: Entry = Entry {
    name: "link_flap",
    summary: "A network interface lost its link several times within a short time.",
    page: Page {
        concludes: "An interface lost its link at least so many times within the window; a \
                single loss is somebody at the cable or at the switch.",
        matters: "Requests, KV transfers between prefill and decode, and collective \
                operations over that interface stall with every loss, and time out with \
                some.",
        needs: "The kernel's own lines about the link, in the words of the common \
                drivers.",
        silent: "For single losses, for links that come up once at start, and for a bond \
                that only says what its members said.",
        remedy: "Clean or replace module and cable, compare the error counters of both \
                ends, and look at the switch's log.",
    },
    settings: &[
        Setting {
            key: "losses",
            default: 3.0,
            range: (2.0, TIMES_MAX as f64),
            help: "So many losses of the link within the window are told.",
        },
        Setting {
            key: "window_s",
            default: 600.0,
            range: (10.0, 86_400.0),
            help: "The window, seconds.",
        },
        quiet(3600.0),
    ],
    wants: LINES,
    consequence_of: &[Relation::to("interface_flaps", Reach::Same, 600)],
    follows_driver: false,
    open: || LineRule::open(judge),
};

fn judge(heard: &Heard<'_>, kept: &mut Kept, bench: &mut Bench<'_>) {
    if heard.seen.what != What::LinkDown {
        return;
    }
    let name = heard.seen.name;
    let window_ns = bench.setting_ns("window_s");
    let losses = kept.recent.add(name.to_owned(), bench.now_ns(), window_ns);
    if (losses as f64) < bench.setting("losses") {
        return;
    }
    let limit_source = bench.setting_source("losses");
    heard.raise(kept, bench, Subject::interface(name), "", || Conclusion {
        severity: Severity::Error,
        text: format!("{name} lost its link {losses} times within {} s.", window_ns / SECOND_NS),
        cause: "A dirty or failing module, a poor cable, or the port at the other end.".into(),
        confidence: 0.85,
        action: Action::RepairLink,
        steps: sentences(&[
            "Read the module's light levels and the port's counters (ethtool -m, ethtool -S).",
            "Compare with the port at the other end, and read the switch's log.",
            "Clean or replace cable and module.",
        ]),
        limit_source,
        ..Conclusion::default()
    });
}

#[cfg(test)]
mod tests {
    use crate::diagnosis::rules::trial::Trial;
    use crate::schema::Trust;

    const DOWN: &str = "mlx5_core 0000:5c:00.0 ens1f0np0: Link down";

    #[test]
    fn a_link_that_flaps_is_told() {
        let mut trial = Trial::new();
        for _ in 0..3 {
            trial.line(DOWN);
            trial.seconds(20);
            trial.line("mlx5_core 0000:5c:00.0 ens1f0np0: Link up");
        }
        assert_eq!(trial.judged(), ["link_flap ens1f0np0 error: repair link"]);
    }

    #[test]
    fn single_losses_and_words_of_others_are_no_trouble() {
        let mut trial = Trial::new();
        for _ in 0..5 {
            trial.line(DOWN);
            trial.seconds(601);
        }
        (0..9).for_each(|_| trial.line_of(DOWN, 1, Trust::Claimed));
        assert_eq!(trial.judged(), [""; 0]);
    }
}
