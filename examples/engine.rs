//! An engine that pushes its load to the agent on this machine: everything an
//! engine written in Rust needs.
//!
//! `cargo run --example engine -- /run/eagle-eye/agent.sock my-engine`

use std::path::PathBuf;

use bytemuck::Zeroable;

use eagle_eye::platform::clock::{self, MILLISECOND_NS};
use eagle_eye::platform::thread::Stop;
use eagle_eye::producer::{DoorWriter, SLOTS_DEFAULT};
use eagle_eye::schema::{Engine, Field, StepCore};

fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().map_or("/run/eagle-eye/agent.sock".into(), PathBuf::from);
    let name = arguments.next().unwrap_or_else(|| "example".to_owned());

    let engine = Engine {
        endpoint: "http://127.0.0.1:8000".to_owned(),
        engine: "example 1".to_owned(),
        ..Engine::named(&name, "org/model")
    };
    let mut door = DoorWriter::create(&engine, SLOTS_DEFAULT)?;
    // Finds the agent, now or later, and beats the heart.
    let stop = Stop::default();
    let line = door.line(&path).keep(stop.clone())?;

    // A hundred steps a second for ten seconds.
    let begun_ns = clock::monotonic_ns();
    for n in 1..=1000 {
        let mut step = StepCore {
            running: n % 32,
            waiting: n % 7,
            kv_usage: (n % 100) as f32 / 100.0,
            steps: u64::from(n),
            ..StepCore::zeroed()
        };
        for field in [Field::Running, Field::Waiting, Field::KvUsage, Field::Steps] {
            step.mark(field);
        }
        door.write(&step);
        clock::sleep_until(begun_ns + u64::from(n) * 10 * MILLISECOND_NS);
    }

    door.goodbye();
    stop.raise();
    let _ = line.join();
    Ok(())
}
