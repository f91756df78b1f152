//! Tests that need more than one room, or a real server. One binary.

mod counting;
#[cfg(feature = "agent")]
mod door;
#[cfg(feature = "client")]
mod nats;
#[cfg(feature = "agent")]
mod procfs_alloc;
#[cfg(feature = "agent")]
mod readme;
#[cfg(feature = "agent")]
mod road;
#[cfg(feature = "client")]
mod server;
