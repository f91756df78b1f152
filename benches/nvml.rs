//! What sampling GPUs and NPUs once a second costs, with eight and with sixteen
//! of them played by a stand-in: processor time on our side of the library call, calls
//! for each device and tick, and how evenly readings come.
//!
//! A stand-in answers faster than a driver; what a real call costs comes on
//! top, and is the driver's.
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
#![expect(clippy::print_stdout, reason = "the figures are what this is run for")]

use std::collections::HashMap;
use std::fs;
use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::Criterion;
use eagle_eye::platform::clock;
use eagle_eye::samplers::accelerator::record::{Few, Message, VALUES_MAX, decode, encode};
use eagle_eye::samplers::accelerator::stand_in::{self, StandIn};
use eagle_eye::samplers::accelerator::{Accelerators, Facts, ParentPlan, settings};
use eagle_eye::samplers::{Entry, Readings, Settings, dcmi, nvml};
use eagle_eye::schema::{Device, Event, MetricId};

/// Ticks that are measured.
const TICKS: u64 = 30;

/// Counts power readings of each device, and how far apart they were taken.
#[derive(Default)]
struct Count {
    names: Vec<String>,
    power: HashMap<u32, (u64, u64)>,
    apart_ns: Vec<u64>,
}

impl Readings for Count {
    fn device(&mut self, _: &'static str, name: &str) -> u32 {
        let at = self.names.iter().position(|of| of == name).unwrap_or_else(|| {
            self.names.push(name.to_owned());
            self.names.len() - 1
        });
        at as u32
    }
    fn gone(&mut self, _: u32) {}
    fn put(&mut self, device: u32, metric: MetricId, time_ns: u64, value: f64) {
        black_box(value);
        if metric == MetricId::AcceleratorPower {
            let of = self.power.entry(device).or_default();
            if of.0 > 0 {
                self.apart_ns.push(time_ns - of.1);
            }
            *of = (of.0 + 1, time_ns);
        }
    }
}

impl Facts for Count {
    fn forget(&mut self, _: u32, _: MetricId) {}
    fn describe(&mut self, device: Device) {
        black_box(device);
    }
    fn offer(&mut self, event: Option<Event>, _: Option<Vec<u8>>) -> bool {
        black_box(event);
        true
    }
}

impl Count {
    fn ticks(&self) -> u64 {
        self.power.values().map(|(count, _)| *count).sum()
    }
}

/// Processor time of a process or thread, us.
fn processor_us(of: &str) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{of}/schedstat")).unwrap_or_default();
    let own = stat.split(' ').next().and_then(|ns| ns.parse::<f64>().ok()).unwrap_or(0.0);
    own / 1e3
}

/// Of all threads of a process.
fn process_us(id: u32) -> f64 {
    let tasks = fs::read_dir(format!("/proc/{id}/task")).into_iter().flatten().flatten();
    tasks
        .map(|task| processor_us(&format!("{id}/task/{}", task.file_name().to_string_lossy())))
        .sum()
}

fn run(of: StandIn, entry: &Entry, devices: u32) {
    let folder = tempfile::tempdir().expect("a folder");
    let scenario = format!("devices {devices}\n");
    let library = stand_in::plant(of, folder.path(), &scenario).expect("room");
    let arguments = settings::command_line(
        entry.name,
        entry.settings,
        &Settings::default(),
        &library,
        folder.path(),
    );
    let mut sampler = Accelerators::new(ParentPlan {
        name: entry.name,
        program: env!("CARGO_BIN_EXE_eagle-eye").into(),
        arguments,
        host_root: folder.path().to_owned(),
        deadline_ms: 2000,
        simulated: true,
        inventory: None,
    });
    let mut count = Count::default();
    // Everything was read once, and the first looks are over.
    while count.ticks() < 5 * u64::from(devices) {
        sampler.tick(clock::monotonic_ns(), &mut count);
        std::thread::sleep(Duration::from_millis(50));
    }
    count.apart_ns.clear();
    let Some(id) = sampler.reader_id() else { return };
    let (tally, ticks, begun) = (sampler.tally(), count.ticks(), Instant::now());
    let processor = [process_us(id), processor_us("thread-self")];
    while count.ticks() < ticks + TICKS * u64::from(devices) {
        sampler.tick(clock::monotonic_ns(), &mut count);
        std::thread::sleep(Duration::from_millis(50));
    }
    let seconds = begun.elapsed().as_secs_f64();
    let spent = [process_us(id) - processor[0], processor_us("thread-self") - processor[1]];
    let calls = (sampler.tally().calls - tally.calls) as f64;
    let in_calls_us = (sampler.tally().spent_ns - tally.spent_ns) as f64 / 1e3;
    let made = (count.ticks() - ticks) as f64;
    count.apart_ns.sort_unstable();
    let apart_ms = |share: f64| {
        let at = (count.apart_ns.len() as f64 * share) as usize;
        count.apart_ns.get(at.min(count.apart_ns.len() - 1)).map_or(0.0, |ns| *ns as f64 / 1e6)
    };
    println!(
        "{}/{devices}: {:.2} calls for each device and tick with all groups; child {:.0} us a \
         second of which {:.0} us in calls, sampler {:.0} us: {:.3} % of a core on our side; \
         readings of a device are {:.1} / {:.1} / {:.1} ms apart (p1, p50, p99)",
        entry.name,
        calls / made,
        spent[0] / seconds,
        in_calls_us / seconds,
        spent[1] / seconds,
        ((spent[0] - in_calls_us).max(0.0) + spent[1]) / seconds / 1e4,
        apart_ms(0.01),
        apart_ms(0.5),
        apart_ms(0.99),
    );
}

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(20)
        .configure_from_args();
    let empty = (MetricId::AcceleratorTemperature, 0.0);
    let values = [(MetricId::AcceleratorPower, 312.5); VALUES_MAX];
    let record = encode(&Message::Values(3, 9, Few::of(empty, &values)));
    let mut text = String::new();
    criterion.bench_function("nvml/decode_record", |bench| {
        bench.iter(|| black_box(decode(black_box(&record), &mut text).is_ok()));
    });
    for devices in [8, 16] {
        run(StandIn::Nvml, &nvml::ENTRY, devices);
        run(StandIn::Dcmi, &dcmi::ENTRY, devices);
    }
    criterion.final_summary();
}
