//! What the numbers mean that the library's calls return.

use crate::schema::AbsentReason;

/// Why a call gave nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The library has no function of this name.
    NotInLibrary,
    /// The function returned this, which is not 0.
    Returned(i32),
    /// The function returned 0 and a value that its own description rules out.
    Invalid,
}

/// What a failure says about asking again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// This chip or this place will never answer: no longer worth a call.
    Permanent,
    /// The rights are missing.
    Permission,
    /// It may well work next time.
    Transient,
    /// The driver or the channel to the chip is ill.
    DriverFault,
    /// The chip is not there, or the part that was asked about.
    Gone,
    /// The chip is being reset, or boots.
    Resetting,
    /// Its firmware is being replaced.
    Upgrading,
}

/// A return code with its place in the table.
struct Row(i32, Class, &'static str);

const ROWS: &[Row] = &[
    Row(-8001, Class::Permanent, "invalid parameter"),
    Row(-8002, Class::Permission, "operation not permitted"),
    Row(-8003, Class::Transient, "memory operation failed"),
    Row(-8004, Class::DriverFault, "secure function failed"),
    Row(-8005, Class::DriverFault, "internal error"),
    Row(-8006, Class::Transient, "time-out"),
    Row(-8007, Class::Gone, "invalid device id"),
    Row(-8008, Class::Gone, "device does not exist"),
    Row(-8009, Class::DriverFault, "ioctl failed"),
    Row(-8010, Class::DriverFault, "sending a message to the device failed"),
    Row(-8011, Class::DriverFault, "receiving a message from the device failed"),
    Row(NOT_READY, Class::Resetting, "not ready"),
    Row(-8013, Class::Permanent, "not supported in a container"),
    Row(-8014, Class::DriverFault, "file operation failed"),
    Row(-8015, Class::DriverFault, "reset failed"),
    Row(-8016, Class::Transient, "operation aborted"),
    Row(UPGRADING, Class::Upgrading, "upgrading"),
    Row(-8020, Class::Transient, "resource occupied"),
    Row(-8022, Class::DriverFault, "partition is not right"),
    Row(-8023, Class::Permanent, "no such configuration"),
    Row(-8255, Class::Permanent, "not supported"),
];

/// The chip is being reset, or boots.
pub const NOT_READY: i32 = -8012;
/// Firmware is being replaced.
pub const UPGRADING: i32 = -8017;

impl Failure {
    /// What the failure says about asking again.
    #[must_use]
    pub fn class(self) -> Class {
        match self {
            Self::NotInLibrary => Class::Permanent,
            Self::Invalid => Class::Transient,
            // A code of the future is taken for an illness, never for a reason
            // to stop asking.
            Self::Returned(code) => row(code).map_or(Class::DriverFault, |row| row.1),
        }
    }

    /// How the wire says why a reading is absent.
    #[must_use]
    pub fn reason(self) -> AbsentReason {
        match (self, self.class()) {
            (Self::NotInLibrary, _) => AbsentReason::NotInLibrary,
            // In a container that lacks the host's rights: more rights help.
            (Self::Returned(NOT_IN_CONTAINER), _) | (_, Class::Permission) => {
                AbsentReason::NoPermission
            }
            (_, Class::Permanent | Class::Gone) => AbsentReason::NotSupported,
            _ => AbsentReason::Failed,
        }
    }

    /// The failure in words.
    #[must_use]
    pub fn says(self) -> String {
        match self {
            Self::NotInLibrary => "the library has no such function".to_owned(),
            Self::Invalid => "the value is marked invalid".to_owned(),
            Self::Returned(code) => match row(code) {
                Some(row) => format!("{} ({code})", row.2),
                None => format!("error {code}"),
            },
        }
    }
}

/// Container set-ups that lack something give these; what to do about them.
#[must_use]
pub fn remedy(code: i32) -> Option<&'static str> {
    Some(match code {
        -8002 => {
            "run the agent as root or as a member of the group HwHiAiUser; in a container, with the host's root rights"
        }
        -8005 => {
            "in a container, mount the host's driver folder /usr/local/Ascend/driver and /usr/local/dcmi whole, and the device nodes; on the host, see the driver's log"
        }
        -8010 => {
            "in a container, pass /dev/davinci_manager, /dev/devmm_svm and /dev/hisi_hdc in; on the host, the channel to the chip is ill"
        }
        NOT_IN_CONTAINER => "run the agent on the host, or privileged in its container",
        NOT_READY => "the chip boots or is being reset: nothing to do but wait",
        _ => return None,
    })
}

const NOT_IN_CONTAINER: i32 = -8013;

fn row(code: i32) -> Option<&'static Row> {
    ROWS.iter().find(|row| row.0 == code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_the_class_that_decides_whether_to_ask_again() {
        for (code, class) in [
            (-8001, Class::Permanent),
            (-8002, Class::Permission),
            (-8006, Class::Transient),
            (-8007, Class::Gone),
            (-8008, Class::Gone),
            (-8010, Class::DriverFault),
            (-8012, Class::Resetting),
            (-8013, Class::Permanent),
            (-8017, Class::Upgrading),
            (-8255, Class::Permanent),
            (-1, Class::DriverFault),
            (i32::MIN, Class::DriverFault),
            (7, Class::DriverFault),
        ] {
            assert_eq!(Failure::Returned(code).class(), class, "{code}");
        }
        assert_eq!(Failure::NotInLibrary.class(), Class::Permanent);
    }

    #[test]
    fn a_reason_tells_no_such_thing_from_no_rights() {
        assert_eq!(Failure::Returned(-8255).reason(), AbsentReason::NotSupported);
        assert_eq!(Failure::Returned(-8013).reason(), AbsentReason::NoPermission);
        assert_eq!(Failure::Returned(-8002).reason(), AbsentReason::NoPermission);
        assert_eq!(Failure::Returned(-8005).reason(), AbsentReason::Failed);
        assert_eq!(Failure::NotInLibrary.reason(), AbsentReason::NotInLibrary);
        assert_eq!(Failure::Returned(-8006).says(), "time-out (-8006)");
        assert_eq!(Failure::Returned(-9).says(), "error -9");
    }
}
