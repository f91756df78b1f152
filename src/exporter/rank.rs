//! The ranks as they are now, and the labels by which they are told apart.

use std::collections::HashMap;
use std::sync::Arc;

use super::Sources;
use super::page::label;
use crate::newest::NewestStep;
use crate::schema::{Activity, Engine, Freshness, StepCore};

/// One rank, all its front ends put together.
#[derive(Debug, Clone, Copy)]
pub struct Rank {
    /// The newest step.
    pub step: StepCore,
    /// Since that step ended, ns.
    pub age_ns: u64,
    /// Since the last sign of life, ns.
    pub silence_ns: u64,
    /// Steps that never came here.
    pub lost: u64,
    /// How recently it was heard.
    pub freshness: Freshness,
    /// What it was doing when it was last heard.
    pub activity: Activity,
}

/// Makes one rank of the newest records of its front ends, of which there is
/// at least one, at a time of this host's `CLOCK_MONOTONIC`, ns.
pub type Merge = Box<dyn Fn(&mut [NewestStep], u64) -> Rank + Send + Sync>;

/// A rank with the labels of its series, and which front ends it is made of.
#[derive(Debug)]
pub(super) struct Placed {
    pub(super) rank: Rank,
    pub(super) labels: Arc<str>,
    /// Incarnations by front end: what else an engine said counts only if it
    /// said so in the same life.
    pub(super) lives: Vec<(u16, u64)>,
}

/// Engines by name and the labels made of them, kept until a name changes.
#[derive(Debug, Default)]
pub(super) struct Ranks {
    version: Option<u64>,
    engines: HashMap<u64, Engine>,
    labels: HashMap<(u64, u16), Arc<str>>,
    records: Vec<NewestStep>,
    placed: Vec<Placed>,
}

impl Ranks {
    /// Reads every rank. Those that are gone are not among them.
    pub(super) fn read(&mut self, sources: &Sources, now_ns: u64) {
        self.read_names(sources);
        self.records.clear();
        self.records.extend(sources.steps.iter());
        self.records.sort_unstable_by_key(|record| {
            (record.step.instance, record.step.rank, record.step.producer)
        });
        self.placed.clear();
        if self.labels.len() > 2 * self.records.len() + 64 {
            self.labels.clear();
        }
        let Self { engines, labels, records, placed, .. } = self;
        let same = |a: &NewestStep, b: &NewestStep| {
            (a.step.instance, a.step.rank) == (b.step.instance, b.step.rank)
        };
        for of_rank in records.chunk_by_mut(same) {
            let lives = of_rank.iter().map(|of| (of.step.producer, of.step.incarnation)).collect();
            let key = (of_rank[0].step.instance, of_rank[0].step.rank);
            let rank = (sources.merge)(of_rank, now_ns);
            if rank.freshness == Freshness::Gone {
                continue;
            }
            let labels = labels.entry(key).or_insert_with(|| {
                Arc::from(labels_of(engines.get(&key.0), key, sources.names.node()))
            });
            placed.push(Placed { rank, labels: Arc::clone(labels), lives });
        }
        // By name, so that the page keeps its order whatever the hashes.
        placed.sort_by(|a, b| a.labels.cmp(&b.labels));
    }

    /// Every rank, in the order of the page.
    pub(super) fn all(&self) -> &[Placed] {
        &self.placed
    }

    /// The engine of a rank, where its name is known.
    pub(super) fn engine(&self, instance: u64) -> Option<&Engine> {
        self.engines.get(&instance)
    }

    fn read_names(&mut self, sources: &Sources) {
        let version = sources.names.version();
        if self.version != Some(version) {
            self.version = Some(version);
            let engines = sources.names.engines().into_iter();
            self.engines = engines.map(|engine| (engine.instance, engine)).collect();
            self.labels.clear();
        }
    }
}

/// The name of an engine; its hash where the name is not known.
pub(super) fn engine_name(engine: Option<&Engine>, instance: u64) -> String {
    engine.map_or_else(|| format!("{instance:016x}"), |engine| engine.name.clone())
}

fn labels_of(engine: Option<&Engine>, (instance, rank): (u64, u16), node: &str) -> String {
    let mut labels = String::new();
    label(&mut labels, "engine", &engine_name(engine, instance));
    label(&mut labels, "rank", &rank.to_string());
    label(&mut labels, "model", engine.map_or("", |engine| &engine.model));
    label(&mut labels, "node", node);
    labels
}
