//! A network interface or port lost its signal.

use std::collections::BTreeMap;

use crate::diagnosis::detectors::Hold;
use crate::diagnosis::{
    Bench, Conclusion, Entry, Look, Page, Place, Reach, Relation, Rule, Setting, Subject, Wants,
};
use crate::schema::{Action, Health, MetricId, Severity};

/// What the family knows of this rule.
pub(super) static RULE: Entry = Entry {
    name: "link_down",
    summary: "A network interface or an InfiniBand port lost its signal.",
    page: Page {
        concludes: "A link that was up, and has a rate of its own as hardware has, is down.",
        matters: "What went over it goes elsewhere or nowhere: groups of engines time out.",
        needs: "The interface's carrier or the port's state, seen up before.",
        silent: "For links that were never up, for interfaces that are switched off, and for those \
                 of containers, which have no rate.",
        remedy: "Check cable, module and the switch's port.",
    },
    settings: &[Setting {
        key: "hold_s",
        default: 10.0,
        range: (0.0, 3600.0),
        help: "How long it must be down, seconds.",
    }],
    wants: Wants {
        metrics: &[
            MetricId::InterfaceCarrier,
            MetricId::InfinibandPortActive,
            MetricId::InterfaceSpeed,
        ],
        ..Wants::NOTHING
    },
    consequence_of: &[
        Relation::to("interface_flaps", Reach::Same, 600),
        Relation::to("link_flap", Reach::Same, 600),
        Relation::to("nic_fault", Reach::Same, 60),
    ],
    follows_driver: false,
    open: || Box::new(LinkDown { links: BTreeMap::new() }),
};

#[derive(Debug, Default)]
struct Link {
    was_up: bool,
    hold: Hold,
}

#[derive(Debug)]
struct LinkDown {
    links: BTreeMap<Place, Link>,
}

impl Rule for LinkDown {
    fn look(&mut self, place: Place, bench: &mut Bench<'_>) -> Look {
        let Some(of) = bench.device(place) else { return Look::Done };
        let port = bench.value(place, MetricId::InfinibandPortActive);
        let carrier = bench.value(place, MetricId::InterfaceCarrier);
        let (metric, up) = match (port, carrier) {
            (Some(up), _) => (MetricId::InfinibandPortActive, up),
            (None, Some(up)) => (MetricId::InterfaceCarrier, up),
            (None, None) => return Look::Done,
        };
        // The rate is not told any more once the signal is lost.
        let hardware = port.is_some() || of.held(MetricId::InterfaceSpeed).is_some();
        let link = self.links.entry(place).or_default();
        link.was_up |= up >= 1.0 && hardware;
        let down = link.was_up && up < 1.0;
        let subject = Subject::of(&of.device);
        if link.hold.is(bench.now_ns(), down, bench.setting_ns("hold_s")) {
            let evidence = vec![bench.evidence(place, metric, None)];
            let name = &of.device.name;
            bench.hold(subject, "", Severity::Error, || Conclusion {
                text: format!("{name} was up and lost its signal."),
                cause: "A cable, a module, the switch's port, or the switch.".into(),
                confidence: 0.85,
                evidence,
                action: Action::RepairLink,
                steps: vec![format!("Check cable and module of {name}, then the switch's port.")],
                health: Health::Failed,
                ..Conclusion::default()
            });
        } else {
            bench.clear(subject, "");
        }
        if link.hold.is_on() || link.hold.waits() { Look::Again } else { Look::Done }
    }

    fn forget(&mut self, place: Place) {
        self.links.remove(&place);
    }
}

#[cfg(test)]
mod tests {
    use crate::diagnosis::rules::trial::{Trial, device};
    use crate::schema::MetricId::{InterfaceCarrier as Carrier, InterfaceSpeed as Speed};

    fn played(speed: bool, first: f64) -> Vec<String> {
        let mut trial = Trial::new();
        trial.device(&device(1, "interface", "eth0"));
        if speed {
            trial.set(1, Speed, 1e9);
        }
        trial.set(1, Carrier, first);
        trial.seconds(20);
        trial.stop(1, Speed);
        trial.set(1, Carrier, 0.0);
        trial.seconds(60);
        trial.open()
    }

    #[test]
    fn a_link_that_was_up_counts_and_a_free_port_does_not() {
        assert_eq!(played(true, 1.0), ["link_down eth0"]);
        assert_eq!(played(true, 0.0), Vec::<String>::new());
        assert_eq!(played(false, 1.0), Vec::<String>::new());
    }
}
