//! Names, events and verdicts: what comes at its own low rate.
//!
//! Names stand in a map that is swapped whole when it changes, so that a
//! reader never waits for the writer and never sees half a change. Events and
//! verdicts go to whoever subscribed, each once.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

use super::counts::Counters;
use super::details::DetailsBoard;
use super::health::Healths;
use super::verdicts::Standing;
use crate::schema::{BatchView, Device, Engine, Event, Verdict};

/// Events and verdicts that a subscriber may leave unread; when full, the
/// newest is dropped and counted.
pub const NEWS_QUEUE_MAX: usize = 1024;

/// Events and revisions of verdicts that are remembered, so that each is told
/// once; beyond, the oldest is forgotten.
const REMEMBERED_MAX: usize = 4096;

/// Most devices whose names are kept.
const DEVICES_MAX: usize = 16_384;

/// Names by the hash that stands for them.
#[derive(Debug, Clone, Default)]
pub(super) struct Names {
    pub(super) engines: HashMap<u64, Arc<Engine>>,
    pub(super) nodes: HashMap<u64, Arc<str>>,
    pub(super) devices: HashMap<(u64, u32), Arc<Device>>,
}

/// The readers' end.
#[derive(Debug, Default)]
pub(super) struct Board {
    pub(super) names: ArcSwap<Names>,
    pub(super) details: DetailsBoard,
    pub(super) health: ArcSwap<Healths>,
    pub(super) standing: Standing,
    events: Fan<Told<Event>>,
    verdicts: Fan<Told<Verdict>>,
}

/// An event or verdict, and the node whose agent told it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told<T> {
    /// Hash of the node's name; see `View::node`.
    pub node: u64,
    /// What was told.
    pub what: T,
}

/// The writer's end.
#[derive(Debug)]
pub(super) struct News {
    board: Arc<Board>,
    names: Names,
    health: Healths,
    engines_max: usize,
    nodes_max: usize,
    told: HashSet<(u64, u64)>,
    told_order: VecDeque<(u64, u64)>,
    revisions: HashMap<(u64, u64), u32>,
    revisions_order: VecDeque<(u64, u64)>,
}

#[derive(Debug)]
struct Fan<T>(Mutex<Vec<Sender<T>>>);

impl<T> Default for Fan<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Clone> Fan<T> {
    fn subscribe(&self) -> Receiver<T> {
        let (sender, receiver) = bounded(NEWS_QUEUE_MAX);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(sender);
        receiver
    }

    fn tell(&self, what: &T, counters: &Counters) {
        let mut senders = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        senders.retain(|sender| match sender.try_send(what.clone()) {
            Ok(()) => true,
            Err(TrySendError::Full(_)) => {
                counters.news_dropped.add(1);
                true
            }
            Err(TrySendError::Disconnected(_)) => false,
        });
    }
}

impl Board {
    pub(super) fn events(&self) -> Receiver<Told<Event>> {
        self.events.subscribe()
    }

    pub(super) fn verdicts(&self) -> Receiver<Told<Verdict>> {
        self.verdicts.subscribe()
    }
}

impl News {
    pub(super) fn new(board: Arc<Board>, engines_max: usize, nodes_max: usize) -> Self {
        Self {
            board,
            names: Names::default(),
            health: Healths::default(),
            engines_max,
            nodes_max,
            told: HashSet::new(),
            told_order: VecDeque::new(),
            revisions: HashMap::new(),
            revisions_order: VecDeque::new(),
        }
    }

    /// Takes what a verified batch tells besides numbers. Calls `renamed` for
    /// every engine whose entry changed. Allocates nothing when it tells
    /// nothing.
    pub(super) fn feed(
        &mut self,
        batch: &BatchView<'_>,
        receipt_ns: u64,
        counters: &Counters,
        mut renamed: impl FnMut(&Engine),
    ) {
        let node = batch.head().node;
        let mut changed = false;
        if let Some(name) = batch.node_name() {
            changed |= keep(&mut self.names.nodes, node, self.nodes_max, counters, name);
        }
        for engine in batch.engines() {
            if self.keep_engine(&engine, counters) {
                changed = true;
                renamed(&engine);
            }
        }
        for device in batch.devices() {
            let key = (node, device.index);
            changed |= keep(&mut self.names.devices, key, DEVICES_MAX, counters, device);
        }
        if changed {
            self.publish();
        }
        self.board.details.feed(batch, receipt_ns, self.engines_max, counters);
        self.take_assessments(batch, counters);
        for event in batch.events() {
            self.tell_event(Told { node, what: event }, counters);
        }
        for verdict in batch.verdicts() {
            let sender = (node, batch.head().incarnation);
            self.board.standing.put(sender, verdict.clone(), receipt_ns, counters);
            self.tell_verdict(Told { node, what: verdict }, counters);
        }
    }

    fn take_assessments(&mut self, batch: &BatchView<'_>, counters: &Counters) {
        let node = batch.head().node;
        let most = self.engines_max.max(DEVICES_MAX);
        let mut changed = false;
        for assessment in batch.assessments() {
            changed |= self.health.take(node, assessment, most, counters);
        }
        if changed {
            self.board.health.store(Arc::new(self.health.clone()));
        }
    }

    /// Forgets the names of engines for which `is_known` says no.
    pub(super) fn forget_engines(&mut self, is_known: impl Fn(u64) -> bool) {
        self.board.details.forget(&is_known);
        self.health.forget_engines(&is_known);
        self.board.health.store(Arc::new(self.health.clone()));
        let before = self.names.engines.len();
        self.names.engines.retain(|instance, _| is_known(*instance));
        if self.names.engines.len() != before {
            self.publish();
        }
    }

    /// Forgets a node that is gone, and its devices.
    pub(super) fn forget_node(&mut self, node: u64) {
        if self.names.nodes.remove(&node).is_some() {
            self.names.devices.retain(|(of, _), _| *of != node);
            self.publish();
            self.board.standing.forget_node(node);
            self.health.forget_node(node);
            self.board.health.store(Arc::new(self.health.clone()));
        }
    }

    fn publish(&self) {
        self.board.names.store(Arc::new(self.names.clone()));
    }

    fn keep_engine(&mut self, engine: &Engine, counters: &Counters) -> bool {
        match self.names.engines.get(&engine.instance) {
            Some(known) if known.incarnation > engine.incarnation => return false,
            Some(known) if **known == *engine => return false,
            Some(_) => {}
            None if self.names.engines.len() >= self.engines_max => {
                counters.names_refused.add(1);
                return false;
            }
            None => {}
        }
        self.names.engines.insert(engine.instance, Arc::new(engine.clone()));
        true
    }

    fn tell_event(&mut self, event: Told<Event>, counters: &Counters) {
        let key = (event.node, event.what.id);
        if !self.told.insert(key) {
            counters.news_repeated.add(1);
            return;
        }
        self.told_order.push_back(key);
        if self.told_order.len() > REMEMBERED_MAX
            && let Some(oldest) = self.told_order.pop_front()
        {
            self.told.remove(&oldest);
        }
        counters.events.add(1);
        self.board.events.tell(&event, counters);
    }

    fn tell_verdict(&mut self, verdict: Told<Verdict>, counters: &Counters) {
        let key = (verdict.node, verdict.what.id);
        match self.revisions.insert(key, verdict.what.revision) {
            Some(known) if known >= verdict.what.revision => {
                self.revisions.insert(key, known);
                counters.news_repeated.add(1);
                return;
            }
            Some(_) => {}
            None => self.revisions_order.push_back(key),
        }
        if self.revisions_order.len() > REMEMBERED_MAX
            && let Some(oldest) = self.revisions_order.pop_front()
        {
            self.revisions.remove(&oldest);
        }
        counters.verdicts.add(1);
        self.board.verdicts.tell(&verdict, counters);
    }
}

/// Keeps a name; returns whether it was another. Refuses beyond `most`.
fn keep<K: std::hash::Hash + Eq, V: PartialEq + ?Sized>(
    names: &mut HashMap<K, Arc<V>>,
    key: K,
    most: usize,
    counters: &Counters,
    name: impl Into<Arc<V>> + std::borrow::Borrow<V>,
) -> bool {
    match names.get(&key) {
        Some(known) if **known == *name.borrow() => return false,
        None if names.len() >= most => {
            counters.names_refused.add(1);
            return false;
        }
        _ => {}
    }
    names.insert(key, name.into());
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{Assessment, BatchHead, BatchWriter, Health, Tables, name_hash};
    use bytemuck::Zeroable;

    fn feed(news: &mut News, counters: &Counters, tables: &Tables<'_>) -> usize {
        let head = BatchHead { node: 3, ..BatchHead::zeroed() };
        let mut writer = BatchWriter::default();
        let batch = BatchView::verify(writer.write(&head, tables)).unwrap();
        let mut renamed = 0;
        news.feed(&batch, 0, counters, |_| renamed += 1);
        renamed
    }

    #[test]
    fn names_are_swapped_only_when_they_change_and_never_go_back() {
        let (board, counters) = (Arc::new(Board::default()), Counters::default());
        let mut news = News::new(Arc::clone(&board), 1, 1);
        let engine = |incarnation, name| Engine { incarnation, ..Engine::named(name, "m") };
        let tell = |news: &mut News, engine: Engine| {
            let tables = Tables { engines: &[engine], node_name: Some("n"), ..Tables::default() };
            feed(news, &counters, &tables)
        };
        assert_eq!(tell(&mut news, engine(2, "a")), 1);
        let before = board.names.load_full();
        assert_eq!(tell(&mut news, engine(2, "a")), 0);
        assert_eq!(tell(&mut news, engine(1, "a")), 0);
        assert_eq!(tell(&mut news, engine(1, "b")), 0, "beyond the limit");
        assert!(Arc::ptr_eq(&before, &board.names.load_full()));
        assert_eq!(tell(&mut news, engine(3, "a")), 1);
        assert_eq!(counters.read().names_refused, 1);
        news.forget_engines(|_| false);
        assert!(board.names.load().engines.is_empty());
        news.forget_node(3);
        assert!(board.names.load().nodes.is_empty());
    }

    #[test]
    fn events_are_told_once_and_verdicts_once_a_revision() {
        let (board, counters) = (Arc::new(Board::default()), Counters::default());
        let mut news = News::new(Arc::clone(&board), 1, 1);
        let (events, verdicts) = (board.events(), board.verdicts());
        let event = Event { id: 5, ..Event::default() };
        let verdict = |revision| Verdict { id: 6, revision, ..Verdict::default() };
        for revision in [2, 1, 2, 3] {
            let (events, verdicts) = ([event.clone()], [verdict(revision)]);
            let tables = Tables { events: &events, verdicts: &verdicts, ..Tables::default() };
            feed(&mut news, &counters, &tables);
        }
        assert_eq!(events.try_iter().count(), 1);
        let revisions: Vec<u32> = verdicts.try_iter().map(|told| told.what.revision).collect();
        assert_eq!(revisions, [2, 3]);
        assert_eq!(counters.read().news_repeated, 5);
    }

    #[test]
    fn what_judges_say_is_kept_by_engine_and_by_device_until_their_node_is_forgotten() {
        let (board, counters) = (Arc::new(Board::default()), Counters::default());
        let mut news = News::new(Arc::clone(&board), 1, 1);
        let say = |kind: &str, subject: &str, health| Assessment {
            subject_kind: kind.into(),
            subject: subject.into(),
            health,
            ..Assessment::default()
        };
        let said = [say("engine", "a", Health::Degraded), say("device", "gpu0", Health::Failed)];
        let tables = Tables { assessments: &said, node_name: Some("n"), ..Tables::default() };
        feed(&mut news, &counters, &tables);
        let health = board.health.load_full();
        assert_eq!(health.engine(name_hash("a")), Health::Degraded);
        assert!(health.is_ill(name_hash("a")) && !health.is_ill(name_hash("b")));
        assert_eq!(health.other(3, "device", "gpu0").unwrap().health, Health::Failed);
        assert!(health.other(3, "node", "gpu0").is_none());
        feed(&mut news, &counters, &tables);
        assert!(Arc::ptr_eq(&health, &board.health.load_full()), "nothing is new");
        news.forget_node(3);
        assert_eq!(board.health.load().engine(name_hash("a")), Health::Unknown);
    }

    #[test]
    fn a_subscriber_that_does_not_read_loses_the_newest_and_it_is_counted() {
        let (board, counters) = (Arc::new(Board::default()), Counters::default());
        let mut news = News::new(Arc::clone(&board), 1, 1);
        let events = board.events();
        for id in 0..NEWS_QUEUE_MAX as u64 + 3 {
            let event = [Event { id, ..Event::default() }];
            feed(&mut news, &counters, &Tables { events: &event, ..Tables::default() });
        }
        assert_eq!(counters.read().news_dropped, 3);
        assert_eq!(events.try_iter().count(), NEWS_QUEUE_MAX);
    }
}
