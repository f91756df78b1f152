//! Marks of many traces, added up: by cause, by rule, by family, and what is
//! mixed up with what.

use std::collections::BTreeMap;

use eagle_eye::schema::Severity;

use crate::run::Judged;
use crate::score::{Marks, Outcome};

/// Counts of one cause, rule, family or set.
#[derive(Debug, Clone, Default)]
pub(crate) struct Row {
    /// Verdicts that a person expects.
    pub(crate) expected: u64,
    /// Of these, said in time.
    pub(crate) right: u64,
    /// Said, but late.
    pub(crate) late: u64,
    /// Not said.
    pub(crate) missed: u64,
    /// Said in time or late, with a wrong severity.
    pub(crate) severity: u64,
    /// The same, with a wrong action.
    pub(crate) action: u64,
    /// The same, gone too early or never.
    pub(crate) end: u64,
    /// Verdicts that nobody asked for.
    pub(crate) wrong: u64,
    /// Of these, what another verdict said already.
    pub(crate) twice: u64,
    /// Of these, what does harm.
    pub(crate) harmful: u64,
    /// How long each that was in time took, ns.
    pub(crate) took_ns: Vec<u64>,
}

impl Row {
    /// Of what was said, how much is right; nothing where nothing was said.
    pub(crate) fn precision(&self) -> Option<f64> {
        let said = self.right + self.late + self.wrong;
        (said > 0).then(|| (self.right + self.late) as f64 / said as f64)
    }

    /// Of what is right, how much was said in time.
    pub(crate) fn recall(&self) -> Option<f64> {
        (self.expected > 0).then(|| self.right as f64 / self.expected as f64)
    }

    /// The time to detect below which this share of them lies, seconds.
    pub(crate) fn took_s(&self, share: f64) -> Option<f64> {
        let mut sorted = self.took_ns.clone();
        sorted.sort_unstable();
        let at = ((sorted.len() as f64 - 1.0) * share).round() as usize;
        sorted.get(at).map(|ns| *ns as f64 / 1e9)
    }

    /// Adds the counts of another.
    pub(crate) fn add(&mut self, other: &Self) {
        self.expected += other.expected;
        self.right += other.right;
        self.late += other.late;
        self.missed += other.missed;
        self.severity += other.severity;
        self.action += other.action;
        self.end += other.end;
        self.wrong += other.wrong;
        self.twice += other.twice;
        self.harmful += other.harmful;
        self.took_ns.extend(&other.took_ns);
    }
}

/// All marks of one set of traces.
#[derive(Debug, Clone, Default)]
pub(crate) struct Board {
    /// Over everything.
    pub(crate) all: Row,
    /// By cause; of a verdict too many, the cause that it says.
    pub(crate) classes: BTreeMap<String, Row>,
    /// By rule: right, wrong.
    pub(crate) rules: BTreeMap<String, Row>,
    /// By family or case.
    pub(crate) traces: BTreeMap<String, Row>,
    /// What was expected and what was said of it: `missed` or what was wrong.
    pub(crate) slips: BTreeMap<String, u64>,
    /// Rules that nobody mapped to a cause.
    pub(crate) unmapped: BTreeMap<String, u64>,
    /// How many traces, facts, and nanoseconds of their time.
    pub(crate) played: u64,
    /// Facts in all.
    pub(crate) facts: u64,
    /// Time in all, seconds.
    pub(crate) seconds: u64,
    /// Consequences that point to what is right.
    pub(crate) consequences: u64,
    /// Verdicts that are neither right nor wrong.
    pub(crate) tolerated: u64,
}

impl Board {
    /// Adds what came of one trace.
    pub(crate) fn add(&mut self, name: &str, judged: &Judged) {
        self.played += 1;
        self.facts += judged.facts;
        self.seconds += judged.lasted_ns / 1_000_000_000;
        self.consequences += judged.marks.consequences;
        self.tolerated += judged.marks.tolerated;
        let mut whole = Row::default();
        self.expected(name, &judged.marks, &mut whole);
        self.too_many(name, &judged.marks, &mut whole);
        self.all.add(&whole);
        self.traces.entry(name.to_owned()).or_default().add(&whole);
    }

    fn expected(&mut self, name: &str, marks: &Marks, whole: &mut Row) {
        for mark in &marks.marks {
            let mut row = Row { expected: 1, ..Row::default() };
            match mark.outcome {
                Outcome::InTime(ns) => (row.right, row.took_ns) = (1, vec![ns]),
                Outcome::Late => row.late = 1,
                Outcome::Missed => row.missed = 1,
            }
            row.severity = u64::from(mark.severity.is_some());
            row.action = u64::from(mark.action.is_some());
            row.end = u64::from(mark.end_wrong);
            let class = mark.class.name();
            let slip = match (mark.outcome, mark.severity, mark.action, mark.end_wrong) {
                (Outcome::Missed, ..) => Some("missed".to_owned()),
                (Outcome::Late, ..) => Some("late".to_owned()),
                (_, Some(severity), ..) => Some(format!("severity {}", severity.name())),
                (_, _, Some(action), _) => Some(format!("action {action}")),
                (.., true) => Some("wrong end".to_owned()),
                _ => None,
            };
            if let Some(slip) = slip {
                let rule = mark.rule.as_deref().map_or(String::new(), |rule| format!(" by {rule}"));
                *self.slips.entry(format!("{name}: {class} {slip}{rule}")).or_default() += 1;
            }
            self.classes.entry(class.to_owned()).or_default().add(&row);
            if let Some(rule) = &mark.rule {
                self.rules.entry(rule.clone()).or_default().add(&row);
            }
            whole.add(&row);
        }
    }

    fn too_many(&mut self, name: &str, marks: &Marks, whole: &mut Row) {
        for wrong in &marks.wrong {
            let row = Row {
                wrong: 1,
                twice: u64::from(wrong.twice),
                harmful: u64::from(wrong.harmful),
                ..Row::default()
            };
            let class = wrong.class.map_or("(not mapped)", |class| class.name());
            let how = match (wrong.twice, wrong.harmful) {
                (true, _) => "said twice",
                (_, true) => "must never be said",
                _ => "not asked for",
            };
            let severity: Severity = wrong.severity;
            let slip = format!("{name}: {class} {how} ({}, {})", wrong.rule, severity.name());
            *self.slips.entry(slip).or_default() += 1;
            if wrong.class.is_none() {
                *self.unmapped.entry(wrong.rule.clone()).or_default() += 1;
            }
            self.classes.entry(class.to_owned()).or_default().add(&row);
            self.rules.entry(wrong.rule.clone()).or_default().add(&row);
            whole.add(&row);
        }
    }

    /// What goes wrong most often first.
    pub(crate) fn worst(&self) -> Vec<(&str, u64)> {
        let mut worst: Vec<_> = self.slips.iter().map(|(slip, count)| (&**slip, *count)).collect();
        worst.sort_by_key(|(slip, count)| (std::cmp::Reverse(*count), *slip));
        worst
    }
}
