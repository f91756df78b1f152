//! Tests that need more than one room, or a real server. One binary.

#[cfg(feature = "agent")]
mod door;
