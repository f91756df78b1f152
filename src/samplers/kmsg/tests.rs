//! The sampler as the engine starts it.

use std::path::Path;

use super::*;
use crate::newest::{Names, ReadingTable, StepTable};
use crate::platform::doorbell::Doorbell;
use crate::ring;
use crate::samplers::{Cursors, EventOutlet, Fact, OutletParts};
use crate::schema::Event;

struct Engine {
    context: Context,
    outlet: Outlet,
    facts: crossbeam_channel::Receiver<Fact>,
}

fn engine(root: &Path) -> Engine {
    let mut context = Context::to_look(root.to_owned(), root.to_owned());
    context.readings = ReadingTable::heap(16);
    let (events, facts) = crossbeam_channel::bounded(64);
    let outlet = Outlet::new(
        ENTRY.name,
        OutletParts {
            steps: ring::ring(1).0,
            readings: ring::ring(64).0,
            step_table: StepTable::heap(1),
            reading_table: context.readings.clone(),
            names: Names::new("n"),
            events: EventOutlet::new(events),
            drain: Doorbell::for_this_thread().ringer(),
        },
    );
    Engine { context, outlet, facts }
}

impl Engine {
    fn open(&self, path: &str) -> Opened {
        let mut pairs: Vec<(&str, String)> = settings::SETTINGS
            .iter()
            .map(|setting| (setting.key, setting.default.trim_matches('"').to_owned()))
            .collect();
        pairs[0].1 = path.to_owned();
        (ENTRY.open)(&self.context, &Settings::new(pairs))
    }

    fn told(&self) -> Vec<Event> {
        self.facts.try_iter().filter_map(|fact| fact.event).collect()
    }
}

#[test]
fn a_followed_file_s_lines_become_events_and_counts_and_growth_wakes() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("kern.log");
    std::fs::write(&path, "<3>NVRM: one\n<6>passed over\n").unwrap();
    let mut engine = engine(root.path());
    let Opened::Ready(mut sampler) = engine.open("/kern.log") else { panic!("it can be read") };
    sampler.tick(1, &mut engine.outlet);
    let told = engine.told();
    assert_eq!((told.len(), &*told[0].source, &*told[0].text), (1, "kmsg", "NVRM: one"));
    assert_eq!(engine.context.readings.view().iter().count(), 6);

    let stop = Stop::default();
    std::fs::write(&path, "<3>NVRM: one\n<6>passed over\n<4>two\n").unwrap();
    let far_ns = clock::monotonic_ns() + 600 * SECOND_NS;
    assert_eq!(sampler.wait(far_ns, &stop), Woken::Early);
    sampler.tick(2, &mut engine.outlet);
    assert_eq!(engine.told()[0].text, "two");
    stop.raise();
    assert_eq!(sampler.wait(far_ns, &stop), Woken::Due);
}

#[test]
fn what_was_passed_over_is_noted_with_the_journal_after_a_while() {
    let root = tempfile::tempdir().unwrap();
    std::fs::write(root.path().join("log"), "<6>passed over\n").unwrap();
    let mut engine = engine(root.path());
    let Opened::Ready(mut sampler) = engine.open("/log") else { panic!("it can be read") };
    let now_ns = clock::monotonic_ns();
    for (after_ns, noted) in [(0, 0), (2 * CURSOR_NS, 1), (4 * CURSOR_NS, 0)] {
        sampler.tick(now_ns + after_ns, &mut engine.outlet);
        assert_eq!(engine.facts.try_iter().count(), noted, "after {after_ns} ns");
    }
}

#[test]
fn what_cannot_be_read_says_what_to_do() {
    let root = tempfile::tempdir().unwrap();
    let mut engine = engine(root.path());
    let Opened::Failed(why) = engine.open("/nothing") else { panic!("it is not there") };
    assert!(why.contains("samplers.kmsg.path"), "{why}");
    let bytes = Cursor::Place { device: 1, inode: 1, offset: 1 }.encode();
    engine.context.cursors = Cursors::new(vec![(ENTRY.name, bytes)]);
    match engine.open("") {
        Opened::NotHere(why) => assert!(why.contains("CAP_SYSLOG"), "{why}"),
        Opened::Ready(_) => {}
        Opened::Failed(why) => panic!("{why}"),
    }
}
