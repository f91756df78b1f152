//! A node on trial: tells a stage facts by the second, for the rules' cases.

use crate::diagnosis::{At, Fact, Plan, Stage};
use crate::schema::{
    Accelerator, Device, DeviceState, Engine, Event, EventKind, Field, MetricId, Reading, Severity,
    StepCore, Verdict,
};

/// A stage with clocks that the test moves.
#[derive(Debug)]
pub(crate) struct Trial {
    pub(crate) stage: Stage,
    pub(crate) at: At,
    next_event: u64,
    keep: Vec<(u32, MetricId, f64, f64)>,
}

impl Trial {
    pub(crate) fn new() -> Self {
        Self::with(Plan::default())
    }

    pub(crate) fn with(plan: Plan) -> Self {
        Self {
            stage: Stage::new("node1", plan),
            at: At::new(1_000_000_000_000, 1_700_000_000_000_000_000),
            next_event: 1,
            keep: Vec::new(),
        }
    }

    pub(crate) fn device(&mut self, device: &Device) {
        self.stage.fact(self.at, Fact::Device(device));
    }

    pub(crate) fn engine(&mut self, engine: &Engine) {
        self.stage.fact(self.at, Fact::Engine(engine));
    }

    pub(crate) fn event(&mut self, kind: EventKind, subject: &str, text: &str) {
        self.event_of(kind, Severity::Info, subject, text);
    }

    pub(crate) fn event_of(
        &mut self,
        kind: EventKind,
        severity: Severity,
        subject: &str,
        text: &str,
    ) {
        let event = Event {
            id: self.next_event,
            kind,
            severity,
            wall_ns: self.at.wall_ns,
            monotonic_ns: self.at.monotonic_ns,
            source: "test".into(),
            subject: subject.into(),
            text: text.into(),
            ..Event::default()
        };
        self.next_event += 1;
        self.stage.fact(self.at, Fact::Event(&event));
    }

    /// From here on the metric reads this, every second.
    pub(crate) fn set(&mut self, device: u32, metric: MetricId, value: f64) {
        self.grow(device, metric, value, 0.0);
    }

    /// From here on the metric begins with this and grows by so much a second.
    pub(crate) fn grow(&mut self, device: u32, metric: MetricId, value: f64, by: f64) {
        self.keep.retain(|(of, known, ..)| (*of, *known) != (device, metric));
        self.keep.push((device, metric, value, by));
        self.read();
    }

    /// The metric is not sampled any more.
    pub(crate) fn stop(&mut self, device: u32, metric: MetricId) {
        self.keep.retain(|(of, known, ..)| (*of, *known) != (device, metric));
    }

    fn read(&mut self) {
        for (device, metric, value, _) in self.keep.clone() {
            let reading = Reading::new(device, metric, self.at.monotonic_ns, value);
            self.stage.fact(self.at, Fact::Reading(&reading));
        }
    }

    /// Lets seconds pass, each with its readings.
    pub(crate) fn seconds(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.at.monotonic_ns += 1_000_000_000;
            self.at.wall_ns += 1_000_000_000;
            for (.., value, by) in &mut self.keep {
                *value += *by;
            }
            self.read();
            self.stage.tick(self.at);
        }
    }

    pub(crate) fn step(&mut self, step: &StepCore) {
        self.stage.fact(self.at, Fact::Step(step));
    }

    pub(crate) fn told(&mut self) -> Vec<Verdict> {
        self.stage.take_verdicts()
    }

    /// The open verdicts as `rule subject`, in order.
    pub(crate) fn open(&self) -> Vec<String> {
        let mut open: Vec<String> =
            self.stage.open().map(|of| format!("{} {}", of.rule, of.subject)).collect();
        open.sort();
        open
    }
}

/// A healthy GPU.
pub(crate) fn gpu(index: u32) -> Device {
    Device {
        index,
        name: format!("gpu{index}"),
        kind: "gpu".into(),
        vendor: "nvidia".into(),
        uuid: format!("GPU-{index}"),
        accelerator: Some(Box::new(Accelerator {
            device_model: "NVIDIA H100 80GB HBM3".into(),
            pci: format!("0000:{:02x}:00.0", 0x10 + index),
            driver: "570.86.15".into(),
            state: DeviceState::Present,
            ..Accelerator::default()
        })),
        ..Device::default()
    }
}

/// A device of another kind.
pub(crate) fn device(index: u32, kind: &str, name: &str) -> Device {
    Device { index, kind: kind.into(), name: name.into(), ..Device::default() }
}

/// A step of an engine with these fields.
pub(crate) fn step(engine: &Engine, at: At, sequence: u64, fields: &[Field]) -> StepCore {
    let mut step: StepCore = bytemuck::Zeroable::zeroed();
    step.instance = engine.instance;
    step.incarnation = engine.incarnation;
    step.sequence = sequence;
    step.producers = 1;
    step.ttl_ms = 1000;
    (step.monotonic_ns, step.heartbeat_ns) = (at.monotonic_ns, at.monotonic_ns);
    step.wall_ns = at.wall_ns;
    for field in fields {
        step.mark(*field);
    }
    step
}
