//! Sees whether every sampler ticks, on which devices engines work, and tells
//! when names or details changed.

use std::sync::Arc;
use std::time::Duration;

use super::hardware::Hardware;
use crate::newest::Names;
use crate::platform::clock;
use crate::platform::doorbell::Doorbell;
use crate::platform::thread::Stop;
use crate::samplers::{EventOutlet, Progress};
use crate::schema::{Event, EventKind, Severity};

/// How often it looks: a stall is told within this after two periods.
const LOOK: Duration = Duration::from_millis(250);

/// Changes of names within this are told as one.
const TOGETHER_NS: u64 = 20 * clock::MILLISECOND_NS;

/// How often changed details are told.
const DETAILS_NS: u64 = clock::SECOND_NS;

/// A sampler that is watched.
#[derive(Debug, Clone)]
pub(super) struct Watched {
    pub(super) name: &'static str,
    pub(super) progress: Arc<Progress>,
}

/// What to do when the names of engines or devices changed.
pub(super) type NamesChanged = Box<dyn FnMut() + Send>;

/// What to do when what engines say beside their steps changed.
pub(super) type DetailsChanged = Box<dyn FnMut() + Send>;

/// What to do about changes.
pub(super) struct OnChange {
    pub(super) names: NamesChanged,
    pub(super) details: DetailsChanged,
}

pub(super) fn run(
    samplers: &[Watched],
    names: &Names,
    events: &EventOutlet,
    mut on_change: OnChange,
    mut hardware: Hardware,
    stop: &Stop,
) {
    let mut stalled = vec![false; samplers.len()];
    let (mut version, mut details_version, mut details_due_ns) = (0, 0, 0);
    let bell = Doorbell::for_this_thread();
    names.ring_on_change(bell.ringer());
    while !stop.is_raised() {
        let now_ns = clock::monotonic_ns();
        for (sampler, was) in samplers.iter().zip(&mut stalled) {
            let is = sampler.progress.stalled(now_ns);
            if is != *was {
                *was = is;
                events.state(event(sampler, is, now_ns));
            }
        }
        if names.version() != version {
            version = names.version();
            (on_change.names)();
            stop.sleep_until(now_ns + TOGETHER_NS);
        }
        hardware.look(now_ns);
        let details = names.details().version();
        if details != details_version && now_ns >= details_due_ns {
            (details_version, details_due_ns) = (details, now_ns + DETAILS_NS);
            (on_change.details)();
        }
        bell.sleep(Some(LOOK), || names.version() != version || stop.is_raised());
    }
}

fn event(sampler: &Watched, stalled: bool, now_ns: u64) -> Event {
    let (kind, severity, text) = if stalled {
        let silent_ms = sampler.progress.silent_ns(now_ns) / clock::MILLISECOND_NS;
        let period_ms = sampler.progress.period_ns() / clock::MILLISECOND_NS;
        let text = format!(
            "sampler {} has not finished a tick for {silent_ms} ms (period {period_ms} ms); its \
             values grow old while everything else goes on",
            sampler.name
        );
        (EventKind::SamplerStalled, Severity::Error, text)
    } else {
        let text = format!("sampler {} ticks again", sampler.name);
        (EventKind::SamplerRecovered, Severity::Info, text)
    };
    Event {
        id: 0,
        kind,
        severity,
        wall_ns: clock::wall_ns(),
        monotonic_ns: now_ns,
        source: "overseer".to_owned(),
        subject: sampler.name.to_owned(),
        text,
        ..Event::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::newest::{ReadingTable, StepTable};
    use crate::platform::clock::{MILLISECOND_NS, SECOND_NS};
    use crate::platform::doorbell::Doorbell;
    use crate::platform::thread;
    use crate::ring::ring;
    use crate::samplers::{Fact, Outlet, OutletParts, Sampler, start};
    use crossbeam_channel::{Receiver, bounded};

    /// A source that does not answer from its third tick on, until released.
    struct Hanging {
        ticks: u64,
        release: Receiver<()>,
    }

    /// A source that always answers.
    struct Answering;

    impl Sampler for Hanging {
        fn tick(&mut self, _: u64, _: &mut Outlet) {
            self.ticks += 1;
            if self.ticks == 3 {
                let _ = self.release.recv();
            }
        }
    }

    impl Sampler for Answering {
        fn tick(&mut self, _: u64, _: &mut Outlet) {}
    }

    /// Long enough that a busy machine keeps the pace.
    const PERIOD_NS: u64 = 500 * MILLISECOND_NS;

    fn sample(name: &'static str, sampler: Box<dyn Sampler>, stop: &Stop) -> Watched {
        let parts = OutletParts {
            steps: ring(2).0,
            readings: ring(2).0,
            step_table: StepTable::heap(1),
            reading_table: ReadingTable::heap(1),
            names: Names::new("n"),
            events: EventOutlet::new(bounded(1).0),
            drain: Doorbell::for_this_thread().ringer(),
        };
        let progress = Arc::new(Progress::new(PERIOD_NS, clock::monotonic_ns()));
        let theirs = Arc::clone(&progress);
        start(name, None, sampler, Outlet::new(name, parts), theirs, stop.clone()).unwrap();
        Watched { name, progress }
    }

    #[test]
    fn a_sampler_that_hangs_is_told_after_two_periods_while_others_tick() {
        let (stop, (release, released)) = (Stop::default(), bounded(1));
        let hanging = Box::new(Hanging { ticks: 0, release: released });
        let hanging = sample("hanging", hanging, &stop);
        let good = sample("good", Box::new(Answering), &stop);
        let (events_in, events) = bounded(16);
        let watched = [hanging.clone(), good.clone()];
        let stopped = stop.clone();
        let overseer = thread::spawn("overseer", None, move || {
            let events = EventOutlet::new(events_in);
            let on_change = OnChange { names: Box::new(|| {}), details: Box::new(|| {}) };
            let names = Names::new("n");
            let readings = ReadingTable::heap(1).view();
            let hardware = Hardware::new(names.clone(), readings, "/nowhere".into());
            run(&watched, &names, &events, on_change, hardware, &stopped);
        });
        let next_of = |subject: &str| loop {
            let fact: Fact = events.recv_timeout(Duration::from_secs(20)).unwrap();
            let event = fact.event.expect("an overseer has no cursor");
            if event.subject == subject {
                return event;
            }
        };
        let stalled = next_of("hanging");
        assert_eq!(stalled.kind, EventKind::SamplerStalled);
        assert!(hanging.progress.stalled(clock::monotonic_ns()));
        assert_eq!(hanging.progress.ticks(), 2);
        // Told when two periods were over, not before; how long after depends
        // on the overseer's next look alone.
        let silent_ns = hanging.progress.silent_ns(stalled.monotonic_ns);
        assert!(silent_ns > 2 * PERIOD_NS, "{silent_ns}");
        let (before, deadline_ns) = (good.progress.ticks(), clock::monotonic_ns() + 20 * SECOND_NS);
        while good.progress.ticks() < before + 2 {
            assert!(clock::monotonic_ns() < deadline_ns, "the other one ticks no more");
            clock::sleep_until(clock::monotonic_ns() + MILLISECOND_NS);
        }
        assert_eq!(hanging.progress.ticks(), 2, "it hangs still");
        release.send(()).unwrap();
        assert_eq!(next_of("hanging").kind, EventKind::SamplerRecovered);
        stop.raise();
        overseer.unwrap().join().unwrap();
    }
}
