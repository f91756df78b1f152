//! An accelerator slows down against heat.

use std::collections::BTreeMap;

use crate::diagnosis::detectors::{Hold, odd_one_out};
use crate::diagnosis::limits::{memory_celsius_max, slowdown_celsius};
use crate::diagnosis::{
    Bench, Conclusion, Counters, DeviceFacts, Entry, Look, Page, Place, Reach, Relation, Rule,
    Setting, Subject, Wants,
};
use crate::schema::{Action, Health, MetricId, Severity};

/// What the family knows of this rule.
pub(super) static RULE: Entry = Entry {
    name: "thermal_throttle",
    summary: "A GPU or NPU is slowed down against heat.",
    page: Page {
        concludes: "The driver or the hardware lowers the clocks because the chip or its memory is \
                    too hot. The cause names what tells one hot card from a hot chassis: how warm \
                    its sisters are.",
        matters: "Clocks fall by tens of percent, steps take longer, and every request of the \
                  batch waits for the slowest card of its group.",
        needs: "A thermal reason among the clocks' reasons, or a growing time of thermal slowdown, \
                or, where the driver gives no reason, a busy chip below its rated clock that is at \
                its slowdown temperature; for as long as `hold_s`.",
        silent: "For a warm chip that keeps its clocks, for a short peak, and for slowdowns by the \
                 power limit.",
        remedy: "One hot card among cool ones: its heat sink, thermal paste or own fan. Several: \
                 fans, filters, inlet temperature, blanking panels.",
    },
    settings: &[
        Setting {
            key: "hold_s",
            default: 10.0,
            range: (0.0, 3600.0),
            help: "How long it must slow down, and then not, seconds.",
        },
        Setting {
            key: "share_ratio",
            default: 0.1,
            range: (0.001, 1.0),
            help: "Share of a minute slowed down from which it counts although it comes and goes.",
        },
    ],
    wants: Wants {
        metrics: &[
            MetricId::AcceleratorThrottleThermalSoftware,
            MetricId::AcceleratorThrottleThermalHardware,
            MetricId::AcceleratorThrottledThermal,
            MetricId::AcceleratorThrottled,
        ],
        ..Wants::NOTHING
    },
    consequence_of: &[Relation::to("cooling", Reach::Node, 300)],
    follows_driver: false,
    open: || {
        Box::new(ThermalThrottle { cards: BTreeMap::new(), times: Counters::over(60_000_000_000) })
    },
};

#[derive(Debug)]
struct ThermalThrottle {
    cards: BTreeMap<Place, Hold>,
    times: Counters,
}

impl Rule for ThermalThrottle {
    fn look(&mut self, place: Place, bench: &mut Bench<'_>) -> Look {
        let Some(of) = bench.device(place).filter(|of| of.is_accelerator()) else {
            return Look::Done;
        };
        let rate = self.times.per_second(bench, place, MetricId::AcceleratorThrottledThermal);
        let often = rate.is_some_and(|share| share >= bench.setting("share_ratio"));
        let slowed = often || is_slowed(of, place, bench);
        let hold = self.cards.entry(place).or_default();
        let subject = Subject::of(&of.device);
        if hold.is(bench.now_ns(), slowed, bench.setting_ns("hold_s")) {
            let hardware = bench.is_up(place, MetricId::AcceleratorThrottleThermalHardware);
            let severity = if hardware { Severity::Error } else { Severity::Warning };
            let conclusion = conclusion(of, place, bench);
            bench.hold(subject, "", severity, || conclusion);
        } else {
            bench.clear(subject, "");
        }
        let counts = of.held(MetricId::AcceleratorThrottledThermal).is_some();
        if hold.is_on() || hold.waits() || counts { Look::Again } else { Look::Done }
    }

    fn forget(&mut self, place: Place) {
        self.cards.remove(&place);
        self.times.forget(place);
    }
}

/// Whether heat slows it down at this moment.
pub(super) fn is_slowed(of: &DeviceFacts, place: Place, bench: &Bench<'_>) -> bool {
    let reasons = [
        MetricId::AcceleratorThrottleThermalSoftware,
        MetricId::AcceleratorThrottleThermalHardware,
    ];
    if reasons.iter().any(|reason| bench.value(place, *reason).is_some()) {
        return reasons.iter().any(|reason| bench.is_up(place, *reason));
    }
    let hot = bench.value(place, MetricId::AcceleratorTemperature);
    let hot = hot.is_some_and(|celsius| celsius >= slowdown_celsius(of).limit - 1.0);
    hot && bench.is_up(place, MetricId::AcceleratorThrottled)
}

fn conclusion(of: &DeviceFacts, place: Place, bench: &Bench<'_>) -> Conclusion {
    let name = &of.device.name;
    let slowdown = slowdown_celsius(of);
    let memory = memory_celsius_max(of);
    let celsius = bench.value(place, MetricId::AcceleratorTemperature);
    let memory_celsius = bench.value(place, MetricId::AcceleratorMemoryTemperature);
    let memory_hot = memory_celsius.is_some_and(|celsius| celsius >= memory.limit - 2.0);
    let part = if memory_hot { "memory" } else { "chip" };
    let (part_celsius, limit) =
        if memory_hot { (memory_celsius, memory) } else { (celsius, slowdown) };
    let mut evidence = vec![
        bench.evidence(place, MetricId::AcceleratorTemperature, Some(slowdown.limit)),
        bench.evidence(place, MetricId::AcceleratorThrottleThermalHardware, None),
        bench.evidence(place, MetricId::AcceleratorThrottleThermalSoftware, None),
    ];
    if memory_hot {
        let metric = MetricId::AcceleratorMemoryTemperature;
        evidence.push(bench.evidence(place, metric, Some(memory.limit)));
    }
    let at = part_celsius.map_or_else(String::new, |celsius| format!(" at {celsius} °C"));
    let (cause, first) = cause(place, bench, memory_hot);
    Conclusion {
        text: format!("{name} is slowed down against heat: its {part} is too hot{at}."),
        cause,
        confidence: 0.9,
        evidence,
        action: Action::RepairCooling,
        steps: vec![
            first,
            "Compare inlet temperature and fan speeds with those of a well node.".into(),
            format!("Until then give {name} less load, or lower its power limit."),
        ],
        health: Health::Degraded,
        limit_source: limit.source,
        ..Conclusion::default()
    }
}

/// Why it is hot, by its sisters, and what to look at first.
fn cause(place: Place, bench: &Bench<'_>, memory_hot: bool) -> (String, String) {
    let metric = if memory_hot {
        MetricId::AcceleratorMemoryTemperature
    } else {
        MetricId::AcceleratorTemperature
    };
    let sisters: Vec<(Place, f64)> = bench
        .known()
        .accelerators()
        .filter_map(|(place, _)| Some((place, bench.value(place, metric)?)))
        .collect();
    let values: Vec<f64> = sisters.iter().map(|(_, celsius)| *celsius).collect();
    let at = sisters.iter().position(|(of, _)| *of == place);
    let odd = at.and_then(|at| odd_one_out(&values, at, 3.0)).is_some_and(|off| off >= 3.0);
    if odd {
        return (
            "It is hot among cool sisters: its own heat sink, thermal paste or fan.".into(),
            "Reseat or clean the heat sink of this card, and check its fan.".into(),
        );
    }
    let own = at.map_or(0.0, |at| values[at]);
    let warm = values.iter().filter(|celsius| **celsius >= own - 8.0).count();
    if warm >= 3 && warm * 2 >= values.len() {
        return (
            format!("{warm} of {} cards are hot: too little or too warm air.", values.len()),
            "Check fans, filters and blanking panels of the chassis, and the inlet air.".into(),
        );
    }
    (
        "Its cooling does not carry off what it draws.".into(),
        "Check the airflow at this card's slot.".into(),
    )
}

#[cfg(test)]
mod tests {
    use crate::diagnosis::rules::trial::{Trial, gpu};
    use crate::schema::MetricId::{
        AcceleratorTemperature as Celsius, AcceleratorThrottlePowerCap as PowerCap,
        AcceleratorThrottleThermalHardware as Hardware,
        AcceleratorThrottleThermalSoftware as Software,
    };
    use crate::schema::{Severity, VerdictState};

    fn node(celsius: &[f64]) -> Trial {
        let mut trial = Trial::new();
        for (index, celsius) in celsius.iter().enumerate() {
            let index = index as u32;
            trial.device(&gpu(index));
            trial.set(index, Celsius, *celsius);
            trial.set(index, Hardware, 0.0);
            trial.set(index, Software, 0.0);
        }
        trial.seconds(5);
        trial
    }

    #[test]
    fn one_hot_card_among_cool_ones_is_its_own_trouble() {
        let mut trial = node(&[62.0, 63.0, 61.0, 91.0, 62.0, 64.0, 63.0, 62.0]);
        trial.set(3, Hardware, 1.0);
        trial.seconds(20);
        let told = trial.told();
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!((told[0].subject.as_str(), told[0].severity), ("gpu3", Severity::Error));
        assert!(told[0].cause.contains("among cool sisters"), "{}", told[0].cause);
        assert_eq!(told[0].limit_source, "default");
        trial.set(3, Hardware, 0.0);
        trial.seconds(20);
        assert_eq!(trial.told()[0].state, VerdictState::Resolved);
    }

    #[test]
    fn a_short_peak_and_a_power_cap_are_no_heat() {
        let mut trial = node(&[80.0, 80.0]);
        trial.set(0, Software, 1.0);
        trial.seconds(5);
        trial.set(0, Software, 0.0);
        trial.set(1, PowerCap, 1.0);
        trial.seconds(120);
        assert_eq!(trial.open(), Vec::<String>::new());
    }

    #[test]
    fn without_reasons_and_clocks_nothing_is_said() {
        let mut trial = Trial::new();
        trial.device(&gpu(0));
        trial.set(0, Celsius, 95.0);
        trial.seconds(60);
        assert_eq!(trial.open(), Vec::<String>::new());
    }
}
