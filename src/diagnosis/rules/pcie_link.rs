//! A PCIe link runs with fewer lanes or slower than it can.

use std::collections::BTreeMap;

use crate::diagnosis::detectors::Hold;
use crate::diagnosis::{
    Bench, Conclusion, Entry, LimitSource, Look, Page, Place, Rule, Setting, Subject, Wants,
};
use crate::schema::{Action, Health, MetricId, Severity};

/// What the family knows of this rule.
pub(super) static RULE: Entry = Entry {
    name: "pcie_link",
    summary: "A PCIe link runs with fewer lanes or slower than it can.",
    page: Page {
        concludes: "A busy accelerator's link has fewer lanes, or a lower generation, than device \
                    and slot can have.",
        matters: "Loading weights, offloading and transfers of KV blocks take twice as long with \
                  half the lanes.",
        needs: "Lanes and generation, now and at most, and a busy device: idle links sleep.",
        silent: "While the device is idle, for the generation; and for slots that have fewer lanes \
                 by design, where the device says so itself.",
        remedy: "Reseat card, riser and cables; if one slot is always so, swap to find the part.",
    },
    settings: &[
        Setting {
            key: "busy_ratio",
            default: 0.3,
            range: (0.0, 1.0),
            help: "Utilization from which the device counts as busy.",
        },
        Setting {
            key: "hold_s",
            default: 30.0,
            range: (0.0, 3600.0),
            help: "How long that must last, seconds.",
        },
    ],
    wants: Wants {
        metrics: &[
            MetricId::AcceleratorPcieLanes,
            MetricId::AcceleratorPcieGeneration,
            MetricId::AcceleratorUtilization,
        ],
        ..Wants::NOTHING
    },
    consequence_of: &[],
    follows_driver: false,
    open: || Box::new(PcieLink { links: BTreeMap::new() }),
};

#[derive(Debug)]
struct PcieLink {
    links: BTreeMap<Place, Hold>,
}

impl Rule for PcieLink {
    fn look(&mut self, place: Place, bench: &mut Bench<'_>) -> Look {
        let Some(of) = bench.device(place) else { return Look::Done };
        let lanes = pair(bench, place, LANES);
        let generation = pair(bench, place, GENERATION);
        if lanes.is_none() && generation.is_none() {
            return Look::Done;
        }
        let busy = bench.value(place, MetricId::AcceleratorUtilization);
        let busy = busy.is_some_and(|share| share >= bench.setting("busy_ratio"));
        let below = |of: Option<(f64, f64)>| of.is_some_and(|(now, most)| now < most && now >= 1.0);
        // An idle device says nothing: what was found while it worked stands.
        if !busy {
            let hold = self.links.get(&place);
            return if hold.is_some_and(Hold::is_on) { Look::Again } else { Look::Done };
        }
        let hold = self.links.entry(place).or_default();
        let narrow = below(lanes);
        let bad = narrow || below(generation);
        let subject = Subject::of(&of.device);
        if hold.is(bench.now_ns(), bad, bench.setting_ns("hold_s")) {
            let mut what = Vec::new();
            if let Some((now, most)) = lanes.filter(|_| narrow) {
                what.push(format!("{now} of {most} lanes"));
            }
            if let Some((now, most)) = generation.filter(|of| below(Some(*of))) {
                what.push(format!("generation {now} of {most}"));
            }
            let half = lanes.is_some_and(|(now, most)| now * 2.0 <= most);
            let severity = if half { Severity::Error } else { Severity::Warning };
            let evidence = vec![
                bench.evidence(place, LANES.0, lanes.map(|of| of.1)),
                bench.evidence(place, GENERATION.0, generation.map(|of| of.1)),
            ];
            let name = &of.device.name;
            bench.hold(subject, "", severity, || Conclusion {
                text: format!("The PCIe link of {name} runs with {}.", what.join(" and ")),
                cause: "A bad contact or riser made the link train down.".into(),
                confidence: 0.85,
                evidence,
                action: Action::RepairLink,
                steps: vec![
                    format!("Reset {name}; a link that comes back whole had a passing fault."),
                    "Else reseat card, riser and cables; swap slots to find the part.".into(),
                ],
                health: Health::Degraded,
                limit_source: LimitSource::Device,
                ..Conclusion::default()
            });
        } else {
            bench.clear(subject, "");
        }
        if hold.is_on() || hold.waits() { Look::Again } else { Look::Done }
    }

    fn forget(&mut self, place: Place) {
        self.links.remove(&place);
    }
}

const LANES: (MetricId, MetricId) =
    (MetricId::AcceleratorPcieLanes, MetricId::AcceleratorPcieLanesMax);
const GENERATION: (MetricId, MetricId) =
    (MetricId::AcceleratorPcieGeneration, MetricId::AcceleratorPcieGenerationMax);

/// The value now and at most.
fn pair(bench: &Bench<'_>, place: Place, of: (MetricId, MetricId)) -> Option<(f64, f64)> {
    let most = bench.device(place)?.value(of.1)?;
    Some((bench.value(place, of.0)?, most))
}

#[cfg(test)]
mod tests {
    use crate::diagnosis::rules::trial::{Trial, gpu};
    use crate::schema::MetricId::{
        AcceleratorPcieGeneration as Generation, AcceleratorPcieGenerationMax as GenerationMax,
        AcceleratorPcieLanes as Lanes, AcceleratorPcieLanesMax as LanesMax,
        AcceleratorUtilization as Busy,
    };
    use crate::schema::Severity;

    fn played(lanes: f64, generation: f64, busy: f64) -> Trial {
        let mut trial = Trial::new();
        trial.device(&gpu(0));
        for (metric, value) in [
            (LanesMax, 16.0),
            (GenerationMax, 5.0),
            (Lanes, lanes),
            (Generation, generation),
            (Busy, busy),
        ] {
            trial.set(0, metric, value);
        }
        trial.seconds(90);
        trial
    }

    #[test]
    fn a_narrow_or_slow_link_counts_while_the_device_works() {
        let mut narrow = played(8.0, 5.0, 0.9);
        let told = narrow.told();
        assert_eq!((told.len(), told[0].severity), (1, Severity::Error));
        assert!(told[0].text.contains("8 of 16 lanes"), "{}", told[0].text);
        assert_eq!(played(16.0, 3.0, 0.9).open(), ["pcie_link gpu0"]);
    }

    #[test]
    fn an_idle_link_sleeps_and_a_whole_one_is_well() {
        assert_eq!(played(16.0, 1.0, 0.0).open(), Vec::<String>::new());
        assert_eq!(played(16.0, 5.0, 0.9).open(), Vec::<String>::new());
        let mut bare = Trial::new();
        bare.device(&gpu(0));
        bare.set(0, Busy, 1.0);
        bare.seconds(60);
        assert_eq!(bare.open(), Vec::<String>::new());
    }
}
