//! Where events go once a sampler stated them: numbered, judged, written to the
//! journal, then told to whoever listens.
//!
//! An event counts as accepted when the journal has it on disk; it leaves the
//! journal when NATS acknowledged it, or at once where no NATS is configured.
//! What the judge concludes from it is written by the same sync, so that after
//! a crash either both are known or the event is read from its source again:
//! nothing is judged twice and nothing is passed over. The desk has its own
//! thread, since a disk can be slow.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use crossbeam_channel::{Receiver, Select};

use super::event_counts::EventCounts;
use super::judge::Judge;
use super::losses::JournalGauges;
use crate::journal::{Entry, EntryKind, Journal, Sequence, Unacknowledged};
use crate::newest::Names;
use crate::platform::clock;
use crate::platform::thread::Stop;
use crate::samplers::Fact;
use crate::schema::{BatchHead, BatchWriter, Event, EventKind, Severity, Tables};

/// Events that a page or terminal can still show.
pub const RECENT_MAX: usize = 512;

/// Events that wait between samplers and the desk; more are dropped, counted.
pub(super) const WAITING_MAX: usize = 4096;

/// Events handed on in one go before the journal is synced.
const GROUP_MAX: usize = 256;

/// The longest wait between two looks at the stop flag; a leaving agent wakes
/// the desk with a fact that says nothing.
const LOOK: Duration = Duration::from_secs(1);

/// How often what waits in the journal is offered again.
const CATCH_UP: Duration = Duration::from_millis(200);

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

/// Sends a message of an event or a verdict, under its number, at least once;
/// says whether it took it.
pub(super) type Deliver = Box<dyn FnMut(EntryKind, u64, Bytes) -> bool + Send>;

/// What became of a message that was handed on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outcome {
    pub(super) number: u64,
    /// Whether it is kept elsewhere now, so that the journal need not.
    pub(super) kept: bool,
}

/// A message, to local readers.
pub(super) type Announce = Box<dyn FnMut(&Bytes) + Send>;

/// The desk's parts.
pub(super) struct Desk {
    pub(super) events: Receiver<Fact>,
    pub(super) journal: Option<Journal>,
    pub(super) names: Names,
    pub(super) incarnation: u64,
    pub(super) recent: Recent,
    pub(super) announce: Announce,
    pub(super) judge: Option<Judge>,
    pub(super) deliver: Option<Deliver>,
    /// What became of messages that `deliver` took.
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
    /// Of the next event, which it has for its id, or message of verdicts.
    next_number: u64,
    /// Messages handed to NATS and not acknowledged.
    under_way: HashMap<u64, Sequence>,
    /// Older messages wait in the journal to be handed on: newer ones queue
    /// behind them, since the last word on a thing must come last.
    behind: bool,
    retry_ns: u64,
}

/// An event, or what was judged, written down.
struct Message {
    kind: EntryKind,
    number: u64,
    sequence: Option<Sequence>,
    bytes: Bytes,
}

/// Works until asked to stop, then writes down what is left.
pub(super) fn run(desk: Desk, stop: &Stop) {
    let next_number = desk.incarnation;
    let left = desk.journal.as_ref().is_some_and(|of| of.unacknowledged().next().is_some());
    let mut state = State {
        behind: left && desk.deliver.is_some(),
        desk,
        writer: BatchWriter::default(),
        next_number,
        under_way: HashMap::new(),
        retry_ns: 0,
    };
    loop {
        let stopping = stop.is_raised();
        let more = state.round(stopping);
        if stopping && !more {
            return;
        }
    }
}

impl State {
    /// Takes what came in; returns whether anything did.
    fn round(&mut self, stopping: bool) -> bool {
        self.wait();
        let group: Vec<Fact> = self.desk.events.try_iter().take(GROUP_MAX).collect();
        let any = !group.is_empty();
        let mut messages = Vec::with_capacity(group.len());
        let mut events = Vec::with_capacity(group.len());
        for Fact { event, cursor } in group {
            if let Some(event) = event {
                messages.push(self.accept(event, &mut events));
            }
            self.keep_cursor(cursor);
        }
        self.judge(&events, stopping, &mut messages);
        self.sync();
        events.into_iter().for_each(|event| self.desk.recent.push(event));
        for message in &messages {
            (self.desk.announce)(&message.bytes);
            self.hand_over(message);
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
        if let Some(judge) = &self.desk.judge {
            select.recv(judge.woken());
        }
        let _ = select.ready_timeout(if self.behind { CATCH_UP } else { LOOK });
    }

    /// An event and its source's cursor become durable in the same sync.
    fn keep_cursor(&mut self, cursor: Option<(&'static str, Vec<u8>)>) {
        if let (Some((name, value)), Some(journal)) = (cursor, &mut self.desk.journal)
            && let Err(error) = journal.set_cursor(name, &value)
        {
            tracing::warn!("where {name} stands is not kept over a restart: {error}");
        }
    }

    fn accept(&mut self, mut event: Event, events: &mut Vec<Event>) -> Message {
        event.id = self.next_number;
        if event.kind == EventKind::KernelLine {
            // It stands in a log already, and that log may be what we follow.
            tracing::debug!(subject = event.subject, "{}", event.text);
        } else {
            tracing::info!(kind = event.kind.name(), subject = event.subject, "{}", event.text);
        }
        let tables = Tables { events: std::slice::from_ref(&event), ..Tables::default() };
        let message = self.write_down(EntryKind::Event, event.severity, &tables);
        self.desk.stated.count(&event);
        events.push(event);
        message
    }

    /// Judges the events with all that came in beside them, and writes down
    /// what is new.
    fn judge(&mut self, events: &[Event], stopping: bool, messages: &mut Vec<Message>) {
        let Some(mut judge) = self.desk.judge.take() else { return };
        let judged = judge.round(&self.desk.names, events);
        for part in judged.parts() {
            let tables = Tables {
                verdicts: part.verdicts,
                assessments: part.assessments,
                ..Tables::default()
            };
            messages.push(self.write_down(EntryKind::Verdict, part.severity, &tables));
        }
        if let Some(journal) = &mut self.desk.journal {
            judge.keep(journal, stopping);
        }
        self.desk.judge = Some(judge);
    }

    fn write_down(&mut self, kind: EntryKind, priority: Severity, tables: &Tables<'_>) -> Message {
        let number = self.next_number;
        self.next_number += 1;
        let head = BatchHead {
            node: self.desk.names.node_hash(),
            incarnation: self.desk.incarnation,
            sequence: if kind == EntryKind::Verdict { number } else { 0 },
            publish_monotonic_ns: clock::monotonic_ns(),
            publish_wall_ns: clock::wall_ns(),
            generation: 0,
            flags: 0,
        };
        let tables = Tables { node_name: Some(self.desk.names.node()), ..*tables };
        let bytes = Bytes::copy_from_slice(self.writer.write(&head, &tables));
        let entry = Entry { kind, priority, payload: &bytes };
        let sequence = self.desk.journal.as_mut().and_then(|journal| journal.append(entry).ok());
        Message { kind, number, sequence, bytes }
    }

    fn hand_over(&mut self, message: &Message) {
        let Message { kind, number, sequence, bytes } = message;
        let Some(deliver) = &mut self.desk.deliver else {
            if let (Some(journal), Some(sequence)) = (&mut self.desk.journal, *sequence) {
                journal.acknowledge(sequence);
            }
            return;
        };
        // What the journal could not take is sent now or never.
        if self.behind && sequence.is_some() {
            return;
        }
        match (deliver(*kind, *number, bytes.clone()), *sequence) {
            (true, Some(sequence)) => {
                self.under_way.insert(*number, sequence);
            }
            (false, Some(_)) => self.behind = true,
            (_, None) => {}
        }
    }

    /// Takes messages that are kept elsewhere out of the journal; the others
    /// will be offered again.
    fn settle(&mut self) {
        for outcome in self.desk.outcomes.try_iter() {
            let sequence = self.under_way.remove(&outcome.number);
            self.behind |= !outcome.kept && sequence.is_some();
            if let (true, Some(sequence), Some(journal)) =
                (outcome.kept, sequence, &mut self.desk.journal)
            {
                journal.acknowledge(sequence);
            }
        }
    }

    /// Offers again, in its order, what was never acknowledged: after a restart
    /// of this agent, of NATS, or of the way between.
    fn retry(&mut self) {
        let now_ns = clock::monotonic_ns();
        let (Some(deliver), Some(journal)) = (&mut self.desk.deliver, &self.desk.journal) else {
            return;
        };
        if !self.behind || now_ns < self.retry_ns {
            return;
        }
        self.retry_ns = now_ns + CATCH_UP.as_nanos() as u64;
        let (under_way, mut offered) = (&mut self.under_way, 0);
        for kept in journal.unacknowledged() {
            let Some(number) = number_of(&kept) else { continue };
            if under_way.contains_key(&number) {
                continue;
            }
            if offered == GROUP_MAX
                || !deliver(kept.kind, number, Bytes::copy_from_slice(kept.payload))
            {
                return;
            }
            offered += 1;
            under_way.insert(number, kept.sequence);
        }
        self.behind = false;
    }

    fn sync(&mut self) {
        if let Some(journal) = &mut self.desk.journal
            && let Err(error) = journal.sync()
        {
            tracing::warn!("the journal keeps its entries in memory until the disk works: {error}");
        }
    }
}

fn number_of(kept: &Unacknowledged<'_>) -> Option<u64> {
    let view = crate::schema::BatchView::verify(kept.payload).ok()?;
    match kept.kind {
        EntryKind::Event => view.events().next().map(|event| event.id),
        EntryKind::Verdict => Some(view.head().sequence),
    }
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
        let deliver: Deliver = Box::new(move |_, id, bytes| {
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
            judge: None,
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
        acks.send(Outcome { number: 100, kept: false }).unwrap();
        run(first, &stopped());
        assert!(sent.lock().unwrap().starts_with(&[100, 101]));

        let (second, _events, acks, sent) = desk(dir.path(), true);
        let recovered: Vec<u64> = second
            .journal
            .as_ref()
            .unwrap()
            .unacknowledged()
            .filter_map(|kept| number_of(&kept))
            .collect();
        assert_eq!(recovered, [100, 101]);
        acks.send(Outcome { number: 100, kept: true }).unwrap();
        acks.send(Outcome { number: 101, kept: true }).unwrap();
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
