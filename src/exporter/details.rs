//! What engines say beside their steps: latency histograms from sketches,
//! finish reasons, adapters, speculation, transfers.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::families::{
    ACCEPTED_AT, ACCEPTED_TOKENS, ADAPTER_RUNNING, ADAPTER_WAITING, DRAFT_TOKENS, DRAFTS, FINISHED,
    TRANSFER_BYTES, TRANSFER_FAILURES, TRANSFER_SECONDS, TRANSFERS, of_sketch,
};
use super::histogram::{Bound, bounds_of};
use super::page::{Family, Page};
use super::rank::Placed;
use crate::newest::Names;
use crate::schema::{EngineDetails, Sketch, SketchKind, Speculation, Transfer};

/// Which front end of which rank of which engine.
type Key = (u64, u16, u16);

/// What was read last, so that a page that finds nothing changed takes no
/// lock that an engine's door takes, but for a glance.
#[derive(Debug, Default)]
pub(super) struct Said {
    version: u64,
    kept: HashMap<Key, Arc<EngineDetails>>,
}

/// What all front ends of one rank say.
type OfRank<'a> = (&'a Placed, Vec<&'a EngineDetails>);

impl Said {
    /// Takes what changed, and drops what belongs to no rank any more.
    pub(super) fn read(&mut self, names: &Names, ranks: &[Placed]) {
        let version = names.details().version();
        if version != self.version {
            for (_, details) in names.details().since(self.version) {
                let key = (details.instance, details.rank, details.producer);
                self.kept.insert(key, details);
            }
            self.version = version;
        }
        let producers: usize = ranks.iter().map(|placed| placed.lives.len()).sum();
        if self.kept.len() > producers {
            let here: std::collections::HashSet<Key> = ranks.iter().flat_map(keys).collect();
            self.kept.retain(|key, _| here.contains(key));
        }
    }

    /// Writes every family of them.
    pub(super) fn write(&self, page: &mut Page, ranks: &[Placed]) {
        let said: Vec<OfRank<'_>> = ranks.iter().map(|placed| (placed, self.of(placed))).collect();
        for kind in SketchKind::ALL {
            page.family(of_sketch(kind));
            said.iter().for_each(|of| write_sketch(page, of, kind));
        }
        write_finished(page, &said);
        write_adapters(page, &said);
        write_speculation(page, &said);
        write_transfers(page, &said);
    }

    /// The names of a rank's adapters, with how many requests run and wait.
    pub(super) fn adapters(&self, placed: &Placed) -> BTreeMap<&str, (u64, u64)> {
        adapters(&self.of(placed))
    }

    /// What the front ends of a rank say in the life that its steps are of.
    fn of(&self, placed: &Placed) -> Vec<&EngineDetails> {
        let step = &placed.rank.step;
        let said = placed.lives.iter().filter_map(|(producer, incarnation)| {
            let details = self.kept.get(&(step.instance, step.rank, *producer))?;
            (details.incarnation == *incarnation).then(|| &**details)
        });
        said.collect()
    }
}

fn keys(placed: &Placed) -> impl Iterator<Item = Key> + '_ {
    let step = &placed.rank.step;
    placed.lives.iter().map(|(producer, _)| (step.instance, step.rank, *producer))
}

fn write_sketch(page: &mut Page, (placed, said): &OfRank<'_>, kind: SketchKind) {
    let mut sketches = said.iter().filter_map(|details| details.sketch(kind));
    let Some(first) = sketches.next() else { return };
    match sketches.next() {
        None => write_histogram(page, &placed.labels, first),
        Some(second) => {
            let mut all: Sketch = first.clone();
            all.merge(second);
            sketches.for_each(|more| all.merge(more));
            write_histogram(page, &placed.labels, &all);
        }
    }
}

fn write_histogram(page: &mut Page, labels: &str, sketch: &Sketch) {
    let bounds = bounds_of(sketch.kind);
    let mut counts: [(&str, u64); Bound::MAX] = [("", 0); Bound::MAX];
    let below = Bound::counts(bounds, sketch, &mut counts);
    // A full bucket, or an engine that lies, may have the two disagree.
    let all = sketch.count.max(below);
    page.histogram(labels, &counts[..bounds.len()], all, sketch.sum_us / 1e6);
}

fn write_finished(page: &mut Page, said: &[OfRank<'_>]) {
    page.family(FINISHED);
    for (placed, said) in said {
        let mut reasons: BTreeMap<&str, u64> = BTreeMap::new();
        for finished in said.iter().flat_map(|details| &details.finished) {
            let count = reasons.entry(&finished.reason).or_default();
            *count = count.saturating_add(finished.count);
        }
        for (reason, count) in reasons {
            page.series(&placed.labels, &[("reason", reason)], count as f64);
        }
    }
}

fn adapters<'a>(said: &[&'a EngineDetails]) -> BTreeMap<&'a str, (u64, u64)> {
    let mut adapters: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for adapter in said.iter().flat_map(|details| &details.adapters) {
        let load = adapters.entry(&adapter.name).or_default();
        load.0 += u64::from(adapter.running);
        load.1 += u64::from(adapter.waiting);
    }
    adapters
}

fn write_adapters(page: &mut Page, said: &[OfRank<'_>]) {
    for (family, waiting) in [(ADAPTER_RUNNING, false), (ADAPTER_WAITING, true)] {
        page.family(family);
        for (placed, said) in said {
            for (name, load) in adapters(said) {
                let load = if waiting { load.1 } else { load.0 };
                page.series(&placed.labels, &[("adapter", name)], load as f64);
            }
        }
    }
}

fn write_speculation(page: &mut Page, said: &[OfRank<'_>]) {
    type Sum = (Family, fn(&Speculation) -> u64);
    let sums: [Sum; 3] = [
        (DRAFTS, |of| of.drafts),
        (DRAFT_TOKENS, |of| of.draft_tokens),
        (ACCEPTED_TOKENS, |of| of.accepted_tokens),
    ];
    let each = |said: &[&EngineDetails], read: &dyn Fn(&Speculation) -> u64| {
        let of = said.iter().filter_map(|details| details.speculation.as_ref());
        of.map(read).reduce(u64::saturating_add)
    };
    for (family, read) in sums {
        page.family(family);
        for (placed, said) in said {
            if let Some(sum) = each(said, &read) {
                page.series(&placed.labels, &[], sum as f64);
            }
        }
    }
    page.family(ACCEPTED_AT);
    for (placed, said) in said {
        let of = said.iter().filter_map(|details| details.speculation.as_ref());
        let positions = of.map(|of| of.accepted.len()).max().unwrap_or(0);
        for at in 0..positions {
            let read = |of: &Speculation| of.accepted.get(at).copied().unwrap_or(0);
            let sum = each(said, &read).unwrap_or(0);
            page.series(&placed.labels, &[("position", &at.to_string())], sum as f64);
        }
    }
}

fn write_transfers(page: &mut Page, said: &[OfRank<'_>]) {
    type Sum = (Family, fn(&Transfer) -> f64);
    let sums: [Sum; 4] = [
        (TRANSFERS, |of| of.transfers as f64),
        (TRANSFER_BYTES, |of| of.bytes as f64),
        (TRANSFER_FAILURES, |of| of.failures as f64),
        (TRANSFER_SECONDS, |of| of.seconds),
    ];
    for (family, read) in sums {
        page.family(family);
        for (placed, said) in said {
            let of = said.iter().filter_map(|details| details.transfer.as_ref());
            if let Some(sum) = of.map(read).reduce(|a, b| a + b) {
                page.series(&placed.labels, &[], sum);
            }
        }
    }
}
