//! One verdict and what its life depends on.

use crate::diagnosis::at::SECOND_NS;
use crate::diagnosis::bench::Scene;
use crate::diagnosis::rule::Relation;
use crate::diagnosis::silence::Silence;
use crate::diagnosis::{Conclusion, Subject};
use crate::schema::{
    Action, EVIDENCE_MAX, Evidence, Health, STEPS_MAX, Severity, Verdict, VerdictState,
    bounded_name, bounded_text,
};

use super::{links, stands};

/// Facts that a verdict keeps: the first ones, the worst, and the last.
const EVIDENCE_KEPT: usize = 8;
const _: () = assert!(EVIDENCE_KEPT <= EVIDENCE_MAX);
/// Most causes of which one verdict may be a by-product.
const BY_PRODUCTS_MAX: usize = 32;
/// Bytes that are kept of a text of evidence.
const EVIDENCE_BYTES_MAX: usize = 512;
/// The least time between two revisions that only count.
const REVISE_NS_MIN: u64 = 5 * SECOND_NS;
/// The most; between them it doubles with each revision.
const REVISE_NS_MAX: u64 = 300 * SECOND_NS;
/// A severity falls only after it was lower for this long.
const LESSER_NS: u64 = 30 * SECOND_NS;
/// What came back once must be calm for this long before it is over; twice as
/// long with each time more.
const CALM_NS: u64 = 30 * SECOND_NS;
/// The longest calm that is asked for.
const CALM_NS_MAX: u64 = 900 * SECOND_NS;
/// What a text about simulated things ends in.
const SIMULATED: &str = " (simulated)";
/// Evidence of what holds is renewed after this time.
const EVIDENCE_NS: u64 = 60 * SECOND_NS;

/// A verdict with its bookkeeping.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::diagnosis) struct Case {
    pub(in crate::diagnosis) verdict: Verdict,
    pub(in crate::diagnosis) key: String,
    pub(in crate::diagnosis) health: Health,
    pub(in crate::diagnosis) follows_driver: bool,
    pub(in crate::diagnosis) relations: &'static [Relation],
    pub(in crate::diagnosis) by_product_of: Vec<(&'static str, String)>,
    pub(in crate::diagnosis) by_product_ns: u64,
    pub(in crate::diagnosis) since_ns: u64,
    /// When it last happened, held, or was resolved.
    pub(in crate::diagnosis) touched_ns: u64,
    /// When evidence was last taken.
    pub(in crate::diagnosis) evidence_ns: u64,
    /// When it was last told.
    pub(in crate::diagnosis) told_ns: u64,
    /// Time to the next revision that only counts.
    pub(in crate::diagnosis) revise_ns: u64,
    /// Something is not told yet.
    pub(in crate::diagnosis) untold: bool,
    /// It is to be told without waiting.
    pub(in crate::diagnosis) urgent: bool,
    /// Since when its severity is lower than told.
    pub(in crate::diagnosis) lesser_ns: Option<u64>,
    /// Since when its condition does not hold.
    pub(in crate::diagnosis) calm_ns: Option<u64>,
    /// How often it came back.
    pub(in crate::diagnosis) flaps: u32,
    /// How long after the last occurrence it is over by itself; 0: never.
    pub(in crate::diagnosis) quiet_ns: u64,
    /// It comes from a snapshot and nobody has said since that it holds.
    pub(in crate::diagnosis) unconfirmed: bool,
    /// Its subject exists in a simulation only.
    pub(in crate::diagnosis) simulated: bool,
}

impl Case {
    pub(super) fn new(
        of: &Scene<'_>,
        id: u64,
        subject: Subject<'_>,
        key: &str,
        conclusion: Conclusion,
        revision: u32,
    ) -> Self {
        let verdict = Verdict {
            id,
            revision: revision.saturating_add(1),
            rule: of.rule.name.clone(),
            subject: bounded_name(subject.name).to_owned(),
            subject_kind: subject.kind.to_owned(),
            wall_ns: of.at.wall_ns,
            since_wall_ns: of.at.wall_ns,
            state: VerdictState::Open,
            page: of.rule.page.clone(),
            count: 1,
            ..Verdict::default()
        };
        let mut case = Self {
            verdict,
            key: bounded_name(key).to_owned(),
            health: Health::Unknown,
            follows_driver: of.rule.follows_driver,
            relations: of.rule.relations,
            by_product_of: Vec::new(),
            by_product_ns: 0,
            since_ns: of.now_ns,
            touched_ns: of.now_ns,
            evidence_ns: of.now_ns,
            told_ns: of.now_ns,
            revise_ns: REVISE_NS_MIN,
            untold: false,
            urgent: false,
            lesser_ns: None,
            calm_ns: None,
            flaps: 0,
            quiet_ns: 0,
            unconfirmed: false,
            simulated: links::is_simulated(of.known, subject),
        };
        let events = conclusion.evidence.iter().filter(|fact| fact.event != 0 && fact.wall_ns != 0);
        if let Some(first_ns) = events.map(|fact| fact.wall_ns).min() {
            // It began when it happened, not when somebody first looked.
            case.verdict.since_wall_ns = first_ns.min(of.at.wall_ns);
            let age_ns = of.at.wall_ns.saturating_sub(first_ns);
            case.since_ns = of.now_ns.saturating_sub(age_ns);
            case.touched_ns = case.since_ns;
        }
        case.verdict.severity = conclusion.severity;
        case.put(of, conclusion);
        case
    }

    /// A verdict as a snapshot holds it; its rule and times are put in by
    /// whoever reads them.
    pub(in crate::diagnosis) fn restored(verdict: Verdict) -> Self {
        Self {
            verdict,
            key: String::new(),
            health: Health::Unknown,
            follows_driver: false,
            relations: &[],
            by_product_of: Vec::new(),
            by_product_ns: 0,
            since_ns: 0,
            touched_ns: 0,
            evidence_ns: 0,
            told_ns: 0,
            revise_ns: REVISE_NS_MIN,
            untold: false,
            urgent: false,
            lesser_ns: None,
            calm_ns: None,
            flaps: 0,
            quiet_ns: 0,
            unconfirmed: true,
            simulated: false,
        }
    }

    pub(in crate::diagnosis) const fn is_open(&self) -> bool {
        stands(self.verdict.state)
    }

    /// Takes a conclusion about what is known already.
    pub(super) fn take(&mut self, of: &Scene<'_>, conclusion: Conclusion) {
        if !self.is_open() {
            self.verdict.state = VerdictState::Changed;
            self.flaps = self.flaps.saturating_add(1);
            self.verdict.severity = conclusion.severity;
            self.urgent = true;
        }
        self.seen(of.now_ns);
        if conclusion.severity > self.verdict.severity {
            self.verdict.severity = conclusion.severity;
            self.lesser_ns = None;
            self.urgent = true;
        } else if conclusion.severity < self.verdict.severity {
            let since = *self.lesser_ns.get_or_insert(of.now_ns);
            if of.now_ns - since < LESSER_NS {
                // The graver words stay with the graver severity.
                self.evidence(of.now_ns, conclusion.evidence);
                return;
            }
            self.verdict.severity = conclusion.severity;
            self.urgent = true;
        }
        self.lesser_ns = None;
        self.put(of, conclusion);
        self.untold = true;
    }

    /// Counts occurrences.
    pub(super) const fn count(&mut self, times: u64) {
        self.verdict.count = self.verdict.count.saturating_add(times);
        self.untold |= times > 0;
    }

    /// Its condition holds now.
    pub(super) const fn seen(&mut self, now_ns: u64) {
        self.touched_ns = now_ns;
        self.calm_ns = None;
        self.unconfirmed = false;
    }

    /// Silences it, or lets it speak; whether that is another state.
    pub(super) fn silence(&mut self, by: Option<&Silence>) -> bool {
        let (until, reason) = by.map_or((0, ""), |by| (by.until_wall_ns, by.reason.as_str()));
        let verdict = &mut self.verdict;
        let same = verdict.silenced_until_wall_ns == until && verdict.silenced_by == reason;
        if !same {
            verdict.silenced_until_wall_ns = until;
            bounded_text(reason).clone_into(&mut verdict.silenced_by);
        }
        !same
    }

    /// Its condition does not hold any more.
    pub(super) fn calm(&mut self, now_ns: u64) {
        self.calm_ns.get_or_insert(now_ns);
    }

    /// Whether it has been calm for as long as it takes.
    pub(super) fn is_over(&self, now_ns: u64) -> bool {
        let quiet = self.quiet_ns > 0 && now_ns.saturating_sub(self.touched_ns) >= self.quiet_ns;
        let wanted = match self.flaps {
            0 => 0,
            flaps => (CALM_NS << flaps.saturating_sub(1).min(5)).min(CALM_NS_MAX),
        };
        quiet || self.calm_ns.is_some_and(|since| now_ns.saturating_sub(since) >= wanted)
    }

    pub(super) const fn wants_evidence(&self, now_ns: u64) -> bool {
        now_ns.saturating_sub(self.evidence_ns) >= EVIDENCE_NS
    }

    /// Whether what is untold may be told.
    pub(super) const fn may_tell(&self, now_ns: u64) -> bool {
        self.urgent || (self.untold && now_ns.saturating_sub(self.told_ns) >= self.revise_ns)
    }

    /// One revision more, about to be told.
    pub(super) fn revise(&mut self, wall_ns: u64, now_ns: u64) {
        if !self.urgent {
            self.revise_ns = (self.revise_ns * 2).min(REVISE_NS_MAX);
        }
        self.verdict.revision = self.verdict.revision.saturating_add(1);
        self.verdict.state = VerdictState::Changed;
        self.verdict.wall_ns = wall_ns;
        self.told_ns = now_ns;
        (self.untold, self.urgent) = (false, false);
    }

    pub(super) fn resolve(&mut self, wall_ns: u64, now_ns: u64) {
        self.verdict.revision = self.verdict.revision.saturating_add(1);
        self.verdict.state = VerdictState::Resolved;
        self.verdict.wall_ns = wall_ns;
        (self.touched_ns, self.told_ns) = (now_ns, now_ns);
        (self.untold, self.urgent) = (false, false);
        (self.calm_ns, self.lesser_ns) = (None, None);
        self.revise_ns = REVISE_NS_MIN;
    }

    /// The driver says what is to be done.
    pub(super) fn follow(&mut self, action: Action, wall_ns: u64) {
        self.verdict.action = action;
        let said = format!("The driver itself asks for: {}.", action.name());
        self.verdict.steps.retain(|step| !step.starts_with("The driver itself asks for: "));
        self.verdict.steps.insert(0, said);
        self.verdict.steps.truncate(STEPS_MAX);
        self.verdict.wall_ns = wall_ns;
        self.urgent = true;
    }

    fn put(&mut self, of: &Scene<'_>, conclusion: Conclusion) {
        let followed =
            self.verdict.steps.first().is_some_and(|step| step.starts_with("The driver"));
        let verdict = &mut self.verdict;
        verdict.text = bounded_text(&conclusion.text).to_owned();
        if self.simulated {
            verdict.text += SIMULATED;
        }
        verdict.cause = bounded_text(&conclusion.cause).to_owned();
        verdict.confidence = if conclusion.confidence.is_finite() {
            conclusion.confidence.clamp(0.0, 1.0)
        } else {
            0.0
        };
        if !followed {
            verdict.action = conclusion.action;
            verdict.steps = conclusion.steps;
            verdict.steps.truncate(STEPS_MAX);
        }
        conclusion.limit_source.name().clone_into(&mut verdict.limit_source);
        verdict.data_version = conclusion.data_version;
        self.health = conclusion.health;
        self.quiet_ns = conclusion.quiet_ns;
        self.by_product_of = conclusion.by_product_of;
        self.by_product_of.truncate(BY_PRODUCTS_MAX);
        self.by_product_ns = conclusion.by_product_ns;
        self.evidence(of.now_ns, conclusion.evidence);
    }

    /// Keeps the first facts, the worst and the last.
    fn evidence(&mut self, now_ns: u64, mut facts: Vec<Evidence>) {
        self.evidence_ns = now_ns;
        facts.retain(|fact| !fact.text.is_empty());
        facts.truncate(EVIDENCE_KEPT);
        for mut fact in facts {
            let cut = fact.text.floor_char_boundary(EVIDENCE_BYTES_MAX);
            fact.text.truncate(cut);
            let kept = &mut self.verdict.evidence;
            let same = |known: &Evidence| {
                (fact.event != 0 && known.event == fact.event)
                    || (known.text == fact.text && known.wall_ns == fact.wall_ns)
            };
            if kept.iter().any(same) {
                continue;
            }
            if kept.len() < EVIDENCE_KEPT {
                kept.push(fact);
                continue;
            }
            let worst = EVIDENCE_KEPT - 2;
            if badness(&kept[EVIDENCE_KEPT - 1]) > badness(&kept[worst]) {
                kept.swap(worst, EVIDENCE_KEPT - 1);
            }
            kept[EVIDENCE_KEPT - 1] = fact;
        }
    }

    /// How its subject is by this alone.
    pub(in crate::diagnosis) fn health(&self) -> Health {
        let health = match (self.health, self.verdict.severity) {
            (Health::Unknown, Severity::Info) => Health::Healthy,
            (Health::Unknown, Severity::Warning | Severity::Error) => Health::Degraded,
            (Health::Unknown, Severity::Critical) => Health::Failed,
            (said, _) => said,
        };
        // What is not sure enough never takes a device out of service.
        if health == Health::Failed && self.verdict.confidence < CONFIDENCE_MIN {
            return Health::Suspect;
        }
        health
    }
}

/// Below this confidence a subject is suspect, never failed.
pub(super) const CONFIDENCE_MIN: f32 = 0.6;

/// How far a value lies from its limit; facts without a limit are alike.
fn badness(fact: &Evidence) -> f64 {
    fact.limit.map_or(0.0, |limit| (fact.value - limit).abs())
}
