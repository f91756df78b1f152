//! The readings taken together in one tick.

use crate::schema::MetricId;

use super::Readings;
use super::report::{Absence, TickReport};

/// The readings taken together in one tick, and their account.
pub(crate) struct Window<'a> {
    readings: &'a mut dyn Readings,
    time_ns: u64,
    devices_left: &'a mut u32,
    report: TickReport,
}

impl<'a> Window<'a> {
    /// A window that began at `time_ns` and may register `devices_left` devices.
    pub(crate) fn new(
        readings: &'a mut dyn Readings,
        time_ns: u64,
        devices_left: &'a mut u32,
    ) -> Self {
        Self { readings, time_ns, devices_left, report: TickReport::default() }
    }

    /// One value.
    #[inline]
    pub(crate) fn put(&mut self, device: u32, metric: MetricId, value: f64) {
        self.readings.put(device, metric, self.time_ns, value);
        self.report.readings += 1;
    }

    /// One count.
    #[inline]
    pub(crate) fn put_count(&mut self, device: u32, metric: MetricId, count: u64) {
        self.put(device, metric, count as f64);
    }

    /// One count in units of `scale`, unless the source does not report it.
    #[inline]
    pub(crate) fn put_reported(
        &mut self,
        device: u32,
        metric: MetricId,
        count: Option<u64>,
        scale: f64,
    ) {
        match count {
            Some(count) => self.put(device, metric, count as f64 * scale),
            None => self.absent(Absence::Unreported),
        }
    }

    /// The text that a read gave; otherwise the absence is counted.
    #[inline]
    pub(crate) fn text<T>(&mut self, read: Result<T, Absence>) -> Option<T> {
        match read {
            Ok(text) => {
                self.report.files += 1;
                Some(text)
            }
            Err(why) => {
                self.absent(why);
                None
            }
        }
    }

    /// Counts one absence.
    pub(crate) fn absent(&mut self, why: Absence) {
        self.report.count(why, 1);
    }

    /// Counts rows that made no sense.
    pub(crate) fn rows_refused(&mut self, rows: u32) {
        self.report.count(Absence::Malformed, rows);
    }

    /// Registers a device, if there is room for one more.
    pub(crate) fn device(&mut self, kind: &'static str, name: &str) -> Result<u32, Absence> {
        let left = self.devices_left.checked_sub(1).ok_or(Absence::DeviceRefused)?;
        *self.devices_left = left;
        Ok(self.readings.device(kind, name))
    }

    /// Says that a device has vanished, which makes room for another.
    pub(crate) fn gone(&mut self, device: u32) {
        self.readings.gone(device);
        *self.devices_left += 1;
        self.report.devices_gone += 1;
    }

    /// What the tick came to.
    pub(crate) fn close(self) -> TickReport {
        self.report
    }
}
