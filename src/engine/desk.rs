//! Where events go once a sampler stated them: numbered, written to the
//! journal, then told to whoever listens.
//!
//! An event counts as accepted when the journal has it on disk; it leaves the
//! journal when NATS acknowledged it, or at once where no NATS is configured.
//! The desk has its own thread, since a disk can be slow.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use crossbeam_channel::{Receiver, Select};

use super::event_counts::EventCounts;
use super::losses::JournalGauges;
use crate::journal::{Entry, EntryKind, Journal, Sequence};
use crate::newest::Names;
use crate::platform::clock;
use crate::platform::thread::Stop;
use crate::samplers::Fact;
use crate::schema::{BatchHead, BatchWriter, Event, EventKind, Tables};

/// Events that a page or terminal can still show.
pub const RECENT_MAX: usize = 512;

/// Events that wait between samplers and the desk; more are dropped, counted.
pub(super) const WAITING_MAX: usize = 4096;

/// Events handed on in one go before the journal is synced.
const GROUP_MAX: usize = 256;

/// The longest wait between two looks at what was not acknowledged, and at the
/// stop flag; a leaving agent wakes the desk with a fact that says nothing.
const LOOK: Duration = Duration::from_secs(1);

/// The latest events, for pages and terminals. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Recent(Arc<Mutex<VecDeque<Event>>>);

impl Recent {
    /// The latest events, oldest first.
    #[must_use]
    pub fn events(&self) -> Vec<Event> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    fn push(&self, event: Event) {
        let mut events = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if events.len() == RECENT_MAX {
            events.pop_front();
        }
        events.push_back(event);
    }
}

/// Sends an event's message at least once; says whether it took it.
pub(super) type Deliver = Box<dyn FnMut(u64, Bytes) -> bool + Send>;

/// What became of an event that was handed on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outcome {
    pub(super) id: u64,
    /// Whether it is kept elsewhere now, so that the journal need not.
    pub(super) kept: bool,
}

/// The message of an event, to local readers.
pub(super) type Announce = Box<dyn FnMut(&Bytes) + Send>;

/// The desk's parts.
pub(super) struct Desk {
    pub(super) events: Receiver<Fact>,
    pub(super) journal: Option<Journal>,
    pub(super) names: Names,
    pub(super) incarnation: u64,
    pub(super) recent: Recent,
    pub(super) announce: Announce,
    pub(super) deliver: Option<Deliver>,
    /// What became of events that `deliver` took.
    pub(super) outcomes: Receiver<Outcome>,
    /// Where the journal's counts are shown.
    pub(super) gauges: Arc<JournalGauges>,
    /// Where events are counted.
    pub(super) stated: Arc<EventCounts>,
}

/// What the desk keeps between rounds.
struct State {
    desk: Desk,
    writer: BatchWriter,
    next_id: u64,
    /// Events handed to NATS and not acknowledged.
    under_way: HashMap<u64, Sequence>,
    retry_ns: u64,
}

/// Works until asked to stop, then writes down what is left.
pub(super) fn run(desk: Desk, stop: &Stop) {
    let next_id = desk.incarnation;
    let mut state = State {
        desk,
        writer: BatchWriter::default(),
        next_id,
        under_way: HashMap::new(),
        retry_ns: 0,
    };
    loop {
        let stopping = stop.is_raised();
        let more = state.round();
        if stopping && !more {
            return;
        }
    }
}

impl State {
    /// Takes what came in; returns whether anything did.
    fn round(&mut self) -> bool {
        self.wait();
        let group: Vec<Fact> = self.desk.events.try_iter().take(GROUP_MAX).collect();
        let any = !group.is_empty();
        let messages: Vec<(u64, Option<Sequence>, Bytes)> =
            group.into_iter().filter_map(|fact| self.take(fact)).collect();
        self.sync();
        for (id, sequence, bytes) in &messages {
            (self.desk.announce)(bytes);
            self.hand_over(*id, *sequence, bytes);
        }
        self.settle();
        self.retry();
        if let Some(journal) = &self.desk.journal {
            self.desk.gauges.take(&journal.counts());
        }
        any
    }

    /// Waits until there is something to do, or to try again.
    fn wait(&self) {
        let mut select = Select::new();
        select.recv(&self.desk.events);
        if self.desk.deliver.is_some() {
            select.recv(&self.desk.outcomes);
        }
        let _ = select.ready_timeout(LOOK);
    }

    /// An event and its source's cursor become durable in the same sync.
    fn take(&mut self, Fact { event, cursor }: Fact) -> Option<(u64, Option<Sequence>, Bytes)> {
        let message = event.map(|event| self.accept(event));
        if let (Some((name, value)), Some(journal)) = (cursor, &mut self.desk.journal)
            && let Err(error) = journal.set_cursor(name, &value)
        {
            tracing::warn!("where {name} stands is not kept over a restart: {error}");
        }
        message
    }

    fn accept(&mut self, mut event: Event) -> (u64, Option<Sequence>, Bytes) {
        event.id = self.next_id;
        self.next_id += 1;
        if event.kind == EventKind::KernelLine {
            // It stands in a log already, and that log may be what we follow.
            tracing::debug!(subject = event.subject, "{}", event.text);
        } else {
            tracing::info!(kind = event.kind.name(), subject = event.subject, "{}", event.text);
        }
        let head = BatchHead {
            node: self.desk.names.node_hash(),
            incarnation: self.desk.incarnation,
            sequence: 0,
            publish_monotonic_ns: clock::monotonic_ns(),
            publish_wall_ns: clock::wall_ns(),
            generation: 0,
            flags: 0,
        };
        let tables = Tables {
            node_name: Some(self.desk.names.node()),
            events: std::slice::from_ref(&event),
            ..Tables::default()
        };
        let bytes = Bytes::copy_from_slice(self.writer.write(&head, &tables));
        let entry = Entry { kind: EntryKind::Event, priority: event.severity, payload: &bytes };
        let sequence = self.desk.journal.as_mut().and_then(|journal| journal.append(entry).ok());
        let id = event.id;
        self.desk.stated.count(&event);
        self.desk.recent.push(event);
        (id, sequence, bytes)
    }

    fn hand_over(&mut self, id: u64, sequence: Option<Sequence>, bytes: &Bytes) {
        let Some(deliver) = &mut self.desk.deliver else {
            if let (Some(journal), Some(sequence)) = (&mut self.desk.journal, sequence) {
                journal.acknowledge(sequence);
            }
            return;
        };
        if deliver(id, bytes.clone())
            && let Some(sequence) = sequence
        {
            self.under_way.insert(id, sequence);
        }
    }

    /// Takes events that are kept elsewhere out of the journal; the others
    /// will be offered again.
    fn settle(&mut self) {
        for outcome in self.desk.outcomes.try_iter() {
            let sequence = self.under_way.remove(&outcome.id);
            if let (true, Some(sequence), Some(journal)) =
                (outcome.kept, sequence, &mut self.desk.journal)
            {
                journal.acknowledge(sequence);
            }
        }
    }

    /// Offers again what was never acknowledged: after a restart of this
    /// agent, of NATS, or of the way between.
    fn retry(&mut self) {
        const RETRY_NS: u64 = clock::SECOND_NS;
        let now_ns = clock::monotonic_ns();
        let (Some(deliver), Some(journal)) = (&mut self.desk.deliver, &self.desk.journal) else {
            return;
        };
        if now_ns < self.retry_ns {
            return;
        }
        self.retry_ns = now_ns + RETRY_NS;
        for kept in journal.unacknowledged().take(GROUP_MAX) {
            let Some(id) = event_id(kept.payload) else { continue };
            if self.under_way.contains_key(&id) {
                continue;
            }
            if deliver(id, Bytes::copy_from_slice(kept.payload)) {
                self.under_way.insert(id, kept.sequence);
            }
        }
    }

    fn sync(&mut self) {
        if let Some(journal) = &mut self.desk.journal
            && let Err(error) = journal.sync()
        {
            tracing::warn!("the journal keeps its entries in memory until the disk works: {error}");
        }
    }
}

fn event_id(payload: &[u8]) -> Option<u64> {
    let view = crate::schema::BatchView::verify(payload).ok()?;
    view.events().next().map(|event| event.id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Limits;
    use crate::schema::BatchView;

    type Sent = Arc<Mutex<Vec<u64>>>;

    fn desk(
        dir: &std::path::Path,
        nats: bool,
    ) -> (Desk, crossbeam_channel::Sender<Fact>, crossbeam_channel::Sender<Outcome>, Sent) {
        let (events_in, events) = crossbeam_channel::bounded(WAITING_MAX);
        let (outcomes_in, outcomes) = crossbeam_channel::bounded(WAITING_MAX);
        let (journal, _) = Journal::open(dir, Limits::default()).expect("a fresh journal");
        let sent = Sent::default();
        let keep = Arc::clone(&sent);
        let deliver: Deliver = Box::new(move |id, bytes| {
            let view = BatchView::verify(&bytes).expect("our own batch");
            assert_eq!(view.events().next().map(|event| event.id), Some(id));
            keep.lock().expect("one thread").push(id);
            true
        });
        let desk = Desk {
            events,
            journal: Some(journal),
            names: Names::new("n"),
            incarnation: 100,
            recent: Recent::default(),
            announce: Box::new(|_| {}),
            deliver: nats.then_some(deliver),
            outcomes,
            gauges: Arc::default(),
            stated: Arc::default(),
        };
        (desk, events_in, outcomes_in, sent)
    }

    fn fact(event: Event) -> Fact {
        Fact { event: Some(event), cursor: None }
    }

    fn stopped() -> Stop {
        let stop = Stop::default();
        stop.raise();
        stop
    }

    #[test]
    fn an_event_stays_in_the_journal_until_it_is_acknowledged_even_over_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let event = Event { kind: EventKind::EngineGone, ..Event::default() };
        let (first, events, acks, sent) = desk(dir.path(), true);
        events.send(fact(event.clone())).unwrap();
        events.send(fact(event)).unwrap();
        acks.send(Outcome { id: 100, kept: false }).unwrap();
        run(first, &stopped());
        assert!(sent.lock().unwrap().starts_with(&[100, 101]));

        let (second, _events, acks, sent) = desk(dir.path(), true);
        let recovered: Vec<u64> = second
            .journal
            .as_ref()
            .unwrap()
            .unacknowledged()
            .filter_map(|kept| event_id(kept.payload))
            .collect();
        assert_eq!(recovered, [100, 101]);
        acks.send(Outcome { id: 100, kept: true }).unwrap();
        acks.send(Outcome { id: 101, kept: true }).unwrap();
        run(second, &stopped());
        assert_eq!(*sent.lock().unwrap(), [100, 101], "both are offered again");
    }

    #[test]
    fn without_nats_nothing_waits_in_the_journal_and_recent_events_can_be_seen() {
        let dir = tempfile::tempdir().unwrap();
        let (one, events, _acks, _sent) = desk(dir.path(), false);
        let recent = one.recent.clone();
        events.send(fact(Event { text: "hello".into(), ..Event::default() })).unwrap();
        run(one, &stopped());
        assert_eq!(recent.events()[0].text, "hello");
        let (journal, _) = Journal::open(dir.path(), Limits::default()).unwrap();
        assert_eq!(journal.unacknowledged().count(), 0);
    }

    #[test]
    fn where_a_sampler_stands_is_kept_with_what_it_said() {
        let dir = tempfile::tempdir().unwrap();
        let (one, events, _acks, _sent) = desk(dir.path(), true);
        let cursor = |at: &[u8]| Some(("kmsg", at.to_vec()));
        events.send(Fact { event: Some(Event::default()), cursor: cursor(b"7") }).unwrap();
        events.send(Fact { event: None, cursor: cursor(b"9") }).unwrap();
        run(one, &stopped());
        let (journal, _) = Journal::open(dir.path(), Limits::default()).unwrap();
        assert_eq!(journal.cursor("kmsg"), Some(&b"9"[..]));
        assert_eq!(journal.unacknowledged().count(), 1);
    }
}
