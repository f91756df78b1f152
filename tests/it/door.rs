//! The engine door with real sockets, real memory and real processes.

mod agent;
mod engines;
mod hostile;
mod views;
