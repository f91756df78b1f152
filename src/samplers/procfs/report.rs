//! What a tick came to: values put, and what was absent for which reason.

use rustix::io::Errno;

/// Why something was absent from a tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absence {
    /// There is no such file.
    NotFound,
    /// We may not read it.
    Denied,
    /// The kernel was built or started without it.
    Unsupported,
    /// It is longer than we are ready to read.
    TooLong,
    /// Reading failed otherwise.
    Failed,
    /// The file does not say it, or not as a number.
    Unreported,
    /// A row made no sense.
    Malformed,
    /// A counter fell, so that its difference means nothing.
    WentBack,
    /// There are as many devices as we are ready to follow, or two of one name.
    DeviceRefused,
}

impl Absence {
    /// Every reason, in the order of its number.
    pub const ALL: [Self; 9] = [
        Self::NotFound,
        Self::Denied,
        Self::Unsupported,
        Self::TooLong,
        Self::Failed,
        Self::Unreported,
        Self::Malformed,
        Self::WentBack,
        Self::DeviceRefused,
    ];

    /// The reason as one word of a label.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::Denied => "denied",
            Self::Unsupported => "unsupported",
            Self::TooLong => "too_long",
            Self::Failed => "failed",
            Self::Unreported => "unreported",
            Self::Malformed => "malformed",
            Self::WentBack => "went_back",
            Self::DeviceRefused => "device_refused",
        }
    }
}

impl From<Errno> for Absence {
    fn from(error: Errno) -> Self {
        match error {
            Errno::NOENT | Errno::NOTDIR | Errno::NODEV | Errno::NXIO | Errno::SRCH => {
                Self::NotFound
            }
            Errno::ACCESS | Errno::PERM => Self::Denied,
            Errno::OPNOTSUPP | Errno::NOSYS => Self::Unsupported,
            _ => Self::Failed,
        }
    }
}

/// What a tick came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TickReport {
    /// Values put.
    pub readings: u32,
    /// Files read.
    pub files: u32,
    /// Devices that vanished.
    pub devices_gone: u32,
    absent: [u32; Absence::ALL.len()],
}

impl TickReport {
    /// How many files, rows or values were absent for this reason.
    #[must_use]
    pub const fn absent(&self, why: Absence) -> u32 {
        self.absent[why as usize]
    }

    /// How many files, rows or values were absent for any reason.
    #[must_use]
    pub fn absent_total(&self) -> u32 {
        self.absent.iter().fold(0, |sum, &one| sum.saturating_add(one))
    }

    /// Counts `times` absences.
    pub(crate) fn count(&mut self, why: Absence, times: u32) {
        let count = &mut self.absent[why as usize];
        *count = count.saturating_add(times);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_own_count_and_name() {
        let mut report = TickReport::default();
        for (at, why) in Absence::ALL.into_iter().enumerate() {
            assert_eq!(why as usize, at);
            report.count(why, 1 + at as u32);
        }
        let names: std::collections::BTreeSet<_> = Absence::ALL.map(Absence::name).into();
        assert_eq!(names.len(), Absence::ALL.len());
        assert_eq!(report.absent(Absence::Denied), 2);
        assert_eq!(report.absent_total(), 45);
        report.count(Absence::Denied, u32::MAX);
        assert_eq!(report.absent_total(), u32::MAX);
    }
}
