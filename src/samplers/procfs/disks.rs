//! Whole disks, from `/proc/diskstats` and `/sys/block`.

use std::path::Path;

use rustix::fs::AtFlags;
use rustix::io::Errno;

use crate::schema::MetricId;

use super::devices::{Name, Names};
use super::diskstats::{self, Disk};
use super::file::{KeptFile, Shape};
use super::report::Absence;
use super::window::Window;

/// Follows `/proc/diskstats`.
#[derive(Debug)]
pub(crate) struct Disks {
    file: KeptFile,
    /// Holds an entry for each whole disk and none for partitions.
    block: KeptFile,
    names: Names,
}

/// A block device with a longer name is passed over; the kernel's limit is 31.
const BLOCK_NAME_BYTES_MAX: usize = 64;

impl Disks {
    /// The disks that `proc/diskstats` lists and `block` holds.
    pub(crate) fn new(proc: &Path, block: &Path) -> Self {
        Self {
            file: KeptFile::new(&proc.join("diskstats"), Shape::Paged),
            block: KeptFile::new(block, Shape::Directory),
            names: Names::default(),
        }
    }

    /// Reads the file once.
    pub(crate) fn tick(&mut self, tick: u64, buffer: &mut Vec<u8>, window: &mut Window<'_>) {
        let Some(text) = window.text(self.file.read(tick, buffer)) else { return };
        self.names.begin();
        let block = &mut self.block;
        let refused = diskstats::parse(text, |raw, counts| {
            let meet = |name: &Name| match is_whole_disk(block, tick, raw)? {
                true => window.device("disk", name.as_str()).map(Some),
                false => Ok(None),
            };
            match self.names.device(Name::new(raw), meet) {
                Ok(Some(device)) => put(device, &counts, window),
                Ok(None) => {}
                Err(why) => window.absent(why),
            }
        });
        window.rows_refused(refused);
        // A row that made no sense may be the one that seems to be missing.
        if refused == 0 {
            self.names.forget_missing(|device| window.gone(device));
        }
    }
}

/// Whether `/sys/block` holds this name and it is not made of memory or a file.
fn is_whole_disk(block: &mut KeptFile, tick: u64, raw: &[u8]) -> Result<bool, Absence> {
    if is_made_of_memory(raw) || matches!(raw, b"." | b"..") || raw.len() > BLOCK_NAME_BYTES_MAX {
        return Ok(false);
    }
    let mut entry = [0; BLOCK_NAME_BYTES_MAX];
    let entry = &mut entry[..raw.len()];
    entry.copy_from_slice(raw);
    // A name's slash is an exclamation mark in sysfs.
    for byte in &mut *entry {
        if *byte == b'/' {
            *byte = b'!';
        }
    }
    let block = block.descriptor(tick)?;
    match rustix::fs::statat(block, &*entry, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(_) => Ok(true),
        Err(Errno::NOENT | Errno::INVAL) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// `ram0`, `loop3`, `zram1`: no medium of their own.
fn is_made_of_memory(raw: &[u8]) -> bool {
    ["ram", "loop", "zram"].iter().any(|kind| {
        let number = raw.strip_prefix(kind.as_bytes());
        number.is_some_and(|rest| !rest.is_empty() && rest.iter().all(u8::is_ascii_digit))
    })
}

fn put(device: u32, counts: &Disk, window: &mut Window<'_>) {
    const SECTOR_BYTES: f64 = 512.0;
    window.put(device, MetricId::DiskRead, counts.read_sectors as f64 * SECTOR_BYTES);
    window.put(device, MetricId::DiskWritten, counts.written_sectors as f64 * SECTOR_BYTES);
    window.put_count(device, MetricId::DiskReads, counts.reads);
    window.put_count(device, MetricId::DiskWrites, counts.writes);
    window.put(device, MetricId::DiskBusy, counts.busy_ms as f64 * 1e-3);
    window.put_count(device, MetricId::DiskInFlight, counts.in_flight);
}
