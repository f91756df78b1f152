//! The engine's connection to whichever agent there is.

use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use crate::platform::clock::{self, MILLISECOND_NS, SECOND_NS};
use crate::platform::socket::{Connection, Received};
use crate::platform::thread::{self, Stop};
use crate::schema::{Flag, Greeting, GreetingKind};

use super::TTL_MS_DEFAULT;
use super::bell::{BellPlace, RemoteBell};
use super::memory::DoorMemory;

/// How long an agent may take to answer a greeting.
const WELCOME_NS_MAX: u64 = 5 * SECOND_NS;

/// The longest pause between two tries to find an agent.
const PAUSE_NS_MAX: u64 = SECOND_NS;

/// The pause after a refusal, which seldom changes by itself.
const REFUSED_PAUSE_NS: u64 = 10 * SECOND_NS;

/// How often a line on its own thread is maintained.
const MAINTAIN_NS: u64 = 50 * MILLISECOND_NS;

const MESSAGE_BYTES_MAX: usize = 1024;

/// Finds the agent, hands it the engine's memory, and beats the heart.
/// Dropping it hangs up.
#[derive(Debug)]
pub struct Line {
    path: PathBuf,
    memory: Arc<DoorMemory>,
    place: Arc<BellPlace>,
    connection: Option<Connection>,
    state: LineState,
    /// When a pause or a wait for a welcome ends.
    until_ns: u64,
    failures: u32,
    beat_ns: u64,
    flags: u32,
    ttl_ms: u32,
}

/// How a line stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LineState {
    /// No agent answers.
    Alone,
    /// An agent was greeted and has not answered.
    Greeted,
    /// An agent reads this engine's steps.
    Welcome,
    /// The agent said why it does not read them.
    Refused(String),
}

impl Line {
    pub(super) fn new(path: &Path, memory: Arc<DoorMemory>, place: Arc<BellPlace>) -> Self {
        Self {
            path: path.to_owned(),
            memory,
            place,
            connection: None,
            state: LineState::Alone,
            until_ns: 0,
            failures: 0,
            beat_ns: 0,
            flags: 0,
            ttl_ms: TTL_MS_DEFAULT,
        }
    }

    /// How it stands.
    #[must_use]
    pub const fn state(&self) -> &LineState {
        &self.state
    }

    /// The standing [`Flag`] bits of heartbeats, such as [`Flag::Draining`].
    pub const fn set_flags(&mut self, flags: u32) {
        self.flags = flags;
    }

    /// How often a sign of life was promised, ms, where steps say another
    /// time-to-live than the default. Two heartbeats are written in it.
    pub const fn set_ttl_ms(&mut self, ttl_ms: u32) {
        self.ttl_ms = ttl_ms;
    }

    /// Does what is due at `now_ns`: calls, greets, takes the answer, notices
    /// a hang-up, beats. Never waits; call it some ten times a second. One
    /// thread can maintain the lines of many engines.
    pub fn maintain(&mut self, now_ns: u64) -> &LineState {
        if now_ns >= self.beat_ns {
            // Two in a time-to-live and some slack: one late wake-up is no
            // silence.
            self.beat_ns = now_ns + u64::from(self.ttl_ms) * MILLISECOND_NS * 2 / 5;
            self.memory.beat(self.flags | Flag::Heartbeat.bit());
        }
        if self.connection.is_some() {
            self.listen(now_ns);
        } else if now_ns >= self.until_ns {
            self.call(now_ns);
        }
        &self.state
    }

    /// Maintains itself on a thread until `stop` is raised.
    ///
    /// # Errors
    ///
    /// When the system refuses another thread.
    pub fn keep(mut self, stop: Stop) -> io::Result<JoinHandle<()>> {
        thread::spawn("ee-line", None, move || {
            while !stop.is_raised() {
                let now_ns = clock::monotonic_ns();
                self.maintain(now_ns);
                clock::sleep_until(now_ns + MAINTAIN_NS);
            }
        })
    }

    fn call(&mut self, now_ns: u64) {
        let greeted = Connection::connect(&self.path).and_then(|connection| {
            let greeting = [Greeting::new(GreetingKind::Engine)];
            connection.send(bytemuck::cast_slice(&greeting), &[self.memory.as_fd()])?;
            Ok(connection)
        });
        match greeted {
            Ok(connection) => {
                self.connection = Some(connection);
                self.state = LineState::Greeted;
                self.until_ns = now_ns + WELCOME_NS_MAX;
            }
            Err(_) => self.hang_up(now_ns, LineState::Alone),
        }
    }

    fn listen(&mut self, now_ns: u64) {
        let Some(connection) = &self.connection else { return };
        let mut buffer = [0; MESSAGE_BYTES_MAX];
        let received = connection.receive(&mut buffer);
        match received {
            Ok(Received::Nothing) => {
                if self.state == LineState::Greeted && now_ns >= self.until_ns {
                    self.hang_up(now_ns, LineState::Alone);
                }
            }
            Ok(Received::Message(length, descriptors)) => {
                let message = &buffer[..length];
                match Greeting::read(message) {
                    Some(GreetingKind::WelcomeEngine) => {
                        // Without a bell the agent finds us by its slow poll.
                        self.place.put(RemoteBell::open(descriptors).ok());
                        self.state = LineState::Welcome;
                        self.failures = 0;
                    }
                    Some(GreetingKind::Refused) => {
                        let why = String::from_utf8_lossy(&message[Greeting::BYTES..]);
                        self.hang_up(now_ns, LineState::Refused(why.into_owned()));
                    }
                    // What a later agent may say to an engine of its day.
                    _ => {}
                }
            }
            Ok(Received::Oversized) => {}
            Ok(Received::HungUp) | Err(_) => self.hang_up(now_ns, LineState::Alone),
        }
    }

    fn hang_up(&mut self, now_ns: u64, state: LineState) {
        self.connection = None;
        self.place.put(None);
        let longest = (50 * MILLISECOND_NS) << self.failures.min(10);
        self.failures = self.failures.saturating_add(1);
        // Engines of one host do not all call at once: the low bits of the
        // clock are chance enough.
        let half = longest.min(PAUSE_NS_MAX) / 2;
        let pause_ns = match state {
            LineState::Refused(_) => REFUSED_PAUSE_NS,
            _ => half + now_ns % half,
        };
        self.until_ns = now_ns + pause_ns;
        self.state = state;
    }
}
