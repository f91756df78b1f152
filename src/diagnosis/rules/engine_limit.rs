//! What keeps the requests of a loaded engine waiting: one stage, with the
//! setting or resource to change.

use std::collections::BTreeMap;

use crate::diagnosis::detectors::Hold;
use crate::diagnosis::{
    Bench, Conclusion, EngineFacts, Entry, Look, Page, Place, Reach, Relation, Rule, Serving,
    Setting, Subject, Wants, told_evidence,
};
use crate::schema::{Action, Health, MetricId, Severity};

/// What the family knows of this rule.
pub(super) static RULE: Entry = Entry {
    name: "engine_limit",
    summary: "Requests wait in an engine: which stage limits it, and what to change.",
    page: Page {
        concludes: "While requests wait for long, one of these holds them: the batch is full \
                    (admission), the KV cache is full, prompts are computed too slowly (prefill), \
                    tokens are generated at the memory's bandwidth (decode), KV blocks come late \
                    from elsewhere (transfer), or the host does not feed the device.",
        matters: "Each limit has another remedy, and the wrong one makes it worse: a larger batch \
                  does not help an engine whose memory bandwidth is used up.",
        needs: "The engine's steps; for decode and host also the utilization of its devices.",
        silent: "While nobody waits, for short bursts, and where the readings do not tell the \
                 stages apart.",
        remedy: "Change the setting or give the resource that the verdict names.",
    },
    settings: &[
        Setting {
            key: "wait_ms",
            default: 2000.0,
            range: (1.0, 1e9),
            help: "Age of the oldest waiting request from which it counts, ms.",
        },
        Setting {
            key: "waiting",
            default: 8.0,
            range: (1.0, 1e9),
            help: "Waiting requests from which it counts where no age is known.",
        },
        Setting {
            key: "hold_s",
            default: 60.0,
            range: (0.0, 86_400.0),
            help: "How long one stage must be the limit, seconds.",
        },
    ],
    wants: Wants { steps: true, ..Wants::NOTHING },
    consequence_of: &[
        Relation::to("kv_pressure", Reach::Same, 600),
        Relation::to("engine_slowed", Reach::Same, 600),
        Relation::to("thermal_throttle", Reach::Linked, 600),
        Relation::to("power_brake", Reach::Linked, 600),
        Relation::to("power_cap", Reach::Linked, 600),
        Relation::to("cooling", Reach::Node, 600),
        Relation::to("cpu_starved", Reach::Node, 600),
        Relation::to("host_swap", Reach::Node, 600),
        Relation::to("container_throttled", Reach::Linked, 600),
        Relation::to("interface_saturated", Reach::Node, 600),
    ],
    follows_driver: false,
    open: || Box::new(EngineLimit { engines: BTreeMap::new() }),
};

#[derive(Debug)]
struct EngineLimit {
    engines: BTreeMap<Place, (Option<Stage>, Hold)>,
}

/// A stage that can be the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Admission,
    KvCapacity,
    Prefill,
    Decode,
    Transfer,
    Host,
}

impl Rule for EngineLimit {
    fn look(&mut self, place: Place, bench: &mut Bench<'_>) -> Look {
        let Some(of) = bench.engine(place) else { return Look::Done };
        let serving = Serving::of(of);
        let stage = limiting(of, &serving, bench);
        let known = self.engines.entry(place).or_default();
        // Another stage than before begins its own wait.
        if stage.is_some() && known.0 != stage {
            *known = (stage, Hold::default());
        }
        let on = known.1.is(bench.now_ns(), stage.is_some(), bench.setting_ns("hold_s"));
        let name = of.engine.name.as_str();
        let subject = Subject::engine(name);
        match known.0.filter(|_| on) {
            Some(stage) => {
                let wall_ns = bench.at().wall_ns;
                bench.hold(subject, stage.key(), Severity::Warning, || {
                    conclusion(name, stage, &serving, wall_ns)
                });
                for other in STAGES.iter().filter(|other| **other != stage) {
                    bench.clear(subject, other.key());
                }
            }
            None => STAGES.iter().for_each(|other| bench.clear(subject, other.key())),
        }
        if on || known.1.waits() { Look::Again } else { Look::Done }
    }

    fn forget(&mut self, place: Place) {
        self.engines.remove(&place);
    }
}

const STAGES: [Stage; 6] = [
    Stage::Admission,
    Stage::KvCapacity,
    Stage::Prefill,
    Stage::Decode,
    Stage::Transfer,
    Stage::Host,
];

/// The stage that holds requests up, where anybody waits and it can be told.
fn limiting(of: &EngineFacts, serving: &Serving, bench: &Bench<'_>) -> Option<Stage> {
    let waits_for_kv = serving.deferred > serving.running.max(4.0);
    let wait = serving.oldest_wait_ms;
    let waits = serving.waiting >= 1.0
        && (wait >= bench.setting("wait_ms")
            || (wait <= 0.0 && serving.waiting >= bench.setting("waiting")));
    if serving.resting || !(waits || waits_for_kv) {
        return None;
    }
    if waits_for_kv {
        return Some(Stage::Transfer);
    }
    let kv = serving.kv_usage.unwrap_or_default();
    if kv >= 0.9 {
        return Some(Stage::KvCapacity);
    }
    if serving.max_sequences.is_some_and(|most| most > 0.0 && serving.running >= most * 0.97) {
        // A full batch whose memory bandwidth is used up would not become
        // faster by being larger.
        let activity = on_devices(of, bench, MetricId::AcceleratorMemoryActivity);
        let full = activity.is_some_and(|activity| activity >= 0.85);
        return Some(if full { Stage::Decode } else { Stage::Admission });
    }
    let left = serving.prompt_tokens_left?;
    let at_once = serving.max_batched_tokens.filter(|tokens| *tokens > 0.0)?;
    let busy = on_devices(of, bench, MetricId::AcceleratorUtilization);
    if busy.is_some_and(|busy| busy < 0.4) {
        return Some(Stage::Host);
    }
    (left >= 2.0 * at_once).then_some(Stage::Prefill)
}

/// The mean of a reading over the devices that the engine works on.
fn on_devices(of: &EngineFacts, bench: &Bench<'_>, metric: MetricId) -> Option<f64> {
    let (mut sum, mut count) = (0.0, 0.0);
    for (place, device) in bench.known().accelerators() {
        if bench.works_on(of, &device.device)
            && let Some(value) = bench.value(place, metric)
        {
            sum += value;
            count += 1.0;
        }
    }
    (count > 0.0).then(|| sum / count)
}

impl Stage {
    const fn key(self) -> &'static str {
        match self {
            Self::Admission => "admission",
            Self::KvCapacity => "kv_capacity",
            Self::Prefill => "prefill",
            Self::Decode => "decode",
            Self::Transfer => "transfer",
            Self::Host => "host",
        }
    }

    /// The cause, and what to change.
    const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Admission => (
                "The batch is full while the KV cache has room: admission limits it.",
                "Raise max_num_seqs, or add an engine.",
            ),
            Self::KvCapacity => (
                "The KV cache is full: its capacity limits it.",
                "Raise gpu_memory_utilization, lower max_model_len, or add an engine.",
            ),
            Self::Prefill => (
                "Prompts come faster than they are computed: prefill limits it.",
                "Raise max_num_batched_tokens, cache prefixes, or add engines for prefill.",
            ),
            Self::Decode => (
                "The batch is full and the memory's bandwidth is used up: decode limits it.",
                "Add an engine or more devices to it, or use smaller weights or KV entries.",
            ),
            Self::Transfer => (
                "Requests wait for KV blocks from elsewhere: the transfer limits it.",
                "Check the network between prefill and decode, and the connector's settings.",
            ),
            Self::Host => (
                "Requests wait while the devices are idle: the host does not feed them.",
                "Give the engine more CPU, and look at pressure, quota and its scheduler's log.",
            ),
        }
    }
}

fn conclusion(name: &str, stage: Stage, serving: &Serving, wall_ns: u64) -> Conclusion {
    let (cause, step) = stage.words();
    let kv = serving.kv_usage.map_or_else(String::new, |kv| format!(", KV usage {kv:.2}"));
    let told = format!(
        "{} waiting, {} deferred, {} running, oldest wait {} ms{kv}",
        serving.waiting, serving.deferred, serving.running, serving.oldest_wait_ms
    );
    Conclusion {
        text: format!(
            "Requests wait in engine {name}: {} is the limit.",
            match stage {
                Stage::Admission => "admission",
                Stage::KvCapacity => "KV capacity",
                Stage::Prefill => "prefill compute",
                Stage::Decode => "decode bandwidth",
                Stage::Transfer => "KV transfer",
                Stage::Host => "the host",
            }
        ),
        cause: cause.into(),
        confidence: 0.75,
        evidence: vec![told_evidence(wall_ns, name, told)],
        action: Action::ChangeSetting,
        steps: vec![step.into()],
        health: Health::Degraded,
        ..Conclusion::default()
    }
}

#[cfg(test)]
mod tests {
    use crate::diagnosis::rules::trial::{Trial, gpu, step};
    use crate::schema::{DeviceProcess, Engine, Field, MetricId, StepCore};

    fn played(change: impl Fn(&mut StepCore), busy: f64, activity: f64) -> Vec<String> {
        let mut trial = Trial::new();
        let engine = Engine { process: 9, ..Engine::named("e", "m") };
        let mut device = gpu(0);
        device.accelerator.as_mut().expect("a GPU").processes =
            vec![DeviceProcess { process: 9, ..DeviceProcess::default() }];
        trial.device(&device);
        trial.set(0, MetricId::AcceleratorUtilization, busy);
        trial.set(0, MetricId::AcceleratorMemoryActivity, activity);
        trial.engine(&engine);
        for second in 1..=120 {
            let mut of = step(&engine, trial.at, second, Field::ALL);
            (of.running, of.max_sequences, of.max_batched_tokens) = (64, 256, 8192);
            (of.waiting, of.oldest_wait_ms, of.kv_usage) = (40, 5000, 0.6);
            of.steps = second * 50;
            change(&mut of);
            trial.step(&of);
            trial.seconds(1);
        }
        let words = trial.stage.open().map(|of| of.text.replace("Requests wait in engine e: ", ""));
        words.collect()
    }

    #[test]
    fn each_limit_is_told_by_its_own_signs() {
        let full = |of: &mut StepCore| of.running = 256;
        assert_eq!(played(full, 0.95, 0.5), ["admission is the limit."]);
        assert_eq!(played(full, 0.95, 0.93), ["decode bandwidth is the limit."]);
        assert_eq!(played(|of| of.kv_usage = 0.97, 0.9, 0.5), ["KV capacity is the limit."]);
        let prompts = |of: &mut StepCore| of.waiting_tokens = 100_000;
        assert_eq!(played(prompts, 0.95, 0.5), ["prefill compute is the limit."]);
        assert_eq!(played(prompts, 0.1, 0.05), ["the host is the limit."]);
        assert_eq!(played(|of| of.deferred = 90, 0.9, 0.5), ["KV transfer is the limit."]);
    }

    #[test]
    fn a_busy_engine_in_which_nobody_waits_long_has_no_limit() {
        let busy = |of: &mut StepCore| (of.running, of.oldest_wait_ms) = (256, 300);
        assert_eq!(played(busy, 0.99, 0.9), Vec::<String>::new());
        let unclear = |of: &mut StepCore| of.waiting_tokens = 100;
        assert_eq!(played(unclear, 0.9, 0.5), Vec::<String>::new());
    }
}
