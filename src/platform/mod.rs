//! The few operating-system and memory-model calls we make ourselves, behind
//! safe functions.
//!
//! Rooms that hold lock-free code take their atomics and cells from here, so
//! that loom can stand in for them. Nothing here knows what it carries.

pub mod atomic;
pub mod cell;
#[cfg(not(loom))]
pub mod child;
#[cfg(not(loom))]
pub mod clock;
pub mod doorbell;
#[cfg(not(loom))]
pub mod kernel_log;
#[cfg(not(loom))]
pub mod limits;
#[cfg(not(loom))]
pub mod memory;
#[cfg(not(loom))]
pub mod place;
#[cfg(not(loom))]
pub mod poll;
#[cfg(not(loom))]
pub mod socket;
#[cfg(not(loom))]
pub mod thread;
#[cfg(not(loom))]
pub mod time_sync;
#[cfg(all(feature = "agent", not(loom)))]
pub mod write_ring;
