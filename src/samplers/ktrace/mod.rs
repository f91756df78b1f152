//! Trace events of accelerators: an NVIDIA driver's Xid and SXid as fields,
//! at once and with every loss counted, without reading any text.
//!
//! The kernel's log says the same in words (`kmsg`); here the number, the
//! device and the time come apart, where the driver offers it. What the kernel
//! keeps for us is an instance of our own: buffers of a few KiB a processor,
//! in which nothing but these events is recorded. It is made once a driver
//! offers an event, and removed when the driver or the agent goes. The global
//! buffer and every other tracer stay untouched. Nothing here judges a number.

mod format;
mod instance;
mod needs;
mod page;
mod settings;
mod slot;
mod stats;
mod telling;
mod tracefs;
mod watched;

use std::io;
use std::sync::Arc;

use super::{Context, Entry, Opened, Outlet, Readings, Sampler, Settings, Woken};
use crate::platform::clock::{self, MILLISECOND_NS, SECOND_NS};
use crate::platform::poll::Bell;
use crate::platform::thread::Stop;
use crate::schema::{Event, MetricId};

pub use format::{FORMAT_BYTES_MAX, Form, Layout, PAGE_BYTES_MAX, Told};
use instance::Instance;
pub use page::{Malformed, Page, Record};
pub use stats::{STATS_BYTES_MAX, lost};
pub use telling::{Now, Telling, TraceCounts};
use tracefs::Tracefs;
pub use watched::{WATCHED, Watched};

/// Pages read in one round, so that a flood keeps nobody from stopping us.
const PAGES_ROUND_MAX: usize = 64;

/// How often the counts become readings.
const REPORT_NS: u64 = SECOND_NS;

/// How long a full channel is left alone.
const HELD_NS: u64 = 5 * MILLISECOND_NS;

/// How often a kernel that does not wake us at the first record is looked at.
const LOOK_NS: u64 = SECOND_NS / 5;

/// What the family knows of this sampler.
pub static ENTRY: Entry = Entry {
    name: "ktrace",
    summary: "Xid and SXid of NVIDIA drivers as trace events, with their number, device and time, and the exact number of those lost.",
    source: "trace events nvidia:nvidia_dev_xid and nvswitch:nvswitch_dev_sxid, read in an instance of our own below /sys/kernel/tracing/instances",
    period_ms: 10_000,
    steps: false,
    metrics: &[
        MetricId::TraceEventsRead,
        MetricId::TraceEventsLost,
        MetricId::TraceEventsMalformed,
        MetricId::TraceEventsWatched,
        MetricId::TraceReadsFailed,
    ],
    settings: settings::SETTINGS,
    open,
    needs: needs::needs,
};

fn open(context: &Context, settings: &Settings) -> Opened {
    let buffer_kb = match settings::buffer_kb(settings) {
        Ok(buffer_kb) => buffer_kb,
        Err(sentence) => return Opened::Failed(sentence),
    };
    let tracefs = match Tracefs::find(&context.host_root) {
        Ok(tracefs) => tracefs,
        Err(refused) => return Opened::NotHere(format!("{}; {}", refused.says, refused.remedy)),
    };
    let mut ktrace = Ktrace::new(tracefs, buffer_kb);
    match ktrace.look() {
        Err(sentence) if ktrace.watched() == 0 => Opened::Failed(sentence),
        _ => Opened::Ready(Box::new(ktrace)),
    }
}

/// How a round ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Round {
    /// All that there is was read.
    End,
    /// There is more.
    More,
    /// There is no room for what was read.
    Held,
}

/// The sampler.
struct Ktrace {
    tracefs: Tracefs,
    buffer_kb: u64,
    /// Nothing while no driver offers an event.
    instance: Option<Instance>,
    telling: Telling,
    /// Which processors had a page in this round.
    had: Vec<bool>,
    /// The processor with which the next round begins.
    begin: usize,
    round: Round,
    /// When to look which events are offered: at the next period's start.
    look_ns: u64,
    /// The last failure that was said.
    said: String,
    device: Option<u32>,
    report_ns: u64,
    /// Rings when somebody asks to stop; made when first waited on.
    bell: Option<Arc<Bell>>,
}

impl Ktrace {
    fn new(tracefs: Tracefs, buffer_kb: u64) -> Self {
        Self {
            tracefs,
            buffer_kb,
            instance: None,
            telling: Telling::default(),
            had: Vec::new(),
            begin: 0,
            round: Round::End,
            look_ns: 0,
            said: String::new(),
            device: None,
            report_ns: 0,
            bell: None,
        }
    }

    /// Records the events that are offered, from now on.
    fn look(&mut self) -> Result<(), String> {
        let ids = WATCHED.each_ref().map(|watched| self.tracefs.id(watched));
        if ids.iter().all(Option::is_none) {
            if self.instance.take().is_some() {
                tracing::info!("no driver offers trace events any more");
            }
            return Ok(());
        }
        let instance = match &mut self.instance {
            Some(instance) => instance,
            None => {
                let made = Instance::make(&self.tracefs, self.buffer_kb)
                    .map_err(|error| format!("cannot make a trace instance: {error}"))?;
                (self.had, self.begin) = (vec![false; made.cpus()], 0);
                self.instance.insert(made)
            }
        };
        instance.wait_on_all();
        let mut failed = Ok(());
        for (watched, id) in WATCHED.iter().zip(ids) {
            match instance.record(watched, id) {
                Ok(true) if id.is_some() => tracing::info!("watching trace event {}", watched.name),
                Ok(_) => {}
                Err(sentence) => failed = Err(sentence),
            }
        }
        failed
    }

    /// The same; what fails is said once.
    fn look_again(&mut self) {
        match self.look() {
            Ok(()) => self.said.clear(),
            Err(sentence) => {
                self.telling.counts.failed += 1;
                if sentence != self.said {
                    tracing::warn!("{sentence}");
                    self.said = sentence;
                }
            }
        }
    }

    /// How many events are recorded.
    fn watched(&self) -> usize {
        self.instance.as_ref().map_or(0, Instance::watched)
    }

    /// Reads every processor's buffer to its end, or as far as one round may
    /// go, and counts what was lost: of those that had a page, or of `all`.
    fn drain(&mut self, all: bool, outlet: &mut Outlet) -> Round {
        let mut offer = |event| outlet.offer(Some(event), None);
        let Self { instance, telling, had, begin, .. } = self;
        let mut round = Round::End;
        if let Some(instance) = instance {
            had.fill(false);
            let now = Now { monotonic_ns: clock::monotonic_ns(), wall_ns: clock::wall_ns() };
            let (count, mut left, mut lost) = (had.len(), PAGES_ROUND_MAX, 0);
            for cpu in (*begin..count).chain(0..*begin) {
                let before = left;
                round = read(instance, cpu, &mut left, now, telling, &mut offer);
                had[cpu] = left < before;
                if had[cpu] || all {
                    lost += counted(instance.lost(cpu), telling);
                }
                if round != Round::End {
                    *begin = (cpu + 1) % count;
                    break;
                }
            }
            telling.lost(lost, now);
            if round == Round::End {
                instance.leave_alone(|cpu| !had[cpu]);
            }
        }
        if telling.flush(offer) { round } else { Round::Held }
    }

    fn report(&mut self, now_ns: u64, readings: &mut dyn Readings) {
        if now_ns < self.report_ns {
            return;
        }
        self.report_ns = now_ns + REPORT_NS;
        let watched = self.watched();
        let device = *self.device.get_or_insert_with(|| readings.device("trace", "nvidia"));
        readings.put(device, MetricId::TraceEventsWatched, now_ns, watched as f64);
        let counts = self.telling.counts;
        if watched == 0 && counts == TraceCounts::default() {
            // Where nothing is counted, there is no count of zero.
            return;
        }
        for (metric, count) in [
            (MetricId::TraceEventsRead, counts.read),
            (MetricId::TraceEventsLost, counts.lost),
            (MetricId::TraceEventsMalformed, counts.malformed),
            (MetricId::TraceReadsFailed, counts.failed),
        ] {
            readings.put(device, metric, now_ns, count as f64);
        }
    }
}

/// Reads one processor's buffer while there is room, at most `left` pages.
fn read(
    instance: &mut Instance,
    cpu: usize,
    left: &mut usize,
    now: Now,
    telling: &mut Telling,
    offer: &mut dyn FnMut(Event) -> bool,
) -> Round {
    loop {
        if !telling.flush(&mut *offer) {
            return Round::Held;
        }
        if *left == 0 {
            return Round::More;
        }
        match instance.read(cpu, telling, now) {
            Ok(true) => *left -= 1,
            Ok(false) => return Round::End,
            Err(_) => {
                telling.counts.failed += 1;
                return Round::End;
            }
        }
    }
}

/// A number, or a counted failure.
fn counted(number: io::Result<u64>, telling: &mut Telling) -> u64 {
    number.unwrap_or_else(|_| {
        telling.counts.failed += 1;
        0
    })
}

impl Sampler for Ktrace {
    fn tick(&mut self, now_ns: u64, outlet: &mut Outlet) {
        let due = now_ns >= self.look_ns;
        if due {
            self.look_again();
            self.look_ns = u64::MAX;
        }
        self.round = self.drain(due, outlet);
        self.report(now_ns, outlet);
    }

    fn wait(&mut self, due_ns: u64, stop: &Stop) -> Woken {
        self.look_ns = self.look_ns.min(due_ns);
        loop {
            let now_ns = clock::monotonic_ns();
            if now_ns >= due_ns || stop.is_raised() {
                return Woken::Due;
            }
            let left_ns = due_ns - now_ns;
            match self.round {
                Round::More => return Woken::Early,
                Round::Held => {
                    stop.sleep_until(now_ns + HELD_NS.min(left_ns));
                    return Woken::Early;
                }
                Round::End => {}
            }
            let Some(instance) = &mut self.instance else {
                stop.sleep_until(due_ns);
                continue;
            };
            if self.bell.is_none() {
                self.bell = Bell::new().ok().map(Arc::new);
                self.bell.iter().for_each(|bell| stop.ring(Arc::clone(bell)));
            }
            if instance.wait(left_ns, self.bell.as_deref(), LOOK_NS) {
                return Woken::Early;
            }
        }
    }
}

#[cfg(test)]
mod tests;
