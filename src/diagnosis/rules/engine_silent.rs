//! An engine lives and does no steps, or gives no sign of life.

use std::collections::BTreeMap;

use crate::diagnosis::{
    Bench, Conclusion, Entry, Fact, Look, Page, Place, Reach, Relation, Rule, Serving, Setting,
    Subject, Wants, told_evidence,
};
use crate::schema::{Action, EventKind, Flag, Health, Severity};

/// What the family knows of this rule.
pub(super) static RULE: Entry = Entry {
    name: "engine_silent",
    summary: "An engine does no steps although it has requests, or gives no sign of life.",
    page: Page {
        concludes: "An engine has requests in its batch and takes no step for long while its \
                    process lives; or it has not kept its promise of a step or heartbeat for many \
                    times as long, and has not hung up.",
        matters: "Its requests hang until their clients give up; a router that does not know sends \
                  more.",
        needs: "The engine's steps and heartbeats, or its page.",
        silent: "For an engine without requests, one that sleeps, warms up or drains, one that \
                 said goodbye or hung up, and while our own sampler is stalled.",
        remedy: "Look for a hanging driver or a fault of its devices; take a stack trace; restart \
                 it.",
    },
    settings: &[
        Setting {
            key: "steps_s",
            default: 60.0,
            range: (1.0, 86_400.0),
            help: "How long no step may end while requests run, seconds.",
        },
        Setting {
            key: "promises",
            default: 5.0,
            range: (2.0, 1000.0),
            help: "So many promised times without a sign of life count as silence.",
        },
        Setting {
            key: "life_s",
            default: 5.0,
            range: (0.1, 86_400.0),
            help: "At least so long without a sign of life, seconds.",
        },
    ],
    wants: Wants { events: &[EventKind::EngineGone], steps: true, ..Wants::NOTHING },
    consequence_of: &[
        Relation::to("driver_silent", Reach::Linked, 120),
        Relation::to("device_gone", Reach::Linked, 120),
        Relation::to("xid", Reach::Linked, 120),
        Relation::to("ecc_uncorrected", Reach::Linked, 120),
        Relation::to("host_swap", Reach::Node, 120),
    ],
    follows_driver: false,
    open: || Box::<EngineSilent>::default(),
};

/// When an engine's count of steps last moved.
#[derive(Debug, Default)]
struct EngineSilent {
    steps: BTreeMap<Place, (f64, u64)>,
    /// When engines said goodbye or hung up, by name; until they are heard of
    /// again.
    gone: BTreeMap<String, u64>,
}

/// Most engines that are gone and remembered.
const GONE_MAX: usize = 4096;

impl Rule for EngineSilent {
    fn fact(&mut self, fact: &Fact<'_>, bench: &mut Bench<'_>) {
        let Fact::Event(event) = fact else { return };
        if event.text.contains("front ends of it remain") {
            return;
        }
        if self.gone.len() >= GONE_MAX {
            self.gone.pop_first();
        }
        self.gone.insert(event.subject.clone(), bench.now_ns());
    }

    fn look(&mut self, place: Place, bench: &mut Bench<'_>) -> Look {
        let Some(of) = bench.engine(place) else { return Look::Done };
        let (now_ns, name) = (bench.now_ns(), of.engine.name.as_str());
        let subject = Subject::engine(name);
        let serving = Serving::of(of);
        let heard_ns = of.ranks.iter().map(|rank| rank.heard_ns).max().unwrap_or(now_ns);
        let goodbye = of.ranks.iter().all(|rank| rank.step.has(Flag::Goodbye));
        if self.gone.get(name).is_some_and(|since_ns| heard_ns > *since_ns) {
            self.gone.remove(name);
        }
        if goodbye
            || self.gone.contains_key(name)
            || bench.has_open("sampler_stalled", bench.node())
        {
            self.steps.remove(&place);
            bench.clear(subject, "steps");
            bench.clear(subject, "life");
            return Look::Again;
        }
        let ttl_ns = of.ranks.iter().map(|rank| rank.step.ttl_ns()).max().unwrap_or_default();
        let promised_ns = (ttl_ns as f64 * bench.setting("promises")) as u64;
        let silent_ns = now_ns.saturating_sub(heard_ns);
        let wall_ns = bench.at().wall_ns;
        if silent_ns > promised_ns.max(bench.setting_ns("life_s")) {
            bench.clear(subject, "steps");
            let seconds = silent_ns / 1_000_000_000;
            bench.hold(subject, "life", Severity::Error, || {
                let told = format!("no step and no heartbeat for {seconds} s");
                let evidence = vec![told_evidence(wall_ns, name, told)];
                let text = format!("Engine {name} gives no sign of life, and has not hung up.");
                let cause = "Its process hangs, is stopped, or its host is too busy to run it.";
                Conclusion { evidence, text, cause: cause.into(), ..words() }
            });
            return Look::Again;
        }
        bench.clear(subject, "life");
        let steps = serving.steps.unwrap_or_default();
        let idle = serving.running < 1.0 || serving.resting || serving.steps.is_none();
        let since = self.steps.entry(place).or_insert((steps, now_ns));
        if idle || since.0.to_bits() != steps.to_bits() {
            *since = (steps, now_ns);
        }
        let stuck_ns = now_ns.saturating_sub(since.1);
        if stuck_ns >= bench.setting_ns("steps_s") {
            let running = serving.running;
            bench.hold(subject, "steps", Severity::Error, || {
                let seconds = stuck_ns / 1_000_000_000;
                let told = format!("{running} requests run and no step ended for {seconds} s");
                let evidence = vec![told_evidence(wall_ns, name, told)];
                let text = format!("Engine {name} lives and takes no step.");
                let cause = "Its step hangs in a device, a collective operation or a lock.";
                Conclusion { evidence, text, cause: cause.into(), ..words() }
            });
        } else {
            bench.clear(subject, "steps");
        }
        Look::Again
    }

    fn forget(&mut self, place: Place) {
        self.steps.remove(&place);
    }
}

fn words() -> Conclusion {
    Conclusion {
        confidence: 0.8,
        action: Action::RestartApplication,
        steps: vec![
            "Look for a hanging driver or a fault of the devices that it works on.".into(),
            "Take a stack trace of its processes, then restart it.".into(),
        ],
        health: Health::Suspect,
        ..Conclusion::default()
    }
}

#[cfg(test)]
mod tests {
    use crate::diagnosis::rules::trial::{Trial, step};
    use crate::schema::{Engine, EventKind, Field, Flag, Severity};

    /// Plays two minutes in which the engine's steps move for `steps_s`, and
    /// it is heard of for `heard_s`.
    fn played(running: u32, steps_s: u64, heard_s: u64, flag: Option<Flag>) -> Vec<String> {
        let mut trial = Trial::new();
        let engine = Engine::named("e", "m");
        trial.engine(&engine);
        for second in 1..=120 {
            if second <= heard_s {
                let mut of = step(&engine, trial.at, second, &[Field::Running, Field::Steps]);
                of.running = running;
                of.steps = second.min(steps_s);
                if let Some(flag) = flag {
                    of.raise(flag);
                }
                trial.step(&of);
            }
            trial.seconds(1);
        }
        trial.stage.open().map(|of| of.text.clone()).collect()
    }

    #[test]
    fn no_steps_and_no_life_are_told_apart_and_rest_is_neither() {
        assert_eq!(played(4, 30, 120, None), ["Engine e lives and takes no step."]);
        let silent = "Engine e gives no sign of life, and has not hung up.";
        assert_eq!(played(4, 120, 60, None), [silent]);
        for (running, steps, flag) in [
            (4, 120, None),
            (0, 10, None),
            (4, 30, Some(Flag::Asleep)),
            (4, 30, Some(Flag::Goodbye)),
        ] {
            assert_eq!(played(running, steps, 120, flag), Vec::<String>::new(), "{flag:?}");
        }
    }

    #[test]
    fn an_engine_that_hung_up_is_gone_and_one_that_came_back_may_fall_silent() {
        let mut trial = Trial::new();
        let engine = Engine::named("e", "m");
        trial.engine(&engine);
        let fields = [Field::Running, Field::Steps];
        trial.step(&step(&engine, trial.at, 1, &fields));
        trial.seconds(1);
        trial.event_of(EventKind::EngineGone, Severity::Info, "e", "e said goodbye");
        trial.seconds(60);
        assert_eq!(trial.open(), Vec::<String>::new());
        trial.step(&step(&engine, trial.at, 2, &fields));
        trial.seconds(60);
        assert_eq!(trial.open(), ["engine_silent e"]);
    }
}
