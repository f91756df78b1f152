//! A container suffers from what another one on the node does.

use super::level::{Level, Levels};
use crate::diagnosis::{
    Bench, Conclusion, Counters, Entry, Page, Place, Reach, Relation, Setting, Wants,
};
use crate::schema::{Action, Health, MetricId, Severity};

/// What the family knows of this rule.
pub(super) static RULE: Entry = Entry {
    name: "neighbour",
    summary: "An engine's container waits for processors that others on the node use.",
    page: Page {
        concludes: "Tasks in an engine's container wait for processors for much of the time, the \
                    container is not held back by a quota of its own, and other containers use \
                    most of the CPU time.",
        matters: "The engine's scheduler is late for every step, through no fault of its own.",
        needs: "CPU pressure and CPU time of the containers.",
        silent: "For containers without an engine, for ones that their own quota holds back, and \
                 where the engine itself uses the processors.",
        remedy: "Give the engine processors of its own, or limit or move the neighbour.",
    },
    settings: &[
        Setting {
            key: "share_ratio",
            default: 0.3,
            range: (0.01, 1.0),
            help: "Share of time in which its tasks wait from which it counts.",
        },
        Setting {
            key: "hold_s",
            default: 60.0,
            range: (0.0, 3600.0),
            help: "How long that must last, seconds.",
        },
    ],
    wants: Wants {
        metrics: &[MetricId::ContainerPressureCpuSome, MetricId::ContainerCpu],
        ..Wants::NOTHING
    },
    consequence_of: &[Relation::to("cpu_starved", Reach::Node, 600)],
    follows_driver: false,
    open: || Levels::open(&LEVEL),
};

fn measure(counters: &mut Counters, place: Place, bench: &Bench<'_>) -> Option<f64> {
    let of = bench.device(place)?;
    let used = counters.per_second(bench, place, MetricId::ContainerCpu);
    let waits = counters.per_second(bench, place, MetricId::ContainerPressureCpuSome)?;
    let held = counters.per_second(bench, place, MetricId::ContainerThrottled);
    let id = &of.device.container;
    let engine = bench.known().engines().any(|(_, of)| of.engine.container == *id);
    if id.is_empty() || !engine || held.unwrap_or_default() > 0.05 {
        return Some(0.0);
    }
    let (others, _) = busiest(counters, place, bench)?;
    Some(if others > used.unwrap_or_default() { waits } else { 0.0 })
}

/// CPU time a second of the busiest other container, and its name.
fn busiest<'a>(counters: &Counters, place: Place, bench: &Bench<'a>) -> Option<(f64, &'a str)> {
    let rates = counters.rates_of(MetricId::ContainerCpu).filter(|(of, _)| *of != place);
    let most = rates.max_by(|one, other| one.1.total_cmp(&other.1))?;
    Some((most.1, &bench.device(most.0)?.device.name))
}

static LEVEL: Level = Level {
    span_s: 60,
    measure,
    limit: "share_ratio",
    release: 0.6,
    conclude: |of, share, place, bench| {
        let name = &of.device.name;
        let mut others: Vec<_> = bench
            .known()
            .devices()
            .filter(|(other, of)| *other != place && of.device.kind == "container")
            .filter_map(|(_, of)| Some((of.value(MetricId::ContainerCpu)?, &of.device.name)))
            .collect();
        others.sort_by(|one, other| other.0.total_cmp(&one.0));
        let busy: Vec<&str> = others.iter().take(3).map(|(_, name)| name.as_str()).collect();
        Conclusion {
            severity: Severity::Warning,
            text: format!(
                "Container {name} waits for processors for {:.0} % of the time, since others use them.",
                share * 100.0
            ),
            cause: format!("Neighbours with the most CPU time: {}.", busy.join(", ")),
            confidence: 0.75,
            evidence: vec![
                bench.evidence(place, MetricId::ContainerPressureCpuSome, None),
                bench.evidence(place, MetricId::ContainerCpu, None),
            ],
            action: Action::ChangeSetting,
            steps: vec![
                "Give the engine processors of its own (a CPU set, or whole-core requests).".into(),
                "Limit the neighbour, or move it to another node.".into(),
            ],
            health: Health::Degraded,
            ..Conclusion::default()
        }
    },
};

#[cfg(test)]
mod tests {
    use crate::diagnosis::rules::trial::{Trial, device};
    use crate::schema::{
        Engine, MetricId::ContainerCpu as Cpu, MetricId::ContainerPressureCpuSome as Pressure,
    };

    fn played(engine: bool, own: f64, other: f64) -> bool {
        let mut trial = Trial::new();
        for (index, name) in [(1, "c1"), (2, "c2")] {
            let mut of = device(index, "container", name);
            of.container = format!("id-{name}");
            trial.device(&of);
        }
        if engine {
            trial.engine(&Engine { container: "id-c1".into(), ..Engine::named("e", "m") });
        }
        trial.grow(1, Cpu, 0.0, own);
        trial.grow(2, Cpu, 0.0, other);
        trial.grow(1, Pressure, 0.0, 0.6);
        trial.grow(2, Pressure, 0.0, 0.0);
        trial.seconds(200);
        trial.open().contains(&"neighbour c1".to_owned())
    }

    #[test]
    fn an_engine_that_waits_while_another_computes_has_a_noisy_neighbour() {
        assert!(played(true, 2.0, 40.0));
        assert!(!played(true, 40.0, 2.0));
        assert!(!played(false, 2.0, 40.0));
    }
}
