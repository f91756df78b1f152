//! The driver itself says what is to be done with a device.

use crate::diagnosis::{
    Bench, Conclusion, Entry, LimitSource, Look, Page, Place, Reach, Relation, Rule, Subject, Wants,
};
use crate::schema::{Action, Health, MetricId, Severity};

/// What the family knows of this rule.
pub(super) static RULE: Entry = Entry {
    name: "recovery_action",
    summary: "The driver asks for a reset of a device, or for a reboot.",
    page: Page {
        concludes: "The driver's recovery action of a GPU is not nothing. It outranks what other \
                    verdicts on the device would advise.",
        matters: "The driver knows that the device will not work well until that is done.",
        needs: "NVML's field of the recovery action, or its word in the kernel log.",
        silent: "Where the driver asks for nothing, or has no such field.",
        remedy: "Do what it asks: drain and reset the device, or drain and reboot the node.",
    },
    settings: &[],
    wants: Wants { metrics: &[MetricId::AcceleratorRecoveryAction], ..Wants::NOTHING },
    consequence_of: &[
        Relation::to("xid", Reach::Same, 60),
        Relation::to("ecc_uncorrected", Reach::Same, 60),
        Relation::to("memory_wear", Reach::Same, 600),
        Relation::to("device_gone", Reach::Same, 60),
    ],
    follows_driver: false,
    open: || Box::new(RecoveryAction),
};

/// Remembers nothing: the reading says it all.
#[derive(Debug)]
struct RecoveryAction;

impl Rule for RecoveryAction {
    fn look(&mut self, place: Place, bench: &mut Bench<'_>) -> Look {
        let Some(of) = bench.device(place) else { return Look::Done };
        let metric = MetricId::AcceleratorRecoveryAction;
        let Some(asked) = of.value(metric) else { return Look::Done };
        let name = &of.device.name;
        let (action, what) = match asked as i64 {
            1 => (Action::ResetDevice, "a reset of the device"),
            2 => (Action::RebootNode, "a reboot of the node"),
            3 => (Action::ResetDevice, "the device and its peers to be drained"),
            4 => (Action::ResetDevice, "the device to be drained and reset"),
            _ => (Action::None, ""),
        };
        let subject = Subject::of(&of.device);
        if action == Action::None {
            bench.driver_says(subject, None);
            bench.clear(subject, "");
            return Look::Done;
        }
        bench.driver_says(subject, Some(action));
        let evidence = vec![bench.evidence(place, metric, Some(0.0))];
        bench.hold(subject, "", Severity::Error, || Conclusion {
            text: format!("The driver asks for {what}: {name}."),
            cause: "A fault that the driver can not mend while the device is in use.".into(),
            confidence: 0.95,
            evidence,
            action,
            steps: vec![
                format!("Stop the engines that use {name}."),
                format!("Do what the driver asks for: {what}."),
            ],
            health: Health::Suspect,
            limit_source: LimitSource::Device,
            ..Conclusion::default()
        });
        Look::Done
    }
}

#[cfg(test)]
mod tests {
    use crate::diagnosis::rules::trial::{Trial, gpu};
    use crate::schema::Action;
    use crate::schema::MetricId::{
        AcceleratorEccUncorrected as Lost, AcceleratorRecoveryAction as Recovery,
    };

    #[test]
    fn the_drivers_word_is_told_and_outranks_what_others_advise() {
        let mut trial = Trial::new();
        trial.device(&gpu(0));
        trial.set(0, Lost, 0.0);
        trial.set(0, Recovery, 0.0);
        trial.seconds(5);
        trial.set(0, Lost, 1.0);
        trial.seconds(2);
        trial.set(0, Recovery, 2.0);
        trial.seconds(2);
        let ecc = trial.stage.open().find(|of| of.rule == "ecc_uncorrected").expect("open");
        assert_eq!(ecc.action, Action::RebootNode);
        let asked = trial.stage.open().find(|of| of.rule == "recovery_action").expect("open");
        assert_eq!((asked.action, asked.caused_by), (Action::RebootNode, ecc.id));
        trial.set(0, Recovery, 0.0);
        trial.seconds(2);
        assert_eq!(trial.open(), ["ecc_uncorrected gpu0"]);
    }

    #[test]
    fn nothing_asked_is_nothing_told() {
        let mut trial = Trial::new();
        trial.device(&gpu(0));
        trial.set(0, Recovery, 0.0);
        trial.seconds(9);
        trial.stop(0, Recovery);
        trial.seconds(9);
        assert_eq!(trial.open(), Vec::<String>::new());
    }
}
