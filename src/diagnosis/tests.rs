//! A stage under facts of any kind and order: the same facts say the same, a
//! verdict's life is whole, and a restart changes nothing.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::rules::trial::{device, gpu, step};
use super::*;
use crate::schema::{
    DeviceProcess, DeviceState, EVIDENCE_MAX, Engine, Event, EventKind, Field, METRICS, Reading,
    Severity, Verdict, VerdictState,
};

/// One thing that a stage is told.
#[derive(Debug, Clone)]
enum Told {
    Reading(u8, prop::sample::Index, f64),
    Event(u8, u8, u8),
    State(u8, u8),
    Step(u8, u32, u64),
    /// The clock moves, now and then backwards.
    Time(i64),
}

fn told() -> impl Strategy<Value = Told> {
    let value = prop_oneof![
        Just(0.0),
        Just(1.0),
        Just(2.0),
        0.0..100.0_f64,
        1e3..1e12_f64,
        Just(f64::NAN),
        Just(-1.0)
    ];
    prop_oneof![
        6 => (0_u8..14, any::<prop::sample::Index>(), value)
            .prop_map(|(device, metric, value)| Told::Reading(device, metric, value)),
        2 => (0_u8..30, 0_u8..14, 0_u8..200).prop_map(|(kind, of, id)| Told::Event(kind, of, id)),
        1 => (0_u8..6, 0_u8..6).prop_map(|(of, state)| Told::State(of, state)),
        2 => (0_u8..3, 0_u32..300, any::<u64>()).prop_map(|(of, n, m)| Told::Step(of, n, m)),
        3 => prop_oneof![0_i64..40, 50_i64..2000, -3000_i64..0].prop_map(Told::Time),
    ]
}

/// A stage with a small node, and what it is told by.
struct World {
    stage: Stage,
    at: At,
    sequence: u64,
}

const OTHERS: [(&str, &str); 8] = [
    ("node", "node1"),
    ("container", "c1"),
    ("container", "c2"),
    ("interface", "eth0"),
    ("infiniband_port", "mlx5_0/1"),
    ("pci", "0000:10:00.0"),
    ("memory_controller", "mc0"),
    ("sensor", "inlet"),
];

impl World {
    fn new() -> Self {
        let mut stage = Stage::new("node1", Plan::default());
        let at = At::new(10_000_000_000_000, 1_700_000_000_000_000_000);
        for index in 0..6 {
            let mut gpu = gpu(index);
            gpu.accelerator.as_mut().expect("a GPU").processes =
                vec![DeviceProcess { process: 7 + index, ..DeviceProcess::default() }];
            stage.fact(at, Fact::Device(&gpu));
        }
        for (index, (kind, name)) in OTHERS.iter().enumerate() {
            let mut of = device(6 + index as u32, kind, name);
            of.container = format!("id-{name}");
            stage.fact(at, Fact::Device(&of));
        }
        for engine in engines() {
            stage.fact(at, Fact::Engine(&engine));
        }
        Self { stage, at, sequence: 0 }
    }

    fn tell(&mut self, told: &Told) {
        match told {
            Told::Reading(device, metric, value) => {
                let metric = metric.get(METRICS).id;
                let at_ns = self.at.monotonic_ns;
                let reading = Reading::new(u32::from(*device), metric, at_ns, *value);
                self.stage.fact(self.at, Fact::Reading(&reading));
            }
            Told::Event(kind, of, id) => {
                let name = match of {
                    0..6 => format!("gpu{of}"),
                    of => OTHERS[usize::from(of - 6)].1.to_owned(),
                };
                let event = Event {
                    id: u64::from(*id),
                    kind: EventKind::from_number(u16::from(*kind)),
                    severity: Severity::from_number(id % 4),
                    subject: if id % 5 == 0 { "e0".into() } else { name },
                    text: "something".into(),
                    lost: 3,
                    ..Event::default()
                };
                self.stage.fact(self.at, Fact::Event(&event));
            }
            Told::State(of, state) => {
                let mut gpu = gpu(u32::from(*of));
                let parts = gpu.accelerator.as_mut().expect("a GPU");
                parts.state = DeviceState::from_number(*state);
                self.stage.fact(self.at, Fact::Device(&gpu));
            }
            Told::Step(of, load, total) => {
                self.sequence += 1;
                let engine = &engines()[usize::from(*of)];
                let mut of = step(engine, self.at, self.sequence, Field::ALL);
                (of.running, of.waiting, of.deferred) = (*load, *load, *load / 2);
                (of.oldest_wait_ms, of.last_step_us) = (*load * 50, *load * 900);
                (of.kv_usage, of.max_sequences) = (*load as f32 / 300.0, 256);
                (of.preemptions, of.steps) = (*total >> 40, *total >> 50);
                self.stage.fact(self.at, Fact::Step(&of));
            }
            Told::Time(seconds) => {
                let ns = seconds * 1_000_000_000;
                self.at.monotonic_ns = self.at.monotonic_ns.saturating_add_signed(ns);
                self.at.wall_ns = self.at.wall_ns.saturating_add_signed(ns);
                self.stage.tick(self.at);
            }
        }
    }
}

fn engines() -> [Engine; 3] {
    [0, 1, 2].map(|at| Engine {
        process: 7 + at,
        container: format!("id-c{at}"),
        ..Engine::named(&format!("e{at}"), "m")
    })
}

/// Whether each verdict's life is whole.
fn check(told: &[Verdict], last: &mut BTreeMap<u64, (u32, VerdictState)>) {
    for of in told {
        let before = last.insert(of.id, (of.revision, of.state));
        match (before.map(|of| of.1), of.state) {
            (None | Some(VerdictState::Resolved), VerdictState::Open)
            | (
                Some(VerdictState::Open | VerdictState::Changed),
                VerdictState::Changed | VerdictState::Resolved,
            )
            | (Some(VerdictState::Resolved), VerdictState::Changed) => {}
            (before, now) => panic!("{before:?} became {now:?}: {of:?}"),
        }
        assert_eq!(of.revision, before.map_or(0, |of| of.0) + 1, "{of:?}");
        assert!(of.evidence.len() <= EVIDENCE_MAX && !of.text.is_empty(), "{of:?}");
        assert!(of.caused_by == 0 || last.contains_key(&of.caused_by), "{of:?}");
        assert!(of.caused_by != of.id && of.count >= 1, "{of:?}");
        assert_eq!(of.page, format!("rules/{}.md", of.rule));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 2 } else { 32 }, ..Default::default() })]

    #[test]
    fn the_same_facts_say_the_same_and_lives_are_whole(
        facts in prop::collection::vec(told(), 1..400),
        restart in any::<prop::sample::Index>(),
    ) {
        let (mut one, mut other) = (World::new(), World::new());
        let mut last = BTreeMap::new();
        let restart = restart.index(facts.len());
        for (at, fact) in facts.iter().enumerate() {
            one.tell(fact);
            other.tell(fact);
            let told = one.stage.take_verdicts();
            prop_assert_eq!(&told, &other.stage.take_verdicts());
            check(&told, &mut last);
            prop_assert_eq!(one.stage.assessments(), other.stage.assessments());
            if at == restart {
                let bytes = one.stage.snapshot();
                prop_assert_eq!(&bytes, &other.stage.snapshot());
                let mut third = Stage::new("node1", Plan::default());
                prop_assert_eq!(third.restore(&bytes), Ok(()));
                prop_assert!(third.open().eq(one.stage.open()));
                prop_assert_eq!(third.take_verdicts(), vec![]);
            }
        }
        prop_assert_eq!(one.stage.snapshot(), other.stage.snapshot());
    }
}
