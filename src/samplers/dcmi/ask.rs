//! One chip, asked for one thing after the other: every call goes through here,
//! so that it has a name while it runs, and every answer comes as a number in
//! base units or a failure.

use bytemuck::Pod;

use super::code::{Class, Failure};
use super::layout::FaultEvent;
use super::layout::Process;
use super::raw::{Chip, Raw, Room};
use super::symbol::Symbol;
use super::value;
use crate::samplers::accelerator::{self as frame, Calls, Sheet};
use crate::schema::{DeviceState, MetricId};

/// Asks one chip.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asking<'a> {
    pub(super) raw: &'a Raw,
    pub(super) chip: Chip,
    pub(super) calls: &'a Calls,
    /// The chip's name, on a thread that is not its own; else empty.
    pub(super) device: &'a str,
}

impl Asking<'_> {
    /// A struct or number.
    pub(super) fn out<T: Pod>(&self, symbol: Symbol) -> Result<T, Failure> {
        self.out_of(symbol, Room::zeroed()).map(|room| room.value())
    }

    /// A struct or number about the thing that `which` picks.
    pub(super) fn pick<T: Pod>(&self, symbol: Symbol, which: i32) -> Result<T, Failure> {
        self.pick_of(symbol, which, Room::zeroed()).map(|room| room.value())
    }

    /// The same, whose bytes from `least` on keep the mark of no value where
    /// the library does not fill them in.
    pub(super) fn pick_marked<T: Pod>(
        &self,
        symbol: Symbol,
        which: i32,
        least: usize,
    ) -> Result<T, Failure> {
        self.pick_of(symbol, which, Room::marked_from(least)).map(|room| room.value())
    }

    /// What a command and its sub-command stand for.
    pub(super) fn gate<T: Pod>(&self, commands: (u32, u32)) -> Result<T, Failure> {
        let mut room = Room::zeroed();
        self.call(Symbol::Info, |raw, chip| {
            raw.gate(chip, commands, size_of::<T>(), &mut room).map(|()| room.value())
        })
    }

    /// A text about the thing that `which` picks.
    pub(super) fn text(&self, symbol: Symbol, which: u32) -> Result<String, Failure> {
        self.call(symbol, |raw, chip| raw.text(symbol, chip, which))
            .map(|room| value::text(room.bytes()))
    }

    /// The codes of open faults.
    pub(super) fn codes(&self) -> Result<Vec<u32>, Failure> {
        self.call(Symbol::ErrorCodes, Raw::codes)
    }

    /// The open faults as events.
    pub(super) fn current_faults(&self) -> Result<Vec<FaultEvent>, Failure> {
        self.call(Symbol::CurrentFaults, Raw::current_faults)
    }

    /// Who works on the chip.
    pub(super) fn processes(&self) -> Result<Vec<Process>, Failure> {
        self.call(Symbol::Processes, Raw::processes)
    }

    fn out_of(&self, symbol: Symbol, mut room: Room) -> Result<Room, Failure> {
        self.call(symbol, |raw, chip| raw.out(symbol, chip, &mut room))?;
        Ok(room)
    }

    fn pick_of(&self, symbol: Symbol, which: i32, mut room: Room) -> Result<Room, Failure> {
        self.call(symbol, |raw, chip| raw.pick(symbol, chip, which, &mut room))?;
        Ok(room)
    }

    /// What is not in the library is no call.
    fn call<T>(
        &self,
        symbol: Symbol,
        call: impl FnOnce(&Raw, Chip) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        if !self.raw.has(symbol) {
            return Err(Failure::NotInLibrary);
        }
        let name = symbol.name(self.raw.generation());
        self.calls.call_about(self.device, name, || call(self.raw, self.chip))
    }
}

/// The state of a chip that a failure of one of its calls gives away. A chip
/// that is not there says so in every call, but so does a part that is not
/// there: that is looked at elsewhere.
pub(super) fn away(failure: Failure) -> Option<DeviceState> {
    match failure.class() {
        Class::Resetting => Some(DeviceState::Resetting),
        Class::Upgrading => Some(DeviceState::Upgrading),
        _ => None,
    }
}

/// Puts a reading on the sheet, or why it is absent.
///
/// # Errors
///
/// When the failure means that the whole chip is away.
pub(super) fn put(
    sheet: &mut Sheet<'_>,
    metric: MetricId,
    answer: Result<f64, Failure>,
) -> Result<(), frame::Failure> {
    put_all(sheet, &[metric], answer.map(|value| [Ok(value)]))
}

/// Puts the readings of one call on the sheet, or why they are absent.
///
/// # Errors
///
/// When the failure means that the whole chip is away.
pub(super) fn put_all<const N: usize>(
    sheet: &mut Sheet<'_>,
    metrics: &[MetricId; N],
    answer: Result<[Result<f64, Failure>; N], Failure>,
) -> Result<(), frame::Failure> {
    let values = match answer {
        Ok(values) => values,
        Err(failure) => {
            if let Some(state) = away(failure) {
                return Err(frame::Failure::Device(state));
            }
            [Err(failure); N]
        }
    };
    for (metric, value) in metrics.iter().zip(values) {
        match value {
            Ok(value) => sheet.put(*metric, value),
            Err(failure) => sheet.absent(*metric, failure.reason()),
        }
    }
    Ok(())
}
