//! An engine restarts again and again.

use std::collections::BTreeMap;

use crate::diagnosis::detectors::Burst;
use crate::diagnosis::{
    Bench, Conclusion, Entry, Fact, Page, Reach, Relation, Rule, Setting, Subject, Wants,
    event_evidence,
};
use crate::schema::{Action, EventKind, Health, Severity};

/// What the family knows of this rule.
pub(super) static RULE: Entry = Entry {
    name: "engine_restarting",
    summary: "An engine restarts again and again.",
    page: Page {
        concludes: "An engine restarted several times within a quarter of an hour.",
        matters: "Loading weights takes minutes in which nothing is served, and each new start \
                  takes requests with it when it dies.",
        needs: "The events that the engine restarted.",
        silent: "For a few restarts, as of a roll-out.",
        remedy: "Read the engine's log of its last start; look at what ended it.",
    },
    settings: &[
        Setting {
            key: "restarts",
            default: 3.0,
            range: (2.0, 64.0),
            help: "Restarts from which it counts.",
        },
        Setting {
            key: "span_s",
            default: 900.0,
            range: (10.0, 604_800.0),
            help: "The time within which they must fall, seconds.",
        },
    ],
    wants: Wants { events: &[EventKind::EngineRestarted], ..Wants::NOTHING },
    consequence_of: &[
        Relation::to("container_oom", Reach::Linked, 60),
        Relation::to("xid", Reach::Linked, 60),
    ],
    follows_driver: false,
    open: || Box::new(EngineRestarting { engines: BTreeMap::new() }),
};

#[derive(Debug)]
struct EngineRestarting {
    engines: BTreeMap<String, Burst>,
}

/// Most engines followed.
const ENGINES_MAX: usize = 1024;

impl Rule for EngineRestarting {
    fn fact(&mut self, fact: &Fact<'_>, bench: &mut Bench<'_>) {
        let Fact::Event(event) = fact else { return };
        if !self.engines.contains_key(&event.subject) && self.engines.len() >= ENGINES_MAX {
            self.engines.pop_first();
        }
        let burst = self.engines.entry(event.subject.clone()).or_default();
        let wanted = bench.setting("restarts") as usize;
        let span_ns = bench.setting_ns("span_s");
        if burst.take(bench.now_ns(), wanted, span_ns) {
            bench.raise(
                Subject::engine(&event.subject),
                "",
                Conclusion {
                    severity: Severity::Error,
                    text: format!("Engine {} restarts again and again.", event.subject),
                    cause: "Something ends it soon after each start.".into(),
                    confidence: 0.85,
                    evidence: vec![event_evidence(event)],
                    action: Action::Investigate,
                    steps: vec![
                        "Read the engine's log of its last start to its end.".into(),
                        "Look at its exit code, its memory limit and its probes.".into(),
                    ],
                    health: Health::Suspect,
                    quiet_ns: span_ns,
                    ..Conclusion::default()
                },
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::diagnosis::rules::trial::Trial;
    use crate::schema::{Engine, EventKind};

    #[test]
    fn three_restarts_in_a_quarter_of_an_hour_count_and_three_in_a_day_do_not() {
        for (pause_s, open) in [(60, 1), (1000, 0)] {
            let mut trial = Trial::new();
            trial.engine(&Engine::named("e", "m"));
            for _ in 0..3 {
                trial.event(EventKind::EngineRestarted, "e", "e restarted");
                trial.seconds(pause_s);
            }
            assert_eq!(trial.open().len(), open, "{pause_s}");
        }
    }
}
