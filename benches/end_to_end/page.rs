//! How old is a value when it is used: a polled page beside our view.

use eagle_eye::client::{Ranks, View};
use eagle_eye::platform::clock::{self, MILLISECOND_NS};
use eagle_eye::platform::thread::{self, Stop};
use eagle_eye::schema::{Flag, name_hash};
use serde_json::Value;

use super::processes::free_port;
use super::side::{ROUNDS, SECONDS, Stage};
use super::{median, quantile, time};

/// A page polled every 50 ms beside our view, looked at every millisecond.
pub(crate) fn run(stage: &mut Stage) -> Result<(), String> {
    println!("\nAge of the value at use, engine's loop idle at 100 Hz, looked at every ms");
    let lacking = stage.python.lacks(&["prometheus_client"]);
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let mut page = Value::Null;
    for _ in 0..ROUNDS {
        stage.turns += 1;
        let name = format!("engine-{}", stage.turns);
        let view = stage.meter.view.clone();
        let stop = Stop::default();
        let theirs_stop = stop.clone();
        let instance = name_hash(&name);
        let looker = thread::spawn("looker", None, move || look(&view, instance, &theirs_stop))
            .map_err(|error| error.to_string())?;
        let engine = stage.engine(&name, "100", "0")?;
        let ended = engine.result();
        stop.raise();
        ours.push(looker.join().unwrap_or_default());
        ended?;
        if lacking.is_none() {
            let port = free_port()?.to_string();
            let engine =
                stage.python.start(&["engine", "page", &port, "100", "0", SECONDS, "peer"])?;
            let reader = stage.python.start(&["reader", "page", &port])?;
            engine.result()?;
            page = reader.result()?;
            theirs.push(["p50", "p99", "mean"].map(|key| page[key].as_f64().unwrap_or(f64::NAN)));
        }
    }
    let show = |name: &str, ages: &[[f64; 3]]| {
        let of = |at: usize| time(median(ages.iter().map(|age| age[at]).collect()) as u64);
        println!("{name:<40} p50 {:>9}  p99 {:>9}  mean {:>9}", of(0), of(1), of(2));
    };
    show("ours", &ours);
    if theirs.is_empty() {
        return Ok(());
    }
    show("Prometheus page polled at 50 ms", &theirs);
    let ratio = median(ours.iter().zip(&theirs).map(|(a, b)| a[2] / b[2]).collect());
    println!(
        "mean: ours ÷ theirs {ratio:.3}; the page has {} samples in {} bytes",
        page["samples"], page["bytes"]
    );
    Ok(())
}

/// p50, p99 and mean age of an engine's newest step, looked at every ms, ns.
fn look(view: &View, instance: u64, stop: &Stop) -> [f64; 3] {
    let mut ranks = Ranks::default();
    let mut ages = Vec::new();
    while !stop.is_raised() {
        clock::sleep_until(clock::monotonic_ns() + MILLISECOND_NS);
        view.scan(&mut ranks);
        let state = ranks.iter().find(|state| state.id.instance == instance);
        // An engine that has ended ages without end.
        if let Some(state) = state.filter(|state| !state.step.has(Flag::Goodbye)) {
            ages.push(clock::monotonic_ns().saturating_sub(state.step.monotonic_ns));
        }
    }
    ages.sort_unstable();
    let mean = ages.iter().sum::<u64>() as f64 / ages.len().max(1) as f64;
    [quantile(&ages, 0.5) as f64, quantile(&ages, 0.99) as f64, mean]
}
