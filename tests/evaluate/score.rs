//! What was said held against what is right.

use std::collections::BTreeMap;

use eagle_eye::schema::{Severity, Verdict, VerdictState};

use crate::classes::Class;
use crate::trace::{Expected, Moment, Resolve, Truth};

/// One verdict over all its revisions.
#[derive(Debug, Clone)]
pub(crate) struct Said {
    /// When its first revision came.
    pub(crate) first_ns: u64,
    /// Its gravest revision by severity, the last of those.
    pub(crate) gravest: Verdict,
    /// Its last revision.
    pub(crate) last: Verdict,
    /// What it said, and when it first did: a verdict may become another's.
    classes: Vec<(u64, Option<Class>)>,
}

impl Said {
    /// When it first said one of these causes.
    fn fits_at(&self, classes: &[Class]) -> Option<u64> {
        let fits = |of: &&(u64, Option<Class>)| of.1.is_some_and(|class| classes.contains(&class));
        self.classes.iter().find(fits).map(|(at_ns, _)| *at_ns)
    }
}

/// Verdicts folded by their id, in the order of their first revision.
#[derive(Default)]
pub(crate) struct Heard {
    said: Vec<Said>,
    by_id: BTreeMap<u64, usize>,
    /// Revisions in all.
    pub(crate) revisions: u64,
}

impl Heard {
    /// Takes a revision.
    pub(crate) fn take(&mut self, at: Moment, verdict: Verdict) {
        self.revisions += 1;
        let known = self.by_id.get(&verdict.id).copied();
        // A verdict that comes again after it was resolved is another trouble.
        let open = known.filter(|at| self.said[*at].last.state != VerdictState::Resolved);
        let Some(index) = open else {
            self.by_id.insert(verdict.id, self.said.len());
            let (gravest, last) = (verdict.clone(), verdict);
            let classes = vec![(at.since_ns, Class::of(&last))];
            self.said.push(Said { first_ns: at.since_ns, gravest, last, classes });
            return;
        };
        let said = &mut self.said[index];
        let resolved = verdict.state == VerdictState::Resolved;
        let class = Class::of(&verdict);
        if !said.classes.iter().any(|(_, known)| *known == class) {
            said.classes.push((at.since_ns, class));
        }
        if !resolved && verdict.severity >= said.gravest.severity {
            said.gravest = verdict.clone();
        }
        said.last = verdict;
    }

    /// What was said, in words, for whoever looks into a trace.
    pub(crate) fn shown(&self) -> String {
        let mut text = String::new();
        for Said { first_ns, gravest: of, last, .. } in &self.said {
            let class = Class::of(of).map_or("(not mapped)", Class::name);
            text += &format!(
                "  {:>7.1} s {} {} {}: {} | {} | {} | count {} cause {:x} id {:x} | {} | {}\n",
                *first_ns as f64 / 1e9,
                of.rule,
                of.severity.name(),
                of.subject,
                of.text,
                of.cause,
                of.action.name(),
                last.count,
                last.caused_by,
                last.id,
                last.state.name(),
                class,
            );
        }
        text
    }

    /// All of them.
    pub(crate) fn said(&self) -> &[Said] {
        &self.said
    }
}

/// What became of an expectation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Said in time, so many nanoseconds after the trouble began.
    InTime(u64),
    /// Said, but too late.
    Late,
    /// Not said.
    Missed,
}

/// Marks for one expectation.
#[derive(Debug, Clone)]
pub(crate) struct Mark {
    /// The cause under which it counts.
    pub(crate) class: Class,
    /// What became of it.
    pub(crate) outcome: Outcome,
    /// The rule that said it.
    pub(crate) rule: Option<String>,
    /// The severity that was wrong.
    pub(crate) severity: Option<Severity>,
    /// The action that was wrong.
    pub(crate) action: Option<&'static str>,
    /// It should have gone and stayed, or the other way round.
    pub(crate) end_wrong: bool,
}

/// A verdict that nobody asked for.
#[derive(Debug, Clone)]
pub(crate) struct Wrong {
    /// Its rule.
    pub(crate) rule: String,
    /// What it says; none where nobody mapped its rule.
    pub(crate) class: Option<Class>,
    /// How grave.
    pub(crate) severity: Severity,
    /// It says again what another verdict says.
    pub(crate) twice: bool,
    /// It would do harm.
    pub(crate) harmful: bool,
}

/// All marks of one trace.
#[derive(Debug, Clone, Default)]
pub(crate) struct Marks {
    /// For each expectation.
    pub(crate) marks: Vec<Mark>,
    /// For each verdict too many.
    pub(crate) wrong: Vec<Wrong>,
    /// Consequences that point to a verdict that is right.
    pub(crate) consequences: u64,
    /// Verdicts that are neither right nor wrong.
    pub(crate) tolerated: u64,
    /// Rules that said something right, each as often as it did.
    pub(crate) right_rules: Vec<String>,
}

fn fits(expected: &Expected, said: &Said) -> bool {
    let of = &said.gravest;
    let subject = expected.subjects.is_empty() || expected.subjects.contains(&of.subject);
    subject && said.fits_at(&expected.classes).is_some_and(|at_ns| at_ns >= expected.at_ns)
}

/// Holds what was heard against what is right.
pub(crate) fn marks(truth: &Truth, heard: &Heard) -> Marks {
    let said = heard.said();
    let mut marks = Marks::default();
    let mut used: Vec<Option<usize>> = vec![None; said.len()];
    for (index, expected) in truth.expected.iter().enumerate() {
        let fitting = |at: &usize| used[*at].is_none() && fits(expected, &said[*at]);
        // What stands alone is better than what only follows from something.
        let chosen = (0..said.len()).filter(fitting).min_by_key(|at| {
            let of = &said[*at];
            (of.last.caused_by != 0, of.first_ns)
        });
        if let Some(chosen) = chosen {
            used[chosen] = Some(index);
        }
        marks.marks.push(mark(expected, chosen.map(|at| &said[at])));
    }
    let right: Vec<u64> = (0..said.len())
        .filter(|at| used[*at].is_some() || tolerated(truth, &said[*at]))
        .map(|at| said[at].last.id)
        .collect();
    for (at, of) in said.iter().enumerate() {
        let rule = &of.gravest.rule;
        if used[at].is_some() {
            marks.right_rules.push(rule.clone());
        } else if right.contains(&of.last.caused_by) {
            marks.consequences += 1;
        } else if tolerated(truth, of) {
            marks.tolerated += 1;
        } else {
            marks.wrong.push(wrong(truth, of));
        }
    }
    marks
}

fn mark(expected: &Expected, said: Option<&Said>) -> Mark {
    let class = expected.classes[0];
    let Some(said) = said else {
        let outcome = Outcome::Missed;
        return Mark { class, outcome, rule: None, severity: None, action: None, end_wrong: false };
    };
    let said_ns = said.fits_at(&expected.classes).unwrap_or(said.first_ns);
    let after_ns = said_ns - expected.at_ns;
    let in_time = after_ns <= expected.within_ns;
    let of = &said.gravest;
    let severity = (!expected.severities.contains(&of.severity)).then_some(of.severity);
    let action_right = expected.actions.is_empty() || expected.actions.contains(&of.action);
    let resolved = said.last.state == VerdictState::Resolved;
    let end_wrong = match expected.resolve {
        Resolve::May => false,
        Resolve::Must => !resolved,
        Resolve::MustNot => resolved,
    };
    Mark {
        class,
        outcome: if in_time { Outcome::InTime(after_ns) } else { Outcome::Late },
        rule: Some(of.rule.clone()),
        severity,
        action: (!action_right).then(|| of.action.name()),
        end_wrong,
    }
}

fn tolerated(truth: &Truth, said: &Said) -> bool {
    let class = Class::of(&said.gravest);
    truth.tolerated.iter().any(|of| {
        said.gravest.severity <= of.severity_max && (of.class.is_none() || of.class == class)
    })
}

fn wrong(truth: &Truth, said: &Said) -> Wrong {
    let of = &said.gravest;
    let class = Class::of(of);
    let harmful = truth.never.iter().any(|never| {
        of.severity >= never.severity_min
            && (never.class.is_none() || never.class == class)
            && never.subject.as_ref().is_none_or(|subject| *subject == of.subject)
    });
    let twice = truth.expected.iter().any(|expected| fits(expected, said));
    let (rule, severity) = (of.rule.clone(), of.severity);
    Wrong { rule, class, severity, twice, harmful }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::{SECOND, Tolerated};

    fn verdict(id: u64, rule: &str, severity: Severity, state: VerdictState) -> Verdict {
        let (rule, subject) = (rule.to_owned(), "gpu0".to_owned());
        Verdict { id, rule, subject, severity, state, ..Verdict::default() }
    }

    fn heard(verdicts: Vec<(u64, Verdict)>) -> Heard {
        let mut heard = Heard::default();
        for (second, verdict) in verdicts {
            let at = Moment { since_ns: second * SECOND, wall_step_ns: 0 };
            heard.take(at, verdict);
        }
        heard
    }

    fn truth() -> Truth {
        let expected = Expected::new("observation.note", "gpu0", 10 * SECOND, 5);
        Truth { expected: vec![expected.resolve(Resolve::Must)], ..Truth::default() }
    }

    const OPEN: VerdictState = VerdictState::Open;
    const OVER: VerdictState = VerdictState::Resolved;

    #[test]
    fn what_is_right_in_time_and_gone_gets_no_bad_mark() {
        let said = vec![
            (12, verdict(1, "test_rule", Severity::Warning, OPEN)),
            (20, verdict(1, "test_rule", Severity::Warning, OVER)),
        ];
        let marks = marks(&truth(), &heard(said));
        let mark = &marks.marks[0];
        assert_eq!(mark.outcome, Outcome::InTime(2 * SECOND));
        assert!(mark.severity.is_none() && mark.action.is_none() && !mark.end_wrong);
        assert!(marks.wrong.is_empty());
    }

    #[test]
    fn late_early_grave_lasting_and_twice_are_each_marked() {
        let open = |second, id, severity| (second, verdict(id, "test_rule", severity, OPEN));
        let late = marks(&truth(), &heard(vec![open(16, 1, Severity::Info)]));
        assert_eq!(late.marks[0].outcome, Outcome::Late);
        assert_eq!(late.marks[0].severity, Some(Severity::Info));
        assert!(late.marks[0].end_wrong);
        let early = marks(&truth(), &heard(vec![open(9, 1, Severity::Warning)]));
        assert_eq!(early.marks[0].outcome, Outcome::Missed);
        assert_eq!(early.wrong.len(), 1);
        let both = vec![open(11, 1, Severity::Warning), open(12, 2, Severity::Warning)];
        let both = marks(&truth(), &heard(both));
        assert!(both.wrong[0].twice);
    }

    #[test]
    fn consequences_of_what_is_right_are_no_mistakes_and_others_are() {
        let root = verdict(1, "test_rule", Severity::Warning, OPEN);
        let follows =
            |of| Verdict { caused_by: of, ..verdict(2, "unmapped", Severity::Error, OPEN) };
        let right = marks(&truth(), &heard(vec![(11, root.clone()), (12, follows(1))]));
        assert_eq!((right.consequences, right.wrong.len()), (1, 0));
        let stray = marks(&truth(), &heard(vec![(11, root), (12, follows(7))]));
        assert_eq!((stray.consequences, stray.wrong.len()), (0, 1));
        assert_eq!(stray.wrong[0].class, None);
    }

    #[test]
    fn what_may_be_said_counts_for_nothing_up_to_its_severity() {
        let may = Tolerated { class: None, severity_max: Severity::Info };
        let truth = Truth { tolerated: vec![may], ..Truth::default() };
        let said = |severity| heard(vec![(1, verdict(1, "unmapped", severity, OPEN))]);
        assert_eq!(marks(&truth, &said(Severity::Info)).wrong.len(), 0);
        assert_eq!(marks(&truth, &said(Severity::Warning)).wrong.len(), 1);
    }
}
