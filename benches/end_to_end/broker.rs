//! A broker that is away: what comes first when it returns?

use eagle_eye::platform::clock::{self, MILLISECOND_NS, SECOND_NS};

use super::meter::{Engines, Meter};
use super::processes::{Agent, Server, wait_for};
use super::{Arguments, met, quantile, time};

const ENGINES: usize = 16;
const HZ: u32 = 100;

/// How long it is away, ns.
const AWAY_NS: u64 = 3 * SECOND_NS;

/// A step that is older when it comes was kept while the broker was away.
const STALE_NS: u64 = 500 * MILLISECOND_NS;

pub(crate) fn run(_: &Arguments) -> Result<(), String> {
    let mut server = Server::start()?;
    let agent = Agent::start(&server.url, &[])?;
    let meter = Meter::start(&server.url, 0)?;
    let engines = Engines::start(&agent.socket, ENGINES as u32, HZ)?;
    if !wait_for(5 * SECOND_NS, || meter.has_any()) {
        return Err("no step came within five seconds".to_owned());
    }
    clock::sleep_until(clock::monotonic_ns() + SECOND_NS);
    server.kill();
    let last = meter.take().times_ns;
    clock::sleep_until(clock::monotonic_ns() + AWAY_NS);
    meter.take();
    let returned_ns = clock::monotonic_ns();
    server.start_again()?;
    if !wait_for(10 * SECOND_NS, || meter.has_any()) {
        return Err("no step came within ten seconds after NATS returned".to_owned());
    }
    clock::sleep_until(clock::monotonic_ns() + SECOND_NS);
    let noted = meter.take();
    let counts = engines.end();
    meter.stop();
    let mut first = noted.times_ns[..ENGINES.min(noted.times_ns.len())].to_vec();
    first.sort_unstable();
    let stale = noted.times_ns.iter().filter(|ns| **ns > STALE_NS).count();
    println!("\nNATS away for 3 s, {ENGINES} engines × {HZ} Hz");
    println!("steps before it went: {}, written in all: {}", last.len(), counts.steps);
    println!(
        "the first step came {} after the server's start; of the first {} steps the oldest was {} old",
        time(noted.first_ns.saturating_sub(returned_ns)),
        first.len(),
        time(quantile(&first, 1.0))
    );
    println!("#12 steps from while it was away: {stale}, goal 0: {}", met(stale == 0));
    Ok(())
}
