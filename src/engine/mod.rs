//! The only place that connects rooms, starts and stops.
//!
//! Rooms are built in the order of the flow and stopped in the same order, so
//! that what one still holds reaches the next. A part that cannot start says
//! so in one line, and the rest runs on.

mod agent;
mod black_box;
mod compat;
mod compat_json;
mod desk;
mod event_counts;
mod exposition;
mod gauges;
mod hardware;
mod inbox;
mod judge;
mod load_model;
mod losses;
mod measure;
mod overseer;
mod part;
mod reach;
mod reporting;
mod resend;
mod road;
pub mod rule_file;
mod sampling;
mod simulation;
mod state;
mod status;
mod subjects;
mod threads;

pub use agent::{Agent, StartError, TAKER_QUEUE_MAX};
pub use desk::{RECENT_MAX, Recent};
pub use load_model::LoadModel;
pub use measure::{MeasurePlan, Measured, StageTimes, end_to_end};
pub use part::{PartLine, PartState};
pub use reach::{Right, Server, ServerSeen, StreamState, Unseen, nats_reach};
pub use resend::{Resend, Sent};
pub use simulation::{Simulation, SimulationCounts, SimulationPlan};

/// The samplers that this build can start.
pub use crate::samplers;

/// The name of the agent's socket in its run folder.
pub use crate::samplers::engine_push::SOCKET_NAME;
