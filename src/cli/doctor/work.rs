//! Looks that go on beside each other, each on a thread of its own, since a
//! file, a server or a socket may never answer.

use crossbeam_channel::bounded;

use super::report::Section;
use crate::engine::samplers::Need;
use crate::platform::{clock, thread};

/// How long all looks together may take.
const DEADLINE_NS: u64 = 7 * clock::SECOND_NS;

/// What came of a look.
#[derive(Debug, Default)]
pub(super) struct Looked {
    pub(super) sections: Vec<Section>,
    pub(super) papers: Vec<Paper>,
}

/// Something for the support file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Paper {
    pub(super) name: String,
    pub(super) text: String,
}

/// A look: what it is called, under which heading, and the looking.
pub(super) struct Task {
    pub(super) name: String,
    pub(super) heading: &'static str,
    pub(super) look: Box<dyn FnOnce() -> Looked + Send>,
}

impl Task {
    pub(super) fn new(
        name: &str,
        heading: &'static str,
        look: impl FnOnce() -> Looked + Send + 'static,
    ) -> Self {
        Self { name: name.to_owned(), heading, look: Box::new(look) }
    }
}

impl From<Vec<Section>> for Looked {
    fn from(sections: Vec<Section>) -> Self {
        Self { sections, papers: Vec::new() }
    }
}

/// Does all of it; what has not answered by the deadline is trouble. Results
/// stand in the order of the tasks. `tell` hears what is waited for.
pub(super) fn all(tasks: Vec<Task>, mut tell: impl FnMut(&str)) -> Looked {
    within(tasks, DEADLINE_NS, &mut tell)
}

fn within(tasks: Vec<Task>, limit_ns: u64, tell: &mut dyn FnMut(&str)) -> Looked {
    let deadline_ns = clock::monotonic_ns() + limit_ns;
    let (done_in, done) = bounded(tasks.len().max(1));
    let mut waiting: Vec<(usize, String, &'static str)> = Vec::new();
    let mut results: Vec<Option<Looked>> = Vec::new();
    for (at, task) in tasks.into_iter().enumerate() {
        let done_in = done_in.clone();
        let look = task.look;
        let started = thread::spawn(&format!("ee-{}", task.name), None, move || {
            let _ = done_in.send((at, look()));
        });
        results.push(None);
        match started {
            Ok(_) => waiting.push((at, task.name, task.heading)),
            Err(error) => results[at] = Some(unanswered(&task.name, task.heading, &error)),
        }
    }
    // A look that ends without a word, as by a panic, is not waited for.
    drop(done_in);
    while !waiting.is_empty() {
        let names: Vec<&str> = waiting.iter().map(|(_, name, _)| &**name).collect();
        tell(&format!("looking at {}", names.join(", ")));
        let left_ns = deadline_ns.saturating_sub(clock::monotonic_ns());
        let Ok((at, looked)) = done.recv_timeout(std::time::Duration::from_nanos(left_ns)) else {
            break;
        };
        results[at] = Some(looked);
        waiting.retain(|(of, ..)| *of != at);
    }
    for (at, name, heading) in waiting {
        results[at] = Some(unanswered(&name, heading, &"it gave no answer in time"));
    }
    let mut whole = Looked::default();
    for looked in results.into_iter().flatten() {
        whole.sections.extend(looked.sections);
        whole.papers.extend(looked.papers);
    }
    whole
}

fn unanswered(name: &str, heading: &'static str, why: &dyn std::fmt::Display) -> Looked {
    let remedy = "something that it reads hangs, or this machine is overloaded: see the kernel's \
                  log, and processes in state D";
    let need = Need::trouble(name, why.to_string(), remedy);
    vec![Section { name: name.to_owned(), heading, folds: false, needs: vec![need] }].into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::samplers::NeedState;

    #[test]
    fn a_look_that_hangs_or_panics_is_trouble_and_the_others_are_told_in_order() {
        let fine = |name: &'static str| {
            let section = Section::new(name, "H", vec![Need::fine(name, "is")]);
            Task::new(name, "H", move || vec![section].into())
        };
        let hangs = Task::new("hangs", "H", || {
            clock::sleep_until(u64::MAX / 4);
            Looked::default()
        });
        let panics = Task::new("panics", "H", || std::panic::resume_unwind(Box::new(())));
        let mut told = Vec::new();
        let tasks = vec![fine("a"), hangs, panics, fine("z")];
        let looked =
            within(tasks, clock::SECOND_NS / 2, &mut |text: &str| told.push(text.to_owned()));
        let said: Vec<_> =
            looked.sections.iter().map(|section| (&*section.name, section.worst())).collect();
        assert_eq!(
            said,
            [
                ("a", NeedState::Fine),
                ("hangs", NeedState::Trouble),
                ("panics", NeedState::Trouble),
                ("z", NeedState::Fine),
            ]
        );
        assert!(told[0].contains("hangs"), "{told:?}");
    }
}
