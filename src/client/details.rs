//! What engines say beside their steps: how long requests took, how they
//! ended.
//!
//! It stands in a map that is swapped whole when it changes, as names do. The
//! sketches of an engine's front ends and ranks merge into one.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::View;
use super::counts::Counters;
use crate::schema::{BatchView, DeviceLoad, EngineDetails, Sketch, SketchKind};

/// Most ranks times front ends of one engine whose details are kept.
const OF_ENGINE_MAX: usize = 1024;

/// The details of every engine, by its hash.
type Known = HashMap<u64, Arc<Vec<Arc<EngineDetails>>>>;

/// The readers' end.
#[derive(Debug, Default)]
pub(super) struct DetailsBoard(ArcSwap<Known>);

/// What an engine says beside its steps, over all its ranks and front ends.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Details {
    /// What each front end of each rank says.
    pub of_ranks: Vec<Arc<EngineDetails>>,
    sketches: Vec<Sketch>,
}

impl DetailsBoard {
    /// Takes the details that a batch tells. Allocates nothing when it tells
    /// none.
    pub(super) fn feed(
        &self,
        batch: &BatchView<'_>,
        receipt_ns: u64,
        engines_max: usize,
        counters: &Counters,
    ) {
        let mut told = batch.details().peekable();
        if told.peek().is_none() {
            return;
        }
        let publish_ns = batch.head().publish_monotonic_ns;
        let mut known = Known::clone(&self.0.load());
        for mut details in told {
            for load in &mut details.devices {
                // From the sender's clock to ours, the way here left out.
                let age_ns = publish_ns.saturating_sub(load.sampled_ns);
                load.sampled_ns = receipt_ns.saturating_sub(age_ns);
            }
            if !known.contains_key(&details.instance) && known.len() >= engines_max {
                counters.names_refused.add(1);
                continue;
            }
            let of_engine = Arc::make_mut(known.entry(details.instance).or_default());
            let place = |of: &EngineDetails| (of.rank, of.producer);
            match of_engine.iter().position(|of| place(of) == place(&details)) {
                Some(at) if of_engine[at].incarnation > details.incarnation => {}
                Some(at) => of_engine[at] = Arc::new(details),
                None if of_engine.len() >= OF_ENGINE_MAX => counters.names_refused.add(1),
                None => of_engine.push(Arc::new(details)),
            }
        }
        self.0.store(Arc::new(known));
    }

    /// Forgets the engines for which `is_known` says no.
    pub(super) fn forget(&self, is_known: impl Fn(u64) -> bool) {
        if self.0.load().keys().any(|instance| !is_known(*instance)) {
            let mut known = Known::clone(&self.0.load());
            known.retain(|instance, _| is_known(*instance));
            self.0.store(Arc::new(known));
        }
    }

    pub(super) fn of(&self, instance: u64) -> Option<Arc<Vec<Arc<EngineDetails>>>> {
        self.0.load().get(&instance).cloned()
    }
}

impl Details {
    /// These together.
    #[must_use]
    pub fn merged(of_ranks: Vec<Arc<EngineDetails>>) -> Self {
        let mut sketches: Vec<Sketch> = Vec::new();
        for sketch in of_ranks.iter().flat_map(|of| &of.sketches) {
            match sketches.iter_mut().find(|known| known.kind == sketch.kind) {
                Some(known) => known.merge(sketch),
                None => sketches.push(sketch.clone()),
            }
        }
        Self { of_ranks, sketches }
    }

    /// All times of this kind since the engine's incarnation, where any is
    /// known.
    #[must_use]
    pub fn sketch(&self, kind: SketchKind) -> Option<&Sketch> {
        self.sketches.iter().find(|sketch| sketch.kind == kind)
    }

    /// The time, in seconds, that a `share` (0 to 1) of the requests or tokens
    /// did not exceed since the engine's incarnation, within 2.2 %; nothing
    /// where it is not known.
    #[must_use]
    pub fn quantile(&self, kind: SketchKind, share: f64) -> Option<f64> {
        self.sketch(kind)?.quantile(share)
    }

    /// The devices on which the engine works, by its agent; their `sampled_ns`
    /// is this host's `CLOCK_MONOTONIC`, too late by the time that the message
    /// took.
    #[must_use]
    pub fn devices(&self) -> &[DeviceLoad] {
        let by_agent = self.of_ranks.iter().find(|of| of.rank == EngineDetails::BY_AGENT);
        by_agent.map_or(&[], |of| &of.devices)
    }

    /// Finished requests by reason.
    #[must_use]
    pub fn finished(&self) -> Vec<(&str, u64)> {
        let mut all: Vec<(&str, u64)> = Vec::new();
        for finished in self.of_ranks.iter().flat_map(|of| &of.finished) {
            match all.iter_mut().find(|(reason, _)| *reason == finished.reason) {
                Some((_, count)) => *count = count.saturating_add(finished.count),
                None => all.push((&finished.reason, finished.count)),
            }
        }
        all
    }
}

impl View {
    /// What an engine says beside its steps, renewed about once a second:
    /// nothing where it says nothing of the kind. Only what belongs to steps
    /// in the view counts, so that a previous incarnation's is left out.
    /// Looks through all ranks and allocates.
    #[must_use]
    pub fn details(&self, instance: u64) -> Option<Details> {
        let said = self.shared.board.details.of(instance)?;
        let steps = self.steps();
        let here: Vec<(u16, u16, u64)> = steps
            .iter()
            .filter(|newest| newest.step.instance == instance)
            .map(|newest| (newest.step.rank, newest.step.producer, newest.step.incarnation))
            .collect();
        let place = |of: &EngineDetails| (of.rank, of.producer, of.incarnation);
        let by_agent = |of: &EngineDetails| {
            of.rank == EngineDetails::BY_AGENT
                && here.iter().any(|(_, _, at)| *at == of.incarnation)
        };
        let is_current = |of: &EngineDetails| here.contains(&place(of)) || by_agent(of);
        let current: Vec<_> = said.iter().filter(|of| is_current(of)).cloned().collect();
        (!current.is_empty()).then(|| Details::merged(current))
    }
}

#[cfg(all(test, not(miri)))]
mod tests {
    use super::*;
    use crate::client::{ViewCore, ViewSettings};
    use crate::schema::{
        BATCH_HEADER_BYTES, BatchHead, BatchWriter, Finished, HotKind, StepCore, Tables,
        write_header,
    };
    use bytemuck::Zeroable;

    fn said(producer: u16, incarnation: u64, us: &[f64]) -> Arc<EngineDetails> {
        let mut sketch = Sketch::new(SketchKind::Ttft);
        us.iter().for_each(|us| sketch.add(*us, 1));
        let finished = vec![Finished { reason: "stop".into(), count: us.len() as u64 }];
        let (instance, sketches) = (1, vec![sketch]);
        let more = EngineDetails::default();
        Arc::new(EngineDetails { instance, incarnation, producer, sketches, finished, ..more })
    }

    fn head(sequence: u64) -> BatchHead {
        BatchHead { node: 3, incarnation: 1, generation: 1, sequence, ..BatchHead::zeroed() }
    }

    fn feed_details(core: &mut ViewCore, details: &[Arc<EngineDetails>]) {
        let tables = Tables { details, ..Tables::default() };
        let mut writer = BatchWriter::default();
        core.feed_news(writer.write(&head(0), &tables)).expect("a batch");
    }

    fn feed_step(core: &mut ViewCore, producer: u16, incarnation: u64) {
        let step = StepCore {
            instance: 1,
            incarnation,
            producer,
            producers: 2,
            sequence: 1,
            ..StepCore::zeroed()
        };
        let mut bytes = vec![0; BATCH_HEADER_BYTES + size_of::<StepCore>()];
        bytes[BATCH_HEADER_BYTES..].copy_from_slice(bytemuck::bytes_of(&step));
        write_header(&mut bytes, HotKind::Steps, &head(1 + u64::from(producer)), 1);
        core.feed(&bytes, 1).expect("a batch");
    }

    #[test]
    fn front_ends_merge_and_a_previous_incarnation_does_not_count() {
        let mut core = ViewCore::new(ViewSettings::default());
        let view = View::of(&core);
        feed_details(&mut core, &[said(0, 7, &[1e6]), said(1, 8, &[4e6, 4e6])]);
        assert_eq!(view.details(1), None, "no step yet");
        feed_step(&mut core, 0, 7);
        feed_step(&mut core, 1, 8);
        let details = view.details(1).unwrap();
        assert_eq!(details.finished(), [("stop", 3)]);
        assert_eq!(details.sketch(SketchKind::Ttft).map(|ttft| ttft.count), Some(3));
        let near = |share, seconds: f64| {
            let told = details.quantile(SketchKind::Ttft, share).unwrap();
            assert!((told / seconds - 1.0).abs() < 0.022, "{told}");
        };
        near(0.3, 1.0);
        near(0.99, 4.0);
        feed_details(&mut core, &[said(1, 9, &[9e6])]);
        assert_eq!(view.details(1).unwrap().finished(), [("stop", 1)], "its step is the old one's");
    }

    #[test]
    fn engines_are_bounded_and_forgotten_with_their_names() {
        let (board, counters) = (DetailsBoard::default(), Counters::default());
        let mut writer = BatchWriter::default();
        let details =
            [1, 2].map(|instance| Arc::new(EngineDetails { instance, ..EngineDetails::default() }));
        let tables = Tables { details: &details, ..Tables::default() };
        let batch = BatchView::verify(writer.write(&head(0), &tables)).unwrap();
        board.feed(&batch, 0, 1, &counters);
        assert!(board.of(1).is_some() && board.of(2).is_none());
        assert_eq!(counters.read().names_refused, 1);
        board.forget(|_| false);
        assert!(board.of(1).is_none());
    }

    #[test]
    fn devices_are_told_by_the_agent_and_stand_in_our_time() {
        let mut core = ViewCore::new(ViewSettings::default());
        let view = View::of(&core);
        let load = |sampled_ns| DeviceLoad { sampled_ns, ..DeviceLoad::default() };
        let said = EngineDetails {
            instance: 7,
            rank: EngineDetails::BY_AGENT,
            producer: EngineDetails::BY_AGENT,
            devices: vec![load(900)],
            ..EngineDetails::default()
        };
        let head = BatchHead { publish_monotonic_ns: 1000, ..BatchHead::zeroed() };
        let tables = Tables { details: &[Arc::new(said)], ..Tables::default() };
        let bytes = BatchWriter::default().write(&head, &tables).to_vec();
        core.feed(&bytes, 50_000).unwrap();
        assert!(view.details(7).is_none(), "no step of it is here");
        let step = StepCore { instance: 7, producers: 1, sequence: 1, ..StepCore::zeroed() };
        let tables = Tables { steps: &[step], ..Tables::default() };
        core.reply(BatchWriter::default().write(&head, &tables), 50_000, 50_000).unwrap();
        let devices = view.details(7).unwrap();
        assert_eq!(devices.devices(), [load(50_000 - 100)]);
    }
}
