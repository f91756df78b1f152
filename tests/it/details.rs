//! What an engine says beside its steps reaches every view, whoever came
//! first.

use std::path::Path;
use std::thread::JoinHandle;

use bytemuck::Zeroable;
use eagle_eye::client::{Details, View};
use eagle_eye::platform::atomic::Ordering;
use eagle_eye::platform::thread::Stop;
use eagle_eye::producer::DoorWriter;
use eagle_eye::schema::{Engine, EngineDetails, Finished, Sketch, SketchKind, StepCore, name_hash};

use crate::road::{agent, local, remote, until};
use crate::server::{NatsServer, eventually};

/// A front end of an engine that is never idle.
struct FrontEnd {
    writer: DoorWriter,
    producer: u16,
    stop: Stop,
    line: Option<JoinHandle<()>>,
}

impl FrontEnd {
    fn start(folder: &Path, producer: u16) -> Self {
        let engine = Engine { incarnation: 7 + u64::from(producer), ..Engine::named("one", "m") };
        let writer = DoorWriter::create(&engine, 64).expect("memory");
        let stop = Stop::default();
        let line = writer.line(&folder.join("agent.sock"));
        let line = Some(line.keep(stop.clone()).expect("a thread"));
        Self { writer, producer, stop, line }
    }

    fn step(&mut self) {
        let (producer, producers) = (self.producer, 2);
        self.writer.write(&StepCore { producer, producers, ..StepCore::zeroed() });
    }

    /// Says that so many requests waited so long for their first token.
    fn say(&self, count: u32, us: f64) {
        let mut sketch = Sketch::new(SketchKind::Ttft);
        sketch.add(us, count);
        let finished = vec![Finished { reason: "stop".into(), count: count.into() }];
        let sketches = vec![sketch];
        let more = EngineDetails::default();
        self.writer.write_details(&[EngineDetails { sketches, finished, ..more }]);
    }
}

impl Drop for FrontEnd {
    fn drop(&mut self) {
        self.stop.raise();
        if let Some(line) = self.line.take() {
            let _ = line.join();
        }
    }
}

fn said(view: &View) -> Details {
    view.details(name_hash("one")).unwrap_or_default()
}

#[test]
fn front_ends_of_one_engine_merge_in_every_view() {
    let folder = tempfile::tempdir().expect("a folder");
    let nats = NatsServer::open();
    let agent = agent(folder.path(), "n", Some(&nats.url()));
    let mut front = [FrontEnd::start(folder.path(), 0), FrontEnd::start(folder.path(), 1)];
    let early = [local(folder.path()), remote(&nats.url())];
    front[0].say(3, 1e6);
    front[1].say(1, 4e6);
    let all = |view: &View, count: u64| {
        let details = said(view);
        details.sketch(SketchKind::Ttft).is_some_and(|ttft| ttft.count == count)
    };
    for view in &early {
        until("both front ends", view, |_| {
            front.iter_mut().for_each(FrontEnd::step);
            all(view, 4)
        });
    }
    // Who comes later gets what is known, and changes reach everybody.
    let late = [local(folder.path()), remote(&nats.url())];
    late.iter().for_each(|view| until("what is known", view, |_| all(view, 4)));
    front[1].say(2, 4e6);
    for view in early.iter().chain(&late) {
        until("a change", view, |_| all(view, 5));
        let details = said(view);
        assert_eq!(details.finished(), [("stop", 5)]);
        let p99 = details.quantile(SketchKind::Ttft, 0.99).expect("it is known");
        assert!((p99 / 4.0 - 1.0).abs() < 0.022, "{p99}");
    }
    let [_, second] = front;
    drop(second);
    eventually("what left is forgotten", || agent.names.details().since(0).len() == 1);
    agent.stop();
}

#[test]
fn an_engine_whose_details_are_nonsense_is_seen_all_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    let agent = agent(folder.path(), "n", None);
    let mut front = FrontEnd::start(folder.path(), 0);
    let view = local(folder.path());
    let sketch =
        Sketch { offset: 1000, buckets: vec![1; 100], ..Sketch::new(SketchKind::EndToEnd) };
    let finished = vec![Finished { reason: "stop".into(), count: 9 }];
    let sketches = vec![sketch];
    let more = EngineDetails::default();
    front.writer.write_details(&[EngineDetails { sketches, finished, ..more }]);
    until("the rest of them", &view, |_| {
        front.step();
        said(&view).finished() == [("stop", 9)]
    });
    assert_eq!(said(&view).sketch(SketchKind::EndToEnd), None);
    assert_eq!(agent.door().details_refused.load(Ordering::Relaxed), 1);
    agent.stop();
}
