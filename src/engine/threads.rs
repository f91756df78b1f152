//! The agent's threads: started by stage, stopped from front to back.

use std::io;
use std::thread::JoinHandle;

use super::StartError;
use crate::config::Pinning;
use crate::platform::clock;
use crate::platform::thread::{self, Stop};

/// How long a leaving agent waits for one stage.
const STAGE_NS: u64 = 500 * clock::MILLISECOND_NS;

/// The stages, in the order in which they stop: what one still holds reaches
/// the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Samplers,
    Drain,
    Desk,
    Recorder,
}

/// Every thread that the engine started itself.
#[derive(Debug, Default)]
pub(super) struct Threads {
    stops: [Stop; 4],
    running: Vec<(Stage, JoinHandle<()>)>,
}

impl Threads {
    /// The flag that ends a stage.
    pub(super) fn stop_of(&self, stage: Stage) -> Stop {
        self.stops[stage as usize].clone()
    }

    /// Keeps a thread that was started elsewhere.
    pub(super) fn keep(&mut self, stage: Stage, thread: JoinHandle<()>) {
        self.running.push((stage, thread));
    }

    /// Starts a thread of this stage.
    pub(super) fn spawn(
        &mut self,
        stage: Stage,
        name: &'static str,
        cpu: Option<usize>,
        run: impl FnOnce(&Stop) + Send + 'static,
    ) -> Result<(), StartError> {
        let stop = self.stop_of(stage);
        let thread = thread::spawn(&format!("ee-{name}"), cpu, move || run(&stop));
        self.running.push((stage, thread.map_err(|error| StartError::system(name, error))?));
        Ok(())
    }

    /// Ends a stage and waits for its threads, but not for one that hangs in
    /// its source: the process's end takes that along.
    pub(super) fn end(&mut self, stage: Stage) {
        self.stops[stage as usize].raise();
        let (mut ending, rest): (Vec<_>, Vec<_>) =
            self.running.drain(..).partition(|(of, _)| *of == stage);
        self.running = rest;
        let deadline_ns = clock::monotonic_ns() + STAGE_NS;
        while clock::monotonic_ns() < deadline_ns && !ending.is_empty() {
            ending.iter().for_each(|(_, thread)| thread.thread().unpark());
            ending.retain(|(_, thread)| !thread.is_finished());
            clock::sleep_until(clock::monotonic_ns() + 2 * clock::MILLISECOND_NS);
        }
    }
}

impl StartError {
    pub(super) const fn system(what: &'static str, source: io::Error) -> Self {
        Self::System { what, source }
    }
}

/// Hands out the processors to pin to, in turn.
#[derive(Debug)]
pub(super) struct Cpus {
    cpus: Vec<usize>,
    next: usize,
}

impl Cpus {
    pub(super) fn new(pinning: &Pinning) -> Self {
        let cpus = match pinning {
            Pinning::Off => Vec::new(),
            Pinning::Cpus(cpus) => cpus.clone(),
        };
        Self { cpus, next: 0 }
    }

    /// The next processor, or none where threads are not pinned.
    pub(super) fn next(&mut self) -> Option<usize> {
        let cpu = *self.cpus.get(self.next % self.cpus.len().max(1))?;
        self.next += 1;
        Some(cpu)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_are_handed_out_in_turn_or_not_at_all() {
        let mut cpus = Cpus::new(&Pinning::Cpus(vec![2, 5]));
        assert_eq!([cpus.next(), cpus.next(), cpus.next()], [Some(2), Some(5), Some(2)]);
        assert_eq!(Cpus::new(&Pinning::Off).next(), None);
    }

    #[test]
    fn a_thread_that_hangs_does_not_keep_its_stage_from_ending() {
        let mut threads = Threads::default();
        threads
            .spawn(Stage::Samplers, "hangs", None, |_| {
                clock::sleep_until(clock::monotonic_ns() + 3 * clock::SECOND_NS);
            })
            .unwrap();
        threads
            .spawn(Stage::Drain, "ends", None, |stop| {
                stop.sleep_until(u64::MAX);
            })
            .unwrap();
        let begun_ns = clock::monotonic_ns();
        threads.end(Stage::Samplers);
        threads.end(Stage::Drain);
        assert!(threads.running.is_empty());
        assert!(clock::monotonic_ns() - begun_ns < 2 * clock::SECOND_NS);
    }
}
