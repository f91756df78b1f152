//! Eagle Eye: an observability engine for AI inference.
//!
//! The rooms below stand in the order in which data flows through them. Facts
//! enter at the samplers, travel through a ring into batches, and leave to
//! routers, people and the journal. `ARCHITECTURE.md` draws the picture.

/// The words everyone shares: steps, readings, batches, events, identity.
pub mod schema;

/// The few operating-system and memory-model calls we make ourselves.
pub mod platform;

/// Moves records between two threads without locks, allocation or waiting.
pub mod ring;

/// Holds the latest value of everything: wait-free writer, bounded reader.
pub mod newest;

/// Carries named byte batches and knows nothing about what is inside.
pub mod transports;

/// What a router links: the load of every engine, with its age, and a choice.
#[cfg(all(feature = "client", not(loom)))]
pub mod client;
