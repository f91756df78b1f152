//! How subjects hang together: who is hit, and whose consequence a verdict is.

use crate::diagnosis::Subject;
use crate::diagnosis::at::SECOND_NS;
use crate::diagnosis::bench::Scene;
use crate::diagnosis::facts::EngineFacts;
use crate::diagnosis::known::Known;
use crate::diagnosis::rule::Reach;
use crate::schema::{Device, Engine, EngineDetails, IMPACT_MAX, Verdict};

use super::{Case, Verdicts};

impl Verdicts {
    /// The open verdict whose consequence this one is; 0 where there is none.
    pub(super) fn cause_of(&self, of: &Scene<'_>, effect: &Case) -> u64 {
        if effect.relations.is_empty() && effect.by_product_of.is_empty() {
            return 0;
        }
        let causes = self.cases.values().filter(|cause| is_cause(of, cause, effect));
        // The gravest, then the first: the one that a person should read.
        let best = causes.min_by_key(|cause| {
            (std::cmp::Reverse(cause.verdict.severity), cause.since_ns, cause.verdict.id)
        });
        best.map_or(0, |cause| cause.verdict.id)
    }

    /// Points those that stand alone to the cause that has just become known.
    pub(super) fn link_consequences(&mut self, of: &Scene<'_>, id: u64) {
        let Some(cause) = self.cases.get(&id).cloned() else { return };
        let mut told = Vec::new();
        for (effect_id, effect) in &mut self.cases {
            let alone = effect.is_open() && effect.verdict.caused_by == 0 && *effect_id != id;
            if alone && cause.verdict.caused_by != *effect_id && is_cause(of, &cause, effect) {
                effect.verdict.caused_by = id;
                effect.urgent = true;
                effect.revise(of.at.wall_ns, of.now_ns);
                told.push(*effect_id);
            }
        }
        for id in told {
            self.tell(id);
        }
    }
}

fn is_cause(of: &Scene<'_>, cause: &Case, effect: &Case) -> bool {
    let (from, to) = (&cause.verdict, &effect.verdict);
    if from.id == to.id || from.caused_by == to.id {
        return false;
    }
    // What is open reaches on; what is over reached for a while.
    let apart = if cause.is_open() && cause.since_ns <= effect.since_ns {
        effect.since_ns.saturating_sub(cause.touched_ns.max(cause.since_ns))
    } else {
        effect.since_ns.abs_diff(cause.since_ns).min(effect.since_ns.abs_diff(cause.touched_ns))
    };
    let by_relation = effect.relations.iter().any(|relation| {
        relation.rule == from.rule
            && (relation.key.is_empty() || relation.key == cause.key)
            && (cause.is_open() && cause.since_ns <= effect.since_ns
                || apart <= relation.window_s * SECOND_NS)
            && reaches(of.known, relation.reach, from, to)
    });
    let by_product = || {
        effect.by_product_of.iter().any(|(rule, key)| {
            *rule == from.rule
                && (key.is_empty() || *key == cause.key)
                && apart <= effect.by_product_ns
                // What is said of the whole node may be about one part of it.
                && (from.subject == to.subject || to.subject_kind == "node")
        })
    };
    by_relation || by_product()
}

fn reaches(known: &Known, reach: Reach, from: &Verdict, to: &Verdict) -> bool {
    match reach {
        Reach::Node => true,
        Reach::Same => from.subject == to.subject,
        Reach::Linked => from.subject == to.subject || linked(known, from, to),
    }
}

/// Whether two subjects are a device and its part, or somebody who works on a
/// device and that device.
fn linked(known: &Known, from: &Verdict, to: &Verdict) -> bool {
    let part = |whole: &str, part: &str| {
        part.strip_prefix(whole).is_some_and(|rest| rest.starts_with('/') || is_namespace(rest))
    };
    if part(&from.subject, &to.subject) || part(&to.subject, &from.subject) {
        return true;
    }
    let user = |device: &Verdict, user: &Verdict| {
        let Some((_, facts)) = known.device_named(&device.subject) else { return false };
        match user.subject_kind.as_str() {
            "engine" => known
                .engines()
                .filter(|(_, of)| of.engine.name == user.subject)
                .any(|(_, of)| works_on(of, &facts.device)),
            "container" => known
                .device_named(&user.subject)
                .is_some_and(|(_, of)| container_works_on(&of.device, &facts.device)),
            _ => false,
        }
    };
    let lives_in = |container: &Verdict, engine: &Verdict| {
        container.subject_kind == "container"
            && engine.subject_kind == "engine"
            && known.device_named(&container.subject).is_some_and(|(_, of)| {
                let mut engines = known.engines().filter(|(_, e)| e.engine.name == engine.subject);
                engines.any(|(_, e)| in_container(&e.engine, &of.device))
            })
    };
    user(from, to) || user(to, from) || lives_in(from, to) || lives_in(to, from)
}

/// Whether a disk's name goes on so behind the name of its NVMe drive:
/// `nvme0n1p2` is on `nvme0`.
fn is_namespace(rest: &str) -> bool {
    rest.strip_prefix('n').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

/// Whether an engine works on this accelerator: by process or container, or by
/// what its agent found of its processes' ancestry.
pub(in crate::diagnosis) fn works_on(of: &EngineFacts, device: &Device) -> bool {
    let Some(accelerator) = &device.accelerator else { return false };
    let engine = &of.engine;
    let by_agent = |of: &&EngineDetails| {
        of.rank == EngineDetails::BY_AGENT && of.producer == EngineDetails::BY_AGENT
    };
    let mut found = of.details.iter().filter(by_agent).flat_map(|of| &of.devices);
    if found.any(|of| of.device == device.name) {
        return true;
    }
    accelerator.processes.iter().any(|of| {
        (engine.process != 0 && of.process == engine.process)
            || (!engine.container.is_empty() && of.container == engine.container)
    })
}

fn container_works_on(container: &Device, device: &Device) -> bool {
    let Some(accelerator) = &device.accelerator else { return false };
    !container.container.is_empty()
        && accelerator.processes.iter().any(|of| of.container == container.container)
}

/// Whether an engine runs in this container.
pub(in crate::diagnosis) fn in_container(engine: &Engine, container: &Device) -> bool {
    !engine.container.is_empty() && engine.container == container.container
}

/// Engines and pods that are hit when this subject is ill.
pub(super) fn impact(known: &Known, subject: Subject<'_>) -> Vec<String> {
    let mut hit = Vec::new();
    let device = known.device_named(subject.name).map(|(_, of)| &of.device);
    for (_, of) in known.engines() {
        let engine = &of.engine;
        let is_hit = match subject.kind {
            "node" | "interface" => true,
            "engine" => engine.name == subject.name,
            "container" => device.is_some_and(|device| in_container(engine, device)),
            _ => device.is_some_and(|device| works_on(of, device)),
        };
        if is_hit {
            note(&mut hit, format!("engine {}", engine.name));
            if !engine.pod.is_empty() {
                note(&mut hit, format!("pod {}", engine.pod));
            }
        }
    }
    if let Some(device) = device {
        let processes = device.accelerator.iter().flat_map(|of| &of.processes);
        let pods = processes.map(|of| &of.pod).chain([&device.pod]);
        for pod in pods.filter(|pod| !pod.is_empty()) {
            note(&mut hit, format!("pod {pod}"));
        }
    }
    hit
}

/// Whether a subject exists in a simulation only.
pub(super) fn is_simulated(known: &Known, subject: Subject<'_>) -> bool {
    if subject.kind == "engine" {
        let mut named = known.engines().filter(|(_, of)| of.engine.name == subject.name);
        return named.any(|(_, of)| of.engine.source == "simulated");
    }
    let device =
        known.device_named(subject.name).and_then(|(_, of)| of.device.accelerator.as_ref());
    device.is_some_and(|of| of.simulated)
}

fn note(hit: &mut Vec<String>, name: String) {
    if hit.len() < IMPACT_MAX && !hit.contains(&name) {
        hit.push(name);
    }
}
