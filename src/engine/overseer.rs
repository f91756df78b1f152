//! Sees whether every sampler ticks, and tells when names changed.

use std::sync::Arc;

use crate::newest::Names;
use crate::platform::clock;
use crate::platform::thread::Stop;
use crate::samplers::{EventOutlet, Progress};
use crate::schema::{Event, EventKind, Severity};

/// How often it looks: a stall is told within this after two periods.
const LOOK_NS: u64 = 50 * clock::MILLISECOND_NS;

/// A sampler that is watched.
#[derive(Debug, Clone)]
pub(super) struct Watched {
    pub(super) name: &'static str,
    pub(super) progress: Arc<Progress>,
}

/// What to do when the names of engines or devices changed.
pub(super) type NamesChanged = Box<dyn FnMut() + Send>;

pub(super) fn run(
    samplers: &[Watched],
    names: &Names,
    events: &EventOutlet,
    mut names_changed: NamesChanged,
    stop: &Stop,
) {
    let mut stalled = vec![false; samplers.len()];
    let mut version = 0;
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
            names_changed();
        }
        stop.sleep_until(now_ns + LOOK_NS);
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
    }
}
