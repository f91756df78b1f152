//! A router that is slower than the stream: how old is what it decides on?

use eagle_eye::client::Ranks;
use eagle_eye::platform::clock::{self, SECOND_NS};

use super::meter::{Engines, Meter};
use super::processes::{Agent, Server, wait_for};
use super::{Arguments, met, quantile, time};

const ENGINES: u32 = 8;
const HZ: u32 = 1000;

/// What the router does for each step or decision, ns: 5,000 a second at most,
/// where 8,000 steps come.
const WORK_NS: u64 = 200_000;

const RUN_NS: u64 = 5 * SECOND_NS;

pub(crate) fn run(_: &Arguments) -> Result<(), String> {
    let server = Server::start()?;
    let agent = Agent::start(&server.url, &[])?;
    let newest = Meter::start(&server.url, 0)?;
    let queued = Meter::start(&server.url, WORK_NS)?;
    let engines = Engines::start(&agent.socket, ENGINES, HZ)?;
    if !wait_for(5 * SECOND_NS, || newest.has_any() && queued.has_any()) {
        return Err("no step came within five seconds".to_owned());
    }
    queued.take();
    let ages = decide(&newest);
    let fifo = queued.take().times_ns;
    engines.end();
    newest.stop();
    queued.stop();
    println!(
        "\nA router that takes 200 µs a decision, {ENGINES} engines × {HZ} Hz for 5 s: age at use"
    );
    let (p50, p99, end) = show("view: newest value", &ages);
    let (p50_fifo, ..) = show("every message in turn", &fifo);
    let period_ns = SECOND_NS / u64::from(HZ);
    println!("#11 p50 at most a period + 0.1 ms: {}", met(p50 <= period_ns + 100_000));
    println!("#11 p99 at most 10 ms: {}", met(p99 <= 10_000_000));
    println!("#11 never growing: {}", met(end <= p50 * 3 / 2));
    let ratio = p50_fifo as f64 / p50.max(1) as f64;
    println!("#11 at least 500 times below the queue: {ratio:.0} times, {}", met(ratio >= 500.0));
    Ok(())
}

/// Decides, rank after rank, as often as the work allows.
fn decide(meter: &Meter) -> Vec<u64> {
    let mut ranks = Ranks::default();
    let mut ages = Vec::new();
    let end_ns = clock::monotonic_ns() + RUN_NS;
    let mut turn = 0;
    while clock::monotonic_ns() < end_ns {
        meter.view.scan(&mut ranks);
        if !ranks.is_empty() {
            turn = (turn + 1) % ranks.len();
            ages.push(clock::monotonic_ns().saturating_sub(ranks[turn].step.monotonic_ns));
        }
        clock::sleep_until(clock::monotonic_ns() + WORK_NS);
    }
    ages
}

/// p50, p99, and the p50 of the last fifth.
fn show(name: &str, ages: &[u64]) -> (u64, u64, u64) {
    let mut last = ages[ages.len() * 4 / 5..].to_vec();
    last.sort_unstable();
    let mut all = ages.to_vec();
    all.sort_unstable();
    let (p50, p99, end) = (quantile(&all, 0.5), quantile(&all, 0.99), quantile(&last, 0.5));
    println!(
        "{name:<24} p50 {:>9}  p99 {:>9}  p50 of the last second {:>9}",
        time(p50),
        time(p99),
        time(end)
    );
    (p50, p99, end)
}
