//! What a stage is told.

use crate::schema::{Device, Engine, EngineDetails, Event, Reading, StepCore};

/// One fact of a node.
#[derive(Debug, Clone, Copy)]
pub enum Fact<'a> {
    /// A device, as it is from here on.
    Device(&'a Device),
    /// An engine, as it is from here on.
    Engine(&'a Engine),
    /// A value of a device.
    Reading(&'a Reading),
    /// A step of an engine's rank.
    Step(&'a StepCore),
    /// Something that happened.
    Event(&'a Event),
    /// What an engine says beside its steps.
    Details(&'a EngineDetails),
}
