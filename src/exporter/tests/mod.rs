//! Whole pages: what stands on them, what vanishes, what they cannot exceed.

mod bounds;
mod golden;
mod routing;

use bytemuck::Zeroable;

use super::*;
use crate::newest::{NewestStep, ReadingCell, ReadingTable, StepTable, StepWriter};
use crate::schema::{
    Accelerator, Activity, Adapter, Device, DeviceProcess, DeviceState, Engine, EngineDetails,
    EventKind, Field, Finished, Freshness, MetricId, Reading, Severity, Sketch, SketchKind,
    Speculation, StepCore, Transfer,
};

const MS: u64 = 1_000_000;

/// The time at which every test looks.
const NOW: u64 = 600_000 * MS;

impl Exporter {
    /// Of these tables, of an agent that says nothing of itself.
    pub(crate) fn of_tables(
        names: &Names,
        steps: &StepTableView,
        readings: &ReadingTableView,
    ) -> Self {
        let sources = Sources {
            steps: steps.clone(),
            readings: readings.clone(),
            names: names.clone(),
            merge: Box::new(first),
            health: Box::new(Health::default),
            verdicts: Box::new(Vec::new),
        };
        Self::new(sources, Settings::default())
    }
}

/// As good as a rank with one front end.
fn first(records: &mut [NewestStep], now_ns: u64) -> Rank {
    let newest = records[0];
    let silence_ns = now_ns.saturating_sub(newest.alive_ns);
    Rank {
        step: newest.step,
        age_ns: silence_ns,
        silence_ns,
        lost: newest.lost,
        freshness: Freshness::of(&newest.step, silence_ns),
        activity: Activity::of(&newest.step),
    }
}

/// A node whose tables a test fills.
struct Node {
    names: Names,
    steps: StepTable,
    readings: ReadingTable,
    writer: StepWriter,
    cells: Vec<ReadingCell>,
}

impl Node {
    fn new() -> Self {
        let (steps, readings) = (StepTable::heap(4096), ReadingTable::heap(16_384));
        let writer = steps.writer();
        Self { names: Names::new("n1"), steps, readings, writer, cells: Vec::new() }
    }

    fn sources(&self) -> Sources {
        Exporter::of_tables(&self.names, &self.steps.view(), &self.readings.view()).sources
    }

    fn exporter(&self) -> Exporter {
        Exporter::new(self.sources(), Settings::default())
    }

    /// The page now.
    fn page(&self) -> String {
        text(&self.exporter().metrics(Form::Classic, NOW))
    }

    /// A rank that was heard 2 ms ago, with every field measured.
    fn step(&self, engine: &Engine, rank: u16) -> NewestStep {
        let mut step = StepCore::zeroed();
        step.instance = engine.instance;
        step.incarnation = 7;
        step.rank = rank;
        step.ttl_ms = 1000;
        Field::ALL.iter().for_each(|field| step.mark(*field));
        (step.running, step.waiting, step.deferred) = (12, 3, 1);
        (step.oldest_wait_ms, step.last_step_us, step.kv_usage) = (250, 4500, 0.5);
        (step.kv_blocks, step.block_size, step.generated_tokens) = (4096, 16, 123_456);
        NewestStep { step, heard_ns: NOW, alive_ns: NOW - 2 * MS, error_ns: 0, lost: 1 }
    }

    fn write(&mut self, name: &str, rank: u16) -> Engine {
        let engine = Engine {
            incarnation: 7,
            endpoint: format!("http://{name}"),
            engine: "vllm 0.32.0".to_owned(),
            source: "plugin".to_owned(),
            ..Engine::named(name, "org/model")
        };
        self.names.put_engine(engine.clone());
        let step = self.step(&engine, rank);
        self.writer.write(&step).expect("room for every rank");
        engine
    }

    fn details(&self, engine: &Engine, rank: u16, adapters: Vec<Adapter>) {
        let sketches = SketchKind::ALL.map(|kind| {
            let mut sketch = Sketch::new(kind);
            [4_000.0, 90_000.0, 90_000.0, 2e6].iter().for_each(|us| sketch.add(*us, 1));
            sketch
        });
        let finished = vec![
            Finished { reason: "stop".into(), count: 5 },
            Finished { reason: "length".into(), count: 2 },
        ];
        self.names.details().put(EngineDetails {
            instance: engine.instance,
            incarnation: 7,
            rank,
            producer: 0,
            sketches: sketches.to_vec(),
            finished,
            adapters,
            speculation: Some(Speculation {
                drafts: 10,
                draft_tokens: 40,
                accepted_tokens: 30,
                accepted: vec![10, 9],
            }),
            transfer: Some(Transfer { transfers: 3, bytes: 4096, failures: 1, seconds: 0.25 }),
            devices: Vec::new(),
        });
    }

    fn device(&self, kind: &str, name: &str) -> u32 {
        self.names.device(kind, name).expect("room for every device")
    }

    fn gpu(&self, name: &str) -> u32 {
        let index = self.device("gpu", name);
        self.names.put_device(Device {
            index,
            name: name.to_owned(),
            kind: "gpu".to_owned(),
            vendor: "nvidia".to_owned(),
            uuid: format!("GPU-{name}"),
            accelerator: Some(Box::new(Accelerator {
                device_model: "NVIDIA H100 80GB HBM3".to_owned(),
                pci: "0000:5c:00.0".to_owned(),
                driver: "580.1".to_owned(),
                state: DeviceState::Present,
                processes: vec![DeviceProcess {
                    process: 9,
                    memory_bytes: Some(1 << 30),
                    container: "c0ffee".to_owned(),
                    pod: "9f0a".to_owned(),
                }],
                ..Accelerator::default()
            })),
            ..Device::default()
        });
        index
    }

    fn reading(&mut self, device: u32, metric: MetricId, value: f64) {
        self.reading_of(NOW - 100 * MS, device, metric, value);
    }

    fn reading_of(&mut self, time_ns: u64, device: u32, metric: MetricId, value: f64) {
        let mut cell = self.readings.cell().expect("room for every reading");
        cell.write(&Reading::new(device, metric, time_ns, value));
        self.cells.push(cell);
    }
}

fn text(page: &Bytes) -> String {
    String::from_utf8(page.to_vec()).expect("a page is text")
}

/// The value of the series that begins so.
fn value(page: &str, series: &str) -> Option<f64> {
    let line = page.lines().find(|line| line.starts_with(series))?;
    line.rsplit_once(' ')?.1.parse().ok()
}
