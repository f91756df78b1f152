//! The engine door with real sockets, real memory and real processes.

mod agent;
mod engines;
mod homes;
mod hostile;
mod views;
