//! What this process itself costs: CPU, memory, threads, descriptors.
//!
//! An observer that harms what it observes must be seen to do so, so the agent
//! reports on itself as it does on everything else.

use std::mem::MaybeUninit;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{RawDir, SeekFrom};

use crate::newest::Names;
use crate::schema::MetricId;

use super::Opening;
use super::procfs::{Absence, BUFFER_BYTES, KeptFile, Shape, TickReport, Window};
use super::{Context, Entry, Need, Opened, Outlet, Readings, Sampler, Settings};

mod gauges;
pub mod process;

pub use gauges::{Gauges, Read, Tell};

/// Descriptors counted one by one, on a kernel older than Linux 6.2 that does not
/// tell their number; with more the count is absent as [`Absence::TooLong`].
pub const DESCRIPTORS_COUNTED_MAX: u64 = 16_384;

/// Why the sampler could not start.
#[derive(Debug, thiserror::Error)]
pub enum OwnError {
    /// None of the files is there.
    #[error("cannot open {}/stat nor statm; mount /proc in this container", process.display())]
    OpenFiles {
        /// Where the files were expected.
        process: PathBuf,
    },
}

/// What the family knows of this sampler.
pub static ENTRY: Entry = Entry {
    name: "own",
    summary: "This agent itself: processor time, memory, threads, descriptors, rings, losses, ticks.",
    source: "/proc/self/{stat,statm,fd} and our own counters",
    period_ms: 1000,
    steps: false,
    metrics: &[
        MetricId::OwnCpu,
        MetricId::OwnResident,
        MetricId::OwnThreads,
        MetricId::OwnDescriptors,
        MetricId::RecordsProduced,
        MetricId::RecordsDropped,
        MetricId::RingDepth,
        MetricId::BatchesDropped,
        MetricId::BatchesTaken,
        MetricId::TickLate,
        MetricId::TickDuration,
        MetricId::TicksOverrun,
        MetricId::SamplerStalled,
        MetricId::ValuesRefused,
        MetricId::RecordsLost,
        MetricId::PublishTime,
        MetricId::Publishes,
        MetricId::PublishTimeMax,
        MetricId::TickAge,
        MetricId::JournalHeld,
    ],
    settings: &[],
    open,
    needs,
};

struct Ready {
    own: Own,
    gauges: Gauges,
}

fn open(context: &Context, _settings: &Settings) -> Opened {
    match Own::open(&mut Opening(&context.names)) {
        Ok(own) => Opened::Ready(Box::new(Ready { own, gauges: context.gauges.clone() })),
        Err(error) => Opened::NotHere(error.to_string()),
    }
}

fn needs(_: &Context, _: &Settings) -> Vec<Need> {
    vec![match Own::open_at(Path::new("/proc/self"), &mut Opening(&Names::new(""))) {
        Ok(_) => Need::fine("/proc/self", "can be read"),
        Err(error) => {
            Need::trouble("/proc/self", error.to_string(), "mount /proc in this container")
        }
    }]
}

impl Sampler for Ready {
    fn tick(&mut self, now_ns: u64, outlet: &mut Outlet) {
        self.own.tick(now_ns, outlet);
        self.gauges.tick(now_ns, outlet);
    }
}

/// Samples this process.
#[derive(Debug)]
pub struct Own {
    tick: u64,
    device: u32,
    ticks_per_second: f64,
    page_bytes: f64,
    buffer: Vec<u8>,
    stat: KeptFile,
    statm: KeptFile,
    descriptors: KeptFile,
}

impl Own {
    /// Opens the files about this process.
    ///
    /// # Errors
    ///
    /// [`OwnError::OpenFiles`] where no `/proc` is mounted.
    pub fn open(readings: &mut dyn Readings) -> Result<Self, OwnError> {
        Self::open_at(Path::new("/proc/self"), readings)
    }

    fn open_at(process: &Path, readings: &mut dyn Readings) -> Result<Self, OwnError> {
        let mut stat = KeptFile::new(&process.join("stat"), Shape::Whole);
        let mut statm = KeptFile::new(&process.join("statm"), Shape::Whole);
        if stat.descriptor(0).is_err() && statm.descriptor(0).is_err() {
            return Err(OwnError::OpenFiles { process: process.to_owned() });
        }
        Ok(Self {
            tick: 0,
            device: readings.device("own", "agent"),
            ticks_per_second: rustix::param::clock_ticks_per_second() as f64,
            page_bytes: rustix::param::page_size() as f64,
            buffer: vec![0; BUFFER_BYTES],
            stat,
            statm,
            descriptors: KeptFile::new(&process.join("fd"), Shape::Directory),
        })
    }

    /// Reads everything once.
    ///
    /// The readings bear the time `now_ns`, on the node's monotonic clock.
    pub fn tick(&mut self, now_ns: u64, readings: &mut dyn Readings) -> TickReport {
        let tick = self.tick;
        self.tick += 1;
        let device = self.device;
        let mut devices_left = 0;
        let mut window = Window::new(readings, now_ns, &mut devices_left);
        if let Some(text) = window.text(self.stat.read(tick, &mut self.buffer)) {
            match process::stat(text) {
                Some(process) => {
                    let cpu_seconds = process.cpu_ticks as f64 / self.ticks_per_second;
                    window.put(device, MetricId::OwnCpu, cpu_seconds);
                    window.put_count(device, MetricId::OwnThreads, process.threads);
                }
                None => window.absent(Absence::Malformed),
            }
        }
        if let Some(text) = window.text(self.statm.read(tick, &mut self.buffer)) {
            let pages = process::resident_pages(text);
            window.put_reported(device, MetricId::OwnResident, pages, self.page_bytes);
        }
        let descriptors = self.descriptors.descriptor(tick).and_then(descriptors);
        if let Some(count) = window.text(descriptors) {
            window.put_count(device, MetricId::OwnDescriptors, count);
        }
        window.close()
    }
}

/// How many descriptors the `folder` of a process holds.
fn descriptors(folder: BorrowedFd<'_>) -> Result<u64, Absence> {
    match u64::try_from(rustix::fs::fstat(folder)?.st_size) {
        // Before Linux 6.2 the size was always zero; we hold at least `folder`.
        Ok(0) | Err(_) => descriptors_listed(folder),
        Ok(count) => Ok(count),
    }
}

/// The same by listing the folder, `.` and `..` left out.
fn descriptors_listed(folder: BorrowedFd<'_>) -> Result<u64, Absence> {
    rustix::fs::seek(folder, SeekFrom::Start(0))?;
    let mut space = [MaybeUninit::<u8>::uninit(); 4096];
    let mut entries = RawDir::new(folder, &mut space);
    let mut count = 0;
    while let Some(entry) = entries.next() {
        if entry?.file_name().to_bytes().first() != Some(&b'.') {
            count += 1;
        }
        if count > DESCRIPTORS_COUNTED_MAX {
            return Err(Absence::TooLong);
        }
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::os::fd::AsFd;

    use super::*;

    #[derive(Default)]
    struct Newest(BTreeMap<MetricId, f64>);

    impl Readings for Newest {
        fn device(&mut self, kind: &'static str, name: &str) -> u32 {
            assert_eq!((kind, name), ("own", "agent"));
            7
        }
        fn gone(&mut self, _: u32) {
            panic!("a process does not outlive itself");
        }
        fn put(&mut self, device: u32, metric: MetricId, time_ns: u64, value: f64) {
            assert_eq!((device, time_ns), (7, 5));
            self.0.insert(metric, value);
        }
    }

    #[test]
    fn this_process_is_seen() {
        let mut newest = Newest::default();
        let mut own = Own::open(&mut newest).unwrap();
        let report = own.tick(5, &mut newest);
        assert_eq!((report.readings, report.files, report.absent_total()), (4, 3, 0));
        assert!(newest.0[&MetricId::OwnThreads] >= 1.0);
        assert!(newest.0[&MetricId::OwnResident] >= 65_536.0);
        assert!(newest.0[&MetricId::OwnDescriptors] >= 3.0);
        assert!(newest.0[&MetricId::OwnCpu] >= 0.0);
    }

    #[test]
    fn descriptors_are_listed_where_the_kernel_does_not_count_them() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["0", "1", "2", "17"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let open = std::fs::File::open(folder.path()).unwrap();
        for _ in 0..2 {
            assert_eq!(descriptors_listed(open.as_fd()), Ok(4));
        }
    }

    #[test]
    fn what_is_missing_is_absent_and_counted() {
        let folder = tempfile::tempdir().unwrap();
        let mut newest = Newest::default();
        let error = Own::open_at(folder.path(), &mut newest).unwrap_err();
        assert!(error.to_string().contains("mount /proc"), "{error}");
        std::fs::write(folder.path().join("stat"), "1 (a) broken\n").unwrap();
        let report = Own::open_at(folder.path(), &mut newest).unwrap().tick(5, &mut newest);
        assert_eq!(report.absent(Absence::Malformed), 1);
        assert_eq!(report.absent(Absence::NotFound), 2);
        assert_eq!(report.readings, 0);
    }
}
