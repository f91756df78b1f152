//! An agent whose broker is away: it stays small, its engines feel nothing,
//! and what is heard first afterwards is the newest truth.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use eagle_eye::platform::clock::{self, MILLISECOND_NS, SECOND_NS};
use eagle_eye::schema::{BatchView, STEP_BYTES};

use crate::binary::Running;
use crate::engines::Engines;
use crate::nats::{Listening, settings};
use crate::server::{NatsServer, eventually};

/// Memory of the process's own that is resident, bytes; what engines share
/// with it is theirs.
fn own_bytes(process: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{process}/status")).expect("it runs");
    let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("its memory");
    let kilobytes = line.split_whitespace().next().and_then(|number| number.parse::<u64>().ok());
    1024 * kilobytes.expect("a number")
}

/// Of each rank, the first sequence that is heard.
type First = Arc<Mutex<HashMap<u64, u64>>>;

fn first_heard(nats: &NatsServer) -> (Listening, First) {
    let first = First::default();
    let keep = Arc::clone(&first);
    let (_, nothing) = std::sync::mpsc::channel();
    let listening = Listening::with(
        settings(nats.url()),
        &["eagle_eye.v1.routing.*.*"],
        |hooks| {
            hooks.on_message = Box::new(move |_, bytes, _| {
                let batch = BatchView::verify(&bytes).expect("an agent's batch");
                let mut first = keep.lock().expect("the map");
                for step in batch.steps() {
                    first.entry(step.instance).or_insert(step.sequence);
                }
            });
        },
        nothing,
    );
    (listening, first)
}

#[test]
fn while_nats_is_away_memory_stays_flat_and_the_newest_comes_first_after_it() {
    const ENGINES: u32 = 16;
    let mut nats = NatsServer::open();
    // Small slabs, so that all memory that the road ever uses is soon touched.
    let small = ["--set", "pipeline.batch_bytes=4096", "--set", "pipeline.ring_records=1024"];
    let url = nats.url();
    let agent = Running::start(&[&small[..], &["--nats", &url]].concat());
    let local = agent.view();
    let engines = Engines::start(&agent.socket(), "away", ENGINES, 200).welcome();
    let (_here_before, first) = first_heard(&nats);
    eventually("everybody is heard", || first.lock().expect("the map").len() == ENGINES as usize);
    nats.kill();
    // What was under way settles, then nothing may grow.
    engines.write_more(400);
    let (before, begun_ns) = (own_bytes(agent.id()), clock::monotonic_ns());
    let total = engines.total();
    engines.write_more(600);
    let grown = own_bytes(agent.id()).saturating_sub(before);
    let seconds = (clock::monotonic_ns() - begun_ns) as f64 / SECOND_NS as f64;
    let records = engines.total() - total;
    eprintln!("{grown} bytes grown in {seconds:.1} s and {records} records without NATS");
    let passed_bytes = records * STEP_BYTES as u64;
    assert!(grown < passed_bytes / 4, "{grown} bytes grown while {passed_bytes} passed");
    assert_eq!(engines.allocated(), 0, "writing costs an engine no allocation");

    // What the agent knows now is the least that may be heard afterwards.
    first.lock().expect("the map").clear();
    let wanted: HashMap<u64, u64> =
        engines.instances.iter().copied().zip(engines.written()).collect();
    eventually("the agent knows it", || {
        clock::sleep_until(clock::monotonic_ns() + 5 * MILLISECOND_NS);
        let ranks = local.ranks();
        wanted.iter().all(|(instance, written)| {
            ranks.iter().any(|r| r.id.instance == *instance && r.step.sequence >= *written)
        })
    });
    nats.restart();
    eventually("everybody is heard again", || {
        first.lock().expect("the map").len() == ENGINES as usize
    });
    for (instance, sequence) in first.lock().expect("the map").iter() {
        assert!(*sequence >= wanted[instance], "{sequence} came after {}", wanted[instance]);
    }
}
