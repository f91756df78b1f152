//! Judging what changes nothing allocates nothing: readings and steps of
//! healthy devices and engines are folded in place.

use bytemuck::Zeroable;
use eagle_eye::diagnosis::{At, Fact, Plan, Stage};
use eagle_eye::schema::{
    Accelerator, Device, DeviceState, Engine, Field, MetricId, Reading, StepCore,
};

use crate::counting::allocations;

const METRICS: [MetricId; 6] = [
    MetricId::AcceleratorTemperature,
    MetricId::AcceleratorUtilization,
    MetricId::AcceleratorClock,
    MetricId::AcceleratorPower,
    MetricId::AcceleratorThrottleThermalHardware,
    MetricId::AcceleratorEccUncorrected,
];

const DEVICES: u32 = 64;

fn stage(engine: &Engine) -> Stage {
    let mut stage = Stage::new("node", Plan::default());
    let at = At::new(1_000_000_000, 1_000_000_000);
    for index in 0..DEVICES {
        let device = Device {
            index,
            name: format!("gpu{index}"),
            kind: "gpu".into(),
            accelerator: Some(Box::new(Accelerator {
                state: DeviceState::Present,
                ..Accelerator::default()
            })),
            ..Device::default()
        };
        stage.fact(at, Fact::Device(&device));
    }
    stage.fact(at, Fact::Engine(engine));
    stage
}

/// One sample of everything, as the stage is told it.
fn sample(stage: &mut Stage, engine: &Engine, at: At, sequence: u64) {
    for device in 0..DEVICES {
        for metric in METRICS {
            let reading = Reading::new(device, metric, at.monotonic_ns, 1.0);
            stage.fact(at, Fact::Reading(&reading));
        }
    }
    let mut step = StepCore::zeroed();
    (step.instance, step.sequence, step.producers) = (engine.instance, sequence, 1);
    (step.running, step.monotonic_ns) = (4, at.monotonic_ns);
    step.mark(Field::Running);
    stage.fact(at, Fact::Step(&step));
}

#[test]
fn facts_that_change_nothing_allocate_nothing() {
    let engine = Engine::named("engine", "model");
    let mut stage = stage(&engine);
    let mut at = At::new(1_000_000_000, 1_000_000_000);
    // Everything is met, and a round is over, before it counts.
    for sequence in 1..=20 {
        at.monotonic_ns += 100_000_000;
        sample(&mut stage, &engine, at, sequence);
    }
    stage.tick(At::new(at.monotonic_ns + 1_000_000_000, at.wall_ns));
    at.monotonic_ns += 1_000_000_000;
    let counted = allocations(|| {
        for sequence in 100..400 {
            at.monotonic_ns += 1000;
            sample(&mut stage, &engine, at, sequence);
        }
    });
    assert_eq!(counted, 0, "{} facts", 300 * (DEVICES as usize * METRICS.len() + 1));
    assert_eq!(stage.open().count(), 0);
}
