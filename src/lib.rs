//! Eagle Eye: an observability engine for AI inference.
//!
//! The rooms below stand in the order in which data flows through them. Facts
//! enter at the samplers, travel through a ring into batches, and leave to
//! routers, people and the journal. `ARCHITECTURE.md` draws the picture.

/// Sources turned into facts, each on its own thread.
pub mod samplers;
/// The words everyone shares: steps, readings, batches, events, identity.
pub mod schema;
