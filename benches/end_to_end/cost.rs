//! What the road costs: processor time of an agent in a process of its own, of
//! the router's receiving thread, and bytes on the wire.

use eagle_eye::platform::clock::{self, SECOND_NS};

use super::meter::{Engines, Meter};
use super::processes::{Agent, Server, threads_of, wait_for};
use super::{Arguments, met, quantile, time};

/// How long each row is measured, ns.
const ROW_NS: u64 = 2 * SECOND_NS;

/// The threads that a step passes through.
const ROAD: [&str; 3] = ["ee-engine_push", "ee-drain", "ee-nats"];

/// Engines, steps a second, settings of the agent, the goal for its share of a
/// processor in percent, and the name of the goal.
type Row = (u32, u32, &'static [&'static str], Option<f64>, &'static str);

const LINGER_500: &[&str] = &["pipeline.linger_us=500"];
const LINGER_100: &[&str] = &["pipeline.linger_us=100"];
const POLL_200: &[&str] = &["samplers.engine_push.poll_us=200"];
const POLL_100: &[&str] = &["samplers.engine_push.poll_us=100"];
const QUIET_1: &[&str] = &["samplers.engine_push.quiet_ms=1"];

const ROWS: [Row; 13] = [
    (0, 1, &[], Some(0.2), "#14 idle"),
    (8, 50, &[], Some(1.2), "#14"),
    (8, 50, POLL_100, None, "poll 100 µs"),
    (8, 50, QUIET_1, None, "quiet 1 ms"),
    (16, 100, &[], None, "defaults"),
    (16, 100, LINGER_500, None, "linger 500 µs"),
    (64, 100, &[], Some(1.5), "#14 #16"),
    (64, 100, LINGER_500, None, "linger 500 µs"),
    (64, 100, LINGER_100, None, "linger 100 µs"),
    (64, 100, POLL_200, None, "poll 200 µs"),
    (64, 100, POLL_100, None, "poll 100 µs"),
    (1024, 100, &[], Some(3.0), "#14"),
    (256, 4000, &[], None, "#13 as fast as it goes"),
];

/// What one row measured.
struct Measured {
    /// Shares of a processor, in percent: the agent, each of its road's
    /// threads, the router's receiving thread.
    agent: f64,
    road: [f64; 3],
    view: f64,
    /// Steps a second that came into the view.
    steps: f64,
    p50_ns: u64,
    bytes: f64,
    batch: f64,
    late: u64,
}

pub(crate) fn run(_: &Arguments) -> Result<(), String> {
    let server = Server::start()?;
    println!("\nProcessor time in % of one processor; the agent runs all its samplers");
    println!(
        "{:<12} {:>9} {:>7} {:>7} {:>7} {:>7} {:>7} {:>8} {:>7} {:>6} {:>10}",
        "engines × Hz",
        "steps/s",
        "agent",
        "door",
        "drain",
        "nats",
        "view",
        "µs/step",
        "B/step",
        "batch",
        "p50"
    );
    for row in &ROWS {
        let measured = measure(&server, row)?;
        show(row, &measured);
    }
    Ok(())
}

fn measure(server: &Server, (engines, hz, settings, ..): &Row) -> Result<Measured, String> {
    let agent = Agent::start(&server.url, settings)?;
    let meter = Meter::start(&server.url, 0)?;
    let running = match engines {
        0 => None,
        engines => Some(Engines::start(&agent.socket, *engines, *hz)?),
    };
    if running.is_some() && !wait_for(5 * SECOND_NS, || meter.has_any()) {
        return Err("no step came within five seconds".to_owned());
    }
    clock::sleep_until(clock::monotonic_ns() + SECOND_NS / 2);
    meter.take();
    let before = (clock::monotonic_ns(), agent.processor_ns(), threads_of("self"));
    clock::sleep_until(clock::monotonic_ns() + ROW_NS);
    let noted = meter.take();
    let passed_ns = (clock::monotonic_ns() - before.0) as f64;
    let (agent_now, own_now) = (agent.processor_ns(), threads_of("self"));
    let share = |ns: u64| ns as f64 / passed_ns * 100.0;
    let used = |now: &[(String, u64)], then: &[(String, u64)], of: &dyn Fn(&str) -> bool| {
        let sum = |threads: &[(String, u64)]| -> u64 {
            threads.iter().filter(|(name, _)| of(name)).map(|(_, ns)| ns).sum()
        };
        share(sum(now).saturating_sub(sum(then)))
    };
    let counts = running.map(Engines::end).unwrap_or_default();
    meter.stop();
    let count = noted.times_ns.len() as f64;
    let mut times = noted.times_ns;
    times.sort_unstable();
    Ok(Measured {
        agent: used(&agent_now, &before.1, &|_| true),
        road: ROAD.map(|thread| used(&agent_now, &before.1, &|name| name == thread)),
        view: used(&own_now, &before.2, &|name| name == "ee-nats-view"),
        steps: count / passed_ns * 1e9,
        p50_ns: quantile(&times, 0.5),
        bytes: (noted.payload_bytes + noted.nats_bytes) as f64 / count,
        batch: count / noted.messages as f64,
        late: counts.late,
    })
}

fn show((engines, hz, _, goal, name): &Row, measured: &Measured) {
    let verdict = goal.map_or(String::new(), |most| {
        format!(", at most {most} %: {}", met(measured.agent <= most))
    });
    let late = match measured.late {
        0 => String::new(),
        late => format!("; {late} not simulated in time"),
    };
    let [door, drain, nats] = measured.road;
    print!("{:<12} {:>9.0} {:>6.2}%", format!("{engines} × {hz}"), measured.steps, measured.agent);
    print!(" {door:>6.2}% {drain:>6.2}% {nats:>6.2}% {:>6.2}%", measured.view);
    if measured.steps > 0.0 {
        let each = (door + drain + nats + measured.view) * 1e4 / measured.steps;
        print!(" {each:>8.3} {:>7.1} {:>6.1}", measured.bytes, measured.batch);
        print!(" {:>10}", time(measured.p50_ns));
    }
    println!("  {name}{verdict}{late}");
}
