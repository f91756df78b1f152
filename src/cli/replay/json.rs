//! Moments as lines of JSON.

use std::collections::HashMap;
use std::io::{self, Write};

use serde_json::{Map, Value, json};

use crate::recorder::{Moment, What};
use crate::schema::{
    Assessment, BatchView, Event, Field, MetricId, Reading, StepCore, Verdict, utc_text,
};
use crate::web::EventState;

/// Names that are remembered, so that lines need no numbers.
const NAMES_MAX: usize = 1 << 16;

/// Writes moments as lines of JSON.
#[derive(Debug)]
pub(super) struct Lines<W> {
    out: W,
    engines: HashMap<u64, String>,
    devices: HashMap<(u64, u32), String>,
}

impl<W: Write> Lines<W> {
    pub(super) fn new(out: W) -> Self {
        Self { out, engines: HashMap::new(), devices: HashMap::new() }
    }

    /// Writes all that a moment holds.
    pub(super) fn write(&mut self, moment: &Moment<'_>) -> io::Result<()> {
        let known = moment.what == What::Known;
        match moment.what {
            What::Run => {
                self.engines.clear();
                self.devices.clear();
                self.line(moment, "run", json!({ "run": format!("{:016x}", moment.run) }))
            }
            What::Gap => self.line(moment, "gap", json!({})),
            What::Tick => self.line(moment, "tick", json!({})),
            What::Lost(batches) => self.line(moment, "lost", json!({ "batches": batches })),
            What::Known | What::Batch => match moment.batch() {
                Some(batch) => self.batch(moment, &batch, known),
                None => Ok(()),
            },
        }
    }

    /// Writes what is left.
    pub(super) fn end(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn batch(&mut self, moment: &Moment<'_>, batch: &BatchView<'_>, known: bool) -> io::Result<()> {
        let node = batch.head().node;
        let say = |lines: &mut Self, kind: &str, mut value: Value| {
            if known {
                value["known"] = true.into();
            }
            lines.line(moment, kind, value)
        };
        for engine in batch.engines() {
            if self.engines.len() < NAMES_MAX {
                self.engines.insert(engine.instance, engine.name.clone());
            }
            let value = json!({
                "engine": engine.name, "model": engine.model, "endpoint": engine.endpoint,
                "source": engine.source, "ranks": engine.ranks, "process": engine.process,
                "container": engine.container, "pod": engine.pod,
            });
            say(self, "engine", value)?;
        }
        for device in batch.devices() {
            if self.devices.len() < NAMES_MAX {
                self.devices.insert((node, device.index), device.name.clone());
            }
            let value = json!({
                "device": device.name, "index": device.index, "device_kind": device.kind,
                "vendor": device.vendor, "uuid": device.uuid, "container": device.container,
                "pod": device.pod,
            });
            say(self, "device", value)?;
        }
        for step in batch.steps() {
            let value = self.step(&step);
            say(self, "step", value)?;
        }
        for reading in batch.readings() {
            let value = self.reading(node, &reading);
            say(self, "reading", value)?;
        }
        for event in batch.events() {
            say(self, "event", of_event(&event))?;
        }
        for verdict in batch.verdicts() {
            say(self, "verdict", of_verdict(&verdict))?;
        }
        for assessment in batch.assessments() {
            say(self, "assessment", of_assessment(&assessment))?;
        }
        Ok(())
    }

    fn step(&self, step: &StepCore) -> Value {
        let measured: Map<String, Value> = Field::ALL
            .iter()
            .filter_map(|field| Some((field.name().to_owned(), step.value(*field)?.into())))
            .collect();
        json!({
            "engine": self.engine(step.instance), "rank": step.rank, "producer": step.producer,
            "sequence": step.sequence, "step_monotonic_ns": step.monotonic_ns,
            "flags": step.flags, "measured": measured,
        })
    }

    fn reading(&self, node: u64, reading: &Reading) -> Value {
        let metric = MetricId::from_number(reading.metric);
        let metric = metric.map_or_else(|| json!(reading.metric), |id| json!(id.row().name));
        let name = self.devices.get(&(node, reading.device));
        let device = name.map_or_else(|| json!(reading.device), |name| json!(name));
        json!({
            "device": device, "metric": metric, "value": reading.value,
            "reading_monotonic_ns": reading.time_ns,
        })
    }

    fn engine(&self, instance: u64) -> String {
        self.engines.get(&instance).cloned().unwrap_or_else(|| format!("{instance:016x}"))
    }

    fn line(&mut self, moment: &Moment<'_>, kind: &str, mut value: Value) -> io::Result<()> {
        value["what"] = kind.into();
        value["at"] = utc_text(moment.at.wall_ns).into();
        value["monotonic_ns"] = moment.at.monotonic_ns.into();
        serde_json::to_writer(&mut self.out, &value)?;
        self.out.write_all(b"\n")
    }
}

fn of_event(event: &Event) -> Value {
    serde_json::to_value(EventState::of(event)).unwrap_or_default()
}

fn of_verdict(verdict: &Verdict) -> Value {
    let evidence: Vec<Value> = verdict
        .evidence
        .iter()
        .map(|of| {
            json!({
                "time": utc_text(of.wall_ns), "source": of.source, "subject": of.subject,
                "text": of.text, "event": of.event.to_string(), "metric": of.metric,
                "value": of.value, "limit": of.limit,
            })
        })
        .collect();
    json!({
        "id": format!("{:016x}", verdict.id), "revision": verdict.revision, "rule": verdict.rule,
        "severity": verdict.severity.name(), "state": verdict.state.name(),
        "subject": verdict.subject, "subject_kind": verdict.subject_kind, "text": verdict.text,
        "time": utc_text(verdict.wall_ns), "since": utc_text(verdict.since_wall_ns),
        "cause": verdict.cause, "confidence": verdict.confidence, "evidence": evidence,
        "impact": verdict.impact, "action": verdict.action.name(), "steps": verdict.steps,
        "page": verdict.page, "data_version": verdict.data_version,
        "caused_by": format!("{:016x}", verdict.caused_by), "count": verdict.count,
    })
}

fn of_assessment(assessment: &Assessment) -> Value {
    let verdicts: Vec<String> = assessment.verdicts.iter().map(|id| format!("{id:016x}")).collect();
    json!({
        "subject": assessment.subject, "subject_kind": assessment.subject_kind,
        "health": assessment.health.name(), "since": utc_text(assessment.since_wall_ns),
        "verdicts": verdicts,
    })
}
