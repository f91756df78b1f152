//! The whole road at four sizes, and the contract.

use eagle_eye::engine::{MeasurePlan, Measured, end_to_end};
use eagle_eye::platform::thread::Stop;
use eagle_eye::web::LossCount;

use super::processes::Server;
use super::{Arguments, CONTRACT_NS, quantile, time};

const SIZES: [u32; 4] = [1, 16, 128, 1024];
const HZ: u32 = 100;

/// How often a size is measured in all when its times were too long on a
/// machine that could not even simulate the engines in time: what stood still
/// then was the machine. A loss is never measured again.
const TRIES_MAX: usize = 3;

/// Of so many steps one left out says that the machine stood still.
const LATE_SHARE: u64 = 100;

pub(crate) fn run(arguments: &Arguments) -> Result<(), String> {
    let server = Server::start()?;
    let mut faults = Vec::new();
    let mut slowest = Vec::new();
    println!(
        "\n{:<6} × {HZ} Hz {:<22} {:>10} {:>10} {:>10} {:>10}",
        "engines", "", "p50", "p99", "p99.9", "max"
    );
    for engines in SIZES {
        let mut tries = 0;
        let (measured, found) = loop {
            let measured = measure(&server.url, engines, arguments)?;
            show(engines, &measured, arguments.contract);
            let found = faults_of(engines, &measured);
            tries += 1;
            let stood_still = measured.late > measured.written / LATE_SHARE;
            let only_slow = measured.uncounted == 0 && !found.is_empty();
            if tries == TRIES_MAX || !stood_still || !only_slow {
                break (measured, found);
            }
            println!("{:<15} again: this machine stood still meanwhile", "");
        };
        faults.extend(found);
        slowest.extend(measured.stages.last().map(|stage| stage.p999_ns));
    }
    slowest.sort_unstable();
    if faults.is_empty() {
        println!(
            "\nThe contract holds: p99.9 from engine to view at most {} of {} allowed, every loss counted.",
            time(quantile(&slowest, 1.0)),
            time(CONTRACT_NS)
        );
        return Ok(());
    }
    Err(faults.join("; "))
}

fn measure(url: &str, engines: u32, arguments: &Arguments) -> Result<Measured, String> {
    let plan = MeasurePlan {
        nats: url.to_owned(),
        engines,
        hz: HZ,
        seconds: arguments.seconds,
        settings: Vec::new(),
    };
    end_to_end(&plan, &Stop::default(), |_| {})
}

fn show(engines: u32, measured: &Measured, short: bool) {
    let all = measured.stages.len();
    let from = if short { all - 1 } else { 0 };
    for (at, stage) in measured.stages.iter().enumerate().skip(from) {
        let engines = if at == from { engines.to_string() } else { String::new() };
        println!(
            "{engines:<15} {:<22} {:>10} {:>10} {:>10} {:>10}",
            stage.name,
            time(stage.p50_ns),
            time(stage.p99_ns),
            time(stage.p999_ns),
            time(stage.max_ns)
        );
    }
    let late = match measured.late {
        0 => String::new(),
        late => format!("; {late} left out, since this machine could not simulate that fast"),
    };
    let mut why = String::new();
    for LossCount { place, reason, count } in &measured.reasons {
        why.push_str(&format!(
            "{}{place}: {reason} {count}",
            if why.is_empty() { " (" } else { ", " }
        ));
    }
    if !why.is_empty() {
        why.push(')');
    }
    println!(
        "{:<15} {} steps written, {} received in {} messages, {} lost and counted{why}, {} uncounted{late}",
        "",
        measured.written,
        measured.received,
        measured.messages,
        measured.lost,
        measured.uncounted
    );
}

fn faults_of(engines: u32, measured: &Measured) -> Vec<String> {
    let mut faults = Vec::new();
    if measured.stages.last().is_none_or(|stage| stage.p50_ns == 0) {
        faults.push(format!("of {engines} engines nothing was received while measuring"));
    }
    if let Some(stage) = measured.stages.last().filter(|stage| stage.p999_ns >= CONTRACT_NS) {
        let p999 = time(stage.p999_ns);
        faults.push(format!("p99.9 from engine to view was {p999} with {engines} engines"));
    }
    if measured.uncounted != 0 {
        let uncounted = measured.uncounted;
        faults.push(format!("{uncounted} steps of {engines} engines were lost uncounted"));
    }
    faults
}
