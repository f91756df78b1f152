//! The readers at the door: each gets the tables once, then names, events and
//! verdicts as batches.

use std::sync::Arc;

use crossbeam_channel::Receiver;

use crate::newest::Names;
use crate::platform::atomic::Ordering;
use crate::platform::clock;
use crate::platform::socket::Connection;
use crate::schema::{
    Assessment, BatchHead, BatchWriter, Device, Engine, Tables, Verdict, cut_to_fit,
};

use super::counts::{DoorCounts, add};

/// Largest sum of names in one message: well within a socket's buffer.
const PARTS_BYTES_MAX: usize = 31 * 1024;

/// How often readers hear of changed details.
const DETAILS_NS: u64 = clock::SECOND_NS;

/// What an engine takes in a message besides its texts.
const ENTRY_BYTES: usize = 160;

/// Most batches of news handed out in one round.
const NEWS_ROUND_MAX: usize = 64;

#[derive(Debug)]
pub(super) struct Views {
    list: Vec<View>,
    /// All names, as messages, for `version` of them.
    packets: Vec<Vec<u8>>,
    version: Option<u64>,
    writer: BatchWriter,
    head: BatchHead,
    details_due_ns: u64,
    counts: Arc<DoorCounts>,
}

#[derive(Debug)]
struct View {
    id: u64,
    connection: Connection,
    /// Which names it is being sent.
    version: Option<u64>,
    /// The next of those messages.
    next: usize,
    /// Up to which version it has had what engines say beside their steps.
    details: u64,
    /// Whether it has had what the node's judge holds; what is new since comes
    /// as news.
    judged: bool,
    chatter: u32,
}

impl Views {
    pub(super) fn new(counts: Arc<DoorCounts>) -> Self {
        let incarnation = clock::wall_ns();
        Self {
            list: Vec::new(),
            packets: Vec::new(),
            version: None,
            writer: BatchWriter::default(),
            head: BatchHead { incarnation, generation: 1, ..bytemuck::Zeroable::zeroed() },
            details_due_ns: 0,
            counts,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    pub(super) fn open(&mut self, id: u64, connection: Connection) {
        self.list.push(View {
            id,
            connection,
            version: None,
            next: 0,
            details: 0,
            judged: false,
            chatter: 0,
        });
        add(&self.counts.views_opened, 1);
        self.counts.views.store(self.list.len() as u64, Ordering::Relaxed);
    }

    pub(super) fn close(&mut self, id: u64) {
        self.list.retain(|view| view.id != id);
        self.counts.views.store(self.list.len() as u64, Ordering::Relaxed);
    }

    /// The connection of a reader, and how many messages came over it that
    /// nobody expected.
    pub(super) fn connection(&mut self, id: u64) -> Option<(&Connection, &mut u32)> {
        let view = self.list.iter_mut().find(|view| view.id == id)?;
        Some((&view.connection, &mut view.chatter))
    }

    /// Sends each reader what it has not had. One that does not read misses
    /// news, which is counted, and gets all names again once it reads.
    pub(super) fn serve(&mut self, now_ns: u64, names: &Names, news: Option<&Receiver<Arc<[u8]>>>) {
        let version = names.version();
        if !self.list.is_empty() && self.version != Some(version) {
            self.encode(names);
            self.version = Some(version);
        }
        for view in &mut self.list {
            view.catch_up(self.version, &self.packets);
        }
        self.tell_details(now_ns, names);
        self.tell_judged(names);
        for batch in news.iter().flat_map(|news| news.try_iter()).take(NEWS_ROUND_MAX) {
            for view in &mut self.list {
                let behind = view.next < self.packets.len();
                if behind || view.connection.send(&batch, &[]).is_err() {
                    (view.version, view.judged) = (None, false);
                    add(&self.counts.news_missed, 1);
                }
            }
        }
    }

    /// Sends changed details, at once to who has had none. What a reader does
    /// not take now it gets, as it is then, the next time.
    fn tell_details(&mut self, now_ns: u64, names: &Names) {
        let (version, due) = (names.details().version(), now_ns >= self.details_due_ns);
        if due {
            self.details_due_ns = now_ns + DETAILS_NS;
        }
        for at in 0..self.list.len() {
            let view = &self.list[at];
            let has_names = view.next == self.packets.len();
            if view.details == version || !has_names || (view.details > 0 && !due) {
                continue;
            }
            let changed = names.details().since(view.details);
            let (versions, details): (Vec<u64>, Vec<_>) = changed.into_iter().unzip();
            let mut told = 0;
            for part in cut_to_fit(&details, PARTS_BYTES_MAX, |details| details.bytes_max()) {
                self.renew_head(names);
                let tables =
                    Tables { node_name: Some(names.node()), details: part, ..Tables::default() };
                let packet = self.writer.write(&self.head, &tables);
                let view = &mut self.list[at];
                if view.connection.send(packet, &[]).is_err() {
                    break;
                }
                told += part.len();
                view.details = versions[told - 1];
            }
            if told == details.len() {
                // What was forgotten since leaves a gap.
                self.list[at].details = version;
            }
        }
    }

    /// Sends open verdicts and assessments to who has had none.
    fn tell_judged(&mut self, names: &Names) {
        for at in 0..self.list.len() {
            let view = &self.list[at];
            if view.judged || view.next < self.packets.len() {
                continue;
            }
            let open = names.judged().open();
            let open: Vec<Verdict> = open.iter().map(|open| Verdict::clone(open)).collect();
            let assessments = names.judged().assessments();
            let verdicts = cut_to_fit(&open, PARTS_BYTES_MAX, Verdict::bytes_max);
            let assessments = cut_to_fit(&assessments, PARTS_BYTES_MAX, Assessment::bytes_max);
            let verdicts = verdicts.into_iter().map(|verdicts| Tables {
                verdicts,
                node_name: Some(names.node()),
                ..Tables::default()
            });
            let assessments = assessments.into_iter().map(|assessments| Tables {
                assessments,
                node_name: Some(names.node()),
                ..Tables::default()
            });
            self.list[at].judged = verdicts.chain(assessments).all(|tables| {
                self.renew_head(names);
                let packet = self.writer.write(&self.head, &tables);
                self.list[at].connection.send(packet, &[]).is_ok()
            });
        }
    }

    fn renew_head(&mut self, names: &Names) {
        self.head.node = names.node_hash();
        self.head.sequence += 1;
        self.head.publish_monotonic_ns = clock::monotonic_ns();
        self.head.publish_wall_ns = clock::wall_ns();
        self.head.flags = 0;
    }

    fn encode(&mut self, names: &Names) {
        let (engines, devices) = (names.engines(), names.devices());
        let (engines, devices) = (
            cut_to_fit(&engines, PARTS_BYTES_MAX, engine_bytes),
            cut_to_fit(&devices, PARTS_BYTES_MAX, Device::bytes_max),
        );
        let engines = engines.into_iter().map(|engines| (engines, &[][..]));
        let devices = devices.into_iter().map(|devices| (&[][..], devices));
        let mut parts: Vec<(&[Engine], &[Device])> = engines.chain(devices).collect();
        if parts.is_empty() {
            parts.push((&[], &[]));
        }
        let last = parts.len() - 1;
        self.packets.clear();
        for (at, (engines, devices)) in parts.into_iter().enumerate() {
            self.renew_head(names);
            self.head.flags = BatchHead::SNAPSHOT | if at == last { BatchHead::LAST } else { 0 };
            let tables =
                Tables { node_name: Some(names.node()), engines, devices, ..Tables::default() };
            self.packets.push(self.writer.write(&self.head, &tables).to_vec());
        }
    }
}

impl View {
    fn catch_up(&mut self, version: Option<u64>, packets: &[Vec<u8>]) {
        if self.version != version {
            (self.version, self.next) = (version, 0);
        }
        while let Some(packet) = packets.get(self.next) {
            if self.connection.send(packet, &[]).is_err() {
                // It does not read, or is gone, which a hang-up will tell.
                return;
            }
            self.next += 1;
        }
    }
}

fn engine_bytes(engine: &Engine) -> usize {
    let texts = [&engine.name, &engine.model, &engine.endpoint, &engine.engine, &engine.source];
    ENTRY_BYTES + texts.iter().map(|text| text.len()).sum::<usize>()
}
