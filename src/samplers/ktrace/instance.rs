//! Our own trace buffers: set up, read without waiting, waited on together.
//!
//! Touches nothing outside of its instance. No file of an event stays open,
//! which would keep its driver from being unloaded.

use std::fs::File;
use std::io::ErrorKind::{Interrupted, InvalidData, WouldBlock};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::format::{FORMAT_BYTES_MAX, Form, Layout};
use super::slot::Slot;
use super::stats::{self, STATS_BYTES_MAX};
use super::telling::{Now, Telling};
use super::tracefs::{Tracefs, read, write};
use super::watched::Watched;
use crate::platform::clock;
use crate::platform::poll::{Bell, Watch};

/// Processors beyond this number are not read; none of today's kernels has as
/// many.
const CPUS_MAX: usize = 8192;

/// The bell's name among the descriptors.
const BELL: u64 = u64::MAX;

/// The buffers of all processors. Closes its files before the folder is
/// removed, since fields are dropped in this order.
#[derive(Debug)]
pub(super) struct Instance {
    cpus: Vec<Cpu>,
    watch: Watch,
    has_bell: bool,
    /// Whether the kernel wakes us at the first record.
    eager: bool,
    layout: Layout,
    buffer: Vec<u8>,
    woken: Vec<u64>,
    forms: Vec<Form>,
    tracefs: Tracefs,
    slot: Slot,
}

/// One processor's buffer.
#[derive(Debug)]
struct Cpu {
    records: File,
    stats: PathBuf,
    /// What was told of its loss.
    lost: u64,
    /// Whether its descriptor is waited on.
    waited: bool,
}

impl Instance {
    /// Makes an instance with buffers of `buffer_kb` a processor.
    ///
    /// # Errors
    ///
    /// What the kernel says, and on which file.
    pub(super) fn make(tracefs: &Tracefs, buffer_kb: u64) -> io::Result<Self> {
        let slot = Slot::take(&tracefs.root.join("instances"))?;
        let path = slot.path();
        write(&path.join("buffer_size_kb"), &buffer_kb.to_string())?;
        write(&path.join("trace_clock"), "mono")?;
        // How full a buffer must be, in percent, before a poll is told of it;
        // where a kernel cannot be asked that, we look now and then.
        let eager = write(&path.join("buffer_percent"), "0").is_ok();
        let layout = tracefs.layout(Some(path))?;
        Ok(Self {
            cpus: cpus(&path.join("per_cpu"))?,
            watch: Watch::new()?,
            has_bell: false,
            eager,
            layout,
            buffer: vec![0; layout.bytes],
            woken: Vec::with_capacity(Watch::READY_MAX),
            forms: Vec::new(),
            tracefs: tracefs.clone(),
            slot,
        })
    }

    /// How many events it records.
    pub(super) const fn watched(&self) -> usize {
        self.forms.len()
    }

    /// How many processors it has buffers of.
    pub(super) const fn cpus(&self) -> usize {
        self.cpus.len()
    }

    /// Records `watched`, to which the kernel gave the number `id`, or gave it
    /// none. Says whether that changed anything.
    ///
    /// # Errors
    ///
    /// When the event has another form than we read, or cannot be recorded.
    pub(super) fn record(
        &mut self,
        watched: &'static Watched,
        id: Option<u16>,
    ) -> Result<bool, String> {
        let known = self.forms.iter().position(|form| form.watched == watched);
        if known.map(|at| self.forms[at].id) == id {
            return Ok(false);
        }
        if let Some(at) = known {
            self.forms.remove(at);
        }
        let Some(_) = id else { return Ok(true) };
        let event = self.tracefs.event(watched);
        let format = read(&event.join("format"), FORMAT_BYTES_MAX)
            .map_err(|error| format!("cannot read the format of {}: {error}", watched.name))?;
        let form = Form::parse(watched, &format)?;
        let own = self.slot.path().join("events").join(watched.group).join(watched.name);
        write(&own.join("enable"), "1").map_err(|error| error.to_string())?;
        self.forms.push(form);
        Ok(true)
    }

    /// Tells a page of a processor; whether there was one.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub(super) fn read(&mut self, cpu: usize, telling: &mut Telling, now: Now) -> io::Result<bool> {
        match self.cpus[cpu].records.read(&mut self.buffer) {
            Ok(0) => Ok(false),
            Ok(length) => {
                telling.hear(&self.buffer[..length], &self.layout, &self.forms, now);
                Ok(true)
            }
            // A processor that never ran has no buffer.
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(false),
            Err(error) if matches!(error.kind(), WouldBlock | Interrupted) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// What a processor's buffer lost since this was last asked.
    ///
    /// # Errors
    ///
    /// When its counts cannot be read.
    pub(super) fn lost(&mut self, cpu: usize) -> io::Result<u64> {
        let cpu = &mut self.cpus[cpu];
        let mut text = [0; STATS_BYTES_MAX];
        let length = File::open(&cpu.stats)?.read(&mut text)?;
        let all = stats::lost(&text[..length]).ok_or(InvalidData)?;
        let more = all.saturating_sub(cpu.lost);
        // A buffer that was emptied counts from zero again.
        cpu.lost = all;
        Ok(more)
    }

    /// Waits until there is a record, `bell` rings, or `limit_ns` have passed.
    /// Whether to look.
    pub(super) fn wait(&mut self, limit_ns: u64, bell: Option<&Bell>, look_ns: u64) -> bool {
        if let Some(bell) = bell.filter(|_| !self.has_bell) {
            self.has_bell = self.watch.add(bell.as_fd(), BELL).is_ok();
        }
        let told = self.eager && self.has_bell;
        let limit_ns = if told { limit_ns } else { limit_ns.min(look_ns) };
        self.woken.clear();
        if self.watch.wait(limit_ns, &mut self.woken).is_err() {
            // Only a broken kernel says no; then we look now and then.
            clock::sleep_until(clock::monotonic_ns() + limit_ns.min(look_ns));
        }
        !told || self.woken.iter().any(|id| *id != BELL)
    }

    /// Waits on every processor's buffer from now on, also on those that woke
    /// us for nothing.
    pub(super) fn wait_on_all(&mut self) {
        for (id, cpu) in self.cpus.iter_mut().enumerate().filter(|(_, cpu)| !cpu.waited) {
            cpu.waited = self.watch.add(cpu.records.as_fd(), id as u64).is_ok();
        }
    }

    /// Waits no more on a processor that woke us and had `nothing`: one that
    /// never ran always does.
    pub(super) fn leave_alone(&mut self, nothing: impl Fn(usize) -> bool) {
        for id in self.woken.drain(..).filter(|id| *id != BELL) {
            let Some(cpu) = self.cpus.get_mut(id as usize).filter(|_| nothing(id as usize)) else {
                continue;
            };
            cpu.waited = self.watch.remove(cpu.records.as_fd()).is_err();
        }
    }
}

/// The processors' buffers, in order.
fn cpus(folder: &Path) -> io::Result<Vec<Cpu>> {
    let mut numbers: Vec<u32> = std::fs::read_dir(folder)?
        .take(CPUS_MAX)
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.strip_prefix("cpu")?.parse().ok())
        .collect();
    numbers.sort_unstable();
    let opened = numbers.into_iter().map(|number| {
        let folder = folder.join(format!("cpu{number}"));
        let mut options = File::options();
        options.read(true).custom_flags(OFlags::NONBLOCK.bits() as i32);
        let records = options.open(folder.join("trace_pipe_raw"))?;
        Ok(Cpu { records, stats: folder.join("stats"), lost: 0, waited: false })
    });
    opened.collect()
}
