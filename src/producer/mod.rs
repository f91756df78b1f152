//! Lets an engine say how loaded it is: stores into memory that its agent
//! reads.
//!
//! [`DoorWriter`] stays with the engine's thread: a write is some stores and a
//! look at one word, whether or not an agent is there. [`Line`] belongs to a
//! thread that may wait: it finds the agent, hands it the memory, finds the
//! next agent when that one is gone, and beats the heart. The engine needs
//! neither to know of the other nor an agent to start.
//!
//! It refuses to queue and to wait: a step that the agent did not read before
//! the ring came round is a gap, which the agent counts.
//!
//! It stands beside the client and not in it, since an engine that links it
//! needs none of what a router does: no cargo feature, no NATS, no tokio.

mod bell;
mod line;
mod memory;
mod writer;

pub use line::{Line, LineState};
pub use writer::DoorWriter;

/// Slots when the caller has no opinion: a second at 1 kHz.
pub const SLOTS_DEFAULT: u32 = 1024;

/// Promised time between two signs of life where a step names none, ms.
pub const TTL_MS_DEFAULT: u32 = 1000;
