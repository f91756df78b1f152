//! A verdict's life, told by a rule that concludes whatever the test says.

use super::*;
use crate::diagnosis::at::{At, BASE_NS};
use crate::diagnosis::known::Known;
use crate::diagnosis::plan::Plan;
use crate::diagnosis::rules;
use crate::diagnosis::slots::Profile;

struct Life {
    verdicts: Verdicts,
    known: Known,
    plan: Plan,
    rule: Profile,
    now_s: u64,
}

impl Life {
    fn new() -> Self {
        Self {
            verdicts: Verdicts::default(),
            known: Known::new("node1".into()),
            plan: Plan::default(),
            rule: Profile {
                name: "test".into(),
                page: "rules/test.md".into(),
                entry: rules::ALL[0],
                relations: &[],
                follows_driver: true,
            },
            now_s: 0,
        }
    }

    fn act(&mut self, act: impl FnOnce(&mut Verdicts, &Scene<'_>)) {
        let now_ns = BASE_NS + self.now_s * SECOND_NS;
        let scene = Scene {
            at: At::new(now_ns, 1 + self.now_s),
            now_ns,
            known: &self.known,
            plan: &self.plan,
            rule: &self.rule,
        };
        act(&mut self.verdicts, &scene);
    }

    fn pass(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.now_s += 1;
            let now_s = self.now_s;
            self.act(|of, scene| of.round(scene.now_ns, 1 + now_s));
        }
    }

    fn raise(&mut self, key: &str, severity: Severity) {
        let conclusion = Conclusion { severity, text: "ill".into(), ..Conclusion::default() };
        self.act(|of, scene| of.raise(scene, Subject::device("gpu0"), key, conclusion));
    }

    fn clear(&mut self, key: &str) {
        self.act(|of, scene| of.clear(scene, Subject::device("gpu0"), key));
    }

    /// State, revision and count of what was told since the last call.
    fn told(&mut self) -> Vec<(VerdictState, u32, u64)> {
        let told = self.verdicts.take();
        told.iter().map(|of| (of.state, of.revision, of.count)).collect()
    }
}

use VerdictState::{Changed, Open, Resolved};

#[test]
fn what_repeats_is_counted_and_told_ever_more_rarely() {
    let mut life = Life::new();
    for _ in 0..3600 {
        for _ in 0..200 {
            life.raise("", Severity::Warning);
        }
        life.pass(1);
    }
    let told = life.told();
    assert!(told.len() < 25, "{}", told.len());
    assert_eq!(told[0], (Open, 1, 1));
    assert_eq!(life.verdicts.cases.len(), 1);
    life.clear("");
    assert_eq!(life.told().last().map(|of| (of.0, of.2)), Some((Resolved, 720_000)));
}

#[test]
fn a_graver_severity_is_told_at_once_and_a_lesser_one_when_it_lasts() {
    let mut life = Life::new();
    life.raise("", Severity::Warning);
    life.raise("", Severity::Critical);
    assert_eq!(life.told(), [(Open, 1, 1), (Changed, 2, 2)]);
    for _ in 0..29 {
        life.raise("", Severity::Warning);
        life.pass(1);
    }
    assert_eq!(
        life.verdicts.open_cases().next().expect("open").verdict.severity,
        Severity::Critical
    );
    life.pass(2);
    life.raise("", Severity::Warning);
    assert_eq!(
        life.verdicts.open_cases().next().expect("open").verdict.severity,
        Severity::Warning
    );
}

#[test]
fn what_flaps_stays_open_until_it_is_calm() {
    let mut life = Life::new();
    for _ in 0..300 {
        life.raise("", Severity::Warning);
        life.pass(1);
        life.clear("");
        life.pass(1);
    }
    let resolved = life.told().iter().filter(|told| told.0 == Resolved).count();
    assert_eq!(resolved, 1, "told once as over, then held open");
    life.clear("");
    life.pass(28);
    assert_eq!(life.told().iter().filter(|told| told.0 == Resolved).count(), 0);
    life.pass(2);
    assert_eq!(life.told().last().map(|told| told.0), Some(Resolved));
}

#[test]
fn revisions_go_on_after_a_verdict_was_forgotten() {
    let mut life = Life::new();
    life.raise("", Severity::Warning);
    life.clear("");
    life.pass(700);
    assert!(life.verdicts.cases.is_empty());
    life.raise("", Severity::Warning);
    assert_eq!(life.told(), [(Open, 1, 1), (Resolved, 2, 1), (Open, 3, 1)]);
}

#[test]
fn evidence_is_bounded_and_keeps_the_first_the_worst_and_the_last() {
    let mut life = Life::new();
    for at in 0..100 {
        let value = if at == 50 { 999.0 } else { f64::from(at) };
        let fact = crate::schema::Evidence {
            text: format!("fact {at}"),
            value,
            limit: Some(0.0),
            ..crate::schema::Evidence::default()
        };
        let conclusion = Conclusion { evidence: vec![fact], ..Conclusion::default() };
        life.act(|of, scene| of.raise(scene, Subject::device("gpu0"), "", conclusion));
    }
    let kept = &life.verdicts.open_cases().next().expect("open").verdict.evidence;
    let values: Vec<f64> = kept.iter().map(|fact| fact.value).collect();
    assert_eq!(values, [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 999.0, 99.0]);
}

#[test]
fn what_finds_no_room_is_counted_and_what_is_critical_finds_some() {
    let mut life = Life::new();
    for key in 0..VERDICTS_MAX + 5 {
        life.raise(&key.to_string(), Severity::Warning);
    }
    assert_eq!((life.verdicts.cases.len(), life.verdicts.refused), (VERDICTS_MAX, 5));
    life.raise("grave", Severity::Critical);
    assert!(life.verdicts.is_open("node1", "test", Subject::device("gpu0"), "grave"));
    assert_eq!((life.verdicts.cases.len(), life.verdicts.refused), (VERDICTS_MAX, 6));
}

#[test]
fn the_drivers_word_outranks_the_rules() {
    let mut life = Life::new();
    life.raise("", Severity::Critical);
    life.act(|of, scene| of.driver_says(scene, Subject::device("gpu0"), Some(Action::RebootNode)));
    life.raise("other", Severity::Critical);
    let told = life.verdicts.take();
    assert_eq!(told.len(), 3);
    assert!(told[1..].iter().all(|of| of.action == Action::RebootNode), "{told:?}");
}

#[test]
fn what_ends_by_itself_ends_after_its_quiet_time() {
    let mut life = Life::new();
    let conclusion = Conclusion { quiet_ns: 60 * SECOND_NS, ..Conclusion::default() };
    life.act(|of, scene| of.raise(scene, Subject::device("gpu0"), "", conclusion));
    life.pass(50);
    life.act(|of, scene| assert!(of.again(scene, Subject::device("gpu0"), "")));
    life.pass(59);
    assert_eq!(life.verdicts.open_cases().count(), 1);
    life.pass(1);
    assert_eq!(life.verdicts.open_cases().count(), 0);
}

#[test]
fn what_happened_before_anybody_looked_began_then_and_is_not_told_when_it_is_long_over() {
    let of_age = |age_s: u64| {
        let mut life = Life::new();
        life.now_s = 1_000_000;
        let wall_ns = 1 + life.now_s - age_s;
        let fact = crate::schema::Evidence {
            text: "killed".into(),
            event: 7,
            wall_ns,
            ..crate::schema::Evidence::default()
        };
        let quiet_ns = 600;
        let conclusion = Conclusion { evidence: vec![fact], quiet_ns, ..Conclusion::default() };
        life.act(|of, scene| of.raise(scene, Subject::device("gpu0"), "", conclusion));
        life.verdicts.open_cases().next().map(|case| 1 + life.now_s - case.verdict.since_wall_ns)
    };
    assert_eq!(of_age(0), Some(0));
    assert_eq!(of_age(599), Some(599));
    assert_eq!(of_age(600), None);
}
