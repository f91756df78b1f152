//! `eagle-eye watch`: the live view of what somebody else samples.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use clap::Args;

use super::accelerator::{self, Accelerator};
use super::{History, Screen, Tab, json, plain, run_terminal};
use crate::cli::{TROUBLE, say, signals};
use crate::client::{Options, View};
use crate::newest::{Names, ReadingTable, ReadingTableView};
use crate::platform::clock::{self, MILLISECOND_NS, SECOND_NS};
use crate::schema::{Device, Event, Flag, Health, name_hash};
use crate::web::{LossCount, NatsState, NatsStatus, Sources, Status};

/// Events kept for the screen.
const EVENTS_MAX: usize = 256;

/// How long `--once` waits for the first values, and between two looks, since
/// rates need two.
const FIRST_NS: u64 = 3 * SECOND_NS;
const BETWEEN_NS: u64 = 1100 * MILLISECOND_NS;

#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    /// Watch the fleet over these NATS servers. Without it: this host's agent.
    #[arg(long, value_name = "URL", env = "EAGLE_EYE_NATS", hide_env_values = true)]
    nats: Option<String>,

    /// Only engines that serve this model.
    #[arg(long)]
    model: Option<String>,

    /// The local agent's socket. Without it: where it usually is.
    #[arg(long, value_name = "PATH", env = "EAGLE_EYE_SOCKET")]
    socket: Option<PathBuf>,

    /// Open on the accelerators.
    #[arg(long)]
    devices: bool,

    /// Open on what is judged.
    #[arg(long, conflicts_with = "devices")]
    verdicts: bool,

    /// Print one look and leave: 0 when an engine or this host was seen, 1
    /// when nothing was.
    #[arg(long)]
    once: bool,

    /// Print JSON: one object for `--once`, else one a second.
    #[arg(long)]
    json: bool,
}

pub(in crate::cli) fn main(arguments: &Arguments) -> u8 {
    let servers = arguments.nats.clone().unwrap_or_default();
    let options = Options {
        model: arguments.model.clone(),
        socket: arguments.socket.clone(),
        ..Options::over_nats(servers.split(','))
    };
    let over_nats = options.nats.is_some();
    let started = View::connect(options)
        .map_err(|error| error.to_string())
        .and_then(|view| Ok((view, signals::stop_on_signal().map_err(|e| e.to_string())?)));
    let (view, stop) = match started {
        Ok(started) => started,
        Err(sentence) => {
            eprintln!("eagle-eye: {sentence}");
            return TROUBLE;
        }
    };
    let mut watcher = Watcher::new(view, over_nats);
    if arguments.once {
        return watcher.once(arguments.json, &stop);
    }
    let shown = if arguments.json {
        while !stop.is_raised() {
            say(&json(&watcher.screen(clock::monotonic_ns())));
            stop.sleep_until(clock::monotonic_ns() + SECOND_NS);
        }
        Ok(())
    } else {
        let tab = match arguments {
            Arguments { devices: true, .. } => Tab::Devices,
            Arguments { verdicts: true, .. } => Tab::Verdicts,
            _ => Tab::Engines,
        };
        run_terminal(|now_ns| watcher.screen(now_ns), tab, &stop)
    };
    match shown {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("eagle-eye: the terminal cannot be used: {error}");
            TROUBLE
        }
    }
}

/// Turns a view into screens.
struct Watcher {
    view: View,
    over_nats: bool,
    names: Names,
    events: Arc<Mutex<VecDeque<Event>>>,
    told: crossbeam_channel::Receiver<crate::client::Told<Event>>,
    history: History,
    no_readings: ReadingTableView,
    begun_ns: u64,
}

impl Watcher {
    fn new(view: View, over_nats: bool) -> Self {
        Self {
            told: view.events(),
            view,
            over_nats,
            names: Names::new(""),
            events: Arc::default(),
            history: History::new(),
            no_readings: ReadingTable::heap(1).view(),
            begun_ns: clock::monotonic_ns(),
        }
    }

    fn once(&mut self, as_json: bool, stop: &crate::platform::thread::Stop) -> u8 {
        let deadline_ns = clock::monotonic_ns() + FIRST_NS;
        while !self.sees_something() && clock::monotonic_ns() < deadline_ns && !stop.is_raised() {
            stop.sleep_until(clock::monotonic_ns() + 20 * MILLISECOND_NS);
        }
        let _ = self.screen(clock::monotonic_ns());
        stop.sleep_until(clock::monotonic_ns() + BETWEEN_NS);
        let screen = self.screen(clock::monotonic_ns());
        say(&if as_json { json(&screen) } else { plain(&screen) });
        if self.sees_something() {
            0
        } else {
            let whom = if self.over_nats { "no engine over NATS" } else { "no agent on this host" };
            eprintln!(
                "eagle-eye: {whom} was heard within 3 s; is `eagle-eye run` running, and does it \
                 use the same socket or NATS servers?"
            );
            TROUBLE
        }
    }

    fn sees_something(&self) -> bool {
        self.view.steps().iter().next().is_some() || self.view.readings().is_some()
    }

    fn screen(&mut self, now_ns: u64) -> Screen {
        self.view.name_all(&self.names);
        self.take_judged();
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        for told in self.told.try_iter() {
            events.push_back(told.what);
            if events.len() > EVENTS_MAX {
                events.pop_front();
            }
        }
        drop(events);
        let status = self.status(now_ns);
        let events = Arc::clone(&self.events);
        let sources = Sources {
            steps: self.view.steps(),
            readings: match self.view.readings() {
                Some(readings) => (*readings).clone(),
                None => self.no_readings.clone(),
            },
            names: self.names.clone(),
            status: Box::new(move || status.clone()),
            events: Box::new(move || {
                events.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
            }),
            report: Box::new(|_| String::new()),
        };
        let mut screen = Screen::collect(&sources, now_ns, clock::wall_ns(), &mut self.history);
        if self.over_nats {
            screen.devices = self.devices_afar(now_ns);
        }
        screen
    }

    /// What the judges say, of every node that is watched.
    fn take_judged(&self) {
        let open = self.view.open_verdicts().into_iter().map(|told| told.what);
        let resolved = self.view.resolved_verdicts().into_iter().map(|told| told.what);
        self.names.judged().replace(open, resolved);
        let told = self.view.assessments();
        self.names.judged().assess(told.iter().map(|of| (*of.what).clone()).collect());
    }

    /// The accelerators of every node, with what is known of those under
    /// engines.
    fn devices_afar(&self, now_ns: u64) -> Vec<Accelerator> {
        let of = |(node, device): &(u64, Arc<Device>)| {
            let said = self.view.assessment(*node, "device", &device.name);
            let name = self.view.node(*node);
            let name = name.map_or_else(|| format!("{node:016x}"), |name| name.to_string());
            let health = said.map_or(Health::Unknown, |said| said.health);
            Some((*node, Accelerator::afar(&name, device, health)?))
        };
        let mut all: Vec<(u64, Accelerator)> = self.view.devices().iter().filter_map(of).collect();
        for told in self.view.assessments() {
            let (node, name) = (told.node, &told.what.subject);
            if told.what.subject_kind != "engine" {
                continue;
            }
            let Some(details) = self.view.details(name_hash(name)) else { continue };
            for load in details.devices() {
                let is_it = |(of, device): &&mut (u64, Accelerator)| {
                    *of == node && device.said.name == load.device
                };
                if let Some((_, device)) = all.iter_mut().find(is_it) {
                    device.take(name, load, now_ns);
                }
            }
        }
        let mut all: Vec<Accelerator> = all.into_iter().map(|(_, device)| device).collect();
        accelerator::sort(&mut all);
        all
    }

    fn status(&self, now_ns: u64) -> Status {
        let connected = self.view.is_connected();
        let node = match (self.over_nats, connected) {
            (true, _) => "fleet".to_owned(),
            (false, true) => host_name(),
            (false, false) => format!("{} (no agent)", host_name()),
        };
        let nats = self.over_nats.then(|| NatsStatus {
            url: String::new(),
            state: if connected { NatsState::Connected } else { NatsState::Connecting },
            sentence: String::new(),
        });
        let counts = self.view.counts();
        let lost = |reason: &str, count: u64| LossCount {
            place: "view".to_owned(),
            reason: reason.to_owned(),
            count,
        };
        let losses = [
            lost("gaps in steps", counts.steps_lost),
            lost("malformed", counts.batches_malformed + counts.steps_malformed),
            lost("dated ahead", counts.steps_future),
        ];
        Status {
            node,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            up_ms: now_ns.saturating_sub(self.begun_ns) / MILLISECOND_NS,
            ready: Ok(()),
            samplers: Vec::new(),
            nats,
            recorder: None,
            simulated: self.view.steps().iter().any(|n| n.step.has(Flag::Simulated)),
            losses: losses.into_iter().filter(|loss| loss.count > 0).collect(),
        }
    }
}

fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
