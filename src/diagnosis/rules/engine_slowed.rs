//! An engine is slow because its device, or its host, is slowed down.

use std::collections::BTreeMap;

use crate::diagnosis::detectors::{Drift, Hold};
use crate::diagnosis::{
    Bench, Conclusion, EngineFacts, Entry, Look, Page, Place, Reach, Relation, Rule, Serving,
    Setting, Subject, Wants, told_evidence,
};
use crate::schema::{Action, Health, Severity};

/// What the family knows of this rule.
pub(super) static RULE: Entry = Entry {
    name: "engine_slowed",
    summary: "An engine's steps take longer while its device or its host is slowed down.",
    page: Page {
        concludes: "The engine's steps take clearly longer than in its own past, and at the same \
                    time a device that it works on, or its host, has a verdict that explains it.",
        matters: "It ties a symptom that users feel to the part that causes it.",
        needs: "A few minutes of the engine's steps, and an open verdict on its device or host.",
        silent: "Where nothing explains the slowness: longer steps alone may be larger batches.",
        remedy: "Follow the verdict that it points to; until then send the engine less.",
    },
    settings: &[
        Setting {
            key: "slower_ratio",
            default: 1.25,
            range: (1.01, 100.0),
            help: "Steps count as slow from so many times their usual length.",
        },
        Setting {
            key: "hold_s",
            default: 10.0,
            range: (0.0, 3600.0),
            help: "How long that must last, seconds.",
        },
    ],
    wants: Wants { steps: true, ..Wants::NOTHING },
    consequence_of: &[
        Relation::to("thermal_throttle", Reach::Linked, 600),
        Relation::to("power_brake", Reach::Linked, 600),
        Relation::to("power_cap", Reach::Linked, 600),
        Relation::to("pcie_link", Reach::Linked, 600),
        Relation::to("accelerator_link", Reach::Linked, 600),
        Relation::to("odd_sister", Reach::Linked, 600),
        Relation::to("cooling", Reach::Node, 600),
        Relation::to("power_brake", Reach::Node, 600),
        Relation::to("host_swap", Reach::Node, 600),
        Relation::to("cpu_starved", Reach::Node, 600),
        Relation::to("container_throttled", Reach::Linked, 600),
        Relation::to("neighbour", Reach::Linked, 600),
        Relation::to("host_thermal", Reach::Node, 600),
    ],
    follows_driver: false,
    open: || Box::new(EngineSlowed { engines: BTreeMap::new() }),
};

#[derive(Debug)]
struct EngineSlowed {
    engines: BTreeMap<Place, (Drift, Hold)>,
}

/// Rules on a device, and on the node, that explain slow steps.
const OF_DEVICE: [&str; 6] =
    ["thermal_throttle", "power_brake", "power_cap", "pcie_link", "accelerator_link", "odd_sister"];
const OF_NODE: [&str; 5] = ["cooling", "power_brake", "host_swap", "cpu_starved", "host_thermal"];
/// A sample of the past is kept this often.
const LEARN_NS: u64 = 10_000_000_000;

impl Rule for EngineSlowed {
    fn look(&mut self, place: Place, bench: &mut Bench<'_>) -> Look {
        let Some(of) = bench.engine(place) else { return Look::Done };
        let serving = Serving::of(of);
        let Some(step_us) = serving.last_step_us.filter(|us| *us > 0.0) else {
            return Look::Done;
        };
        let (drift, hold) = self.engines.entry(place).or_default();
        let why = explained(of, bench);
        if why.is_none() && serving.running >= 1.0 {
            drift.learn(bench.now_ns(), step_us, LEARN_NS);
        }
        let usual = drift.usual().unwrap_or_default();
        let off = drift.deviations(step_us, usual * 0.05).unwrap_or_default();
        let ratio = bench.setting("slower_ratio");
        let slow = serving.running >= 1.0 && off >= 4.0 && step_us >= usual * ratio;
        let on = hold.is(bench.now_ns(), slow && why.is_some(), bench.setting_ns("hold_s"));
        let name = of.engine.name.as_str();
        let subject = Subject::engine(name);
        match why.filter(|_| on) {
            None if on => {}
            None => bench.clear(subject, ""),
            Some((what, rule)) => {
                let wall_ns = bench.at().wall_ns;
                bench.hold(subject, "", Severity::Warning, || Conclusion {
                    text: format!(
                        "Engine {name} is slow since its {what} is slowed down: a step takes \
                         {:.1} ms, usually {:.1}.",
                        step_us / 1000.0,
                        usual / 1000.0
                    ),
                    cause: format!("What {rule} says of its {what}."),
                    confidence: 0.8,
                    evidence: vec![told_evidence(
                        wall_ns,
                        name,
                        format!("last step {step_us:.0} µs, median of its past {usual:.0} µs"),
                    )],
                    action: Action::Investigate,
                    steps: vec![
                        "Follow the verdict that this one points to.".into(),
                        format!("Until then send engine {name} fewer requests."),
                    ],
                    health: Health::Degraded,
                    ..Conclusion::default()
                });
            }
        }
        if hold.is_on() || hold.waits() { Look::Again } else { Look::Done }
    }

    fn forget(&mut self, place: Place) {
        self.engines.remove(&place);
    }
}

/// What explains that it is slow, and which rule says so.
fn explained(of: &EngineFacts, bench: &Bench<'_>) -> Option<(&'static str, &'static str)> {
    let node = bench.node();
    if let Some(rule) = OF_NODE.iter().find(|rule| bench.has_open(rule, node)) {
        let device = matches!(*rule, "cooling" | "power_brake");
        return Some((if device { "device" } else { "host" }, rule));
    }
    let used = bench.known().accelerators().filter(|(_, d)| bench.works_on(of, &d.device));
    for (_, device) in used {
        let subject = Subject::of(&device.device);
        if let Some(rule) = OF_DEVICE.iter().find(|rule| bench.has_open(rule, subject)) {
            return Some(("device", rule));
        }
    }
    let containers = bench.known().container_of(&of.engine)?;
    let subject = Subject::of(&containers.device);
    let rules = ["container_throttled", "neighbour"];
    Some(("host", *rules.iter().find(|rule| bench.has_open(rule, subject))?))
}

#[cfg(test)]
mod tests {
    use crate::diagnosis::rules::trial::{Trial, gpu, step};
    use crate::schema::{DeviceProcess, Engine, Field, MetricId};

    fn played(hot: bool, slow: bool) -> Trial {
        let mut trial = Trial::new();
        let engine = Engine { process: 9, ..Engine::named("e", "m") };
        let mut device = gpu(0);
        device.accelerator.as_mut().expect("a GPU").processes =
            vec![DeviceProcess { process: 9, ..DeviceProcess::default() }];
        trial.device(&device);
        trial.set(0, MetricId::AcceleratorThrottleThermalHardware, 0.0);
        trial.engine(&engine);
        for second in 1..=500 {
            let late = second > 400;
            if second == 401 && hot {
                trial.set(0, MetricId::AcceleratorThrottleThermalHardware, 1.0);
            }
            let fields = [Field::Running, Field::LastStep, Field::Steps];
            let mut of = step(&engine, trial.at, second, &fields);
            (of.running, of.steps) = (8, second);
            of.last_step_us = 20_000 + (second % 7) as u32 * 100;
            if late && slow {
                of.last_step_us *= 2;
            }
            trial.step(&of);
            trial.seconds(1);
        }
        trial
    }

    #[test]
    fn a_slow_engine_on_a_throttled_device_points_to_it() {
        let trial = played(true, true);
        let slowed = trial.stage.open().find(|of| of.rule == "engine_slowed").expect("open");
        let cause = trial.stage.open().find(|of| of.rule == "thermal_throttle").expect("open");
        assert_eq!((slowed.subject.as_str(), slowed.caused_by), ("e", cause.id));
        assert_eq!(cause.impact, ["engine e"]);
    }

    #[test]
    fn neither_slowness_nor_heat_alone_is_this() {
        assert_eq!(played(false, true).open(), Vec::<String>::new());
        assert_eq!(played(true, false).open(), ["thermal_throttle gpu0"]);
    }
}
