//! Readers at the door.

use std::os::fd::AsFd;
use std::sync::Arc;

use eagle_eye::newest::{ReadingTableView, StepTableView};
use eagle_eye::platform::socket::{Connection, Received};
use eagle_eye::schema::{BATCH_BYTES_MAX, BatchHead, BatchView, Engine, GreetingKind, name_hash};

use super::agent::{
    Agent, Answer, allow_descriptors, answer, call, greet, run_dir, socket, step, until, welcome,
    writer,
};

/// A batch, or nothing now.
fn batch(connection: &Connection) -> Option<Vec<u8>> {
    let mut buffer = vec![0; BATCH_BYTES_MAX];
    match connection.receive(&mut buffer).expect("receiving works") {
        Received::Message(length, _) => {
            buffer.truncate(length);
            Some(buffer)
        }
        Received::Nothing => None,
        other => panic!("expected a batch, got {other:?}"),
    }
}

fn view(dir: &std::path::Path) -> (Connection, StepTableView) {
    let connection = call(dir);
    greet(&connection, GreetingKind::View, &[]);
    let Answer::Welcome(GreetingKind::WelcomeView, descriptors) = answer(&connection) else {
        panic!("a reader is welcome")
    };
    assert_eq!(descriptors.len(), 2);
    ReadingTableView::map(descriptors[1].as_fd()).expect("the table of readings");
    (connection, StepTableView::map(descriptors[0].as_fd()).expect("the table of steps"))
}

#[test]
fn a_reader_sees_steps_in_shared_memory_and_hears_names_and_news() {
    let dir = run_dir();
    let agent = Agent::start(dir.path());
    let (connection, steps) = view(dir.path());
    let mut engine = writer("seen");
    let mut lines = [engine.line(&socket(dir.path()))];
    welcome(&mut lines);
    engine.write(&step(7));
    until("the step is in the reader's table", || {
        steps.iter().any(|newest| newest.step.running == 7)
    });
    until("the name is told", || {
        batch(&connection).is_some_and(|bytes| {
            let view = BatchView::verify(&bytes).unwrap();
            assert_eq!((view.node_name(), view.head().node), (Some("node"), name_hash("node")));
            view.engines().any(|engine| engine.name == "seen")
        })
    });
    agent.news.send(Arc::from(&b"news"[..])).unwrap();
    until("the news are told", || batch(&connection).is_some_and(|bytes| bytes == b"news"));
    drop(connection);
    until("the reader's hang-up is noticed", || agent.count("views") == 0);
}

#[test]
fn a_reader_that_never_reads_misses_news_and_is_told_everything_once_it_does() {
    let dir = run_dir();
    let agent = Agent::start(dir.path());
    let (connection, _) = view(dir.path());
    let mut engine = writer("busy");
    let mut lines = [engine.line(&socket(dir.path()))];
    welcome(&mut lines);
    let news: Arc<[u8]> = Arc::from(vec![1; 8192]);
    let mut written = 0;
    until("news are missed", || {
        let _ = agent.news.try_send(Arc::clone(&news));
        written += 1;
        engine.write(&step(written));
        agent.count("news_missed") > 10
    });
    until("steps flow all the while", || agent.sequence(&engine) == u64::from(written));
    for n in 0..600 {
        agent.names.put_engine(Engine {
            endpoint: "x".repeat(200),
            ..Engine::named(&format!("later-{n}"), "m")
        });
    }
    let mut told = std::collections::HashSet::new();
    let mut messages = 0;
    until("every name is told, and that it was the last", || {
        let Some(bytes) = batch(&connection) else { return false };
        let Ok(view) = BatchView::verify(&bytes) else { return false };
        messages += 1;
        told.extend(view.engines().map(|engine| engine.name));
        told.len() == 601 && view.head().flags & BatchHead::LAST != 0
    });
    assert!(messages > 4, "600 engines are more than one message");
}

#[test]
fn more_readers_than_allowed_are_refused() {
    allow_descriptors();
    let dir = run_dir();
    let agent = Agent::start_with(dir.path(), vec![("views_max", "2".into())]);
    let readers = [view(dir.path()), view(dir.path())];
    let third = call(dir.path());
    greet(&third, GreetingKind::View, &[]);
    let Answer::Refused(why) = answer(&third) else { panic!("a third reader is refused") };
    assert!(why.contains("views_max"), "{why}");
    assert_eq!((agent.count("views_refused"), agent.count("views")), (1, 2));
    drop(readers);
    until("there is room again", || agent.count("views") == 0);
    view(dir.path());
}
