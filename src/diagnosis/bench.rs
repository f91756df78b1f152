//! Where a rule stands while it judges: what is known, what the operator set,
//! and where it says what it concludes.

use super::at::At;
use super::facts::{DeviceFacts, EngineFacts};
use super::known::{FRESH_NS, Known, Place};
use super::plan::Plan;
use super::slots::Profile;
use super::verdicts::{Verdicts, works_on};
use super::{Conclusion, LimitSource, Subject, reading_evidence};
use crate::schema::{Action, Device, Evidence, MetricId, Severity};

/// What a rule sees and where it concludes, for as long as one call.
#[derive(Debug)]
pub struct Bench<'a> {
    pub(super) at: At,
    pub(super) now_ns: u64,
    pub(super) known: &'a Known,
    pub(super) plan: &'a Plan,
    pub(super) rule: &'a Profile,
    pub(super) verdicts: &'a mut Verdicts,
}

impl<'a> Bench<'a> {
    /// The node's clocks at the fact that is being judged.
    #[must_use]
    pub const fn at(&self) -> At {
        self.at
    }

    /// The stage's own count of time, which never runs backwards, ns.
    #[must_use]
    pub const fn now_ns(&self) -> u64 {
        self.now_ns
    }

    /// What is known of the node.
    #[must_use]
    pub const fn known(&self) -> &'a Known {
        self.known
    }

    /// The node as a subject.
    #[must_use]
    pub fn node(&self) -> Subject<'a> {
        Subject::node(&self.known.node)
    }

    /// The device in this place.
    #[must_use]
    pub fn device(&self, place: Place) -> Option<&'a DeviceFacts> {
        self.known.device(place)
    }

    /// The engine in this place.
    #[must_use]
    pub fn engine(&self, place: Place) -> Option<&'a EngineFacts> {
        self.known.engine(place)
    }

    /// The value of a device's metric, if it was heard of lately.
    #[must_use]
    pub fn value(&self, place: Place, metric: MetricId) -> Option<f64> {
        let held = self.known.device(place)?.held(metric)?;
        (held.heard_ns + FRESH_NS >= self.now_ns).then_some(held.value)
    }

    /// Whether an engine works on this accelerator.
    #[must_use]
    pub fn works_on(&self, engine: &EngineFacts, device: &Device) -> bool {
        works_on(engine, device)
    }

    /// A reading as evidence; empty, and kept by no verdict, where it is absent.
    #[must_use]
    pub fn evidence(&self, place: Place, metric: MetricId, limit: Option<f64>) -> Evidence {
        let Some(of) = self.known.device(place) else { return Evidence::default() };
        let Some(held) = of.held(metric) else { return Evidence::default() };
        reading_evidence(self.at.wall_ns, &of.device.name, held, limit)
    }

    /// Whether a gauge that is 0 or 1 is up.
    #[must_use]
    pub fn is_up(&self, place: Place, metric: MetricId) -> bool {
        self.value(place, metric).is_some_and(|value| value >= 1.0)
    }

    /// A number of the rule's own settings.
    #[must_use]
    pub fn setting(&self, key: &str) -> f64 {
        self.plan.number(self.rule.entry, key)
    }

    /// A setting that is a time in seconds, as ns.
    #[must_use]
    pub fn setting_ns(&self, key: &str) -> u64 {
        (self.setting(key) * 1e9) as u64
    }

    /// Where a limit that stands in the settings comes from.
    #[must_use]
    pub fn setting_source(&self, key: &str) -> LimitSource {
        if self.plan.is_set(self.rule.entry, key) {
            LimitSource::Operator
        } else {
            LimitSource::Default
        }
    }

    /// The operator's plan.
    #[must_use]
    pub const fn plan(&self) -> &'a Plan {
        self.plan
    }

    /// It happened, once more if it is open already.
    pub fn raise(&mut self, subject: Subject<'_>, key: &str, conclusion: Conclusion) {
        let of = self.scene();
        self.verdicts.raise(&of, subject, key, conclusion);
    }

    /// It happened again: whether it is open, so that nothing needs to be
    /// concluded anew. Counts it, and keeps nothing else.
    pub fn again(&mut self, subject: Subject<'_>, key: &str) -> bool {
        let of = self.scene();
        self.verdicts.again(&of, subject, key)
    }

    /// It holds, as it may have before. What it is about is asked for only
    /// where it is not open at this severity, or its evidence has grown old.
    pub fn hold(
        &mut self,
        subject: Subject<'_>,
        key: &str,
        severity: Severity,
        conclude: impl FnOnce() -> Conclusion,
    ) {
        let of = self.scene();
        if !self.verdicts.holds(&of, subject, key, severity) {
            let conclusion = Conclusion { severity, ..conclude() };
            self.verdicts.hold(&of, subject, key, conclusion);
        }
    }

    /// It does not hold, or not any more.
    pub fn clear(&mut self, subject: Subject<'_>, key: &str) {
        let of = self.scene();
        self.verdicts.clear(&of, subject, key);
    }

    /// Whether it is open.
    #[must_use]
    pub fn is_open(&self, subject: Subject<'_>, key: &str) -> bool {
        self.verdicts.is_open(&self.known.node, &self.rule.name, subject, key)
    }

    /// Whether another rule has something open on this subject.
    #[must_use]
    pub fn has_open(&self, rule: &str, subject: Subject<'_>) -> bool {
        self.verdicts.has_open(rule, subject)
    }

    /// The driver itself says what is to be done with a device, or, with
    /// nothing, that nothing is.
    pub fn driver_says(&mut self, subject: Subject<'_>, action: Option<Action>) {
        let of = self.scene();
        self.verdicts.driver_says(&of, subject, action);
    }

    fn scene(&self) -> Scene<'a> {
        Scene {
            at: self.at,
            now_ns: self.now_ns,
            known: self.known,
            plan: self.plan,
            rule: self.rule,
        }
    }
}

/// Who concludes, when, and knowing what.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scene<'a> {
    pub(super) at: At,
    pub(super) now_ns: u64,
    pub(super) known: &'a Known,
    pub(super) plan: &'a Plan,
    pub(super) rule: &'a Profile,
}
