//! In = out + dropped by reason, at every stage from the door to the view.

use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use bytes::Bytes;
use crossbeam_channel::{Sender, bounded};
use eagle_eye::client::{Counts, View};
use eagle_eye::newest::{Names, ReadingTable, StepTable, StepTableView};
use eagle_eye::pipeline::{self, Batch, Drain, Source, Taker, TakerCounts};
use eagle_eye::platform::atomic::{AtomicU32, AtomicU64, Ordering};
use eagle_eye::platform::clock;
use eagle_eye::platform::doorbell::{Doorbell, Ringer};
use eagle_eye::platform::thread::{Stop, spawn};
use eagle_eye::ring;
use eagle_eye::samplers::engine_push::{self, DoorContext, DoorCounts};
use eagle_eye::samplers::own::Gauges;
use eagle_eye::samplers::{
    Context, Cursors, EventOutlet, Opened, Outlet, OutletParts, Progress, Settings, start,
};
use eagle_eye::schema::{BatchHead, BatchWriter, StepCore, Tables, name_hash};
use eagle_eye::transports::Outgoing;
use eagle_eye::transports::nats::{Answer, NatsPublisher, PublisherHooks};
use tempfile::TempDir;

use crate::engines::Engines;
use crate::nats::patient_settings;
use crate::road::patient_view;
use crate::server::{NatsServer, eventually};

const NODE: &str = "n";
const SUBJECT: &str = "eagle_eye.v1.routing.n.org_model";

/// Where each taker found the bytes of each batch.
type Places = Arc<Mutex<Vec<usize>>>;

/// The road of an agent, built here so that every stage's books are open.
struct Road {
    folder: TempDir,
    door: Arc<DoorCounts>,
    rings: [Arc<ring::Counts>; 2],
    pipeline: Arc<pipeline::Counts>,
    /// Good, full, never, and NATS.
    takers: [Arc<TakerCounts>; 4],
    places: [Places; 4],
    publisher: NatsPublisher,
    told: Told,
    stops: [Stop; 2],
    threads: Vec<JoinHandle<()>>,
}

/// The newest steps as the publisher tells them, and how many it told.
#[derive(Clone)]
struct Told {
    steps: StepTableView,
    in_states: Arc<AtomicU64>,
    in_answers: Arc<AtomicU64>,
}

impl Told {
    fn message(&self, generation: u32, held_ns: u64) -> (Bytes, u32) {
        let steps: Vec<StepCore> = self.steps.iter().map(|newest| newest.step).collect();
        let head = BatchHead {
            node: name_hash(NODE),
            incarnation: 1,
            sequence: 0,
            publish_monotonic_ns: clock::monotonic_ns(),
            publish_wall_ns: clock::wall_ns(),
            generation,
            flags: BatchHead::SNAPSHOT | BatchHead::LAST,
        };
        let tables = Tables { steps: &steps, held_ns, ..Tables::default() };
        let bytes = Bytes::copy_from_slice(BatchWriter::default().write(&head, &tables));
        (bytes, steps.len() as u32)
    }

    fn hooks(&self) -> PublisherHooks {
        let (state, answer) = (self.clone(), self.clone());
        let subject = Arc::<str>::from(SUBJECT);
        let full_state = move |_, generation| {
            let (payload, records) = state.message(generation, 0);
            state.in_states.fetch_add(records.into(), Ordering::Relaxed);
            vec![Outgoing { subject: Arc::clone(&subject), payload, records }]
        };
        let reply = move |_: &[u8], held_ns| {
            let (payload, records) = answer.message(1, held_ns);
            answer.in_answers.fetch_add(records.into(), Ordering::Relaxed);
            vec![payload]
        };
        let subject = "eagle_eye.v1.snapshot".to_owned();
        let answers = vec![Answer { subject, reply: Box::new(reply) }];
        PublisherHooks { full_state: Box::new(full_state), answers, aside: None }
    }
}

/// A taker that notes where each batch's bytes are, then does as it does.
fn taker(
    name: &'static str,
    mut take: impl FnMut(&Batch) -> bool + Send + 'static,
) -> (Taker, Places) {
    let places = Places::default();
    let note = Arc::clone(&places);
    let offer = move |batch: &Batch| {
        note.lock().expect("one thread").push(batch.bytes().as_ptr() as usize);
        take(batch)
    };
    (Taker::new(name, Box::new(offer)), places)
}

/// Good, full after so many batches, and never.
fn local_takers(full_after: usize) -> [(Taker, Places); 3] {
    let (queue, _stuck) = bounded::<Batch>(full_after);
    let full = move |batch: &Batch| {
        let _nobody_takes_it = &_stuck;
        queue.try_send(batch.clone()).is_ok()
    };
    [taker("good", |_| true), taker("full", full), taker("never", |_| false)]
}

/// Hands over to NATS; notes where the payload's bytes are.
fn network_taker(publisher: &NatsPublisher) -> (Taker, Places) {
    let outlet = publisher.outlet();
    let subject = Arc::<str>::from(SUBJECT);
    let places = Places::default();
    let note = Arc::clone(&places);
    let offer = move |batch: &Batch| {
        let payload = Bytes::from_owner(batch.clone());
        note.lock().expect("one thread").push(payload.as_ptr() as usize);
        outlet.offer(&subject, payload, batch.records())
    };
    (Taker::new("nats", Box::new(offer)), places)
}

impl Road {
    fn start(nats: &NatsServer, slabs: usize, full_after: usize) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let steps = StepTable::shared(256).expect("memory");
        let told =
            Told { steps: steps.view(), in_states: Arc::default(), in_answers: Arc::default() };
        let publisher = NatsPublisher::start(patient_settings(nats.url()), told.hooks(), None)
            .expect("a publisher");
        let [good, full, never] = local_takers(full_after);
        let all = [good, full, never, network_taker(&publisher)];
        let counts = all.each_ref().map(|(taker, _)| taker.counts());
        let places = all.each_ref().map(|(_, places)| Arc::clone(places));
        let takers = all.into_iter().map(|(taker, _)| taker).collect();

        let stops = [Stop::default(), Stop::default()];
        let (drain_thread, drain_in, ringer) = drain_thread(stops[1].clone());
        let (step_in, step_out) = ring::ring(256);
        let (reading_in, reading_out) = ring::ring(64);
        let rings = [step_in.counts(), reading_in.counts()];
        let door = DoorContext::default();
        let context = Context {
            host_root: "/".into(),
            run_dir: folder.path().to_owned(),
            names: Names::new(NODE),
            steps: steps.clone(),
            readings: ReadingTable::shared(64).expect("memory"),
            cursors: Cursors::default(),
            gauges: Gauges::default(),
            door: door.clone(),
        };
        let parts = OutletParts {
            steps: step_in,
            readings: reading_in,
            step_table: steps,
            reading_table: context.readings.clone(),
            names: context.names.clone(),
            events: EventOutlet::new(bounded(64).0),
            drain: ringer,
        };
        let sampler_thread = sampler(&context, parts, stops[0].clone());
        let drain = Drain::new(
            vec![Source::Steps(step_out), Source::Readings(reading_out)],
            takers,
            pipeline::Settings {
                node: name_hash(NODE),
                incarnation: 1,
                generation: Arc::new(AtomicU32::new(1)),
                linger_ns: 1_000_000,
                batch_bytes: 8192,
                slabs,
            },
        );
        let pipeline = drain.counts();
        drain_in.send(drain).expect("the drain's thread waits");
        let threads = vec![drain_thread, sampler_thread];
        Self {
            folder,
            door: door.counts,
            rings,
            pipeline,
            takers: counts,
            places,
            publisher,
            told,
            stops,
            threads,
        }
    }

    fn slots(&self, ways: &[&str]) -> u64 {
        let mut sum = 0;
        self.door.each(|name, count| sum += if ways.contains(&name) { count } else { 0 });
        sum
    }

    /// Whether nothing is under way between two stages.
    fn is_still(&self, written: u64) -> bool {
        let [steps, readings] = &self.rings;
        let rings_taken = steps.taken() + readings.taken();
        self.slots(&["slots"]) == written
            && steps.produced() == steps.dropped() + steps.taken()
            && self.pipeline.taken() == rings_taken
            && self.pipeline.taken() == self.pipeline.batched() + self.pipeline.dropped()
            && {
                let link = self.publisher.snapshot().counts;
                link.sent + link.replaced + link.dropped() == offered(&self.takers[3])
            }
    }

    /// Each stage put out, or counted as dropped, what it took in.
    fn assert_conserved(&self, written: u64) {
        assert_eq!(self.slots(&["slots"]), written);
        assert_eq!(
            self.slots(&["steps"]) + self.slots(&DoorCounts::NOT_STEPS),
            written,
            "the door"
        );
        let [steps, readings] = &self.rings;
        assert!(steps.produced() >= self.slots(&["steps"]), "what came in went to the ring");
        assert_eq!(steps.produced(), steps.dropped() + steps.taken(), "the ring");
        assert_eq!(readings.produced(), 0);
        let pipeline = &self.pipeline;
        assert_eq!(pipeline.taken(), steps.taken(), "the drain");
        assert_eq!(pipeline.taken(), pipeline.batched() + pipeline.dropped(), "the drain");
        for taker in &self.takers {
            assert_eq!(offered(taker), pipeline.batched(), "{taker:?}");
            let batches = taker.batches_queued() + taker.batches_dropped();
            assert_eq!(batches, pipeline.batches(), "{taker:?}");
        }
        let link = self.publisher.snapshot().counts;
        assert_eq!(
            link.sent + link.replaced + link.dropped(),
            offered(&self.takers[3]),
            "{link:?}"
        );
    }

    /// Records that did not go on as they came.
    fn lost(&self) -> u64 {
        let link = self.publisher.snapshot().counts;
        let at_door = written_not_put_out(self);
        at_door + self.rings[0].dropped() + self.pipeline.dropped() + link.replaced + link.dropped()
    }

    fn stop(mut self) {
        self.stops.iter().for_each(Stop::raise);
        for thread in self.threads.drain(..) {
            thread.join().expect("no thread panicked");
        }
        self.publisher.stop(std::time::Duration::from_millis(200));
    }
}

fn written_not_put_out(road: &Road) -> u64 {
    road.slots(&DoorCounts::NOT_STEPS)
}

fn offered(taker: &TakerCounts) -> u64 {
    taker.queued() + taker.dropped()
}

/// A thread that waits for its drain, and how to ring it.
fn drain_thread(stop: Stop) -> (JoinHandle<()>, Sender<Drain>, Ringer) {
    let (ringer_in, ringer_out) = bounded(1);
    let (drain_in, drain_out) = bounded(1);
    let thread = spawn("drain", None, move || {
        let bell = Doorbell::for_this_thread();
        ringer_in.send(bell.ringer()).expect("somebody waits");
        pipeline::run(drain_out.recv().expect("a drain"), &bell, &stop);
    });
    (thread.expect("a thread"), drain_in, ringer_out.recv().expect("the drain's bell"))
}

fn sampler(context: &Context, parts: OutletParts, stop: Stop) -> JoinHandle<()> {
    let settings = Settings::new(Vec::new());
    let sampler = match (engine_push::ENTRY.open)(context, &settings) {
        Opened::Ready(sampler) => sampler,
        Opened::NotHere(why) | Opened::Failed(why) => panic!("the door did not open: {why}"),
    };
    let outlet = Outlet::new("engine_push", parts);
    let progress = Arc::new(Progress::new(100_000_000, clock::monotonic_ns()));
    start("engine_push", None, sampler, outlet, progress, stop).expect("a thread")
}

/// Steps in messages that came into the view, by what became of them.
fn view_steps(counts: &Counts) -> u64 {
    counts.steps_stored
        + counts.steps_old
        + counts.steps_late
        + counts.steps_future
        + counts.steps_malformed
        + counts.steps_beyond_ranks
        + counts.steps_ignored
}

fn shows(view: &View, engines: &Engines) -> bool {
    let ranks = view.ranks();
    engines.instances.iter().zip(engines.written()).all(|(instance, last)| {
        ranks.iter().any(|r| r.id.instance == *instance && r.step.sequence == last)
    })
}

#[test]
fn every_step_is_counted_at_every_stage_and_takers_share_its_bytes() {
    const FULL_AFTER: usize = 4;
    let nats = NatsServer::open();
    let road = Road::start(&nats, 512, FULL_AFTER);
    let view = patient_view(&nats);
    // From here on the view's subscription stands: its request was answered.
    eventually("the view is complete", || {
        view.is_complete() && road.publisher.snapshot().counts.answers_sent > 0
    });
    let engines =
        Engines::start(&road.folder.path().join("agent.sock"), "counted", 8, 200).welcome();
    engines.write_more(300);
    engines.pause();
    eventually("the view shows every last step", || shows(&view, &engines));
    let written = engines.total();
    drop(engines);
    eventually("all is still", || road.is_still(written));
    road.assert_conserved(written);

    let [good, full, never, network] = &road.takers;
    assert_eq!(good.queued(), road.pipeline.batched(), "a stuck taker delays nobody");
    assert_eq!((full.batches_queued(), never.batches_queued()), (FULL_AFTER as u64, 0));
    assert!(network.queued() > 0);
    let places = road.places.each_ref().map(|places| places.lock().expect("idle").clone());
    assert!(places[0].len() > 100 && places[1..].iter().all(|other| *other == places[0]));

    // What NATS took came, with the states and answers, and nothing else. A
    // view may ask again at any moment, so what is told is read after what came.
    let link = road.publisher.snapshot().counts;
    let from_network = link.sent + link.state_sent;
    eventually("the network is empty", || view.counts().steps >= from_network);
    let counts = view.counts();
    let told = [&road.told.in_states, &road.told.in_answers];
    let told: u64 = told.iter().map(|told| told.load(Ordering::Relaxed)).sum();
    assert!(counts.steps <= link.sent + told, "{link:?} {counts:?}, {told} told");
    eventually("states are counted", || {
        let in_states = road.told.in_states.load(Ordering::Relaxed);
        in_states == road.publisher.snapshot().counts.state_sent
    });
    assert_eq!(view_steps(&counts), counts.steps, "{counts:?}");
    let lost: u64 = view.ranks().iter().map(|rank| rank.lost).sum();
    assert_eq!(lost, counts.steps_lost, "{counts:?}");
    assert!(lost <= road.lost(), "{lost} lost to the view, {} counted before", road.lost());
    road.stop();
}

#[test]
fn a_taker_that_keeps_every_slab_costs_batches_and_each_record_is_counted() {
    const SLABS: usize = 6;
    let nats = NatsServer::open();
    let road = Road::start(&nats, SLABS, 2 * SLABS);
    let engines =
        Engines::start(&road.folder.path().join("agent.sock"), "starved", 4, 200).welcome();
    eventually("slabs are gone", || road.pipeline.dropped() > 0);
    engines.write_more(100);
    engines.pause();
    let written = engines.total();
    eventually("the door read all", || road.slots(&["slots"]) == written);
    drop(engines);
    eventually("all is still", || road.is_still(written));
    road.assert_conserved(written);
    assert!(road.takers[1].batches_queued() <= SLABS as u64);
    road.stop();
}
