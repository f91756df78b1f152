//! Tests that need more than one room, or a real server. One binary.

#[cfg(feature = "agent")]
mod alloc;
#[cfg(feature = "agent")]
mod binary;
#[cfg(feature = "agent")]
mod cgroup;
#[cfg(feature = "agent")]
mod cluster;
#[cfg(feature = "agent")]
mod command;
#[cfg(feature = "agent")]
mod compat;
#[cfg(feature = "agent")]
mod conservation;
mod counting;
#[cfg(feature = "agent")]
mod dcmi;
#[cfg(feature = "agent")]
mod details;
#[cfg(feature = "agent")]
mod diagnose;
#[cfg(feature = "agent")]
mod diagnosis_alloc;
#[cfg(feature = "agent")]
mod doctor;
#[cfg(feature = "agent")]
mod door;
#[cfg(feature = "agent")]
mod engine_scrape;
#[cfg(feature = "agent")]
mod engines;
#[cfg(feature = "agent")]
mod hardware_sys;
#[cfg(feature = "agent")]
mod hostile;
#[cfg(feature = "agent")]
mod kmsg;
#[cfg(feature = "agent")]
mod ktrace;
#[cfg(feature = "agent")]
mod loop_closes;
#[cfg(feature = "client")]
mod nats;
#[cfg(feature = "agent")]
mod nvml;
#[cfg(feature = "agent")]
mod outage;
#[cfg(feature = "agent")]
mod procfs_alloc;
#[cfg(feature = "agent")]
mod prometheus;
#[cfg(feature = "agent")]
mod readme;
#[cfg(feature = "agent")]
mod recorder;
#[cfg(feature = "agent")]
mod road;
#[cfg(feature = "agent")]
mod router;
#[cfg(feature = "client")]
mod server;
#[cfg(feature = "agent")]
mod syscalls;
#[cfg(feature = "agent")]
mod takers;
#[cfg(feature = "agent")]
mod threads;
