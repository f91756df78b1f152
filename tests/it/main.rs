//! Tests that need more than one room, or a real server.

#[cfg(feature = "client")]
mod nats;
#[cfg(feature = "client")]
mod server;
