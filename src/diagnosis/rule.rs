//! What a rule is: a named judgement built on detectors.

use super::{Bench, Fact, Place};
use crate::schema::{EventKind, MetricId};

/// What the family knows of a rule.
#[derive(Debug)]
pub struct Entry {
    /// Lower-case, stable; part of each of its verdicts' ids.
    pub name: &'static str,
    /// One sentence.
    pub summary: &'static str,
    /// Its page, `docs/rules/<name>.md`.
    pub page: Page,
    /// Its own settings, beyond `enabled` and `severity`.
    pub settings: &'static [Setting],
    /// Which facts it is told.
    pub wants: Wants,
    /// Whose consequences its verdicts may be.
    pub consequence_of: &'static [Relation],
    /// Whether the driver's own word on what to do outranks the rule's.
    pub follows_driver: bool,
    /// A rule that has seen nothing yet.
    pub open: fn() -> Box<dyn Rule>,
}

/// What a person should know of a rule, in whole sentences.
#[derive(Debug)]
pub struct Page {
    /// What it concludes, and from what.
    pub concludes: &'static str,
    /// Why that matters to inference.
    pub matters: &'static str,
    /// The evidence that it needs.
    pub needs: &'static str,
    /// When it stays silent although something looks odd.
    pub silent: &'static str,
    /// What to do about its verdicts.
    pub remedy: &'static str,
}

/// One number that an operator may change.
#[derive(Debug)]
pub struct Setting {
    /// The key within the rule's table, its unit last.
    pub key: &'static str,
    /// What it is unless told otherwise.
    pub default: f64,
    /// The least and the most that it may be.
    pub range: (f64, f64),
    /// One sentence.
    pub help: &'static str,
}

/// Which facts a rule is told.
#[derive(Debug, Clone, Copy)]
pub struct Wants {
    /// A device is looked at when one of these readings of it changed.
    pub metrics: &'static [MetricId],
    /// Events of these kinds.
    pub events: &'static [EventKind],
    /// Devices that are new or changed.
    pub devices: bool,
    /// Engines that are new or changed.
    pub engines: bool,
    /// An engine is looked at when one of its ranks took a step.
    pub steps: bool,
    /// What engines say beside their steps.
    pub details: bool,
    /// That time passes, whatever else happens.
    pub ticks: bool,
}

impl Wants {
    /// Wants nothing; for `..Wants::NOTHING`.
    pub const NOTHING: Self = Self {
        metrics: &[],
        events: &[],
        devices: false,
        engines: false,
        steps: false,
        details: false,
        ticks: false,
    };
}

/// That a rule's verdicts may be consequences of another's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Relation {
    /// The rule that tells the cause.
    pub rule: &'static str,
    /// The key of its verdict; empty stands for any.
    pub key: &'static str,
    /// How the cause's subject must stand to the consequence's.
    pub reach: Reach,
    /// How far apart the two may begin, seconds.
    pub window_s: u64,
}

impl Relation {
    /// Any verdict of this rule.
    #[must_use]
    pub const fn to(rule: &'static str, reach: Reach, window_s: u64) -> Self {
        Self { rule, key: "", reach, window_s }
    }
}

/// How the subjects of a cause and of its consequence stand to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// They are one.
    Same,
    /// They are one, or a device and its part, or an engine or container and
    /// the device that it works on.
    Linked,
    /// Any two of one node.
    Node,
}

/// A named judgement. It sees facts and time through its bench, and says there
/// what it concludes.
pub trait Rule: Send + std::fmt::Debug {
    /// Takes an event, a device, an engine or details that it wants.
    fn fact(&mut self, fact: &Fact<'_>, bench: &mut Bench<'_>) {
        let _ = (fact, bench);
    }

    /// Looks at a device or engine of which something that it wants changed,
    /// or that it asked to see again.
    fn look(&mut self, place: Place, bench: &mut Bench<'_>) -> Look {
        let _ = (place, bench);
        Look::Done
    }

    /// Lets time pass, if it wants ticks.
    fn tick(&mut self, bench: &mut Bench<'_>) {
        let _ = bench;
    }

    /// Drops what it knows of a device or engine that will not come back.
    fn forget(&mut self, place: Place) {
        let _ = place;
    }
}

/// Whether a rule wants to look at a place again when time has passed, even if
/// nothing changes there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// Only when something changes.
    Done,
    /// Next round.
    Again,
}
