//! Ascend's fault codes: the rows of the vendor's tools, and what the bits of
//! a code say that none of them knows.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::LazyLock;

use super::rows::{by_key, rows};
use super::{Meaning, advice};
use crate::schema::{Action, Severity};

/// What the vendor's device plugin does about a code, the mildest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Level {
    /// The plugin has no row for it.
    Unknown,
    /// Nothing.
    NotHandle,
    /// The chip is worse, and serves.
    SubHealth,
    /// A request is to be sent again.
    RestartRequest,
    /// The process of the workload is to start again.
    RestartBusiness,
    /// The chip is reset when it is free.
    FreeRestart,
    /// The chip is reset at once.
    Restart,
    /// The chip gets no new job.
    PreSeparate,
    /// The chip is taken away at once.
    Separate,
    /// The whole node is.
    SeparateNode,
    /// The chip is taken away until a person brings it back.
    ManuallySeparate,
}

impl Level {
    fn read(word: &str) -> Option<Self> {
        Some(match word {
            "" => Self::Unknown,
            "NotHandleFault" => Self::NotHandle,
            "SubHealthFault" => Self::SubHealth,
            "RestartRequest" => Self::RestartRequest,
            "RestartBusiness" => Self::RestartBusiness,
            "FreeRestartNPU" => Self::FreeRestart,
            "RestartNPU" => Self::Restart,
            "PreSeparateNPU" => Self::PreSeparate,
            "SeparateNPU" => Self::Separate,
            "SeparateNode" => Self::SeparateNode,
            "ManuallySeparateNPU" => Self::ManuallySeparate,
            _ => return None,
        })
    }
}

/// A row of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AscendFault {
    /// The code as its source writes it: eight hexadecimal digits, nine digits,
    /// or the bus switch's four parts.
    pub code: &'static str,
    /// Who reports it: `device`, `host`, `mcu`, `black-box`, `bmc`,
    /// `bus-switch`, `public-fault` or `software`.
    pub source: &'static str,
    /// Which part it is about; may be empty.
    pub component: &'static str,
    /// The driver's own word for how much it matters; may be empty.
    pub driver_severity: &'static str,
    /// What is wrong, in a few words.
    pub meaning: &'static str,
    /// `hw`, `sw`, `user`, or two of them; may be empty.
    pub class: &'static str,
    /// What the vendor's device plugin does about it.
    pub level: Level,
    /// How often in 24 hours makes it a case for a person; 0: never.
    pub times_in_24h: u32,
    steps: &'static str,
    /// Which of the vendor's files know it.
    pub reference: &'static str,
}

static ROWS: LazyLock<HashMap<&'static str, AscendFault>> = LazyLock::new(|| {
    let read = |row: [&'static str; 10]| {
        let [
            code,
            source,
            component,
            driver_severity,
            meaning,
            class,
            level,
            times,
            steps,
            reference,
        ] = row;
        let fault = AscendFault {
            code,
            source,
            component,
            driver_severity,
            meaning,
            class,
            level: Level::read(level)?,
            times_in_24h: times.parse().unwrap_or(0),
            steps,
            reference,
        };
        Some((code, fault))
    };
    by_key(include_str!("data/ascend.tsv"), read)
});

static PARTS: LazyLock<HashMap<(&'static str, &'static str), &'static str>> = LazyLock::new(|| {
    rows(include_str!("data/ascend_parts.tsv"))
        .map(|[kind, number, name]| ((kind, number), name))
        .collect()
});

/// Every row, in no order.
pub fn all() -> impl Iterator<Item = &'static AscendFault> {
    ROWS.values()
}

/// The row of a code of 32 bits.
#[must_use]
pub fn row(code: u32) -> Option<&'static AscendFault> {
    let mut text = String::with_capacity(8);
    let _ = write!(text, "{code:08X}");
    ROWS.get(text.as_str())
}

/// The row of a code of another form, as its source writes it.
#[must_use]
pub fn row_named(code: &str) -> Option<&'static AscendFault> {
    ROWS.get(code)
}

/// What the bits of a code say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bits {
    /// Whether it is the host's word; the device's otherwise.
    pub of_host: bool,
    /// Which kind of part, 11 bits.
    pub node_type: u16,
    /// Which kind of sensor.
    pub sensor_type: u8,
    /// What the sensor says, 9 bits.
    pub state: u16,
}

impl Bits {
    /// The bits of a code. Those of the black box, which begin with A or B,
    /// have another layout and say nothing.
    #[must_use]
    pub const fn of(code: u32) -> Option<Self> {
        let source = code >> 30;
        if matches!(code >> 28, 0xA | 0xB) || !matches!(source, 1 | 2) {
            return None;
        }
        Some(Self {
            of_host: source == 1,
            node_type: (code >> 17 & 0x7FF) as u16,
            sensor_type: (code >> 9 & 0xFF) as u8,
            state: (code & 0x1FF) as u16,
        })
    }

    /// The part's name; none where the public headers have none.
    #[must_use]
    pub fn node(self) -> Option<&'static str> {
        PARTS.get(&("node", &*format!("{:x}", self.node_type))).copied()
    }

    /// The sensor's name.
    #[must_use]
    pub fn sensor(self) -> Option<&'static str> {
        PARTS.get(&("sensor", &*format!("{:x}", self.sensor_type))).copied()
    }

    /// What the state means for this sensor, by the codes that are known.
    #[must_use]
    pub fn state(self) -> Option<&'static str> {
        PARTS.get(&("state", &*format!("{:x}.{}", self.sensor_type, self.state))).copied()
    }

    /// All of it in a few words.
    #[must_use]
    pub fn told(self) -> String {
        let node = self.node().map_or_else(|| format!("part {:#x}", self.node_type), Into::into);
        if let Some(state) = self.state() {
            return format!("{node}: {state}");
        }
        let sensor =
            self.sensor().map_or_else(|| format!("sensor {:#x}", self.sensor_type), Into::into);
        format!("{node}: {sensor}, state {}", self.state)
    }
}

/// What a code of 32 bits means. `driver_severity` is what its report says of
/// itself (0 to 3), which counts where no row knows the code.
#[must_use]
pub fn meaning(code: u32, driver_severity: Option<u8>) -> Meaning {
    row(code).map_or_else(|| unknown(code, driver_severity), AscendFault::to_meaning)
}

fn unknown(code: u32, driver_severity: Option<u8>) -> Meaning {
    let severity = match driver_severity {
        Some(0) => Severity::Info,
        Some(3) => Severity::Critical,
        Some(2) => Severity::Error,
        _ => Severity::Warning,
    };
    let told = Bits::of(code).map(Bits::told);
    let cause = match &told {
        Some(_) => "No public table knows the code; part, sensor and state are read from its bits.",
        None => "No public table knows the code, and its bits do not say what it is about.",
    };
    Meaning {
        known: false,
        name: "",
        meaning: Cow::Owned(told.unwrap_or_else(|| format!("unknown code {code:08X}"))),
        severity,
        action: Action::Investigate,
        cause: Cow::Borrowed(cause),
        steps: advice::steps_of("a_error_text,a_logs,a_watch"),
        source: "bits",
    }
}

impl AscendFault {
    /// What the row means, with what follows from its level.
    #[must_use]
    pub fn to_meaning(&self) -> Meaning {
        let (severity, action) = self.judged(self.level);
        Meaning {
            known: true,
            name: self.code,
            meaning: Cow::Borrowed(self.meaning),
            severity,
            action,
            cause: self.told_cause(),
            steps: advice::steps_of(self.steps),
            source: self.reference,
        }
    }

    /// How much a level matters for this code, and what is to be done.
    #[must_use]
    pub fn judged(&self, level: Level) -> (Severity, Action) {
        let grave = matches!(self.driver_severity, "critical" | "major");
        match level {
            Level::Unknown if self.driver_severity == "critical" => {
                (Severity::Error, self.repair(Action::Investigate))
            }
            Level::Unknown => (Severity::Warning, self.repair(Action::Investigate)),
            Level::NotHandle if grave => (Severity::Warning, Action::None),
            Level::NotHandle => (Severity::Info, Action::None),
            Level::SubHealth => (Severity::Warning, self.repair(Action::Investigate)),
            Level::RestartRequest => (Severity::Warning, Action::RestartApplication),
            Level::RestartBusiness => (Severity::Error, Action::RestartApplication),
            Level::FreeRestart => (Severity::Error, Action::ResetDevice),
            Level::Restart => (Severity::Critical, Action::ResetDevice),
            Level::PreSeparate => (Severity::Error, self.repair(Action::Investigate)),
            Level::Separate | Level::SeparateNode => {
                (Severity::Critical, self.repair(Action::ContactVendor))
            }
            Level::ManuallySeparate => (Severity::Critical, Action::ReplacePart),
        }
    }

    /// Which repair the row's steps amount to, or `otherwise`.
    fn repair(&self, otherwise: Action) -> Action {
        let has = |keys: &[&str]| self.steps.split(',').any(|step| keys.contains(&step));
        if has(&["a_cooling"]) {
            Action::RepairCooling
        } else if has(&["a_optics", "a_ub", "a_link", "a_peer_fabric"]) {
            Action::RepairLink
        } else if has(&["a_return", "a_board_stays", "a_cycle_return", "a_cap", "a_power"]) {
            Action::ReplacePart
        } else {
            otherwise
        }
    }

    fn told_cause(&self) -> Cow<'static, str> {
        let part = if self.component.is_empty() { "the device" } else { self.component };
        let blame = match self.class {
            "hw" => "a fault of the hardware",
            "sw" => "a fault of software: driver, firmware or a daemon",
            "user" => "what the application gave it",
            "sw/hw" => "a fault of software or of the hardware",
            "user/hw" => "what the application gave it, or the hardware",
            "sw/user" => "software, or what the application gave it",
            _ => {
                return Cow::Owned(format!(
                    "The vendor's tables do not say why {part} reports it."
                ));
            }
        };
        Cow::Owned(format!("Of {part}, the vendor's tables count this as {blame}."))
    }
}
