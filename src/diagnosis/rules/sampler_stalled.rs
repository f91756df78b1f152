//! A sampler of ours does not get on.

use crate::diagnosis::{Bench, Conclusion, Entry, Fact, Page, Rule, Wants, event_evidence};
use crate::schema::{Action, EventKind, Health, Severity};

/// What the family knows of this rule.
pub(super) static RULE: Entry = Entry {
    name: "sampler_stalled",
    summary: "A sampler does not get on, so that its readings grow old.",
    page: Page {
        concludes: "The agent's own watch says that a sampler missed its periods.",
        matters: "What it samples is not seen: no verdict on it is no news.",
        needs: "The agent's event.",
        silent: "When the sampler ticks again.",
        remedy: "Run `eagle-eye doctor`; a source that hangs has a verdict of its own.",
    },
    settings: &[],
    wants: Wants {
        events: &[EventKind::SamplerStalled, EventKind::SamplerRecovered, EventKind::AgentStarted],
        ..Wants::NOTHING
    },
    consequence_of: &[
        crate::diagnosis::Relation::to("driver_silent", crate::diagnosis::Reach::Node, 120),
        crate::diagnosis::Relation::to("host_swap", crate::diagnosis::Reach::Node, 120),
        crate::diagnosis::Relation::to("cpu_starved", crate::diagnosis::Reach::Node, 120),
    ],
    follows_driver: false,
    open: || Box::new(SamplerStalled),
};

/// Remembers nothing: what is open says it all.
#[derive(Debug)]
struct SamplerStalled;

impl Rule for SamplerStalled {
    fn fact(&mut self, fact: &Fact<'_>, bench: &mut Bench<'_>) {
        let Fact::Event(event) = fact else { return };
        let node = bench.node();
        if event.kind != EventKind::SamplerStalled {
            bench.clear(node, &event.subject);
            return;
        }
        let evidence = vec![event_evidence(event)];
        bench.hold(node, &event.subject, Severity::Warning, || Conclusion {
            text: format!(
                "Sampler {} does not get on: what it samples is not seen.",
                event.subject
            ),
            cause: "Its source hangs, or its thread gets no processor.".into(),
            confidence: 0.95,
            evidence,
            action: Action::Investigate,
            steps: vec![
                "Run `eagle-eye doctor` on the node.".into(),
                "Look for a source that does not answer, and for CPU pressure.".into(),
            ],
            health: Health::Healthy,
            ..Conclusion::default()
        });
    }
}

#[cfg(test)]
mod tests {
    use crate::diagnosis::rules::trial::Trial;
    use crate::schema::EventKind;

    #[test]
    fn a_stall_is_told_until_it_is_over() {
        let mut trial = Trial::new();
        trial.event(EventKind::SamplerStalled, "procfs", "sampler procfs stalls");
        trial.seconds(30);
        assert_eq!(trial.open(), ["sampler_stalled node1"]);
        trial.event(EventKind::SamplerRecovered, "kmsg", "sampler kmsg ticks again");
        assert_eq!(trial.open(), ["sampler_stalled node1"]);
        trial.event(EventKind::SamplerRecovered, "procfs", "sampler procfs ticks again");
        assert_eq!(trial.open(), Vec::<String>::new());
    }
}
