//! Everything this node knows now, as messages.

use std::sync::Arc;

use bytes::Bytes;

use super::subjects::Subjects;
use crate::newest::{Names, ReadingTableView, StepTableView};
use crate::platform::clock;
use crate::schema::{
    Assessment, BatchHead, BatchWriter, Device, Engine, EngineDetails, Reading, StepCore, Tables,
    Verdict, cut_to_fit,
};

/// Steps in one message: with their engines' names it stays below
/// [`crate::schema::BATCH_BYTES_MAX`].
const STEPS_MAX: usize = 100;

/// Readings in one message.
const READINGS_MAX: usize = 1024;

/// Bytes of verdicts or assessments in one message, and so their tables.
const JUDGED_BYTES_MAX: usize = crate::schema::BATCH_BYTES_MAX / 2;

/// Bytes of devices in one message.
const DEVICES_BYTES_MAX: usize = crate::schema::BATCH_BYTES_MAX / 2;

/// Engines in one message: 40 of five names of 255 bytes.
const NAMES_MAX: usize = 40;

/// Writes the full state of a node.
#[derive(Debug)]
pub(super) struct FullState {
    pub(super) names: Names,
    pub(super) steps: StepTableView,
    pub(super) readings: ReadingTableView,
    pub(super) incarnation: u64,
    pub(super) writer: BatchWriter,
}

/// Bytes of details in one message; what alone is larger, up to a whole
/// batch, is a message of its own.
const DETAILS_BYTES_MAX: usize = crate::schema::BATCH_BYTES_MAX / 2;

/// A message: under which subject, what, and how many records.
pub(super) type Message = (Arc<str>, Bytes, u32);

impl FullState {
    /// All names, newest steps and newest readings. The last message says
    /// that it is the last.
    pub(super) fn messages(
        &mut self,
        subjects: &mut Subjects,
        generation: u32,
        held_ns: u64,
    ) -> Vec<Message> {
        let mut parts = self.parts(subjects);
        let count = parts.len();
        let mut messages = Vec::with_capacity(count);
        for (at, part) in parts.drain(..).enumerate() {
            let last = if at + 1 == count { BatchHead::LAST } else { 0 };
            let head = self.head(generation, BatchHead::SNAPSHOT | last);
            messages.push(self.message(&head, &part, held_ns));
        }
        messages
    }

    /// Only the names, after they changed.
    pub(super) fn names(&mut self, subjects: &mut Subjects, generation: u32) -> Vec<Message> {
        let parts = self.name_parts(subjects);
        let head = self.head(generation, 0);
        parts.iter().map(|part| self.message(&head, part, 0)).collect()
    }

    /// Only the details that changed after a version, and the version up to
    /// which they are.
    pub(super) fn details(
        &mut self,
        subjects: &mut Subjects,
        generation: u32,
        since: u64,
    ) -> (Vec<Message>, u64) {
        let version = self.names.details().version();
        let head = self.head(generation, 0);
        let parts = self.details_parts(subjects, since);
        (parts.iter().map(|part| self.message(&head, part, 0)).collect(), version)
    }

    fn parts(&self, subjects: &mut Subjects) -> Vec<Part> {
        let mut parts = self.name_parts(subjects);
        parts.extend(self.details_parts(subjects, 0));
        parts.extend(self.judged_parts(subjects));
        let mut steps: Vec<StepCore> = self.steps.iter().map(|newest| newest.step).collect();
        steps.sort_by_key(|step| (step.model, step.instance, step.rank, step.producer));
        for of_model in steps.chunk_by(|a, b| a.model == b.model) {
            let subject = subjects.routing(of_model[0].model);
            parts.extend(
                of_model
                    .chunks(STEPS_MAX)
                    .map(|steps| Part { steps: steps.to_vec(), ..Part::new(&subject) }),
            );
        }
        let readings: Vec<Reading> = self.readings.iter().collect();
        parts.extend(
            readings.chunks(READINGS_MAX).map(|readings| Part {
                readings: readings.to_vec(),
                ..Part::new(&subjects.health())
            }),
        );
        parts
    }

    fn name_parts(&self, subjects: &mut Subjects) -> Vec<Part> {
        let mut engines = self.names.engines();
        engines.sort_by_key(|engine| engine.model_hash);
        let devices = self.names.devices();
        let mut parts = Vec::new();
        for of_model in engines.chunk_by(|a, b| a.model_hash == b.model_hash) {
            let subject = subjects.routing(of_model[0].model_hash);
            parts.extend(
                of_model
                    .chunks(NAMES_MAX)
                    .map(|engines| Part { engines: engines.to_vec(), ..Part::new(&subject) }),
            );
        }
        let health = subjects.health();
        parts.extend(
            cut_to_fit(&devices, DEVICES_BYTES_MAX, Device::bytes_max)
                .into_iter()
                .map(|devices| Part { devices: devices.to_vec(), ..Part::new(&health) }),
        );
        if parts.is_empty() {
            // A node without anything still answers: it is there.
            parts.push(Part::new(&health));
        }
        parts
    }

    fn details_parts(&self, subjects: &mut Subjects, since: u64) -> Vec<Part> {
        let model = |details: &EngineDetails| {
            self.names.engine(details.instance).map_or(0, |engine| engine.model_hash)
        };
        let mut changed: Vec<(u64, Arc<EngineDetails>)> = self.names.details().since(since);
        changed.iter_mut().for_each(|(of, details)| *of = model(details));
        changed.sort_by_key(|(model, _)| *model);
        let (mut parts, mut bytes, mut last): (Vec<Part>, usize, u64) = (Vec::new(), 0, 0);
        for (model, details) in changed {
            bytes += details.bytes_max();
            if parts.is_empty() || model != last || bytes > DETAILS_BYTES_MAX {
                parts.push(Part::new(&subjects.routing(model)));
                bytes = details.bytes_max();
            }
            last = model;
            parts.last_mut().into_iter().for_each(|part| part.details.push(Arc::clone(&details)));
        }
        parts
    }

    /// What the node's judge holds now: open verdicts and assessments.
    fn judged_parts(&self, subjects: &Subjects) -> Vec<Part> {
        let judged = self.names.judged();
        let subject = subjects.verdicts();
        let assessments = judged.assessments();
        let assessed = cut_to_fit(&assessments, JUDGED_BYTES_MAX, Assessment::bytes_max);
        let open = judged.open();
        let open = cut_to_fit(&open, JUDGED_BYTES_MAX, |verdict| verdict.bytes_max());
        let verdicts = open.into_iter().map(|verdicts| Part {
            verdicts: verdicts.iter().map(|verdict| Verdict::clone(verdict)).collect(),
            ..Part::new(&subject)
        });
        let assessed = assessed
            .into_iter()
            .map(|assessments| Part { assessments: assessments.to_vec(), ..Part::new(&subject) });
        verdicts.chain(assessed).collect()
    }

    fn head(&self, generation: u32, flags: u32) -> BatchHead {
        BatchHead {
            node: self.names.node_hash(),
            incarnation: self.incarnation,
            sequence: 0,
            publish_monotonic_ns: clock::monotonic_ns(),
            publish_wall_ns: clock::wall_ns(),
            generation,
            flags,
        }
    }

    fn message(&mut self, head: &BatchHead, part: &Part, held_ns: u64) -> Message {
        let tables = Tables {
            node_name: Some(self.names.node()),
            engines: &part.engines,
            devices: &part.devices,
            steps: &part.steps,
            readings: &part.readings,
            details: &part.details,
            verdicts: &part.verdicts,
            assessments: &part.assessments,
            held_ns,
            ..Tables::default()
        };
        let records = (part.steps.len() + part.readings.len()) as u32;
        let bytes = Bytes::copy_from_slice(self.writer.write(head, &tables));
        (Arc::clone(&part.subject), bytes, records)
    }
}

#[derive(Debug)]
struct Part {
    subject: Arc<str>,
    engines: Vec<Engine>,
    devices: Vec<Device>,
    steps: Vec<StepCore>,
    readings: Vec<Reading>,
    details: Vec<Arc<EngineDetails>>,
    verdicts: Vec<Verdict>,
    assessments: Vec<Assessment>,
}

impl Part {
    fn new(subject: &Arc<str>) -> Self {
        Self {
            subject: Arc::clone(subject),
            engines: Vec::new(),
            devices: Vec::new(),
            steps: Vec::new(),
            readings: Vec::new(),
            details: Vec::new(),
            verdicts: Vec::new(),
            assessments: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::newest::{NewestStep, ReadingTable, StepTable};
    use crate::schema::{BATCH_BYTES_MAX, BatchView, MetricId};
    use bytemuck::Zeroable;

    #[test]
    fn all_that_is_known_comes_in_messages_that_fit_and_the_last_says_so() {
        let names = Names::new("n");
        let (steps, readings) = (StepTable::heap(512), ReadingTable::heap(16));
        let mut writer = steps.writer();
        let long = "x".repeat(250);
        for at in 0..300_u64 {
            let engine = Engine {
                endpoint: long.clone(),
                engine: long.clone(),
                ..Engine::named(&format!("{long}{at}"), &format!("m{}", at % 2))
            };
            let mut newest = NewestStep::zeroed();
            newest.step.instance = engine.instance;
            newest.step.model = engine.model_hash;
            writer.write(&newest);
            names.put_engine(engine);
        }
        names.device("node", "n");
        readings.cell().unwrap().write(&Reading::new(0, MetricId::LoadOne, 1, 2.0));
        let mut kept = readings.cell().unwrap();
        kept.write(&Reading::new(0, MetricId::LoadOne, 1, 2.0));
        let mut state = FullState {
            names: names.clone(),
            steps: steps.view(),
            readings: readings.view(),
            incarnation: 9,
            writer: BatchWriter::default(),
        };
        let mut subjects = Subjects::new("p", names);
        let messages = state.messages(&mut subjects, 4, 77);
        let (mut engines, mut ranks, mut values, mut lasts) = (0, 0, 0, 0);
        for (subject, bytes, _) in &messages {
            assert!(bytes.len() <= BATCH_BYTES_MAX);
            let view = BatchView::verify(bytes).unwrap();
            assert_eq!(
                (view.head().generation, view.held_ns(), view.node_name()),
                (4, 77, Some("n"))
            );
            engines += view.engines().count();
            ranks += view.steps().len();
            values += view.readings().len();
            lasts += view.head().flags & BatchHead::LAST;
            assert_eq!(
                view.steps().len() > 0,
                subject.contains("routing") && view.engines().count() == 0
            );
        }
        assert_eq!((engines, ranks, values, lasts), (300, 300, 1, BatchHead::LAST));
    }

    #[test]
    fn changed_details_come_by_model_in_messages_that_fit() {
        let names = Names::new("n");
        let said = |at: u64| EngineDetails {
            instance: crate::schema::name_hash(&at.to_string()),
            sketches: vec![crate::schema::Sketch {
                buckets: vec![1; 1000],
                ..crate::schema::Sketch::new(crate::schema::SketchKind::Ttft)
            }],
            ..EngineDetails::default()
        };
        for at in 0..20 {
            names.put_engine(Engine::named(&at.to_string(), &format!("m{}", at % 2)));
            names.details().put(said(at));
        }
        let mut state = FullState {
            names: names.clone(),
            steps: StepTable::heap(1).view(),
            readings: ReadingTable::heap(1).view(),
            incarnation: 9,
            writer: BatchWriter::default(),
        };
        let mut subjects = Subjects::new("p", names.clone());
        let mut told = |since| {
            let (messages, version) = state.details(&mut subjects, 4, since);
            let count = |message: &Message| {
                let view = BatchView::verify(&message.1).unwrap();
                let model = message.0.rsplit_once('.').unwrap().1.to_owned();
                for details in view.details() {
                    let engine = names.engine(details.instance).unwrap();
                    assert_eq!(engine.model, model);
                }
                view.details().count()
            };
            (messages.iter().map(count).sum::<usize>(), messages.len(), version)
        };
        let (all, messages, version) = told(0);
        assert!(all == 20 && messages >= 4, "{messages} messages");
        assert_eq!(told(version).0, 0);
        names.details().put(EngineDetails { rank: 1, ..said(3) });
        assert_eq!(told(version).0, 1);
    }

    #[test]
    fn a_node_that_knows_nothing_still_answers() {
        let names = Names::new("n");
        let mut state = FullState {
            names: names.clone(),
            steps: StepTable::heap(1).view(),
            readings: ReadingTable::heap(1).view(),
            incarnation: 9,
            writer: BatchWriter::default(),
        };
        assert_eq!(state.messages(&mut Subjects::new("p", names), 1, 0).len(), 1);
    }
}
