//! What a running agent gives to takers of an embedder's own.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use crossbeam_channel::bounded;
use eagle_eye::pipeline::{Batch, Taker};
use eagle_eye::schema::{BatchView, Flag, StepCore};

use crate::engines::Engines;
use crate::road::{agent_with, remote};
use crate::server::{NatsServer, eventually};

/// Of each engine, every sequence that came, in the order of arrival.
type Came = Arc<Mutex<HashMap<u64, Vec<u64>>>>;

fn keeping(came: &Came) -> Taker {
    let keep = Arc::clone(came);
    let offer = move |batch: &Batch| {
        let view = BatchView::verify(batch.bytes()).expect("an agent's batch");
        let mut came = keep.lock().expect("one thread");
        // Signs of life and of death tell a step again.
        let again = |step: &StepCore| step.has(Flag::Heartbeat) || step.has(Flag::Goodbye);
        for step in view.steps().filter(|step| !again(step)) {
            came.entry(step.instance).or_default().push(step.sequence);
        }
        true
    };
    Taker::new("keeping", Box::new(offer))
}

#[test]
fn each_step_comes_once_and_in_order_whatever_other_takers_and_nats_do() {
    const FULL_AFTER: u64 = 4;
    let folder = tempfile::tempdir().expect("a folder");
    let mut nats = NatsServer::open();
    let came = Came::default();
    let (queue, stuck) = bounded::<Batch>(FULL_AFTER as usize);
    let takers = vec![
        Taker::new("full", Box::new(move |batch| queue.try_send(batch.clone()).is_ok())),
        Taker::new("never", Box::new(|_| false)),
        Taker::new("broken", Box::new(|_| panic!("a taker of somebody else's"))),
        keeping(&came),
    ];
    let counts: Vec<_> = takers.iter().map(Taker::counts).collect();
    let settings = [("nats.urls", &*nats.url()), ("pipeline.ring_records", "65536")];
    let agent = agent_with(folder.path(), "n", &settings, takers);
    let view = remote(&nats.url());
    let engines = Engines::start(&folder.path().join("agent.sock"), "taken", 8, 200).welcome();
    engines.write_more(100);
    eventually("a router sees them", || view.ranks().len() == 8);
    nats.kill();
    engines.write_more(100);
    nats.restart();
    engines.write_more(100);
    engines.pause();
    let written: HashMap<u64, u64> =
        engines.instances.iter().copied().zip(engines.written()).collect();
    eventually("the last steps came", || {
        let came = came.lock().expect("the map");
        written
            .iter()
            .all(|(instance, last)| came.get(instance).and_then(|c| c.last()) == Some(last))
    });
    drop(engines);
    agent.stop();
    for (instance, sequences) in came.lock().expect("the map").iter() {
        // Steps from before the door was opened are history, of which the
        // newest is told.
        let first = sequences[0];
        let all: Vec<u64> = (first..=written[instance]).collect();
        assert_eq!(*sequences, all);
    }
    // After the end nothing is under way: all were offered the same.
    let offered: Vec<u64> = counts.iter().map(|c| c.queued() + c.dropped()).collect();
    assert!(offered.iter().all(|one| *one == offered[0]), "{offered:?}");
    let batches: Vec<u64> = counts.iter().map(|c| c.batches_queued()).collect();
    assert_eq!(batches[..3], [FULL_AFTER, 0, 0]);
    assert_eq!(counts[3].dropped(), 0, "the one that takes lost nothing");
    assert_eq!(stuck.len() as u64, FULL_AFTER);
}
