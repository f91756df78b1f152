//! Ours and what users have today, turn by turn, in the same engine loop.

use std::collections::BTreeMap;

use eagle_eye::client::{Options, Ranks, View};
use eagle_eye::platform::clock::{self, MILLISECOND_NS, SECOND_NS};
use eagle_eye::platform::thread::{self, Stop};
use eagle_eye::schema::name_hash;
use serde_json::Value;

use super::meter::Meter;
use super::processes::{Agent, Python, Server, free_port, wait_for};
use super::{Arguments, median, met, page, quantile, time};

/// Turns of every contestant under every load.
pub(crate) const ROUNDS: usize = 3;

/// How long an engine's loop runs in one turn, s.
pub(crate) const SECONDS: &str = "1.5";

/// Steps left out at the start of each turn, as the Python readers do.
const WARM: usize = 20;

/// What the engine's loop does besides: name, steps a second, busy ms a step.
const LOADS: [(&str, &str, &str); 3] =
    [("idle, 100 Hz", "100", "0"), ("idle, 1 kHz", "1000", "0"), ("busy 5 ms a step", "0", "5")];

/// One turn of one contestant.
#[derive(Debug, Clone, Copy, Default)]
struct Turn {
    p50: f64,
    p99: f64,
    p999: f64,
    /// What recording costs the loop, p50, ns.
    record: f64,
    /// Processor time of both ends for each step, ns; 0 where not measured.
    processor: f64,
    /// Bytes of a message.
    bytes: f64,
}

const CONTESTANTS: [&str; 4] = ["ours", "ours, same host", "json + nats-py", "msgpack + pyzmq"];

/// All turns, by load and contestant.
type Table = BTreeMap<(usize, usize), Vec<Turn>>;

/// Everything that runs while turns are taken.
pub(crate) struct Stage {
    server: Server,
    agent: Agent,
    pub(crate) meter: Meter,
    pub(crate) python: Python,
    pub(crate) turns: usize,
}

pub(crate) fn run(_: &Arguments) -> Result<(), String> {
    let server = Server::start()?;
    let python = Python::prepare()?;
    let agent = Agent::start(&server.url, &[])?;
    let meter = Meter::start(&server.url, 0)?;
    let mut stage = Stage { server, agent, meter, python, turns: 0 };
    println!(
        "\nBeside what users have today: one asyncio engine loop, {ROUNDS} turns of {SECONDS} s each"
    );
    let mut table = Table::new();
    for round in 0..ROUNDS {
        for load in 0..LOADS.len() {
            for at in 0..CONTESTANTS.len() {
                let contestant = (at + round) % CONTESTANTS.len();
                if let Some(turn) = stage.turn(contestant, load)? {
                    table.entry((load, contestant)).or_default().push(turn);
                }
            }
        }
    }
    show(&table);
    goals(&table);
    page::run(&mut stage)?;
    for (package, why) in &stage.python.missing {
        println!("left out: what needs {package}, which pip could not fetch: {why}");
    }
    stage.meter.stop();
    Ok(())
}

impl Stage {
    /// One turn; nothing where a package is missing.
    fn turn(&mut self, contestant: usize, load: usize) -> Result<Option<Turn>, String> {
        self.turns += 1;
        let (_, hz, busy) = LOADS[load];
        match contestant {
            0 => self.ours(hz, busy).map(Some),
            1 => self.same_host(hz, busy).map(Some),
            2 if self.python.lacks(&["nats-py"]).is_none() => {
                self.theirs("nats", &self.server.url.clone(), hz, busy).map(Some)
            }
            3 if self.python.lacks(&["pyzmq", "msgpack"]).is_none() => {
                let target = format!("tcp://127.0.0.1:{}", free_port()?);
                self.theirs("zmq", &target, hz, busy).map(Some)
            }
            _ => Ok(None),
        }
    }

    fn theirs(&self, road: &str, target: &str, hz: &str, busy: &str) -> Result<Turn, String> {
        let mut reader = self.python.start(&["reader", road, target])?;
        reader.line()?;
        let engine = self.python.start(&["engine", road, target, hz, busy, SECONDS, "peer"])?;
        let (engine, read) = (engine.result()?, reader.result()?);
        let number = |value: &Value, key: &str| value[key].as_f64().unwrap_or(f64::NAN);
        let processor = number(&engine, "processor_ns") + number(&read, "processor_ns");
        Ok(Turn {
            p50: number(&read, "p50"),
            p99: number(&read, "p99"),
            p999: number(&read, "p999"),
            record: number(&engine, "p50"),
            processor: processor / number(&engine, "count"),
            bytes: number(&read, "bytes"),
        })
    }

    pub(crate) fn engine(
        &self,
        name: &str,
        hz: &str,
        busy: &str,
    ) -> Result<super::processes::Peer, String> {
        let socket = self.agent.socket.display().to_string();
        self.python.start(&["engine", "door", &socket, hz, busy, SECONDS, name])
    }

    fn ours(&self, hz: &str, busy: &str) -> Result<Turn, String> {
        self.meter.take();
        let name = format!("engine-{}", self.turns);
        let engine = self.engine(&name, hz, busy)?.result()?;
        wait_for(SECOND_NS / 10, || false);
        let noted = self.meter.take();
        let bytes = noted.payload_bytes as f64 / noted.times_ns.len().max(1) as f64;
        turn(noted.times_ns, &engine, bytes)
    }

    /// A router on the engine's host: reads the agent's memory all the time.
    fn same_host(&self, hz: &str, busy: &str) -> Result<Turn, String> {
        let name = format!("engine-{}", self.turns);
        let mut engine = self.engine(&name, hz, busy)?;
        let options = Options { socket: Some(self.agent.socket.clone()), ..Options::default() };
        let view = View::connect(options).map_err(|error| error.to_string())?;
        let stop = Stop::default();
        let theirs = stop.clone();
        let reader = thread::spawn("reader", None, move || watch(&view, name_hash(&name), &theirs))
            .map_err(|error| error.to_string())?;
        let line = engine.line();
        stop.raise();
        let times = reader.join().unwrap_or_default();
        let engine = serde_json::from_str(&line?).map_err(|error| error.to_string())?;
        turn(times, &engine, f64::NAN)
    }
}

/// How old each step of an instance is when it is first read, ns.
fn watch(view: &View, instance: u64, stop: &Stop) -> Vec<u64> {
    let mut ranks = Ranks::default();
    let mut times = Vec::new();
    let mut known = loop {
        view.scan(&mut ranks);
        if let Some(state) = ranks.iter().find(|state| state.id.instance == instance) {
            break *state;
        }
        if stop.is_raised() {
            return times;
        }
        clock::sleep_until(clock::monotonic_ns() + MILLISECOND_NS);
    };
    let mut sequence = known.step.sequence;
    while !stop.is_raised() {
        if view.refresh(&mut known) && known.step.sequence > sequence {
            sequence = known.step.sequence;
            times.push(clock::monotonic_ns().saturating_sub(known.step.monotonic_ns));
        }
        std::thread::yield_now();
    }
    times
}

fn turn(times_ns: Vec<u64>, engine: &Value, bytes: f64) -> Result<Turn, String> {
    let mut times = times_ns.into_iter().skip(WARM).collect::<Vec<_>>();
    if times.is_empty() {
        return Err("none of our steps came: did the engine find the agent?".to_owned());
    }
    times.sort_unstable();
    Ok(Turn {
        p50: quantile(&times, 0.5) as f64,
        p99: quantile(&times, 0.99) as f64,
        p999: quantile(&times, 0.999) as f64,
        record: engine["p50"].as_f64().unwrap_or(f64::NAN),
        processor: 0.0,
        bytes,
    })
}

fn show(table: &Table) {
    println!(
        "{:<18} {:<18} {:>10} {:>10} {:>10} {:>12} {:>10} {:>8}",
        "engine's loop", "", "p50", "p99", "p99.9", "record p50", "cpu/step", "bytes"
    );
    for ((load, contestant), turns) in table {
        let of = |read: fn(&Turn) -> f64| median(turns.iter().map(read).collect());
        let shown = |ns: f64| if ns > 0.0 { time(ns as u64) } else { "–".to_owned() };
        let bytes = of(|turn| turn.bytes);
        let bytes = if bytes > 0.0 { format!("{bytes:.0}") } else { "–".to_owned() };
        println!(
            "{:<18} {:<18} {:>10} {:>10} {:>10} {:>12} {:>10} {:>8}",
            LOADS[*load].0,
            CONTESTANTS[*contestant],
            shown(of(|turn| turn.p50)),
            shown(of(|turn| turn.p99)),
            shown(of(|turn| turn.p999)),
            shown(of(|turn| turn.record)),
            shown(of(|turn| turn.processor)),
            bytes
        );
    }
}

/// A goal as a ratio within rounds: contestants, load, percentile, most.
fn goals(table: &Table) {
    let p50: fn(&Turn) -> f64 = |turn| turn.p50;
    let p99: fn(&Turn) -> f64 = |turn| turn.p99;
    let record: fn(&Turn) -> f64 = |turn| turn.record;
    println!("\n{:<56} {:>8} {:>8}", "goal: ours ÷ theirs, median of the rounds", "ratio", "goal");
    for (name, load, (ours, theirs), read, most) in [
        ("#2 record, live loop, ÷ json + publish, 100 Hz", 0, (0, 2), record, 1.0 / 12.0),
        ("#2 record, live loop, ÷ json + publish, 1 kHz", 1, (0, 2), record, 1.0 / 12.0),
        ("#7 same host, 1 kHz, p50 ÷ nats-py", 1, (1, 2), p50, 1.0 / 200.0),
        ("#8 through NATS, 1 kHz, p50 ÷ nats-py", 1, (0, 2), p50, 0.25),
        ("#8 through NATS, 1 kHz, p99 ÷ nats-py", 1, (0, 2), p99, 0.4),
        ("#8 through NATS, 1 kHz, p50 ÷ pyzmq + msgpack", 1, (0, 3), p50, 0.7),
        ("   through NATS, 100 Hz, p50 ÷ nats-py", 0, (0, 2), p50, 0.25),
        ("   through NATS, 100 Hz, p50 ÷ pyzmq + msgpack", 0, (0, 3), p50, 0.7),
        ("#10 busy loop, p50 ÷ nats-py", 2, (0, 2), p50, 1.0 / 30.0),
        ("#10 busy loop, p99 ÷ nats-py", 2, (0, 2), p99, 0.1),
        ("    busy loop, p50 ÷ pyzmq + msgpack", 2, (0, 3), p50, 1.0),
    ] {
        let (Some(ours), Some(theirs)) = (table.get(&(load, ours)), table.get(&(load, theirs)))
        else {
            println!("{name:<56} left out");
            continue;
        };
        let ratio = median(ours.iter().zip(theirs).map(|(a, b)| read(a) / read(b)).collect());
        println!("{name:<56} {ratio:>8.3} {most:>8.3} {}", met(ratio <= most));
    }
    if let Some(turns) = table.get(&(1, 0)) {
        let p999 = median(turns.iter().map(|turn| turn.p999).collect());
        let goal = met(p999 < 1e6);
        println!("{:<56} {:>8} {:>8} {goal}", "#8 p99.9", time(p999 as u64), "1 ms");
    }
}
