//! The kernel's log: what drivers say of trouble, within milliseconds.
//!
//! Two grades. *Attested*: `/dev/kmsg`, where every record has its number, so
//! that what is lost is known exactly and nothing is repeated over a restart;
//! only facility 0 is the kernel's own word. *Polled*: syslog(2), where the
//! device cannot be had; what was overwritten in between is unknown, and every
//! event says so. A file or pipe can be followed instead.
//!
//! Which lines become events is a stated filter: a level, and a list of words.
//! Nothing here judges what a line means.

mod attested;
mod cursor;
mod device;
mod filter;
mod follow;
mod needs;
mod polled;
mod settings;
mod telling;

use std::io;
use std::sync::Arc;

use super::{Context, Entry, Opened, Outlet, Readings, Sampler, Settings, Woken};
use crate::platform::clock::{self, MILLISECOND_NS, SECOND_NS};
use crate::platform::kernel_log;
use crate::platform::poll::Bell;
use crate::platform::thread::Stop;
use crate::schema::MetricId;

pub use attested::{Attested, RECORDS_ROUND_MAX, Records, Round};
pub use cursor::Cursor;
use device::Device;
pub use filter::{Filter, KEEP, WORD_BYTES_MAX, WORDS_MAX};
pub use follow::{BYTES_ROUND_MAX, Followed};
pub use polled::{LOOK_BYTES_MAX, Polled, ReadAll};
use settings::Plan;
pub use telling::{Clocks, Facts, Heard, LogCounts, Telling};

/// How long lines that were passed over may wait until the journal knows that
/// they were read. Noting each would cost an fsync a line; after a crash those
/// that were not noted and overwritten meanwhile count as lost.
const CURSOR_NS: u64 = 10 * SECOND_NS;

/// How often the counts become readings.
const REPORT_NS: u64 = SECOND_NS;

/// How long a full channel is left alone.
const HELD_NS: u64 = 5 * MILLISECOND_NS;

/// How long a source that fails is left alone.
const FAILED_NS: u64 = SECOND_NS;

/// How often a file is looked at, which tells nobody that it grew.
const LOOK_NS: u64 = SECOND_NS / 5;

/// What the family knows of this sampler.
pub static ENTRY: Entry = Entry {
    name: "kmsg",
    summary: "The kernel's log as events: warnings and worse, and whatever names an accelerator, the memory, a disk or a link.",
    source: "/dev/kmsg, or syslog(2), or a log file or pipe",
    period_ms: 1000,
    steps: false,
    metrics: &[
        MetricId::LogLinesRead,
        MetricId::LogLinesKept,
        MetricId::LogLinesPassed,
        MetricId::LogLinesMalformed,
        MetricId::LogLinesLost,
        MetricId::LogReadsFailed,
    ],
    settings: settings::SETTINGS,
    open,
    needs: needs::needs,
};

fn open(context: &Context, settings: &Settings) -> Opened {
    let plan = match Plan::from_settings(settings) {
        Ok(plan) => plan,
        Err(sentence) => return Opened::Failed(sentence),
    };
    let cursor = context.cursors.of(ENTRY.name).and_then(Cursor::decode);
    let (way, name) = match &plan.path {
        Some(path) => {
            let path = context.host_root.join(path);
            match Followed::open(&path, cursor) {
                Ok(followed) => (Way::Followed(followed), path.display().to_string()),
                Err(error) => {
                    return Opened::Failed(format!(
                        "cannot follow {}: {error}; correct samplers.kmsg.path",
                        path.display()
                    ));
                }
            }
        }
        None => match kernel(context, cursor) {
            Ok(way) => way,
            Err(sentence) => return Opened::NotHere(sentence),
        },
    };
    Opened::Ready(Box::new(Kmsg {
        way,
        name,
        telling: Telling::new(plan.filter),
        round: Round::More,
        device: None,
        report_ns: 0,
        cursor_ns: clock::monotonic_ns() + CURSOR_NS,
        noted: cursor,
        stopping: Stopping::default(),
    }))
}

/// The kernel's log in the best grade that can be had.
fn kernel(context: &Context, cursor: Option<Cursor>) -> Result<(Way, String), String> {
    let boot = device::boot(&context.host_root);
    let refused = match Device::open(&context.host_root) {
        Ok(device) => {
            let attested = Attested::new(device, boot, cursor, &Clocks::now());
            return Ok((Way::Attested(attested), "kmsg".to_owned()));
        }
        Err(error) => error,
    };
    match kernel_log::bytes_max() {
        Ok(bytes) => {
            tracing::info!(
                "/dev/kmsg cannot be read ({refused}): the kernel's log is polled by syslog(2), and what is lost between two looks is unknown"
            );
            let polled = Polled::new(kernel_log::read_all, bytes, boot, cursor);
            Ok((Way::Polled(polled), "syslog".to_owned()))
        }
        Err(error) => Err(both(&refused, &error)),
    }
}

fn both(device: &io::Error, call: &io::Error) -> String {
    format!(
        "/dev/kmsg cannot be read ({device}), nor syslog(2) called ({call}); run as root or with \
         CAP_SYSLOG, mount the node's /dev/kmsg, or name a log file in samplers.kmsg.path"
    )
}

/// How the log is had.
enum Way {
    Attested(Attested<Device>),
    Polled(Polled),
    Followed(Followed),
}

impl Way {
    fn round(&mut self, telling: &mut Telling, outlet: &mut Outlet) -> Round {
        let now = Clocks::now();
        match self {
            Self::Attested(attested) => attested.round(&now, telling, outlet),
            Self::Polled(polled) => polled.round(&now, telling, outlet),
            Self::Followed(followed) => followed.round(&now, telling, outlet),
        }
    }

    fn cursor(&self) -> Option<Cursor> {
        match self {
            Self::Attested(attested) => attested.cursor(),
            Self::Polled(polled) => polled.cursor(),
            Self::Followed(followed) => followed.cursor(),
        }
    }

    /// Waits until there is more to read, or somebody asks to stop, at most
    /// `limit_ns`. Whether there is.
    fn ready(&self, limit_ns: u64, stop: &Stop, stopping: &mut Stopping) -> bool {
        match self {
            Self::Attested(attested) => attested.records().ready(limit_ns, stopping.bell(stop)),
            Self::Followed(followed) => followed.ready(limit_ns.min(LOOK_NS)),
            Self::Polled(_) => {
                stop.sleep_until(clock::monotonic_ns() + limit_ns);
                false
            }
        }
    }
}

/// The bell that rings when somebody asks to stop, made when first waited on.
#[derive(Default)]
struct Stopping(Option<Arc<Bell>>);

impl Stopping {
    /// None where the process has no descriptor left.
    fn bell(&mut self, stop: &Stop) -> Option<&Bell> {
        if self.0.is_none() {
            let bell = Arc::new(Bell::new().ok()?);
            stop.ring(Arc::clone(&bell));
            self.0 = Some(bell);
        }
        self.0.as_deref()
    }
}

/// The sampler.
struct Kmsg {
    way: Way,
    /// The log's name in readings.
    name: String,
    telling: Telling,
    /// How the last round ended.
    round: Round,
    device: Option<u32>,
    report_ns: u64,
    /// When the journal shall know how far we are, if nothing else tells it.
    cursor_ns: u64,
    noted: Option<Cursor>,
    stopping: Stopping,
}

impl Kmsg {
    fn note(&mut self, now_ns: u64, outlet: &mut Outlet) {
        if now_ns < self.cursor_ns || !self.telling.is_empty() {
            return;
        }
        let cursor = self.way.cursor();
        let moved = cursor.filter(|_| cursor != self.noted);
        if moved.is_none_or(|cursor| outlet.offer(None, Some(cursor.encode()))) {
            self.noted = cursor;
            self.cursor_ns = now_ns + CURSOR_NS;
        }
    }

    fn report(&mut self, now_ns: u64, readings: &mut dyn Readings) {
        if now_ns < self.report_ns {
            return;
        }
        self.report_ns = now_ns + REPORT_NS;
        let device = *self.device.get_or_insert_with(|| readings.device("log", &self.name));
        let counts = &self.telling.counts;
        for (metric, count) in [
            (MetricId::LogLinesRead, counts.read),
            (MetricId::LogLinesKept, counts.kept),
            (MetricId::LogLinesPassed, counts.passed),
            (MetricId::LogLinesMalformed, counts.malformed),
            (MetricId::LogLinesLost, counts.lost),
            (MetricId::LogReadsFailed, counts.failed),
        ] {
            readings.put(device, metric, now_ns, count as f64);
        }
    }
}

impl Sampler for Kmsg {
    fn tick(&mut self, now_ns: u64, outlet: &mut Outlet) {
        self.round = self.way.round(&mut self.telling, outlet);
        self.note(now_ns, outlet);
        self.report(now_ns, outlet);
    }

    fn wait(&mut self, due_ns: u64, stop: &Stop) -> Woken {
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
                Round::Failed => {
                    stop.sleep_until(due_ns.max(now_ns + FAILED_NS));
                    return Woken::Due;
                }
                Round::End if self.way.ready(left_ns, stop, &mut self.stopping) => {
                    return Woken::Early;
                }
                Round::End => {}
            }
        }
    }
}

#[cfg(test)]
mod tests;
