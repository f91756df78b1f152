//! The life of verdicts: opened, changed, resolved, and never told twice.
//!
//! A condition is known by its verdict's id. What flaps is damped, what
//! repeats is counted, what is told is told at a bounded rate, and what finds
//! no room is counted as refused.

use std::collections::{BTreeMap, VecDeque};

use super::at::SECOND_NS;
use super::bench::Scene;
use super::silence::Silence;
use super::{Conclusion, Subject, verdict_id};
use crate::schema::{Action, Severity, Verdict, VerdictState};

mod case;
mod links;
mod naming;
#[cfg(test)]
mod tests;

pub(super) use case::Case;
pub(super) use links::works_on;

/// Most verdicts in memory, those resolved lately included.
pub const VERDICTS_MAX: usize = 4096;
/// Most revisions that wait to be taken; the oldest is lost first.
const UNTAKEN_MAX: usize = 16_384;
/// Most ids of verdicts that are over, whose revision is remembered.
pub(super) const PAST_MAX: usize = 65_536;
/// What comes back within this time is the same trouble.
const REOPEN_NS: u64 = 600 * SECOND_NS;

/// Every verdict of a node.
#[derive(Debug, Default)]
pub(super) struct Verdicts {
    pub(super) cases: BTreeMap<u64, Box<Case>>,
    /// Revision of what is over, so that it goes on where it stopped.
    pub(super) past: BTreeMap<u64, u32>,
    pub(super) past_order: VecDeque<u64>,
    untaken: VecDeque<Verdict>,
    /// What a device's driver says is to be done with it.
    pub(super) driver: BTreeMap<String, Action>,
    /// Conclusions that found no room.
    pub(super) refused: u64,
    /// Revisions that nobody took in time.
    pub(super) untold: u64,
    changed: bool,
    /// Up to which severity nothing finds room until the next round.
    crowded: Option<Severity>,
}

impl Verdicts {
    /// It happened, or happened again.
    pub(super) fn raise(
        &mut self,
        of: &Scene<'_>,
        subject: Subject<'_>,
        key: &str,
        conclusion: Conclusion,
    ) {
        let id = verdict_id(&of.known.node, &of.rule.name, subject.name, key);
        let conclusion = weighed(of, conclusion);
        let happened_ns = happened_ns(of, &conclusion);
        let is_open = self.cases.get(&id).is_some_and(|case| case.is_open());
        if conclusion.quiet_ns > 0 && of.now_ns - happened_ns >= conclusion.quiet_ns && !is_open {
            // It was long over when it was heard of, as a line of yesterday.
            return;
        }
        if let Some(case) = self.cases.get_mut(&id) {
            let (back, before_ns) = (!case.is_open(), case.touched_ns);
            case.count(1);
            case.take(of, conclusion);
            case.touched_ns = happened_ns.max(before_ns);
            self.relink(id, back, of);
            return;
        }
        self.open(of, id, subject, key, conclusion);
    }

    /// Counts one more of what is open.
    pub(super) fn again(&mut self, of: &Scene<'_>, subject: Subject<'_>, key: &str) -> bool {
        let id = verdict_id(&of.known.node, &of.rule.name, subject.name, key);
        let Some(case) = self.cases.get_mut(&id).filter(|case| case.is_open()) else {
            return false;
        };
        case.count(1);
        case.seen(of.now_ns);
        true
    }

    /// Whether it is open at this severity with evidence that is young.
    pub(super) fn holds(
        &mut self,
        of: &Scene<'_>,
        subject: Subject<'_>,
        key: &str,
        severity: Severity,
    ) -> bool {
        let id = verdict_id(&of.known.node, &of.rule.name, subject.name, key);
        let severity = of.plan.severity(&of.rule.name).unwrap_or(severity);
        let Some(case) = self.cases.get_mut(&id).filter(|case| case.is_open()) else {
            return false;
        };
        let young = case.verdict.severity == severity && !case.wants_evidence(of.now_ns);
        if young {
            case.seen(of.now_ns);
        }
        young
    }

    /// It holds, as it may have before.
    pub(super) fn hold(
        &mut self,
        of: &Scene<'_>,
        subject: Subject<'_>,
        key: &str,
        conclusion: Conclusion,
    ) {
        let id = verdict_id(&of.known.node, &of.rule.name, subject.name, key);
        let conclusion = weighed(of, conclusion);
        if let Some(case) = self.cases.get_mut(&id) {
            let back = !case.is_open();
            case.count(u64::from(back));
            case.take(of, conclusion);
            self.relink(id, back, of);
            return;
        }
        self.open(of, id, subject, key, conclusion);
    }

    /// It is over, if it is not open because it flaps.
    pub(super) fn clear(&mut self, of: &Scene<'_>, subject: Subject<'_>, key: &str) {
        let id = verdict_id(&of.known.node, &of.rule.name, subject.name, key);
        let Some(case) = self.cases.get_mut(&id).filter(|case| case.is_open()) else { return };
        case.calm(of.now_ns);
        if case.is_over(of.now_ns) {
            case.resolve(of.at.wall_ns, of.now_ns);
            self.tell(id);
        }
    }

    pub(super) fn is_open(&self, node: &str, rule: &str, subject: Subject<'_>, key: &str) -> bool {
        let id = verdict_id(node, rule, subject.name, key);
        self.cases.get(&id).is_some_and(|case| case.is_open())
    }

    pub(super) fn has_open(&self, rule: &str, subject: Subject<'_>) -> bool {
        let on = |case: &Case| case.verdict.rule == rule && case.verdict.subject == subject.name;
        self.cases.values().any(|case| case.is_open() && on(case))
    }

    /// The driver's word on a device changes what its open verdicts advise.
    pub(super) fn driver_says(
        &mut self,
        of: &Scene<'_>,
        subject: Subject<'_>,
        action: Option<Action>,
    ) {
        let before = match action {
            Some(action) if self.driver.len() < VERDICTS_MAX => {
                self.driver.insert(subject.name.to_owned(), action)
            }
            Some(_) => return,
            None => self.driver.remove(subject.name),
        };
        if before == action {
            return;
        }
        let Some(action) = action else { return };
        let on = |case: &Case| case.follows_driver && case.verdict.subject == subject.name;
        let ids: Vec<u64> = self
            .cases
            .iter()
            .filter(|(_, case)| case.is_open() && on(case))
            .map(|(id, _)| *id)
            .collect();
        for id in ids {
            let case = self.cases.get_mut(&id).filter(|case| case.verdict.action != action);
            if let Some(case) = case {
                case.follow(action, of.at.wall_ns);
                self.tell_if(id, of);
            }
        }
    }

    /// Lets time pass: ends what was quiet, tells what waited, drops what is
    /// long over.
    pub(super) fn round(&mut self, now_ns: u64, wall_ns: u64) {
        self.crowded = None;
        let mut told = Vec::new();
        for (id, case) in &mut self.cases {
            if case.is_open() && case.is_over(now_ns) {
                case.resolve(wall_ns, now_ns);
                told.push(*id);
            } else if case.is_open() && case.may_tell(now_ns) {
                case.revise(wall_ns, now_ns);
                told.push(*id);
            }
        }
        for id in told {
            self.tell(id);
        }
        let over = |case: &Case| !case.is_open() && case.touched_ns + REOPEN_NS < now_ns;
        let gone: Vec<(u64, u32)> = self
            .cases
            .iter()
            .filter(|(_, case)| over(case))
            .map(|(id, case)| (*id, case.verdict.revision))
            .collect();
        for (id, revision) in gone {
            self.cases.remove(&id);
            self.remember(id, revision);
        }
    }

    /// Silences what is to be silent, and lets speak what is not any more.
    pub(super) fn silence(&mut self, silences: &[&[Silence]], wall_ns: u64, now_ns: u64) {
        let mut told = Vec::new();
        for (id, case) in self.cases.iter_mut().filter(|(_, case)| case.is_open()) {
            let (subject, rule) = (&case.verdict.subject, &case.verdict.rule);
            let mut all = silences.iter().copied().flatten();
            let by = all.find(|of| of.covers(subject, rule, wall_ns));
            if case.silence(by) {
                case.revise(wall_ns, now_ns);
                told.push(*id);
            }
        }
        for id in told {
            self.tell(id);
        }
    }

    /// Ends what holds of a subject that is no more; what ends by itself does.
    pub(super) fn end_subject(&mut self, subject: Subject<'_>, wall_ns: u64, now_ns: u64) {
        self.end(wall_ns, now_ns, |case| {
            let of = &case.verdict;
            case.quiet_ns == 0 && of.subject_kind == subject.kind && of.subject == subject.name
        });
    }

    /// Ends what a snapshot said and nobody confirmed.
    pub(super) fn end_unconfirmed(
        &mut self,
        wall_ns: u64,
        now_ns: u64,
        gone: impl Fn(&Verdict) -> bool,
    ) {
        self.end(wall_ns, now_ns, |case| {
            case.unconfirmed && case.quiet_ns == 0 && gone(&case.verdict)
        });
    }

    /// Ends every open verdict of a rule that no longer runs.
    pub(super) fn end_rule(&mut self, rule: &str, wall_ns: u64, now_ns: u64) {
        self.end(wall_ns, now_ns, |case| case.verdict.rule == rule);
    }

    fn end(&mut self, wall_ns: u64, now_ns: u64, which: impl Fn(&Case) -> bool) {
        let mut told = Vec::new();
        for (id, case) in &mut self.cases {
            if case.is_open() && which(case) {
                case.resolve(wall_ns, now_ns);
                told.push(*id);
            }
        }
        for id in told {
            self.tell(id);
        }
    }

    /// Whether something was told since this was last asked.
    pub(super) const fn is_changed(&mut self) -> bool {
        std::mem::replace(&mut self.changed, false)
    }

    pub(super) fn take(&mut self) -> Vec<Verdict> {
        std::mem::take(&mut self.untaken).into()
    }

    pub(super) fn open_cases(&self) -> impl Iterator<Item = &Case> {
        self.cases.values().map(|case| &**case).filter(|case| case.is_open())
    }

    fn open(
        &mut self,
        of: &Scene<'_>,
        id: u64,
        subject: Subject<'_>,
        key: &str,
        conclusion: Conclusion,
    ) {
        if self.cases.len() >= VERDICTS_MAX && !self.make_room(conclusion.severity) {
            self.refused += 1;
            return;
        }
        let revision = self.past.remove(&id).unwrap_or(0);
        let mut case = Case::new(of, id, subject, key, conclusion, revision);
        if let Some(action) = self.driver.get(subject.name).filter(|_| case.follows_driver) {
            case.follow(*action, of.at.wall_ns);
        }
        case.verdict.impact = links::impact(of.known, subject);
        case.verdict.caused_by = self.cause_of(of, &case);
        self.cases.insert(id, Box::new(case));
        self.tell(id);
        self.link_consequences(of, id);
    }

    /// Tells of what was known; what came back may have another cause.
    fn relink(&mut self, id: u64, back: bool, of: &Scene<'_>) {
        if back && let Some(case) = self.cases.get(&id) {
            let cause = self.cause_of(of, case);
            if let Some(case) = self.cases.get_mut(&id) {
                case.verdict.caused_by = cause;
            }
        }
        self.tell_if(id, of);
        if back {
            self.link_consequences(of, id);
        }
    }

    /// Drops the oldest that is over, or, for what is critical, the least.
    fn make_room(&mut self, severity: Severity) -> bool {
        // Looked for once a round: a flood of what finds no room costs little.
        if self.crowded.is_some_and(|crowded| severity <= crowded) {
            return false;
        }
        let over = self.cases.iter().filter(|(_, case)| !case.is_open());
        let oldest = over.min_by_key(|(id, case)| (case.touched_ns, **id)).map(|(id, _)| *id);
        let lesser = || {
            let least = self.cases.iter().min_by_key(|(id, case)| (case.verdict.severity, **id))?;
            (least.1.verdict.severity < severity).then_some(*least.0)
        };
        let Some(id) = oldest.or_else(lesser) else {
            self.crowded = Some(severity);
            return false;
        };
        if let Some(case) = self.cases.remove(&id) {
            self.refused += u64::from(case.is_open());
            self.remember(id, case.verdict.revision);
        }
        true
    }

    pub(super) fn remember(&mut self, id: u64, revision: u32) {
        if self.past.insert(id, revision).is_none() {
            self.past_order.push_back(id);
        }
        while self.past.len() > PAST_MAX || self.past_order.len() > 2 * PAST_MAX {
            let Some(oldest) = self.past_order.pop_front() else { return };
            self.past.remove(&oldest);
        }
    }

    fn tell_if(&mut self, id: u64, of: &Scene<'_>) {
        let Some(case) = self.cases.get_mut(&id) else { return };
        if case.may_tell(of.now_ns) {
            let of_case = &case.verdict;
            let subject = Subject { kind: &of_case.subject_kind, name: &of_case.subject };
            case.verdict.impact = links::impact(of.known, subject);
            case.revise(of.at.wall_ns, of.now_ns);
            self.tell(id);
        }
    }

    fn tell(&mut self, id: u64) {
        let Some(case) = self.cases.get(&id) else { return };
        if self.untaken.len() >= UNTAKEN_MAX {
            self.untaken.pop_front();
            self.untold += 1;
        }
        self.untaken.push_back(case.verdict.clone());
        self.changed = true;
    }
}

/// When what is concluded happened, by the stage's count: the newest event
/// that it rests on may be from before anybody looked.
fn happened_ns(of: &Scene<'_>, conclusion: &Conclusion) -> u64 {
    let events = conclusion.evidence.iter().filter(|fact| fact.event != 0 && fact.wall_ns != 0);
    let newest_ns = events.map(|fact| fact.wall_ns).max().unwrap_or(of.at.wall_ns);
    of.now_ns.saturating_sub(of.at.wall_ns.saturating_sub(newest_ns))
}

/// The conclusion as the operator weighs it.
fn weighed(of: &Scene<'_>, mut conclusion: Conclusion) -> Conclusion {
    if let Some(severity) = of.plan.severity(&of.rule.name) {
        conclusion.severity = severity;
    }
    conclusion
}

/// Whether a verdict stands.
pub(super) const fn stands(state: VerdictState) -> bool {
    matches!(state, VerdictState::Open | VerdictState::Changed)
}
