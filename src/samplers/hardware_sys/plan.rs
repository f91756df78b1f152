//! What the child reads in each round: devices, each with its folder and the
//! rows that it has.

use std::os::fd::OwnedFd;

use super::kind::Kind;
use super::reach::{Reach, Tell};
use super::record::{Message, TEXT_BYTES_MAX};
use super::rows::Row;
use crate::samplers::procfs::{Absence, number};
use crate::schema::MetricId;

/// A longer name is cut.
const NAME_BYTES_MAX: usize = 96;

/// Where a device's files stand.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    /// Its folder below `/sys`.
    pub(super) folder: &'a str,
    /// What every file's name begins with, where devices share a folder.
    pub(super) prefix: &'a str,
}

impl<'a> Place<'a> {
    pub(super) const fn new(folder: &'a str) -> Self {
        Self { folder, prefix: "" }
    }
}

/// What is read.
#[derive(Debug, Default)]
pub(super) struct Plan {
    devices: Vec<Device>,
    sums: Vec<Sum>,
    counts: [usize; Kind::ALL.len()],
    path: String,
}

/// One device.
#[derive(Debug)]
struct Device {
    kind: Kind,
    name: String,
    base: String,
    folder_bytes: usize,
    folder: OwnedFd,
    rows: &'static [Row],
    /// A bit for each row whose file is there.
    here: u64,
    /// What never changes.
    fixed: Vec<(MetricId, f64)>,
}

/// Files whose counts are one count of the node.
#[derive(Debug)]
struct Sum {
    metric: MetricId,
    files: Vec<String>,
}

impl Plan {
    /// A plan whose first device is the node.
    pub(super) fn new(reach: &Reach<impl Tell>) -> Self {
        let mut plan = Self::default();
        if let Some(folder) = reach.folder(".") {
            plan.devices.push(Device {
                kind: Kind::Node,
                name: "node".to_owned(),
                base: String::new(),
                folder_bytes: 0,
                folder,
                rows: &[],
                here: 0,
                fixed: Vec::new(),
            });
        }
        plan
    }

    /// Adds a device, if it has any of the rows. `fixed` are rows that are read
    /// now and then never again.
    pub(super) fn add(
        &mut self,
        reach: &mut Reach<impl Tell>,
        (kind, name): (Kind, String),
        place: Place<'_>,
        rows: &'static [Row],
        fixed: &[(String, &Row)],
    ) {
        if let Err(why) = reach.begin(place.folder) {
            return reach.absent(why, 1);
        }
        let Some(folder) = reach.folder(place.folder) else { return };
        let mut base = format!("{}/{}", place.folder, place.prefix);
        let folder_bytes = place.folder.len() + 1;
        let whole = base.len();
        let mut here = 0;
        for (bit, row) in rows.iter().enumerate() {
            base.truncate(whole);
            base.push_str(row.file);
            here |= u64::from(Reach::<Vec<_>>::has_in(&folder, &base[folder_bytes..])) << bit;
        }
        base.truncate(whole);
        if here == 0 {
            return;
        }
        let name = self.name(kind, &name, &base);
        let Some(name) = name.filter(|_| self.counts[kind as usize] < kind.devices_max()) else {
            reach.absent(Absence::DeviceRefused, 1);
            return;
        };
        self.counts[kind as usize] += 1;
        let mut device =
            Device { kind, name, base, folder_bytes, folder, rows, here, fixed: Vec::new() };
        for (path, row) in fixed {
            device.fix(reach, path, row);
        }
        self.devices.push(device);
    }

    /// A printable name that no other device of this kind has: two sensors of
    /// one label differ in the names of their files.
    fn name(&self, kind: Kind, name: &str, base: &str) -> Option<String> {
        let printable =
            name.chars().map(|c| if c == ' ' || c.is_ascii_graphic() { c } else { '_' });
        let name: String = printable.take(NAME_BYTES_MAX).collect();
        let is_free = |name: &str| {
            !self.devices.iter().any(|device| device.kind == kind && device.name == name)
        };
        if is_free(&name) {
            return Some(name);
        }
        let file = base.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        let room = TEXT_BYTES_MAX.saturating_sub(name.len() + 1);
        let longer = format!("{name} {}", &file[..file.len().min(room)]);
        Some(longer).filter(|name| is_free(name))
    }

    /// Adds a count of the node that is the sum of these files'.
    pub(super) fn add_sum(&mut self, metric: MetricId, files: Vec<String>) {
        if !files.is_empty() {
            self.sums.push(Sum { metric, files });
        }
    }

    /// Says every device by its number.
    pub(super) fn declare(&self, reach: &mut Reach<impl Tell>) {
        for (number, device) in self.devices.iter().enumerate() {
            reach.say(&Message::Device(number as u32, device.kind, &device.name));
        }
    }

    /// Reads everything once.
    pub(super) fn read(&mut self, reach: &mut Reach<impl Tell>) {
        let path = &mut self.path;
        for sum in &self.sums {
            sum.read(reach);
        }
        for (number, device) in self.devices.iter().enumerate() {
            device.read(number as u32, reach, path);
        }
    }
}

impl Device {
    /// Reads a row that never changes.
    fn fix(&mut self, reach: &mut Reach<impl Tell>, path: &str, row: &Row) {
        if row.wakes && !self.is_awake(reach, &mut String::new()) || !reach.has(path) {
            return;
        }
        match reach.text(path).and_then(|text| row.content.read(text)) {
            Ok(values) => self.fixed.extend(values.iter()),
            Err(why) => reach.absent(why, 1),
        }
    }

    fn read(&self, number: u32, reach: &mut Reach<impl Tell>, path: &mut String) {
        let mut awake = None;
        for (bit, row) in self.rows.iter().enumerate() {
            if self.here & (1 << bit) == 0 {
                continue;
            }
            if row.wakes && !*awake.get_or_insert_with(|| self.is_awake(reach, path)) {
                continue;
            }
            path.clear();
            path.push_str(&self.base);
            path.push_str(row.file);
            let text = reach.text_in(&self.folder, &path[self.folder_bytes..], path);
            match text.and_then(|text| row.content.read(text)) {
                Ok(values) => {
                    for (metric, value) in values.iter() {
                        reach.say(&Message::Value(number, metric, value));
                    }
                    reach.absent(Absence::Unreported, values.missing);
                }
                Err(why) => reach.absent(why, 1),
            }
        }
        for (metric, value) in &self.fixed {
            reach.say(&Message::Value(number, *metric, *value));
        }
    }

    /// Whether the kernel does not say that it sleeps.
    fn is_awake(&self, reach: &mut Reach<impl Tell>, path: &mut String) -> bool {
        const STATUS: &str = "power/runtime_status";
        path.clear();
        path.push_str(&self.base);
        path.push_str(STATUS);
        let status = reach.text_in(&self.folder, STATUS, path);
        !status.is_ok_and(|status| status.starts_with(b"suspend"))
    }
}

impl Sum {
    /// A sum of fewer files would look as if the count had fallen.
    fn read(&self, reach: &mut Reach<impl Tell>) {
        let mut sum = 0_u64;
        for file in &self.files {
            let count = reach
                .text(file)
                .and_then(|text| number(text.trim_ascii()).ok_or(Absence::Malformed));
            match count {
                Ok(count) => sum = sum.saturating_add(count),
                Err(why) => return reach.absent(why, 1),
            }
        }
        reach.say(&Message::Value(0, self.metric, sum as f64));
    }
}
