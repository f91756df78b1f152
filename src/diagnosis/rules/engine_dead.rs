//! An engine is gone without a goodbye.

use crate::diagnosis::{
    Bench, Conclusion, Entry, Fact, Look, Page, Place, Reach, Relation, Rule, Setting, Subject,
    Wants, event_evidence,
};
use crate::schema::{Action, EventKind, Flag, Health, Severity};

/// What the family knows of this rule.
pub(super) static RULE: Entry = Entry {
    name: "engine_dead",
    summary: "An engine is gone without a goodbye.",
    page: Page {
        concludes: "An engine's connection hung up, or its page is gone, and it did not say \
                    goodbye.",
        matters: "Its requests are lost, and routers must send new ones elsewhere.",
        needs: "The event that the engine is gone.",
        silent: "For an engine that said goodbye, and for one front end of several.",
        remedy: "Read the engine's own log; where a cause is linked, begin there.",
    },
    settings: &[Setting {
        key: "quiet_s",
        default: 3600.0,
        range: (10.0, 604_800.0),
        help: "An engine that does not come back is forgotten after this time, seconds.",
    }],
    wants: Wants {
        events: &[EventKind::EngineGone, EventKind::EngineAppeared, EventKind::EngineRestarted],
        steps: true,
        ..Wants::NOTHING
    },
    consequence_of: &[
        Relation::to("container_oom", Reach::Linked, 30),
        Relation::to("oom", Reach::Node, 30),
        Relation::to("device_gone", Reach::Linked, 60),
        Relation::to("ecc_uncorrected", Reach::Linked, 60),
        Relation::to("xid", Reach::Linked, 60),
        Relation::to("driver_silent", Reach::Linked, 120),
    ],
    follows_driver: false,
    open: || Box::new(EngineDead),
};

/// Remembers nothing: what is open says it all.
#[derive(Debug)]
struct EngineDead;

impl Rule for EngineDead {
    fn fact(&mut self, fact: &Fact<'_>, bench: &mut Bench<'_>) {
        let Fact::Event(event) = fact else { return };
        let subject = Subject::engine(&event.subject);
        if event.kind != EventKind::EngineGone {
            bench.clear(subject, "");
            return;
        }
        // The sampler knows whether it was a goodbye, and whether others of
        // its front ends remain.
        if event.severity == Severity::Info || event.text.contains("front ends of it remain") {
            return;
        }
        let evidence = vec![event_evidence(event)];
        let quiet_ns = bench.setting_ns("quiet_s");
        bench.hold(subject, "", Severity::Critical, || Conclusion {
            text: format!("Engine {} is gone without a goodbye.", event.subject),
            cause: "Its process crashed, was killed, or its host lost it.".into(),
            confidence: 0.9,
            evidence,
            action: Action::RestartApplication,
            steps: vec![
                "Read the end of the engine's own log.".into(),
                "Look for a kill by the kernel or a fault of its devices at that moment.".into(),
                "Restart it, if nothing does so by itself.".into(),
            ],
            health: Health::Failed,
            quiet_ns,
            ..Conclusion::default()
        });
    }

    fn look(&mut self, place: Place, bench: &mut Bench<'_>) -> Look {
        let Some(of) = bench.engine(place) else { return Look::Done };
        let subject = Subject::engine(&of.engine.name);
        let back = of.ranks.iter().any(|rank| {
            !rank.step.has(Flag::Goodbye) && rank.heard_ns + 1_000_000_000 >= bench.now_ns()
        });
        if back && bench.is_open(subject, "") {
            bench.clear(subject, "");
        }
        Look::Done
    }
}

#[cfg(test)]
mod tests {
    use crate::diagnosis::rules::trial::{Trial, step};
    use crate::schema::{Engine, EventKind, Field, Severity, VerdictState};

    #[test]
    fn a_hang_up_is_death_and_a_goodbye_is_none() {
        let mut trial = Trial::new();
        let engine = Engine::named("e", "m");
        trial.engine(&engine);
        trial.event_of(EventKind::EngineGone, Severity::Info, "e", "e said goodbye");
        assert_eq!(trial.open(), Vec::<String>::new());
        trial.event_of(EventKind::EngineGone, Severity::Warning, "e", "e hung up");
        assert_eq!(trial.open(), ["engine_dead e"]);
        trial.seconds(10);
        let back = step(&engine, trial.at, 1, &[Field::Running]);
        trial.step(&back);
        trial.seconds(1);
        assert_eq!(trial.told().last().map(|of| of.state), Some(VerdictState::Resolved));
    }
}
