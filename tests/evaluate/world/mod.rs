//! A node that is played: its cards, engines and host pass time together and
//! are sampled as the agent samples them, with jitter and what goes missing.

mod card;
mod host;
pub(crate) mod models;
mod serving;

use eagle_eye::schema::{DeviceState, EventKind, Reading, Severity, Trust};

use crate::dice::Dice;
use crate::lines::{ascend_fault, event, kernel_line, severity_of, source_of, stamped};
use crate::trace::{Expected, Fact, Moment, Never, SECOND, Taker, Tolerated, Truth};

pub(crate) use card::Card;
pub(crate) use host::{CONTAINER, Host};
pub(crate) use serving::Serving;

use crate::classes::Class;
use models::MODELS;

/// How a node is put together.
pub(crate) struct Build {
    /// Which models may be in it.
    pub(crate) models: &'static [usize],
    /// How many cards.
    pub(crate) cards: usize,
    /// Whether an engine serves on them.
    pub(crate) engine: bool,
    /// Whether the host itself is sampled.
    pub(crate) host: bool,
    /// Seconds between two samples; 0 lets the dice choose.
    pub(crate) period_s: u64,
}

/// A node that is played.
pub(crate) struct World<'t, 'f> {
    pub(crate) dice: Dice,
    pub(crate) cards: Vec<Card>,
    pub(crate) engine: Option<Serving>,
    pub(crate) host: Option<Host>,
    /// What is right; families fill it in.
    pub(crate) truth: Truth,
    /// Samplers that are off now: no readings of cards, of the host.
    pub(crate) cards_sampled: bool,
    period_ns: u64,
    now: Moment,
    /// When the next sample is due.
    next_ns: u64,
    last_slow_ns: Option<u64>,
    served_ns: u64,
    serial: u64,
    take: &'t mut Taker<'f>,
}

/// What is read seldom is read this often.
const SLOW_NS: u64 = 20 * SECOND;

impl<'t, 'f> World<'t, 'f> {
    pub(crate) fn new(seed: u64, build: &Build, take: &'t mut Taker<'f>) -> Self {
        let mut dice = Dice::new(seed);
        let model = &MODELS[dice.pick(build.models)];
        let mut cards: Vec<_> =
            (0..build.cards).map(|index| Card::new(model, index, &mut dice)).collect();
        let (driver, firmware) = (dice.pick(model.drivers), dice.pick(model.firmware));
        for card in &mut cards {
            driver.clone_into(&mut card.driver);
            firmware.clone_into(&mut card.firmware);
            card.load = dice.between(0.4, 0.8);
        }
        let period_s =
            if build.period_s == 0 { dice.pick(&[1, 2, 5, 10, 10]) } else { build.period_s };
        let host = build.host.then(|| Host::new(&mut dice));
        let process = cards.first().map_or(4000, |card| card.processes[0]);
        let mut engine = build.engine.then(|| Serving::new("vllm-0:8000", process, &mut dice));
        if let Some(engine) = engine.as_mut().filter(|_| build.host) {
            engine.engine.container = format!("{CONTAINER}-full-id");
        }
        let mut world = Self {
            dice,
            cards,
            engine,
            host,
            truth: Truth::default(),
            cards_sampled: true,
            period_ns: period_s * SECOND,
            now: Moment::default(),
            next_ns: period_s * SECOND,
            last_slow_ns: None,
            served_ns: 0,
            serial: 0,
            take,
        };
        world.declare();
        world
    }

    /// Tells the inventory.
    pub(crate) fn declare(&mut self) {
        for device in self.host.iter().flat_map(Host::devices).collect::<Vec<_>>() {
            self.tell(Fact::Device(Box::new(device)));
        }
        for at in 0..self.cards.len() {
            self.declare_card(at);
        }
        if let Some(engine) = &self.engine {
            let engine = Box::new(engine.engine.clone());
            self.tell(Fact::Engine(engine));
        }
    }

    /// Tells what one card is now.
    pub(crate) fn declare_card(&mut self, at: usize) {
        let device = Box::new(self.cards[at].device());
        self.tell(Fact::Device(device));
    }

    /// Now, in nanoseconds since the beginning.
    pub(crate) const fn now_ns(&self) -> u64 {
        self.now.since_ns
    }

    /// Lets so many seconds pass, sampling all the while.
    pub(crate) fn run(&mut self, seconds: u64) {
        self.run_with(seconds, |_, _| {});
    }

    /// The same, changing something before each sample; the share of the time
    /// that has passed goes with it.
    pub(crate) fn run_with(&mut self, seconds: u64, mut change: impl FnMut(&mut Self, f64)) {
        let (begin_ns, end_ns) = (self.now.since_ns, self.now.since_ns + seconds * SECOND);
        while self.next_ns <= end_ns {
            let since_ns = self.next_ns.max(begin_ns) - begin_ns;
            change(self, since_ns as f64 / (end_ns - begin_ns).max(1) as f64);
            self.sample();
        }
        self.serve(end_ns);
        self.now.since_ns = self.now.since_ns.max(end_ns);
    }

    fn sample(&mut self) {
        let seconds = self.period_ns as f64 / SECOND as f64;
        let jitter_ns = (self.dice.share() * 0.01 * SECOND as f64) as u64;
        let due_ns = self.next_ns.max(self.now.since_ns);
        self.serve(due_ns);
        self.now.since_ns = due_ns + jitter_ns;
        self.next_ns = due_ns + self.period_ns;
        let slow = self.last_slow_ns.is_none_or(|last| due_ns >= last + SLOW_NS);
        if slow {
            self.last_slow_ns = Some(due_ns);
        }
        for at in 0..self.cards.len() {
            self.cards[at].pass(seconds, &mut self.dice);
            if !self.cards_sampled || !self.cards[at].answers() {
                continue;
            }
            let mut readings = self.cards[at].quick(&mut self.dice);
            if slow {
                readings.extend(self.cards[at].slow());
            }
            let (device, dropout) = (self.cards[at].index, self.cards[at].dropout);
            for (metric, value) in readings {
                if dropout == 0.0 || !self.dice.chance(dropout) {
                    self.tell(Fact::Reading(Reading::new(device, metric, 0, value)));
                }
            }
        }
        if let Some(host) = &mut self.host {
            host.pass(seconds, &mut self.dice);
            if slow || self.period_ns >= 5 * SECOND {
                let readings = host.readings(&mut self.dice);
                for (device, metric, value) in readings {
                    self.tell(Fact::Reading(Reading::new(device, metric, 0, value)));
                }
            }
        }
        self.say_details(slow);
    }

    /// Lets the engine take its steps up to then; it tells of one a second.
    fn serve(&mut self, until_ns: u64) {
        let slowest = self.cards.iter().map(|card| card.clock).fold(1.0, f64::min);
        let Some(engine) = &mut self.engine else { return };
        engine.speed = slowest;
        while self.served_ns + SECOND <= until_ns {
            self.served_ns += SECOND;
            self.now.since_ns = self.now.since_ns.max(self.served_ns);
            if let Some(step) = engine.pass(1.0, self.now, &mut self.dice) {
                // Its own clocks are right already.
                (self.take)(self.now, &Fact::Step(Box::new(step)));
            }
        }
    }

    fn say_details(&mut self, slow: bool) {
        let Some(engine) = self.engine.as_ref().filter(|engine| slow && engine.alive) else {
            return;
        };
        let details = Box::new(engine.details());
        (self.take)(self.now, &Fact::Details(details));
    }

    /// Hands a fact over as of now.
    pub(crate) fn tell(&mut self, fact: Fact) {
        self.serial += 1;
        let fact = stamped(fact, self.now, self.serial);
        (self.take)(self.now, &fact);
    }

    /// A moment passes between two facts.
    pub(crate) const fn wait_ms(&mut self, milliseconds: u64) {
        self.now.since_ns += milliseconds * SECOND / 1000;
    }

    /// The kernel logs a line.
    pub(crate) fn kernel(&mut self, text: &str) {
        self.kernel_as(4, text);
    }

    /// The same under this priority.
    pub(crate) fn kernel_as(&mut self, prio: u16, text: &str) {
        self.tell(kernel_line(prio, Trust::Attested, text));
    }

    /// A line of the NVIDIA driver about an Xid of this card.
    pub(crate) fn xid(&mut self, at: usize, code: u64, rest: &str) {
        let pci = self.cards[at].pci.trim_end_matches(".0").to_owned();
        let rest = if rest.is_empty() { String::new() } else { format!(", {rest}") };
        self.kernel(&format!("NVRM: Xid (PCI:{pci}): {code}{rest}"));
    }

    /// The same as an event of NVML.
    pub(crate) fn nvml_xid(&mut self, at: usize, code: u64) {
        let name = self.cards[at].name.clone();
        self.tell(event(EventKind::Xid, Severity::Error, "nvml", &name, "", code));
    }

    /// An event of this kind.
    pub(crate) fn event(&mut self, kind: EventKind, subject: &str, text: &str) {
        self.tell(event(kind, severity_of(kind), source_of(kind), subject, text, 0));
    }

    /// An Ascend driver reports a fault.
    pub(crate) fn fault(&mut self, at: usize, phase: eagle_eye::schema::FaultPhase, code: u64) {
        let name = self.cards[at].name.clone();
        self.tell(ascend_fault(&name, phase, code, 2));
    }

    /// A card's state becomes another, as inventory and event say it.
    pub(crate) fn state(&mut self, at: usize, state: DeviceState, silent_call: &str) {
        self.cards[at].state = state;
        silent_call.clone_into(&mut self.cards[at].silent_call);
        self.declare_card(at);
        let name = self.cards[at].name.clone();
        let kind = match state {
            DeviceState::Gone => EventKind::DeviceGone,
            DeviceState::Resetting => EventKind::DeviceResetting,
            DeviceState::Upgrading => EventKind::DeviceUpgrading,
            DeviceState::Present => EventKind::DeviceReturned,
            _ => return,
        };
        self.event(kind, &name, &format!("{name} is {}", state.name()));
    }

    /// The wall clock is stepped.
    pub(crate) const fn step_clock(&mut self, seconds: i64) {
        self.now.wall_step_ns += seconds * SECOND as i64;
    }

    /// Something must be said from now on, within so many seconds.
    pub(crate) fn expect(&mut self, class: &str, subject: &str, within_s: u64) -> &mut Expected {
        let expected = Expected::new(class, subject, self.now.since_ns, within_s);
        self.truth.expected.push(expected);
        self.truth.expected.last_mut().expect("one was just added")
    }

    /// Something may be said, up to this severity.
    pub(crate) fn may(&mut self, class: &str, severity_max: Severity) {
        let class = (class != "*").then(|| Class::named(class));
        self.truth.tolerated.push(Tolerated { class, severity_max });
    }

    /// Nothing from this severity on may be said.
    pub(crate) fn never(&mut self, severity_min: Severity) {
        self.truth.never.push(Never { class: None, subject: None, severity_min });
    }

    /// A name of a card.
    pub(crate) fn name(&self, at: usize) -> String {
        self.cards[at].name.clone()
    }
}
