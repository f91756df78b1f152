//! Given facts and the time, decides; no clock, thread or socket of its own.

pub mod tables;
pub mod lines;
