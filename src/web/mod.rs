//! Shows values, history and verdicts to a person or a scaler.
//!
//! One thread, `ee-web`, serves HTTP from the newest values. Nothing here is
//! pushed to by a sampler: every answer reads the tables when it is asked, and
//! a stream holds no queue, so that a slow reader costs only itself and always
//! gets the newest. The room takes no request body and changes nothing.

mod board;
mod devices;
mod event;
mod host;
mod latency;
mod limits;
mod pace;
mod rank;
mod routes;
mod server;
mod status;
mod stream;
#[cfg(test)]
mod tests;

use crate::newest::{Names, ReadingTableView, StepTableView};
use crate::schema::Event;

pub use devices::{AcceleratorState, AcceleratorStates, ProcessState};
pub use event::{EventState, LogState};
pub use host::{DeviceState, HostState, ReadingState};
pub use latency::{LatencyState, Quantiles};
pub use limits::{CONNECTIONS_MAX, STREAMS_MAX};
pub use rank::RankState;
pub use server::{Server, start};
pub use status::{LossCount, NatsState, NatsStatus, SamplerState, SamplerStatus, Status};

/// What the faces show, wherever it comes from: this process or another's
/// memory.
pub struct Sources {
    /// The newest step of every rank.
    pub steps: StepTableView,
    /// The newest reading of every device.
    pub readings: ReadingTableView,
    /// Engines and devices by name.
    pub names: Names,
    /// How the agent is. Called for every request that asks: it must not wait.
    pub status: Box<dyn Fn() -> Status + Send + Sync>,
    /// Recent events, oldest first, of a bounded number. It must not wait.
    pub events: Box<dyn Fn() -> Vec<Event> + Send + Sync>,
}
