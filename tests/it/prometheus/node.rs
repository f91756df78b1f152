//! A real agent whose engines and devices say what a test tells them.

use std::net::SocketAddr;
use std::path::Path;
use std::thread::JoinHandle;

use bytemuck::Zeroable;
use eagle_eye::engine::Agent;
use eagle_eye::newest::ReadingCell;
use eagle_eye::platform::clock;
use eagle_eye::platform::thread::Stop;
use eagle_eye::producer::DoorWriter;
use eagle_eye::schema::{
    Accelerator, Device, DeviceProcess, DeviceState, Engine, EngineDetails, Field, MetricId,
    Reading, StepCore,
};
use tempfile::TempDir;

use crate::road::agent_with;

/// The agent, listening, with everything in a folder of its own.
pub(crate) struct Node {
    pub(crate) agent: Agent,
    pub(crate) address: SocketAddr,
    cells: Vec<(ReadingCell, u32, MetricId)>,
    folder: TempDir,
}

impl Node {
    pub(crate) fn start(settings: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let all = [&[("listen", "127.0.0.1:0")], settings].concat();
        let agent = agent_with(folder.path(), "n1", &all, Vec::new());
        let address = agent.http().expect("it listens");
        Self { agent, address, cells: Vec::new(), folder }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A simulated GPU of this name.
    pub(crate) fn gpu(&self, name: &str) -> u32 {
        let index = self.agent.names.device("gpu", name).expect("room for it");
        self.agent.names.put_device(Device {
            index,
            name: name.to_owned(),
            kind: "gpu".to_owned(),
            vendor: "nvidia".to_owned(),
            uuid: format!("GPU-{name}"),
            accelerator: Some(Box::new(Accelerator {
                device_model: "H100".to_owned(),
                state: DeviceState::Present,
                simulated: true,
                processes: vec![DeviceProcess {
                    process: 1,
                    memory_bytes: Some(1 << 30),
                    ..DeviceProcess::default()
                }],
                ..Accelerator::default()
            })),
            ..Device::default()
        });
        index
    }

    /// Says a value of a device.
    pub(crate) fn reading(&mut self, device: u32, metric: MetricId, value: f64) {
        let of =
            |(_, known, its): &(ReadingCell, u32, MetricId)| (*known, *its) == (device, metric);
        let at = self.cells.iter().position(of).unwrap_or_else(|| {
            let cell = self.agent.readings.cell().expect("room for it");
            self.cells.push((cell, device, metric));
            self.cells.len() - 1
        });
        self.cells[at].0.write(&Reading::new(device, metric, clock::monotonic_ns(), value));
    }
}

/// An engine that is heard while it lives.
pub(crate) struct SpeakingEngine {
    writer: DoorWriter,
    stop: Stop,
    line: Option<JoinHandle<()>>,
}

impl SpeakingEngine {
    pub(crate) fn start(folder: &Path, name: &str) -> Self {
        let engine = Engine {
            incarnation: clock::wall_ns(),
            source: "plugin".into(),
            ..Engine::named(name, "org/model")
        };
        let writer = DoorWriter::create(&engine, 64).expect("memory");
        let stop = Stop::default();
        let line = writer.line(&folder.join("agent.sock"));
        let line = Some(line.keep(stop.clone()).expect("a thread"));
        Self { writer, stop, line }
    }

    /// A step in which only what `fill` marks is known.
    pub(crate) fn step(&mut self, fill: impl FnOnce(&mut StepCore)) {
        let mut step = StepCore { ttl_ms: 60_000, producers: 1, ..StepCore::zeroed() };
        fill(&mut step);
        self.writer.write(&step);
    }

    pub(crate) fn say(&self, details: EngineDetails) {
        self.writer.write_details(&[details]);
    }
}

impl Drop for SpeakingEngine {
    fn drop(&mut self) {
        self.stop.raise();
        if let Some(line) = self.line.take() {
            let _ = line.join();
        }
    }
}

/// Marks fields as measured.
pub(crate) fn mark(step: &mut StepCore, fields: &[Field]) {
    fields.iter().for_each(|field| step.mark(*field));
}
