//! A view over a real server to which anyone may publish anything.

use std::cell::Cell;
use std::path::Path;
use std::sync::Arc;

use bytemuck::Zeroable;
use bytes::Bytes;
use eagle_eye::client::{Counts, View};
use eagle_eye::engine::Agent;
use eagle_eye::platform::clock::{self, MILLISECOND_NS, SECOND_NS};
use eagle_eye::schema::{
    BATCH_BYTES_MAX, BATCH_HEADER_BYTES, BatchHead, Field, Freshness, HotKind, STEP_BYTES,
    STEP_LAYOUT, StepCore, name_hash, write_header,
};
use eagle_eye::transports::nats::{NatsPublisher, Outlet};

use crate::engines::Engines;
use crate::nats::{Publishing, patient_settings};
use crate::road::{agent_with, patient_view, until};
use crate::server::{NatsServer, eventually};

/// Where a view listens for steps.
const SUBJECT: &str = "eagle_eye.v1.routing.elsewhere.any";

/// Somebody who publishes whatever comes to mind.
struct Stranger {
    publisher: NatsPublisher,
    outlet: Outlet,
    subject: Arc<str>,
    offered: Cell<u64>,
}

impl Stranger {
    fn at(nats: &NatsServer) -> Self {
        let publisher = Publishing::start(patient_settings(nats.url()), &[]).connected().publisher;
        let outlet = publisher.outlet();
        Self { publisher, outlet, subject: Arc::from(SUBJECT), offered: Cell::new(0) }
    }

    /// Publishes, and waits while much of it is under way, so that nothing
    /// gives way to newer state.
    fn publish(&self, bytes: &[u8]) {
        const UNDER_WAY_MAX: u64 = 16;
        eventually("a queue takes it", || {
            self.offered.set(self.offered.get() + 1);
            self.outlet.offer(&self.subject, Bytes::copy_from_slice(bytes), 1)
        });
        eventually("the server takes messages", || {
            let counts = self.publisher.snapshot().counts;
            let done = counts.sent + counts.replaced + counts.dropped();
            self.offered.get() < done + UNDER_WAY_MAX
        });
    }
}

fn patient_agent(folder: &Path, nats: &NatsServer) -> Agent {
    let settings = [("nats.urls", &*nats.url()), ("nats.ping_ms", "30000")];
    agent_with(folder, "n", &settings, Vec::new())
}

/// A step of the stranger's engine, as of now.
fn step(sequence: u64) -> StepCore {
    let now_ns = clock::monotonic_ns();
    let mut step = StepCore {
        instance: name_hash("stranger"),
        incarnation: 1,
        producers: 1,
        layout: STEP_LAYOUT,
        sequence,
        monotonic_ns: now_ns,
        heartbeat_ns: now_ns,
        ttl_ms: 60_000,
        ..StepCore::zeroed()
    };
    step.mark(Field::Running);
    step
}

fn batch(steps: &[StepCore]) -> Vec<u8> {
    let mut bytes = vec![0; BATCH_HEADER_BYTES + steps.len() * STEP_BYTES];
    bytes[BATCH_HEADER_BYTES..].copy_from_slice(bytemuck::cast_slice(steps));
    let head = BatchHead {
        node: name_hash("elsewhere"),
        incarnation: 1,
        publish_monotonic_ns: clock::monotonic_ns(),
        ..BatchHead::zeroed()
    };
    write_header(&mut bytes, HotKind::Steps, &head, steps.len() as u32);
    bytes
}

/// An agent with one good engine, a view over NATS, and a stranger beside.
fn beside_a_good_engine(check: impl FnOnce(&View, &Stranger)) {
    let folder = tempfile::tempdir().expect("a folder");
    let nats = NatsServer::open();
    let agent = patient_agent(folder.path(), &nats);
    let view = patient_view(&nats);
    let engines = Engines::start(&folder.path().join("agent.sock"), "good", 1, 100).welcome();
    let good = engines.instances[0];
    let is_good = |name: &str| {
        let written = engines.total();
        until(name, &view, |ranks| {
            ranks.iter().any(|rank| {
                rank.id.instance == good
                    && rank.freshness == Freshness::Fresh
                    && rank.step.sequence > written
            })
        });
    };
    is_good("good before");
    let stranger = Stranger::at(&nats);
    check(&view, &stranger);
    is_good("good after");
    agent.stop();
}

/// Every message and every step of the view went one way.
fn assert_conserved(counts: &Counts) {
    let steps = counts.steps_stored
        + counts.steps_old
        + counts.steps_late
        + counts.steps_future
        + counts.steps_malformed
        + counts.steps_beyond_ranks
        + counts.steps_ignored;
    assert_eq!(counts.steps, steps, "{counts:?}");
}

fn refused(counts: &Counts) -> u64 {
    counts.batches_oversized + counts.batches_unknown + counts.batches_malformed
}

#[test]
fn each_bad_message_is_counted_under_its_reason() {
    let good = batch(&[step(1)]);
    let version_2 = {
        let mut bytes = good.clone();
        bytes[4..8].copy_from_slice(b"EEB2");
        bytes
    };
    let far_vtable = {
        let mut bytes = good.clone();
        bytes[20..24].copy_from_slice(&i32::MAX.to_le_bytes());
        bytes
    };
    let wild_count = {
        let mut bytes = good.clone();
        bytes[76..80].copy_from_slice(&u32::MAX.to_le_bytes());
        bytes
    };
    type Reason = fn(&Counts) -> u64;
    let rows: [(&str, Vec<u8>, Reason); 8] = [
        ("empty", Vec::new(), |c| c.batches_unknown + c.batches_malformed),
        ("text", b"hello, router".to_vec(), |c| c.batches_unknown),
        ("a later version", version_2, |c| c.batches_unknown),
        ("cut within the head", good[..40].to_vec(), |c| c.batches_malformed),
        ("cut within a step", good[..good.len() - 1].to_vec(), |c| c.batches_malformed),
        ("a table far away", far_vtable, |c| c.batches_malformed),
        ("more steps than bytes", wild_count, |c| c.batches_malformed),
        ("oversized", vec![b'x'; BATCH_BYTES_MAX + 1], |c| c.batches_oversized),
    ];
    beside_a_good_engine(|view, stranger| {
        for (name, bytes, reason) in &rows {
            let before = view.counts();
            stranger.publish(bytes);
            eventually(name, || reason(&view.counts()) == reason(&before) + 1);
            assert_eq!(refused(&view.counts()), refused(&before) + 1, "{name}");
        }
        assert_conserved(&view.counts());
    });
}

#[test]
fn what_comes_twice_late_or_from_the_future_is_counted_and_shows_nothing_older() {
    beside_a_good_engine(|view, stranger| {
        let sequence = || {
            let of =
                |rank: &eagle_eye::client::RankState| rank.id.instance == name_hash("stranger");
            view.ranks().iter().find(|rank| of(rank)).map(|rank| rank.step.sequence)
        };
        let steps: Vec<StepCore> = (1..=8).map(step).collect();
        stranger.publish(&batch(&[steps[0], steps[1], steps[4]]));
        eventually("the fifth", || sequence() == Some(5));
        let before = view.counts();
        // Twice, and a batch that was overtaken: 3 and 4 had been missed.
        stranger.publish(&batch(&[steps[4]]));
        stranger.publish(&batch(&[steps[1], steps[2], steps[3]]));
        eventually("old and late", || {
            let counts = view.counts();
            counts.steps_old >= before.steps_old + 2 && counts.steps_late == before.steps_late + 2
        });
        assert_eq!(sequence(), Some(5));
        let far = StepCore { monotonic_ns: u64::MAX / 2, heartbeat_ns: u64::MAX / 2, ..step(6) };
        let soon_ns = clock::monotonic_ns() + 60 * SECOND_NS;
        let soon = StepCore { monotonic_ns: soon_ns, heartbeat_ns: soon_ns, ..step(7) };
        let nobody = StepCore { instance: 0, ..step(8) };
        let torn = StepCore { producer: 7, producers: 2, ..step(8) };
        stranger.publish(&batch(&[far, soon, nobody, torn]));
        eventually("each for its reason", || {
            let counts = view.counts();
            counts.steps_future == before.steps_future + 2
                && counts.steps_malformed == before.steps_malformed + 2
        });
        assert_eq!(sequence(), Some(5), "the future is not believed");
        stranger.publish(&batch(&[steps[7]]));
        eventually("the eighth", || sequence() == Some(8));
        assert_conserved(&view.counts());
    });
}

#[test]
fn a_forged_step_from_far_ahead_holds_a_rank_no_longer_than_its_silence() {
    const FAR: u64 = 1 << 40;
    beside_a_good_engine(|view, stranger| {
        let sequence = || view.ranks().first().map(|rank| rank.step.sequence);
        let mut forged = view.ranks()[0].step;
        forged.sequence = FAR;
        forged.monotonic_ns = clock::monotonic_ns();
        forged.heartbeat_ns = forged.monotonic_ns;
        stranger.publish(&batch(&[forged]));
        eventually("the forged one", || sequence() == Some(FAR));
        eventually("the good one again", || sequence().is_some_and(|n| n < FAR));
        assert_eq!(view.counts().restarts, 1);
    });
}

/// xorshift64: enough for noise, and equal in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

#[test]
fn a_flood_of_random_messages_is_counted_and_a_good_engine_stays_fresh() {
    const MESSAGES: u64 = 10_000;
    let folder = tempfile::tempdir().expect("a folder");
    let nats = NatsServer::open();
    let agent = patient_agent(folder.path(), &nats);
    let view = patient_view(&nats);
    let engines = Engines::start(&folder.path().join("agent.sock"), "good", 1, 100).welcome();
    let good = engines.instances[0];
    let fresh = |ranks: &[eagle_eye::client::RankState]| {
        ranks.iter().any(|r| r.id.instance == good && r.freshness == Freshness::Fresh)
    };
    until("good before", &view, fresh);
    let stranger = Stranger::at(&nats);
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let good_batch = batch(&[step(1), step(2)]);
    let before = view.counts();
    for at in 0..MESSAGES {
        // Noise, or a good batch with one bit turned or its end cut off.
        let mut bytes = good_batch.clone();
        match random.next() % 3 {
            0 => bytes.fill_with(|| random.next() as u8),
            1 => {
                let bit = random.next() as usize % (8 * bytes.len());
                bytes[bit / 8] ^= 1 << (bit % 8);
            }
            _ => bytes.truncate(random.next() as usize % bytes.len()),
        }
        stranger.publish(&bytes);
        if at % 1000 == 0 {
            until("good meanwhile", &view, fresh);
        }
    }
    // The flood has passed once a message sent after it has.
    let last = StepCore { instance: name_hash("last"), ..step(1) };
    eventually("what was sent last", || {
        stranger.publish(&batch(&[last]));
        clock::sleep_until(clock::monotonic_ns() + 20 * MILLISECOND_NS);
        view.ranks().iter().any(|rank| rank.id.instance == name_hash("last"))
    });
    let counts = view.counts();
    assert!(refused(&counts) - refused(&before) > MESSAGES / 3, "{counts:?}");
    assert_conserved(&counts);
    let written = engines.total();
    until("good after", &view, |ranks| {
        fresh(ranks) && ranks.iter().any(|r| r.id.instance == good && r.step.sequence > written)
    });
    agent.stop();
}
