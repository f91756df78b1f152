//! A view of this host by its agent: shared memory for numbers, the socket for
//! names, events and verdicts.

use std::collections::HashSet;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytemuck::Zeroable;
use thiserror::Error;

use super::View;
use super::brief::Numbered;
use super::changes::What;
use super::connect::{ConnectError, Options, Running};
use super::core::ViewCore;
use super::shared::Shared;
use super::state::{RankId, freshness_of};
use crate::newest::{Disturbed, Life, ReadingTableView, StepTableView, TableError};
use crate::platform::clock::{MILLISECOND_NS, SECOND_NS, monotonic_ns};
use crate::platform::place::run_folders;
use crate::platform::poll::{Bell, readable, wait_readable};
use crate::platform::socket::{Connection, Received};
use crate::platform::thread::Stop;
use crate::schema::{BATCH_BYTES_MAX, Freshness, Greeting, GreetingKind, StepCore};

/// How long an agent may take to answer a greeting.
const WELCOME_NS: u64 = 2 * SECOND_NS;
/// The first and the longest pause between two tries.
const PAUSE_NS: (u64, u64) = (50 * MILLISECOND_NS, 2 * SECOND_NS);
/// How often somebody who wants to hear of changes does.
const LOOK_NS: u64 = 10 * MILLISECOND_NS;
/// How often the thread wakes otherwise.
const IDLE_NS: u64 = 250 * MILLISECOND_NS;

/// Why the local agent's memory is not here.
#[derive(Debug, Error)]
enum LocalError {
    #[error("connecting to the local agent at {0} failed: {1}")]
    Connect(PathBuf, io::Error),
    #[error("greeting the local agent failed: {0}")]
    Greet(io::Error),
    #[error("the local agent did not answer within two seconds")]
    Silent,
    #[error("the local agent hung up")]
    HungUp,
    #[error("the local agent refused: {0}")]
    Refused(String),
    #[error("the local agent's answer is not one that this version reads")]
    Answer,
    #[error("mapping the local agent's memory failed: {0}")]
    Map(#[from] TableError),
}

/// Starts the thread that keeps a view of the local agent.
pub(super) fn start(options: Options) -> Result<View, ConnectError> {
    let core = ViewCore::for_news(options.settings);
    let view = View::of(&core);
    let paths = options.socket.map_or_else(usual_paths, |path| vec![path]);
    let bell = Arc::new(Bell::new()?);
    let mut agent = Agent { core, paths, watch: Watch::default(), message: Vec::new() };
    agent.message.resize(BATCH_BYTES_MAX, 0);
    let running = Running::start("ee-view-local", bell, move |stop, bell| agent.run(stop, bell))?;
    Ok(view.running(running))
}

/// Where the agent's socket may be, the likeliest first.
fn usual_paths() -> Vec<PathBuf> {
    if let Some(path) = std::env::var_os("EAGLE_EYE_SOCKET") {
        return vec![path.into()];
    }
    run_folders().into_iter().map(|folder| folder.join("agent.sock")).collect()
}

struct Agent {
    core: ViewCore,
    paths: Vec<PathBuf>,
    watch: Watch,
    message: Vec<u8>,
}

impl Agent {
    fn run(&mut self, stop: &Stop, bell: &Bell) {
        let (mut pause_ns, mut told) = (PAUSE_NS.0, false);
        while !stop.is_raised() {
            match self.meet(stop, bell) {
                Ok(connection) => {
                    (pause_ns, told) = (PAUSE_NS.0, false);
                    self.core.connected(monotonic_ns());
                    self.core.set_complete();
                    self.core.begin_verdicts();
                    self.listen(&connection, stop, bell);
                    self.core.disconnected();
                }
                // One line a change of state: the next try that fails says
                // nothing that the first did not.
                Err(error) if !told => {
                    tracing::warn!("{error}; trying again until it is there");
                    told = true;
                }
                Err(_) => {}
            }
            self.rest(pause_ns, stop, bell);
            pause_ns = (2 * pause_ns).min(PAUSE_NS.1);
        }
    }

    /// Waits, but goes on telling who becomes stale.
    fn rest(&mut self, pause_ns: u64, stop: &Stop, bell: &Bell) {
        let until_ns = monotonic_ns() + pause_ns;
        while !stop.is_raised() && monotonic_ns() < until_ns {
            let left_ns = until_ns.saturating_sub(monotonic_ns());
            let _ = wait_readable(&mut [readable(bell.as_fd())], left_ns.min(IDLE_NS), |_| {});
            self.watch.look(self.core.shared(), monotonic_ns());
        }
    }

    /// Connects, greets, and maps what the agent hands over.
    fn meet(&mut self, stop: &Stop, bell: &Bell) -> Result<Connection, LocalError> {
        let connection = connect(&self.paths)?;
        let greeting = Greeting::new(GreetingKind::View);
        connection.send(bytemuck::bytes_of(&greeting), &[]).map_err(LocalError::Greet)?;
        let deadline_ns = monotonic_ns() + WELCOME_NS;
        loop {
            match connection.receive(&mut self.message).map_err(LocalError::Greet)? {
                Received::Message(length, passed) => {
                    self.welcome(length, &passed)?;
                    return Ok(connection);
                }
                Received::HungUp => return Err(LocalError::HungUp),
                Received::Oversized => return Err(LocalError::Answer),
                Received::Nothing => {}
            }
            let left_ns = deadline_ns.saturating_sub(monotonic_ns());
            if left_ns == 0 || stop.is_raised() {
                return Err(LocalError::Silent);
            }
            let mut either = [readable(connection.as_fd()), readable(bell.as_fd())];
            wait_readable(&mut either, left_ns, |_| {}).map_err(LocalError::Greet)?;
        }
    }

    fn welcome(&self, length: usize, passed: &[OwnedFd]) -> Result<(), LocalError> {
        let message = &self.message[..length];
        match (Greeting::read(message), passed) {
            (Some(GreetingKind::WelcomeView), [steps, readings, ..]) => {
                let steps = StepTableView::map(steps.as_fd())?;
                let readings = ReadingTableView::map(readings.as_fd())?;
                let shared = self.core.shared();
                shared.table.store(Arc::new(Numbered::new(steps)));
                shared.readings.store(Some(Arc::new(readings)));
                Ok(())
            }
            (Some(GreetingKind::Refused), _) => {
                let why = String::from_utf8_lossy(&message[Greeting::BYTES..]);
                Err(LocalError::Refused(why.chars().take(300).collect()))
            }
            _ => Err(LocalError::Answer),
        }
    }

    /// Takes what comes until the agent hangs up.
    fn listen(&mut self, connection: &Connection, stop: &Stop, bell: &Bell) {
        while !stop.is_raised() {
            loop {
                match connection.receive(&mut self.message) {
                    // What is refused is counted.
                    Ok(Received::Message(length, _)) => {
                        let _ = self.core.feed_news(&self.message[..length]);
                    }
                    Ok(Received::Oversized) => self.core.count_oversized(),
                    Ok(Received::Nothing) => break,
                    Ok(Received::HungUp) | Err(_) => return,
                }
                if stop.is_raised() {
                    return;
                }
            }
            self.watch.look(self.core.shared(), monotonic_ns());
            self.core.forget_unused_names();
            let wanted = self.core.shared().changes.is_wanted();
            let limit_ns = if wanted { LOOK_NS } else { IDLE_NS };
            let mut either = [readable(connection.as_fd()), readable(bell.as_fd())];
            if wait_readable(&mut either, limit_ns, |_| {}).is_err() {
                return;
            }
        }
    }
}

fn connect(paths: &[PathBuf]) -> Result<Connection, LocalError> {
    let mut first = None;
    for path in paths {
        match Connection::connect(path) {
            Ok(connection) => return Ok(connection),
            Err(error) => {
                first.get_or_insert_with(|| LocalError::Connect(path.clone(), error));
            }
        }
    }
    let nowhere = || LocalError::Connect(Path::new("").into(), io::ErrorKind::NotFound.into());
    Err(first.unwrap_or_else(nowhere))
}

/// Tells what changed in memory that others write.
#[derive(Debug, Default)]
struct Watch {
    cells: Vec<Seen>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    finished: u64,
    rank: Option<RankId>,
    incarnation: u64,
    freshness: Option<Freshness>,
}

impl Watch {
    fn look(&mut self, shared: &Shared, now_ns: u64) {
        if !shared.changes.is_wanted() {
            self.cells.clear();
            return;
        }
        let table = shared.table.load();
        self.cells.resize(table.len(), Seen::default());
        let dropped = &shared.counters.changes_dropped;
        let (mut step, mut life) = (StepCore::zeroed(), Life::default());
        for (cell, seen) in self.cells.iter_mut().enumerate() {
            let finished = table.finished(cell);
            match table.look(cell, &mut step, &mut life) {
                Ok(true) => {}
                Ok(false) => {
                    if let Some(rank) = seen.rank.take() {
                        shared.changes.tell(rank, What::FORGOTTEN, dropped);
                    }
                    continue;
                }
                Err(Disturbed) => continue,
            }
            let rank = RankId { instance: step.instance, rank: step.rank };
            let silence_ns = now_ns.saturating_sub(life.alive_ns);
            let freshness = freshness_of(&step, silence_ns, &shared.patience);
            let mut what = What::default();
            if seen.rank != Some(rank) {
                what = what | What::APPEARED;
            } else if seen.incarnation != step.incarnation {
                what = what | What::RESTARTED;
            } else if seen.finished != finished {
                what = what | What::UPDATED;
            }
            if seen.freshness.is_some_and(|before| before != freshness) {
                what = what | What::FRESHNESS;
            }
            let incarnation = step.incarnation;
            *seen = Seen { finished, rank: Some(rank), incarnation, freshness: Some(freshness) };
            if what != What::default() {
                shared.changes.tell(rank, what, dropped);
            }
        }
    }
}

impl ViewCore {
    /// Forgets names that no rank of the table has, once there are many.
    fn forget_unused_names(&mut self) {
        let shared = Arc::clone(self.shared());
        if shared.board.names.load().engines.len() * 2 <= shared.ranks_max {
            return;
        }
        let table = shared.table.load();
        let known: HashSet<u64> = table.iter().map(|newest| newest.step.instance).collect();
        self.forget_engines(|instance| known.contains(&instance));
    }
}

#[cfg(all(test, not(miri)))]
mod tests;
