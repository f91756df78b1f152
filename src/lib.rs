//! Eagle Eye: an observability engine for AI inference.
//!
//! The rooms below stand in the order in which data flows through them. Facts
//! enter at the samplers, travel through a ring into batches, and leave to
//! routers, people and the journal. `ARCHITECTURE.md` draws the picture.

// The words everyone shares: steps, readings, batches, events, identity.
pub mod schema;

// The few operating-system and memory-model calls we make ourselves.
pub mod platform;

// Moves records between two threads without locks, allocation or waiting.
pub mod ring;

// Holds the latest value of everything: wait-free writer, bounded reader.
pub mod newest;

// Carries named byte batches and knows nothing about what is inside.
#[cfg(not(loom))]
pub mod transports;

// Lets an engine say how loaded it is: stores into memory that its agent
// reads.
#[cfg(not(loom))]
pub mod producer;

// Each folder turns one source into facts on its own thread; it never judges
// them.
#[cfg(all(feature = "agent", not(loom)))]
pub mod samplers;

// Drains rings into batches, counts loss, hands each batch once to each
// taker.
#[cfg(all(feature = "agent", not(loom)))]
pub mod pipeline;

// Keeps what was accepted until it is acknowledged or superseded.
#[cfg(all(feature = "agent", not(loom)))]
pub mod journal;

// Given facts and the time, decides; no clock, thread or socket of its own.
#[cfg(all(feature = "agent", not(loom)))]
pub mod diagnosis;

// What a router links: the load of every engine, with its age, and a choice.
#[cfg(all(feature = "client", not(loom)))]
pub mod client;

// Turns text into a plan that cannot be wrong.
#[cfg(all(feature = "agent", not(loom)))]
pub mod config;

// Shows values, history and verdicts to a person or a scaler.
#[cfg(all(feature = "agent", not(loom)))]
pub mod web;

// The only place that connects rooms, starts and stops.
#[cfg(all(feature = "agent", not(loom)))]
pub mod engine;

// One file per verb; results into text and exit codes.
#[cfg(all(feature = "agent", not(loom)))]
pub mod cli;

// The README's Rust, compiled.
#[cfg(all(doctest, feature = "client"))]
#[doc = include_str!("../README.md")]
struct Readme;
