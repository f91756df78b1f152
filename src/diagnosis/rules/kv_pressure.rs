//! An engine preempts requests since its KV cache is full.

use std::collections::BTreeMap;

use crate::diagnosis::detectors::{Hold, Rate};
use crate::diagnosis::{
    Bench, Conclusion, Entry, Look, Page, Place, Rule, Serving, Setting, Subject, Wants,
    told_evidence,
};
use crate::schema::{Action, Health, Severity};

/// What the family knows of this rule.
pub(super) static RULE: Entry = Entry {
    name: "kv_pressure",
    summary: "An engine preempts requests since its KV cache is full.",
    page: Page {
        concludes: "The KV cache is nearly full and the engine throws requests out of its batch to \
                    make room, again and again.",
        matters: "What was computed for a preempted request is computed anew: throughput falls \
                  just when load is highest, and the tail of latency grows.",
        needs: "The engine's KV usage and its count of preemptions.",
        silent: "For a full cache without preemptions, which is a well-used one, and for single \
                 preemptions.",
        remedy: "Give the cache more memory, admit fewer requests at once, shorten the longest \
                 context, or add engines.",
    },
    settings: &[
        Setting {
            key: "usage_ratio",
            default: 0.9,
            range: (0.1, 1.0),
            help: "Use of the KV cache from which preemptions count.",
        },
        Setting {
            key: "preemptions",
            default: 6.0,
            range: (1.0, 1e6),
            help: "Preemptions within a minute from which it counts.",
        },
        Setting {
            key: "hold_s",
            default: 15.0,
            range: (0.0, 3600.0),
            help: "How long that must last, seconds.",
        },
    ],
    wants: Wants { steps: true, ..Wants::NOTHING },
    consequence_of: &[],
    follows_driver: false,
    open: || Box::new(KvPressure { engines: BTreeMap::new() }),
};

#[derive(Debug)]
struct KvPressure {
    engines: BTreeMap<Place, (Rate, Hold)>,
}

impl Rule for KvPressure {
    fn look(&mut self, place: Place, bench: &mut Bench<'_>) -> Look {
        let Some(of) = bench.engine(place) else { return Look::Done };
        let serving = Serving::of(of);
        let (Some(usage), Some(preemptions)) = (serving.kv_usage, serving.preemptions) else {
            return Look::Done;
        };
        let new = || (Rate::over(60_000_000_000), Hold::default());
        let (rate, hold) = self.engines.entry(place).or_insert_with(new);
        rate.take(serving.monotonic_ns, preemptions);
        let grown = rate.grown().unwrap_or_default();
        let limit = bench.setting("preemptions");
        let wanted = if hold.is_on() { limit / 2.0 } else { limit };
        let slack = if hold.is_on() { 0.1 } else { 0.0 };
        let pressed = grown >= wanted && usage >= bench.setting("usage_ratio") - slack;
        let name = of.engine.name.as_str();
        let subject = Subject::engine(name);
        if hold.is(bench.now_ns(), pressed, bench.setting_ns("hold_s")) {
            let severity = if grown >= 60.0 { Severity::Error } else { Severity::Warning };
            let wall_ns = bench.at().wall_ns;
            let source = bench.setting_source("preemptions");
            bench.hold(subject, "", severity, || Conclusion {
                text: format!(
                    "Engine {name} preempts requests, {grown:.0} in a minute: its KV cache is {:.0} % full.",
                    usage * 100.0
                ),
                cause: "More tokens are in flight than the KV cache has room for.".into(),
                confidence: 0.95,
                evidence: vec![told_evidence(
                    wall_ns,
                    name,
                    format!(
                        "KV usage {usage:.3}, {grown:.0} preemptions in a minute, {} running, {} waiting",
                        serving.running, serving.waiting
                    ),
                )],
                action: Action::ChangeSetting,
                steps: vec![
                    "Raise gpu_memory_utilization, or free device memory for the cache.".into(),
                    "Lower max_num_seqs, or max_model_len if contexts may be shorter.".into(),
                    "Add an engine, or offload KV blocks to the host.".into(),
                ],
                health: Health::Degraded,
                limit_source: source,
                ..Conclusion::default()
            });
        } else {
            bench.clear(subject, "");
        }
        Look::Again
    }

    fn forget(&mut self, place: Place) {
        self.engines.remove(&place);
    }
}

#[cfg(test)]
mod tests {
    use crate::diagnosis::rules::trial::{Trial, step};
    use crate::schema::{Engine, Field};

    fn played(usage: f32, a_second: u64) -> Vec<String> {
        let mut trial = Trial::new();
        let engine = Engine::named("e", "m");
        trial.engine(&engine);
        for second in 1..=120 {
            let fields = [Field::KvUsage, Field::Preemptions, Field::Running];
            let mut of = step(&engine, trial.at, second, &fields);
            of.kv_usage = usage;
            of.preemptions = 500 + second * a_second;
            trial.step(&of);
            trial.seconds(1);
        }
        trial.open()
    }

    #[test]
    fn a_full_cache_counts_with_preemptions_only() {
        assert_eq!(played(0.98, 1), ["kv_pressure e"]);
        assert_eq!(played(0.99, 0), Vec::<String>::new());
        assert_eq!(played(0.40, 1), Vec::<String>::new());
        let mut bare = Trial::new();
        let engine = Engine::named("e", "m");
        bare.engine(&engine);
        for second in 1..=60 {
            let of = step(&engine, bare.at, second, &[Field::Running]);
            bare.step(&of);
            bare.seconds(1);
        }
        assert_eq!(bare.open(), Vec::<String>::new());
    }
}
